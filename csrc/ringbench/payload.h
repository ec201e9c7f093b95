/* SPDX-License-Identifier: MIT */
/*
 * payload.h - copying and reading what a record carries.
 */
#ifndef RBR_BENCH_PAYLOAD_H
#define RBR_BENCH_PAYLOAD_H

#include <stdint.h>
#include <string.h>

enum { BENCH_SMALL = 64, BENCH_LANES = 8 };

/* Bytes that differ from their neighbours. */
static inline void
bench_fill(void *bytes, uint32_t count)
{
    uint32_t i;

    for (i = 0; i < count; i++)
        ((uint8_t *)bytes)[i] = (uint8_t)(i * 37 + 11);
}

/* A size that the compiler knows needs no call of memcpy: callers with a struct have that too. */
static inline void
bench_copy(void *to, const void *from, uint32_t bytes)
{
    if (bytes == BENCH_SMALL)
        memcpy(to, from, BENCH_SMALL);
    else
        memcpy(to, from, bytes);
}

/* The same, with a number in place of the first word. Written behind the copy: a copy that begins with
 * a word just stored waits for that store. */
static inline void
bench_copy_numbered(void *to, const void *from, uint32_t bytes, uint64_t number)
{
    bench_copy(to, from, bytes);
    memcpy(to, &number, sizeof number);
}

/* Reads every word: their sum. */
static inline uint64_t
bench_sum(const uint64_t *words, uint32_t count)
{
    uint64_t sums[BENCH_LANES] = {0}, sum = 0;
    uint32_t i, lane;

    for (i = 0; i + BENCH_LANES <= count; i += BENCH_LANES)
        for (lane = 0; lane < BENCH_LANES; lane++)
            sums[lane] += words[i + lane];
    for (; i < count; i++)
        sum += words[i];
    for (lane = 0; lane < BENCH_LANES; lane++)
        sum += sums[lane];
    return sum;
}

/* The same for any number of bytes at any address. */
static inline uint64_t
bench_sum_bytes(const void *from, uint32_t bytes)
{
    enum { WORD = sizeof(uint64_t), BLOCK = BENCH_LANES * WORD };
    uint64_t sums[BENCH_LANES] = {0}, words[BENCH_LANES], sum = 0;
    const uint8_t *at = from;
    uint32_t i, lane;

    for (i = 0; i + BLOCK <= bytes; i += BLOCK) {
        memcpy(words, at + i, BLOCK);
        for (lane = 0; lane < BENCH_LANES; lane++)
            sums[lane] += words[lane];
    }
    for (; i + WORD <= bytes; i += WORD) {
        memcpy(words, at + i, WORD);
        sum += words[0];
    }
    for (; i < bytes; i++)
        sum += at[i];
    for (lane = 0; lane < BENCH_LANES; lane++)
        sum += sums[lane];
    return sum;
}

#endif
