/* SPDX-License-Identifier: MIT */
/*
 * page_throughput.c - throughput by size: one plot for each mode and kind, beside memcpy and other
 * floors.
 */
#include "page_lines.h"

#include <math.h>
#include <string.h>

static bench_plot plot; /* large, and one is enough */

static bool
has_throughput(const bench_page_row *row)
{
    return row->bytes > 0 && bench_plot_takes(bench_page_figure(row, "bytes_per_s"));
}

static bool
is_memcpy(const bench_page_row *row)
{
    return strncmp(row->name, "memcpy", strlen("memcpy")) == 0;
}

/* Shown beside what is measured, dashed. */
static bool
is_reference(const bench_page_row *row)
{
    return has_throughput(row) && (row->is_floor || is_memcpy(row));
}

static bool
is_measured(const bench_page_row *row)
{
    return has_throughput(row) && !row->is_floor && !is_memcpy(row);
}

static bool
same_plot(const bench_page_row *a, const bench_page_row *b)
{
    return strcmp(a->kind, b->kind) == 0 && strcmp(a->document->mode, b->document->mode) == 0;
}

/* Floors call one series "memcpy 64 KiB, warm" and "memcpy 8 MiB, warm": without the size, both are
 * "memcpy, warm". */
static void
series_name(bench_text *out, const bench_page_row *row)
{
    const size_t word = strlen("memcpy");
    const char *rest = row->label + word;
    size_t digits, unit;

    bench_text_cut(out, 0);
    if (is_memcpy(row) && *rest == ' ') {
        digits = strspn(rest + 1, "0123456789.");
        unit = rest[1 + digits] == ' ' ? 1 + strspn(rest + 2 + digits, "KMGTiB") : 0;
        if (digits > 0 && unit > 1) {
            bench_text_add(out, "memcpy%s", rest + 1 + digits + unit);
            return;
        }
    }
    bench_text_put(out, row->label);
}

static void
add_point(bench_line *line, const bench_page_row *row)
{
    bench_line_point *points = line->points, added;
    size_t i;

    bench_line_add(line, row->bytes, bench_page_figure(row, "bytes_per_s"), log2(row->bytes));
    added = points[line->count - 1];
    for (i = line->count - 1; i > 0 && points[i - 1].x > added.x; i--)
        points[i] = points[i - 1];
    points[i] = added;
}

static void
write_plot(bench_text *to, const bench_page_row *row)
{
    bench_text title = {0};

    bench_text_add(&title, "%s: %s", row->document->mode, row->kind);
    bench_text_put(to, "<figure><figcaption>");
    bench_text_escaped(to, title.bytes);
    bench_text_put(to, "</figcaption>\n");
    bench_text_cut(&title, 0);
    bench_text_add(&title, "Throughput by size, %s: %s", row->document->mode, row->kind);
    bench_plot_write(to, &plot, title.bytes);
    bench_text_put(to, "</figure>\n");
    bench_text_free(&title);
}

/* All rows of the name, from any document, are one line: the sizes of one row each. */
static void
add_series(bench_text *to, const bench_page *page, const bench_page_row *first, bool dashed,
           bool *drawn)
{
    bench_line *line = bench_plot_line(&plot, first, dashed);
    bench_text other = {0};
    size_t i;

    if (line == NULL) {
        write_plot(to, first);
        bench_plot_next(&plot);
        line = bench_plot_line(&plot, first, dashed);
    }
    series_name(&line->label, first);
    for (i = (size_t)(first - page->rows); i < page->row_count; i++) {
        const bench_page_row *row = &page->rows[i];

        if (drawn[i] || !(dashed ? is_reference(row) : is_measured(row)) || !same_plot(row, first))
            continue;
        series_name(&other, row);
        if (strcmp(line->label.bytes, other.bytes) != 0)
            continue;
        drawn[i] = true;
        add_point(line, row);
        bench_plot_include(&plot, bench_page_figure(row, "bytes_per_s"));
    }
    bench_text_free(&other);
}

/* Beyond the sizes that are measured, it would only take room from them. */
static bool
is_in_range(const bench_page *page, const bench_page_row *reference, const bench_page_row *first)
{
    double least = first->bytes, most = first->bytes;
    const bench_page_row *row;

    for (row = page->rows; row < page->rows + page->row_count; row++)
        if (is_measured(row) && same_plot(row, first)) {
            least = fmin(least, row->bytes);
            most = fmax(most, row->bytes);
        }
    return reference->bytes >= least / 2 && reference->bytes <= most * 2;
}

/* Of the same kind, or a floor of the same mode; memcpy of mode floor where there is none. */
static bool
belongs(const bench_page_row *reference, const bench_page_row *first, bool has_own)
{
    if (strcmp(reference->document->mode, first->document->mode) == 0)
        return strcmp(reference->kind, "floor") == 0 || strcmp(reference->kind, first->kind) == 0;
    return !has_own && is_memcpy(reference) && strcmp(reference->document->mode, "floor") == 0;
}

static void
add_references(bench_text *to, const bench_page *page, const bench_page_row *first)
{
    static bool drawn[BENCH_PAGE_ROWS_MAX];
    const bench_page_row *row, *const end = page->rows + page->row_count;
    bool has_own = false;

    for (row = page->rows; row < end; row++)
        has_own = has_own ||
                  (is_reference(row) && belongs(row, first, true) && is_in_range(page, row, first));
    for (row = page->rows; row < end; row++)
        drawn[row - page->rows] = !is_reference(row) || !belongs(row, first, has_own) ||
                                  !is_in_range(page, row, first);
    for (row = page->rows; row < end; row++)
        if (!drawn[row - page->rows])
            add_series(to, page, row, true, drawn);
}

/* One way and copies are about throughput; of other kinds, those that have several sizes. */
static bool
is_shown(const bench_page *page, const bench_page_row *first)
{
    const bench_page_row *row;

    if (strcmp(first->kind, "one way") == 0 || strcmp(first->kind, "copy") == 0)
        return true;
    for (row = page->rows; row < page->rows + page->row_count; row++)
        if (is_measured(row) && same_plot(row, first) && row->bytes != first->bytes)
            return true;
    return false;
}

static void
write_group(bench_text *to, const bench_page *page, const bench_page_row *first, bool *drawn)
{
    const size_t start = (size_t)(first - page->rows);
    size_t i;

    bench_plot_clear(&plot, BENCH_PLOT_THROUGHPUT);
    add_references(to, page, first);
    for (i = start; i < page->row_count; i++)
        if (!drawn[i] && is_measured(&page->rows[i]) && same_plot(&page->rows[i], first))
            add_series(to, page, &page->rows[i], false, drawn);
    write_plot(to, first);
}

void
bench_page_throughput(bench_text *to, bench_page *page)
{
    static bool drawn[BENCH_PAGE_ROWS_MAX];
    bool any = false;
    size_t i;

    for (i = 0; i < page->row_count; i++) {
        if (drawn[i] || !is_measured(&page->rows[i]) || !is_shown(page, &page->rows[i]))
            continue;
        if (!any)
            bench_text_put(
                to, "<section id=\"throughput\"><h2>Throughput by size</h2>\n"
                    "<p>How many bytes arrive in a second, by the size of one message. "
                    "Higher is better. Dashed: the machine itself, memcpy and other floors.</p>\n"
                    "<div class=\"plots\">\n");
        any = true;
        write_group(to, page, &page->rows[i], drawn);
    }
    if (any)
        bench_text_put(to, "</div></section>\n");
}
