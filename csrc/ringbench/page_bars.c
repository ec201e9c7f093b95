/* SPDX-License-Identifier: MIT */
/*
 * page_bars.c - peers side by side: one chart for each mode, kind and size.
 *
 *   ringbridge    |====---|            471 ns
 *   pipe          |===============--|   12.4 us   26 x      -- | the 99th percentile
 *   nng             no answer within 30 s
 *
 * The axis is a logarithm, on which lengths are no proportions: so the factor is written out.
 */
#include "page.h"

#include "svg.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WIDTH = 620,
    NAME_RIGHT = 168,
    LEFT = 176,
    RIGHT = 470,
    FACTOR_RIGHT = 616,
    TOP = 30,
    ROW = 27,
    BAR = 15,
    BELOW = 34,
    TEXT_BASELINE = 4,
};

/* What the bars of a chart show, best first. */
static const char *const time_first[] = {"p50_ns", "trip_ns", "messages_per_s", "bytes_per_s",
                                         NULL};
static const char *const rate_first[] = {"messages_per_s", "bytes_per_s", "p50_ns", "trip_ns",
                                         NULL};

typedef struct chart_bar {
    const bench_page_row *row;
    double value; /* NaN: there is an error instead */
    double p99;   /* NaN: none */
    bool floor;
} chart_bar;

typedef struct chart {
    chart_bar bars[BENCH_PAGE_ROWS_MAX];
    size_t count;
    const char *key;
    bool rate;   /* higher is better */
    double ours; /* NaN: none */
    bench_scale x;
} chart;

static chart drawing; /* large, and one is enough */

/* ---------------------------------------------------------------------------------- what to show */

static bool
is_takable(double value)
{
    return value > 1e-9 && value < 1e30; /* false for NaN */
}

static double
value_of(const chart *of, const bench_page_row *row)
{
    double value = bench_page_figure(row, of->key);

    if (!is_takable(value) && strcmp(of->key, "p50_ns") == 0)
        value = bench_page_figure(row, "trip_ns");
    return is_takable(value) && row->error == NULL ? value : (double)NAN;
}

static bool
is_member(const bench_page_row *row, const bench_page_row *first)
{
    return bench_page_same_group(row, first) && strcmp(row->kind, "floor") != 0;
}

static size_t
count_key(const bench_page *page, const bench_page_row *first, const char *key)
{
    size_t have = 0, i;

    for (i = 0; i < page->row_count; i++)
        have += is_member(&page->rows[i], first) &&
                is_takable(bench_page_figure(&page->rows[i], key));
    return have;
}

/* The first figure that at least half as many rows have as any other. */
static void
choose_key(chart *of, const bench_page *page, const bench_page_row *first)
{
    const char *const *const keys = strcmp(first->kind, "one way") == 0 ? rate_first : time_first;
    size_t most = 0, i;

    for (i = 0; keys[i] != NULL; i++) {
        const size_t have = count_key(page, first, keys[i]);

        most = have > most ? have : most;
    }
    for (i = 0; keys[i + 1] != NULL; i++)
        if (most > 0 && 2 * count_key(page, first, keys[i]) >= most)
            break;
    of->key = keys[i];
    of->rate = strstr(of->key, "_per_s") != NULL;
}

static void
add_bar(chart *of, const bench_page_row *row, bool floor)
{
    chart_bar *added = &of->bars[of->count];

    *added = (chart_bar){.row = row, .value = value_of(of, row), .p99 = NAN, .floor = floor};
    if (!of->rate && strcmp(of->key, "p50_ns") == 0)
        added->p99 = bench_page_figure(row, "p99_ns");
    if (!is_takable(added->p99) || isnan(added->value))
        added->p99 = NAN;
    if (isnan(added->value) && row->error == NULL)
        return; /* nothing to say about it */
    if (isnan(of->ours) && !floor && bench_page_is_ours(row))
        of->ours = added->value;
    of->count++;
}

/* Ours, the others from the best on, those without a value, the floor. */
static int
rank_of(const chart_bar *bar)
{
    return bar->floor ? 3 : isnan(bar->value) ? 2 : bench_page_is_ours(bar->row) ? 0 : 1;
}

static int
compare_bars(const void *a, const void *b)
{
    const chart_bar *left = a, *right = b;
    const double sign = drawing.rate ? -1 : 1;

    if (rank_of(left) != rank_of(right))
        return rank_of(left) - rank_of(right);
    if (rank_of(left) == 1 && left->value != right->value)
        return sign * left->value < sign * right->value ? -1 : 1;
    return left->row < right->row ? -1 : left->row > right->row;
}

static void
add_floor(chart *of, bench_page *page, const bench_page_row *first)
{
    const bench_page_row *floor = NULL;
    size_t i;

    for (i = 0; i < page->row_count && (floor == NULL || !floor->is_floor); i++)
        if (is_member(&page->rows[i], first))
            floor = bench_page_floor_of(page, &page->rows[i]);
    if (floor != NULL && floor->is_floor && !is_member(floor, first))
        add_bar(of, floor, true);
}

static void
collect(chart *of, bench_page *page, const bench_page_row *first, bool *drawn)
{
    size_t i;

    of->count = 0;
    of->ours = NAN;
    choose_key(of, page, first);
    for (i = 0; i < page->row_count; i++)
        if (is_member(&page->rows[i], first)) {
            drawn[i] = true;
            add_bar(of, &page->rows[i], page->rows[i].is_floor);
        }
    if (of->count > 0 && of->count < BENCH_PAGE_ROWS_MAX)
        add_floor(of, page, first);
    qsort(of->bars, of->count, sizeof of->bars[0], compare_bars);
}

/* ------------------------------------------------------------------------------------------ axis */

static void
range_of(chart *of)
{
    double low = DBL_MAX, high = -DBL_MAX;
    size_t i;

    for (i = 0; i < of->count; i++) {
        low = fmin(low, log10(of->bars[i].value)); /* fmin ignores NaN */
        high = fmax(high, log10(fmax(of->bars[i].value, of->bars[i].p99)));
    }
    if (low > high)
        low = high = 0;
    /* The shortest bar is to be seen, and the first tick is round. */
    of->x = (bench_scale){.low = floor(low - 0.15),
                          .high = fmax(high, floor(low - 0.15) + 1),
                          .from = LEFT,
                          .to = RIGHT};
}

static bench_human
human_value(const chart *of, double value)
{
    return bench_page_human(of->key, value);
}

static void
write_axis(bench_text *to, const chart *of, double bottom)
{
    bench_tick ticks[BENCH_TICKS_MAX];
    const size_t count = bench_ticks_decimal(&of->x, 5, ticks);
    double used = 0;
    size_t i;

    for (i = 0; i < count; i++) {
        const double x = bench_scale_at(&of->x, log10(ticks[i].value));
        const bench_human human =
            of->rate ? bench_human_tick_rate(ticks[i].value,
                                             strcmp(of->key, "bytes_per_s") == 0 ? "B/s" : "/s")
                     : bench_human_tick_ns(ticks[i].value);
        const double half = bench_svg_width(bench_text_columns(human.text)) / 2;

        bench_svg_line(to, ticks[i].named ? "grid" : "grid faint", x, TOP - 4, x, bottom);
        if (!ticks[i].named || (i > 0 && x - half < used + 4))
            continue;
        bench_svg_text(to, "tick middle", x, bottom + 18, human.text);
        used = x + half;
    }
    bench_svg_line(to, "axis", LEFT, TOP - 4, LEFT, bottom);
}

/* ------------------------------------------------------------------------------------------ bars */

/* How much faster the first of ours is. */
static void
write_factor(bench_text *to, const chart *of, const chart_bar *bar, double y)
{
    const double ahead = of->rate ? of->ours / bar->value : bar->value / of->ours;
    const double factor = ahead < 1 ? 1 / ahead : ahead;
    bench_human human;

    if (!isfinite(factor) || bar->floor || bench_page_is_ours(bar->row))
        return;
    snprintf(human.text, sizeof human.text,
             factor < 9.95     ? "%s%.1f \xc3\x97"
             : factor < 9999.5 ? "%s%.0f \xc3\x97"
                               : "%s%.3g \xc3\x97",
             ahead < 0.95 ? "slower " : "", factor);
    bench_svg_text(to, "factor end", FACTOR_RIGHT, y, human.text);
}

static void
write_p99(bench_text *to, const chart *of, const chart_bar *bar, double from, double y)
{
    const double x = bench_scale_at(&of->x, log10(bar->p99));

    bench_text_add(to, "<path class=\"p99\" d=\"M%.1f %.1fH%.1fM%.1f %.1fv%d\"/>\n", from, y, x, x,
                   y - BAR / 3.0, BAR * 2 / 3);
}

static void
write_tip(bench_text *to, const chart *of, const chart_bar *bar)
{
    bench_text_put(to, "<title>");
    bench_text_escaped(to, bar->row->label);
    bench_text_add(to, ": %s", human_value(of, bar->value).text);
    if (!isnan(bar->p99))
        bench_text_add(to, ", 99 %% within %s", bench_human_ns(bar->p99).text);
    bench_text_put(to, "</title>");
}

static void
write_bar(bench_text *to, const chart *of, const chart_bar *bar, double y)
{
    const bool ours = bench_page_is_ours(bar->row);
    double x;

    bench_text_add(to, "<g class=\"bar%s\">\n", bar->floor ? " floor" : ours ? " ours" : "");
    bench_svg_name(to, "name end", NAME_RIGHT, y + TEXT_BASELINE, NAME_RIGHT, bar->row->label);
    if (isnan(bar->value)) {
        bench_svg_name(to, "failed", LEFT + 8, y + TEXT_BASELINE, FACTOR_RIGHT - LEFT - 8,
                       bar->row->error);
        bench_text_put(to, "</g>\n");
        return;
    }
    x = bench_scale_at(&of->x, log10(bar->value));
    bench_text_add(to, "<rect x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"%d\">", LEFT,
                   y - BAR / 2.0, x - LEFT, BAR);
    write_tip(to, of, bar);
    bench_text_put(to, "</rect>\n");
    if (bar->p99 > bar->value) {
        write_p99(to, of, bar, x, y);
        x = bench_scale_at(&of->x, log10(bar->p99));
    }
    bench_svg_text(to, "value", x + 7, y + TEXT_BASELINE, human_value(of, bar->value).text);
    write_factor(to, of, bar, y + TEXT_BASELINE);
    bench_text_put(to, "</g>\n");
}

static void
describe(bench_text *label, const chart *of, const bench_page_row *first)
{
    size_t i;

    bench_text_put(label, "Peers side by side, ");
    bench_page_group_title(label, first);
    for (i = 0; i < of->count; i++)
        bench_text_add(label, "; %s %s", of->bars[i].row->label,
                       isnan(of->bars[i].value) ? of->bars[i].row->error
                                                : human_value(of, of->bars[i].value).text);
}

static const char *
meaning_of(const chart *of)
{
    if (of->rate)
        return strcmp(of->key, "bytes_per_s") == 0 ? "bytes a second, more is better"
                                                   : "messages a second, more is better";
    return strcmp(of->key, "p50_ns") == 0 ? "median time, less is better"
                                          : "time of a trip, less is better";
}

static void
write_chart(bench_text *to, chart *of, const bench_page_row *first)
{
    const double bottom = TOP + ROW * (double)of->count;
    bench_text text = {0};
    size_t i;

    range_of(of);
    bench_page_group_title(&text, first);
    bench_text_put(to, "<figure><figcaption>");
    bench_text_escaped(to, text.bytes);
    bench_text_add(to, " <small>%s</small></figcaption>\n", meaning_of(of));
    bench_text_cut(&text, 0);
    describe(&text, of, first);
    bench_svg_open(to, WIDTH, bottom + BELOW, text.bytes);
    bench_text_free(&text);
    if (!isnan(of->ours))
        bench_svg_text(to, "axis-title end", FACTOR_RIGHT, TOP - 12, "ringbridge is faster by");
    write_axis(to, of, bottom);
    for (i = 0; i < of->count; i++)
        write_bar(to, of, &of->bars[i], TOP + ROW * ((double)i + 0.5));
    bench_svg_close(to);
    bench_text_put(to, "</figure>\n");
}

void
bench_page_bars(bench_text *to, bench_page *page)
{
    static bool drawn[BENCH_PAGE_ROWS_MAX];
    bool any = false;
    size_t i;

    for (i = 0; i < page->row_count; i++) {
        const bench_page_row *row = &page->rows[i];

        if (drawn[i] || !bench_page_has_peers(row->document) || !is_member(row, row))
            continue;
        collect(&drawing, page, row, drawn);
        if (drawing.count == 0 || isnan(drawing.bars[0].value))
            continue; /* nobody has a value: the table says why */
        if (!any)
            bench_text_put(to,
                           "<section id=\"peers\"><h2>Peers side by side</h2>\n"
                           "<p>The same work over other ways between two processes. A thin line "
                           "goes on to the 99th percentile. The axis is logarithmic: the factor "
                           "at the right says how far apart they are.</p>\n"
                           "<div class=\"plots\">\n");
        any = true;
        write_chart(to, &drawing, row);
    }
    if (any)
        bench_text_put(to, "</div></section>\n");
}
