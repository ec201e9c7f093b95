/* SPDX-License-Identifier: MIT */
/*
 * rings.c - two rings, and the four ways to wait at them.
 *
 *   spin       look again and again
 *   yield      the same, and let others run in between
 *   block      announce, look again, sleep: each time
 *   adaptive   spin for about as long as a wake-up takes, then as block: what ringbridge does
 *
 * Who spins needs no waking: then commit and release make no system call and have no fence.
 */
#include "rings.h"

#include "os.h"
#include "process.h"
#include "trace.h"

#include <unistd.h>

/* Whoever has read all that there is asks this often whether there will be more. Longer than
 * RBR_LOOK_NS: a lost wake-up would else end with our own deadline, and not be counted. */
#define LAST_LOOK_NS (250 * RBR_MS)

void
bench_rings_open(bench_rings *rings, uint32_t ring_bytes, enum bench_wait wait, uint64_t start)
{
    const uint64_t spin_ns = wait == BENCH_WAIT_ADAPTIVE ? rbr_wake_calibrate() : 0;
    rbr_error error;
    int fd, side;

    if (rbr_segment_create(&rings->segment, &fd, ring_bytes, 1, RBR_MEMORY_AUTO, &error) != RBR_OK)
        bench_die(BENCH_EXIT_MACHINE, "%s", error.text);
    close(fd); /* the other side has the mapping */
    for (side = 0; side < 2; side++) {
        struct rbr_ring_shared *to = &rings->segment.shared->ring[side];
        struct rbr_ring_shared *from = &rings->segment.shared->ring[1 - side];
        bench_end *end = &rings->ends[side];

        atomic_store(&to->tail, start);
        atomic_store(&to->head, start);
        rbr_producer_init(&end->producer, to, rings->segment.data[side], ring_bytes, start);
        rbr_consumer_init(&end->consumer, from, rings->segment.data[1 - side], ring_bytes, start);
        rbr_wake_init(&end->wake, rings->segment.shared, side, spin_ns);
        end->wait = wait;
    }
}

void
bench_rings_close(bench_rings *rings)
{
    rbr_segment_detach(&rings->segment);
}

/* At a stretch: a look at the clock costs several of them. */
enum { LOOKS = 32 };

static bool
has_data(const bench_end *end, uint32_t unused)
{
    (void)unused;
    return atomic_load_explicit(&end->consumer.shared->tail, memory_order_relaxed) !=
           end->consumer.head;
}

static bool
has_room(const bench_end *end, uint32_t bytes)
{
    return rbr_producer_has_room(&end->producer, bytes);
}

/* True: the other side came while we spun. */
static bool
spin(bench_end *end, bool (*there)(const bench_end *, uint32_t), uint32_t bytes)
{
    uint64_t until;

    rbr_wake_publish_cpu(&end->wake);
    if (end->wake.spin_ns == 0 || !rbr_wake_may_spin(&end->wake))
        return false;
    until = rbr_now_ns() + end->wake.spin_ns;
    do {
        int look;

        for (look = 0; look < LOOKS; look++) {
            if (there(end, bytes))
                return true;
            rbr_os_relax();
        }
    } while (rbr_now_ns() < until);
    return false;
}

static void
announce_and_sleep(bench_end *end, enum rbr_wake_for reason,
                   bool (*there)(const bench_end *, uint32_t), uint32_t bytes, uint64_t deadline_ns)
{
    rbr_status status;

    rbr_wake_announce(&end->wake, reason);
    if (there(end, bytes)) {
        rbr_wake_cancel(&end->wake);
        return;
    }
    bench_trace(BENCH_EVENT_SLEEP, 0);
    status = rbr_wake_sleep(&end->wake, deadline_ns);
    bench_trace(BENCH_EVENT_WOKE, (uint64_t)status);
    if (status == RBR_TIMED_OUT &&
        rbr_wake_was_forgotten(&end->wake, there(end, bytes) && rbr_now_ns() < deadline_ns))
        atomic_fetch_add_explicit(&end->wake.late_looks, 1, memory_order_relaxed);
}

/* A look that found nothing; returns when another one makes sense. */
static void
wait_for(bench_end *end, enum rbr_wake_for reason, uint32_t bytes, uint64_t deadline_ns)
{
    bool (*const there)(const bench_end *, uint32_t) = reason == RBR_WAKE_DATA ? has_data
                                                                               : has_room;

    if (end->wait == BENCH_WAIT_SPIN)
        rbr_os_relax();
    else if (end->wait == BENCH_WAIT_YIELD)
        rbr_os_yield();
    else if (!spin(end, there, bytes))
        announce_and_sleep(end, reason, there, bytes, deadline_ns);
}

void *
bench_end_claim(bench_end *end, uint32_t bytes)
{
    rbr_status status;
    void *record;

    while ((status = rbr_producer_claim(&end->producer, &record, bytes)) == RBR_AGAIN) {
        bench_end_commit(end); /* the other side must see what it shall make room of */
        if (!has_room(end, bytes))
            wait_for(end, RBR_WAKE_ROOM, bytes, RBR_FOREVER);
    }
    if (status != RBR_OK)
        bench_die(BENCH_EXIT_WRONG, "cannot write a record of %u bytes: status %d", bytes,
                  (int)status);
    return record;
}

void
bench_end_commit(bench_end *end)
{
    rbr_producer_commit(&end->producer);
    if (bench_end_may_sleep(end))
        rbr_wake_peer(&end->wake, RBR_WAKE_DATA);
}

/* As tight as the floor's loop: what stands in it is in every round trip. */
static rbr_status
next_spinning(bench_end *end, const void **record, uint32_t *bytes)
{
    rbr_status status;
    int look;

    for (look = 0; look < LOOKS; look++) {
        status = rbr_consumer_next(&end->consumer, record, bytes);
        if (status != RBR_AGAIN)
            break;
        rbr_os_relax();
    }
    return status;
}

/* The other side may wait for the room of what was read. */
static void
release_before_waiting(bench_end *end)
{
    if (end->consumer.head !=
        atomic_load_explicit(&end->consumer.shared->head, memory_order_relaxed))
        bench_end_release(end);
}

const void *
bench_end_next_until(bench_end *end, uint32_t *bytes, uint64_t deadline_ns)
{
    const void *record = NULL;
    rbr_status status;

    while ((status = end->wait == BENCH_WAIT_SPIN
                         ? next_spinning(end, &record, bytes)
                         : rbr_consumer_next(&end->consumer, &record, bytes)) == RBR_AGAIN) {
        release_before_waiting(end);
        wait_for(end, RBR_WAKE_DATA, 0, deadline_ns);
        if (deadline_ns != RBR_FOREVER && rbr_now_ns() >= deadline_ns && !has_data(end, 0))
            return NULL;
    }
    if (status != RBR_OK)
        bench_die(BENCH_EXIT_WRONG, "cannot read a record: status %d", (int)status);
    return record;
}

const void *
bench_end_next(bench_end *end, uint32_t *bytes)
{
    return bench_end_next_until(end, bytes, RBR_FOREVER);
}

const void *
bench_end_next_of(bench_end *end, uint32_t *bytes, const _Atomic uint64_t *sent, uint64_t until)
{
    const void *record = NULL;
    bool all_sent;

    /* While records come, nobody looks at the clock. */
    if (end->wait == BENCH_WAIT_SPIN && next_spinning(end, &record, bytes) == RBR_OK)
        return record;
    do {
        all_sent = atomic_load_explicit(sent, memory_order_acquire) >= until; /* before the look */
        record = bench_end_next_until(end, bytes, rbr_now_ns() + LAST_LOOK_NS);
    } while (record == NULL && !all_sent);
    return record;
}

void
bench_end_release(bench_end *end)
{
    rbr_consumer_release(&end->consumer);
    if (bench_end_may_sleep(end))
        rbr_wake_peer(&end->wake, RBR_WAKE_ROOM);
}

void
bench_end_count(const bench_end *end, bench_counts *out)
{
    out->wakes += atomic_load_explicit(&end->wake.wakes_sent, memory_order_relaxed);
    out->sleeps += atomic_load_explicit(&end->wake.sleeps, memory_order_relaxed);
    out->late_looks += atomic_load_explicit(&end->wake.late_looks, memory_order_relaxed);
}
