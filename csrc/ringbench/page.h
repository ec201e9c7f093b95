/* SPDX-License-Identifier: MIT */
/*
 * page.h - `ringbench report`: documents that other modes wrote, as one HTML page.
 *
 *   page.c          the command line; reads the files, writes the page
 *   page_load.c     JSON trees (json_read.c) -> documents and rows; refuses what is none of ours
 *   page_head.c     machines, documents; page_notices.c what to know before reading
 *   page_latency.c page_throughput.c   which rows are lines together  -> page_lines.c: the plot
 *   page_bars.c     peers side by side
 *   page_tables.c   every figure; page_budgets.c
 *   page_style.c    the style sheet: light, dark, narrow, paper
 *   page_text.c svg.c   what all of them write with
 *
 * Nothing here measures. Everything in a document is somebody else's: it is checked or escaped.
 */
#ifndef RBR_BENCH_PAGE_H
#define RBR_BENCH_PAGE_H

#include "json_read.h"
#include "page_text.h"

#include <stdbool.h>
#include <stddef.h>

#define BENCH_PAGE_FORMAT 1 /* of the documents */

/* A page beyond these is not readable; the modes write a tenth of that at the most. */
#define BENCH_PAGE_DOCUMENTS_MAX 64
#define BENCH_PAGE_ROWS_MAX 4096    /* of all documents: rows are compared with each other */
#define BENCH_PAGE_POINTS_MAX 1024  /* percentiles of a row */
#define BENCH_PAGE_COLUMNS_MAX 64   /* different figures in a document */

typedef struct bench_page_row {
    const struct bench_page_document *document;
    const bench_json *json;        /* with all figures */
    const char *name, *kind;
    const char *floor;             /* name of the row that it is compared with, or "" */
    const char *error;             /* or NULL */
    const char *label;             /* the name, and what sets its document apart where needed */
    const bench_json *percentiles; /* checked: pairs of numbers, ascending; or NULL */
    double bytes;                  /* -1: it says none */
    size_t color;                  /* of its line: one for each label of a mode */
    bool is_floor;                 /* others are compared with it */
} bench_page_row;

typedef struct bench_page_document {
    const char *file; /* its name without folders */
    const char *path;
    bench_json_document json;
    const char *tool, *version, *mode, *started;
    const char *label; /* what sets it apart from others of its mode, or "" */
    const char *noise; /* NULL: quiet */
    bench_page_row *rows;
    size_t row_count;
} bench_page_document;

typedef struct bench_page {
    const char *title;
    bench_page_document documents[BENCH_PAGE_DOCUMENTS_MAX];
    size_t document_count;
    bench_page_row rows[BENCH_PAGE_ROWS_MAX];
    size_t row_count;
} bench_page;

/* ------------------------------------------------------------------------------------ page_load.c */

/* Adds a document; ends the program with 2 and file, line and column when it is wrong. The text,
 * from malloc, is the page's from now on. */
void bench_page_load(bench_page *page, const char *path, char *text, size_t size);
/* After the last one: labels and colors. */
void bench_page_relate(bench_page *page);

/* NaN: the row has no such figure, or it could not be measured. */
double bench_page_figure(const bench_page_row *row, const char *key);
/* A member's text; "" where there is none. */
const char *bench_page_text_of(const bench_json *object, const char *key);
bool bench_page_same_group(const bench_page_row *a,
                           const bench_page_row *b); /* mode, kind, bytes */
bool bench_page_is_ours(const bench_page_row *row);
/* The mode puts peers side by side. */
bool bench_page_has_peers(const bench_page_document *document);
/* In the same document, of the same size and kind if possible; NULL: there is none. */
bench_page_row *bench_page_floor_of(bench_page *page, const bench_page_row *row);

/* ------------------------------------------------------------------------------- parts of the page */

extern const char bench_page_style[];
/* The number of its class there: s0 to s8. The first color is not used again. */
size_t bench_page_color(size_t color);
void bench_page_head(bench_text *to, const bench_page *page);
void bench_page_notices(bench_text *to, const bench_page *page);
/* "2. call, block", a link to its table. */
void bench_page_document_name(bench_text *to, const bench_page *page,
                              const bench_page_document *document);
/* All three write nothing when no row has what they show. */
void bench_page_latency(bench_text *to, bench_page *page);
void bench_page_throughput(bench_text *to, bench_page *page);
void bench_page_bars(bench_text *to, bench_page *page);
void bench_page_tables(bench_text *to, const bench_page *page);
/* A figure with its unit, which its key tells. */
bench_human bench_page_human(const char *key, double value);
/* What a key means, without its unit, which every figure has. */
void bench_page_heading(bench_text *to, const char *key);
/* "call: round trip, 64 B" */
void bench_page_group_title(bench_text *to, const bench_page_row *row);

void bench_page_budgets(bench_text *to, const bench_page_document *document);
/* As items number found + 1 to `most` of a list; returns found and all that are missed. */
size_t bench_page_missed_budgets(bench_text *to, const bench_page_document *document, size_t found,
                                 size_t most);

/* Figures that must be 0; ends with NULL. */
extern const char *const bench_page_zeros[];
/* Is the ratio worse than the budget? A budget below 1 is a part of the floor's speed, at least;
 * any other is how often the floor's time, at the most. */
bool bench_page_over_budget(const bench_page_row *row);

/* What `argv` from the word `report` on asks for; returns the exit code. */
int bench_report_page(int argc, char **argv);

#endif
