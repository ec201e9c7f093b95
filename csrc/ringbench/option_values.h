/* SPDX-License-Identifier: MIT */
/*
 * option_values.h - what stands behind an option, from text. See option_values.c.
 *
 * Each ends the program with 2, and a message that says what is allowed, when the text is wrong.
 */
#ifndef RBR_BENCH_OPTION_VALUES_H
#define RBR_BENCH_OPTION_VALUES_H

#include "bench.h"

_Noreturn void bench_usage(const char *what, const char *given, const char *allowed);

/* With an optional suffix K, M or G: powers of `base`. */
uint64_t bench_value_number(const char *name, const char *text, unsigned base, uint64_t least,
                            uint64_t most);
uint64_t bench_value_duration_ns(const char *name, const char *text);
enum bench_wait bench_value_wait(const char *text);
void bench_value_sizes(bench_options *out, const char *text);
void bench_value_cpus(bench_options *out, const char *text);
void bench_value_percentiles(bench_options *out, const char *text);
void bench_value_limits(bench_options *out, const char *text);

/* --cpus cross, or same: the first two CPUs that are allowed, or the first one. */
void bench_default_cpus(bench_options *out, bool same);

#endif
