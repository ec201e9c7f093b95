/* SPDX-License-Identifier: MIT */
/*
 * page_latency.c - latency by percentile: one plot for each mode, kind and size.
 *
 * The plots of one mode and kind have one range of times, so that sizes can be compared by eye.
 */
#include "page_lines.h"

#include <math.h>
#include <string.h>

enum { NINES_MAX = 12 };

static bench_plot plot; /* large, and one is enough */
/* By row: the number of the group that drew it last; 0: none. */
static unsigned drawn[BENCH_PAGE_ROWS_MAX], group_number;

static bool
same_kind(const bench_page_row *a, const bench_page_row *b)
{
    return strcmp(a->kind, b->kind) == 0 && strcmp(a->document->mode, b->document->mode) == 0;
}

/* In nines: 90 % is 1, 99 % is 2. The slowest of n messages stands where one in n is slower; what
 * is further to the right is that same message. Negative: not on the plot. */
static double
nines_of(const bench_page_row *row, double percent, double before)
{
    const double samples = bench_page_figure(row, "samples");
    double nines;

    if (percent < 100)
        nines = -log10(1 - percent / 100);
    else
        nines = samples >= 1 ? fmax(log10(samples), before) : before + 1;
    if (percent < 100 && samples >= 1 && nines > log10(samples) + 1e-9)
        return -1;
    return fmin(nines, NINES_MAX);
}

static void
add_line(bench_line *line, const bench_page_row *row)
{
    const bench_json *pair;
    double before = 0;

    for (pair = row->percentiles->first; pair != NULL; pair = pair->next) {
        const double nines = nines_of(row, pair->first->number, before);

        if (nines < 0)
            continue;
        bench_line_add(line, pair->first->number, pair->first->next->number, nines);
        before = nines;
    }
}

static void
include_row(const bench_page_row *row)
{
    const bench_json *pair;

    if (row->percentiles != NULL)
        for (pair = row->percentiles->first; pair != NULL; pair = pair->next)
            bench_plot_include(&plot, pair->first->next->number);
}

/* One range for all rows of the kind, and their floors. */
static void
include_kind(bench_page *page, const bench_page_row *first)
{
    size_t i;

    bench_plot_clear(&plot, BENCH_PLOT_LATENCY);
    for (i = 0; i < page->row_count; i++) {
        const bench_page_row *row = &page->rows[i], *floor;

        if (row->percentiles == NULL || !same_kind(row, first))
            continue;
        include_row(row);
        floor = bench_page_floor_of(page, row);
        if (floor != NULL)
            include_row(floor);
    }
}

static void
write_plot(bench_text *to, const bench_page_row *row)
{
    bench_text title = {0};
    size_t i, points = 0;

    for (i = 0; i < plot.count; i++)
        points += plot.lines[i].count;
    if (points == 0)
        return;
    bench_text_put(&title, "Latency by percentile, ");
    bench_page_group_title(&title, row);
    bench_text_put(to, "<figure><figcaption>");
    bench_text_escaped(to, title.bytes + strlen("Latency by percentile, "));
    bench_text_put(to, "</figcaption>\n");
    bench_plot_write(to, &plot, title.bytes);
    bench_text_put(to, "</figure>\n");
    bench_text_free(&title);
}

static void
add_row(bench_text *to, const bench_page_row *row, bool dashed)
{
    bench_line *line = bench_plot_line(&plot, row, dashed);

    if (line == NULL) {
        write_plot(to, row);
        bench_plot_next(&plot);
        line = bench_plot_line(&plot, row, dashed);
    }
    add_line(line, row);
}

/* A floor is dashed, but for where there is nothing else. */
static bool
has_measured_row(const bench_page *page, const bench_page_row *first)
{
    size_t i;

    for (i = 0; i < page->row_count; i++)
        if (page->rows[i].percentiles != NULL && !page->rows[i].is_floor &&
            bench_page_same_group(&page->rows[i], first))
            return true;
    return false;
}

static void
add_floors(bench_text *to, bench_page *page, const bench_page_row *first)
{
    size_t i, floor;

    for (i = 0; i < page->row_count; i++) {
        const bench_page_row *row = &page->rows[i], *found;

        if (row->percentiles == NULL || !bench_page_same_group(row, first))
            continue;
        found = bench_page_floor_of(page, row);
        floor = found != NULL ? (size_t)(found - page->rows) : 0;
        if (found == NULL || !found->is_floor || found->percentiles == NULL ||
            drawn[floor] == group_number)
            continue;
        drawn[floor] = group_number;
        if (!bench_page_same_group(found, first))
            add_row(to, found, true);
    }
}

static void
write_group(bench_text *to, bench_page *page, const bench_page_row *first)
{
    const bool measured = has_measured_row(page, first);
    size_t i;

    group_number++;
    bench_plot_next(&plot);
    add_floors(to, page, first);
    for (i = 0; i < page->row_count; i++) {
        const bench_page_row *row = &page->rows[i];

        if (row->percentiles == NULL || !bench_page_same_group(row, first))
            continue;
        drawn[i] = group_number;
        add_row(to, row, row->is_floor && measured);
    }
    write_plot(to, first);
}

/* The group of the smallest size above `bytes`, of the kind; NULL: no further. */
static const bench_page_row *
next_size(const bench_page *page, const bench_page_row *kind, double bytes)
{
    const bench_page_row *best = NULL, *row;

    for (row = page->rows; row < page->rows + page->row_count; row++)
        if (row->percentiles != NULL && same_kind(row, kind) && row->bytes > bytes &&
            (best == NULL || row->bytes < best->bytes))
            best = row;
    return best;
}

/* A row of the kind was drawn on its own: all of them were. */
static void
write_kind(bench_text *to, bench_page *page, const bench_page_row *first)
{
    const bench_page_row *group = next_size(page, first, -2);

    include_kind(page, first);
    for (; group != NULL; group = next_size(page, first, group->bytes))
        write_group(to, page, group);
}

void
bench_page_latency(bench_text *to, bench_page *page)
{
    const size_t before = to->size;
    size_t start, pass, i;

    bench_text_put(to, "<section id=\"latency\"><h2>Latency by percentile</h2>\n"
                       "<p>How long the fastest 50 %, 90 %, 99 % of all messages took at the most. "
                       "Each step to the right is ten times rarer; a line ends with the slowest of "
                       "all. Lower is better, and so is flatter. Dashed: the machine's floor.</p>\n"
                       "<div class=\"plots\">\n");
    start = to->size;
    /* Floors that are already drawn beside what is compared with them need no plot of their own. */
    for (pass = 0; pass < 2; pass++)
        for (i = 0; i < page->row_count; i++) {
            const bench_page_row *row = &page->rows[i];
            const bool floor = strcmp(row->kind, "floor") == 0;

            if (row->percentiles != NULL && drawn[i] == 0 && floor == (pass == 1))
                write_kind(to, page, row);
        }
    if (to->size == start) {
        bench_text_cut(to, before);
        return;
    }
    bench_text_put(to, "</div></section>\n");
}
