/* SPDX-License-Identifier: MIT */
/*
 * messages.c - a Call frame with one argument, and the Result frame that answers it.
 *
 * The argument is a Value of bytes in the frame, or a Tensor of bytes in a block of the arena.
 */
#include "messages.h"

#include "ringbridge_flatbuf.h"
#include "ringbridge_wire.h"

#include <string.h>

/* The frame up to its body's table; returns that. */
static uint32_t
build_body(rbr_builder *builder, void *room, uint32_t room_bytes, uint64_t id, uint8_t type,
           const rbr_shape *shape)
{
    uint32_t root;

    rbr_build_start(builder, room, room_bytes, NULL, NULL);
    root = rbr_build_table(builder, 0, &rbr_shape_frame);
    rbr_build_u64(builder, root, &rbr_shape_frame, RBR_FRAME__ID, id);
    rbr_build_u8(builder, root, &rbr_shape_frame, RBR_FRAME__BODY_TYPE, type);
    return rbr_build_table(builder, rbr_build_slot(root, &rbr_shape_frame, RBR_FRAME__BODY), shape);
}

/* A call up to its only argument's slot. */
static uint32_t
build_call(rbr_builder *builder, void *room, uint32_t room_bytes, uint64_t id)
{
    const uint32_t call = build_body(builder, room, room_bytes, id, RBR_BODY_CALL, &rbr_shape_call);

    rbr_build_u32(builder, call, &rbr_shape_call, RBR_CALL__FUNCTION, 1);
    return rbr_build_vector(builder, rbr_build_slot(call, &rbr_shape_call, RBR_CALL__ARGS), 1, 4,
                            4);
}

static uint32_t
build_bytes(rbr_builder *builder, uint32_t slot, const void *bytes, uint32_t size)
{
    const uint32_t value = rbr_build_table(builder, slot, &rbr_shape_value_bytes);

    rbr_build_u8(builder, value, &rbr_shape_value_bytes, RBR_VALUE__KIND, RBR_KIND_BYTES);
    rbr_build_bytes(builder, rbr_build_slot(value, &rbr_shape_value_bytes, RBR_VALUE__B), bytes,
                    size);
    return rbr_build_finish(builder);
}

uint32_t
bench_build_call(void *room, uint32_t room_bytes, uint64_t id, const void *bytes, uint32_t size)
{
    rbr_builder builder;
    const uint32_t slot = build_call(&builder, room, room_bytes, id);

    return build_bytes(&builder, slot, bytes, size);
}

uint32_t
bench_build_result(void *room, uint32_t room_bytes, uint64_t id, const void *bytes, uint32_t size)
{
    rbr_builder builder;
    const uint32_t result = build_body(&builder, room, room_bytes, id, RBR_BODY_RESULT,
                                       &rbr_shape_result);

    return build_bytes(&builder, rbr_build_slot(result, &rbr_shape_result, RBR_RESULT__VALUE),
                       bytes, size);
}

uint32_t
bench_build_block_call(void *room, uint32_t room_bytes, uint64_t id, const rbr_block *block)
{
    const int64_t count = (int64_t)rbr_block_bytes(block);
    const rbr_shape *shape = &rbr_shape_tensor_arena;
    rbr_builder builder;
    rbr_arena_ref ref;
    uint32_t value, tensor, dimensions;

    rbr_block_ref(block, &ref);
    value = rbr_build_table(&builder, build_call(&builder, room, room_bytes, id),
                            &rbr_shape_value_tensor);
    rbr_build_u8(&builder, value, &rbr_shape_value_tensor, RBR_VALUE__KIND, RBR_KIND_TENSOR);
    tensor = rbr_build_table(
        &builder, rbr_build_slot(value, &rbr_shape_value_tensor, RBR_VALUE__TENSOR), shape);
    dimensions = rbr_build_vector(&builder, rbr_build_slot(tensor, shape, RBR_TENSOR__SHAPE), 1, 8,
                                  8);
    if (dimensions != 0)
        memcpy(builder.base + dimensions, &count, sizeof count);
    rbr_build_u8(&builder, tensor, shape, RBR_TENSOR__DTYPE, RBR_DTYPE_U8);
    rbr_build_u32(&builder, tensor, shape, RBR_TENSOR__ITEMSIZE, 1);
    rbr_build_set(&builder, tensor, shape, RBR_TENSOR__ARENA, &ref, sizeof ref);
    return rbr_build_finish(&builder);
}

/* ------------------------------------------------------------------------------------- reading */

static const rbr_table nothing = {NULL};

static rbr_table
call_argument(const rbr_message *message)
{
    const uint8_t *args;
    uint32_t count = 0;
    uint8_t type;
    const rbr_table body = rbr_message_body(message, &type);

    if (type != RBR_BODY_CALL)
        return nothing;
    args = rbr_get_vector(body, RBR_CALL__ARGS, &count);
    return args != NULL && count == 1 ? rbr_vector_table(args, 0) : nothing;
}

static const uint8_t *
bytes_of(rbr_table value, uint32_t *size)
{
    return value.at != NULL ? rbr_get_vector(value, RBR_VALUE__B, size) : NULL;
}

const uint8_t *
bench_call_bytes(const rbr_message *message, uint32_t *size)
{
    return bytes_of(call_argument(message), size);
}

const uint8_t *
bench_result_bytes(const rbr_message *message, uint32_t *size)
{
    uint8_t type;
    const rbr_table body = rbr_message_body(message, &type);

    return type == RBR_BODY_RESULT ? bytes_of(rbr_get_table(body, RBR_RESULT__VALUE), size) : NULL;
}

rbr_block *
bench_call_block(const rbr_message *message)
{
    const rbr_table value = call_argument(message);
    const rbr_table tensor = value.at != NULL ? rbr_get_table(value, RBR_VALUE__TENSOR) : nothing;
    const uint8_t *field = tensor.at != NULL ? rbr_field(tensor, RBR_TENSOR__ARENA) : NULL;

    return field != NULL ? rbr_message_block(message, field) : NULL;
}
