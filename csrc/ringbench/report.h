/* SPDX-License-Identifier: MIT */
/*
 * report.h - rows of named figures: what a mode has found. As a table for people (table.c), as JSON
 * for programs (json.c), as histograms (hdr.c), and against limits (limits.c).
 */
#ifndef RBR_BENCH_REPORT_H
#define RBR_BENCH_REPORT_H

#include "bench.h"
#include "machine.h"
#include "measure.h"
#include "sequence.h"

#define BENCH_ROWS_MAX 384
#define BENCH_FIGURES_MAX 48
#define BENCH_COLUMNS_MAX 32

typedef struct bench_row {
    char name[48];
    const char *kind;  /* rows of one kind and size are compared with each other */
    const char *floor; /* the row that the ratios are to; NULL: none */
    struct {
        const char *key; /* its unit stands in the name: p50_ns, messages_per_s */
        double value;    /* NAN: could not be measured */
    } figures[BENCH_FIGURES_MAX];
    size_t count;
    bench_histogram *histogram; /* NULL: none */
    char error[128];            /* "": it went well */
} bench_row;

typedef struct bench_column {
    const char *key;
    const char *heading;
} bench_column;

/* Stands for the columns of all percentiles that were asked for. */
#define BENCH_PERCENTILE_COLUMNS {"percentiles", ""}

typedef struct bench_report {
    const bench_options *options;
    bench_column columns[BENCH_COLUMNS_MAX]; /* of the mode's table */
    size_t column_count;
    /* One table for each kind, floors with the rows before them, without lines of ratios. */
    bool by_kind;
    bench_machine machine;
    bench_run run;
    bench_row rows[BENCH_ROWS_MAX];
    size_t count;
} bench_report;

/* The mode's table; the strings must live on. */
void bench_report_columns(bench_report *report, const bench_column *columns, size_t count);

bench_row *bench_report_row(bench_report *report, const char *kind, const char *name);
void bench_row_set(bench_row *row, const char *key, double value);
/* NULL: the row has no such figure. */
const double *bench_row_get(const bench_row *row, const char *key);
/* Copies it, and sets the percentiles, the mean and the number of samples from it. */
void bench_row_histogram(bench_row *row, const bench_histogram *histogram,
                         const bench_options *options);
/* All that a leg showed; `messages` cross in each trip, each way. */
void bench_row_measure(bench_row *row, const bench_measure *measure, const bench_options *options,
                       uint32_t messages);
/* What both sides took from the machine for so many messages. */
void bench_row_counts(bench_row *row, const bench_counts counts[BENCH_SIDES], double messages);
/* What became of numbered messages. */
void bench_row_sequence(bench_row *row, const bench_sequence *sequence);
/* The ratio to the row `floor`, beside what speed.md allows; budget 0: nothing is said. */
void bench_row_ratio(bench_row *row, const char *floor, double ratio, double budget);

/* The row that another one's ratios are to, among those of the same size or of none; NULL: there is
 * none. */
const bench_row *bench_report_floor(const bench_report *report, const bench_row *row);
/* A figure's ratio to the same figure of the row's floor; NAN: it has none. */
double bench_report_figure_ratio(const bench_report *report, const bench_row *row, const char *key);

/* table.c: how a figure of that key is written for people: 412 ns, 51.2 us, 1.7 M/s. */
void bench_figure_text(char *out, size_t size, const char *key, double value);

/* table.c: machine, the rows with the mode's columns, what the messages cost and what went wrong, the
 * run. */
void bench_table_print(const bench_report *report);

/* json.c, hdr.c. False: it could not be written. */
bool bench_json_write(const bench_report *report);
bool bench_hdr_write(const bench_report *report);

/* limits.c: how many of the options' limits are exceeded; says each on stderr. A limit that fits no
 * row ends the program. */
int bench_limits_exceeded(const bench_report *report);
/* Whether a count that must be 0 is not: lost messages, late looks, hangs, leaks. Says each on stderr. */
bool bench_report_is_wrong(const bench_report *report);

#endif
