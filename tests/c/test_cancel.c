/* SPDX-License-Identifier: MIT */
/*
 * test_cancel.c - a cancel that arrives at the very moment when its call begins.
 *
 * The worker's main thread stores which call runs and then looks for cancels; the watcher stores
 * the cancel and then looks which call runs. One of the two must see the other's store: with weaker
 * orders neither did, and the cancel was lost. watcher.c is compiled into this file, for the
 * function that its thread calls.
 */
#include "watcher.c" /* NOLINT(bugprone-suspicious-include): on purpose, see above */

#include "check.h"
#include "pin.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* Lost once in some hundred close rounds when the order is wrong: those in which both sides saw the
 * other. How many are close depends on who else wants the processors, so it goes on until there were
 * enough. */
enum { ROUNDS = 100000, CLOSE_ROUNDS = 5000 };
#define ENOUGH_NS (15 * RBR_SECOND)
#define CALL_ID 7

typedef struct meeting {
    rbr_channel *channel;
    _Atomic uint32_t ready, done; /* round numbers */
    atomic_bool stop;
} meeting;

/* False: stopped. It spins, or the moments would not be the same. */
static bool
await(meeting *m, const _Atomic uint32_t *number, uint32_t value)
{
    while (atomic_load_explicit(number, memory_order_acquire) != value) {
        if (atomic_load(&m->stop))
            return false;
        rbr_os_relax();
    }
    return true;
}

static void
pause_for(uint32_t turns)
{
    while (turns-- > 0)
        rbr_os_relax();
}

static void *
cancel_each_round(void *argument)
{
    meeting *m = argument;
    uint32_t round;

    pin_to(1);
    for (round = 1; !atomic_load(&m->stop); round++) {
        atomic_store_explicit(&m->ready, round, memory_order_release);
        if (!await(m, &m->done, 2 * round - 1))
            return NULL;
        pause_for(round % 8);
        remember_cancel(m->channel, CALL_ID, true);
        atomic_store_explicit(&m->done, 2 * round, memory_order_release);
    }
    return NULL;
}

/* SIGINT is blocked: what was sent to this thread is pending, and is taken here. */
static bool
was_interrupted(const sigset_t *interrupt)
{
    const struct timespec at_once = {0, 0};

    return sigtimedwait(interrupt, NULL, &at_once) == SIGINT;
}

TEST_SECONDS(a_cancel_at_the_moment_when_its_call_begins_is_not_lost, 60)
{
    const uint64_t end_ns = rbr_now_ns() + ENOUGH_NS;
    rbr_channel *channel = calloc(1, sizeof *channel);
    meeting m = {.channel = channel};
    uint32_t round, before = 0, during = 0, close = 0;
    sigset_t interrupt;
    pthread_t thread;

    if (pin_processors() < 2)
        SKIP("one processor: there is no same moment");
    CHECK(channel != NULL);
    pthread_mutex_init(&channel->watch.cancel_lock, NULL);
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    CHECK(pthread_sigmask(SIG_BLOCK, &interrupt, NULL) == 0);
    rbr_channel_set_running(channel, 0); /* this thread runs the calls */
    CHECK(pthread_create(&thread, NULL, cancel_each_round, &m) == 0);
    pin_to(0);
    for (round = 1; (round <= ROUNDS || close < CLOSE_ROUNDS) && rbr_now_ns() < end_ns; round++) {
        bool seen, interrupted;

        CHECK(await(&m, &m.ready, round));
        atomic_store_explicit(&m.done, 2 * round - 1, memory_order_release); /* go */
        pause_for(round / 8 % 32);
        rbr_channel_set_running(channel, CALL_ID);
        seen = rbr_channel_cancelled(channel, CALL_ID);
        CHECK(await(&m, &m.done, 2 * round));
        interrupted = was_interrupted(&interrupt);
        CHECK(seen || interrupted);
        before += seen;
        during += interrupted;
        close += seen && interrupted;
        rbr_channel_set_running(channel, 0);
        channel->watch.cancelled[0] = 0;
        atomic_store(&channel->watch.cancelled_count, 0);
    }
    atomic_store(&m.stop, true);
    pthread_join(thread, NULL);
    printf("%u rounds: %u seen at the start, %u interrupted, %u both\n", round - 1, before, during,
           close);
    CHECK(during > 0);
    pthread_mutex_destroy(&channel->watch.cancel_lock);
    free(channel);
}
