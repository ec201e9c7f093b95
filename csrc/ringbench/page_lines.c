/* SPDX-License-Identifier: MIT */
/*
 * page_lines.c - a plot of lines.
 *
 *      10 us |            ,--*   --*-- channel      The names stand to the right of the lines, each
 *       1 us |  *--*--*--'                          as near to its line's end as the others let it:
 *     100 ns |  o--o--o--o--o    --o-- floor        they cannot cover a line, and are the legend.
 *            +--+--+--+--+--+
 *               50 90 99 99.9
 *
 * Both axes are logarithms.
 */
#include "page_lines.h"

#include "svg.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* In units of the viewBox, which are pixels where there is room. */
enum {
    WIDTH = 620,
    HEIGHT = 340,
    LEFT = 62,
    RIGHT = 416,
    TOP = 14,
    BOTTOM = 292,
    KEY = 430, /* the piece of a line before its name */
    NAME = 456,
    NAME_GAP = 17,
    TICKS_Y = 7,
    TICK_BASELINE = 4, /* half of a digit's height */
};
#define MARK 3.2
#define MARKS_MAX 20 /* of more points, those at round percentiles have one; others only tooltips */

typedef struct plot_frame {
    const bench_plot *plot;
    bench_scale x, y;
} plot_frame;

void
bench_plot_clear(bench_plot *plot, enum bench_plot_kind kind)
{
    plot->kind = kind;
    plot->count = 0;
    plot->y_low = DBL_MAX;
    plot->y_high = -DBL_MAX;
}

void
bench_plot_next(bench_plot *plot)
{
    plot->count = 0;
}

bool
bench_plot_takes(double value)
{
    return value > 1e-9 && value < 1e30; /* nothing real is outside; false for NaN */
}

void
bench_plot_include(bench_plot *plot, double value)
{
    if (!bench_plot_takes(value))
        return;
    plot->y_low = fmin(plot->y_low, log10(value));
    plot->y_high = fmax(plot->y_high, log10(value));
}

bench_line *
bench_plot_line(bench_plot *plot, const bench_page_row *row, bool dashed)
{
    bench_line *line = &plot->lines[plot->count];
    size_t i;

    if (plot->count == BENCH_LINES_MAX)
        return NULL;
    plot->count++;
    bench_text_cut(&line->label, 0);
    bench_text_put(&line->label, row->label);
    line->color = row->color;
    if (dashed) /* grey; only the mark differs */
        for (line->color = 0, i = 0; i + 1 < plot->count; i++)
            line->color += plot->lines[i].dashed;
    line->dashed = dashed;
    line->ours = !dashed && bench_page_has_peers(row->document) && bench_page_is_ours(row);
    line->count = 0;
    return line;
}

void
bench_line_add(bench_line *line, double at, double value, double x)
{
    if (bench_plot_takes(value) && line->count < BENCH_PAGE_POINTS_MAX)
        line->points[line->count++] = (bench_line_point){.at = at, .value = value, .x = x};
}

/* ------------------------------------------------------------------------------------------- axes */

static void
range_of(plot_frame *frame)
{
    double low = DBL_MAX, high = -DBL_MAX;
    size_t i, j;

    for (i = 0; i < frame->plot->count; i++)
        for (j = 0; j < frame->plot->lines[i].count; j++) {
            low = fmin(low, frame->plot->lines[i].points[j].x);
            high = fmax(high, frame->plot->lines[i].points[j].x);
        }
    if (frame->plot->kind == BENCH_PLOT_LATENCY) {
        low = 0;
        high = fmax(high, 2);
    } else if (high - low < 2) { /* one size alone stands in the middle */
        low -= 1;
        high += 1;
    }
    frame->x = (bench_scale){.low = low, .high = high, .from = LEFT + 10, .to = RIGHT - 6};
    frame->y = (bench_scale){
        .low = frame->plot->y_low, .high = frame->plot->y_high, .from = BOTTOM, .to = TOP};
    bench_scale_round(&frame->y);
}

static void
write_y_axis(bench_text *to, const plot_frame *frame)
{
    bench_tick ticks[BENCH_TICKS_MAX];
    const size_t count = bench_ticks_decimal(&frame->y, 10, ticks);
    size_t i;

    for (i = 0; i < count; i++) {
        const double y = bench_scale_at(&frame->y, log10(ticks[i].value));
        const bench_human human = frame->plot->kind == BENCH_PLOT_LATENCY
                                      ? bench_human_tick_ns(ticks[i].value)
                                      : bench_human_tick_rate(ticks[i].value, "B/s");

        bench_svg_line(to, ticks[i].named ? "grid" : "grid faint", LEFT, y, RIGHT, y);
        if (ticks[i].named)
            bench_svg_text(to, "tick end", LEFT - TICKS_Y, y + TICK_BASELINE, human.text);
    }
}

/* Latency: 0, 50, 90, 99, 99.9 and so on. */
static size_t
nines(const plot_frame *frame, double *at)
{
    size_t count = 0;

    at[count++] = 0;
    at[count++] = log10(2);
    while (count < BENCH_TICKS_MAX && (double)count - 1 <= frame->x.high + 1e-9) {
        at[count] = (double)count - 1;
        count++;
    }
    return count;
}

/* Throughput: the sizes that were measured. */
static size_t
sizes(const plot_frame *frame, double *at)
{
    size_t count = 0, i, j, place;

    for (i = 0; i < frame->plot->count; i++)
        for (j = 0; j < frame->plot->lines[i].count; j++) {
            const double x = frame->plot->lines[i].points[j].x;

            for (place = count; place > 0 && at[place - 1] > x; place--)
                ;
            if (count == BENCH_TICKS_MAX || (place > 0 && at[place - 1] == x))
                continue;
            memmove(at + place + 1, at + place, (count - place) * sizeof *at);
            at[place] = x;
            count++;
        }
    return count;
}

static bench_human
x_tick_name(const plot_frame *frame, double at)
{
    bench_human human;

    if (frame->plot->kind == BENCH_PLOT_LATENCY)
        return bench_human_percent(100 - 100 / pow(10, at));
    human = bench_human_bytes(nearbyint(exp2(at)));
    /* 64, 4 Ki: that they are bytes, the title says. */
    human.text[strcspn(human.text, "B")] = '\0';
    if (human.text[strlen(human.text) - 1] == ' ')
        human.text[strlen(human.text) - 1] = '\0';
    return human;
}

static void
write_x_axis(bench_text *to, const plot_frame *frame)
{
    const bool latency = frame->plot->kind == BENCH_PLOT_LATENCY;
    double at[BENCH_TICKS_MAX], used = 0;
    const size_t count = latency ? nines(frame, at) : sizes(frame, at);
    size_t i;

    for (i = 0; i < count; i++) {
        const double x = bench_scale_at(&frame->x, at[i]);
        const bench_human human = x_tick_name(frame, at[i]);
        const double half = bench_svg_width(bench_text_columns(human.text)) / 2;

        bench_svg_line(to, "grid", x, TOP, x, BOTTOM);
        if (i > 0 && x - half < used + 2)
            continue;
        bench_svg_text(to, "tick middle", x, BOTTOM + 18, human.text);
        used = x + half;
    }
    bench_svg_line(to, "axis", LEFT, BOTTOM, RIGHT, BOTTOM);
    bench_svg_text(to, "axis-title middle", (LEFT + RIGHT) / 2.0, HEIGHT - 8,
                   latency ? "percentile" : "bytes of a message");
}

/* ------------------------------------------------------------------------------------------- lines */

static void
write_tip(bench_text *to, const bench_plot *plot, const bench_line *line,
          const bench_line_point *point)
{
    bench_text_put(to, "<title>");
    bench_text_escaped(to, line->label.bytes);
    if (plot->kind == BENCH_PLOT_THROUGHPUT)
        bench_text_add(to, ": %s with %s", bench_human_byte_rate(point->value).text,
                       bench_human_bytes(point->at).text);
    else if (point->at >= 100)
        bench_text_add(to, ": at most %s", bench_human_ns(point->value).text);
    else if (point->at <= 0)
        bench_text_add(to, ": at least %s", bench_human_ns(point->value).text);
    else
        bench_text_add(to, ": %s %% within %s", bench_human_percent(point->at).text,
                       bench_human_ns(point->value).text);
    bench_text_put(to, "</title>");
}

/* The color of the class "s0" and so on; a floor is grey. */
static void
open_group(bench_text *to, const bench_line *line)
{
    if (line->dashed)
        bench_text_put(to, "<g class=\"floor\">\n");
    else
        bench_text_add(to, "<g class=\"s%zu%s\">\n", line->ours ? 0 : bench_page_color(line->color),
                       line->ours ? " ours" : "");
}

/* The first and last one, and where 50 %, 90 %, 99 % is reached. */
static bool
is_marked(const bench_line *line, size_t i)
{
    const double here = line->points[i].x, before = i > 0 ? line->points[i - 1].x : -1;

    return line->count <= MARKS_MAX || i + 1 == line->count || floor(here) > floor(before) ||
           (here >= log10(2) && before < log10(2));
}

static void
write_line(bench_text *to, const plot_frame *frame, const bench_line *line)
{
    size_t i;

    open_group(to, line);
    bench_text_put(to, "<path class=\"line\" d=\"");
    for (i = 0; i < line->count; i++)
        bench_text_add(to, "%c%.1f %.1f", i == 0 ? 'M' : 'L',
                       bench_scale_at(&frame->x, line->points[i].x),
                       bench_scale_at(&frame->y, log10(line->points[i].value)));
    bench_text_put(to, "\"/>\n");
    for (i = 0; i < line->count; i++) {
        bench_svg_mark(to, is_marked(line, i) ? "point" : "point hidden", line->color,
                       bench_scale_at(&frame->x, line->points[i].x),
                       bench_scale_at(&frame->y, log10(line->points[i].value)), MARK);
        write_tip(to, frame->plot, line, &line->points[i]);
        bench_svg_mark_end(to);
    }
    bench_text_put(to, "</g>\n");
}

static double
end_y(const plot_frame *frame, const bench_line *line)
{
    return bench_scale_at(&frame->y, log10(line->points[line->count - 1].value));
}

/* The name of a line, at `y`, and what leads to it from the line's end. */
static void
write_name(bench_text *to, const plot_frame *frame, const bench_line *line, double y)
{
    const double x = bench_scale_at(&frame->x, line->points[line->count - 1].x);

    open_group(to, line);
    bench_text_add(to, "<path class=\"lead\" d=\"M%.1f %.1fL%d %.1fL%d %.1f\"/>\n", x + MARK + 2,
                   end_y(frame, line), RIGHT + 4, end_y(frame, line), KEY - 2, y);
    bench_svg_line(to, "line", KEY, y, NAME - 6, y);
    bench_svg_mark(to, "mark", line->color, (KEY + NAME - 6) / 2.0, y, MARK);
    bench_svg_mark_end(to);
    bench_svg_name(to, "name", NAME, y + TICK_BASELINE, WIDTH - NAME, line->label.bytes);
    bench_text_put(to, "</g>\n");
}

static void
write_names(bench_text *to, const plot_frame *frame)
{
    const bench_line *by_end[BENCH_LINES_MAX];
    double y[BENCH_LINES_MAX];
    size_t count = 0, i, j;

    for (i = 0; i < frame->plot->count; i++) {
        const bench_line *line = &frame->plot->lines[i];

        if (line->count == 0)
            continue;
        for (j = count++; j > 0 && end_y(frame, by_end[j - 1]) > end_y(frame, line); j--)
            by_end[j] = by_end[j - 1];
        by_end[j] = line;
    }
    for (i = 0; i < count; i++)
        y[i] = end_y(frame, by_end[i]);
    bench_svg_spread(y, count, NAME_GAP, TOP + 4, BOTTOM - 4);
    for (i = 0; i < count; i++)
        write_name(to, frame, by_end[i], y[i]);
}

/* What the plot shows, in words: the ends of each line. */
static void
describe(bench_text *label, const bench_plot *plot, const char *title)
{
    size_t i;

    bench_text_put(label, title);
    for (i = 0; i < plot->count; i++) {
        const bench_line *line = &plot->lines[i];
        const bool latency = plot->kind == BENCH_PLOT_LATENCY;
        double first, last;

        if (line->count == 0)
            continue;
        first = line->points[0].value;
        last = line->points[line->count - 1].value;
        bench_text_add(label, "; %s from %s", line->label.bytes,
                       latency ? bench_human_ns(first).text : bench_human_byte_rate(first).text);
        bench_text_add(label, " to %s",
                       latency ? bench_human_ns(last).text : bench_human_byte_rate(last).text);
    }
}

/* Floors below, ours on top. */
static int
layer_of(const bench_line *line)
{
    return line->dashed ? 0 : line->ours ? 2 : 1;
}

void
bench_plot_write(bench_text *to, const bench_plot *plot, const char *title)
{
    plot_frame frame = {.plot = plot};
    bench_text label = {0};
    size_t i;
    int layer;

    describe(&label, plot, title);
    bench_svg_open(to, WIDTH, HEIGHT, label.bytes);
    bench_text_free(&label);
    range_of(&frame);
    write_y_axis(to, &frame);
    write_x_axis(to, &frame);
    for (layer = 0; layer < 3; layer++)
        for (i = 0; i < plot->count; i++)
            if (layer_of(&plot->lines[i]) == layer && plot->lines[i].count > 0)
                write_line(to, &frame, &plot->lines[i]);
    write_names(to, &frame);
    bench_svg_close(to);
}
