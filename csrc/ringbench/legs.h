/* SPDX-License-Identifier: MIT */
/*
 * legs.h - the machine's own round trips, and measuring several legs in turn.
 */
#ifndef RBR_BENCH_LEGS_H
#define RBR_BENCH_LEGS_H

#include "bench.h"
#include "processes.h"

enum bench_floor_kind {
    BENCH_ONE_LINE, /* cache lines: request and reply in the same one */
    BENCH_OWN_LINE, /* each side writes a line of its own */
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

#define BENCH_SLICES                                                                               \
    50 /* of each leg in a run, A B C A B C: short ones, so that other load hits few */
#define BENCH_RUNS_MAX 100

/* What one leg showed. */
typedef struct bench_measure {
    bench_histogram histogram;                     /* of trips timed one by one */
    double slice_ns[BENCH_SLICES * BENCH_RUNS_MAX]; /* per trip, from slices timed as a whole */
    size_t slices;
    uint64_t trips; /* warm-up included */
} bench_measure;

/* Measures legs[0..count) in turn, slice after slice, all runs. */
void bench_measure_legs(bench_duo *duo, size_t count, bench_measure *measures,
                        const bench_options *options);
/* Medians over slices: of the time of a trip, and of its ratio to the neighbouring slice of the
 * other leg. */
double bench_measure_trip_ns(const bench_measure *measure);
double bench_measure_ratio(const bench_measure *measure, const bench_measure *floor);

double bench_median(double *values, size_t count); /* sorts them */

#endif
