/* SPDX-License-Identifier: MIT */
/*
 * report.c - the machine, the parameters, the rows.
 *
 * Figures are kept in one unit (nanoseconds, bytes, per second) and scaled only for the table.
 */
#include "report.h"

#include "ringbridge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* --------------------------------------------------------------------------------------- rows */

bench_row *
bench_report_row(bench_report *report, const char *name)
{
    bench_row *row;

    if (report->count == BENCH_ROWS_MAX)
        bench_die(BENCH_EXIT_MACHINE, "more than %d rows: ask for fewer sizes", BENCH_ROWS_MAX);
    row = &report->rows[report->count++];
    row->count = 0;
    snprintf(row->name, sizeof row->name, "%s", name);
    return row;
}

void
bench_row_set(bench_row *row, const char *key, double value)
{
    if (row->count == BENCH_FIGURES_MAX)
        bench_die(BENCH_EXIT_MACHINE, "more than %d figures in a row", BENCH_FIGURES_MAX);
    row->figures[row->count].key = key;
    row->figures[row->count++].value = value;
}

const double *
bench_row_get(const bench_row *row, const char *key)
{
    size_t i;

    for (i = 0; i < row->count; i++)
        if (strcmp(row->figures[i].key, key) == 0)
            return &row->figures[i].value;
    return NULL;
}

void
bench_row_measure(bench_row *row, const bench_measure *measure)
{
    const bench_histogram *histogram = &measure->histogram;
    const double trip_ns = bench_measure_trip_ns(measure);

    bench_row_set(row, "trip_ns", trip_ns);
    bench_row_set(row, "min_ns", (double)histogram->min);
    bench_row_set(row, "p50_ns", (double)bench_histogram_percentile(histogram, 50));
    bench_row_set(row, "p90_ns", (double)bench_histogram_percentile(histogram, 90));
    bench_row_set(row, "p99_ns", (double)bench_histogram_percentile(histogram, 99));
    bench_row_set(row, "p99.9_ns", (double)bench_histogram_percentile(histogram, 99.9));
    bench_row_set(row, "max_ns", (double)histogram->max);
    bench_row_set(row, "mean_ns", bench_histogram_mean(histogram));
    bench_row_set(row, "calls_per_s", trip_ns > 0 ? 1e9 / trip_ns : 0);
    bench_row_set(row, "samples", (double)histogram->total);
}

void
bench_row_ratio(bench_row *row, double ratio, double budget)
{
    bench_row_set(row, "ratio", ratio);
    if (budget > 0)
        bench_row_set(row, "budget", budget);
}

/* ------------------------------------------------------------------------------------ machine */

static void
cpu_model(char *out, size_t size)
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    char line[256];

    snprintf(out, size, "unknown CPU");
    if (file == NULL)
        return;
    while (fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');

        if (strncmp(line, "model name", 10) != 0 || colon == NULL)
            continue;
        snprintf(out, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    fclose(file);
}

static const char *
compiler(void)
{
#if defined(__clang__)
    return "clang " __clang_version__;
#else
    return "gcc " __VERSION__;
#endif
}

/* ---------------------------------------------------------------------------------------- table */

enum { NAME_WIDTH = 26, COLUMN_WIDTH = 10 };

void
bench_report_progress(const bench_report *report, const char *what)
{
    if (!report->options->quiet && isatty(STDERR_FILENO))
        fprintf(stderr, "ringbench %s: %s ...\n", bench_mode_names[report->options->mode], what);
}

void
bench_report_print(const bench_report *report, const bench_column *columns, size_t count)
{
    const bench_options *options = report->options;
    struct utsname system;
    char model[128];
    size_t row, column;

    if (options->quiet)
        return;
    cpu_model(model, sizeof model);
    uname(&system);
    printf("ringbench %s  %s, %ld CPUs, Linux %s; pinned to CPU %d and %d; %u run%s\n\n",
           bench_mode_names[options->mode], model, sysconf(_SC_NPROCESSORS_ONLN), system.release,
           options->cpus[0], options->cpus[1], options->runs, options->runs == 1 ? "" : "s");
    printf("%-*s", NAME_WIDTH, "");
    for (column = 0; column < count; column++)
        printf(" %*s", COLUMN_WIDTH, columns[column].heading);
    putchar('\n');
    for (row = 0; row < report->count; row++) {
        printf("%-*s", NAME_WIDTH, report->rows[row].name);
        for (column = 0; column < count; column++) {
            const double *value = bench_row_get(&report->rows[row], columns[column].key);

            if (value != NULL && isfinite(*value))
                printf(" %*.*f", COLUMN_WIDTH, columns[column].decimals,
                       *value / columns[column].scale);
            else
                printf(" %*s", COLUMN_WIDTH, "-");
        }
        putchar('\n');
    }
}

/* ----------------------------------------------------------------------------------------- JSON */

static void
json_string(FILE *to, const char *text)
{
    fputc('"', to);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', to);
        if ((unsigned char)*text >= 0x20)
            fputc(*text, to);
    }
    fputc('"', to);
}

static void
json_pair(FILE *to, const char *key, const char *text, const char *after)
{
    fprintf(to, "\"%s\": ", key);
    json_string(to, text);
    fputs(after, to);
}

static void
json_machine(FILE *to)
{
    double load[1] = {0};
    struct utsname system;
    char model[128];

    cpu_model(model, sizeof model);
    uname(&system);
    if (getloadavg(load, 1) != 1)
        load[0] = 0;
    fputs("  \"machine\": {", to);
    json_pair(to, "cpu", model, ", ");
    fprintf(to, "\"cpus\": %ld, ", sysconf(_SC_NPROCESSORS_ONLN));
    json_pair(to, "kernel", system.release, ", ");
    json_pair(to, "architecture", system.machine, ", ");
    json_pair(to, "compiler", compiler(), ", ");
    fprintf(to, "\"load_average\": %.2f},\n", load[0]);
}

static void
json_parameters(FILE *to, const bench_options *options)
{
    size_t i;

    fprintf(to, "  \"parameters\": {\"cpus\": [%d, %d], ", options->cpus[0], options->cpus[1]);
    if (options->count != 0)
        fprintf(to, "\"count\": %llu, ", (unsigned long long)options->count);
    else
        fprintf(to, "\"duration_s\": %.3f, ", (double)options->duration_ns / 1e9);
    fprintf(to, "\"runs\": %u", options->runs);
    if (options->mode != BENCH_FLOOR) {
        fputs(", \"sizes\": [", to);
        for (i = 0; i < options->size_count; i++)
            fprintf(to, "%s%llu", i > 0 ? ", " : "", (unsigned long long)options->sizes[i]);
        fprintf(to, "], \"ring_bytes\": %u", options->ring_bytes);
    }
    if (options->mode == BENCH_STREAM)
        fprintf(to, ", \"batch\": %u", options->batch);
    if (options->mode == BENCH_CALL)
        fprintf(to, ", \"wait\": \"%s\"", bench_wait_names[options->wait]);
    fputs("},\n", to);
}

static void
json_row(FILE *to, const bench_row *row)
{
    size_t i;

    fputs("    {", to);
    json_pair(to, "name", row->name, "");
    for (i = 0; i < row->count; i++) {
        fprintf(to, ", \"%s\": ", row->figures[i].key);
        if (isfinite(row->figures[i].value))
            fprintf(to, "%.10g", row->figures[i].value);
        else
            fputs("null", to);
    }
    fputc('}', to);
}

bool
bench_report_json(const bench_report *report)
{
    FILE *to = report->options->json;
    bool written;
    size_t i;

    if (to == NULL)
        return true;
    fprintf(to, "{\n  \"tool\": \"ringbench\", \"version\": \"%s\", \"mode\": \"%s\",\n",
            RBR_VERSION, bench_mode_names[report->options->mode]);
    json_machine(to);
    json_parameters(to, report->options);
    fputs("  \"results\": [\n", to);
    for (i = 0; i < report->count; i++) {
        json_row(to, &report->rows[i]);
        fputs(i + 1 < report->count ? ",\n" : "\n", to);
    }
    fputs("  ]\n}\n", to);
    written = fflush(to) == 0 && !ferror(to);
    if (to != stdout)
        written = fclose(to) == 0 && written;
    return written;
}
