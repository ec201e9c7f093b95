/* SPDX-License-Identifier: MIT */
/*
 * test_cancel.c - which calls were cancelled, which one runs, and a cancel that arrives at the very
 * moment when its call begins.
 *
 * The worker's main thread stores which call runs and then looks for cancels; the watcher stores
 * the cancel and then looks which call runs. One of the two must see the other's store: with weaker
 * orders neither did, and the cancel was lost. watcher.c is compiled into this file, for the
 * function that its thread calls.
 */
#include "watcher.c" /* NOLINT(bugprone-suspicious-include): on purpose, see above */

#include "channel_pair.h"
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
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    CHECK(pthread_sigmask(SIG_BLOCK, &interrupt, NULL) == 0);
    rbr_channel_set_running(channel, 0, 0); /* this thread runs the calls */
    CHECK(pthread_create(&thread, NULL, cancel_each_round, &m) == 0);
    pin_to(0);
    for (round = 1; (round <= ROUNDS || close < CLOSE_ROUNDS) && rbr_now_ns() < end_ns; round++) {
        bool seen, interrupted;

        CHECK(await(&m, &m.ready, round));
        atomic_store_explicit(&m.done, 2 * round - 1, memory_order_release); /* go */
        pause_for(round / 8 % 32);
        rbr_channel_set_running(channel, 0, CALL_ID);
        seen = rbr_channel_cancelled(channel, CALL_ID) == 2;
        CHECK(await(&m, &m.done, 2 * round));
        interrupted = was_interrupted(&interrupt);
        CHECK(seen || interrupted);
        before += seen;
        during += interrupted;
        close += seen && interrupted;
        rbr_channel_set_running(channel, 0, 0);
        atomic_store(&channel->watch.cancelled[CALL_ID % RBR_CANCELLED_MAX], 0);
        atomic_store(&channel->watch.any_cancelled, false);
    }
    atomic_store(&m.stop, true);
    pthread_join(thread, NULL);
    printf("%u rounds: %u seen at the start, %u interrupted, %u both\n", round - 1, before, during,
           close);
    CHECK(during > 0);
    free(channel);
}

/* --------------------------------------------------------------------------------- what is remembered */

TEST(a_cancel_is_asked_for_or_hard_and_stays_hard)
{
    rbr_channel *channel = calloc(1, sizeof *channel);

    CHECK(channel != NULL);
    CHECK(rbr_channel_cancelled(channel, 7) == 0);
    remember_cancel(channel, 7, false);
    CHECK(rbr_channel_cancelled(channel, 7) == 1);
    remember_cancel(channel, 7, true);
    CHECK(rbr_channel_cancelled(channel, 7) == 2);
    remember_cancel(channel, 7, false); /* asked for again, by somebody else */
    CHECK(rbr_channel_cancelled(channel, 7) == 2);
    CHECK(rbr_channel_cancelled(channel, 8) == 0 && rbr_channel_cancelled(channel, 0) == 0);
    free(channel);
}

TEST(of_two_calls_that_share_a_place_the_newest_cancel_counts_and_no_other_call_is_cancelled)
{
    rbr_channel *channel = calloc(1, sizeof *channel);
    const uint64_t id = 5, later = id + RBR_CANCELLED_MAX;
    uint64_t i;

    CHECK(channel != NULL);
    remember_cancel(channel, id, true);
    CHECK(rbr_channel_cancelled(channel, later) == 0);
    remember_cancel(channel, later, false);
    CHECK(rbr_channel_cancelled(channel, later) == 1 && rbr_channel_cancelled(channel, id) == 0);
    for (i = 1; i <= RBR_CANCELLED_MAX; i++) /* as many at once as there are places */
        remember_cancel(channel, 100 + i, i % 2 == 0);
    for (i = 1; i <= RBR_CANCELLED_MAX; i++)
        CHECK(rbr_channel_cancelled(channel, 100 + i) == 1 + (i % 2 == 0));
    CHECK(rbr_channel_cancelled(channel, 100 + i) == 0);
    free(channel);
}

/* ------------------------------------------------------------------------------ which call is running */

/* "Runs" each call that comes; the second one ends it. */
static void
run_and_die(rbr_channel *channel)
{
    rbr_message *message;
    int calls;

    for (calls = 0; rbr_channel_receive(channel, &message, 0, in_ms(15000)) == RBR_OK; calls++) {
        const uint64_t id = rbr_message_id(message);

        switch (calls) {
        case 0: /* 41 runs */
            rbr_channel_set_running(channel, 0, id);
            break;
        case 1: /* 42 within it */
            rbr_channel_set_running(channel, 1, id);
            break;
        case 2: /* 42 has ended, and 41 goes on */
            rbr_channel_set_running(channel, 1, 0);
            rbr_channel_set_running(channel, 0, 41);
            break;
        default: /* 44 within it */
            rbr_channel_set_running(channel, 1, id);
            raise(SIGKILL);
        }
    }
}

static void
await_running(rbr_channel *host, uint64_t id, bool running)
{
    const uint64_t until = in_ms(15000);

    while (rbr_channel_peer_runs(host, id) != running) {
        CHECK(rbr_now_ns() < until);
        rbr_os_yield();
    }
}

TEST(a_host_can_tell_which_calls_its_worker_runs_also_after_its_death)
{
    channel_pair pair;
    rbr_exit result;

    pair_open(&pair, NULL, run_and_die);
    CHECK(!rbr_channel_peer_runs(pair.host, 0) && !rbr_channel_peer_runs(pair.host, 41));
    pair_send_call(pair.host, 41);
    await_running(pair.host, 41, true);
    CHECK(!rbr_channel_peer_runs(pair.host, 42) && !rbr_channel_peer_began(pair.host, 42));
    pair_send_call(pair.host, 42);
    await_running(pair.host, 42, true);
    CHECK(rbr_channel_peer_runs(pair.host, 41)); /* it waits for what 42 does */
    pair_send_call(pair.host, 43);
    await_running(pair.host, 42, false);
    CHECK(rbr_channel_peer_runs(pair.host, 41) && rbr_channel_peer_began(pair.host, 42));
    pair_send_call(pair.host, 44);
    CHECK(rbr_channel_wait_end(pair.host, &result, in_ms(15000)) == RBR_OK && result.signalled);
    CHECK(rbr_channel_peer_runs(pair.host, 41) && rbr_channel_peer_runs(pair.host, 44));
    rbr_channel_close(pair.host);
    CHECK(rbr_channel_peer_runs(pair.host, 44)); /* until the last release */
    rbr_channel_release(pair.host);
}

static volatile sig_atomic_t interrupts;

static void
count_interrupt(int signal_number)
{
    (void)signal_number;
    interrupts++;
}

static void
hear_the_third_interrupt(rbr_channel *channel)
{
    const uint64_t until = in_ms(15000);
    rbr_message *message;

    signal(SIGINT, count_interrupt);
    CHECK(rbr_channel_receive(channel, &message, 0, until) == RBR_OK);
    rbr_channel_set_running(channel, 0, rbr_message_id(message));
    while (interrupts < 3 && rbr_now_ns() < until)
        rbr_os_yield();
    CHECK(interrupts == 3); /* the first two might have come at a bad moment */
    rbr_channel_interrupt_heard(channel);
    usleep(100000);
    CHECK(interrupts == 3);
    rbr_message_free(message);
    rbr_channel_set_running(channel, 0, 0);
    while (rbr_channel_receive(channel, &message, 0, until) == RBR_OK)
        rbr_message_free(message);
}

TEST(an_interrupt_comes_again_until_it_is_heard)
{
    channel_pair pair;

    pair_open(&pair, NULL, hear_the_third_interrupt);
    pair_send_call(pair.host, 41);
    await_running(pair.host, 41, true);
    CHECK(rbr_channel_cancel(pair.host, 41, true) == RBR_OK);
    await_running(pair.host, 41, false);
    pair_close(&pair);
}

static void
go_on_after_a_nested_call(rbr_channel *channel)
{
    rbr_message *message;

    rbr_channel_set_running(channel, 0, 41);
    rbr_channel_set_running(channel, 1, 41 + RBR_BEGUN_MAX);
    rbr_channel_set_running(channel, 1, 0);
    rbr_channel_set_running(channel, 0, 41);
    while (rbr_channel_receive(channel, &message, 0, in_ms(15000)) == RBR_OK)
        rbr_message_free(message);
}

TEST(a_call_that_goes_on_does_not_make_a_nested_one_look_as_if_it_had_not_begun)
{
    channel_pair pair;

    pair_open(&pair, NULL, go_on_after_a_nested_call);
    await_running(pair.host, 41, true);
    CHECK(rbr_channel_peer_began(pair.host, 41 + RBR_BEGUN_MAX));
    CHECK(!rbr_channel_peer_began(pair.host, 41 + 2 * RBR_BEGUN_MAX));
    pair_close(&pair);
}
