/* SPDX-License-Identifier: MIT */
/* flipper.c - see flipper.h. */
#include "flipper.h"

#include "check.h"
#include "os.h"
#include "pin.h"
#include "soak.h"

#include <string.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------------ the flipper */

static void
pause_for_a_moment(uint64_t *random)
{
    int turns;

    for (turns = (int)(soak_random(random) % 16); turns > 0; turns--)
        rbr_os_relax();
}

/* Rests between two words as often as between two values: what is torn stays for a moment. */
static void *
flip(void *argument)
{
    flipper *f = argument;
    uint64_t random = 1;
    size_t i, rest;
    int value;

    if (pin_processors() >= 2)
        pin_to(1);
    while (!atomic_load_explicit(&f->stop, memory_order_relaxed))
        for (value = 0; value < f->values; value++) {
            rest = soak_random(&random) % f->count;
            for (i = 0; i < f->count; i++) {
                atomic_store_explicit(f->words[i].at, f->words[i].values[value],
                                      memory_order_relaxed);
                if (i == rest)
                    pause_for_a_moment(&random);
            }
            pause_for_a_moment(&random);
        }
    return NULL;
}

static void
flipper_start(flipper *f)
{
    const bool has_its_own = pin_processors() >= 2;

    CHECK(pthread_create(&f->thread, NULL, flip, f) == 0);
    if (has_its_own)
        pin_to(0);
}

static void
flipper_stop(flipper *f)
{
    atomic_store(&f->stop, true);
    pthread_join(f->thread, NULL);
}

void
flipper_add(flipper *f, void *at, uint64_t a, uint64_t b, uint64_t c)
{
    CHECK((uintptr_t)at % 8 == 0 && f->count < WORDS);
    f->words[f->count++] = (toggled){at, {a, b, c}};
}

void
flipper_add_bytes(flipper *f, uint8_t *at, const uint8_t *a, const uint8_t *b, size_t bytes)
{
    uint64_t left, right;
    size_t i;

    for (i = 0; i < bytes; i += 8) {
        memcpy(&left, a + i, 8);
        memcpy(&right, b + i, 8);
        if (left != right)
            flipper_add(f, at + i, left, right, 0);
    }
}

/* ------------------------------------------------------------------------------------ the reader */

void
flipper_setup(fixture *f, uint64_t rounds)
{
    int fd, i;

    memset(f, 0, sizeof *f);
    f->wanted = soak_rounds(rounds);
    CHECK(rbr_segment_create(&f->segment, &fd, RING, 1, RBR_MEMORY_MEMFD, NULL) == RBR_OK);
    close(fd);
    f->reader = bare_channel_new(RBR_ROLE_HOST, &f->segment, RBR_MIB);
    f->peer = bare_channel_new(RBR_ROLE_WORKER, &f->segment, RBR_MIB);
    f->ring = &f->segment.shared->ring[RBR_ROLE_WORKER];
    f->record = f->segment.data[RBR_ROLE_WORKER];
    bare_channel_grow(f->peer, f->reader, BLOCK_SEGMENT, SEGMENT_BYTES);
    f->block = f->peer->blocks.ours[BLOCK_SEGMENT]->base;
    for (i = 0; i < 2; i++)
        atomic_store(&((struct rbr_block_shared *)(void *)(f->block + i * BLOCK_BYTES))->generation,
                     5 + (uint32_t)i);
    f->flips.values = 2;
}

void
flipper_teardown(fixture *f)
{
    CHECK(atomic_load(&f->reader->blocks.peer_blocks) == 0);
    bare_channel_free(f->reader);
    bare_channel_free(f->peer);
    rbr_segment_detach(&f->segment);
}

void
flipper_frame(frame *out, build_fn *fill)
{
    memset(out, 0, sizeof *out);
    out->size = (uint32_t)rbr_round_up(build(fill), 8);
    CHECK(out->size <= FRAME_MAX);
    memcpy(out->bytes, room, out->size);
    CHECK(verify(out->bytes, out->size) == RBR_OK);
}

void
flipper_publish(fixture *f, const frame *shown, uint32_t size)
{
    const uint64_t header = size;

    memcpy(f->record, &header, sizeof header);
    memcpy(f->record + 8, shown->bytes, FRAME_MAX);
    atomic_store(&f->ring->tail, 8 + rbr_round_up(size, 8));
}

rbr_status
flipper_take(fixture *f, const void **record, uint32_t *size)
{
    rbr_consumer *consumer = &f->reader->exchange.consumer;

    rbr_consumer_init(consumer, f->ring, f->record, RING, 0);
    return rbr_consumer_next(consumer, record, size);
}

rbr_status
flipper_receive(fixture *f, rbr_message **message)
{
    rbr_error error = {.status = RBR_OK};
    const void *record;
    uint32_t size;
    rbr_status status;

    CHECK(flipper_take(f, &record, &size) == RBR_OK);
    status = rbr_message_read(message, f->reader, record, size, &error);
    CHECK(status == RBR_OK || (status == RBR_BROKEN && error.text[0] != '\0'));
    f->refused += status != RBR_OK;
    return status;
}

bool
flipper_more(fixture *f, int values)
{
    bool all = true;
    int i;

    for (i = 0; i < values; i++)
        all &= f->met[i] > 0;
    if (f->rounds == 0)
        flipper_start(&f->flips);
    if (f->rounds < f->wanted || !all) {
        if (++f->rounds % 1024 == 0)
            rbr_os_yield();
        return true;
    }
    flipper_stop(&f->flips);
    soak_count("double fetch rounds", f->rounds);
    return false;
}

static bool
is_whole(const rbr_message *message, const frame *one)
{
    return message->size == one->size && memcmp(message->bytes, one->bytes, one->size) == 0;
}

static bool
is_word_of(const uint8_t *word, size_t at, const frame *one)
{
    return memcmp(word, one->bytes + at, 8) == 0;
}

void
flipper_check_copy(fixture *f, const rbr_message *message, const frame *a, const frame *b)
{
    uint32_t i;

    CHECK(message->size == a->size || message->size == b->size);
    for (i = 0; i < message->size; i += 8)
        CHECK(is_word_of(message->bytes + i, i, a) || is_word_of(message->bytes + i, i, b));
    CHECK(verify(message->bytes, message->size) == RBR_OK);
    CHECK(message->id == rbr_get_u64(root, RBR_FRAME__ID, 0));
    CHECK(message->body_type == rbr_get_u8(root, RBR_FRAME__BODY_TYPE, 0));
    CHECK(message->body.at == rbr_get_table(root, RBR_FRAME__BODY).at);
    CHECK(message->ref_count <= verdict.refs);
    walk(root);
    f->met[0] += is_whole(message, a);
    f->met[1] += is_whole(message, b);
}
