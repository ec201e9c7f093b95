/* SPDX-License-Identifier: MIT */
/* channel_pair.c - see channel_pair.h. */
#include "channel_pair.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

uint64_t
in_ms(uint64_t ms)
{
    return rbr_now_ns() + ms * UINT64_C(1000000);
}

void
pair_check_no_wake_was_lost(rbr_channel *channel)
{
    rbr_stats stats;

    rbr_channel_stats(channel, &stats);
    CHECK(stats.late_looks == 0);
}

static void
run_worker(int socket, void (*worker)(rbr_channel *))
{
    rbr_channel *channel;
    rbr_error error;

    CHECK(rbr_channel_open_worker(&channel, socket, "3.0.0", "none", "test", &error) == RBR_OK);
    CHECK(rbr_channel_handshake(channel, in_ms(15000), &error) == RBR_OK);
    worker(channel);
    pair_check_no_wake_was_lost(channel);
    rbr_channel_release(channel);
    _exit(0);
}

void
pair_open(channel_pair *pair, const rbr_channel_options *options, void (*worker)(rbr_channel *))
{
    const rbr_channel_options usual = {.name = "test", .spin_ns = -1};
    rbr_error error;
    int ends[2];

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    pair->pid = fork();
    CHECK(pair->pid >= 0);
    if (pair->pid == 0) {
        close(ends[0]);
        setsid();
        run_worker(ends[1], worker);
    }
    close(ends[1]);
    CHECK(rbr_channel_open_host(&pair->host, ends[0], pair->pid, -1, -1,
                                options != NULL ? options : &usual, &error) == RBR_OK);
    CHECK(rbr_channel_handshake(pair->host, in_ms(15000), &error) == RBR_OK);
}

void
pair_close(channel_pair *pair)
{
    rbr_exit result;

    rbr_channel_say_goodbye(pair->host);
    CHECK(rbr_channel_wait_end(pair->host, &result, in_ms(15000)) == RBR_OK);
    CHECK(result.known && !result.signalled && result.code == 0);
    pair_check_no_wake_was_lost(pair->host);
    rbr_channel_release(pair->host);
}

/* -1 where there is no block: a frame can be well-formed and not ours. */
static int64_t
sum_of_block(const rbr_message *message, rbr_table value)
{
    const rbr_table tensor = rbr_get_table(value, RBR_VALUE__TENSOR);
    const uint8_t *field = tensor.at != NULL ? rbr_field(tensor, RBR_TENSOR__ARENA) : NULL;
    rbr_block *block = field != NULL ? rbr_message_block(message, field) : NULL;
    const uint8_t *bytes;
    int64_t sum = 0;
    uint64_t i;

    if (block == NULL)
        return -1;
    bytes = rbr_block_data(block);
    for (i = 0; i < rbr_block_bytes(block); i++)
        sum += bytes[i];
    rbr_block_release(block);
    return sum;
}

static uint32_t
build_result(uint8_t *room, uint32_t room_bytes, uint64_t id, int64_t number, uint32_t padding)
{
    rbr_builder builder;
    rbr_shape shape;
    uint32_t root, result, value;

    rbr_build_start(&builder, room, room_bytes, NULL, NULL);
    root = rbr_build_table(&builder, 0, &rbr_shape_frame);
    rbr_build_u64(&builder, root, &rbr_shape_frame, RBR_FRAME__ID, id);
    rbr_build_u8(&builder, root, &rbr_shape_frame, RBR_FRAME__BODY_TYPE, RBR_BODY_RESULT);
    result = rbr_build_table(&builder, rbr_build_slot(root, &rbr_shape_frame, RBR_FRAME__BODY),
                             &rbr_shape_result);
    rbr_shape_make(&shape, &rbr_desc_value,
                   RBR_BIT(RBR_VALUE__KIND) | RBR_BIT(RBR_VALUE__I) | RBR_BIT(RBR_VALUE__B));
    value = rbr_build_table_once(
        &builder, rbr_build_slot(result, &rbr_shape_result, RBR_RESULT__VALUE), &shape);
    rbr_build_u8(&builder, value, &shape, RBR_VALUE__KIND, RBR_KIND_INT);
    rbr_build_i64(&builder, value, &shape, RBR_VALUE__I, number);
    rbr_build_vector(&builder, rbr_build_slot(value, &shape, RBR_VALUE__B), padding, 1, 4);
    return rbr_build_finish(&builder);
}

void
pair_serve(rbr_channel *channel)
{
    static uint8_t room[1 << 20] __attribute__((aligned(8)));
    rbr_message *message;
    rbr_status status;

    for (;;) {
        uint32_t count, padding, size;
        rbr_table call, value;
        const uint8_t *args;
        int64_t number;
        uint8_t type;

        status = rbr_channel_receive(channel, &message, RBR_FOREVER, RBR_FOREVER);
        if (status == RBR_INTERRUPTED)
            continue;
        if (status != RBR_OK)
            break;
        call = rbr_message_body(message, &type);
        args = type == RBR_BODY_CALL ? rbr_get_vector(call, RBR_CALL__ARGS, &count) : NULL;
        if (args == NULL || count == 0) {
            rbr_message_free(message);
            continue;
        }
        value = rbr_vector_table(args, 0);
        number = rbr_get_i64(value, RBR_VALUE__I, 0);
        rbr_get_vector(value, RBR_VALUE__B, &padding);
        if (rbr_get_u32(call, RBR_CALL__FUNCTION, 0) == FUNCTION_SUM)
            number = sum_of_block(message, value);
        size = build_result(room, sizeof room, rbr_message_id(message), number, padding);
        CHECK(size > 0);
        rbr_message_free(message);
        status = rbr_channel_send(channel, room, size, NULL, 0, RBR_FOREVER, NULL);
        if (status != RBR_OK)
            break;
    }
}

void
pair_serve_none(rbr_channel *channel)
{
    rbr_message *message;
    rbr_status status;

    do {
        status = rbr_channel_receive(channel, &message, 0, RBR_FOREVER);
        if (status == RBR_OK)
            rbr_message_free(message);
    } while (status == RBR_OK || status == RBR_INTERRUPTED);
}

uint32_t
pair_build_call(uint8_t *room, uint32_t room_bytes, uint64_t id, uint32_t function, int64_t number,
                uint32_t padding)
{
    rbr_builder builder;
    rbr_shape shape;
    uint32_t root, call, args, value;

    rbr_build_start(&builder, room, room_bytes, NULL, NULL);
    root = rbr_build_table(&builder, 0, &rbr_shape_frame);
    rbr_build_u64(&builder, root, &rbr_shape_frame, RBR_FRAME__ID, id);
    rbr_build_u8(&builder, root, &rbr_shape_frame, RBR_FRAME__BODY_TYPE, RBR_BODY_CALL);
    call = rbr_build_table(&builder, rbr_build_slot(root, &rbr_shape_frame, RBR_FRAME__BODY),
                           &rbr_shape_call);
    rbr_build_u32(&builder, call, &rbr_shape_call, RBR_CALL__FUNCTION, function);
    args = rbr_build_vector(&builder, rbr_build_slot(call, &rbr_shape_call, RBR_CALL__ARGS), 1, 4,
                            4);
    rbr_shape_make(&shape, &rbr_desc_value,
                   RBR_BIT(RBR_VALUE__KIND) | RBR_BIT(RBR_VALUE__I) | RBR_BIT(RBR_VALUE__B));
    value = rbr_build_table_once(&builder, args, &shape);
    rbr_build_u8(&builder, value, &shape, RBR_VALUE__KIND, RBR_KIND_INT);
    rbr_build_i64(&builder, value, &shape, RBR_VALUE__I, number);
    rbr_build_vector(&builder, rbr_build_slot(value, &shape, RBR_VALUE__B), padding, 1, 4);
    return rbr_build_finish(&builder);
}

uint32_t
pair_build_empty(uint8_t *room, uint32_t room_bytes, uint64_t id, uint64_t parent, uint8_t body,
                 const struct rbr_table_desc *desc)
{
    const rbr_shape *frame = &rbr_shape_frame_parent;
    rbr_builder builder;
    rbr_shape shape;
    uint32_t root;

    rbr_shape_make(&shape, desc, 0);
    rbr_build_start(&builder, room, room_bytes, NULL, NULL);
    root = rbr_build_table(&builder, 0, frame);
    rbr_build_u64(&builder, root, frame, RBR_FRAME__ID, id);
    rbr_build_u64(&builder, root, frame, RBR_FRAME__PARENT, parent);
    rbr_build_u8(&builder, root, frame, RBR_FRAME__BODY_TYPE, body);
    rbr_build_table_once(&builder, rbr_build_slot(root, frame, RBR_FRAME__BODY), &shape);
    return rbr_build_finish(&builder);
}

void
pair_send_call(rbr_channel *host, uint64_t id)
{
    uint8_t room[512] __attribute__((aligned(8)));
    const uint32_t size = pair_build_call(room, sizeof room, id, FUNCTION_ECHO, 0, 0);

    CHECK(rbr_channel_send(host, room, size, NULL, 0, in_ms(15000), NULL) == RBR_OK);
}

rbr_status
pair_send_empty(rbr_channel *channel, uint64_t id, uint64_t parent, uint8_t body,
                const struct rbr_table_desc *desc, uint64_t deadline_ns)
{
    uint8_t room[256] __attribute__((aligned(8)));
    const uint32_t size = pair_build_empty(room, sizeof room, id, parent, body, desc);

    CHECK(size > 0);
    return rbr_channel_send(channel, room, size, NULL, 0, deadline_ns, NULL);
}

uint64_t
pair_take_id(rbr_message *message)
{
    const uint64_t id = rbr_message_id(message);

    rbr_message_free(message);
    return id;
}

rbr_status
pair_call(rbr_channel *host, int64_t number, uint32_t padding, int64_t *answer,
          uint64_t deadline_ns)
{
    uint8_t *room = aligned_alloc(8, (padding + 512 + 7) / 8 * 8);
    rbr_message *message = NULL;
    rbr_table value;
    uint8_t type;
    rbr_pending pending;
    const uint64_t id = rbr_pending_begin(&pending, host);
    const uint32_t size = pair_build_call(room, (padding + 512) / 8 * 8, id, FUNCTION_ECHO, number,
                                          padding);
    rbr_status status = rbr_channel_send(host, room, size, NULL, 0, deadline_ns, NULL);

    CHECK(size > 0);
    free(room);
    if (status == RBR_OK)
        status = rbr_pending_wait(&pending, &message, RBR_FOREVER, deadline_ns);
    rbr_pending_end(&pending);
    if (status != RBR_OK)
        return status;
    value = rbr_get_table(rbr_message_body(message, &type), RBR_RESULT__VALUE);
    *answer = type == RBR_BODY_RESULT && value.at != NULL ? rbr_get_i64(value, RBR_VALUE__I, -1)
                                                          : -1;
    rbr_message_free(message);
    return RBR_OK;
}
