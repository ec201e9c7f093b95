/* SPDX-License-Identifier: MIT */
/*
 * page_lines.h - a plot of lines: latency by percentile, throughput by size. See page_lines.c.
 */
#ifndef RBR_BENCH_PAGE_LINES_H
#define RBR_BENCH_PAGE_LINES_H

#include "page.h"

#define BENCH_LINES_MAX 16 /* of a plot: their names fill its height; more go to the next plot */

enum bench_plot_kind { BENCH_PLOT_LATENCY, BENCH_PLOT_THROUGHPUT };

typedef struct bench_line_point {
    double at;    /* percent, or bytes of a message */
    double value; /* nanoseconds, or bytes per second */
    double x;     /* where `at` stands: log10 of 1 / (1 - p), or log2 of the bytes */
} bench_line_point;

typedef struct bench_line {
    bench_text label; /* keeps its memory for the next plot */
    size_t color;
    bool dashed;
    bool ours; /* emphasised */
    size_t count;
    bench_line_point points[BENCH_PAGE_POINTS_MAX];
} bench_line;

typedef struct bench_plot {
    enum bench_plot_kind kind;
    double y_low, y_high; /* log10 of the values; low > high: none yet */
    size_t count;
    bench_line lines[BENCH_LINES_MAX];
} bench_plot;

/* Empty, and with no range of values: that is kept by _next, so that plots can be compared. */
void bench_plot_clear(bench_plot *plot, enum bench_plot_kind kind);
void bench_plot_next(bench_plot *plot);
/* Widens the range of values. */
void bench_plot_include(bench_plot *plot, double value);
/* Can it be drawn on a logarithmic axis? */
bool bench_plot_takes(double value);
/* NULL: the plot is full. */
bench_line *bench_plot_line(bench_plot *plot, const bench_page_row *row, bool dashed);
void bench_line_add(bench_line *line, double at, double value, double x);
/* The figure without its caption; `title` begins what a screen reader says. */
void bench_plot_write(bench_text *to, const bench_plot *plot, const char *title);

#endif
