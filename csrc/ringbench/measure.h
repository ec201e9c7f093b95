/* SPDX-License-Identifier: MIT */
/*
 * measure.h - measuring several legs in turn. See measure.c.
 */
#ifndef RBR_BENCH_MEASURE_H
#define RBR_BENCH_MEASURE_H

#include "bench.h"
#include "duo.h"

/* Of each leg in a run, A B C A B C: short ones, so that other load hits few. */
#define BENCH_SLICES 50
#define BENCH_LEGS_MAX 32

/* What one leg showed. */
typedef struct bench_measure {
    bench_histogram histogram;                      /* of trips timed one by one */
    double slice_ns[BENCH_SLICES * BENCH_RUNS_MAX]; /* per trip, from slices timed as a whole */
    size_t slices;
    uint64_t trips;                                 /* that are counted below, warm-up included */
    bench_counts counts[BENCH_SIDES];
    double syscalls[BENCH_SIDES];                   /* of a trip; NAN: cannot be counted here */
} bench_measure;

/* How a leg is cut into slices. */
typedef struct bench_plan {
    double trip_ns;  /* at a first try */
    double share_ns; /* that a slice should take; 0: as long as its trips take */
    uint64_t warm, trips;
    bool was_long; /* the last slice was */
} bench_plan;

/* Measures legs[0..count) in turn, slice after slice, all runs. */
void bench_measure_legs(bench_duo *duo, size_t count, bench_measure *measures,
                        const bench_options *options);
/* Medians over slices: of the time of a trip, and of its ratio to the neighbouring slice of the
 * other leg. */
double bench_measure_trip_ns(const bench_measure *measure);
double bench_measure_ratio(const bench_measure *measure, const bench_measure *floor);

/* The parts of bench_measure_legs, for legs of several duos: a first try, and from the times of all
 * tries the plans and how many slices there are; then slice by slice, and the system calls. */
double bench_measure_try(bench_duo *duo, size_t leg);
uint32_t bench_measure_plan(bench_plan *plans, size_t legs, const bench_options *options);
void bench_measure_slice(bench_duo *duo, size_t leg, bench_plan *plan, bench_measure *measure);
/* After a slice that took `ns`: the next one is shorter when this one and the last were too long. */
void bench_measure_shorten(bench_plan *plan, uint64_t ns);
void bench_measure_syscalls(bench_duo *duo, size_t leg, bench_measure *measure);

double bench_median(double *values, size_t count); /* sorts them */

#endif
