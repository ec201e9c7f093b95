/* SPDX-License-Identifier: MIT */
/*
 * report.h - rows of named figures; as a table for people, as JSON for programs. See report.c.
 */
#ifndef RBR_BENCH_REPORT_H
#define RBR_BENCH_REPORT_H

#include "bench.h"
#include "legs.h"

#define BENCH_ROWS_MAX 64
#define BENCH_FIGURES_MAX 24

typedef struct bench_row {
    char name[48];
    struct {
        const char *key; /* its unit stands in the name: p50_ns, calls_per_s */
        double value;
    } figures[BENCH_FIGURES_MAX];
    size_t count;
} bench_row;

typedef struct bench_report {
    const bench_options *options;
    bench_row rows[BENCH_ROWS_MAX];
    size_t count;
} bench_report;

bench_row *bench_report_row(bench_report *report, const char *name);
void bench_row_set(bench_row *row, const char *key, double value);
/* NULL: the row has no such figure. */
const double *bench_row_get(const bench_row *row, const char *key);
/* Percentiles, mean, trips a second. */
void bench_row_measure(bench_row *row, const bench_measure *measure);
/* A ratio beside what speed.md allows: the key of the budget is "budget". */
void bench_row_ratio(bench_row *row, double ratio, double budget);

typedef struct bench_column {
    const char *key;
    const char *heading;
    double scale; /* the figure is divided by it */
    int decimals;
} bench_column;

/* What is measured now: on stderr, when that is a terminal and nobody wants quiet. */
void bench_report_progress(const bench_report *report, const char *what);
/* A header line with machine and pinning, a line of headings, the rows. */
void bench_report_print(const bench_report *report, const bench_column *columns, size_t count);
/* False: it could not be written. */
bool bench_report_json(const bench_report *report);

#endif
