/* SPDX-License-Identifier: MIT */
/*
 * histogram.h - how often each time was seen, to 1 part in 128, whatever its size. See histogram.c.
 */
#ifndef RBR_BENCH_HISTOGRAM_H
#define RBR_BENCH_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define BENCH_SUB_BITS 7
#define BENCH_SUB_BUCKETS (1u << BENCH_SUB_BITS)
#define BENCH_BUCKETS ((64 - BENCH_SUB_BITS + 1) * BENCH_SUB_BUCKETS)

typedef struct bench_histogram {
    uint64_t total;
    uint64_t min, max; /* exact; 0 while empty */
    double sum;
    uint64_t counts[BENCH_BUCKETS];
} bench_histogram;

void bench_histogram_clear(bench_histogram *histogram);
void bench_histogram_record(bench_histogram *histogram, uint64_t value);
void bench_histogram_record_many(bench_histogram *histogram, uint64_t value, uint64_t count);
void bench_histogram_add(bench_histogram *histogram, const bench_histogram *other);
double bench_histogram_mean(const bench_histogram *histogram);

/* The smallest value that `percent` (0 to 100) of all values do not exceed: the upper end of its
 * bucket, and never more than the maximum. 0 while empty. */
uint64_t bench_histogram_percentile(const bench_histogram *histogram, double percent);

/* The bucket of a value, and the largest value of a bucket. */
size_t bench_histogram_bucket(uint64_t value);
uint64_t bench_histogram_bucket_top(size_t bucket);

#endif
