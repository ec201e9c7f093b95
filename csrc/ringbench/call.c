/* SPDX-License-Identifier: MIT */
/*
 * call.c - round trips over the rings and over a channel, beside the machine's floor in turn.
 *
 *   --wait     floor (A)                   over the real thing (B, C)
 *   spin       own-line ping-pong          raw records, channel
 *   yield      the same, yielding          raw records, channel
 *   block      sem_t                       raw records with wake-ups, channel
 *   adaptive   own-line ping-pong          raw records and channel, as calibrated
 */
#include "call_legs.h"
#include "floor_legs.h"
#include "process.h"
#include "report.h"

#define BUDGET_RAW_SPIN 1.3
#define BUDGET_CHANNEL_BLOCK 1.2
#define BUDGET_BYTES 64 /* what the budgets are about */

enum leg { FLOOR, RAW, CHANNEL, LEGS };

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
    if (bytes > BUDGET_BYTES || options->window > 1)
        return 0;
    if (options->wait == BENCH_WAIT_SPIN && leg == RAW)
        return BUDGET_RAW_SPIN;
    return options->wait == BENCH_WAIT_BLOCK && leg == CHANNEL ? BUDGET_CHANNEL_BLOCK : 0;
}

static void
report_leg(bench_report *report, const bench_leg *legs, enum leg leg, const bench_measure *measures,
           uint32_t bytes)
{
    const bench_options *options = report->options;
    bench_row *row = bench_report_row(report, legs[leg].kind, legs[leg].name);

    bench_row_set(row, "bytes", (double)bytes);
    bench_row_measure(row, &measures[leg], options, leg == FLOOR ? 1 : options->window);
    if (leg != FLOOR)
        bench_row_ratio(row, legs[FLOOR].name, ratio_of(options, &measures[leg], &measures[FLOOR]),
                        budget_of(options, leg, bytes));
}

static void
measure_size(const bench_options *options, bench_report *report, uint32_t bytes)
{
    static bench_measure measures[LEGS];
    /* A channel joins two processes. */
    const size_t count = options->threads ? CHANNEL : LEGS;
    bench_duo_hooks hooks = {NULL, NULL, NULL};
    bench_floor_state floor;
    bench_leg legs[LEGS];
    bench_echo echo;
    bench_raw raw;
    bench_duo duo;
    size_t leg;

    bench_floor_of_wait(&legs[FLOOR], &floor, options);
    bench_raw_open(&raw, options, bytes);
    bench_raw_leg(&legs[RAW], &raw);
    if (count > CHANNEL) {
        bench_echo_prepare(&echo, &hooks, options, bytes);
        bench_echo_leg(&legs[CHANNEL], &echo);
    }
    bench_duo_start(&duo, legs, count, options, &hooks);
    if (count > CHANNEL)
        bench_echo_connect(&echo, options, duo.child);
    bench_measure_legs(&duo, count, measures, options);
    bench_duo_end(&duo);
    for (leg = 0; leg < count; leg++)
        report_leg(report, legs, (enum leg)leg, measures, bytes);
    if (count > CHANNEL)
        bench_echo_close(&echo);
    bench_raw_close(&raw);
    bench_floor_close(&floor);
}

void
bench_call(const bench_options *options, bench_report *report)
{
    static const bench_column columns[] = {
        {"bytes", "bytes"}, {"trip_ns", "trip"},  BENCH_PERCENTILE_COLUMNS,
        {"max_ns", "max"},  {"mean_ns", "mean"},  {"messages_per_s", "rate"},
        {"ratio", "ratio"}, {"budget", "budget"},
    };
    size_t i;

    for (i = 0; i < options->size_count; i++)
        measure_size(options, report, (uint32_t)options->sizes[i]);
    bench_report_columns(report, columns, sizeof columns / sizeof columns[0]);
}
