/* SPDX-License-Identifier: MIT */
/*
 * counts.h - what a stretch of work took from the machine, and what its wake-ups counted. See
 * counts.c.
 */
#ifndef RBR_BENCH_COUNTS_H
#define RBR_BENCH_COUNTS_H

#include <stdint.h>

typedef struct bench_counts {
    /* Of the calling thread. */
    uint64_t cpu_ns, page_faults, voluntary_switches, involuntary_switches;
    /* Of the calling side of a leg. */
    uint64_t wakes, sleeps;
    uint64_t late_looks; /* sleeps that only the 100 ms look ended: a lost wake-up; must be 0 */
} bench_counts;

/* The calling thread's, since it began. */
void bench_counts_of_thread(bench_counts *out);
/* The calling process's. */
void bench_counts_of_process(bench_counts *out);
void bench_counts_add(bench_counts *to, const bench_counts *more);
/* to - before */
bench_counts bench_counts_since(const bench_counts *to, const bench_counts *before);

#endif
