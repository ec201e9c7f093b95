/* SPDX-License-Identifier: MIT */
/*
 * report.c - the rows.
 *
 * Figures are kept in one unit (nanoseconds, bytes, per second) and scaled only for people.
 */
#include "report.h"

#include "process.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
bench_report_columns(bench_report *report, const bench_column *columns, size_t count)
{
    const bench_options *options = report->options;
    size_t i, percentile;

    report->column_count = 0;
    for (i = 0; i < count; i++) {
        if (strcmp(columns[i].key, "percentiles") != 0) {
            report->columns[report->column_count++] = columns[i];
            continue;
        }
        for (percentile = 0; percentile < options->percentile_count; percentile++)
            report->columns[report->column_count++] =
                (bench_column){options->percentiles[percentile].key, NULL};
    }
}

bench_row *
bench_report_row(bench_report *report, const char *kind, const char *name)
{
    bench_row *row;

    if (report->count == BENCH_ROWS_MAX)
        bench_die(BENCH_EXIT_MACHINE, "more than %d rows: ask for fewer sizes", BENCH_ROWS_MAX);
    row = &report->rows[report->count++];
    memset(row, 0, sizeof *row);
    row->kind = kind;
    snprintf(row->name, sizeof row->name, "%s", name);
    return row;
}

void
bench_row_set(bench_row *row, const char *key, double value)
{
    if (row->count == BENCH_FIGURES_MAX)
        bench_die(BENCH_EXIT_MACHINE, "more than %d figures in a row", BENCH_FIGURES_MAX);
    row->figures[row->count].key = key;
    row->figures[row->count++].value = value;
}

const double *
bench_row_get(const bench_row *row, const char *key)
{
    size_t i;

    for (i = 0; i < row->count; i++)
        if (strcmp(row->figures[i].key, key) == 0)
            return &row->figures[i].value;
    return NULL;
}

void
bench_row_histogram(bench_row *row, const bench_histogram *histogram, const bench_options *options)
{
    size_t i;

    row->histogram = malloc(sizeof *row->histogram);
    if (row->histogram == NULL)
        bench_die(BENCH_EXIT_MACHINE, "no memory");
    memcpy(row->histogram, histogram, sizeof *row->histogram);
    bench_row_set(row, "min_ns", (double)histogram->min);
    for (i = 0; i < options->percentile_count; i++)
        bench_row_set(
            row, options->percentiles[i].key,
            (double)bench_histogram_percentile(histogram, options->percentiles[i].percent));
    bench_row_set(row, "max_ns", (double)histogram->max);
    bench_row_set(row, "mean_ns", bench_histogram_mean(histogram));
    bench_row_set(row, "samples", (double)histogram->total);
}

void
bench_row_counts(bench_row *row, const bench_counts counts[BENCH_SIDES], double messages)
{
    const bench_counts *here = &counts[BENCH_HERE], *there = &counts[BENCH_THERE];

    bench_row_set(row, "cpu_ns", (double)here->cpu_ns / messages);
    bench_row_set(row, "peer_cpu_ns", (double)there->cpu_ns / messages);
    bench_row_set(row, "wakes", (double)(here->wakes + there->wakes) / messages);
    bench_row_set(row, "sleeps", (double)(here->sleeps + there->sleeps) / messages);
    bench_row_set(row, "page_faults", (double)(here->page_faults + there->page_faults) / messages);
    bench_row_set(row, "late_looks", (double)(here->late_looks + there->late_looks));
}

void
bench_row_measure(bench_row *row, const bench_measure *measure, const bench_options *options,
                  uint32_t messages)
{
    const double trip_ns = bench_measure_trip_ns(measure);

    bench_row_set(row, "trip_ns", trip_ns);
    bench_row_histogram(row, &measure->histogram, options);
    bench_row_set(row, "messages_per_s", trip_ns > 0 ? messages * 1e9 / trip_ns : 0);
    bench_row_counts(row, measure->counts, (double)measure->trips * messages);
    bench_row_set(row, "syscalls",
                  (measure->syscalls[BENCH_HERE] + measure->syscalls[BENCH_THERE]) / messages);
}

void
bench_row_sequence(bench_row *row, const bench_sequence *sequence)
{
    bench_row_set(row, "lost", (double)sequence->lost);
    bench_row_set(row, "duplicated", (double)sequence->duplicated);
    bench_row_set(row, "reordered", (double)sequence->reordered);
    bench_row_set(row, "corrupt", (double)sequence->corrupt);
}

void
bench_row_ratio(bench_row *row, const char *floor, double ratio, double budget)
{
    row->floor = floor;
    bench_row_set(row, "ratio", ratio);
    if (budget > 0)
        bench_row_set(row, "budget", budget);
}

/* ------------------------------------------------------------------------------------- floors */

const bench_row *
bench_report_floor(const bench_report *report, const bench_row *row)
{
    const double *bytes = bench_row_get(row, "bytes");
    const bench_row *found = NULL;
    size_t i;

    for (i = 0; row->floor != NULL && i < report->count; i++) {
        const bench_row *other = &report->rows[i];
        const double *its = bench_row_get(other, "bytes");

        if (strcmp(other->name, row->floor) != 0 || other == row)
            continue;
        if (its == NULL || (bytes != NULL && *its == *bytes))
            found = other;
    }
    return found;
}

double
bench_report_figure_ratio(const bench_report *report, const bench_row *row, const char *key)
{
    const bench_row *floor = bench_report_floor(report, row);
    const double *value = bench_row_get(row, key);
    const double *its = floor != NULL ? bench_row_get(floor, key) : NULL;

    if (value == NULL || its == NULL || *its == 0)
        return NAN;
    return *value / *its;
}

bool
bench_report_is_wrong(const bench_report *report)
{
    static const char *const zero[] = {"late_looks", "lost",  "duplicated", "reordered",
                                       "corrupt",    "hangs", "leaks",      "wrong"};
    bool wrong = false;
    size_t i, key;

    for (i = 0; i < report->count; i++)
        for (key = 0; key < sizeof zero / sizeof zero[0]; key++) {
            const bench_row *row = &report->rows[i];
            const double *count = bench_row_get(row, zero[key]);

            if (count == NULL || !(*count > 0))
                continue;
            fprintf(stderr, "ringbench: %s of '%s' is %.0f, and must be 0\n", zero[key], row->name,
                    *count);
            wrong = true;
        }
    return wrong;
}
