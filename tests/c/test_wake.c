/* SPDX-License-Identifier: MIT */
/*
 * test_wake.c - no wake-up is lost, at the very moments at which one could be.
 *
 * What would take luck is made to happen every time: a store is trapped, or the reader role is held
 * until the others sleep. pair_close checks that nobody found work by looking; in the build
 * `.ci/test_c nolook` nobody looks.
 */
#include "channel.h"
#include "channel_pair.h"
#include "check.h"
#include "os.h"
#include "reader_role.h"

#include <signal.h>
#include <sys/mman.h>

static const rbr_channel_options small_ring = {.ring_bytes = 65536, .spin_ns = 0};

/* ----------------------------------------------------------------- published before an announcement */

/* The first store that a reader makes on its way to sleep is its announcement. The page it goes to
 * is made read-only: the store traps, the handler lets the worker act, then the store is done. */

/* Shared with the worker. */
static struct stage {
    _Atomic bool go, done;
} *stage;

static struct trap {
    rbr_channel *channel;
    void (*meanwhile)(rbr_channel *channel);
    _Atomic bool sprung;
} trap;

static void
open_pair(channel_pair *pair, void (*worker)(rbr_channel *channel))
{
    stage = check_share(sizeof *stage);
    pair_open(pair, &small_ring, worker);
}

static void
wait_until(const _Atomic bool *flag)
{
    while (!atomic_load(flag))
        rbr_os_yield();
}

static void
on_store(int number)
{
    struct rbr_segment_shared *page = trap.channel->segment.shared;

    /* A fault that is not ours comes again, and then ends the test. */
    signal(number, SIG_DFL);
    /* NOLINTNEXTLINE(bugprone-signal-handler): nothing is interrupted here but the store */
    mprotect(page, RBR_RING_DATA_OFFSET, PROT_READ | PROT_WRITE);
    trap.meanwhile(trap.channel);
    atomic_store(&trap.sprung, true);
}

/* Calls `meanwhile` right before this process's next store to the channel's header. */
static void
set_trap(rbr_channel *channel, void (*meanwhile)(rbr_channel *))
{
    trap.channel = channel;
    trap.meanwhile = meanwhile;
    CHECK(signal(SIGSEGV, on_store) != SIG_ERR);
    CHECK(mprotect(channel->segment.shared, RBR_RING_DATA_OFFSET, PROT_READ) == 0);
}

static void
send_when_told(rbr_channel *channel)
{
    alignas(8) uint8_t room[512];
    const uint32_t size = pair_build_call(room, sizeof room, 0, FUNCTION_ECHO, 0, 0);
    rbr_message *message;

    wait_until(&stage->go);
    CHECK(rbr_channel_send(channel, room, size, NULL, 0, in_ms(15000), NULL) == RBR_OK);
    atomic_store(&stage->done, true);
    /* Our end would wake the host: stay until it says goodbye. */
    while (rbr_channel_receive(channel, &message, 0, RBR_FOREVER) == RBR_INTERRUPTED)
        ;
}

static void
let_the_worker_send(rbr_channel *channel)
{
    (void)channel;
    atomic_store(&stage->go, true);
    wait_until(&stage->done);
}

/* The peer publishes before it can see that we are about to sleep, so it wakes nobody: only the
 * second look finds the frame. (A host keeps no requests: it counts the frame and drops it.) */
TEST(what_is_published_right_before_a_sleep_is_announced_is_seen)
{
    channel_pair pair;
    rbr_message *message;
    rbr_pending pending;
    rbr_stats stats;

    open_pair(&pair, send_when_told);
    rbr_pending_begin(&pending, pair.host);
    set_trap(pair.host, let_the_worker_send);
    CHECK(rbr_pending_wait(&pending, &message, 0, in_ms(50)) != RBR_OK);
    rbr_pending_end(&pending);
    rbr_channel_stats(pair.host, &stats);
    CHECK(atomic_load(&trap.sprung) && stats.frames_received == 1);
    pair_close(&pair);
}

/* -------------------------------------------------------------------------------- late, but not lost */

/* As two threads: one has cleared the announcement and not posted yet, the other publishes. */
static void
send_while_a_post_is_due(rbr_channel *channel)
{
    struct rbr_wake_shared *host = &channel->segment.shared->wake[RBR_ROLE_HOST];

    while (atomic_load(&host->waiting) == 0)
        rbr_os_yield();
    atomic_store(&host->waiting, 0);
    atomic_store(&stage->go, true);
    send_when_told(channel);
}

/* A sleeper whose time was up while the peer was about to post counted a wake-up as lost. */
TEST(a_look_that_is_faster_than_the_post_is_no_late_one)
{
    channel_pair pair;
    rbr_message *message;
    rbr_pending pending;
    rbr_stats stats;

    open_pair(&pair, send_while_a_post_is_due);
    rbr_pending_begin(&pending, pair.host);
    do {
        CHECK(rbr_pending_wait(&pending, &message, 0, in_ms(200)) == RBR_TIMED_OUT);
        rbr_channel_stats(pair.host, &stats);
    } while (stats.frames_received == 0);
    rbr_pending_end(&pending);
    pair_close(&pair);
}

/* A peer that was stopped between what it published and its look for sleepers counted as one that wakes
 * nobody: the announcement was taken back before it came to that. */
TEST(who_is_still_on_his_way_to_wake_a_sleeper_has_not_forgotten_it)
{
    static struct rbr_segment_shared shared;
    rbr_wake sleeper = {.peers_event = -1}, waker = {.peers_event = -1};
    const uint64_t now = rbr_now_ns();

    rbr_wake_init(&sleeper, &shared, RBR_ROLE_HOST, 0);
    rbr_wake_init(&waker, &shared, RBR_ROLE_WORKER, 0);
    rbr_wake_announce(&sleeper, RBR_WAKE_DATA);
    CHECK(rbr_wake_sleep(&sleeper, now) == RBR_TIMED_OUT);
    rbr_wake_peer(&waker, RBR_WAKE_DATA);
    CHECK(waker.wakes_sent == 1);
    CHECK(!rbr_wake_was_forgotten(&sleeper, true));
    rbr_wake_announce(&sleeper, RBR_WAKE_DATA);
    CHECK(rbr_wake_sleep(&sleeper, now) == RBR_TIMED_OUT);
    CHECK(rbr_wake_was_forgotten(&sleeper, true)); /* nobody comes */
    rbr_wake_announce(&sleeper, RBR_WAKE_DATA);
    CHECK(rbr_wake_sleep(&sleeper, now) == RBR_TIMED_OUT);
    CHECK(!rbr_wake_was_forgotten(&sleeper, false));
    rbr_wake_peer(&waker, RBR_WAKE_DATA);
    CHECK(waker.wakes_sent == 1); /* nobody sleeps any more */
}

/* ------------------------------------------------------------------------------------ the reader role */

typedef struct waiting_call {
    rbr_pending pending;
    uint64_t id;
    rbr_status status;
} waiting_call;

static void *
wait_for_answer(void *argument)
{
    waiting_call *call = argument;
    rbr_message *message;

    call->status = rbr_pending_wait(&call->pending, &message, 0, in_ms(10000));
    if (call->status == RBR_OK)
        rbr_message_free(message);
    return NULL;
}

/* Two threads sleep while a third reads for all. Its deadline passes, and only then are the two
 * answered: one of them must have been woken to read. */
TEST(a_reader_that_leaves_at_its_deadline_offers_the_role_to_who_sleeps)
{
    waiting_call first, others[2];
    pthread_t threads[2];
    rbr_exchange *exchange;
    rbr_message *message;
    channel_pair pair;
    int i;

    pair_open(&pair, &small_ring, pair_serve);
    exchange = &pair.host->exchange;
    rbr_pending_begin(&first.pending, pair.host);
    role_set_reading(exchange, true);
    for (i = 0; i < 2; i++) {
        others[i].id = rbr_pending_begin(&others[i].pending, pair.host);
        CHECK(pthread_create(&threads[i], NULL, wait_for_answer, &others[i]) == 0);
    }
    role_await_sleepers(exchange, 2);
    role_set_reading(exchange, false);
    CHECK(rbr_pending_wait(&first.pending, &message, 0, in_ms(20)) == RBR_TIMED_OUT);
    /* E1: the other is awake, and from then on it reads. */
    CHECK(role_count_sleepers(exchange) <= 1);
    for (i = 0; i < 2; i++)
        pair_send_call(pair.host, others[i].id);
    for (i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        CHECK(others[i].status == RBR_OK);
        rbr_pending_end(&others[i].pending);
    }
    rbr_pending_end(&first.pending);
    pair_close(&pair);
}

/* ------------------------------------------------------------------------------- in the background */

/* Until the role is held by a thread of this kind. */
static void
await_reader(rbr_exchange *exchange, bool background)
{
    const uint64_t until = in_ms(10000);
    bool found;

    do {
        CHECK(rbr_now_ns() < until);
        rbr_os_yield();
        pthread_mutex_lock(&exchange->lock);
        found = exchange->reading && exchange->background == background;
        pthread_mutex_unlock(&exchange->lock);
    } while (!found);
}

static void
wait_until_not(const _Atomic bool *flag)
{
    const uint64_t until = in_ms(10000);

    while (atomic_load(flag)) {
        CHECK(rbr_now_ns() < until);
        rbr_os_yield();
    }
}

/* Takes what was directed to the host's own inbox, until the channel is closed. */
static void *
read_in_the_background(void *argument)
{
    rbr_channel *host = argument;
    rbr_message *message;
    rbr_status status;

    while ((status = rbr_channel_receive(host, &message, 0, RBR_FOREVER)) != RBR_CLOSED)
        if (status == RBR_OK)
            rbr_message_free(message);
    return NULL;
}

static void
serve_when_told(rbr_channel *channel)
{
    wait_until(&stage->go);
    pair_serve(channel);
}

static void
close_with_background(channel_pair *pair, pthread_t thread)
{
    rbr_channel_close(pair->host);
    pthread_join(thread, NULL);
    pair_check_no_wake_was_lost(pair->host);
    rbr_channel_release(pair->host);
}

TEST(a_background_reader_gives_way_to_a_call_and_reads_again_after_it)
{
    pthread_t thread, caller;
    rbr_exchange *exchange;
    channel_pair pair;
    waiting_call call;

    open_pair(&pair, serve_when_told);
    exchange = &pair.host->exchange;
    CHECK(pthread_create(&thread, NULL, read_in_the_background, pair.host) == 0);
    await_reader(exchange, true);
    call.id = rbr_pending_begin(&call.pending, pair.host);
    CHECK(pthread_create(&caller, NULL, wait_for_answer, &call) == 0);
    await_reader(exchange, false); /* nothing has come: only the caller's asking did that */
    pair_send_call(pair.host, call.id);
    atomic_store(&stage->go, true);
    pthread_join(caller, NULL);
    CHECK(call.status == RBR_OK);
    rbr_pending_end(&call.pending);
    await_reader(exchange, true);
    close_with_background(&pair, thread);
}

/* The one that it gave way to may have left by then, at its deadline. */
TEST(a_background_reader_reads_on_when_who_asked_has_left)
{
    rbr_exchange *exchange;
    rbr_message *message;
    rbr_pending pending;
    pthread_t thread;
    channel_pair pair;
    int i;

    open_pair(&pair, serve_when_told);
    exchange = &pair.host->exchange;
    CHECK(pthread_create(&thread, NULL, read_in_the_background, pair.host) == 0);
    for (i = 0; i < 300; i++) {
        await_reader(exchange, true);
        rbr_pending_begin(&pending, pair.host);
        CHECK(rbr_pending_wait(&pending, &message, 0,
                               rbr_now_ns() + (uint64_t)i * UINT64_C(1000)) == RBR_TIMED_OUT);
        rbr_pending_end(&pending);
    }
    await_reader(exchange, true);
    atomic_store(&exchange->give_way, true); /* as by somebody who is gone when it is heard */
    rbr_wake_self(&pair.host->wake);
    wait_until_not(&exchange->give_way); /* who takes the role clears it */
    await_reader(exchange, true);
    close_with_background(&pair, thread);
}

TEST(who_waits_for_an_answer_is_offered_the_role_before_a_background_reader)
{
    rbr_exchange *exchange;
    rbr_message *message;
    rbr_pending pending;
    pthread_t thread, caller;
    channel_pair pair;
    waiting_call call;

    open_pair(&pair, serve_when_told);
    exchange = &pair.host->exchange;
    role_set_reading(exchange, true);
    call.id = rbr_pending_begin(&call.pending, pair.host);
    CHECK(pthread_create(&caller, NULL, wait_for_answer, &call) == 0);
    role_await_sleepers(exchange, 1);
    CHECK(pthread_create(&thread, NULL, read_in_the_background, pair.host) == 0);
    role_await_sleepers(exchange, 2); /* the newest is the first in the list */
    role_set_reading(exchange, false);
    rbr_pending_begin(&pending, pair.host);
    CHECK(rbr_pending_wait(&pending, &message, 0, in_ms(20)) == RBR_TIMED_OUT);
    pthread_mutex_lock(&exchange->lock); /* the one that still sleeps is the background reader */
    CHECK(exchange->sleepers != NULL && exchange->sleepers->next == NULL);
    CHECK(exchange->sleepers->want->kind == RBR_WANT_REQUEST);
    pthread_mutex_unlock(&exchange->lock);
    pair_send_call(pair.host, call.id);
    atomic_store(&stage->go, true);
    pthread_join(caller, NULL);
    CHECK(call.status == RBR_OK);
    rbr_pending_end(&call.pending);
    rbr_pending_end(&pending);
    close_with_background(&pair, thread);
}
