/* SPDX-License-Identifier: MIT */
/*
 * test_deliver_room.c - how much may wait for a call that nobody takes from, and what becomes of more.
 *
 * Both ends stand in this process, without sockets or watchers: each step is a call with deadline 0.
 */
#include "bare_channel.h"
#include "channel.h"
#include "channel_pair.h"
#include "check.h"
#include "loop_steps.h"

#include <stdlib.h>
#include <string.h>

enum { RING = 262144, LARGE = 60000 }; /* LARGE: of one record */

static bare_pair pair;
static rbr_channel *host, *worker;
static rbr_pending other; /* reads what comes for the others */

static void
open_both(void)
{
    bare_pair_open(&pair, RING);
    host = pair.host;
    worker = pair.worker;
    rbr_pending_begin(&other, host);
}

static void
close_both(void)
{
    rbr_pending_end(&other);
    CHECK(host->exchange.aside_bytes == 0);
    bare_pair_close(&pair);
}

static bool
lives(void)
{
    return rbr_channel_state(host, NULL) == RBR_OK;
}

/* -------------------------------------------------------------------------------------- frames */

static char text[LARGE];

static rbr_status
send_built(rbr_builder *builder)
{
    const uint32_t size = rbr_build_finish(builder);

    CHECK(size > 0);
    return rbr_channel_send(worker, builder->base, size, NULL, 0, 0, NULL);
}

static rbr_status
log_record(uint64_t id, uint32_t bytes)
{
    static alignas(8) uint8_t room[LARGE + 256];
    rbr_builder builder;
    rbr_shape shape;
    uint32_t table;

    rbr_shape_make(&shape, &rbr_desc_log, RBR_BIT(RBR_LOG__TEXT));
    table = rbr_frame_start(&builder, room, sizeof room, id, RBR_BODY_LOG, &shape);
    rbr_build_string(&builder, rbr_build_slot(table, &shape, RBR_LOG__TEXT), text, bytes);
    return send_built(&builder);
}

static rbr_status
short_log(uint64_t id)
{
    return log_record(id, 1);
}

static rbr_status
long_log(uint64_t id)
{
    return log_record(id, LARGE);
}

static rbr_status
progress(uint64_t id, uint64_t done)
{
    alignas(8) uint8_t room[256];
    rbr_builder builder;
    rbr_shape shape;
    uint32_t table;

    rbr_shape_make(&shape, &rbr_desc_progress, RBR_BIT(RBR_PROGRESS__DONE));
    table = rbr_frame_start(&builder, room, sizeof room, id, RBR_BODY_PROGRESS, &shape);
    rbr_build_u64(&builder, table, &shape, RBR_PROGRESS__DONE, done);
    return send_built(&builder);
}

static rbr_status
some_progress(uint64_t id)
{
    return progress(id, 0);
}

static rbr_status
item(uint64_t id)
{
    return pair_send_empty(worker, id, 0, RBR_BODY_STREAM_ITEM, &rbr_desc_stream_item, 0);
}

static rbr_status
large_item(uint64_t id)
{
    static alignas(8) uint8_t room[LARGE + 256];
    rbr_builder builder;
    rbr_shape shape, bytes;
    uint32_t table, value;

    rbr_shape_make(&shape, &rbr_desc_stream_item, RBR_BIT(RBR_STREAM_ITEM__VALUE));
    rbr_shape_make(&bytes, &rbr_desc_value, RBR_BIT(RBR_VALUE__B));
    table = rbr_frame_start(&builder, room, sizeof room, id, RBR_BODY_STREAM_ITEM, &shape);
    value = rbr_build_table_once(&builder, rbr_build_slot(table, &shape, RBR_STREAM_ITEM__VALUE),
                                 &bytes);
    rbr_build_bytes(&builder, rbr_build_slot(value, &bytes, RBR_VALUE__B), text, LARGE);
    return send_built(&builder);
}

static rbr_status
result(uint64_t id)
{
    return pair_send_empty(worker, id, 0, RBR_BODY_RESULT, &rbr_desc_result, 0);
}

static rbr_status
call_back(uint64_t call)
{
    return pair_send_empty(worker, 1000000, call, RBR_BODY_CALLBACK, &rbr_desc_callback, 0);
}

/* -------------------------------------------------------------------------------------- steps */

/* A wait that finds others' frames only gives up after some of them. */
static void
read_all(void)
{
    do
        CHECK(bare_next_of(&other) == 0);
    while (lives() && rbr_consumer_has_data(&host->exchange.consumer));
}

/* `count` frames for a call that nobody takes from. */
static void
flood(uint64_t id, rbr_status (*frame)(uint64_t), uint32_t count)
{
    uint32_t i;

    for (i = 0; i < count && lives(); i++)
        while (frame(id) == RBR_AGAIN)
            read_all();
    read_all();
}

/* The kind of the next frame for this call, and of a Progress how much is done; -1: none. */
static int
next_body(rbr_pending *pending, uint64_t *done)
{
    rbr_message *message;
    rbr_table body;
    uint8_t type;

    if (rbr_pending_wait(pending, &message, 0, 0) != RBR_OK)
        return -1;
    body = rbr_message_body(message, &type);
    if (type == RBR_BODY_PROGRESS && done != NULL)
        *done = rbr_get_u64(body, RBR_PROGRESS__DONE, 0);
    rbr_message_free(message);
    return type;
}

static uint32_t
count_bodies(rbr_pending *pending, int type)
{
    uint32_t count = 0;
    int next;

    while ((next = next_body(pending, NULL)) != -1)
        count += next == type;
    return count;
}

static uint64_t
dropped_asides(void)
{
    rbr_stats stats;

    rbr_channel_stats(host, &stats);
    return stats.dropped_asides;
}

/* -------------------------------------------------------------------------------------- asides */

/* They took the places of the call's own answer, which then broke the channel for all calls. */
TEST(logs_that_nobody_takes_leave_room_for_items_callbacks_and_the_answer)
{
    rbr_pending call;
    uint64_t id;

    open_both();
    id = rbr_pending_begin(&call, host);
    flood(id, short_log, 5000);
    flood(id, some_progress, 5000);
    flood(id, item, RBR_ITEMS_MAX);
    flood(id, call_back, 1000);
    flood(id, result, 1);
    CHECK(lives());
    CHECK(dropped_asides() == 5000 - RBR_ASIDES_MAX);
    CHECK(((rbr_pending_call *)&call)->waiting[RBR_SORT_CALLBACK].count == 1000);
    CHECK(count_bodies(&call, RBR_BODY_STREAM_ITEM) == RBR_ITEMS_MAX);
    flood(id, short_log, 1); /* there is room again */
    CHECK(next_body(&call, NULL) == RBR_BODY_LOG);
    rbr_pending_end(&call);
    close_both();
}

TEST(of_a_calls_progress_only_the_newest_waits_and_it_comes_last)
{
    rbr_pending call;
    uint64_t id, done = 0;

    open_both();
    id = rbr_pending_begin(&call, host);
    CHECK(progress(id, 1) == RBR_OK && item(id) == RBR_OK && progress(id, 2) == RBR_OK);
    CHECK(short_log(id) == RBR_OK && progress(id, 3) == RBR_OK && item(id) == RBR_OK);
    read_all();
    CHECK(next_body(&call, NULL) == RBR_BODY_STREAM_ITEM && next_body(&call, NULL) == RBR_BODY_LOG);
    CHECK(next_body(&call, &done) == RBR_BODY_PROGRESS && done == 3);
    CHECK(progress(id, 4) == RBR_OK); /* nothing older waits any more */
    read_all();
    CHECK(next_body(&call, NULL) == RBR_BODY_STREAM_ITEM);
    CHECK(next_body(&call, &done) == RBR_BODY_PROGRESS && done == 4);
    CHECK(next_body(&call, NULL) == -1 && dropped_asides() == 0);
    rbr_pending_end(&call);
    close_both();
}

/* Several calls' together: a worker could fill our memory with 64 MiB a call. */
TEST_SECONDS(the_bytes_of_logs_are_bounded_for_the_channel, 60)
{
    rbr_pending calls[4];
    uint64_t ids[4];
    uint32_t taken = 0;
    int i;

    open_both();
    for (i = 0; i < 4; i++) {
        ids[i] = rbr_pending_begin(&calls[i], host);
        rbr_pending_direct(&calls[i], i % 2 == 0 ? rbr_channel_inbox(host) : NULL);
        flood(ids[i], long_log, 500);
        CHECK(host->exchange.aside_bytes < RBR_ASIDE_BYTES_MAX + LARGE + 256);
    }
    CHECK(lives() && dropped_asides() > 0);
    rbr_pending_end(&calls[0]); /* what is in the inbox waits on */
    CHECK(host->exchange.aside_bytes >= RBR_ASIDE_BYTES_MAX);
    rbr_pending_end(&calls[1]);
    CHECK(host->exchange.aside_bytes < RBR_ASIDE_BYTES_MAX);
    flood(ids[3], long_log, 1); /* there is room again */
    CHECK(next_body(&calls[3], NULL) == RBR_BODY_LOG);
    while (loop_take_now(rbr_channel_inbox(host)) != 0)
        taken++;
    CHECK(taken > 500);
    rbr_pending_end(&calls[2]);
    rbr_pending_end(&calls[3]);
    close_both();
}

/* -------------------------------------------------------------------- items, callbacks, answers */

static void
check_too_much(rbr_pending *call)
{
    rbr_error error;

    CHECK(rbr_channel_state(host, &error) == RBR_BROKEN);
    CHECK(strstr(error.text, "more for one call") != NULL);
    rbr_pending_end(call);
    close_both();
}

TEST(items_beyond_the_limit_break_the_channel)
{
    rbr_pending call;
    uint64_t id;

    open_both();
    id = rbr_pending_begin(&call, host);
    flood(id, item, RBR_ITEMS_MAX);
    CHECK(lives());
    flood(id, item, 1);
    check_too_much(&call);
}

/* A worker is parked at 64 MiB, and may have sent the item that made it so many. */
TEST_SECONDS(items_of_more_bytes_than_a_parked_worker_sends_break_the_channel, 60)
{
    const uint32_t most = RBR_ITEM_BYTES_MAX / (LARGE + 256);
    rbr_pending call, next;
    uint64_t ids[2];

    open_both();
    ids[0] = rbr_pending_begin(&call, host);
    ids[1] = rbr_pending_begin(&next, host);
    flood(ids[0], large_item, most);
    flood(ids[1], large_item, most); /* it is a limit of each */
    CHECK(lives());
    rbr_pending_end(&next);
    flood(ids[0], large_item, 20);
    check_too_much(&call);
}

TEST(what_was_taken_does_not_count_as_waiting)
{
    rbr_pending call;
    uint64_t id;
    int i;

    open_both();
    id = rbr_pending_begin(&call, host);
    for (i = 0; i < 3 * RBR_ITEMS_MAX; i++) {
        flood(id, item, 1);
        CHECK(bare_next_of(&call) == id);
    }
    CHECK(lives());
    rbr_pending_end(&call);
    close_both();
}

TEST(an_inbox_counts_what_it_holds_for_each_call)
{
    rbr_pending first, second;
    uint64_t ids[2];
    int i;

    open_both();
    ids[0] = rbr_pending_begin(&first, host);
    ids[1] = rbr_pending_begin(&second, host);
    rbr_pending_direct(&first, rbr_channel_inbox(host));
    rbr_pending_direct(&second, rbr_channel_inbox(host));
    for (i = 0; i < 3 * RBR_ITEMS_MAX; i++) {
        CHECK(item(ids[i % 2]) == RBR_OK);
        CHECK(loop_take_now(rbr_channel_inbox(host)) == ids[i % 2]);
    }
    CHECK(item(ids[0]) == RBR_OK && item(ids[1]) == RBR_OK);
    rbr_pending_end(&first); /* what comes for it now is dropped */
    CHECK(loop_take_now(rbr_channel_inbox(host)) == ids[1]);
    rbr_pending_end(&second);
    close_both();
}

/* A peer that is interrupted at the wrong moment may answer twice; the first one counts. */
TEST(a_second_answer_is_dropped)
{
    rbr_pending call;
    rbr_stats stats;
    uint64_t id;

    open_both();
    id = rbr_pending_begin(&call, host);
    flood(id, result, 3);
    CHECK(next_body(&call, NULL) == RBR_BODY_RESULT && next_body(&call, NULL) == -1);
    rbr_channel_stats(host, &stats);
    CHECK(lives() && stats.dropped_answers == 2);
    rbr_pending_end(&call);
    close_both();
}

/* Who called back hears that it was too much, and all else goes on. */
TEST(a_callback_beyond_the_limit_is_refused)
{
    static const char expected[] = "ringbridge.errors.Busy";
    rbr_pending call, callback;
    rbr_message *message;
    const uint8_t *name;
    uint32_t length;
    rbr_table error;
    uint8_t type;
    uint64_t id;

    open_both();
    id = rbr_pending_begin(&call, host);
    flood(id, call_back, RBR_CALLBACKS_MAX);
    CHECK(host->exchange.frames_sent == 0);
    CHECK(pair_send_empty(worker, rbr_pending_begin(&callback, worker), id, RBR_BODY_CALLBACK,
                          &rbr_desc_callback, 0) == RBR_OK);
    read_all();
    CHECK(rbr_pending_wait(&callback, &message, 0, 0) == RBR_OK);
    error = rbr_message_body(message, &type);
    name = rbr_get_vector(error, RBR_ERROR__TYPE, &length);
    CHECK(type == RBR_BODY_ERROR && name != NULL && length == sizeof expected - 1);
    CHECK(memcmp(name, expected, length) == 0);
    rbr_message_free(message);
    rbr_pending_end(&callback);
    CHECK(lives() && host->exchange.frames_sent == 1);
    while (next_body(&call, NULL) != -1) /* they would all be refused, to nobody */
        ;
    rbr_pending_end(&call);
    close_both();
}
