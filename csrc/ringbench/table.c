/* SPDX-License-Identifier: MIT */
/*
 * table.c - the report for people.
 *
 *   machine
 *   the figures of the mode, each row followed by their ratios to its floor
 *   what each message cost, and what went wrong
 *   the run; "noisy" when it was
 */
#include "report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NAME_WIDTH = 28, COLUMN_WIDTH = 11 };

static bool
ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text), wanted = strlen(end);

    return length >= wanted && strcmp(text + length - wanted, end) == 0;
}

/* Three digits and a unit, as 412 ns, 51.2 us, 1.70 M. */
static void
scaled(char *out, size_t size, double value, double step, const char *const units[], size_t count)
{
    size_t unit = 0;

    while (unit + 1 < count && value >= step * 0.9995) {
        value /= step;
        unit++;
    }
    snprintf(out, size, "%.*f %s",
             value < 9.995 && (unit > 0 || value != floor(value)) ? 2
             : value < 99.95 && unit > 0                          ? 1
                                                                  : 0,
             value, units[unit]);
}

void
bench_figure_text(char *out, size_t size, const char *key, double value)
{
    static const char *const times[] = {"ns", "us", "ms", "s"};
    static const char *const rates[] = {"/s", "K/s", "M/s", "G/s"};
    static const char *const speeds[] = {"B/s", "KB/s", "MB/s", "GB/s", "TB/s"};
    static const char *const bytes[] = {"B", "KiB", "MiB", "GiB"};

    if (!isfinite(value))
        snprintf(out, size, "-");
    else if (ends_with(key, "_ns"))
        scaled(out, size, value, 1000, times, 4);
    else if (ends_with(key, "bytes_per_s"))
        scaled(out, size, value, 1000, speeds, 5);
    else if (ends_with(key, "_per_s"))
        scaled(out, size, value, 1000, rates, 4);
    else if (ends_with(key, "bytes"))
        scaled(out, size, value, 1024, bytes, 4);
    else if (value == floor(value) && fabs(value) < 1e15)
        snprintf(out, size, "%.0f", value);
    else
        snprintf(out, size, fabs(value) < 0.01 ? "%.1e" : "%.2f", value);
}

static void
print_cell(const char *text)
{
    printf(" %*s", COLUMN_WIDTH, text);
}

/* A percentile's is its key without the unit. */
static void
print_heading(const bench_column *column)
{
    char text[32];

    snprintf(text, sizeof text, "%s", column->heading != NULL ? column->heading : column->key);
    if (column->heading == NULL)
        text[strcspn(text, "_")] = '\0';
    print_cell(text);
}

static void
print_row(const bench_row *row, const bench_column *columns, size_t count)
{
    size_t column;

    printf("%-*s", NAME_WIDTH, row->name);
    for (column = 0; column < count; column++) {
        const double *value = bench_row_get(row, columns[column].key);
        char text[32] = "-";

        if (value != NULL)
            bench_figure_text(text, sizeof text, columns[column].key, *value);
        print_cell(text);
    }
    putchar('\n');
}

/* Sizes and ratios have no ratio. */
static double
ratio_of(const bench_report *report, const bench_row *row, const char *key)
{
    const bool comparable = ends_with(key, "_ns") || ends_with(key, "_per_s");

    return comparable ? bench_report_figure_ratio(report, row, key) : NAN;
}

static void
print_ratios(const bench_report *report, const bench_row *row, const bench_column *columns,
             size_t count)
{
    bool any = false;
    size_t column;

    for (column = 0; column < count; column++)
        any = any || isfinite(ratio_of(report, row, columns[column].key));
    if (!any)
        return;
    printf("  x %-*.*s", NAME_WIDTH - 4, NAME_WIDTH - 4, row->floor);
    for (column = 0; column < count; column++) {
        const double ratio = ratio_of(report, row, columns[column].key);
        char text[32] = "";

        if (isfinite(ratio))
            snprintf(text, sizeof text, "%.2f", ratio);
        print_cell(text);
    }
    putchar('\n');
}

/* A size alone says nothing. */
static bool
has_any(const bench_row *row, const bench_column *columns, size_t count)
{
    size_t column;

    for (column = 0; column < count; column++)
        if (strcmp(columns[column].key, "bytes") != 0 &&
            bench_row_get(row, columns[column].key) != NULL)
            return true;
    return false;
}

/* The kind whose table a row stands in; "": there is one table. */
static const char *
section_of(const bench_report *report, size_t row)
{
    if (!report->by_kind)
        return "";
    while (row > 0 && strcmp(report->rows[row].kind, "floor") == 0)
        row--;
    return report->rows[row].kind;
}

static bool
is_in(const bench_report *report, size_t row, const char *section)
{
    return strcmp(section_of(report, row), section) == 0;
}

/* Those of the columns that a section has figures for. */
static size_t
columns_of(const bench_report *report, const char *section, const bench_column *columns,
           size_t count, bench_column *out)
{
    size_t column, row, used = 0;

    for (column = 0; column < count; column++) {
        bool any = !report->by_kind;

        for (row = 0; row < report->count && !any; row++)
            any = is_in(report, row, section) &&
                  bench_row_get(&report->rows[row], columns[column].key) != NULL;
        if (any)
            out[used++] = columns[column];
    }
    return used;
}

static void
print_block(const bench_report *report, const char *section, const char *title,
            const bench_column *all, size_t count, bool ratios)
{
    bench_column columns[BENCH_COLUMNS_MAX];
    const size_t used = columns_of(report, section, all, count, columns);
    bool begun = false;
    size_t row, column;

    for (row = 0; row < report->count; row++) {
        if (!is_in(report, row, section) || !has_any(&report->rows[row], columns, used))
            continue;
        if (!begun) {
            printf("\n%-*s", NAME_WIDTH, title);
            for (column = 0; column < used; column++)
                print_heading(&columns[column]);
            putchar('\n');
        }
        begun = true;
        print_row(&report->rows[row], columns, used);
        if (ratios && !report->by_kind)
            print_ratios(report, &report->rows[row], columns, used);
    }
}

/* A row of another kind or size that failed in the same way is not told again. */
static void
print_errors(const bench_report *report)
{
    size_t i, other;

    for (i = 0; i < report->count; i++) {
        const bench_row *row = &report->rows[i];

        for (other = 0; other < i; other++)
            if (strcmp(report->rows[other].name, row->name) == 0 &&
                strcmp(report->rows[other].error, row->error) == 0)
                break;
        if (row->error[0] != '\0' && other == i)
            printf("%s: %s\n", row->name, row->error);
    }
}

static void
print_head(const bench_report *report)
{
    const bench_machine *machine = &report->machine;
    const bench_options *options = report->options;

    printf("ringbench %s: %s, %ld CPUs, Linux %s%s%s; %s on CPU %d and %d; %u run%s\n",
           bench_mode_names[options->mode], machine->cpu, machine->cpus, machine->kernel,
           machine->hypervisor[0] != '\0' ? ", under " : "", machine->hypervisor,
           options->threads ? "threads" : "processes", options->cpus[0], options->cpus[1],
           options->runs, options->runs == 1 ? "" : "s");
}

static void
print_run(const bench_run *run)
{
    printf("\n%.1f s; steal %.2f %%; %llu involuntary switches%s%s\n", run->seconds,
           run->steal_percent, (unsigned long long)run->involuntary_switches,
           run->noisy ? "; noisy: " : "", run->noise);
}

void
bench_table_print(const bench_report *report)
{
    static const bench_column costs[] = {
        {"bytes", "bytes"},           {"cpu_ns", "CPU"},          {"peer_cpu_ns", "peer CPU"},
        {"wakes", "wakes"},           {"sleeps", "sleeps"},       {"syscalls", "syscalls"},
        {"page_faults", "faults"},    {"late_looks", "late"},     {"lost", "lost"},
        {"duplicated", "duplicated"}, {"reordered", "reordered"}, {"corrupt", "corrupt"},
    };
    static const bench_column outcomes[] = {
        /* of faults */
        {"stops", "stops"},         {"signals", "signals"},    {"writes", "writes"},
        {"intact", "intact"},       {"refused", "refused"},    {"changed", "changed"},
        {"timed_out", "timed out"}, {"peer_ended", "gave up"},
    };
    size_t i;

    if (report->options->quiet)
        return;
    print_head(report);
    for (i = 0; i < report->count; i++) {
        const char *section = section_of(report, i);
        size_t first = 0;

        while (!is_in(report, first, section))
            first++;
        if (first < i)
            continue;
        print_block(report, section, section, report->columns, report->column_count, true);
        print_block(report, section, "per message; counts", costs, sizeof costs / sizeof costs[0],
                    false);
        print_block(report, section, "what came of it", outcomes,
                    sizeof outcomes / sizeof outcomes[0], false);
    }
    print_errors(report);
    print_run(&report->run);
}
