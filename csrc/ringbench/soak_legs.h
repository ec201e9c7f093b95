/* SPDX-License-Identifier: MIT */
/*
 * soak_legs.h - traffic of random sizes whose every byte is checked. See soak_legs.c.
 */
#ifndef RBR_BENCH_SOAK_LEGS_H
#define RBR_BENCH_SOAK_LEGS_H

#include "bench.h"
#include "call_legs.h"
#include "duo.h"
#include "rings.h"
#include "sequence.h"

#include <stdatomic.h>

/* What one side has found out, in memory that both share; written by that side alone. */
typedef struct bench_soak_side {
    bench_sequence messages; /* that came to this side */
    _Atomic uint64_t sent;   /* how many it has sent: then what is not there now is lost */
    uint64_t bytes;          /* of their payloads */
    uint64_t rss_bytes, fds; /* of this process, at its last look; memory that is not shared: an
                                arena may grow late, and has a limit */
} bench_soak_side;

/* One kind of traffic. Each side has a copy; both draw the same numbers from the same seed. */
typedef struct bench_traffic {
    const bench_options *options;
    bench_soak_side *sides; /* by side */
    uint64_t random;        /* the generator's state: both sides draw alike */
    uint64_t seed;          /* of the payloads */
    uint64_t drawn[BENCH_SIDES]; /* messages that each side has to have sent by now */
    uint8_t *room;
    bench_rings rings; /* of the first kind */
    bench_echo echo;   /* of the second */
} bench_traffic;

/* Records through two rings: long one-way bursts that fill them, and short ones both ways. */
void bench_soak_rings_open(bench_traffic *soak, bench_leg *leg, const bench_options *options);
void bench_soak_rings_close(bench_traffic *soak);

/* Calls over a channel, some of them in flight together, some with their argument in the arena. */
void bench_soak_calls_open(bench_traffic *soak, bench_leg *leg, bench_duo_hooks *hooks,
                           const bench_options *options);
void bench_soak_calls_close(bench_traffic *soak);

/* Looks at the calling process's own memory and descriptors. */
void bench_soak_look(bench_soak_side *side);

#endif
