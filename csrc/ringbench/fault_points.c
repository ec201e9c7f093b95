/* SPDX-License-Identifier: MIT */
/*
 * fault_points.c - the victim ends itself, with SIGKILL, at a named point.
 *
 * The points within a send are those of a ring's producer. The victim finds its channel's ring, and
 * goes on by itself from where its channel stands:
 *
 *   before-claim   a frame is built
 *   claimed        its record is claimed and half written
 *   committed      it is visible; the other side sleeps and is not woken
 *   cleared        ... and its flag is taken away, so that nobody else would wake it
 *   woken          ... and it is woken
 *   announced      the victim says that it sleeps, and does not
 *
 * Whatever was committed must arrive, though its sender is dead; nothing else may.
 */
#include "fault_traffic.h"

#include "sequence.h"

#include "base.h"
#include "os.h"
#include "ring.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOOK_NS (20 * UINT64_C(1000))
#define ASLEEP_NS (200 * UINT64_C(1000)) /* from the announcement into the kernel */
enum { SKIP = 4 };

static const struct {
    const char *name, *what;
} points[FAULT_POINTS] = {
    [FAULT_AT_START] = {"start", "with no channel open"},
    [FAULT_AT_OPENED] = {"opened", "before the handshake"},
    [FAULT_AT_JOINED] = {"joined", "right after the handshake"},
    [FAULT_AT_BEFORE_CLAIM] = {"before-claim", "with a frame built"},
    [FAULT_AT_CLAIMED] = {"claimed", "with a record claimed and half written"},
    [FAULT_AT_COMMITTED] = {"committed",
                            "with a record committed and the sleeping reader not woken"},
    [FAULT_AT_CLEARED] = {"cleared", "the same, and the reader's flag is cleared"},
    [FAULT_AT_WOKEN] = {"woken", "right after the reader was woken"},
    [FAULT_AT_ANNOUNCED] = {"announced", "after saying that it sleeps"},
    [FAULT_AT_ASLEEP] = {"asleep", "asleep, waiting for data"},
    [FAULT_AT_FULL] = {"full", "asleep, waiting for room in a full ring"},
    [FAULT_AT_RECEIVED] = {"received", "with a message in its hands"},
    [FAULT_AT_HOLDING] = {"holding-a-block", "with a block in its hands"},
};

bool
bench_fault_is_at(const bench_fault_round *round, enum bench_fault_point point)
{
    return round->kind->variant == (int)point && bench_fault_has_point(round);
}

bool
bench_fault_has_point(const bench_fault_round *round)
{
    return round->kind->victim >= 0 && round->kind->variant != FAULT_NOWHERE;
}

static _Noreturn void
end_here(bench_fault_round *round)
{
    atomic_store(&round->board->killed_ns, rbr_now_ns());
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* -------------------------------------------------------------------------------- from outside it */

typedef struct lurker {
    bench_fault_round *round;
    rbr_segment segment;
    uint32_t reason; /* a sleep for this */
} lurker;

/* Ends the process when its main thread sleeps. */
static void *
lurk(void *argument)
{
    const lurker *own = argument;
    const struct rbr_wake_shared *mine = &own->segment.shared->wake[own->round->role];

    while ((atomic_load(&mine->waiting) & own->reason) == 0)
        bench_fault_nap(LOOK_NS);
    bench_fault_nap(ASLEEP_NS);
    end_here(own->round);
}

static void
start_lurker(bench_fault_round *round, uint32_t reason)
{
    static lurker own;
    pthread_t thread;

    own = (lurker){.round = round, .reason = reason};
    if (!bench_fault_find_segment(&own.segment, round->options->ring_bytes) ||
        pthread_create(&thread, NULL, lurk, &own) != 0)
        bench_fault_end(round, FAULT_WRONG, "no thread, or no ring to look at");
}

/* Sends until there is no more room, and sleeps then. */
static _Noreturn void
fill_ring(bench_fault_round *round, uint32_t size)
{
    const uint64_t until = rbr_now_ns() + BENCH_FAULT_HANG_NS;

    atomic_store(&round->board->quiet, true); /* the other side reads no more, or little */
    start_lurker(round, RBR_WAKE_ROOM);
    while (rbr_channel_send(round->channel, round->frame, size, NULL, 0, until, NULL) == RBR_OK)
        atomic_store(&round->board->frames, ++round->frames);
    bench_fault_end(round, FAULT_WRONG, "the ring never was full");
}

/* ------------------------------------------------------------------------------------- within it */

static bool
is_due(bench_fault_round *round)
{
    if (round->skip == 0)
        round->skip = 1 + bench_random(&round->random) % SKIP;
    return --round->skip == 0;
}

/* Until the other side sleeps; it may be about to, or wait for us in vain. */
static void
await_sleeper(struct rbr_wake_shared *theirs)
{
    const uint64_t until = rbr_now_ns() + RBR_SECOND;

    while (atomic_load(&theirs->waiting) == 0 && rbr_now_ns() < until)
        bench_fault_nap(LOOK_NS);
}

static _Noreturn void
die_sending(bench_fault_round *round, enum bench_fault_point point, uint32_t size)
{
    const int us = round->role;
    rbr_producer producer;
    rbr_segment segment;
    struct rbr_ring_shared *ring;
    struct rbr_wake_shared *wakes;
    void *record;

    if (!bench_fault_find_segment(&segment, round->options->ring_bytes))
        bench_fault_end(round, FAULT_WRONG, "no ring to write to");
    ring = &segment.shared->ring[us];
    wakes = segment.shared->wake;
    if (point == FAULT_AT_ANNOUNCED)
        atomic_store(&wakes[us].waiting, RBR_WAKE_DATA | RBR_WAKE_ROOM);
    if (point == FAULT_AT_ANNOUNCED || point == FAULT_AT_BEFORE_CLAIM)
        end_here(round);
    rbr_producer_init(&producer, ring, segment.data[us], segment.ring_bytes,
                      atomic_load(&ring->tail));
    producer.head_seen = atomic_load(&ring->head);
    while (rbr_producer_claim(&producer, &record, size) == RBR_AGAIN) /* the round has its limit */
        bench_fault_nap(LOOK_NS);
    memcpy(record, round->frame, point == FAULT_AT_CLAIMED ? size / 2 : size);
    if (point == FAULT_AT_CLAIMED)
        end_here(round);
    await_sleeper(&wakes[1 - us]);
    atomic_store(&round->board->frames, ++round->frames);
    rbr_producer_commit(&producer);
    if (point >= FAULT_AT_CLEARED)
        atomic_store(&wakes[1 - us].waiting, 0);
    if (point == FAULT_AT_WOKEN)
        rbr_os_hint_post(&wakes[1 - us].hint);
    end_here(round);
}

void
bench_fault_point(bench_fault_round *round, enum bench_fault_point point)
{
    if (round->role != round->kind->victim || !bench_fault_has_point(round))
        return;
    if (point == FAULT_AT_JOINED && bench_fault_is_at(round, FAULT_AT_ASLEEP))
        start_lurker(round, RBR_WAKE_DATA);
    if (bench_fault_is_at(round, point) && (point <= FAULT_AT_JOINED || is_due(round)))
        end_here(round);
}

/* Only what is sent as a record. */
void
bench_fault_point_in_send(bench_fault_round *round, uint32_t size)
{
    const enum bench_fault_point point = (enum bench_fault_point)round->kind->variant;

    if (round->role != round->kind->victim || !bench_fault_has_point(round) ||
        size > round->options->ring_bytes / 32)
        return;
    if (point == FAULT_AT_FULL && is_due(round))
        fill_ring(round, size);
    if (point >= FAULT_AT_BEFORE_CLAIM && point <= FAULT_AT_ANNOUNCED && is_due(round))
        die_sending(round, point, size);
}

size_t
bench_fault_point_kinds(bench_fault_kind *out)
{
    static char names[2][FAULT_POINTS][48], texts[2][FAULT_POINTS][128];
    size_t count = 0;
    int role, point;

    for (role = RBR_ROLE_WORKER; role >= RBR_ROLE_HOST; role--)
        for (point = FAULT_AT_START; point < FAULT_POINTS; point++) {
            bench_fault_kind *kind = &out[count++];
            const char *victim = role == RBR_ROLE_HOST ? "host" : "worker";

            *kind = (bench_fault_kind){.rounds = 20,
                                       .shown = 1u << FAULT_KILLS,
                                       .victim = role,
                                       .variant = point,
                                       .host = bench_fault_kill_host,
                                       .worker = bench_fault_kill_worker};
            snprintf(names[role][point], sizeof names[role][point], "kill-%s@%s", victim,
                     points[point].name);
            snprintf(texts[role][point], sizeof texts[role][point], "the %s kills itself %s",
                     victim, points[point].what);
            kind->name = names[role][point];
            kind->what = texts[role][point];
        }
    return count;
}
