/* SPDX-License-Identifier: MIT */
/*
 * test_fence.c - the two fences of wake.c (F1, F2): a sleeper that announces itself and a waker that
 * publishes, at the same moment, cannot both miss each other.
 */
#include "check.h"
#include "pin.h"
#include "ringbridge_wire.h"
#include "wake.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A round shows something when the sleeper looks right at the moment of the waker's publishing, and
 * when that is depends on the machine. So each look that came too late makes the next one earlier,
 * and the other way round: without the sleeper's fence one round in 10 to 40 was lost, without the
 * waker's one in 600 to 3000. */
enum { ROUNDS = 1000000, SPREAD = 32, LINES = 8 };
#define ENOUGH_NS (15 * RBR_SECOND)

typedef struct meeting {
    struct rbr_segment_shared *shared;
    rbr_wake sleeper, waker;
    _Atomic uint32_t ready, done; /* rounds that the waker has begun and ended */
    _Atomic bool stop;
    /* What is published: lines that the sleeper has read, so that the waker's stores take their time,
     * and the tail's waits behind them. That is the moment at which a load may overtake it. */
    _Atomic uint32_t record[LINES][RBR_LINE / sizeof(uint32_t)];
} meeting;

static void
pause_for(uint32_t loops)
{
    volatile uint32_t i;

    for (i = 0; i < loops; i++)
        ;
}

/* Spins, or the moments would not be the same. */
static void
await(_Atomic uint32_t *word, uint32_t value)
{
    while (atomic_load_explicit(word, memory_order_acquire) != value)
        ;
}

static void *
publish(void *argument)
{
    meeting *m = argument;
    uint32_t round, line;

    pin_to(1);
    for (round = 1;; round++) {
        atomic_store(&m->ready, round);
        await(&m->done, 2 * round - 1);
        pause_for(round % 16);
        for (line = 0; line < LINES; line++)
            atomic_store_explicit(&m->record[line][0], round, memory_order_relaxed);
        atomic_store_explicit(&m->shared->ring[0].tail, round, memory_order_release);
        rbr_wake_peer(&m->waker, RBR_WAKE_DATA);
        atomic_store(&m->done, 2 * round);
        if (atomic_load(&m->stop))
            return NULL;
    }
}

TEST_SECONDS(a_sleeper_and_a_waker_at_the_same_moment_never_miss_each_other, 120)
{
    const uint64_t end_ns = rbr_now_ns() + ENOUGH_NS;
    static meeting m;
    pthread_t thread;
    uint32_t round, line, wait = 0, met = 0, posted = 0;
    bool last = false;

    if (pin_processors() < 2)
        SKIP("one processor: there is no same moment");
    m.shared = aligned_alloc(RBR_LINE, sizeof *m.shared);
    CHECK(m.shared != NULL);
    memset(m.shared, 0, sizeof *m.shared);
    rbr_wake_init(&m.sleeper, m.shared, RBR_ROLE_WORKER, 0);
    rbr_wake_init(&m.waker, m.shared, RBR_ROLE_HOST, 0);
    CHECK(pthread_create(&thread, NULL, publish, &m) == 0);
    pin_to(0);
    for (round = 1; !last; round++) {
        bool seen;

        await(&m.ready, round);
        last = round == ROUNDS || rbr_now_ns() > end_ns;
        atomic_store(&m.stop, last); /* before "go": the waker looks at the end of the round */
        atomic_store_explicit(&m.done, 2 * round - 1, memory_order_release); /* go */
        pause_for(wait + round / 16 % SPREAD); /* the waker hears of it a little later */
        rbr_wake_announce(&m.sleeper, RBR_WAKE_DATA);
        seen = atomic_load_explicit(&m.shared->ring[0].tail, memory_order_acquire) == round;
        met += seen;
        wait = !seen ? wait + 1 : wait > 0 ? wait - 1 : 0;
        await(&m.done, 2 * round);
        posted += atomic_load(&m.shared->wake[RBR_ROLE_WORKER].hint);
        /* Neither: it would sleep now, with the data there and nobody to wake it. */
        CHECK(seen || atomic_load(&m.shared->wake[RBR_ROLE_WORKER].hint) == 1);
        atomic_store(&m.shared->wake[RBR_ROLE_WORKER].hint, 0);
        for (line = 0; line < LINES; line++)
            CHECK(atomic_load_explicit(&m.record[line][0], memory_order_relaxed) == round);
        rbr_wake_cancel(&m.sleeper);
    }
    pthread_join(thread, NULL);
    printf("%u rounds: %u seen, %u woken\n", round - 1, met, posted);
    CHECK(posted > 0);
    free(m.shared);
}
