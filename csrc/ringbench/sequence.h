/* SPDX-License-Identifier: MIT */
/*
 * sequence.h - what became of numbered messages: lost, duplicated, reordered, corrupt. See sequence.c.
 */
#ifndef RBR_BENCH_SEQUENCE_H
#define RBR_BENCH_SEQUENCE_H

#include <stddef.h>
#include <stdint.h>

/* How far behind the newest number a late one still counts as reordered, not as duplicated. */
#define BENCH_SEQUENCE_WINDOW 4096

typedef struct bench_sequence {
    uint64_t next; /* the number that should come now */
    uint64_t received;
    uint64_t lost, duplicated, reordered, corrupt;
    uint64_t missing[BENCH_SEQUENCE_WINDOW / 64]; /* of the last ones before `next`: bits */
} bench_sequence;

void bench_sequence_begin(bench_sequence *sequence, uint64_t first);
/* A message with this number has come whole. */
void bench_sequence_take(bench_sequence *sequence, uint64_t number);
/* A message has come that is not what was sent: its number cannot be trusted either. */
void bench_sequence_corrupt(bench_sequence *sequence);
/* `end` numbers were sent: those that never came are lost. */
void bench_sequence_end(bench_sequence *sequence, uint64_t end);

/* A message of `bytes` that `number` and `seed` make: its number, random words, a checksum over all of
 * it. */
#define BENCH_SEQUENCE_BYTES_MIN 16
void bench_sequence_fill(void *message, uint32_t bytes, uint64_t number, uint64_t seed);
/* The number of a message that is as it was filled; UINT64_MAX: it is not. */
uint64_t bench_sequence_check(const void *message, uint32_t bytes, uint64_t seed);

/* A generator that is good enough for sizes and payloads (splitmix64, Steele et al. 2014). */
static inline uint64_t
bench_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

#endif
