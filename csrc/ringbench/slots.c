/* SPDX-License-Identifier: MIT */
/*
 * slots.c - bare slots and two counters: no records, no checks of who may write where, no sleeping.
 *
 *   one side                                   the other
 *   copy the payload into slots; x batch       add up all bytes, compare; x batch
 *   tail += batch                      --->    head += batch
 *
 * Payloads begin with their number, as records do. What comes torn here came so without any ring.
 */
#include "slots.h"

#include "base.h"
#include "layout.h"
#include "payload.h"
#include "process.h"

#include <stdatomic.h>

/* A part of the memory that the caches nearest to a CPU hold. */
#define CROSSING_BYTES (UINT64_C(256) << 10)

struct bench_slots_shared {
    uint64_t trip; /* payloads of the next trip; by the first side before it */
    struct rbr_ring_shared counters;
};

static void
await(const bench_slots *slots, _Atomic uint64_t *counter, uint64_t value)
{
    while (atomic_load_explicit(counter, memory_order_acquire) != value)
        bench_pause(slots->one_cpu);
}

static uint8_t *
slot_at(const bench_slots *slots, uint64_t sequence)
{
    return slots->memory + (sequence & (slots->count - 1)) * rbr_round_up(slots->bytes, 8);
}

static void
fill(const bench_slots *slots, uint64_t sequence)
{
    bench_copy_numbered(slot_at(slots, sequence), slots->source, slots->bytes, sequence);
}

static void
check(const bench_slots *slots, uint64_t sequence)
{
    const uint8_t *slot = slot_at(slots, sequence);
    uint64_t number;

    memcpy(&number, slot, sizeof number);
    if (number != sequence || bench_sum(slot, slots->bytes) != number + slots->rest)
        bench_die(BENCH_EXIT_WRONG, "slot %llu came torn, without any ring",
                  (unsigned long long)sequence);
}

/* ------------------------------------------------------------------------------- both at once */

static void
stream_trip(void *context)
{
    bench_slots *slots = context;
    struct rbr_ring_shared *shared = &slots->shared->counters;
    const uint64_t end = slots->sequence + slots->shared->trip;
    uint64_t sequence = slots->sequence, seen = sequence, until;

    while (sequence < end) {
        while (sequence - seen == slots->count) {
            seen = atomic_load_explicit(&shared->head, memory_order_acquire);
            bench_pause(slots->one_cpu);
        }
        until = sequence + slots->batch < end ? sequence + slots->batch : end;
        until = until - seen > slots->count ? seen + slots->count : until;
        for (; sequence < until; sequence++)
            fill(slots, sequence);
        atomic_store_explicit(&shared->tail, sequence, memory_order_release);
    }
    slots->sequence = end;
    await(slots, &shared->head, end);
}

static void
stream_answer(void *context)
{
    bench_slots *slots = context;
    struct rbr_ring_shared *shared = &slots->shared->counters;
    const uint64_t end = slots->sequence + slots->shared->trip;
    uint64_t sequence = slots->sequence, seen = sequence, until;

    while (sequence < end) {
        while (seen == sequence) {
            seen = atomic_load_explicit(&shared->tail, memory_order_acquire);
            bench_pause(slots->one_cpu);
        }
        until = seen - sequence > slots->batch ? sequence + slots->batch : seen;
        for (; sequence < until; sequence++)
            check(slots, sequence);
        atomic_store_explicit(&shared->head, sequence, memory_order_release);
    }
    slots->sequence = end;
}

/* ------------------------------------------------------------------------------------- in turn */

static uint64_t
crossing_payloads(const bench_slots *slots)
{
    const uint64_t fit = CROSSING_BYTES / rbr_round_up(slots->bytes, 8);

    return fit < 1 ? 1 : fit < slots->count ? fit : slots->count;
}

/* Payloads go on through the memory, so that none is read from where it was read last. */
static void
crossing_trip(void *context)
{
    bench_slots *slots = context;
    struct rbr_ring_shared *shared = &slots->shared->counters;
    const uint64_t end = slots->sequence + crossing_payloads(slots);
    uint64_t start;

    atomic_store_explicit(&shared->head, end, memory_order_release);
    await(slots, &shared->tail, end);
    start = rbr_now_ns();
    slots->reads += end - slots->sequence;
    for (; slots->sequence < end; slots->sequence++)
        check(slots, slots->sequence);
    slots->read_ns += rbr_now_ns() - start;
}

static void
crossing_answer(void *context)
{
    bench_slots *slots = context;
    struct rbr_ring_shared *shared = &slots->shared->counters;
    const uint64_t end = slots->sequence + crossing_payloads(slots);

    await(slots, &shared->head, end);
    for (; slots->sequence < end; slots->sequence++)
        fill(slots, slots->sequence);
    atomic_store_explicit(&shared->tail, end, memory_order_release);
}

/* ---------------------------------------------------------------------------------------- legs */

void
bench_slots_open(bench_slots *slots, uint8_t *memory, uint64_t room, uint32_t bytes, uint32_t batch,
                 const void *source, bool one_cpu)
{
    *slots = (bench_slots){.shared = bench_shared_new(sizeof *slots->shared),
                           .memory = memory,
                           .count = 1,
                           .bytes = bytes,
                           .batch = batch,
                           .one_cpu = one_cpu,
                           .source = source};
    uint64_t first;

    memcpy(&first, source, sizeof first);
    slots->rest = bench_sum(source, bytes) - first;
    while (2 * slots->count * rbr_round_up(bytes, 8) <= room)
        slots->count *= 2;
}

void
bench_slots_close(bench_slots *slots)
{
    bench_shared_free(slots->shared, sizeof *slots->shared);
}

void
bench_slots_trips(bench_slots *slots, uint64_t payloads)
{
    slots->shared->trip = payloads;
}

static void
make_leg(bench_leg *leg, const char *name, void (*trip)(void *), void (*answer)(void *),
         bench_slots *slots)
{
    *leg = (bench_leg){.name = name,
                       .trip = trip,
                       .answer = answer,
                       .context = slots,
                       .context_bytes = sizeof *slots};
}

void
bench_slots_stream_leg(bench_leg *leg, bench_slots *slots)
{
    make_leg(leg, "bare slots", stream_trip, stream_answer, slots);
}

void
bench_slots_crossing_leg(bench_leg *leg, bench_slots *slots)
{
    make_leg(leg, "crossing", crossing_trip, crossing_answer, slots);
}
