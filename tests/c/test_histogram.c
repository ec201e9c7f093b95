/* SPDX-License-Identifier: MIT */
/*
 * test_histogram.c - ringbench's histogram: every value has its bucket, percentiles are to 1/128.
 *
 * It is no part of the core library: CMakeLists.txt compiles its source into this program.
 */
#include "check.h"
#include "histogram.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bench_histogram histogram, other;

static uint64_t
next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static int
compare_u64(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

TEST(empty_histogram_answers_zero)
{
    bench_histogram_clear(&histogram);
    CHECK(bench_histogram_percentile(&histogram, 50) == 0);
    CHECK(bench_histogram_percentile(&histogram, 100) == 0);
    CHECK(bench_histogram_mean(&histogram) == 0.0);
    CHECK(histogram.total == 0 && histogram.min == 0 && histogram.max == 0);
}

TEST(buckets_are_contiguous_and_cover_all_64_bits)
{
    size_t bucket;

    CHECK(bench_histogram_bucket(0) == 0);
    CHECK(bench_histogram_bucket(UINT64_MAX) == BENCH_BUCKETS - 1);
    CHECK(bench_histogram_bucket_top(BENCH_BUCKETS - 1) == UINT64_MAX);
    for (bucket = 0; bucket + 1 < BENCH_BUCKETS; bucket++) {
        const uint64_t top = bench_histogram_bucket_top(bucket);
        CHECK(bench_histogram_bucket(top) == bucket);
        CHECK(bench_histogram_bucket(top + 1) == bucket + 1);
    }
}

TEST(bucket_is_never_wider_than_one_part_in_128)
{
    uint64_t state = 88172645463325252u;
    int i;

    for (i = 0; i < 200000; i++) {
        const uint64_t value = next_random(&state) >> (i % 64);
        const uint64_t top = bench_histogram_bucket_top(bench_histogram_bucket(value));
        CHECK(top >= value && top - value <= value / 128);
    }
}

TEST(small_values_are_exact)
{
    uint64_t value;

    bench_histogram_clear(&histogram);
    for (value = 1; value <= 100; value++)
        bench_histogram_record(&histogram, value);
    CHECK(histogram.total == 100 && histogram.min == 1 && histogram.max == 100);
    CHECK(bench_histogram_mean(&histogram) == 50.5);
    CHECK(bench_histogram_percentile(&histogram, 0) == 1);
    CHECK(bench_histogram_percentile(&histogram, 50) == 50);
    CHECK(bench_histogram_percentile(&histogram, 90) == 90);
    CHECK(bench_histogram_percentile(&histogram, 99) == 99);
    CHECK(bench_histogram_percentile(&histogram, 99.9) == 100);
    CHECK(bench_histogram_percentile(&histogram, 100) == 100);
}

TEST(p999_of_a_thousand_is_the_999th)
{
    uint64_t value;

    bench_histogram_clear(&histogram);
    for (value = 0; value < 999; value++)
        bench_histogram_record(&histogram, 7);
    bench_histogram_record(&histogram, 1000000);
    CHECK(bench_histogram_percentile(&histogram, 99.9) == 7);
    CHECK(bench_histogram_percentile(&histogram, 99.95) == 1000000);
}

TEST(percentiles_agree_with_the_sorted_values)
{
    enum { COUNT = 20001 };
    static const double percents[] = {1, 10, 50, 90, 99, 99.9, 99.99, 100};
    static uint64_t values[COUNT];
    uint64_t state = 4242;
    size_t i;

    printf("     seed 4242\n");
    bench_histogram_clear(&histogram);
    for (i = 0; i < COUNT; i++) {
        values[i] = next_random(&state) >> (next_random(&state) % 60);
        bench_histogram_record(&histogram, values[i]);
    }
    qsort(values, COUNT, sizeof values[0], compare_u64);
    for (i = 0; i < sizeof percents / sizeof percents[0]; i++) {
        const size_t rank = (size_t)ceil(percents[i] / 100.0 * COUNT);
        const uint64_t exact = values[rank - 1];
        const uint64_t got = bench_histogram_percentile(&histogram, percents[i]);
        CHECK(got >= exact && got - exact <= exact / 128);
    }
    CHECK(histogram.min == values[0] && histogram.max == values[COUNT - 1]);
}

TEST(adding_two_is_recording_into_one)
{
    static bench_histogram whole;
    uint64_t state = 99, value;
    int i;

    bench_histogram_clear(&histogram);
    bench_histogram_clear(&other);
    bench_histogram_clear(&whole);
    bench_histogram_add(&histogram, &other); /* empty into empty: the minimum stays unset */
    CHECK(histogram.total == 0 && histogram.min == 0);
    for (i = 0; i < 5000; i++) {
        value = 100 + (next_random(&state) & 0xfffff);
        bench_histogram_record(i % 3 ? &histogram : &other, value);
        bench_histogram_record(&whole, value);
    }
    bench_histogram_add(&histogram, &other);
    /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): sums of whole numbers, never -0 */
    CHECK(memcmp(&histogram, &whole, sizeof whole) == 0);
}
