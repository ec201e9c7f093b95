/* SPDX-License-Identifier: MIT */
/*
 * svg.c - the marks that plots consist of.
 *
 * Colors, fonts and line widths are classes of page_style.c; here are only places.
 */
#include "svg.h"

#include <math.h>

#define LETTER_WIDTH 7.2 /* about, of the fonts that systems show; in units of the viewBox */

double
bench_scale_at(const bench_scale *scale, double logarithm)
{
    return scale->from +
           (logarithm - scale->low) / (scale->high - scale->low) * (scale->to - scale->from);
}

/* ------------------------------------------------------------------------------------------ ticks */

static const double steps[] = {1, 2, 5};

size_t
bench_ticks_decimal(const bench_scale *scale, size_t most, bench_tick *ticks)
{
    const double decades = scale->high - scale->low, near = 1e-9;
    const bool all = decades * 3 <= (double)most;
    const int every = all ? 1 : (int)ceil(decades / (double)most);
    const bool faint = all || every == 1;
    size_t count = 0, i;
    int power;

    for (power = (int)floor(scale->low); power <= scale->high + near; power++) {
        const bool named = power % every == 0;

        for (i = 0; i < (faint ? 3u : 1u) && count < BENCH_TICKS_MAX; i++) {
            const double at = power + log10(steps[i]);

            if ((i == 0 && !named) || at < scale->low - near || at > scale->high + near)
                continue;
            ticks[count++] = (bench_tick){.value = steps[i] * pow(10, power),
                                          .named = i == 0 ? named : all};
        }
    }
    return count;
}

void
bench_scale_round(bench_scale *scale)
{
    const double near = 1e-9;
    const double low = floor(scale->low + near), high = floor(scale->high - near);
    double up = high + 1;
    size_t i;

    scale->low += near;
    for (i = 3; i-- > 0;)
        if (low + log10(steps[i]) <= scale->low) {
            scale->low = low + log10(steps[i]);
            break;
        }
    for (i = 3; i-- > 0;)
        if (high + log10(steps[i]) >= scale->high - near)
            up = high + log10(steps[i]);
    scale->high = up;
    if (scale->high - scale->low < log10(2)) /* one value only */
        scale->high = scale->low + log10(5);
}

/* ------------------------------------------------------------------------------------------- marks */

double
bench_svg_width(size_t columns)
{
    return LETTER_WIDTH * (double)columns;
}

size_t
bench_svg_columns(double width)
{
    return width < LETTER_WIDTH ? 1 : (size_t)(width / LETTER_WIDTH);
}

void
bench_svg_open(bench_text *to, double width, double height, const char *label)
{
    bench_text_add(to, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" ",
                   width, height);
    bench_text_put(to, "role=\"img\" aria-label=\"");
    bench_text_escaped(to, label);
    bench_text_put(to, "\">\n");
}

void
bench_svg_close(bench_text *to)
{
    bench_text_put(to, "</svg>\n");
}

void
bench_svg_line(bench_text *to, const char *css, double x1, double y1, double x2, double y2)
{
    bench_text_add(to, "<path class=\"%s\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n", css, x1, y1, x2, y2);
}

void
bench_svg_text(bench_text *to, const char *css, double x, double y, const char *text)
{
    bench_text_add(to, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", css, x, y, text);
}

void
bench_svg_name(bench_text *to, const char *css, double x, double y, double width, const char *name)
{
    const size_t columns = bench_svg_columns(width);

    bench_text_add(to, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">", css, x, y);
    bench_text_shortened(to, name, columns);
    if (bench_text_columns(name) > columns) {
        bench_text_put(to, "<title>");
        bench_text_escaped(to, name);
        bench_text_put(to, "</title>");
    }
    bench_text_put(to, "</text>\n");
}

void
bench_svg_mark(bench_text *to, const char *css, size_t color, double x, double y, double size)
{
    bench_text_add(to, "<path class=\"%s\" d=\"", css);
    switch (color % 5) {
    case 0: /* a circle */
        bench_text_add(to, "M%.1f %.1fa%.1f %.1f 0 1 0 %.1f 0a%.1f %.1f 0 1 0 %.1f 0z", x - size, y,
                       size, size, 2 * size, size, size, -2 * size);
        break;
    case 1: /* a square */
        bench_text_add(to, "M%.1f %.1fh%.1fv%.1fh%.1fz", x - size * 0.9, y - size * 0.9, size * 1.8,
                       size * 1.8, -size * 1.8);
        break;
    case 2: /* a triangle */
        bench_text_add(to, "M%.1f %.1fl%.1f %.1fh%.1fz", x, y - size * 1.2, size * 1.15, size * 2,
                       -size * 2.3);
        break;
    case 3: /* a diamond */
        bench_text_add(to, "M%.1f %.1fl%.1f %.1fl%.1f %.1fl%.1f %.1fz", x, y - size * 1.3,
                       size * 1.2, size * 1.3, -size * 1.2, size * 1.3, -size * 1.2, -size * 1.3);
        break;
    default: /* a triangle that stands on its tip */
        bench_text_add(to, "M%.1f %.1fl%.1f %.1fh%.1fz", x, y + size * 1.2, size * 1.15, -size * 2,
                       -size * 2.3);
        break;
    }
    bench_text_put(to, "\">");
}

void
bench_svg_mark_end(bench_text *to)
{
    bench_text_put(to, "</path>\n");
}

void
bench_svg_spread(double *y, size_t count, double gap, double top, double bottom)
{
    double most = bottom;
    size_t i;

    for (i = 0; i < count; i++) {
        const double least = i > 0 ? y[i - 1] + gap : top;

        if (y[i] < least)
            y[i] = least;
    }
    for (i = count; i-- > 0; most = y[i] - gap)
        if (y[i] > most)
            y[i] = most;
}
