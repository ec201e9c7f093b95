/* SPDX-License-Identifier: MIT */
/*
 * crossing.h - round trips and one way through any peer, every message verified. See crossing.c.
 */
#ifndef RBR_BENCH_CROSSING_H
#define RBR_BENCH_CROSSING_H

#include "duo.h"
#include "peer.h"
#include "sequence.h"

#include "base.h"
#include "layout.h"

#include <stdalign.h>
#include <stdatomic.h>

/* Also the numbers of the legs. */
enum bench_crossing_kind { BENCH_ROUND_TRIP, BENCH_ONE_WAY, BENCH_CROSSINGS };

typedef struct bench_crossing_shared {
    uint64_t count; /* messages of the next trip one way; by the first side before it */
    /* What became of them, on the side that received them; by that side. */
    alignas(RBR_LINE) bench_sequence sequences[BENCH_CROSSINGS][BENCH_SIDES];
    /* The number that is due one way; by the other side. */
    alignas(RBR_LINE) _Atomic uint64_t received;
} bench_crossing_shared;

typedef struct bench_crossing {
    bench_crossing_shared *shared;
    const bench_peer *peer;
    void *state; /* the peer's */
    enum bench_wait wait;
    uint64_t spin_ns; /* adaptive: before it blocks */
    bool blocks;      /* each call may */
    uint32_t bytes, batch;
    uint64_t numbers[BENCH_CROSSINGS]; /* of the next message */
    bool wrong;                        /* not all came as it should, so far */
    uint32_t size;                     /* of the message that was received last */
    uint8_t *source;                   /* the first side's payload */
    uint64_t sum;                      /* of the payload after the number */
} bench_crossing;

/* Opens the peer; before the other side starts. `shared` is in zeros. */
void bench_crossing_open(bench_crossing *crossing, bench_crossing_shared *shared,
                         const bench_peer *peer, const bench_peer_setup *setup, bool one_cpu);
void bench_crossing_legs(bench_leg legs[BENCH_CROSSINGS], bench_crossing *crossing,
                         const char *name);
/* Nothing is sent any more: what has not come is lost. */
void bench_crossing_settle(bench_crossing *crossing);
/* After the other side's end. */
void bench_crossing_close(bench_crossing *crossing);

#endif
