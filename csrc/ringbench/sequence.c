/* SPDX-License-Identifier: MIT */
/*
 * sequence.c - what became of numbered messages.
 *
 *   number == next    as it should be
 *   number >  next    those between are missing, so far
 *   number <  next    missing: reordered, and no longer missing; else duplicated
 *   at the end        what is missing is lost; so is what falls out of the window meanwhile
 *
 * The terms are those of RFC 4737 (reordering) and RFC 5560 (duplication): the late message is the
 * reordered one. A corrupt message takes the place of the next number, so it is not lost as well.
 */
#include "sequence.h"

#include <stdbool.h>
#include <string.h>

void
bench_sequence_begin(bench_sequence *sequence, uint64_t first)
{
    memset(sequence, 0, sizeof *sequence);
    sequence->next = first;
}

static uint64_t *
word_of(bench_sequence *sequence, uint64_t number)
{
    return &sequence->missing[number % BENCH_SEQUENCE_WINDOW / 64];
}

static bool
is_missing(bench_sequence *sequence, uint64_t number)
{
    return (*word_of(sequence, number) >> number % 64 & 1) != 0;
}

static void
set_missing(bench_sequence *sequence, uint64_t number, bool missing)
{
    const uint64_t bit = UINT64_C(1) << number % 64;

    if (missing)
        *word_of(sequence, number) |= bit;
    else
        *word_of(sequence, number) &= ~bit;
}

/* Moves `next` by one; the number that leaves the window on the other side is settled. */
static void
advance(bench_sequence *sequence, bool missing)
{
    if (is_missing(sequence, sequence->next)) /* its bit is that of next - window */
        sequence->lost++;
    set_missing(sequence, sequence->next, missing);
    sequence->next++;
}

/* All that is missing in the window is lost. */
static void
settle_window(bench_sequence *sequence)
{
    uint64_t number;

    for (number = 0; number < BENCH_SEQUENCE_WINDOW; number++)
        if (is_missing(sequence, number)) {
            sequence->lost++;
            set_missing(sequence, number, false);
        }
}

static void
miss_until(bench_sequence *sequence, uint64_t number)
{
    const uint64_t gap = number - sequence->next;

    if (gap >
        BENCH_SEQUENCE_WINDOW) { /* the first of them need not be walked: they leave it again */
        settle_window(sequence);
        sequence->lost += gap - BENCH_SEQUENCE_WINDOW;
        sequence->next = number - BENCH_SEQUENCE_WINDOW;
    }
    while (sequence->next < number)
        advance(sequence, true);
}

void
bench_sequence_take(bench_sequence *sequence, uint64_t number)
{
    sequence->received++;
    if (number >= sequence->next) {
        miss_until(sequence, number);
        advance(sequence, false);
    } else if (sequence->next - number <= BENCH_SEQUENCE_WINDOW && is_missing(sequence, number)) {
        sequence->reordered++;
        set_missing(sequence, number, false);
    } else {
        sequence->duplicated++;
    }
}

void
bench_sequence_corrupt(bench_sequence *sequence)
{
    sequence->received++;
    sequence->corrupt++;
    advance(sequence, false);
}

void
bench_sequence_end(bench_sequence *sequence, uint64_t end)
{
    if (sequence->next < end)
        miss_until(sequence, end);
    settle_window(sequence);
}

/* ------------------------------------------------------------------------------------- payload */

#define MIX UINT64_C(0x9ddfea08eb382d69)

/* Depends on each byte and its place; the last bytes count as a word of their own. */
static uint64_t
checksum(const uint8_t *bytes, uint32_t count, uint64_t seed)
{
    uint64_t sum = (seed + count) * MIX, word;
    uint32_t i;

    for (i = 0; i + sizeof word <= count; i += sizeof word) {
        memcpy(&word, bytes + i, sizeof word);
        sum = (sum ^ word) * MIX;
        sum ^= sum >> 29;
    }
    for (; i < count; i++)
        sum = (sum ^ bytes[i]) * MIX;
    return sum ^ sum >> 32;
}

void
bench_sequence_fill(void *message, uint32_t bytes, uint64_t number, uint64_t seed)
{
    const uint32_t body = bytes - (uint32_t)sizeof number;
    uint64_t state = seed ^ number * MIX, sum;
    uint8_t *to = message;
    uint32_t i;

    memcpy(to, &number, sizeof number);
    for (i = sizeof number; i < body; i += (uint32_t)sizeof number) {
        const uint64_t word = bench_random(&state);

        memcpy(to + i, &word, body - i < sizeof word ? body - i : sizeof word);
    }
    sum = checksum(to, body, seed);
    memcpy(to + body, &sum, sizeof sum);
}

uint64_t
bench_sequence_check(const void *message, uint32_t bytes, uint64_t seed)
{
    const uint8_t *from = message;
    uint64_t number, sum;

    if (bytes < BENCH_SEQUENCE_BYTES_MIN)
        return UINT64_MAX;
    sum = checksum(from, bytes - (uint32_t)sizeof sum, seed);
    if (memcmp(from + bytes - sizeof sum, &sum, sizeof sum) != 0)
        return UINT64_MAX;
    memcpy(&number, from, sizeof number);
    return number;
}
