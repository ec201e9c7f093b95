/* SPDX-License-Identifier: MIT */
/*
 * test_deliver.c - whose a message is: calls, nested requests, callbacks. How many may wait: test_deliver_room.c.
 *
 * Both ends stand in this process, without sockets or watchers: each step is a call with deadline 0.
 */
#include "bare_channel.h"
#include "channel.h"
#include "channel_pair.h"
#include "check.h"
#include "reader_role.h"

#include <pthread.h>
#include <string.h>

enum { RING = 65536 };

static bare_pair pair;
static rbr_channel *host, *worker;

static void
open_both(void)
{
    bare_pair_open(&pair, RING);
    host = pair.host;
    worker = pair.worker;
}

static void
close_both(void)
{
    bare_pair_close(&pair);
}

static rbr_status
call_back(uint64_t id, uint64_t call)
{
    return pair_send_empty(worker, id, call, RBR_BODY_CALLBACK, &rbr_desc_callback, 0);
}

static rbr_status
request(uint64_t id, uint64_t parent)
{
    return pair_send_empty(host, id, parent, RBR_BODY_CALL, &rbr_desc_call, 0);
}

static uint64_t
next_request(void)
{
    rbr_message *message;

    return rbr_channel_receive(worker, &message, 0, 0) == RBR_OK ? pair_take_id(message) : 0;
}

/* ---------------------------------------------------------------------------------- callbacks */

/* The answer that the worker's callback got is the refusal. */
static void
check_refused(rbr_pending *callback)
{
    static const char expected[] = "ringbridge.errors.Cancelled";
    rbr_message *message;
    const uint8_t *name;
    uint32_t length;
    rbr_table error;
    uint8_t type;

    CHECK(rbr_pending_wait(callback, &message, 0, 0) == RBR_OK);
    error = rbr_message_body(message, &type);
    CHECK(type == RBR_BODY_ERROR);
    CHECK(rbr_get_u16(error, RBR_ERROR__CODE, 0) == RBR_ERROR_CODE_CANCELLED);
    name = rbr_get_vector(error, RBR_ERROR__TYPE, &length);
    CHECK(name != NULL && length == sizeof expected - 1 && memcmp(name, expected, length) == 0);
    rbr_message_free(message);
    rbr_pending_end(callback);
}

TEST(a_callback_to_a_call_that_was_given_up_is_refused)
{
    rbr_pending callback, other;

    open_both();
    rbr_pending_begin(&other, host);
    CHECK(call_back(rbr_pending_begin(&callback, worker), 999) == RBR_OK);
    CHECK(bare_next_of(&other) == 0);
    check_refused(&callback);
    rbr_pending_end(&other);
    close_both();
}

TEST(a_callback_that_nobody_had_taken_when_its_call_ended_is_refused)
{
    rbr_pending callback, call, other;

    open_both();
    rbr_pending_begin(&other, host);
    CHECK(call_back(rbr_pending_begin(&callback, worker), rbr_pending_begin(&call, host)) ==
          RBR_OK);
    CHECK(bare_next_of(&other) == 0);
    rbr_pending_end(&call);
    check_refused(&callback);
    rbr_pending_end(&other);
    close_both();
}

TEST(a_callback_that_nobody_waits_for_is_dropped_without_a_word)
{
    rbr_pending other;
    rbr_stats stats;

    open_both();
    rbr_pending_begin(&other, host);
    CHECK(call_back(0, 999) == RBR_OK);
    CHECK(bare_next_of(&other) == 0);
    rbr_channel_stats(host, &stats);
    CHECK(stats.frames_received == 1 && stats.dropped_answers == 1 && stats.frames_sent == 0);
    rbr_pending_end(&other);
    close_both();
}

/* A refusal never waits, so a peer that asks for them and does not read them would fill our memory. */
TEST_SECONDS(a_peer_that_reads_no_refusal_breaks_the_channel_before_it_fills_our_memory, 120)
{
    rbr_pending other;
    rbr_error error;
    uint32_t i;

    open_both();
    rbr_pending_begin(&other, host);
    for (i = 0; i < 2000000 && rbr_channel_state(host, NULL) == RBR_OK; i++) {
        if (call_back(1 + i, 999) == RBR_AGAIN)
            bare_next_of(&other);
        CHECK(host->exchange.unsent_bytes <= RBR_UNSENT_BYTES_MAX + RING);
    }
    CHECK(rbr_channel_state(host, &error) == RBR_BROKEN);
    CHECK(strstr(error.text, "callbacks") != NULL);
    rbr_pending_end(&other);
    close_both();
}

/* ------------------------------------------------------------------------------- nested requests */

TEST(a_nested_request_is_taken_out_of_turn_by_who_waits_within_its_call)
{
    rbr_pending in_seven, in_eight, outside;

    open_both();
    rbr_pending_begin(&in_seven, worker);
    rbr_pending_begin(&in_eight, worker);
    rbr_pending_begin(&outside, worker);
    rbr_pending_nest(&in_seven, 7);
    rbr_pending_nest(&in_eight, 8);
    CHECK(request(50, 0) == RBR_OK && request(51, 7) == RBR_OK && request(52, 8) == RBR_OK);
    CHECK(request(53, 0) == RBR_OK && request(54, 7) == RBR_OK && request(55, 9) == RBR_OK);
    CHECK(bare_next_of(&outside) == 0); /* reads them all, and takes none */
    CHECK(bare_next_of(&in_seven) == 51 && bare_next_of(&in_seven) == 54 &&
          bare_next_of(&in_seven) == 0);
    CHECK(bare_next_of(&in_eight) == 52 && bare_next_of(&in_eight) == 0);
    CHECK(next_request() == 50 && next_request() == 53 && next_request() == 55);
    CHECK(next_request() == 0);
    CHECK(request(56, 7) == RBR_OK && bare_next_of(&in_seven) == 56); /* as the reader */
    CHECK(request(57, 7) == RBR_OK && next_request() == 57);     /* nobody waits within it */
    CHECK(worker->exchange.nested_queued == 0);
    rbr_pending_end(&in_seven);
    rbr_pending_end(&in_eight);
    rbr_pending_end(&outside);
    close_both();
}

static uint64_t
soon(void)
{
    return rbr_now_ns() +
           60 * RBR_SECOND; /* longer than the test may take: who waits that long fails */
}

static void *
wait_within(void *argument)
{
    rbr_message *message;

    CHECK(rbr_pending_wait(argument, &message, 0, soon()) == RBR_OK);
    CHECK(pair_take_id(message) == ((rbr_pending_call *)argument)->id);
    return NULL;
}

static void *
wait_for_request(void *unused)
{
    rbr_message *message;

    CHECK(rbr_channel_receive(worker, &message, 0, soon()) == RBR_OK);
    CHECK(pair_take_id(message) == 50);
    return unused;
}

/* The next frame, as the reader that this thread plays. */
static rbr_message *
read_next(void)
{
    rbr_message *message;
    const void *record;
    uint32_t size;

    CHECK(rbr_consumer_next(&worker->exchange.consumer, &record, &size) == RBR_OK);
    CHECK(rbr_message_read(&message, worker, record, size, NULL) == RBR_OK);
    return message;
}

/* Who was woken for a nested request finds its own answer first, and leaves: somebody else who waits
 * for requests has to hear of the one that stays. */
TEST(a_nested_request_that_its_thread_leaves_behind_wakes_who_waits_for_requests)
{
    rbr_message *first, *second;
    rbr_exchange *exchange;
    pthread_t threads[2];
    rbr_pending call;
    uint64_t id;

    open_both();
    exchange = &worker->exchange;
    id = rbr_pending_begin(&call, worker);
    rbr_pending_nest(&call, 7);
    role_set_reading(exchange, true);
    CHECK(pthread_create(&threads[0], NULL, wait_within, &call) == 0);
    CHECK(pthread_create(&threads[1], NULL, wait_for_request, NULL) == 0);
    role_await_sleepers(exchange, 2);
    CHECK(request(50, 7) == RBR_OK);
    CHECK(pair_send_empty(host, id, 0, RBR_BODY_RESULT, &rbr_desc_result, 0) == RBR_OK);
    first = read_next();
    second = read_next();
    pthread_mutex_lock(&exchange->lock); /* both, before anybody wakes up */
    CHECK(rbr_deliver(worker, &first) == RBR_OK && rbr_deliver(worker, &second) == RBR_OK);
    pthread_mutex_unlock(&exchange->lock);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    role_set_reading(exchange, false);
    rbr_pending_end(&call);
    close_both();
}
