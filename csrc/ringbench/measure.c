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

enum { TRIPS_MIN = 20, WARM_TRIPS = 20, SLICES_MIN = 5, SYSCALL_TRIPS = 200 };
#define WARM_NS 2e6       /* what the trips before a slice may take */
#define SHORT_TRIP_NS 1e5 /* a slice has several of the trips up to here */
#define SYSCALL_NS 100e6

/* A first trip may be slow for reasons of its own: new memory, a process that just began. */
double
bench_measure_try(bench_duo *duo, size_t leg)
{
    uint64_t trips = 1, ns;

    bench_duo_run(duo, leg, 0, 1, NULL);
    while ((ns = bench_duo_run(duo, leg, 0, trips, NULL)) < (uint64_t)SHORT_TRIP_NS && trips < 64)
        trips *= 4;
    return (double)ns / (double)trips + 1;
}

static uint64_t
trips_within(double ns, double trip_ns, uint64_t least, uint64_t most)
{
    const uint64_t trips = (uint64_t)(ns / trip_ns);

    return trips < least ? least : trips < most ? trips : most;
}

/* All legs of a run share its duration equally. */
uint32_t
bench_measure_plan(bench_plan *plans, size_t legs, const bench_options *options)
{
    double round_ns = 0, slices;
    size_t leg;

    for (leg = 0; leg < legs; leg++) {
        plans[leg].warm = trips_within(WARM_NS, plans[leg].trip_ns, 0, WARM_TRIPS);
        round_ns += 2 * plans[leg].trip_ns; /* once timed as a whole, once trip by trip */
    }
    slices = options->count != 0 ? (double)options->count : (double)options->duration_ns / round_ns;
    slices = slices < SLICES_MIN ? SLICES_MIN : slices < BENCH_SLICES ? slices : BENCH_SLICES;
    for (leg = 0; leg < legs; leg++) {
        const double share_ns = (double)options->duration_ns / (2 * slices * (double)legs);
        const uint64_t least = plans[leg].trip_ns < SHORT_TRIP_NS ? TRIPS_MIN : 1;

        plans[leg].trips = trips_within(share_ns, plans[leg].trip_ns, least, UINT64_MAX);
        plans[leg].share_ns = options->count == 0 ? share_ns : 0;
        plans[leg].was_long = false;
        if (options->count != 0)
            plans[leg].trips = options->count / (uint64_t)slices / 2 + 1;
    }
    return (uint32_t)slices;
}

/* The first try may have met a quiet moment, or the CPUs close together. One long slice is no sign of
 * that: a preemption takes milliseconds too. And a slice of few trips is mostly its own beginning. */
void
bench_measure_shorten(bench_plan *plan, uint64_t ns)
{
    const uint64_t least = plan->trip_ns < SHORT_TRIP_NS ? TRIPS_MIN : 1;
    const bool is_long = plan->share_ns > 0 && (double)ns > 2 * plan->share_ns;

    if (is_long && plan->was_long && plan->trips / 2 >= least)
        plan->trips /= 2;
    plan->was_long = is_long;
}

void
bench_measure_slice(bench_duo *duo, size_t leg, bench_plan *plan, bench_measure *measure)
{
    const uint64_t ns = bench_duo_run(duo, leg, plan->warm, plan->trips, NULL);
    int side;

    measure->slice_ns[measure->slices++] = (double)ns / (double)plan->trips;
    measure->trips += plan->warm + plan->trips;
    for (side = 0; side < BENCH_SIDES; side++)
        bench_counts_add(&measure->counts[side], &duo->counts[side]);
    bench_duo_run(duo, leg, plan->warm, plan->trips, &measure->histogram);
    bench_measure_shorten(plan, ns);
}

void
bench_measure_syscalls(bench_duo *duo, size_t leg, bench_measure *measure)
{
    const uint64_t trips = trips_within(SYSCALL_NS, bench_measure_trip_ns(measure) + 1, 1,
                                        SYSCALL_TRIPS);

    if (!bench_duo_syscalls(duo, leg, trips, measure->syscalls))
        measure->syscalls[BENCH_HERE] = measure->syscalls[BENCH_THERE] = NAN;
}

void
bench_measure_legs(bench_duo *duo, size_t count, bench_measure *measures,
                   const bench_options *options)
{
    bench_plan plans[BENCH_LEGS_MAX];
    uint32_t run, slice, slices;
    size_t leg;

    memset(measures, 0, count * sizeof *measures);
    for (leg = 0; leg < count; leg++)
        plans[leg].trip_ns = bench_measure_try(duo, leg);
    slices = bench_measure_plan(plans, count, options);
    for (run = 0; run < options->runs; run++)
        for (slice = 0; slice < slices; slice++)
            for (leg = 0; leg < count; leg++) {
                bench_progress(options, "%s, run %u of %u, slice %u of %u", duo->legs[leg].name,
                               run + 1, options->runs, slice + 1, slices);
                bench_measure_slice(duo, leg, &plans[leg], &measures[leg]);
            }
    for (leg = 0; leg < count; leg++)
        bench_measure_syscalls(duo, leg, &measures[leg]);
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
