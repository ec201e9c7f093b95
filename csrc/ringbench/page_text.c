/* SPDX-License-Identifier: MIT */
/*
 * page_text.c - the page as it grows, and figures as people read them.
 *
 * The page is XML as well as HTML, so that any XML reader can check it. Both refuse some characters
 * that JSON allows: control characters and two that are none. A question mark in a diamond stands
 * for them.
 */
#include "page_text.h"

#include "bench.h"
#include "process.h"
#include "utf8.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define THIN_SPACE "\xe2\x80\xaf" /* and no line ends in it */
#define REPLACEMENT "\xef\xbf\xbd"
#define ELLIPSIS "\xe2\x80\xa6"
#define MICRO "\xc2\xb5"

/* ------------------------------------------------------------------------------------- the page */

static void
make_room(bench_text *to, size_t more)
{
    char *bytes;
    size_t room = to->room > 0 ? to->room : 4096;

    while (room - to->size < more)
        room *= 2;
    if (room == to->room)
        return;
    bytes = realloc(to->bytes, room);
    if (bytes == NULL)
        bench_die(BENCH_EXIT_MACHINE, "no memory for a page of %zu bytes", room);
    to->bytes = bytes;
    to->room = room;
}

static void
put_bytes(bench_text *to, const char *bytes, size_t size)
{
    make_room(to, size + 1);
    memcpy(to->bytes + to->size, bytes, size);
    to->size += size;
    to->bytes[to->size] = '\0';
}

void
bench_text_put(bench_text *to, const char *text)
{
    put_bytes(to, text, strlen(text));
}

void
bench_text_add(bench_text *to, const char *format, ...)
{
    va_list arguments, again;
    int size;

    va_start(arguments, format);
    va_copy(again, arguments);
    size = vsnprintf(NULL, 0, format, arguments);
    if (size < 0)
        bench_die(BENCH_EXIT_MACHINE, "cannot format a part of the page");
    make_room(to, (size_t)size + 1);
    vsnprintf(to->bytes + to->size, (size_t)size + 1, format, again);
    to->size += (size_t)size;
    va_end(again);
    va_end(arguments);
}

void
bench_text_free(bench_text *text)
{
    free(text->bytes);
    *text = (bench_text){0};
}

void
bench_text_cut(bench_text *text, size_t size)
{
    text->size = size;
    if (text->bytes != NULL)
        text->bytes[size] = '\0';
}

static const char *
escape_of(uint32_t code)
{
    switch (code) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    case '\t':
    case '\n':
    case '\r':
        return " ";
    default:
        return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code & 0xfffeu) == 0xfffeu
                   ? REPLACEMENT
                   : NULL;
    }
}

/* What stands at `at`: its length, and how it is written; bytes that are no character, one by one. */
static size_t
next_character(const char *at, const char *end, uint32_t *code)
{
    const size_t length = bench_utf8_length(at, end);

    *code = length > 0 ? bench_utf8_get(at, length) : 0;
    return length > 0 ? length : 1;
}

/* East Asian letters and most pictures are two columns wide. */
static size_t
columns_of(uint32_t code)
{
    return code >= 0x1100 && (code < 0x1e00 || code > 0x2fff) ? 2 : 1;
}

size_t
bench_text_columns(const char *text)
{
    const char *const end = text + strlen(text);
    size_t columns = 0;
    uint32_t code;

    while (text < end) {
        text += next_character(text, end, &code);
        columns += columns_of(code);
    }
    return columns;
}

void
bench_text_shortened(bench_text *to, const char *text, size_t columns)
{
    const char *const end = text + strlen(text);
    const bool cut = bench_text_columns(text) > columns;
    size_t used = 0, length;
    const char *escape;
    uint32_t code;

    for (; text < end; text += length) {
        length = next_character(text, end, &code);
        used += columns_of(code);
        if (cut && used >= columns) {
            bench_text_put(to, ELLIPSIS);
            return;
        }
        escape = escape_of(code);
        if (escape != NULL)
            bench_text_put(to, escape);
        else
            put_bytes(to, text, length);
    }
}

void
bench_text_escaped(bench_text *to, const char *text)
{
    bench_text_shortened(to, text, SIZE_MAX);
}

/* ---------------------------------------------------------------------------------------- figures */

/* Three digits: 1.23, 12.3, 123. */
static bench_human
three_digits(double value, const char *unit)
{
    const double size = fabs(value);
    bench_human human;

    if (size >= 1e6)
        snprintf(human.text, sizeof human.text, "%.3g%s", value, unit);
    else
        snprintf(human.text, sizeof human.text, "%.*f%s",
                 size < 9.995   ? 2
                 : size < 99.95 ? 1
                                : 0,
                 value, unit);
    return human;
}

/* The unit in which a value has one to three digits before the point. */
static size_t
unit_of(double *value, double step, size_t count)
{
    size_t unit = 0;

    while (unit + 1 < count && fabs(*value) >= step * 0.9995) {
        *value /= step;
        unit++;
    }
    return unit;
}

static const char *const time_units[] = {" ns", " " MICRO "s", " ms", " s"};

bench_human
bench_human_ns(double ns)
{
    const size_t unit = unit_of(&ns, 1000, 4);
    bench_human human;

    if (unit == 0 && ns == floor(ns)) { /* clocks count in whole ones */
        snprintf(human.text, sizeof human.text, "%.0f ns", ns);
        return human;
    }
    return three_digits(ns, time_units[unit]);
}

bench_human
bench_human_tick_ns(double ns)
{
    const size_t unit = unit_of(&ns, 1000, 4);
    bench_human human;

    snprintf(human.text, sizeof human.text, "%.4g%s", ns, time_units[unit]);
    return human;
}

bench_human
bench_human_bytes(double bytes)
{
    static const char *const units[] = {" B", " KiB", " MiB", " GiB", " TiB"};
    static const char *const decimal_units[] = {" B", " kB", " MB", " GB", " TB"};
    double binary = bytes, decimal = bytes;
    const size_t unit = unit_of(&binary, 1024, 5), decimal_unit = unit_of(&decimal, 1000, 5);
    bench_human human;

    if (binary == floor(binary) && (unit > 0 || decimal_unit == 0 || decimal != floor(decimal)))
        snprintf(human.text, sizeof human.text, "%.4g%s", binary, units[unit]);
    else if (decimal == floor(decimal))
        snprintf(human.text, sizeof human.text, "%.4g%s", decimal, decimal_units[decimal_unit]);
    else
        human = three_digits(binary, units[unit]);
    return human;
}

static const char *const rate_units[] = {" ", " K", " M", " G", " T"};

bench_human
bench_human_rate(double per_s)
{
    const size_t unit = unit_of(&per_s, 1000, 5);
    char text[8];

    snprintf(text, sizeof text, "%s/s", rate_units[unit]);
    return three_digits(per_s, text);
}

bench_human
bench_human_byte_rate(double per_s)
{
    const size_t unit = unit_of(&per_s, 1000, 5);
    char text[8];

    snprintf(text, sizeof text, "%sB/s", rate_units[unit]);
    return three_digits(per_s, text);
}

bench_human
bench_human_tick_rate(double per_s, const char *unit_name)
{
    const size_t unit = unit_of(&per_s, 1000, 5);
    bench_human human;

    snprintf(human.text, sizeof human.text, "%.4g%s%s", per_s, rate_units[unit], unit_name);
    return human;
}

bench_human
bench_human_count(double count)
{
    char digits[24];
    bench_human human = {""};
    size_t length, i, used = 0;

    if (count != floor(count) || fabs(count) >= 1e9)
        return bench_human_number(count);
    length = (size_t)snprintf(digits, sizeof digits, "%.0f", fabs(count));
    if (count < 0)
        human.text[used++] = '-';
    for (i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0 && length > 4) {
            memcpy(human.text + used, THIN_SPACE, sizeof THIN_SPACE - 1);
            used += sizeof THIN_SPACE - 1;
        }
        human.text[used++] = digits[i];
    }
    human.text[used] = '\0';
    return human;
}

bench_human
bench_human_number(double number)
{
    bench_human human;

    snprintf(human.text, sizeof human.text, "%.3g", number);
    return human;
}

bench_human
bench_human_percent(double percent)
{
    bench_human human;

    snprintf(human.text, sizeof human.text, "%.10g", percent);
    return human;
}
