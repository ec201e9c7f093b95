/* SPDX-License-Identifier: MIT */
/*
 * test_inbox.c - event loops: what is directed to an inbox arrives there, and its descriptor says so.
 */
#include "channel.h"
#include "check.h"
#include "loop_steps.h"
#include "reader_role.h"

#include <pthread.h>
#include <signal.h>

/* --------------------------------------------------------------------------------- the descriptor */

TEST(a_directed_call_is_answered_in_the_inbox)
{
    channel_pair pair;
    rbr_pending pending;
    rbr_inbox *inbox;
    uint64_t id;
    int i;

    pair_open(&pair, &loop_never_spin, pair_serve);
    inbox = loop_open(pair.host);
    for (i = 0; i < 1000; i++) {
        id = loop_start_call(pair.host, inbox, &pending);
        CHECK(loop_take(inbox) == id);
        rbr_pending_end(&pending);
    }
    rbr_inbox_close(inbox);
    pair_close(&pair);
}

TEST(the_descriptor_is_readable_when_armed_and_something_came_and_not_before)
{
    channel_pair pair;
    rbr_pending pending;
    rbr_inbox *inbox;
    uint64_t id;

    pair_open(&pair, &loop_never_spin, pair_serve);
    inbox = loop_open(pair.host);
    loop_await_event(pair.host);
    rbr_inbox_clear(inbox);
    rbr_inbox_arm(inbox);
    CHECK(!loop_is_readable(inbox, 20)); /* armed, nothing came */
    CHECK(loop_take_now(inbox) == 0);
    rbr_inbox_arm(inbox);
    id = loop_start_call(pair.host, inbox, &pending);
    CHECK(loop_is_readable(inbox, 15000)); /* the peer has set it */
    rbr_inbox_clear(inbox);
    CHECK(!loop_is_readable(inbox, 0));
    CHECK(loop_take_now(inbox) == id && loop_take_now(inbox) == 0);
    rbr_pending_end(&pending);
    id = loop_start_call(pair.host, inbox, &pending);
    loop_await_data(pair.host);
    rbr_inbox_clear(inbox);
    rbr_inbox_arm(inbox); /* looks */
    CHECK(loop_is_readable(inbox, 0));
    CHECK(loop_take_now(inbox) == id);
    rbr_pending_end(&pending);
    rbr_inbox_close(inbox);
    pair_close(&pair);
}

TEST(an_inbox_that_holds_something_is_readable_as_soon_as_it_is_armed)
{
    channel_pair pair;
    rbr_pending pending;
    rbr_inbox *inbox;
    int64_t answer;
    uint64_t id;

    pair_open(&pair, &loop_never_spin, pair_serve);
    inbox = loop_open(pair.host);
    id = loop_start_call(pair.host, inbox, &pending);
    CHECK(pair_call(pair.host, 7, 0, &answer, in_ms(15000)) == RBR_OK && answer == 7);
    rbr_inbox_clear(inbox);
    rbr_inbox_arm(inbox);
    CHECK(loop_is_readable(inbox, 0));
    CHECK(loop_take_now(inbox) == id);
    rbr_pending_end(&pending);
    rbr_inbox_close(inbox);
    pair_close(&pair);
}

TEST(what_a_thread_reads_for_an_armed_inbox_makes_it_readable)
{
    channel_pair pair;
    rbr_pending pending;
    rbr_inbox *inbox;
    int64_t answer;
    uint64_t id;

    pair_open(&pair, &loop_never_spin, pair_serve);
    inbox = loop_open(pair.host);
    loop_await_event(pair.host);
    role_set_reading(&pair.host->exchange, true); /* the peer is not asked to set it again */
    rbr_inbox_arm(inbox);
    role_set_reading(&pair.host->exchange, false);
    rbr_inbox_clear(inbox);
    id = loop_start_call(pair.host, inbox, &pending);
    CHECK(pair_call(pair.host, 7, 0, &answer, in_ms(15000)) == RBR_OK && answer == 7);
    CHECK(loop_is_readable(inbox, 0)); /* both were answered in order */
    rbr_inbox_clear(inbox);
    CHECK(loop_take_now(inbox) == id);
    rbr_pending_end(&pending);
    rbr_inbox_close(inbox);
    pair_close(&pair);
}

static void *
take_or_fail(void *argument)
{
    rbr_message *message;

    CHECK(rbr_inbox_take(argument, &message, 0, in_ms(60000)) == RBR_OK);
    rbr_message_free(message);
    return NULL;
}

/* The next frame, as the reader that this thread plays; with the lock held, and one sleeper. */
static rbr_message *
read_for_sleeper(rbr_channel *host)
{
    const uint64_t until = in_ms(15000);
    rbr_message *message;
    const void *record;
    uint32_t size;

    loop_await_data(host);
    CHECK(rbr_consumer_next(&host->exchange.consumer, &record, &size) == RBR_OK);
    CHECK(rbr_message_read(&message, host, record, size, NULL) == RBR_OK);
    for (;;) { /* it may just be looking by itself */
        role_await_sleepers(&host->exchange, 1);
        pthread_mutex_lock(&host->exchange.lock);
        if (host->exchange.sleepers != NULL)
            return message;
        pthread_mutex_unlock(&host->exchange.lock);
        CHECK(rbr_now_ns() < until);
    }
}

/* A loop's thread that waits for one task sleeps in rbr_inbox_take. It was left asleep until its next
 * look: only the loop's descriptor was set, and that only where it was armed. */
TEST(what_comes_for_a_loops_inbox_wakes_the_thread_that_sleeps_in_take)
{
    rbr_message *message;
    channel_pair pair;
    rbr_pending pending;
    rbr_inbox *inbox;
    pthread_t thread;
    int armed;

    pair_open(&pair, &loop_never_spin, pair_serve);
    inbox = loop_open(pair.host);
    for (armed = 0; armed < 2; armed++) {
        role_set_reading(&pair.host->exchange, true); /* the thread follows */
        CHECK(pthread_create(&thread, NULL, take_or_fail, inbox) == 0);
        if (armed == 1)
            rbr_inbox_arm(inbox);
        loop_start_call(pair.host, inbox, &pending);
        message = read_for_sleeper(pair.host);
        CHECK(rbr_deliver(pair.host, &message) == RBR_OK && message == NULL);
        CHECK(pair.host->exchange.sleepers == NULL);
        pthread_mutex_unlock(&pair.host->exchange.lock);
        pthread_join(thread, NULL);
        role_set_reading(&pair.host->exchange, false);
        rbr_pending_end(&pending);
    }
    rbr_inbox_close(inbox);
    pair_close(&pair);
}

/* That counter stayed 0 while threads slept through what had come for them. */
TEST(a_message_that_a_sleeper_did_not_hear_of_is_counted)
{
    rbr_sleeper *sleeper;
    rbr_message *message;
    channel_pair pair;
    rbr_pending pending;
    rbr_inbox *inbox;
    pthread_t thread;
    rbr_stats stats;

    if (RBR_LOOK_NS > RBR_SECOND)
        SKIP("nobody looks by himself in this build");
    pair_open(&pair, &loop_never_spin, pair_serve);
    inbox = loop_open(pair.host);
    role_set_reading(&pair.host->exchange, true);
    CHECK(pthread_create(&thread, NULL, take_or_fail, inbox) == 0);
    loop_start_call(pair.host, inbox, &pending);
    message = read_for_sleeper(pair.host);
    sleeper = pair.host->exchange.sleepers;
    pair.host->exchange.sleepers = NULL; /* so that nobody is woken */
    CHECK(rbr_deliver(pair.host, &message) == RBR_OK);
    pair.host->exchange.sleepers = sleeper;
    pthread_mutex_unlock(&pair.host->exchange.lock);
    pthread_join(thread, NULL);
    rbr_channel_stats(pair.host, &stats);
    CHECK(stats.late_looks == 1);
    role_set_reading(&pair.host->exchange, false);
    rbr_pending_end(&pending);
    rbr_inbox_close(inbox);
    rbr_channel_kill(pair.host, SIGKILL, true, NULL);
    rbr_channel_release(pair.host);
}

/* Arms and takes, as a loop does, until there is nothing more to wait for. */
static rbr_status
await_end(rbr_inbox *inbox)
{
    rbr_message *message;
    rbr_status status;

    while ((status = rbr_inbox_take(inbox, &message, 0, 0)) == RBR_AGAIN) {
        rbr_inbox_arm(inbox);
        CHECK(loop_is_readable(inbox, 15000));
        rbr_inbox_clear(inbox);
    }
    return status;
}

TEST(every_armed_inbox_becomes_readable_at_the_peers_death)
{
    channel_pair pair;
    rbr_inbox *inboxes[2], *later;
    int i;

    pair_open(&pair, &loop_never_spin, pair_serve_none);
    for (i = 0; i < 2; i++) {
        inboxes[i] = loop_open(pair.host);
        rbr_inbox_arm(inboxes[i]);
    }
    later = loop_open(pair.host);
    loop_await_event(pair.host);
    CHECK(rbr_channel_kill(pair.host, SIGKILL, false, NULL) == RBR_OK);
    for (i = 0; i < 2; i++) {
        CHECK(loop_is_readable(inboxes[i], 15000));
        CHECK(await_end(inboxes[i]) == RBR_DEAD);
        rbr_inbox_close(inboxes[i]);
    }
    rbr_inbox_clear(later);
    CHECK(!loop_is_readable(later, 0));
    rbr_inbox_arm(later);
    CHECK(loop_is_readable(later, 0));
    rbr_inbox_close(later);
    rbr_channel_release(pair.host);
}

TEST(every_armed_inbox_becomes_readable_when_the_channel_is_closed)
{
    channel_pair pair;
    rbr_inbox *inboxes[2];
    rbr_message *message;
    int i;

    pair_open(&pair, &loop_never_spin, pair_serve_none);
    for (i = 0; i < 2; i++)
        inboxes[i] = loop_open(pair.host);
    loop_await_event(pair.host);
    for (i = 0; i < 2; i++) {
        rbr_inbox_clear(inboxes[i]);
        rbr_inbox_arm(inboxes[i]);
        CHECK(!loop_is_readable(inboxes[i], 20));
    }
    rbr_channel_close(pair.host);
    for (i = 0; i < 2; i++) {
        CHECK(loop_is_readable(inboxes[i], 0));
        CHECK(rbr_inbox_take(inboxes[i], &message, 0, 0) == RBR_CLOSED);
        rbr_inbox_arm(inboxes[i]);
        CHECK(loop_is_readable(inboxes[i], 0));
        rbr_inbox_close(inboxes[i]);
    }
    rbr_channel_release(pair.host);
}

/* The loop armed while a thread read for it; the thread has left, and nothing had come till then. */
TEST(a_thread_that_leaves_hands_over_to_armed_loops)
{
    rbr_pending pending, other;
    rbr_message *message;
    channel_pair pair;
    rbr_inbox *inbox;
    uint64_t id;

    pair_open(&pair, &loop_never_spin, pair_serve);
    inbox = loop_open(pair.host);
    loop_await_event(pair.host);
    rbr_pending_begin(&other, pair.host);
    role_set_reading(&pair.host->exchange, true);
    rbr_inbox_arm(inbox);
    role_set_reading(&pair.host->exchange, false);
    CHECK(rbr_pending_wait(&other, &message, 0, in_ms(20)) == RBR_TIMED_OUT);
    rbr_pending_end(&other);
    rbr_inbox_clear(inbox);
    id = loop_start_call(pair.host, inbox, &pending);
    CHECK(loop_is_readable(inbox, 15000));
    CHECK(loop_take_now(inbox) == id);
    rbr_pending_end(&pending);
    rbr_inbox_close(inbox);
    pair_close(&pair);
}

/* ------------------------------------------------------------------------------- loops that stand still */

/* A loop that was stopped is still armed, and looks at nothing: whoever wakes a loop must not take it
 * for one that will read. */
TEST(a_loop_that_stands_still_takes_no_wake_up_from_another_one)
{
    channel_pair pair;
    rbr_pending first, second;
    rbr_inbox *ours, *still;
    uint64_t id;

    pair_open(&pair, &loop_never_spin, pair_serve);
    ours = loop_open(pair.host);
    still = loop_open(pair.host);
    loop_await_event(pair.host);
    loop_start_call(pair.host, still, &first);
    loop_await_data(pair.host); /* from here on nobody has asked to be woken */
    rbr_inbox_arm(still);
    rbr_inbox_arm(still);
    CHECK(loop_take_now(still) != 0);
    rbr_inbox_arm(still); /* and is never looked at again */
    rbr_inbox_clear(ours); /* of all that was set till now */
    id = loop_start_call(pair.host, ours, &second);
    loop_await_data(pair.host);
    CHECK(loop_is_readable(ours, 15000)); /* the peer's event is everybody's */
    rbr_inbox_clear(ours);
    rbr_inbox_arm(ours); /* without having read: as when more comes meanwhile */
    CHECK(loop_is_readable(ours, 15000));
    CHECK(loop_take_now(ours) == id);
    rbr_pending_end(&first);
    rbr_pending_end(&second);
    rbr_inbox_close(still);
    rbr_inbox_close(ours);
    pair_close(&pair);
}

/* The loop that cleared the peer's event found something in its own inbox, and looked no further. */
TEST(a_loop_that_clears_the_peers_event_looks_at_the_ring_for_the_others)
{
    channel_pair pair;
    rbr_pending first, second;
    rbr_inbox *busy, *other;
    uint64_t id;

    pair_open(&pair, &loop_never_spin, pair_serve);
    busy = loop_open(pair.host);
    other = loop_open(pair.host);
    loop_await_event(pair.host);
    loop_start_call(pair.host, busy, &first);
    loop_await_data(pair.host);
    CHECK(loop_take_now(other) == 0); /* read for `busy`, which is not armed */
    rbr_inbox_arm(other);
    id = loop_start_call(pair.host, other, &second);
    loop_await_data(pair.host);
    CHECK(loop_is_readable(busy, 15000));
    rbr_inbox_clear(busy);
    rbr_inbox_arm(busy); /* its own queue is enough to wake it */
    CHECK(loop_is_readable(other, 15000));
    CHECK(loop_take_now(other) == id);
    rbr_pending_end(&first);
    rbr_pending_end(&second);
    rbr_inbox_close(other);
    rbr_inbox_close(busy);
    pair_close(&pair);
}

/* -------------------------------------------------------------------------------------- all at once */

enum { AHEAD = 64, LOOP_CALLS = 300000, THREAD_CALLS = 100000 };
#define ENOUGH_NS (20 * RBR_SECOND) /* on a machine that is slower than that, fewer */

typedef struct event_loop {
    rbr_channel *host;
    uint64_t done;
} event_loop;

static void *
run_loop(void *argument)
{
    event_loop *self = argument;
    const uint64_t until = rbr_now_ns() + ENOUGH_NS;
    rbr_inbox *inbox = loop_open(self->host);
    rbr_pending pending[AHEAD];
    uint64_t ids[AHEAD], i;

    for (i = 0; i < AHEAD; i++)
        ids[i] = loop_start_call(self->host, inbox, &pending[i]);
    for (self->done = 0; self->done < LOOP_CALLS; self->done++) {
        const uint64_t at = self->done % AHEAD;

        CHECK(loop_take(inbox) == ids[at]); /* answered in the order of the calls */
        rbr_pending_end(&pending[at]);
        if (rbr_now_ns() > until)
            break;
        /* Now and then it has nothing under way, and sleeps for one call alone. */
        ids[at] = loop_start_call(self->host, inbox, &pending[at]);
    }
    for (i = 0; i < AHEAD; i++)
        rbr_pending_end(&pending[i]);
    rbr_inbox_close(inbox);
    return NULL;
}

static void *
call_one_by_one(void *argument)
{
    event_loop *self = argument;
    const uint64_t until = rbr_now_ns() + ENOUGH_NS;
    int64_t answer;

    for (self->done = 0; self->done < THREAD_CALLS && rbr_now_ns() < until; self->done++)
        CHECK(pair_call(self->host, (int64_t)self->done, 0, &answer, in_ms(15000)) == RBR_OK &&
              answer == (int64_t)self->done);
    return NULL;
}

/* One call at a time: each sleep is a chance to lose a wake-up. */
static void *
run_lonely_loop(void *argument)
{
    event_loop *self = argument;
    const uint64_t until = rbr_now_ns() + ENOUGH_NS;
    rbr_inbox *inbox = loop_open(self->host);
    rbr_pending pending;

    for (self->done = 0; self->done < THREAD_CALLS && rbr_now_ns() < until; self->done++) {
        const uint64_t id = loop_start_call(self->host, inbox, &pending);

        CHECK(loop_take(inbox) == id);
        rbr_pending_end(&pending);
    }
    rbr_inbox_close(inbox);
    return NULL;
}

TEST_SECONDS(loops_and_threads_on_one_channel_each_get_their_own_answers, 120)
{
    void *(*const run[])(void *) = {run_loop, run_lonely_loop, call_one_by_one, run_loop};
    event_loop loops[4];
    pthread_t threads[4];
    channel_pair pair;
    int i;

    pair_open(&pair, NULL, pair_serve);
    for (i = 0; i < 4; i++) {
        loops[i] = (event_loop){.host = pair.host};
        CHECK(pthread_create(&threads[i], NULL, run[i], &loops[i]) == 0);
    }
    for (i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        CHECK(loops[i].done > 0);
    }
    pair_close(&pair);
}
