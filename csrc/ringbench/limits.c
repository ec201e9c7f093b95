/* SPDX-License-Identifier: MIT */
/*
 * limits.c - --fail-above: figures that a run must not exceed, for CI.
 *
 * A limit is about every row that is ours: the floors and the peers are what they are.
 */
#include "report.h"

#include "process.h"

#include <stdio.h>
#include <string.h>

static bool
is_ours(const bench_report *report, const bench_row *row)
{
    return strcmp(row->kind, "floor") != 0 &&
           (report->options->mode != BENCH_COMPARE || strcmp(row->name, "ringbridge") == 0);
}

/* p99 is short for p99_ns. */
static const double *
figure_of(const bench_row *row, const char *key)
{
    char long_key[48];
    const double *value = bench_row_get(row, key);

    if (value != NULL)
        return value;
    snprintf(long_key, sizeof long_key, "%s_ns", key);
    return bench_row_get(row, long_key);
}

int
bench_limits_exceeded(const bench_report *report)
{
    const bench_options *options = report->options;
    int exceeded = 0;
    size_t limit, i;

    for (limit = 0; limit < options->limit_count; limit++) {
        const bench_limit *most = &options->limits[limit];
        bool found = false;

        for (i = 0; i < report->count; i++) {
            const bench_row *row = &report->rows[i];
            const double *value = is_ours(report, row) ? figure_of(row, most->key) : NULL;

            found = found || value != NULL;
            if (value == NULL || *value <= most->value) /* NAN is not known: it exceeds */
                continue;
            fprintf(stderr, "ringbench: %s of '%s' is %.6g, above %.6g\n", most->key, row->name,
                    *value, most->value);
            exceeded++;
        }
        if (!found)
            bench_die(BENCH_EXIT_USAGE,
                      "--fail-above '%s': no row has such a figure; the keys are "
                      "those of --json, as p99, max, ratio or cpu_ns",
                      most->key);
    }
    return exceeded;
}
