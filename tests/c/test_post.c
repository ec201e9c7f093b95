/* SPDX-License-Identifier: MIT */
/*
 * test_post.c - frames that wait in the process: none is lost, none overtakes, and they are bounded.
 */
#include "channel.h"
#include "channel_pair.h"
#include "check.h"
#include "loop_steps.h"
#include "os.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const rbr_channel_options small_ring = {.ring_bytes = 65536, .spin_ns = 0};

/* Shared with the worker. */
static struct stage {
    _Atomic bool go;
    _Atomic uint64_t taken;
    _Atomic uint64_t numbers[64]; /* of the first calls that the worker got */
} *stage;

static void
open_staged(channel_pair *pair, const rbr_channel_options *options, void (*run)(rbr_channel *))
{
    stage = check_share(sizeof *stage);
    pair_open(pair, options, run);
}

/* -1: it is no call. */
static int64_t
number_of(const rbr_message *message)
{
    uint32_t count;
    uint8_t type;
    const rbr_table call = rbr_message_body(message, &type);
    const uint8_t *args = type == RBR_BODY_CALL ? rbr_get_vector(call, RBR_CALL__ARGS, &count)
                                                : NULL;

    return args != NULL ? rbr_get_i64(rbr_vector_table(args, 0), RBR_VALUE__I, -1) : -1;
}

/* Takes when it is told to; notes what came. */
static void
take_when_told(rbr_channel *channel)
{
    const uint64_t until = in_ms(60000);
    rbr_message *message;

    while (!atomic_load(&stage->go)) {
        CHECK(rbr_now_ns() < until);
        poll(NULL, 0, 1);
    }
    while (rbr_channel_receive(channel, &message, 0, RBR_FOREVER) == RBR_OK) {
        const uint64_t at = atomic_load(&stage->taken);

        if (at < sizeof stage->numbers / sizeof stage->numbers[0])
            atomic_store(&stage->numbers[at], (uint64_t)number_of(message));
        rbr_message_free(message);
        atomic_store(&stage->taken, at + 1);
    }
}

static void
await_taken(uint64_t count)
{
    const uint64_t until = in_ms(15000);

    while (atomic_load(&stage->taken) < count) {
        CHECK(rbr_now_ns() < until);
        rbr_os_yield();
    }
}

static rbr_status
post(rbr_channel *host, uint64_t id, int64_t number, uint32_t padding, uint64_t deadline_ns)
{
    const uint32_t bytes = padding + 512;
    uint8_t *room = aligned_alloc(8, (bytes + 7) / 8 * 8);
    const uint32_t size = pair_build_call(room, bytes, id, FUNCTION_ECHO, number, padding);
    rbr_status status;

    CHECK(size > 0);
    status = rbr_channel_post(host, room, size, NULL, 0, id, deadline_ns, NULL);
    free(room);
    return status;
}

static void *
read_in_the_background(void *argument)
{
    rbr_channel *host = argument;
    rbr_message *message;
    rbr_status status;

    do
        status = rbr_inbox_take(rbr_channel_inbox(host), &message, 0, in_ms(10));
    while (status == RBR_TIMED_OUT || status == RBR_INTERRUPTED);
    CHECK(status == RBR_CLOSED || status == RBR_DEAD);
    return NULL;
}

/* How many frames stand in the queue. */
static uint32_t
count_unsent(rbr_exchange *exchange)
{
    const rbr_unsent *unsent;
    uint32_t count = 0;

    pthread_mutex_lock(&exchange->send_lock);
    for (unsent = exchange->unsent_first; unsent != NULL; unsent = unsent->next)
        count++;
    pthread_mutex_unlock(&exchange->send_lock);
    return count;
}

/* Small frames until one has to wait; their numbers count from 0. */
static int64_t
fill_the_ring(rbr_channel *host)
{
    int64_t number = 0;

    for (; atomic_load(&host->exchange.unsent_next) == 0; number++) {
        CHECK(number < 1000);
        CHECK(post(host, (uint64_t)number + 1, number, 1000, 0) == RBR_OK);
    }
    return number;
}

/* ---------------------------------------------------------------------------------------- all arrive */

enum { MANY = 100000, NAP_EACH = 2000 };

/* Checks the order; naps now and then, and answers the last. */
static void
check_the_order(rbr_channel *channel)
{
    rbr_message *message;
    int64_t next = 0;

    while (rbr_channel_receive(channel, &message, RBR_FOREVER, RBR_FOREVER) == RBR_OK) {
        CHECK(number_of(message) == next);
        next++;
        if (next % NAP_EACH == 0)
            poll(NULL, 0, 2);
        if (next == MANY)
            CHECK(pair_send_empty(channel, rbr_message_id(message), 0, RBR_BODY_RESULT,
                                  &rbr_desc_result, in_ms(15000)) == RBR_OK);
        rbr_message_free(message);
    }
}

static void
post_many(rbr_channel *host)
{
    rbr_exchange *exchange = &host->exchange;
    uint64_t most = 0;
    int64_t i;

    for (i = 0; i < MANY - 1; i++) {
        CHECK(post(host, 1000000 + (uint64_t)i, i, 64, 0) == RBR_OK);
        if (i % 64 == 0) {
            pthread_mutex_lock(&exchange->send_lock);
            most = exchange->unsent_bytes > most ? exchange->unsent_bytes : most;
            pthread_mutex_unlock(&exchange->send_lock);
        }
    }
    CHECK(most > 0 && most <= RBR_UNSENT_BYTES_MAX); /* they did wait */
}

TEST_SECONDS(a_hundred_thousand_posted_frames_arrive_in_order, 60)
{
    channel_pair pair;
    rbr_pending last;
    rbr_message *message;
    uint64_t id;

    open_staged(&pair, &small_ring, check_the_order);
    post_many(pair.host);
    id = rbr_pending_begin(&last, pair.host);
    CHECK(post(pair.host, id, MANY - 1, 64, 0) == RBR_OK);
    CHECK(rbr_pending_wait(&last, &message, 0, in_ms(30000)) == RBR_OK);
    rbr_message_free(message);
    rbr_pending_end(&last);
    CHECK(pair.host->exchange.unsent_bytes == 0);
    pair_close(&pair);
}

TEST_SECONDS(an_armed_loop_sends_what_was_posted, 60)
{
    channel_pair pair;
    rbr_pending last;
    rbr_inbox *inbox;
    uint64_t id;

    open_staged(&pair, &small_ring, check_the_order);
    inbox = loop_open(pair.host);
    post_many(pair.host);
    id = rbr_pending_begin(&last, pair.host);
    rbr_pending_direct(&last, inbox);
    CHECK(post(pair.host, id, MANY - 1, 64, 0) == RBR_OK);
    CHECK(loop_take(inbox) == id);
    rbr_pending_end(&last);
    rbr_inbox_close(inbox);
    pair_close(&pair);
}

/* The loop has armed and polls; another thread posts: the peer has to wake the loop for room. */
TEST(what_is_posted_after_a_loop_has_armed_is_sent_when_there_is_room)
{
    channel_pair pair;
    rbr_inbox *inbox;
    int64_t posted;
    uint64_t until;

    open_staged(&pair, &small_ring, take_when_told);
    inbox = loop_open(pair.host);
    loop_await_event(pair.host);
    rbr_inbox_clear(inbox);
    rbr_inbox_arm(inbox);
    posted = fill_the_ring(pair.host);
    until = in_ms(15000);
    atomic_store(&stage->go, true);
    while (count_unsent(&pair.host->exchange) > 0) {
        CHECK(rbr_now_ns() < until);
        CHECK(loop_is_readable(inbox, 15000));
        rbr_inbox_clear(inbox);
        CHECK(loop_take_now(inbox) == 0);
        rbr_inbox_arm(inbox);
    }
    await_taken((uint64_t)posted);
    rbr_inbox_close(inbox);
    pair_close(&pair);
}

/* It reads in the background, asleep for data alone, when the first frame finds no room. */
TEST(a_background_reader_sends_what_was_posted_while_it_slept)
{
    channel_pair pair;
    pthread_t thread;
    int64_t posted;

    open_staged(&pair, &small_ring, take_when_told);
    CHECK(pthread_create(&thread, NULL, read_in_the_background, pair.host) == 0);
    posted = fill_the_ring(pair.host);
    atomic_store(&stage->go, true);
    await_taken((uint64_t)posted);
    rbr_channel_close(pair.host);
    pthread_join(thread, NULL);
    rbr_channel_release(pair.host);
}

/* ---------------------------------------------------------------------------------------- how many */

enum { LARGE = 200000 };

TEST(a_post_beyond_the_limit_waits_for_room)
{
    const rbr_channel_options options = {.ring_bytes = 1 << 20, .spin_ns = 0};
    rbr_exchange *exchange;
    channel_pair pair;
    rbr_status status;
    uint64_t i, before;

    open_staged(&pair, &options, take_when_told);
    exchange = &pair.host->exchange;
    for (i = 1; (status = post(pair.host, i, 0, LARGE, 0)) == RBR_OK; i++)
        CHECK(i < 1000);
    CHECK(status == RBR_AGAIN);
    CHECK(exchange->unsent_bytes <= RBR_UNSENT_BYTES_MAX);
    CHECK(exchange->unsent_bytes > RBR_UNSENT_BYTES_MAX - 2 * LARGE);
    before = exchange->unsent_bytes;
    CHECK(post(pair.host, i, 0, LARGE, in_ms(20)) == RBR_TIMED_OUT);
    CHECK(exchange->unsent_bytes == before);
    CHECK(post(pair.host, 0, 0, LARGE, 0) == RBR_OK); /* no call: it is not held back */
    CHECK(exchange->unsent_bytes > before);
    atomic_store(&stage->go, true);
    CHECK(post(pair.host, i, 0, LARGE, in_ms(15000)) == RBR_OK);
    pair_close(&pair); /* a goodbye overtakes what nobody moved on */
}

/* ------------------------------------------------------------------------------------- taking out */

TEST(unsend_takes_out_exactly_the_one)
{
    channel_pair pair;
    rbr_exchange *exchange;
    uint32_t waiting;
    int64_t last, i;

    open_staged(&pair, &small_ring, take_when_told);
    exchange = &pair.host->exchange;
    last = fill_the_ring(pair.host);
    for (i = 0; i < 4; i++)
        CHECK(post(pair.host, (uint64_t)(last + i) + 1, last + i, 1000, 0) == RBR_OK);
    waiting = count_unsent(exchange);
    CHECK(waiting == 5);
    CHECK(!rbr_channel_unsend(pair.host, 1)); /* in the ring */
    CHECK(!rbr_channel_unsend(pair.host, 999));
    CHECK(rbr_channel_unsend(pair.host, (uint64_t)last + 2));
    CHECK(!rbr_channel_unsend(pair.host, (uint64_t)last + 2));
    CHECK(rbr_channel_unsend(pair.host, (uint64_t)last + 4)); /* the last: another one is, now */
    CHECK(count_unsent(exchange) == waiting - 2);
    CHECK(post(pair.host, (uint64_t)last + 5, last + 4, 1000, 0) == RBR_OK);
    CHECK(rbr_channel_unsend(pair.host, (uint64_t)last)); /* the first */
    atomic_store(&stage->go, true);
    while (count_unsent(exchange) > 0) {
        CHECK(rbr_exchange_wait_room(pair.host, 1000, in_ms(15000)) == RBR_OK);
        rbr_send_unsent(pair.host);
    }
    await_taken((uint64_t)last + 2);
    for (i = 0; i < last - 1; i++)
        CHECK(atomic_load(&stage->numbers[i]) == (uint64_t)i);
    CHECK(atomic_load(&stage->numbers[last - 1]) == (uint64_t)last);
    CHECK(atomic_load(&stage->numbers[last]) == (uint64_t)last + 2);
    CHECK(atomic_load(&stage->numbers[last + 1]) == (uint64_t)last + 4);
    CHECK(exchange->unsent_bytes == 0 && exchange->unsent_last == NULL);
    pair_close(&pair);
}

/* A block goes back to the arena when the peer has returned it as often as it was sent: a frame that
 * never went must not count. */
static uint64_t
blocks_left(rbr_channel *host)
{
    rbr_stats stats;

    rbr_channel_stats(host, &stats);
    return stats.arena_blocks;
}

static void
post_with_block(rbr_channel *host, rbr_block *block, uint64_t id)
{
    alignas(8) uint8_t room[1024];
    const uint32_t size = pair_build_call(room, sizeof room, id, FUNCTION_ECHO, 0, 0);

    memset(rbr_block_data(block), 1, rbr_block_bytes(block));
    CHECK(rbr_channel_post(host, room, size, &block, 1, id, 0, NULL) == RBR_OK);
}

TEST(a_frame_that_is_taken_out_or_dropped_does_not_count_as_sent)
{
    channel_pair pair;
    rbr_block *first, *second;
    uint64_t id;

    open_staged(&pair, &small_ring, take_when_told);
    CHECK(rbr_block_allocate(&first, pair.host, 5000, in_ms(15000), NULL) == RBR_OK);
    CHECK(rbr_block_allocate(&second, pair.host, 5000, in_ms(15000), NULL) == RBR_OK);
    id = (uint64_t)fill_the_ring(pair.host) + 10;
    post_with_block(pair.host, first, id);
    post_with_block(pair.host, first, id + 1);
    post_with_block(pair.host, second, id + 2);
    rbr_block_release(first);
    rbr_block_release(second);
    CHECK(blocks_left(pair.host) == 2); /* the queue holds them */
    CHECK(rbr_channel_unsend(pair.host, id) && rbr_channel_unsend(pair.host, id + 1));
    CHECK(blocks_left(pair.host) == 1);
    rbr_exchange_drop_inbox(pair.host); /* as at the last release */
    CHECK(blocks_left(pair.host) == 0);
    atomic_store(&stage->go, true);
    pair_close(&pair);
}

TEST(a_channel_that_is_released_lets_go_of_what_nobody_sent)
{
    channel_pair pair;
    rbr_block *block;

    open_staged(&pair, &small_ring, take_when_told);
    CHECK(rbr_block_allocate(&block, pair.host, 5000, in_ms(15000), NULL) == RBR_OK);
    post_with_block(pair.host, block, (uint64_t)fill_the_ring(pair.host) + 10);
    rbr_channel_kill(pair.host, 9, false, NULL);
    rbr_channel_release(pair.host);
    memset(rbr_block_data(block), 2, rbr_block_bytes(block)); /* ours is ours still */
    rbr_block_release(block);
}
