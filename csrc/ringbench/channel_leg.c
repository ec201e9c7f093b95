/* SPDX-License-Identifier: MIT */
/*
 * channel_leg.c - calls over a real channel: a Call frame with one argument of bytes goes to the
 * worker, a Result frame with the same bytes comes back. Building, verifying, copying and both
 * watcher threads included; no Python.
 */
#include "exchange_legs.h"

#include "base.h"

#include "ringbridge_flatbuf.h"
#include "ringbridge_wire.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FRAME_OVERHEAD = 512 };
#define HANDSHAKE_NS (10 * RBR_SECOND)
#define SPIN_NS ((int64_t)RBR_SECOND) /* longer than any answer takes */

void
bench_echo_prepare(bench_echo *echo, uint32_t bytes)
{
    *echo = (bench_echo){.bytes = bytes, .frame_room = bytes + FRAME_OVERHEAD};
    echo->argument = calloc(1, bytes);
    echo->frame = malloc(echo->frame_room); /* malloc aligns to 16 */
    echo->worker = bench_shared_new(sizeof *echo->worker);
    if (echo->argument == NULL || echo->frame == NULL)
        bench_die(BENCH_EXIT_MACHINE, "no %u bytes of memory", bytes);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, echo->sockets) != 0)
        bench_die(BENCH_EXIT_MACHINE, "no socket pair");
}

static void
shake_hands(bench_echo *echo, const char *who)
{
    rbr_error error;

    if (rbr_channel_handshake(echo->channel, rbr_now_ns() + HANDSHAKE_NS, &error) != RBR_OK)
        bench_die(BENCH_EXIT_MACHINE, "handshake of the %s: %s", who, error.text);
}

void
bench_echo_join(void *context)
{
    bench_echo *echo = context;
    rbr_error error;

    close(echo->sockets[0]);
    if (rbr_channel_open_worker(&echo->channel, echo->sockets[1], "none", "none", "ringbench",
                                &error) != RBR_OK)
        bench_die(BENCH_EXIT_MACHINE, "worker: %s", error.text);
    shake_hands(echo, "worker");
}

void
bench_echo_leave(void *context)
{
    bench_echo *echo = context;

    rbr_channel_stats(echo->channel, &echo->worker->stats);
    rbr_channel_release(echo->channel);
}

void
bench_echo_connect(bench_echo *echo, const bench_options *options, int child)
{
    static const int64_t spin_ns[] = {
        [BENCH_WAIT_SPIN] = SPIN_NS, [BENCH_WAIT_BLOCK] = 0, [BENCH_WAIT_ADAPTIVE] = -1};
    const rbr_channel_options wanted = {
        .name = "ringbench", .ring_bytes = options->ring_bytes, .spin_ns = spin_ns[options->wait]};
    rbr_error error;

    close(echo->sockets[1]);
    if (rbr_channel_open_host(&echo->channel, echo->sockets[0], child, -1, -1, &wanted, &error) !=
        RBR_OK)
        bench_die(BENCH_EXIT_MACHINE, "host: %s", error.text);
    shake_hands(echo, "host");
}

void
bench_echo_close(bench_echo *echo)
{
    rbr_channel_release(echo->channel);
    bench_shared_free(echo->worker, sizeof *echo->worker);
    free(echo->argument);
    free(echo->frame);
}

/* --------------------------------------------------------------------------------------- frames */

static uint32_t
build_bytes(rbr_builder *builder, uint32_t slot, const void *bytes, uint32_t size)
{
    const uint32_t value = rbr_build_table(builder, slot, &rbr_shape_value_bytes);

    rbr_build_u8(builder, value, &rbr_shape_value_bytes, RBR_VALUE__KIND, RBR_KIND_BYTES);
    rbr_build_bytes(builder, rbr_build_slot(value, &rbr_shape_value_bytes, RBR_VALUE__B), bytes,
                    size);
    return rbr_build_finish(builder);
}

/* The frame up to its body's table; returns that. */
static uint32_t
build_body(bench_echo *echo, rbr_builder *builder, uint64_t id, uint8_t type,
           const rbr_shape *shape)
{
    uint32_t root;

    rbr_build_start(builder, echo->frame, echo->frame_room, NULL, NULL);
    root = rbr_build_table(builder, 0, &rbr_shape_frame);
    rbr_build_u64(builder, root, &rbr_shape_frame, RBR_FRAME__ID, id);
    rbr_build_u8(builder, root, &rbr_shape_frame, RBR_FRAME__BODY_TYPE, type);
    return rbr_build_table(builder, rbr_build_slot(root, &rbr_shape_frame, RBR_FRAME__BODY), shape);
}

static uint32_t
build_call(bench_echo *echo, uint64_t id)
{
    rbr_builder builder;
    uint32_t call, args;

    call = build_body(echo, &builder, id, RBR_BODY_CALL, &rbr_shape_call);
    rbr_build_u32(&builder, call, &rbr_shape_call, RBR_CALL__FUNCTION, 1);
    args = rbr_build_vector(&builder, rbr_build_slot(call, &rbr_shape_call, RBR_CALL__ARGS), 1, 4,
                            4);
    return build_bytes(&builder, args, echo->argument, echo->bytes);
}

static uint32_t
build_result(bench_echo *echo, uint64_t id, const void *bytes, uint32_t size)
{
    rbr_builder builder;
    uint32_t result;

    result = build_body(echo, &builder, id, RBR_BODY_RESULT, &rbr_shape_result);
    return build_bytes(&builder, rbr_build_slot(result, &rbr_shape_result, RBR_RESULT__VALUE),
                       bytes, size);
}

static void
need(rbr_status status, bench_echo *echo, const char *what)
{
    rbr_error error = {.text = ""};

    if (status == RBR_OK)
        return;
    rbr_channel_state(echo->channel, &error);
    bench_die(BENCH_EXIT_WRONG, "%s: status %d %s", what, (int)status, error.text);
}

/* ----------------------------------------------------------------------------------- both sides */

static void
echo_trip(void *context)
{
    bench_echo *echo = context;
    rbr_message *message;
    const uint8_t *bytes;
    rbr_pending pending;
    uint32_t size;
    uint64_t id;
    uint8_t type;

    echo->sequence++;
    memcpy(echo->argument, &echo->sequence, sizeof echo->sequence);
    id = rbr_pending_begin(&pending, echo->channel);
    size = build_call(echo, id);
    need(rbr_channel_send(echo->channel, echo->frame, size, NULL, 0, RBR_FOREVER, NULL), echo,
         "send");
    need(rbr_pending_wait(&pending, &message, RBR_FOREVER, RBR_FOREVER), echo, "wait");
    bytes = rbr_get_vector(rbr_get_table(rbr_message_body(message, &type), RBR_RESULT__VALUE),
                           RBR_VALUE__B, &size);
    if (type != RBR_BODY_RESULT || size != echo->bytes || memcmp(bytes, echo->argument, size) != 0)
        bench_die(BENCH_EXIT_WRONG, "call %llu came back with another argument",
                  (unsigned long long)id);
    rbr_message_free(message);
    rbr_pending_end(&pending);
}

static void
echo_answer(void *context)
{
    bench_echo *echo = context;
    rbr_message *message;
    const uint8_t *args, *bytes;
    uint32_t count, size;
    uint8_t type;

    need(rbr_channel_receive(echo->channel, &message, RBR_FOREVER, RBR_FOREVER), echo, "receive");
    args = rbr_get_vector(rbr_message_body(message, &type), RBR_CALL__ARGS, &count);
    if (type != RBR_BODY_CALL || count != 1)
        bench_die(BENCH_EXIT_WRONG, "a frame of type %d with %u arguments is no call of ours", type,
                  count);
    bytes = rbr_get_vector(rbr_vector_table(args, 0), RBR_VALUE__B, &size);
    size = build_result(echo, rbr_message_id(message), bytes, size);
    need(rbr_channel_send(echo->channel, echo->frame, size, NULL, 0, RBR_FOREVER, NULL), echo,
         "send");
    rbr_message_free(message);
}

void
bench_echo_leg(bench_leg *leg, bench_echo *echo)
{
    *leg = (bench_leg){"channel", false, echo_trip, echo_answer, echo};
}
