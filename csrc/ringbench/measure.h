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

/* Measures legs[0..count) in turn, slice after slice, all runs. */
void bench_measure_legs(bench_duo *duo, size_t count, bench_measure *measures,
                        const bench_options *options);
/* Medians over slices: of the time of a trip, and of its ratio to the neighbouring slice of the
 * other leg. */
double bench_measure_trip_ns(const bench_measure *measure);
double bench_measure_ratio(const bench_measure *measure, const bench_measure *floor);

double bench_median(double *values, size_t count); /* sorts them */

#endif
