/* SPDX-License-Identifier: MIT */
/*
 * test_inbox_close.c - what becomes of the calls, and of the messages, of an inbox that is closed; and
 * what does not close one.
 */
#include "channel.h"
#include "check.h"
#include "loop_steps.h"

TEST(calls_of_an_inbox_that_is_closed_keep_their_answers_to_themselves)
{
    enum { CALLS = 200 };
    rbr_pending pending[CALLS];
    rbr_message *message;
    channel_pair pair;
    rbr_inbox *inbox;
    uint64_t ids[CALLS];
    rbr_stats stats;
    int i;

    pair_open(&pair, &loop_never_spin, pair_serve);
    inbox = loop_open(pair.host);
    for (i = 0; i < CALLS / 2; i++)
        ids[i] = loop_start_call(pair.host, inbox, &pending[i]);
    CHECK(loop_take(inbox) == ids[0]);
    for (; i < CALLS; i++)
        ids[i] = loop_start_call(pair.host, inbox, &pending[i]);
    rbr_inbox_close(inbox);
    CHECK(rbr_pending_wait(&pending[CALLS - 1], &message, 0, in_ms(15000)) == RBR_OK);
    CHECK(pair_take_id(message) == ids[CALLS - 1]);
    for (i = 0; i < CALLS; i++)
        rbr_pending_end(&pending[i]);
    rbr_channel_stats(pair.host, &stats);
    CHECK(stats.frames_received == CALLS);
    pair_close(&pair);
}

static void
say_goodbye_and_serve(rbr_channel *channel)
{
    rbr_channel_say_goodbye(channel);
    pair_serve(channel);
}

/* A worker that says goodbye and lives on answers blocking calls and, as it did not, those of the
 * host's own inbox: they failed as if the host had closed the channel. */
TEST(a_workers_goodbye_does_not_end_the_hosts_own_inbox)
{
    rbr_pending pending;
    rbr_message *message;
    channel_pair pair;
    int64_t answer;
    uint64_t id;

    pair_open(&pair, &loop_never_spin, say_goodbye_and_serve);
    CHECK(pair_call(pair.host, 7, 0, &answer, in_ms(15000)) == RBR_OK && answer == 7);
    loop_await_event(pair.host); /* the socket's answer to something: the goodbye came before it */
    CHECK(rbr_inbox_take(rbr_channel_inbox(pair.host), &message, 0, in_ms(20)) == RBR_TIMED_OUT);
    id = loop_start_call(pair.host, rbr_channel_inbox(pair.host), &pending);
    CHECK(rbr_inbox_take(rbr_channel_inbox(pair.host), &message, 0, in_ms(15000)) == RBR_OK);
    CHECK(pair_take_id(message) == id);
    rbr_pending_end(&pending);
    pair_close(&pair);
}

/* Each request is answered with as many items as may wait for one call. */
static void
serve_many_items(rbr_channel *channel)
{
    rbr_message *message;
    int i;

    while (rbr_channel_receive(channel, &message, 0, RBR_FOREVER) == RBR_OK) {
        for (i = 0; i < RBR_ITEMS_MAX; i++)
            CHECK(pair_send_empty(channel, 1, 0, RBR_BODY_STREAM_ITEM, &rbr_desc_stream_item,
                                  in_ms(15000)) == RBR_OK);
        rbr_message_free(message);
    }
}

/* Another call reads until `count` frames have come. */
static void
read_until_count(rbr_channel *host, uint64_t count)
{
    const uint64_t until = in_ms(15000);
    rbr_message *message;
    rbr_pending other;
    rbr_stats stats;

    rbr_pending_begin(&other, host);
    do {
        CHECK(rbr_now_ns() < until);
        CHECK(rbr_pending_wait(&other, &message, 0, in_ms(1)) == RBR_TIMED_OUT);
        rbr_channel_stats(host, &stats);
    } while (stats.frames_received < count);
    rbr_pending_end(&other);
}

/* They were counted, and then forgotten with the inbox: the call had no room left. */
TEST(what_is_dropped_with_an_inbox_no_longer_counts_as_queued)
{
    rbr_pending pending, other;
    rbr_message *message;
    channel_pair pair;
    rbr_inbox *inbox;
    int i;

    pair_open(&pair, &loop_never_spin, serve_many_items);
    inbox = loop_open(pair.host);
    CHECK(loop_start_call(pair.host, inbox, &pending) == 1);
    read_until_count(pair.host, RBR_ITEMS_MAX);
    rbr_inbox_close(inbox);
    loop_start_call(pair.host, NULL, &other); /* asks for as many again */
    read_until_count(pair.host, 2 * RBR_ITEMS_MAX);
    for (i = 0; i < RBR_ITEMS_MAX; i++) {
        CHECK(rbr_pending_wait(&pending, &message, 0, in_ms(15000)) == RBR_OK);
        rbr_message_free(message);
    }
    rbr_pending_end(&pending);
    rbr_pending_end(&other);
    pair_close(&pair);
}
