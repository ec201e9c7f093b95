/* SPDX-License-Identifier: MIT */
/*
 * measure.c - several legs in turn.
 *
 * A ratio to the floor means something only when both were measured under the same load: so legs
 * take turns in slices of some milliseconds, A B A B, and the ratio is the median over neighbours.
 * Each slice is done twice: timed as a whole, with no clock in it, and trip by trip.
 */
#include "measure.h"

#include "progress.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TRIPS_MIN = 20, PILOT_TRIPS = 50, WARM_TRIPS = 20, SYSCALL_TRIPS = 200 };
#define SYSCALL_NS 100e6

/* Trips in a slice, so that all legs of a run share its duration equally. */
static uint64_t
slice_trips(bench_duo *duo, size_t leg, size_t legs, const bench_options *options)
{
    const uint64_t slices = 2 * BENCH_SLICES; /* half of them timed trip by trip */
    uint64_t trips, pilot_ns;

    if (options->count != 0)
        return options->count / slices > 0 ? options->count / slices : 1;
    pilot_ns = bench_duo_run(duo, leg, WARM_TRIPS, PILOT_TRIPS, NULL) / PILOT_TRIPS;
    trips = options->duration_ns / (slices * legs) / (pilot_ns > 0 ? pilot_ns : 1);
    return trips > TRIPS_MIN ? trips : TRIPS_MIN;
}

static void
measure_slice(bench_duo *duo, size_t leg, uint64_t trips, bench_measure *measure)
{
    const uint64_t ns = bench_duo_run(duo, leg, WARM_TRIPS, trips, NULL);
    int side;

    measure->slice_ns[measure->slices++] = (double)ns / (double)trips;
    measure->trips += WARM_TRIPS + trips;
    for (side = 0; side < BENCH_SIDES; side++)
        bench_counts_add(&measure->counts[side], &duo->counts[side]);
    bench_duo_run(duo, leg, WARM_TRIPS, trips, &measure->histogram);
}

static void
count_syscalls(bench_duo *duo, size_t leg, bench_measure *measure)
{
    const double fit = SYSCALL_NS / (bench_measure_trip_ns(measure) + 1);
    const uint64_t trips = fit > SYSCALL_TRIPS ? SYSCALL_TRIPS : (uint64_t)fit + 1;

    if (!bench_duo_syscalls(duo, leg, trips, measure->syscalls))
        measure->syscalls[BENCH_HERE] = measure->syscalls[BENCH_THERE] = NAN;
}

void
bench_measure_legs(bench_duo *duo, size_t count, bench_measure *measures,
                   const bench_options *options)
{
    uint64_t trips[BENCH_LEGS_MAX];
    size_t leg, slice;
    uint32_t run;

    for (leg = 0; leg < count; leg++) {
        memset(&measures[leg], 0, sizeof measures[leg]);
        trips[leg] = slice_trips(duo, leg, count, options);
    }
    for (run = 0; run < options->runs; run++) {
        for (slice = 0; slice < count * BENCH_SLICES; slice++) {
            bench_progress(options, "%s, run %u of %u, slice %zu of %d",
                           duo->legs[slice % count].name, run + 1, options->runs, slice / count + 1,
                           BENCH_SLICES);
            measure_slice(duo, slice % count, trips[slice % count], &measures[slice % count]);
        }
    }
    for (leg = 0; leg < count; leg++)
        count_syscalls(duo, leg, &measures[leg]);
}

static int
compare_double(const void *a, const void *b)
{
    const double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

double
bench_median(double *values, size_t count)
{
    if (count == 0)
        return 0.0;
    qsort(values, count, sizeof values[0], compare_double);
    return count % 2 != 0 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

double
bench_measure_trip_ns(const bench_measure *measure)
{
    double values[BENCH_SLICES * BENCH_RUNS_MAX];

    memcpy(values, measure->slice_ns, measure->slices * sizeof values[0]);
    return bench_median(values, measure->slices);
}

double
bench_measure_ratio(const bench_measure *measure, const bench_measure *floor)
{
    double values[BENCH_SLICES * BENCH_RUNS_MAX];
    size_t i;

    for (i = 0; i < measure->slices; i++)
        values[i] = measure->slice_ns[i] / floor->slice_ns[i];
    return bench_median(values, measure->slices);
}
