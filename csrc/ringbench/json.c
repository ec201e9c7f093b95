/* SPDX-License-Identifier: MIT */
/*
 * json.c - the report for programs. The format is told in docs/reference/ringbench.md.
 */
#include "report.h"

#include "ringbridge.h"

#include <math.h>
#include <stdio.h>

/* Changes when a program that reads the old format could misread the new one. */
#define JSON_FORMAT 1

static void
string(FILE *to, const char *text)
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
pair(FILE *to, const char *key, const char *text, const char *after)
{
    fprintf(to, "\"%s\": ", key);
    string(to, text);
    fputs(after, to);
}

static void
number(FILE *to, double value)
{
    if (isfinite(value))
        fprintf(to, "%.10g", value);
    else
        fputs("null", to);
}

static void
write_machine(FILE *to, const bench_machine *machine)
{
    fputs("  \"machine\": {", to);
    pair(to, "cpu", machine->cpu, ", ");
    fprintf(to, "\"cpus\": %ld, ", machine->cpus);
    pair(to, "kernel", machine->kernel, ", ");
    pair(to, "architecture", machine->architecture, ", ");
    pair(to, "hypervisor", machine->hypervisor, ", ");
    pair(to, "compiler", machine->compiler, ", ");
    fprintf(to, "\"load_average\": %.2f},\n", machine->load_average);
}

static void
write_run(FILE *to, const bench_run *run)
{
    fprintf(to, "  \"run\": {\"seconds\": %.3f, \"steal_percent\": %.3f, ", run->seconds,
            run->steal_percent);
    fprintf(to, "\"involuntary_switches\": %llu, \"noisy\": %s, ",
            (unsigned long long)run->involuntary_switches, run->noisy ? "true" : "false");
    pair(to, "noise", run->noise, "},\n");
}

static void
write_parameters(FILE *to, const bench_options *options)
{
    size_t i;

    fprintf(to, "  \"parameters\": {\"cpus\": [%d, %d], \"threads\": %s, ", options->cpus[0],
            options->cpus[1], options->threads ? "true" : "false");
    if (options->count != 0)
        fprintf(to, "\"count\": %llu, ", (unsigned long long)options->count);
    else
        fprintf(to, "\"duration_s\": %.3f, ", (double)options->duration_ns / 1e9);
    fprintf(to, "\"runs\": %u, \"seed\": %llu", options->runs, (unsigned long long)options->seed);
    fputs(", \"sizes\": [", to);
    for (i = 0; i < options->size_count; i++)
        fprintf(to, "%s%llu", i > 0 ? ", " : "", (unsigned long long)options->sizes[i]);
    fprintf(to, "], \"ring_bytes\": %u, \"arena_bytes\": %llu", options->ring_bytes,
            (unsigned long long)options->arena_bytes);
    fprintf(to, ", \"batch\": %u, \"window\": %u, \"burst\": %u, \"rate_per_s\": %.10g, ",
            options->batch, options->window, options->burst, options->rate);
    pair(to, "wait", bench_wait_names[options->wait], "},\n");
}

/* Dense enough for a smooth curve: eight points for each halving of what is left, as HdrHistogram's
 * percentile distribution has them. */
static void
write_percentiles(FILE *to, const bench_histogram *histogram)
{
    enum { POINTS_PER_HALF = 8 };
    double left = 100, last = -1;
    int point;

    fputs(", \"percentiles\": [", to);
    while (100 / left <= 2 * (double)histogram->total) {
        for (point = 0; point < POINTS_PER_HALF; point++) {
            const double percent = 100 - left + left / 2 * point / POINTS_PER_HALF;
            const double value = (double)bench_histogram_percentile(histogram, percent);

            if (value == last) /* a step: its ends are enough */
                continue;
            fprintf(to, "[%.10g, %.10g], ", percent, value);
            last = value;
        }
        left /= 2;
    }
    fprintf(to, "[100, %llu]]", (unsigned long long)histogram->max);
}

static void
write_ratios(FILE *to, const bench_report *report, const bench_row *row)
{
    const char *before = "";
    size_t i;

    if (bench_report_floor(report, row) == NULL)
        return;
    fputs(", \"ratios\": {", to);
    for (i = 0; i < row->count; i++) {
        const double ratio = bench_report_figure_ratio(report, row, row->figures[i].key);

        if (!isfinite(ratio))
            continue;
        fprintf(to, "%s\"%s\": %.4g", before, row->figures[i].key, ratio);
        before = ", ";
    }
    fputc('}', to);
}

static void
write_row(FILE *to, const bench_report *report, const bench_row *row)
{
    size_t i;

    fputs("    {", to);
    pair(to, "name", row->name, ", ");
    pair(to, "kind", row->kind, "");
    if (row->floor != NULL) {
        fputs(", ", to);
        pair(to, "floor", row->floor, "");
    }
    if (row->error[0] != '\0') {
        fputs(", ", to);
        pair(to, "error", row->error, "");
    }
    for (i = 0; i < row->count; i++) {
        fprintf(to, ", \"%s\": ", row->figures[i].key);
        number(to, row->figures[i].value);
    }
    write_ratios(to, report, row);
    if (row->histogram != NULL && row->histogram->total > 0)
        write_percentiles(to, row->histogram);
    fputc('}', to);
}

bool
bench_json_write(const bench_report *report)
{
    FILE *to = report->options->json;
    bool written;
    size_t i;

    if (to == NULL)
        return true;
    fputs("{\n  ", to);
    pair(to, "tool", "ringbench", ", ");
    fprintf(to, "\"format\": %d, \"version\": \"%s\", ", JSON_FORMAT, RBR_VERSION);
    pair(to, "mode", bench_mode_names[report->options->mode], ", ");
    pair(to, "started", report->run.started, ",\n");
    write_machine(to, &report->machine);
    write_run(to, &report->run);
    write_parameters(to, report->options);
    fputs("  \"results\": [\n", to);
    for (i = 0; i < report->count; i++) {
        write_row(to, report, &report->rows[i]);
        fputs(i + 1 < report->count ? ",\n" : "\n", to);
    }
    fputs("  ]\n}\n", to);
    written = fflush(to) == 0 && !ferror(to);
    if (to != stdout)
        written = fclose(to) == 0 && written;
    return written;
}
