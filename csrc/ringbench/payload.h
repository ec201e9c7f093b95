/* SPDX-License-Identifier: MIT */
/*
 * payload.h - copying and reading what a record carries.
 */
#ifndef RBR_BENCH_PAYLOAD_H
#define RBR_BENCH_PAYLOAD_H

#include <stdint.h>
#include <string.h>

enum { BENCH_SMALL = 64 };

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

/* Reads every byte, at any address: the sum of the words, and of the bytes that are left over. Four
 * vectors at a time, written out: word by word, at 24 GB/s, it would be the adding that is measured. */
static inline uint64_t
bench_sum(const void *from, uint64_t bytes)
{
    typedef uint64_t pair __attribute__((vector_size(16)));
    typedef pair pair_anywhere __attribute__((aligned(1), may_alias));
    enum { WORD = sizeof(uint64_t), BLOCK = 4 * sizeof(pair) };
    pair a = {0}, b = {0}, c = {0}, d = {0};
    const uint8_t *at = from;
    uint64_t i, word, sum = 0;

    for (i = 0; i + BLOCK <= bytes; i += BLOCK) {
        const pair_anywhere *pairs = (const pair_anywhere *)(const void *)(at + i);

        a += pairs[0];
        b += pairs[1];
        c += pairs[2];
        d += pairs[3];
    }
    a += b + c + d;
    for (; i + WORD <= bytes; i += WORD) {
        memcpy(&word, at + i, WORD);
        sum += word;
    }
    for (; i < bytes; i++)
        sum += at[i];
    return sum + a[0] + a[1];
}

#endif
