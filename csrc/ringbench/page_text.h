/* SPDX-License-Identifier: MIT */
/*
 * page_text.h - the page as it grows, and figures as people read them. See page_text.c.
 */
#ifndef RBR_BENCH_PAGE_TEXT_H
#define RBR_BENCH_PAGE_TEXT_H

#include <stddef.h>

typedef struct bench_text {
    char *bytes;
    size_t size, room;
} bench_text;

/* All end the program when there is no memory. */
void bench_text_put(bench_text *to, const char *text);
void bench_text_add(bench_text *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
void bench_text_free(bench_text *text);
/* Takes back what came after the first `size` bytes. */
void bench_text_cut(bench_text *text, size_t size);
/* Text that comes from a file: whatever it holds, it stays text, in HTML, SVG and attributes. */
void bench_text_escaped(bench_text *to, const char *text);
/* The same, at most so many columns wide; the end is an ellipsis where something was cut. */
void bench_text_shortened(bench_text *to, const char *text, size_t columns);
/* How wide a text is, in columns of a terminal, about. */
size_t bench_text_columns(const char *text);

/* Returned by value, so that it can stand in the call that prints it: bench_human_ns(x).text */
typedef struct bench_human {
    char text[32];
} bench_human;

bench_human bench_human_ns(double ns);          /* 471 ns, 2.00 µs */
bench_human bench_human_bytes(double bytes);    /* 64 B, 4 KiB; 8 MB where that is exact */
bench_human bench_human_rate(double per_s);     /* 2.10 M/s */
bench_human bench_human_byte_rate(double per_s); /* 5.63 GB/s; in 1000s */
bench_human bench_human_count(double count); /* whole, with thin spaces between the thousands */
bench_human bench_human_number(double number); /* about three digits */
/* For ticks, whose values are round: 200 ns, 0.5 GB/s. */
bench_human bench_human_tick_ns(double ns);
bench_human bench_human_tick_rate(double per_s, const char *unit);
/* 50, 99.9, 99.999: as many nines as it has. */
bench_human bench_human_percent(double percent);

#endif
