/* SPDX-License-Identifier: MIT */
/*
 * echo.c - a call between two processes, with the C core alone.
 *
 * The parent is the host, the child the worker. The host sends Call(function 0, args [20]); the
 * worker answers with Result(2 * 20 + 2).
 */
#include "ringbridge.h"
#include "ringbridge_flatbuf.h"
#include "ringbridge_wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAME_BYTES 512
#define SECONDS UINT64_C(1000000000)

static rbr_error error;

static void
check(rbr_status status, const char *what)
{
    if (status == RBR_OK)
        return;
    fprintf(stderr, "%s: status %d: %s\n", what, (int)status, error.text);
    exit(1);
}

/* An int's table Value; `slot` is the offset field, or vector element, that leads to it. */
static void
build_int(rbr_builder *builder, uint32_t slot, int64_t number)
{
    rbr_shape shape;
    uint32_t value;

    rbr_shape_make(&shape, &rbr_desc_value, RBR_BIT(RBR_VALUE__KIND) | RBR_BIT(RBR_VALUE__I));
    value = rbr_build_table_once(builder, slot, &shape);
    rbr_build_u8(builder, value, &shape, RBR_VALUE__KIND, RBR_KIND_INT);
    rbr_build_i64(builder, value, &shape, RBR_VALUE__I, number);
}

/* Frame(id, body): gives the slot of the body. */
static uint32_t
build_frame(rbr_builder *builder, void *room, uint64_t id, uint8_t body)
{
    uint32_t root;

    rbr_build_start(builder, room, FRAME_BYTES, NULL, NULL);
    root = rbr_build_table(builder, 0, &rbr_shape_frame);
    rbr_build_u64(builder, root, &rbr_shape_frame, RBR_FRAME__ID, id);
    rbr_build_u8(builder, root, &rbr_shape_frame, RBR_FRAME__BODY_TYPE, body);
    return rbr_build_slot(root, &rbr_shape_frame, RBR_FRAME__BODY);
}

static uint32_t
build_call(void *room, uint64_t id, int64_t number)
{
    rbr_builder builder;
    const uint32_t slot = build_frame(&builder, room, id, RBR_BODY_CALL);
    const uint32_t call = rbr_build_table(&builder, slot, &rbr_shape_call);
    uint32_t args;

    rbr_build_u32(&builder, call, &rbr_shape_call, RBR_CALL__FUNCTION, 0);
    args = rbr_build_vector(&builder, rbr_build_slot(call, &rbr_shape_call, RBR_CALL__ARGS), 1, 4,
                            4);
    build_int(&builder, args, number);
    return rbr_build_finish(&builder);
}

static uint32_t
build_result(void *room, uint64_t id, int64_t number)
{
    rbr_builder builder;
    const uint32_t slot = build_frame(&builder, room, id, RBR_BODY_RESULT);
    const uint32_t result = rbr_build_table(&builder, slot, &rbr_shape_result);

    build_int(&builder, rbr_build_slot(result, &rbr_shape_result, RBR_RESULT__VALUE), number);
    return rbr_build_finish(&builder);
}

/* The call's first argument; what is absent or of another kind counts as 0. */
static int64_t
argument(const rbr_message *message)
{
    uint32_t count = 0;
    uint8_t type;
    const rbr_table call = rbr_message_body(message, &type);
    const uint8_t *args = type == RBR_BODY_CALL ? rbr_get_vector(call, RBR_CALL__ARGS, &count)
                                                : NULL;

    return count > 0 ? rbr_get_i64(rbr_vector_table(args, 0), RBR_VALUE__I, 0) : 0;
}

static void
serve(int socket)
{
    _Alignas(8) uint8_t room[FRAME_BYTES];
    rbr_message *message;
    rbr_channel *channel;
    uint32_t size;

    check(rbr_channel_open_worker(&channel, socket, "none", "c", "echo", &error), "open worker");
    check(rbr_channel_handshake(channel, rbr_now_ns() + 10 * SECONDS, &error), "handshake");
    while (rbr_channel_receive(channel, &message, RBR_FOREVER, RBR_FOREVER) == RBR_OK) {
        size = build_result(room, rbr_message_id(message), 2 * argument(message) + 2);
        rbr_message_free(message);
        if (rbr_channel_send(channel, room, size, NULL, 0, RBR_FOREVER, &error) != RBR_OK)
            break;
    }
    rbr_channel_release(channel);
}

static int64_t
call(rbr_channel *channel, int64_t number)
{
    _Alignas(8) uint8_t room[FRAME_BYTES];
    const uint64_t deadline_ns = rbr_now_ns() + 10 * SECONDS;
    rbr_message *message;
    rbr_pending pending;
    rbr_table value;
    int64_t answer;
    uint8_t type;
    const uint64_t id = rbr_pending_begin(&pending, channel);
    const uint32_t size = build_call(room, id, number);

    check(rbr_channel_send(channel, room, size, NULL, 0, deadline_ns, &error), "send");
    check(rbr_pending_wait(&pending, &message, RBR_FOREVER, deadline_ns), "wait");
    rbr_pending_end(&pending);
    value = rbr_get_table(rbr_message_body(message, &type), RBR_RESULT__VALUE);
    answer = type == RBR_BODY_RESULT && value.at != NULL ? rbr_get_i64(value, RBR_VALUE__I, 0) : 0;
    rbr_message_free(message);
    return answer;
}

int
main(void)
{
    const rbr_channel_options options = {.name = "echo", .spin_ns = -1};
    rbr_channel *channel;
    rbr_exit ended;
    int ends[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0 || (pid = fork()) < 0)
        return 1;
    if (pid == 0) {
        close(ends[0]);
        setsid(); /* the host ends a worker with all of its session */
        serve(ends[1]);
        _exit(0);
    }
    close(ends[1]);
    check(rbr_channel_open_host(&channel, ends[0], pid, -1, -1, &options, &error), "open host");
    check(rbr_channel_handshake(channel, rbr_now_ns() + 10 * SECONDS, &error), "handshake");
    printf("%" PRId64 "\n", call(channel, 20));
    rbr_channel_say_goodbye(channel);
    check(rbr_channel_wait_end(channel, &ended, rbr_now_ns() + 10 * SECONDS), "wait for the end");
    rbr_channel_release(channel);
    return ended.known && ended.code == 0 ? 0 : 1;
}
