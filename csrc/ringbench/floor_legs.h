/* SPDX-License-Identifier: MIT */
/*
 * floor_legs.h - the machine's own round trips. See floor_legs.c.
 */
#ifndef RBR_BENCH_FLOOR_LEGS_H
#define RBR_BENCH_FLOOR_LEGS_H

#include "bench.h"
#include "duo.h"

enum bench_floor_kind {
    BENCH_ONE_LINE,   /* cache lines: request and reply in the same one */
    BENCH_OWN_LINE,   /* each side writes a line of its own */
    BENCH_YIELD_LINE, /* the same, and sched_yield between two looks */
    BENCH_SEM,
    BENCH_FUTEX,
    BENCH_EVENTFD,
    BENCH_PIPE,
};

typedef struct bench_floor_state {
    enum bench_floor_kind kind;
    uint64_t sequence;
    struct bench_lines *lines;
    int fds[4]; /* eventfds: there, back; pipes: read and write there, read and write back */
} bench_floor_state;

/* Fills in the leg; the state must live as long as it, and be closed after the duo's end. */
void bench_floor_leg(bench_leg *leg, bench_floor_state *state, const char *name,
                     enum bench_floor_kind kind, bool same_cpu);
void bench_floor_close(bench_floor_state *state);

/* The floor of a way to wait, on the options' CPUs: what nothing that waits so can beat. */
void bench_floor_of_wait(bench_leg *leg, bench_floor_state *state, const bench_options *options);

#endif
