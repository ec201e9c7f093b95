/* SPDX-License-Identifier: MIT */
/*
 * slots.h - payloads in slots of shared memory, with two counters and nothing else: what two CPUs can
 * do at best. See slots.c.
 */
#ifndef RBR_BENCH_SLOTS_H
#define RBR_BENCH_SLOTS_H

#include "duo.h"

#include <stdbool.h>
#include <stdint.h>

/* Of one leg. */
typedef struct bench_slots {
    struct bench_slots_shared *shared;
    uint8_t *memory;
    uint64_t count; /* of slots, a power of two */
    uint32_t bytes, batch;
    bool one_cpu;
    const void *source; /* the payload, but for its first word */
    uint64_t rest;      /* the sum of that */
    uint64_t sequence;  /* the next payload; by side */
    uint64_t read_ns, reads; /* of the crossing, at its reading side */
} bench_slots;

/* `memory`: shared between the sides, `room` bytes; legs that take turns may have the same. */
void bench_slots_open(bench_slots *slots, uint8_t *memory, uint64_t room, uint32_t bytes,
                      uint32_t batch, const void *source, bool one_cpu);
void bench_slots_close(bench_slots *slots);
/* Payloads of the trips that follow; by the first side, between trips. */
void bench_slots_trips(bench_slots *slots, uint64_t payloads);

/* Both sides at once: one fills slots in batches, the other reads them. */
void bench_slots_stream_leg(bench_leg *leg, bench_slots *slots);
/* In turn: the other side fills slots and waits; then this side reads them. Only the reading is timed,
 * in read_ns: how fast lines cross when nobody writes meanwhile. */
void bench_slots_crossing_leg(bench_leg *leg, bench_slots *slots);

#endif
