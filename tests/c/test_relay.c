/* SPDX-License-Identifier: MIT */
/*
 * test_relay.c - ends of a channel that pass on what comes: every frame, each cancel, which calls run.
 */
#include "channel.h"

#include "os.h"

#include "channel_pair.h"
#include "check.h"

#include "ringbridge_relay.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static void
become_relay(rbr_channel *channel)
{
    rbr_error error;

    CHECK(rbr_channel_relay(channel, &error) == RBR_OK);
}

static uint64_t
receive_id(rbr_channel *channel)
{
    rbr_message *message;

    CHECK(rbr_channel_receive(channel, &message, 0, in_ms(15000)) == RBR_OK);
    return pair_take_id(message);
}

/* ------------------------------------------------------------------------------------- frames */

TEST(a_relay_receives_the_answers_to_calls_that_others_have_made)
{
    enum { FIRST = 1000, CALLS = 50 };
    uint8_t room[512] __attribute__((aligned(8)));
    channel_pair pair;
    uint64_t id;

    pair_open(&pair, NULL, pair_serve);
    become_relay(pair.host);
    become_relay(pair.host); /* a second time changes nothing */
    for (id = FIRST; id < FIRST + CALLS; id++) {
        const uint32_t size = pair_build_call(room, sizeof room, id, FUNCTION_ECHO, 0, 0);

        CHECK(rbr_channel_send(pair.host, room, size, NULL, 0, 0, NULL) == RBR_OK);
    }
    for (id = FIRST; id < FIRST + CALLS; id++)
        CHECK(receive_id(pair.host) == id);
    pair_close(&pair);
}

TEST(what_was_sent_is_not_read_while_the_peer_stands_still)
{
    const uint64_t until = in_ms(15000);
    channel_pair pair;

    pair_open(&pair, NULL, pair_serve_none);
    become_relay(pair.host);
    CHECK(kill(pair.pid, SIGSTOP) == 0);
    while (rbr_relay_is_read(pair.host)) { /* it may have been reading still */
        CHECK(rbr_now_ns() < until);
        pair_send_call(pair.host, 1);
    }
    CHECK(kill(pair.pid, SIGCONT) == 0);
    while (!rbr_relay_is_read(pair.host)) {
        CHECK(rbr_now_ns() < until);
        rbr_os_yield();
    }
    pair_close(&pair);
}

/* ------------------------------------------------------------------------------------ cancels */

static atomic_bool reads;

static void *
read_until_goodbye(void *channel)
{
    pair_serve_none(channel);
    atomic_store(&reads, false);
    return NULL;
}

/* Answers each cancel that it hears: its id, and whether it was a hard one as the parent. */
static void
tell_cancels(rbr_channel *channel)
{
    pthread_t reader;
    uint64_t id;
    bool hard;

    become_relay(channel);
    atomic_store(&reads, true);
    CHECK(pthread_create(&reader, NULL, read_until_goodbye, channel) == 0);
    while (atomic_load(&reads)) {
        const rbr_status status = rbr_relay_cancel(channel, &id, &hard, in_ms(20));

        CHECK(status == RBR_OK || status == RBR_TIMED_OUT);
        if (status == RBR_OK)
            CHECK(pair_send_empty(channel, id, hard, RBR_BODY_CALLBACK, &rbr_desc_callback,
                                  in_ms(15000)) == RBR_OK);
    }
    pthread_join(reader, NULL);
}

static bool
heard(rbr_channel *host, uint64_t *id)
{
    rbr_message *message;
    bool hard;

    CHECK(rbr_channel_receive(host, &message, 0, in_ms(15000)) == RBR_OK);
    hard = rbr_message_parent(message) != 0;
    *id = pair_take_id(message);
    return hard;
}

TEST(a_relay_hears_a_cancel_once_and_once_more_when_it_becomes_hard)
{
    channel_pair pair;
    uint64_t id;

    pair_open(&pair, NULL, tell_cancels);
    become_relay(pair.host);
    CHECK(rbr_channel_cancel(pair.host, 7, false) == RBR_OK);
    CHECK(!heard(pair.host, &id) && id == 7);
    CHECK(rbr_channel_cancel(pair.host, 7, false) == RBR_OK); /* nothing new */
    CHECK(rbr_channel_cancel(pair.host, 7, true) == RBR_OK);
    CHECK(heard(pair.host, &id) && id == 7);
    CHECK(rbr_channel_cancel(pair.host, 7, false) == RBR_OK); /* takes no hard one back */
    CHECK(rbr_channel_cancel(pair.host, 8, true) == RBR_OK);
    CHECK(heard(pair.host, &id) && id == 8);
    pair_close(&pair);
}

TEST(cancels_that_come_all_at_once_are_all_heard)
{
    enum { MANY = 500 };
    bool known[MANY + 1] = {false};
    channel_pair pair;
    uint64_t id;
    int count;

    pair_open(&pair, NULL, tell_cancels);
    become_relay(pair.host);
    for (id = 1; id <= MANY; id++) {
        while (rbr_channel_cancel(pair.host, id, id % 2 == 0) == RBR_AGAIN)
            rbr_os_yield(); /* it has not read those before */
    }
    for (count = 0; count < MANY; count++) {
        const bool hard = heard(pair.host, &id);

        CHECK(id >= 1 && id <= MANY && !known[id] && hard == (id % 2 == 0));
        known[id] = true;
    }
    pair_close(&pair);
}

static void *
await_cancel(void *channel)
{
    uint64_t id;
    bool hard;

    CHECK(rbr_relay_cancel(channel, &id, &hard, RBR_FOREVER) == RBR_DEAD);
    return NULL;
}

TEST(who_waits_for_cancels_is_woken_by_the_peers_death)
{
    channel_pair pair;
    pthread_t waiter;

    pair_open(&pair, NULL, pair_serve_none);
    become_relay(pair.host);
    CHECK(pthread_create(&waiter, NULL, await_cancel, pair.host) == 0);
    usleep(20000); /* so that it mostly waits */
    CHECK(kill(pair.pid, SIGKILL) == 0);
    pthread_join(waiter, NULL);
    rbr_channel_release(pair.host);
}

TEST(who_waits_for_cancels_gives_up_at_the_deadline)
{
    channel_pair pair;
    uint64_t id;
    bool hard;

    pair_open(&pair, NULL, pair_serve_none);
    CHECK(rbr_relay_cancel(pair.host, &id, &hard, RBR_FOREVER) == RBR_CLOSED); /* it is no relay */
    become_relay(pair.host);
    CHECK(rbr_relay_cancel(pair.host, &id, &hard, in_ms(20)) == RBR_TIMED_OUT);
    pair_close(&pair);
}

/* --------------------------------------------------------------------------- which calls run */

/* Says at each call what runs behind it, and dies at the last. */
static void
tell_what_runs(rbr_channel *channel)
{
    static const uint64_t ids[] = {41, 42};
    uint64_t id;

    become_relay(channel);
    for (id = receive_id(channel); id != 45; id = receive_id(channel)) {
        switch (id) {
        case 41:
            rbr_relay_runs(channel, ids, 1);
            break;
        case 42: /* within 41 */
            rbr_relay_runs(channel, ids, 2);
            break;
        case 43: /* not told yet */
            rbr_relay_may_run(channel, id);
            break;
        default:
            rbr_relay_runs(channel, ids, 1);
        }
    }
    raise(SIGKILL);
}

static void
await_runs(rbr_channel *host, uint64_t id, bool runs)
{
    const uint64_t until = in_ms(15000);

    while (rbr_channel_peer_runs(host, id) != runs) {
        CHECK(rbr_now_ns() < until);
        rbr_os_yield();
    }
}

TEST(a_host_sees_what_runs_behind_a_relay_and_after_its_end_all_may_have_begun)
{
    rbr_message *message;
    channel_pair pair;

    pair_open(&pair, NULL, tell_what_runs);
    pair_send_call(pair.host, 41);
    await_runs(pair.host, 41, true);
    CHECK(!rbr_channel_peer_began(pair.host, 42));
    pair_send_call(pair.host, 42);
    await_runs(pair.host, 42, true);
    CHECK(rbr_channel_peer_runs(pair.host, 41));
    pair_send_call(pair.host, 43);
    await_runs(pair.host, 43, true);
    pair_send_call(pair.host, 44);
    await_runs(pair.host, 43, false); /* what may have run does not */
    await_runs(pair.host, 42, false);
    CHECK(rbr_channel_peer_runs(pair.host, 41) && rbr_channel_peer_began(pair.host, 42));
    CHECK(rbr_channel_peer_began(pair.host, 43) && !rbr_channel_peer_began(pair.host, 45));
    pair_send_call(pair.host, 45);
    CHECK(rbr_channel_receive(pair.host, &message, 0, in_ms(15000)) == RBR_DEAD);
    CHECK(rbr_channel_peer_began(pair.host, 45)); /* the word of it may have been under way */
    rbr_channel_release(pair.host);
}

/* Runs the second call within the first, until goodbye. */
static void
run_two(rbr_channel *channel)
{
    rbr_channel_set_running(channel, 0, receive_id(channel));
    rbr_channel_set_running(channel, 1, receive_id(channel));
    CHECK(receive_id(channel) == 13);
    rbr_channel_set_running(channel, 1, 0);
    rbr_channel_set_running(channel, 0, 0);
    pair_serve_none(channel);
}

TEST(a_relay_sees_what_its_worker_runs)
{
    const uint64_t until = in_ms(15000);
    uint64_t ids[RBR_RELAY_RUNS_MAX];
    channel_pair pair;

    pair_open(&pair, NULL, run_two);
    become_relay(pair.host);
    CHECK(rbr_relay_peer_runs(pair.host, ids) == 0);
    pair_send_call(pair.host, 11);
    pair_send_call(pair.host, 12);
    while (rbr_relay_peer_runs(pair.host, ids) != 2)
        CHECK(rbr_now_ns() < until);
    CHECK(ids[0] == 11 && ids[1] == 12);
    pair_send_call(pair.host, 13);
    while (rbr_relay_peer_runs(pair.host, ids) != 0)
        CHECK(rbr_now_ns() < until);
    pair_close(&pair);
}
