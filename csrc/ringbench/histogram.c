/* SPDX-License-Identifier: MIT */
/*
 * histogram.c - log-linear: each power of two is cut into 128 equal buckets.
 *
 *   value      0 .. 127   128 .. 255   256 .. 511   512 .. 1023  ...
 *   width          1           1            2            4
 *   buckets       128         128          128          128           58 rows for all 64 bits
 *
 * So a bucket is never wider than its value / 128, recording is a shift and an increment, and two
 * histograms add up bucket by bucket. Nothing is clipped.
 */
#include "histogram.h"

#include <math.h>
#include <string.h>

void
bench_histogram_clear(bench_histogram *histogram)
{
    memset(histogram, 0, sizeof *histogram);
}

size_t
bench_histogram_bucket(uint64_t value)
{
    unsigned shift;

    if (value < BENCH_SUB_BUCKETS)
        return (size_t)value;
    shift = 63u - (unsigned)__builtin_clzll(value) - BENCH_SUB_BITS;
    /* value >> shift is in [128, 256): its leading one picks the next row. */
    return (size_t)shift * BENCH_SUB_BUCKETS + (size_t)(value >> shift);
}

uint64_t
bench_histogram_bucket_top(size_t bucket)
{
    unsigned shift;

    if (bucket < BENCH_SUB_BUCKETS)
        return bucket;
    shift = (unsigned)(bucket / BENCH_SUB_BUCKETS - 1);
    /* The last one wraps to UINT64_MAX, as it should. */
    return ((bucket % BENCH_SUB_BUCKETS + BENCH_SUB_BUCKETS + 1) << shift) - 1;
}

void
bench_histogram_record_many(bench_histogram *histogram, uint64_t value, uint64_t count)
{
    if (histogram->total == 0 || value < histogram->min)
        histogram->min = value;
    if (value > histogram->max)
        histogram->max = value;
    histogram->total += count;
    histogram->sum += (double)value * (double)count;
    histogram->counts[bench_histogram_bucket(value)] += count;
}

void
bench_histogram_record(bench_histogram *histogram, uint64_t value)
{
    bench_histogram_record_many(histogram, value, 1);
}

void
bench_histogram_add(bench_histogram *histogram, const bench_histogram *other)
{
    size_t bucket;

    if (other->total == 0)
        return;
    if (histogram->total == 0 || other->min < histogram->min)
        histogram->min = other->min;
    if (other->max > histogram->max)
        histogram->max = other->max;
    histogram->total += other->total;
    histogram->sum += other->sum;
    for (bucket = 0; bucket < BENCH_BUCKETS; bucket++)
        histogram->counts[bucket] += other->counts[bucket];
}

double
bench_histogram_mean(const bench_histogram *histogram)
{
    return histogram->total == 0 ? 0.0 : histogram->sum / (double)histogram->total;
}

uint64_t
bench_histogram_percentile(const bench_histogram *histogram, double percent)
{
    /* 99.9 is not a binary fraction: without the small step back, 99.9 % of 1000 would be 1000. */
    const double wanted = ceil(percent / 100.0 * (double)histogram->total * (1.0 - 1e-12));
    const uint64_t rank = wanted < 1.0 ? 1 : (uint64_t)wanted;
    uint64_t seen = 0, top;
    size_t bucket;

    if (histogram->total == 0)
        return 0;
    for (bucket = 0; bucket < BENCH_BUCKETS; bucket++) {
        seen += histogram->counts[bucket];
        if (seen < rank)
            continue;
        top = bench_histogram_bucket_top(bucket);
        return top < histogram->max ? top : histogram->max;
    }
    return histogram->max;
}
