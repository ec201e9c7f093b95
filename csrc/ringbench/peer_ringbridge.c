/* SPDX-License-Identifier: MIT */
/*
 * peer_ringbridge.c - ringbridge itself: raw records through a ring each way, as raw_leg.c and
 * stream.c have them.
 */
#include "peers.h"
#include "process.h"
#include "rings.h"

#include <stdlib.h>

/* Room is handed back in parts of the ring, or where nothing is left to read (rings.c): a producer that
 * waits for room would else be let on, and stopped again, for each few records. */
enum { RELEASE_PART = 2 };

struct ours {
    bench_rings rings;
    bench_end *end; /* this side's */
    uint32_t bytes;
};

static void *
ours_open(const bench_peer_setup *setup)
{
    struct ours *ours = calloc(1, sizeof *ours);

    if (ours == NULL)
        setup->fail("no memory");
    ours->bytes = setup->bytes;
    bench_rings_open(&ours->rings, setup->room_bytes, setup->wait, 0);
    return ours;
}

static void
ours_attach(void *peer, int side)
{
    struct ours *ours = peer;

    ours->end = &ours->rings.ends[side];
}

static void *
ours_claim(void *peer, bool may_block)
{
    struct ours *ours = peer;
    void *record;

    (void)may_block;
    if (rbr_producer_claim(&ours->end->producer, &record, ours->bytes) == RBR_OK)
        return record;
    return bench_end_claim(ours->end, ours->bytes);
}

static void
ours_send(void *peer)
{
    (void)peer; /* a flush commits all that was claimed */
}

static bool
ours_flush(void *peer, bool may_block)
{
    (void)may_block;
    bench_end_commit(((struct ours *)peer)->end);
    return true;
}

static const void *
ours_receive(void *peer, uint32_t *bytes, bool may_block)
{
    struct ours *ours = peer;
    const void *record;

    (void)may_block;
    if (rbr_consumer_next(&ours->end->consumer, &record, bytes) == RBR_OK)
        return record;
    return bench_end_next(ours->end, bytes);
}

static void
ours_release(void *peer)
{
    bench_end *end = ((struct ours *)peer)->end;
    const rbr_consumer *consumer = &end->consumer;
    const uint64_t released = atomic_load_explicit(&consumer->shared->head, memory_order_relaxed);

    if (consumer->head - released >= (consumer->mask + 1) / RELEASE_PART)
        bench_end_release(end);
}

static void
ours_count(const void *peer, bench_counts *out)
{
    const struct ours *ours = peer;

    if (ours->end != NULL)
        bench_end_count(ours->end, out);
}

static void
ours_detach(void *peer)
{
    (void)peer;
}

static void
ours_close(void *peer)
{
    struct ours *ours = peer;

    bench_rings_close(&ours->rings);
    free(ours);
}

const bench_peer bench_peer_ringbridge = {.version = BENCH_PEER_VERSION,
                                          .batches = true,
                                          .waits = true,
                                          .open = ours_open,
                                          .attach = ours_attach,
                                          .claim = ours_claim,
                                          .send = ours_send,
                                          .flush = ours_flush,
                                          .receive = ours_receive,
                                          .release = ours_release,
                                          .count = ours_count,
                                          .detach = ours_detach,
                                          .close = ours_close};
