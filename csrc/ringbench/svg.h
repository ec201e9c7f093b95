/* SPDX-License-Identifier: MIT */
/*
 * svg.h - the marks that plots consist of. See svg.c.
 */
#ifndef RBR_BENCH_SVG_H
#define RBR_BENCH_SVG_H

#include "page_text.h"

#include <stdbool.h>

/* A range of logarithms, and the pixels that it fills. */
typedef struct bench_scale {
    double low, high;
    double from, to;
} bench_scale;

double bench_scale_at(const bench_scale *scale, double logarithm);

#define BENCH_TICKS_MAX 48

typedef struct bench_tick {
    double value;
    bool named; /* else only a faint line */
} bench_tick;

/* Ticks at 1, 2, 5 or only at powers of ten, about `most` of them named. Returns how many. */
size_t bench_ticks_decimal(const bench_scale *scale, size_t most, bench_tick *ticks);
/* To the next 1, 2 or 5 outwards. */
void bench_scale_round(bench_scale *scale);

/* How wide a text of the class is; letters are taken as equal. */
double bench_svg_width(size_t columns);
/* How many columns have room there. */
size_t bench_svg_columns(double width);

/* The label is escaped here. */
void bench_svg_open(bench_text *to, double width, double height, const char *label);
void bench_svg_close(bench_text *to);
void bench_svg_line(bench_text *to, const char *css, double x1, double y1, double x2, double y2);
/* Our own text, in one of the classes of page_style.c. */
void bench_svg_text(bench_text *to, const char *css, double x, double y, const char *text);
/* Text from a file, shortened to the width, whole in its tooltip. */
void bench_svg_name(bench_text *to, const char *css, double x, double y, double width,
                    const char *name);
/* The shape of a color's marks, so that color is not all that tells lines apart. Opens an element;
 * bench_svg_mark_end closes it: between them a tooltip has its place. */
void bench_svg_mark(bench_text *to, const char *css, size_t color, double x, double y, double size);
void bench_svg_mark_end(bench_text *to);

/* Moves labels, ascending, apart: each at least `gap` below the one before, all of them between top
 * and bottom if there is room. */
void bench_svg_spread(double *y, size_t count, double gap, double top, double bottom);

#endif
