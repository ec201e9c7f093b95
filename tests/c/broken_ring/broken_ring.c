/* SPDX-License-Identifier: MIT */
/*
 * broken_ring.c - the ring, and a consumer that does wrong: what ringbench has to notice.
 *
 * Takes the place of ring.c in the program ringbench_broken. RBR_BREAK says what happens to one record
 * in EVERY (or in RBR_BREAK_EVERY of this process): "lose", "duplicate", "reorder" or "corrupt".
 * Without it, and with what is broken_wake.c's, the ring is sound.
 */
#define rbr_consumer_next sound_consumer_next
#include "../../../csrc/core/ring.c" /* NOLINT(bugprone-suspicious-include) */
#undef rbr_consumer_next

#include <stdlib.h>

rbr_status rbr_consumer_next(rbr_consumer *consumer, const void **record, uint32_t *bytes);

enum { EVERY = 997, BYTES_MAX = 1 << 20 };

static uint64_t seen;
/* A record that comes one place too late: its own copy, since the ring may reuse its bytes. */
static uint8_t held[BYTES_MAX];
static uint32_t held_bytes;
static const struct rbr_ring_shared *held_of;

static rbr_status
lose(rbr_consumer *consumer, const void **record, uint32_t *bytes)
{
    return sound_consumer_next(consumer, record, bytes);
}

static rbr_status
duplicate(rbr_consumer *consumer, const void **record, uint32_t *bytes)
{
    consumer->head -= RECORD_HEADER + rbr_round_up(*bytes, RECORD_ALIGN);
    (void)record;
    return RBR_OK;
}

/* The record after this one comes first; this one stays until the next call. */
static rbr_status
reorder(rbr_consumer *consumer, const void **record, uint32_t *bytes)
{
    const void *later;
    uint32_t later_bytes;

    if (*bytes > BYTES_MAX || sound_consumer_next(consumer, &later, &later_bytes) != RBR_OK)
        return RBR_OK;
    memcpy(held, *record, *bytes);
    held_bytes = *bytes;
    held_of = consumer->shared;
    *record = later;
    *bytes = later_bytes;
    return RBR_OK;
}

static rbr_status
corrupt(rbr_consumer *consumer, const void **record, uint32_t *bytes)
{
    (void)consumer;
    if (*bytes > BYTES_MAX)
        return RBR_OK;
    memcpy(held, *record, *bytes);
    held[*bytes / 2] ^= 0x10;
    *record = held;
    return RBR_OK;
}

rbr_status
rbr_consumer_next(rbr_consumer *consumer, const void **record, uint32_t *bytes)
{
    const char *what = getenv("RBR_BREAK"), *often = getenv("RBR_BREAK_EVERY");
    const int every = often != NULL ? atoi(often) : EVERY;
    rbr_status status;

    if (held_of == consumer->shared) {
        held_of = NULL;
        *record = held;
        *bytes = held_bytes;
        return RBR_OK;
    }
    status = sound_consumer_next(consumer, record, bytes);
    if (status != RBR_OK || what == NULL || every <= 0 || ++seen % (uint64_t)every != 0)
        return status;
    switch (what[0]) {
    case 'l':
        return lose(consumer, record, bytes);
    case 'd':
        return duplicate(consumer, record, bytes);
    case 'r':
        return reorder(consumer, record, bytes);
    case 'c':
        return corrupt(consumer, record, bytes);
    default:
        return status;
    }
}
