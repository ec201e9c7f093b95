/* SPDX-License-Identifier: MIT */
/*
 * call.c - round trips over the rings and over a channel, beside the machine's floor in turn.
 *
 *   --wait     floor (A)                   over the real thing (B, C)
 *   spin       own-line ping-pong          raw records, channel
 *   block      sem_t across CPUs           raw records with wake-ups, channel
 *   adaptive   own-line ping-pong          channel, as calibrated
 */
#include "exchange_legs.h"
#include "legs.h"
#include "report.h"

#define BUDGET_RAW_SPIN 1.3
#define BUDGET_CHANNEL_BLOCK 1.2
#define BUDGET_BYTES 64 /* what the budgets are about */

enum leg { FLOOR, CHANNEL, RAW, LEGS };

static void
report_channel(bench_row *row, const bench_echo *echo)
{
    const rbr_stats *theirs = &echo->worker->stats;
    rbr_stats ours;

    rbr_channel_stats(echo->channel, &ours);
    bench_row_set(row, "wakes_per_call",
                  (double)(ours.wakes_sent + theirs->wakes_sent) / (double)ours.frames_sent);
    bench_row_set(row, "sleeps_per_call",
                  (double)(ours.sleeps + theirs->sleeps) / (double)ours.frames_sent);
    bench_row_set(row, "late_looks", (double)(ours.late_looks + theirs->late_looks));
    bench_row_set(row, "spin_ns", (double)ours.spin_ns);
}

/* Sleeping trips: one preemption of milliseconds outweighs a slice, and the clock is nothing. */
static double
ratio_of(const bench_options *options, const bench_measure *measure, const bench_measure *floor)
{
    if (options->wait != BENCH_WAIT_BLOCK)
        return bench_measure_ratio(measure, floor);
    return (double)bench_histogram_percentile(&measure->histogram, 50) /
           (double)bench_histogram_percentile(&floor->histogram, 50);
}

static double
budget_of(const bench_options *options, enum leg leg, uint32_t bytes)
{
    if (bytes > BUDGET_BYTES)
        return 0;
    if (options->wait == BENCH_WAIT_SPIN && leg == RAW)
        return BUDGET_RAW_SPIN;
    return options->wait == BENCH_WAIT_BLOCK && leg == CHANNEL ? BUDGET_CHANNEL_BLOCK : 0;
}

static void
measure_size(const bench_options *options, bench_report *report, uint32_t bytes)
{
    static bench_measure measures[LEGS];
    const bool block = options->wait == BENCH_WAIT_BLOCK;
    const size_t count = options->wait == BENCH_WAIT_ADAPTIVE ? RAW : LEGS;
    bench_floor_state floor;
    bench_leg legs[LEGS];
    bench_echo echo;
    bench_raw raw;
    bench_duo duo;
    size_t leg;

    bench_floor_leg(&legs[FLOOR], &floor, block ? "sem_t" : "own cache lines",
                    block ? BENCH_SEM : BENCH_OWN_LINE, false);
    bench_raw_open(&raw, options, bytes, block);
    bench_raw_leg(&legs[RAW], &raw, block ? "raw + wake" : "raw");
    bench_echo_prepare(&echo, bytes);
    rbr_wake_calibrate(); /* remembered; a process that is pinned already would never spin */
    bench_echo_leg(&legs[CHANNEL], &echo);
    bench_duo_start(&duo, legs, options->cpus, bench_echo_join, bench_echo_leave, &echo);
    bench_echo_connect(&echo, options, duo.child);
    bench_measure_legs(&duo, count, measures, options);
    bench_duo_end(&duo);
    for (leg = 0; leg < count; leg++) {
        bench_row *row = bench_report_row(report, legs[leg].name);

        bench_row_set(row, "bytes", (double)bytes);
        bench_row_measure(row, &measures[leg]);
        if (leg != FLOOR)
            bench_row_ratio(row, ratio_of(options, &measures[leg], &measures[FLOOR]),
                            budget_of(options, (enum leg)leg, bytes));
        if (leg == CHANNEL)
            report_channel(row, &echo);
    }
    bench_echo_close(&echo);
    bench_raw_close(&raw);
    bench_floor_close(&floor);
}

int
bench_call(const bench_options *options, bench_report *report)
{
    static const bench_column columns[] = {
        {"bytes", "bytes", 1, 0},       {"trip_ns", "trip us", 1e3, 3},
        {"p50_ns", "p50", 1e3, 3},      {"p90_ns", "p90", 1e3, 3},
        {"p99_ns", "p99", 1e3, 3},      {"p99.9_ns", "p99.9", 1e3, 3},
        {"max_ns", "max", 1e3, 1},      {"mean_ns", "mean", 1e3, 3},
        {"calls_per_s", "k/s", 1e3, 1}, {"wakes_per_call", "wakes/call", 1, 3},
        {"late_looks", "late", 1, 0},   {"spin_ns", "spin us", 1e3, 1},
        {"ratio", "ratio", 1, 2},       {"budget", "budget", 1, 2},
    };
    char what[64];
    size_t i;

    for (i = 0; i < options->size_count; i++) {
        snprintf(what, sizeof what, "%llu bytes, %s", (unsigned long long)options->sizes[i],
                 bench_wait_names[options->wait]);
        bench_report_progress(report, what);
        measure_size(options, report, (uint32_t)options->sizes[i]);
    }
    bench_report_print(report, columns, sizeof columns / sizeof columns[0]);
    return 0;
}
