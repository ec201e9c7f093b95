/* SPDX-License-Identifier: MIT */
/*
 * test_sequence.c - ringbench's account of numbered messages: lost, duplicated, reordered, corrupt.
 *
 * It is no part of the core library: CMakeLists.txt compiles its source into this program.
 */
#include "check.h"
#include "sequence.h"

#include <stdbool.h>

static bench_sequence sequence;

static void
take_all(const uint64_t *numbers, size_t count, uint64_t end)
{
    size_t i;

    bench_sequence_begin(&sequence, 0);
    for (i = 0; i < count; i++)
        bench_sequence_take(&sequence, numbers[i]);
    bench_sequence_end(&sequence, end);
}

static bool
counts_are(uint64_t lost, uint64_t duplicated, uint64_t reordered, uint64_t corrupt)
{
    return sequence.lost == lost && sequence.duplicated == duplicated &&
           sequence.reordered == reordered && sequence.corrupt == corrupt;
}

#define TAKE(end, ...)                                                                             \
    take_all((const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / 8, end)

TEST(what_comes_in_order_counts_as_nothing_else)
{
    TAKE(5, 0, 1, 2, 3, 4);
    CHECK(counts_are(0, 0, 0, 0));
    CHECK(sequence.received == 5 && sequence.next == 5);
}

TEST(each_fault_is_counted_as_what_it_is)
{
    TAKE(5, 0, 1, 3, 4);
    CHECK(counts_are(1, 0, 0, 0));
    TAKE(5, 0, 1, 2);
    CHECK(counts_are(2, 0, 0, 0));
    TAKE(5, 0, 1, 1, 2, 3, 4);
    CHECK(counts_are(0, 1, 0, 0));
    TAKE(5, 0, 2, 1, 3, 4);
    CHECK(counts_are(0, 0, 1, 0));
    TAKE(5, 4, 3, 2, 1, 0);
    CHECK(counts_are(0, 0, 4, 0));
    TAKE(5, 0, 2, 1, 1, 4); /* all at once */
    CHECK(counts_are(1, 1, 1, 0));
}

TEST(corrupt_message_is_not_lost_as_well)
{
    bench_sequence_begin(&sequence, 0);
    bench_sequence_take(&sequence, 0);
    bench_sequence_corrupt(&sequence);
    bench_sequence_take(&sequence, 2);
    bench_sequence_end(&sequence, 3);
    CHECK(counts_are(0, 0, 0, 1));
    CHECK(sequence.received == 3);
}

TEST(what_is_too_late_for_the_window_is_lost_and_then_a_duplicate)
{
    uint64_t number;

    bench_sequence_begin(&sequence, 0);
    for (number = 1; number <= BENCH_SEQUENCE_WINDOW; number++)
        bench_sequence_take(&sequence, number);
    CHECK(counts_are(1, 0, 0, 0));
    bench_sequence_take(&sequence, 0);
    CHECK(counts_are(1, 1, 0, 0));
}

TEST(long_gap_is_lost_without_being_walked)
{
    const uint64_t far = UINT64_C(1) << 60;

    bench_sequence_begin(&sequence, 0);
    bench_sequence_take(&sequence, far);
    CHECK(sequence.next == far + 1);
    bench_sequence_take(&sequence, far - 1);
    CHECK(sequence.reordered == 1);
    bench_sequence_end(&sequence, far + 3);
    CHECK(counts_are(far - 1 + 2, 0, 1, 0));
}

/* Against the definition, with a bit for every number. */
TEST(random_histories_agree_with_a_plain_account)
{
    enum { NUMBERS = 2000, ROUNDS = 300 };
    uint64_t state = 4711;
    int round;

    for (round = 0; round < ROUNDS; round++) {
        bool came[NUMBERS] = {false};
        uint64_t next = 0, lost = 0, duplicated = 0, reordered = 0, steps;

        bench_sequence_begin(&sequence, 0);
        for (steps = 0; steps < NUMBERS; steps++) {
            const uint64_t back = bench_random(&state) % 4 == 0 ? bench_random(&state) % 40 : 0;
            const uint64_t ahead = bench_random(&state) % 5 == 0 ? bench_random(&state) % 20 : 0;
            const uint64_t number = (next + ahead > back ? next + ahead - back : 0) % NUMBERS;

            bench_sequence_take(&sequence, number);
            duplicated += came[number];
            reordered += number < next && !came[number];
            came[number] = true;
            next = number >= next ? number + 1 : next;
        }
        bench_sequence_end(&sequence, NUMBERS);
        for (steps = 0; steps < NUMBERS; steps++)
            lost += !came[steps];
        CHECK(counts_are(lost, duplicated, reordered, 0));
    }
}

TEST(any_changed_byte_is_noticed)
{
    uint8_t message[200];
    uint32_t bytes, at;

    for (bytes = BENCH_SEQUENCE_BYTES_MIN; bytes <= sizeof message; bytes++) {
        bench_sequence_fill(message, bytes, 1000 + bytes, 7);
        CHECK(bench_sequence_check(message, bytes, 7) == 1000 + bytes);
        CHECK(bench_sequence_check(message, bytes, 8) == UINT64_MAX);
        CHECK(bench_sequence_check(message, bytes - 1, 7) == UINT64_MAX);
        for (at = 0; at < bytes; at++) {
            message[at] ^= 1;
            CHECK(bench_sequence_check(message, bytes, 7) == UINT64_MAX);
            message[at] ^= 1;
        }
    }
    CHECK(bench_sequence_check(message, 7, 7) == UINT64_MAX);
}

TEST(swapped_words_are_noticed)
{
    uint64_t message[8], word;

    bench_sequence_fill(message, sizeof message, 5, 1);
    word = message[2];
    message[2] = message[5];
    message[5] = word;
    CHECK(bench_sequence_check(message, sizeof message, 1) == UINT64_MAX);
}
