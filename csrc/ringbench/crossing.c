/* SPDX-License-Identifier: MIT */
/*
 * crossing.c - what two sides do with a peer, the same with each.
 *
 *   round trip   here   claim, write, send, flush           --->   receive, read, check      there
 *                       receive, read, check, release       <---   claim, copy, send, flush
 *   one way      here   claim, write, send; flush at each   --->   receive, read, check;
 *                       batch                                      release at each batch
 *
 * The sender writes each payload once, into what the peer gives it; the receiver reads every byte
 * where the peer puts it. Copies between the two are the peer's own.
 *
 * The ways to wait are ours: a peer is looked at again and again, asked to block, or both. A peer that
 * knows the ways itself (ringbridge) is left to it.
 */
#include "crossing.h"

#include "payload.h"
#include "process.h"

#include "os.h"
#include "wake.h"

#include <stdlib.h>

/* ------------------------------------------------------------------------------------ waiting */

typedef void *bench_look(bench_crossing *crossing, bool may_block);

static void *
look_claim(bench_crossing *all, bool may_block)
{
    return all->peer->claim(all->state, may_block);
}

static void *
look_flush(bench_crossing *all, bool may_block)
{
    return all->peer->flush(all->state, may_block) ? all : NULL;
}

static void *
look_receive(bench_crossing *all, bool may_block)
{
    return (void *)all->peer->receive(all->state, &all->size, may_block);
}

/* A first look that found nothing; returns what is found in the end. */
static void *
wait_for(bench_crossing *all, bench_look *look)
{
    const bool adapts = all->wait == BENCH_WAIT_ADAPTIVE && !all->blocks;
    const uint64_t until = adapts ? rbr_now_ns() + all->spin_ns : RBR_FOREVER;
    void *found;

    do {
        if (all->wait == BENCH_WAIT_YIELD)
            rbr_os_yield();
        else
            rbr_os_relax();
        found = look(all, all->blocks || (adapts && rbr_now_ns() >= until));
    } while (found == NULL);
    return found;
}

/* What is there at once is the common case where it matters. */
static inline void *
claim(bench_crossing *all)
{
    void *room = all->peer->claim(all->state, all->blocks);

    return room != NULL ? room : wait_for(all, look_claim);
}

static inline void
flush(bench_crossing *all)
{
    if (!all->peer->flush(all->state, all->blocks))
        wait_for(all, look_flush);
}

static inline const uint8_t *
receive(bench_crossing *all)
{
    const void *message = all->peer->receive(all->state, &all->size, all->blocks);

    return message != NULL ? message : wait_for(all, look_receive);
}

/* ----------------------------------------------------------------------------------- messages */

/* Not what was due. */
static void
take_wrong(bench_crossing *all, bench_sequence *sequence, const uint8_t *message, bool whole)
{
    uint64_t number;

    all->wrong = true;
    memcpy(&number, message, sizeof number);
    if (whole)
        bench_sequence_take(sequence, number);
    else
        bench_sequence_corrupt(sequence);
}

static void
check(bench_crossing *all, bench_sequence *sequence, const uint8_t *message)
{
    const uint32_t head = sizeof(uint64_t);
    bool whole = false;
    uint64_t number;

    if (all->size == all->bytes) {
        memcpy(&number, message, sizeof number);
        whole = bench_sum(message, all->bytes) == number + all->sum;
        if (whole && number == sequence->next && !all->wrong) {
            sequence->next++;
            sequence->received++;
            return;
        }
    }
    if (all->size < head)
        bench_die(BENCH_EXIT_WRONG, "a message of %u bytes came as %u", all->bytes, all->size);
    take_wrong(all, sequence, message, whole);
}

static inline void
send_payload(bench_crossing *all, const void *payload, uint64_t number, bool last)
{
    bench_copy_numbered(claim(all), payload, all->bytes, number);
    all->peer->send(all->state);
    if (last)
        flush(all);
}

/* ----------------------------------------------------------------------------------- both sides */

static void
round_trip(void *context)
{
    bench_crossing *all = context;

    send_payload(all, all->source, all->numbers[BENCH_ROUND_TRIP]++, true);
    check(all, &all->shared->sequences[BENCH_ROUND_TRIP][BENCH_HERE], receive(all));
    all->peer->release(all->state);
}

static void
round_answer(void *context)
{
    bench_crossing *all = context;
    const uint8_t *message = receive(all);
    uint64_t number;

    check(all, &all->shared->sequences[BENCH_ROUND_TRIP][BENCH_THERE], message);
    memcpy(&number, message, sizeof number);
    send_payload(all, all->size == all->bytes ? message : all->source, number, true);
    all->peer->release(all->state);
}

static void
one_way_trip(void *context)
{
    bench_crossing *all = context;
    const uint64_t count = all->shared->count;
    const uint64_t end = all->numbers[BENCH_ONE_WAY] + count;
    uint32_t in_batch = 0;
    uint64_t sent;

    for (sent = 1; sent <= count; sent++) {
        const bool last = ++in_batch == all->batch || sent == count;

        send_payload(all, all->source, all->numbers[BENCH_ONE_WAY]++, last);
        in_batch = last ? 0 : in_batch;
    }
    while (atomic_load_explicit(&all->shared->received, memory_order_acquire) < end)
        rbr_os_yield(); /* a library's own thread may have to bring the last ones there */
}

static void
one_way_answer(void *context)
{
    bench_crossing *all = context;
    bench_sequence *sequence = &all->shared->sequences[BENCH_ONE_WAY][BENCH_THERE];
    const uint64_t end = all->numbers[BENCH_ONE_WAY] + all->shared->count;
    uint32_t in_batch = 0;

    while (sequence->next < end) {
        check(all, sequence, receive(all));
        if (++in_batch < all->batch)
            continue;
        all->peer->release(all->state);
        in_batch = 0;
    }
    all->peer->release(all->state);
    all->numbers[BENCH_ONE_WAY] = end;
    atomic_store_explicit(&all->shared->received, sequence->next, memory_order_release);
}

static void
count_wakes(const void *context, bench_counts *out)
{
    const bench_crossing *all = context;

    if (all->peer->count != NULL)
        all->peer->count(all->state, out);
}

/* ---------------------------------------------------------------------------------------- whole */

void
bench_crossing_open(bench_crossing *all, bench_crossing_shared *shared, const bench_peer *peer,
                    const bench_peer_setup *setup, bool one_cpu)
{
    bench_peer_setup effective = *setup;
    uint64_t number;
    int side;

    *all = (bench_crossing){.shared = shared,
                            .peer = peer,
                            .wait = setup->wait,
                            .bytes = setup->bytes,
                            .batch = peer->batches ? setup->batch : 1};
    /* Who spins on the other side's CPU keeps it from running. */
    if (setup->wait == BENCH_WAIT_ADAPTIVE && one_cpu && !peer->waits)
        all->wait = BENCH_WAIT_BLOCK;
    else if (setup->wait == BENCH_WAIT_ADAPTIVE)
        all->spin_ns = rbr_wake_calibrate();
    all->source = malloc(setup->bytes);
    if (all->source == NULL)
        bench_die(BENCH_EXIT_MACHINE, "no %u bytes of memory", setup->bytes);
    bench_fill(all->source, setup->bytes);
    memcpy(&number, all->source, sizeof number);
    all->sum = bench_sum(all->source, setup->bytes) - number;
    for (side = 0; side < BENCH_SIDES; side++) {
        bench_sequence_begin(&shared->sequences[BENCH_ROUND_TRIP][side], 0);
        bench_sequence_begin(&shared->sequences[BENCH_ONE_WAY][side], 0);
    }
    effective.wait = all->wait;
    all->blocks = all->wait == BENCH_WAIT_BLOCK || peer->waits;
    all->state = peer->open(&effective);
}

void
bench_crossing_legs(bench_leg legs[BENCH_CROSSINGS], bench_crossing *all, const char *name)
{
    const bench_leg leg = {.name = name, .count = count_wakes, .context = all};

    legs[BENCH_ROUND_TRIP] = leg;
    legs[BENCH_ROUND_TRIP].kind = "round trip";
    legs[BENCH_ROUND_TRIP].trip = round_trip;
    legs[BENCH_ROUND_TRIP].answer = round_answer;
    legs[BENCH_ONE_WAY] = leg;
    legs[BENCH_ONE_WAY].kind = "one way";
    legs[BENCH_ONE_WAY].trip = one_way_trip;
    legs[BENCH_ONE_WAY].answer = one_way_answer;
}

void
bench_crossing_settle(bench_crossing *all)
{
    bench_sequence(*sequences)[BENCH_SIDES] = all->shared->sequences;

    bench_sequence_end(&sequences[BENCH_ROUND_TRIP][BENCH_HERE], all->numbers[BENCH_ROUND_TRIP]);
    bench_sequence_end(&sequences[BENCH_ROUND_TRIP][BENCH_THERE], all->numbers[BENCH_ROUND_TRIP]);
    bench_sequence_end(&sequences[BENCH_ONE_WAY][BENCH_THERE], all->numbers[BENCH_ONE_WAY]);
}

void
bench_crossing_close(bench_crossing *all)
{
    all->peer->close(all->state);
    free(all->source);
}
