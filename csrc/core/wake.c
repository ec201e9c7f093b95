/* SPDX-License-Identifier: MIT */
/*
 * wake.c - wake-ups are hints, the rings' positions are the truth.
 *
 *   sleeper                                   waker
 *   waiting = reasons                         publish (ring tail or head)
 *   fence F1                                  fence F2
 *   look at the ring again                    if waiting has the reason
 *   nothing? sleep on hint                        and we are the one who clears it: post hint
 *
 * Either the sleeper's second look sees what was published, or the waker sees `waiting`: F1 and F2
 * are both sequentially consistent, so they cannot both miss. Whoever dies between two of these
 * lines leaves at worst a flag that is set (one post too many) or a post that is missing because
 * its author is dead, and a death posts for itself (watcher.c).
 *
 * The hint is a futex word, 0 or 1. A post without a sleeper stays there and costs one empty look later.
 *
 * An event loop sleeps in the kernel on an eventfd that both processes hold: its announcement is the
 * bit RBR_WAKE_EVENT, and the waker then writes the eventfd, too. Between an application and its client
 * it is a socket instead: a write to an eventfd can be made to wait by whoever else has it.
 */
#include "wake.h"

#include "os.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

void
rbr_wake_init(rbr_wake *wake, struct rbr_segment_shared *segment, int role, uint64_t spin_ns)
{
    wake->mine = &segment->wake[role];
    wake->peers = &segment->wake[1 - role];
    wake->spin_ns = spin_ns;
    rbr_wake_publish_cpu(wake);
}

void
rbr_wake_announce(rbr_wake *wake, uint32_t reasons)
{
    atomic_store_explicit(&wake->mine->waiting, reasons, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst); /* F1: pairs with F2 in rbr_wake_peer */
}

void
rbr_wake_cancel(rbr_wake *wake)
{
    atomic_store_explicit(&wake->mine->waiting, 0, memory_order_relaxed);
}

rbr_status
rbr_wake_sleep(rbr_wake *wake, uint64_t deadline_ns)
{
    const uint64_t look_ns = rbr_now_ns() + RBR_LOOK_NS;
    rbr_status status;

    atomic_fetch_add_explicit(&wake->sleeps, 1, memory_order_relaxed);
    status = rbr_os_hint_wait(&wake->mine->hint, deadline_ns < look_ns ? deadline_ns : look_ns);
    if (status != RBR_TIMED_OUT)
        rbr_wake_cancel(wake);
    return status;
}

bool
rbr_wake_was_forgotten(rbr_wake *wake, bool found)
{
    rbr_status status = RBR_OK;

    /* Who published it has not come to his fence yet, or has cleared `waiting` and is about to post:
     * then we were not forgotten, only faster. */
    if (found)
        status = rbr_os_hint_wait(&wake->mine->hint, rbr_now_ns() + RBR_POST_NS);
    return atomic_exchange_explicit(&wake->mine->waiting, 0, memory_order_relaxed) != 0 &&
           status == RBR_TIMED_OUT;
}

void
rbr_wake_add_reason(rbr_wake *wake, uint32_t reason)
{
    /* The caller has counted itself among those who want it. An announcement that overwrites the
     * reason must see that count behind its F1: so the count is ordered before the reason, fully. */
    atomic_thread_fence(memory_order_seq_cst);
    /* When nobody sleeps, this costs one post too many; the next announcement overwrites it. */
    atomic_fetch_or_explicit(&wake->mine->waiting, reason, memory_order_acq_rel);
    atomic_thread_fence(memory_order_seq_cst); /* F1 */
}

void
rbr_wake_peer(rbr_wake *wake, uint32_t reason)
{
    uint32_t waiting;

    atomic_thread_fence(memory_order_seq_cst); /* F2: pairs with F1 */
    if ((atomic_load_explicit(&wake->peers->waiting, memory_order_relaxed) & reason) == 0)
        return;
    waiting = atomic_exchange_explicit(&wake->peers->waiting, 0, memory_order_relaxed);
    if (waiting == 0)
        return; /* somebody else posted */
    atomic_fetch_add_explicit(&wake->wakes_sent, 1, memory_order_relaxed);
    rbr_os_hint_post(&wake->peers->hint);
    if ((waiting & RBR_WAKE_EVENT) != 0)
        rbr_wake_event(wake);
}

void
rbr_wake_event(rbr_wake *wake)
{
    const int event = atomic_load(&wake->peers_event);

    if (event < 0) /* it is on its way: who receives it calls us */
        return;
    if (wake->nudge)
        rbr_os_nudge(event);
    else
        rbr_os_event_set(event);
}

void
rbr_wake_self(rbr_wake *wake)
{
    rbr_os_hint_post(&wake->mine->hint);
}

void
rbr_wake_publish_cpu(rbr_wake *wake)
{
    const uint32_t cpu = rbr_os_cpu();

    /* The peer reads this line each time it sends: write only what changed. */
    if (atomic_load_explicit(&wake->mine->cpu, memory_order_relaxed) != cpu)
        atomic_store_explicit(&wake->mine->cpu, cpu, memory_order_relaxed);
}

bool
rbr_wake_may_spin(const rbr_wake *wake)
{
    return atomic_load_explicit(&wake->peers->cpu, memory_order_relaxed) !=
           atomic_load_explicit(&wake->mine->cpu, memory_order_relaxed);
}

/* ------------------------------------------------------------------------------- calibration */

enum { CALIBRATION_ROUNDS = 16 };

struct calibration {
    sem_t ping, pong;
};

static void *
calibration_echo(void *argument)
{
    struct calibration *pair = argument;
    int round;

    for (round = 0; round < CALIBRATION_ROUNDS; round++) {
        while (rbr_os_sem_wait(&pair->ping, rbr_now_ns() + RBR_SECOND) == RBR_INTERRUPTED)
            ;
        sem_post(&pair->pong);
    }
    return NULL;
}

static int
compare_u64(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

static uint64_t
calibrate_now(void)
{
    struct calibration pair;
    uint64_t trips[CALIBRATION_ROUNDS], cost = RBR_SPIN_MAX_NS / 2;
    unsigned long thread;
    int round;

    sem_init(&pair.ping, 0, 0);
    sem_init(&pair.pong, 0, 0);
    if (rbr_os_thread_start(&thread, calibration_echo, &pair, "ringbridge-cal", NULL) == RBR_OK) {
        for (round = 0; round < CALIBRATION_ROUNDS; round++) {
            const uint64_t start = rbr_now_ns();

            sem_post(&pair.ping);
            while (rbr_os_sem_wait(&pair.pong, start + RBR_SECOND) == RBR_INTERRUPTED)
                ;
            trips[round] = rbr_now_ns() - start;
        }
        pthread_join(thread, NULL);
        qsort(trips, CALIBRATION_ROUNDS, sizeof trips[0], compare_u64);
        cost = trips[CALIBRATION_ROUNDS / 2] / 2; /* two wake-ups a round */
    }
    sem_destroy(&pair.ping);
    sem_destroy(&pair.pong);
    if (cost > RBR_SPIN_MAX_NS)
        return RBR_SPIN_MAX_NS;
    return cost > RBR_SPIN_MIN_NS ? cost : RBR_SPIN_MIN_NS;
}

uint64_t
rbr_wake_calibrate(void)
{
    static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
    static uint64_t cost_ns = UINT64_MAX;
    uint64_t cost;

    pthread_mutex_lock(&once);
    if (cost_ns == UINT64_MAX)
        cost_ns = calibrate_now();
    cost = cost_ns;
    pthread_mutex_unlock(&once);
    return cost;
}
