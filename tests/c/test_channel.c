/* SPDX-License-Identifier: MIT */
/* test_channel.c - two processes over a real channel: calls, deaths, blocks, hostile bytes. */
#include "channel.h"
#include "channel_pair.h"
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

TEST(a_call_is_answered)
{
    channel_pair pair;
    int64_t answer;

    pair_open(&pair, NULL, pair_serve);
    CHECK(pair_call(pair.host, 42, 0, &answer, in_ms(5000)) == RBR_OK && answer == 42);
    pair_close(&pair);
}

TEST(every_kind_of_memory_and_ring_size_works)
{
    const enum rbr_memory kinds[] = {RBR_MEMORY_AUTO, RBR_MEMORY_SHM, RBR_MEMORY_MEMFD};
    size_t i;

    for (i = 0; i < 3; i++) {
        const rbr_channel_options options = {
            .ring_bytes = 1u << (16 + 2 * i), .memory = kinds[i], .spin_ns = -1};
        channel_pair pair;
        int64_t answer;

        pair_open(&pair, &options, pair_serve);
        CHECK(pair_call(pair.host, 7, 10000, &answer, in_ms(5000)) == RBR_OK && answer == 7);
        pair_close(&pair);
    }
}

TEST(a_wrong_ring_size_is_refused_with_a_message)
{
    const rbr_channel_options options = {.ring_bytes = 100000, .spin_ns = -1};
    rbr_channel *channel;
    rbr_error error;
    int ends[2];

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    CHECK(rbr_channel_open_host(&channel, ends[0], getpid(), -1, -1, &options, &error) ==
          RBR_TOO_BIG);
    CHECK(strstr(error.text, "power of two") != NULL);
    close(ends[1]);
}

TEST_SECONDS(calls_of_all_sizes_cross_in_order, 60)
{
    const rbr_channel_options options = {.ring_bytes = 65536, .spin_ns = -1};
    channel_pair pair;
    int64_t answer, i;

    pair_open(&pair, &options, pair_serve);
    for (i = 0; i < 400; i++) /* up to more than a quarter of the ring: through the arena */
        CHECK(pair_call(pair.host, i, (uint32_t)(i * 97), &answer, in_ms(5000)) == RBR_OK &&
              answer == i);
    rbr_stats stats;
    rbr_channel_stats(pair.host, &stats);
    CHECK(stats.peer_blocks == 0 && stats.arena_blocks == 0);
    pair_close(&pair);
}

/* ------------------------------------------------------------------------------------ waiting */

TEST(a_deadline_is_kept)
{
    channel_pair pair;
    int64_t answer;
    uint64_t start, took;

    pair_open(&pair, NULL, pair_serve_none);
    start = rbr_now_ns();
    CHECK(pair_call(pair.host, 1, 0, &answer, in_ms(100)) == RBR_TIMED_OUT);
    took = rbr_now_ns() - start;
    CHECK(took >= 99 * RBR_MS && took < 1500 * RBR_MS);
    pair_close(&pair);
}

TEST(both_sides_asleep_wake_each_other)
{
    const rbr_channel_options options = {.spin_ns = 0};
    channel_pair pair;
    int64_t answer, i;
    rbr_stats stats;

    pair_open(&pair, &options, pair_serve);
    for (i = 0; i < 2000; i++)
        CHECK(pair_call(pair.host, i, 0, &answer, in_ms(5000)) == RBR_OK && answer == i);
    rbr_channel_stats(pair.host, &stats);
    /* On one CPU only one of the two sleeps: the other is preempted by the one it wakes. */
    CHECK(stats.sleeps + stats.wakes_sent > 100);
    pair_close(&pair);
}

typedef struct caller {
    rbr_channel *host;
    int64_t from, calls;
} caller;

static void *
call_many(void *argument)
{
    const caller *self = argument;
    int64_t answer, i;

    for (i = self->from; i < self->from + self->calls; i++)
        CHECK(pair_call(self->host, i, (uint32_t)(i % 5000), &answer, in_ms(20000)) == RBR_OK &&
              answer == i);
    return NULL;
}

TEST_SECONDS(threads_that_call_at_once_each_get_their_own_answers, 60)
{
    const rbr_channel_options options = {.ring_bytes = 65536, .spin_ns = -1};
    channel_pair pair;
    pthread_t threads[8];
    caller callers[8];
    rbr_stats stats;
    int i;

    pair_open(&pair, &options, pair_serve);
    for (i = 0; i < 8; i++) {
        callers[i] = (caller){pair.host, i * 1000000, 2000};
        CHECK(pthread_create(&threads[i], NULL, call_many, &callers[i]) == 0);
    }
    for (i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    rbr_channel_stats(pair.host, &stats);
    CHECK(stats.frames_received == 16000);
    pair_close(&pair);
}

/* -------------------------------------------------------------------------------------- deaths */

static void *
wait_for_death(void *argument)
{
    const caller *self = argument;
    int64_t answer;

    CHECK(pair_call(self->host, 1, 0, &answer, in_ms(10000)) == RBR_DEAD);
    return NULL;
}

TEST(a_killed_peer_is_reported_to_every_waiter)
{
    channel_pair pair;
    pthread_t threads[4];
    caller self;
    rbr_error error;
    rbr_exit result;
    int i;

    pair_open(&pair, NULL, pair_serve_none);
    self = (caller){pair.host, 0, 0};
    for (i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, wait_for_death, &self) == 0);
    poll(NULL, 0, 20);
    CHECK(rbr_channel_kill(pair.host, SIGKILL, false, &error) == RBR_OK);
    for (i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK(rbr_channel_state(pair.host, &error) == RBR_DEAD);
    CHECK(strstr(error.text, "signal 9") != NULL);
    CHECK(rbr_channel_wait_end(pair.host, &result, in_ms(1000)) == RBR_OK);
    CHECK(result.known && result.signalled && result.code == SIGKILL);
    CHECK(rbr_channel_kill(pair.host, SIGKILL, true, &error) == RBR_DEAD); /* nobody's number */
    rbr_channel_release(pair.host);
}

static void
send_a_request_then_exit(rbr_channel *channel)
{
    uint8_t room[512] __attribute__((aligned(8)));
    rbr_message *message;

    CHECK(rbr_channel_receive(channel, &message, 0, in_ms(5000)) == RBR_OK);
    /* A request with the call's id is no answer: the call still waits when we are gone. */
    const uint32_t size = pair_build_call(room, sizeof room, rbr_message_id(message), 0, 5, 0);
    CHECK(rbr_channel_send(channel, room, size, NULL, 0, in_ms(5000), NULL) == RBR_OK);
    _exit(3);
}

TEST(an_exit_code_is_reported)
{
    channel_pair pair;
    rbr_error error;
    int64_t answer;

    pair_open(&pair, NULL, send_a_request_then_exit);
    CHECK(pair_call(pair.host, 1, 0, &answer, in_ms(5000)) == RBR_DEAD);
    CHECK(rbr_channel_state(pair.host, &error) == RBR_DEAD);
    CHECK(strstr(error.text, "exited with code 3") != NULL);
    rbr_channel_release(pair.host);
}

TEST(a_closed_channel_lets_its_waiters_go)
{
    channel_pair pair;
    rbr_error error;
    int64_t answer;

    pair_open(&pair, NULL, pair_serve_none);
    rbr_channel_close(pair.host);
    CHECK(pair_call(pair.host, 1, 0, &answer, in_ms(5000)) == RBR_CLOSED);
    CHECK(rbr_channel_state(pair.host, &error) == RBR_CLOSED);
    rbr_channel_release(pair.host); /* its end of the socket closes: the worker ends itself */
}

TEST(a_forked_child_is_refused)
{
    channel_pair pair;
    int64_t answer;
    int pid, status;

    pair_open(&pair, NULL, pair_serve);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        rbr_block *block;
        const bool refused = pair_call(pair.host, 1, 0, &answer, in_ms(1000)) == RBR_FORKED &&
                             rbr_block_allocate(&block, pair.host, 1, in_ms(1000), NULL) ==
                                 RBR_FORKED;

        rbr_channel_release(pair.host);
        _exit(refused ? 0 : 1);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(pair_call(pair.host, 2, 0, &answer, in_ms(5000)) == RBR_OK && answer == 2);
    pair_close(&pair);
}

/* -------------------------------------------------------------------------------------- blocks */

static uint32_t
build_sum_call(uint8_t *room, uint32_t room_bytes, uint64_t id, const rbr_arena_ref *ref)
{
    rbr_builder builder;
    uint32_t root, call, args, value, tensor, shape;

    rbr_build_start(&builder, room, room_bytes, NULL, NULL);
    root = rbr_build_table(&builder, 0, &rbr_shape_frame);
    rbr_build_u64(&builder, root, &rbr_shape_frame, RBR_FRAME__ID, id);
    rbr_build_u8(&builder, root, &rbr_shape_frame, RBR_FRAME__BODY_TYPE, RBR_BODY_CALL);
    call = rbr_build_table(&builder, rbr_build_slot(root, &rbr_shape_frame, RBR_FRAME__BODY),
                           &rbr_shape_call);
    rbr_build_u32(&builder, call, &rbr_shape_call, RBR_CALL__FUNCTION, FUNCTION_SUM);
    args = rbr_build_vector(&builder, rbr_build_slot(call, &rbr_shape_call, RBR_CALL__ARGS), 1, 4,
                            4);
    value = rbr_build_table(&builder, args, &rbr_shape_value_tensor);
    tensor = rbr_build_table(&builder,
                             rbr_build_slot(value, &rbr_shape_value_tensor, RBR_VALUE__TENSOR),
                             &rbr_shape_tensor_arena);
    shape = rbr_build_vector(
        &builder, rbr_build_slot(tensor, &rbr_shape_tensor_arena, RBR_TENSOR__SHAPE), 1, 8, 8);
    CHECK(shape != 0);
    rbr_build_set(&builder, tensor, &rbr_shape_tensor_arena, RBR_TENSOR__ARENA, ref, sizeof *ref);
    return rbr_build_finish(&builder);
}

/* Sends a block and checks the sum that the worker found in it. */
static void
send_block(rbr_channel *host, rbr_block *block, int64_t expected)
{
    uint8_t room[1024] __attribute__((aligned(8)));
    rbr_message *message;
    rbr_pending pending;
    rbr_arena_ref ref;
    uint32_t size;
    uint8_t type;

    rbr_block_ref(block, &ref);
    size = build_sum_call(room, sizeof room, rbr_pending_begin(&pending, host), &ref);
    CHECK(size > 0);
    CHECK(rbr_channel_send(host, room, size, &block, 1, in_ms(5000), NULL) == RBR_OK);
    CHECK(rbr_pending_wait(&pending, &message, RBR_FOREVER, in_ms(5000)) == RBR_OK);
    rbr_pending_end(&pending);
    CHECK(rbr_get_i64(rbr_get_table(rbr_message_body(message, &type), RBR_RESULT__VALUE),
                      RBR_VALUE__I, -1) == expected);
    rbr_message_free(message);
}

TEST(a_block_crosses_in_place_any_number_of_times)
{
    channel_pair pair;
    rbr_block *block;
    rbr_stats stats;
    int i;

    pair_open(&pair, NULL, pair_serve);
    CHECK(rbr_block_allocate(&block, pair.host, 100000, in_ms(5000), NULL) == RBR_OK);
    CHECK((uintptr_t)rbr_block_data(block) % 64 == 0 && rbr_block_bytes(block) == 100000);
    for (i = 1; i < 50; i++) {
        memset(rbr_block_data(block), i, 100000);
        send_block(pair.host, block, i * INT64_C(100000));
    }
    rbr_block_release(block);
    rbr_channel_stats(pair.host, &stats);
    CHECK(stats.arena_blocks == 0 && stats.arena_used == 0);
    pair_close(&pair);
}

TEST(the_arena_grows_to_its_limit_and_says_what_is_held)
{
    const rbr_channel_options options = {.arena_limit = 64 << 20, .spin_ns = -1};
    channel_pair pair;
    rbr_block *first, *second, *more;
    rbr_error error;

    pair_open(&pair, &options, pair_serve);
    CHECK(rbr_block_allocate(&first, pair.host, 20 << 20, in_ms(5000), &error) == RBR_OK);
    CHECK(rbr_block_allocate(&second, pair.host, 20 << 20, in_ms(5000), &error) == RBR_OK);
    CHECK(rbr_block_allocate(&more, pair.host, 40 << 20, in_ms(5000), &error) == RBR_ARENA_FULL);
    CHECK(strstr(error.text, "2 blocks") != NULL);
    rbr_block_release(first);
    rbr_block_release(second);
    /* The two segments are free, but each is too small: they are retired for a larger one. */
    CHECK(rbr_block_allocate(&more, pair.host, 60 << 20, in_ms(5000), &error) == RBR_OK);
    memset(rbr_block_data(more), 1, 60 << 20);
    send_block(pair.host, more, 60 << 20);
    rbr_block_release(more);
    pair_close(&pair);
}

TEST(a_block_outlives_its_channel)
{
    channel_pair pair;
    rbr_block *block;

    pair_open(&pair, NULL, pair_serve);
    CHECK(rbr_block_allocate(&block, pair.host, 5000, in_ms(5000), NULL) == RBR_OK);
    pair_close(&pair);
    memset(rbr_block_data(block), 1, 5000);
    rbr_block_release(block);
}

/* ------------------------------------------------------------------------------- hostile workers */

static void
break_ring_header(rbr_channel *channel)
{
    atomic_store(&channel->segment.shared->ring[RBR_ROLE_WORKER].tail, UINT64_C(1) << 40);
    rbr_wake_peer(&channel->wake, RBR_WAKE_DATA);
    pair_serve_none(channel);
}

static void
send_garbage(rbr_channel *channel)
{
    const uint8_t garbage[64] = {1, 2, 3};

    rbr_channel_send(channel, garbage, sizeof garbage, NULL, 0, in_ms(1000), NULL);
    pair_serve_none(channel);
}

static void
send_stale_reference(rbr_channel *channel)
{
    uint8_t room[1024] __attribute__((aligned(8)));
    const rbr_arena_ref ref = {.offset = 1 << 20, .length = 1 << 30, .generation = 9, .arena = 3};

    rbr_channel_send(channel, room, build_sum_call(room, sizeof room, 1, &ref), NULL, 0,
                     in_ms(1000), NULL);
    pair_serve_none(channel);
}

static void
expect_broken(void (*worker)(rbr_channel *), const char *words)
{
    channel_pair pair;
    rbr_error error;
    int64_t answer;

    pair_open(&pair, NULL, worker);
    CHECK(pair_call(pair.host, 1, 0, &answer, in_ms(5000)) == RBR_BROKEN);
    CHECK(rbr_channel_state(pair.host, &error) == RBR_BROKEN);
    if (strstr(error.text, words) == NULL) {
        printf("%s\n", error.text);
        CHECK(!"the message names what is wrong");
    }
    rbr_channel_kill(pair.host, SIGKILL, false, NULL);
    rbr_channel_release(pair.host);
}

TEST(an_impossible_ring_header_breaks_the_channel_only)
{
    expect_broken(break_ring_header, "ring header");
}

TEST(a_malformed_frame_is_refused_with_its_offset)
{
    expect_broken(send_garbage, "malformed");
}

TEST(a_reference_outside_the_arena_is_refused)
{
    expect_broken(send_stale_reference, "arena segment 3");
}

/* ---------------------------------------------------------------------------------- the handshake */

static rbr_status
handshake_with(const void *bytes, size_t size, int fds, rbr_error *error)
{
    const rbr_channel_options options = {.spin_ns = 0};
    rbr_channel *channel;
    rbr_status status;
    int ends[2], pid;

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        union {
            struct cmsghdr header;
            char room[CMSG_SPACE(253 * sizeof(int))];
        } ancillary = {.header = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
        struct iovec data = {(void *)(uintptr_t)bytes, size};
        struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
        int i;

        for (i = 0; i < fds; i++)
            memcpy(CMSG_DATA(&ancillary.header) + i * (int)sizeof(int), &ends[1], sizeof(int));
        ancillary.header.cmsg_len = CMSG_LEN((size_t)fds * sizeof(int));
        if (fds > 0) {
            message.msg_control = &ancillary;
            message.msg_controllen = CMSG_SPACE((size_t)fds * sizeof(int));
        }
        _exit(sendmsg(ends[1], &message, 0) < 0);
    }
    close(ends[1]);
    CHECK(rbr_channel_open_host(&channel, ends[0], pid, -1, -1, &options, error) == RBR_OK);
    status = rbr_channel_handshake(channel, in_ms(5000), error);
    rbr_channel_release(channel);
    return status;
}

TEST(a_bootstraps_own_words_are_the_error)
{
    rbr_error error;

    CHECK(handshake_with("RBRXtoo old", 11, 0, &error) == RBR_REFUSED);
    CHECK(strcmp(error.text, "too old") == 0);
    CHECK(handshake_with("RBRX", 4, 0, &error) == RBR_REFUSED && error.text[0] != '\0');
}

TEST(a_malformed_hello_is_refused)
{
    rbr_error error;

    CHECK(handshake_with("hello?", 6, 0, &error) == RBR_BROKEN);
    CHECK(strstr(error.text, "malformed") != NULL);
}

TEST(stray_descriptors_are_refused_and_closed)
{
    rbr_error error;

    CHECK(handshake_with("RBRXx", 5, 1, &error) == RBR_REFUSED);
    CHECK(handshake_with("RBRXx", 5, 2, &error) == RBR_BROKEN);
    CHECK(handshake_with("RBRXx", 5, 253, &error) == RBR_BROKEN);
}

TEST(a_child_that_ends_before_hello_is_dead)
{
    rbr_error error;

    CHECK(handshake_with("", 0, 0, &error) == RBR_DEAD);
}
