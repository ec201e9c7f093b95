/* SPDX-License-Identifier: MIT */
/*
 * option_values.c - numbers, sizes, durations, CPUs, percentiles and limits, from text.
 */
#include "option_values.h"

#include "process.h"

#include "base.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE_MIN = 8, CPUS_MAX = 1024 };
#define SIZE_MAX_BYTES (UINT64_C(1) << 36)
#define DURATION_MIN_S 0.001
#define DURATION_MAX_S (7 * 86400.0)

_Noreturn void
bench_usage(const char *what, const char *given, const char *allowed)
{
    fprintf(stderr, "ringbench: %s '%s': %s\n", what, given, allowed);
    fputs("Try 'ringbench --help'.\n", stderr);
    exit(BENCH_EXIT_USAGE);
}

/* A number with an optional suffix (K, M, G: powers of 1024 or of 1000); false: it is none. */
static bool
number(const char *text, const char **end, unsigned base, uint64_t *out)
{
    static const char suffixes[] = "kmg";
    uint64_t factor = 1, value;
    const char *suffix;
    char *after;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    value = strtoull(text, &after, 10);
    if (errno != 0)
        return false;
    suffix = *after != '\0' ? strchr(suffixes, *after | 0x20) : NULL;
    if (suffix != NULL) {
        for (; suffix >= suffixes; suffix--)
            factor *= base;
        after++;
    }
    *end = after;
    *out = value * factor;
    return value <= UINT64_MAX / factor;
}

uint64_t
bench_value_number(const char *name, const char *text, unsigned base, uint64_t least, uint64_t most)
{
    char allowed[96];
    const char *end;
    uint64_t value;

    if (number(text, &end, base, &value) && *end == '\0' && value >= least && value <= most)
        return value;
    snprintf(allowed, sizeof allowed, "a number from %llu to %llu is allowed, suffixes K, M, G",
             (unsigned long long)least, (unsigned long long)most);
    bench_usage(name, text, allowed);
}

void
bench_value_sizes(bench_options *out, const char *text)
{
    const char *at = text;

    for (out->size_count = 0; out->size_count < BENCH_SIZES_MAX; at++) {
        uint64_t *size = &out->sizes[out->size_count];

        if (!number(at, &at, 1024, size) || *size < SIZE_MIN || *size > SIZE_MAX_BYTES)
            break;
        out->size_count++;
        if (*at == '\0')
            return;
        if (*at != ',')
            break;
    }
    bench_usage("--size", text, "up to 16 sizes from 8 bytes on are allowed, as in 64,4K,64K");
}

/* Seconds, with a unit or without; false: it is no time. */
static bool
seconds(const char *text, double *out)
{
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"", 1},      {"s", 1},  {"ms", 1e-3}, {"us", 1e-6},
                 {"ns", 1e-9}, {"m", 60}, {"h", 3600}};
    char *end;
    const double value = strtod(text, &end);
    size_t i;

    for (i = 0; end != text && i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(end, units[i].unit) != 0)
            continue;
        *out = value * units[i].seconds;
        return *out >= 0; /* not a NAN either */
    }
    return false;
}

uint64_t
bench_value_duration_ns(const char *name, const char *text)
{
    double value;

    if (!seconds(text, &value) || value < DURATION_MIN_S || value > DURATION_MAX_S)
        bench_usage(name, text, "1ms to 168h are allowed, as in 500ms, 2s or 1m");
    return (uint64_t)(value * 1e9);
}

enum bench_wait
bench_value_wait(const char *text)
{
    int wait;

    for (wait = BENCH_WAIT_SPIN; wait <= BENCH_WAIT_ADAPTIVE; wait++)
        if (strcmp(text, bench_wait_names[wait]) == 0)
            return (enum bench_wait)wait;
    bench_usage("--wait", text, "spin, yield, block or adaptive are allowed");
}

/* ----------------------------------------------------------------------------------------- CPUs */

void
bench_default_cpus(bench_options *out, bool same)
{
    const int count = bench_cpus_allowed(out->cpus, 2);

    if (same && count > 0)
        out->cpus[1] = out->cpus[0];
    else if (count < 2) {
        fputs("ringbench: this process may use one CPU only, and two are measured: see taskset(1), "
              "or the container's CPU limit; --cpus same measures on one\n",
              stderr);
        exit(BENCH_EXIT_MACHINE);
    }
}

void
bench_value_cpus(bench_options *out, const char *text)
{
    int allowed[CPUS_MAX], count = bench_cpus_allowed(allowed, CPUS_MAX), side, i;
    uint64_t given[2] = {0, 0};
    const char *end = text;
    char message[160];
    size_t used;

    if (strcmp(text, "same") == 0 || strcmp(text, "cross") == 0) {
        bench_default_cpus(out, strcmp(text, "same") == 0);
        return;
    }
    if (number(text, &end, 1000, &given[0]) && *end == ',' &&
        number(end + 1, &end, 1000, &given[1]) && *end == '\0') {
        for (side = 0; side < 2; side++)
            for (i = 0, out->cpus[side] = -1; i < count && i < CPUS_MAX; i++)
                if ((uint64_t)allowed[i] == given[side])
                    out->cpus[side] = allowed[i];
        if (out->cpus[0] >= 0 && out->cpus[1] >= 0)
            return;
    }
    used = (size_t)snprintf(message, sizeof message,
                            "same, cross or two CPUs are allowed, as in 0,1; this process may use");
    for (i = 0; i < count && i < 8; i++)
        used += (size_t)snprintf(message + used, sizeof message - used, " %d", allowed[i]);
    bench_usage("--cpus", text, message);
}

/* ------------------------------------------------------------------------- percentiles, limits */

void
bench_value_percentiles(bench_options *out, const char *text)
{
    const char *at = text;
    double last = -1;

    for (out->percentile_count = 0; out->percentile_count < BENCH_PERCENTILES_MAX; at++) {
        char *end;
        const double percent = strtod(at, &end);

        if (end == at || !(percent > last && percent < 100))
            break;
        out->percentiles[out->percentile_count].percent = last = percent;
        snprintf(out->percentiles[out->percentile_count].key, sizeof out->percentiles[0].key,
                 "p%.8g_ns", percent);
        out->percentile_count++;
        at = end;
        if (*at == '\0')
            return;
        if (*at != ',')
            break;
    }
    bench_usage("--percentiles", text,
                "up to 12 growing numbers from 0 to below 100 are allowed, as in 50,99,99.9");
}

/* A plain number, or a time: then in nanoseconds. */
static bool
limit_value(const char *text, double *out)
{
    char *end;

    *out = strtod(text, &end);
    if (end != text && *end == '\0')
        return *out >= 0;
    if (!seconds(text, out))
        return false;
    *out *= 1e9;
    return true;
}

void
bench_value_limits(bench_options *out, const char *text)
{
    char copy[512], *rest = copy, *item;

    snprintf(copy, sizeof copy, "%s", text);
    out->limit_count = 0;
    while ((item = strsep(&rest, ",")) != NULL) {
        char *equals = strchr(item, '=');
        bench_limit *limit = &out->limits[out->limit_count];

        if (equals == NULL || equals == item || out->limit_count == BENCH_LIMITS_MAX ||
            (size_t)(equals - item) >= sizeof limit->key || !limit_value(equals + 1, &limit->value))
            bench_usage("--fail-above", text,
                        "figures and their limits are allowed, as in "
                        "p99=2us,ratio=1.3,late_looks=0");
        *equals = '\0';
        snprintf(limit->key, sizeof limit->key, "%s", item);
        out->limit_count++;
    }
}
