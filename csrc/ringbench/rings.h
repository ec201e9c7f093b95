/* SPDX-License-Identifier: MIT */
/*
 * rings.h - two rings between two sides, as a channel has them, without a channel; and the ways to
 * wait at them. See rings.c.
 */
#ifndef RBR_BENCH_RINGS_H
#define RBR_BENCH_RINGS_H

#include "bench.h"
#include "counts.h"

#include "ring.h"
#include "segment.h"
#include "wake.h"

/* One side's end. By one thread. */
typedef struct bench_end {
    rbr_producer producer; /* to the other side */
    rbr_consumer consumer; /* from it */
    rbr_wake wake;
    enum bench_wait wait;
} bench_end;

/* Whoever sleeps has to be woken; the others need no fence. */
static inline bool
bench_end_may_sleep(const bench_end *end)
{
    return end->wait == BENCH_WAIT_BLOCK || end->wait == BENCH_WAIT_ADAPTIVE;
}

typedef struct bench_rings {
    rbr_segment segment;
    bench_end ends[2]; /* by side; each uses its own */
} bench_rings;

/* Both rings begin at position `start`: 0, or near a wrap. Before the other side starts, and after its
 * end. Ends the program when there is no memory. */
void bench_rings_open(bench_rings *rings, uint32_t ring_bytes, enum bench_wait wait,
                      uint64_t start);
void bench_rings_close(bench_rings *rings);

/* Room for a record; waits for it. What was claimed before is committed when there is none. */
void *bench_end_claim(bench_end *end, uint32_t bytes);
/* Publishes what was claimed, and wakes the other side where it may sleep. */
void bench_end_commit(bench_end *end);
/* The next record; waits for it. What was read before is released when there is none. */
const void *bench_end_next(bench_end *end, uint32_t *bytes);
/* The same for as long as `deadline_ns`; NULL: nothing came. */
const void *bench_end_next_until(bench_end *end, uint32_t *bytes, uint64_t deadline_ns);
/* The same until `sent`, which the sender raises behind its commits, is `until`. NULL: that many were
 * sent, and what has not come is lost. */
const void *bench_end_next_of(bench_end *end, uint32_t *bytes, const _Atomic uint64_t *sent,
                              uint64_t until);
/* Hands back what was read, and wakes the other side where it may sleep. */
void bench_end_release(bench_end *end);

/* Adds what the end's wake-ups have counted. */
void bench_end_count(const bench_end *end, bench_counts *out);

#endif
