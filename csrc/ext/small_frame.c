/* SPDX-License-Identifier: MIT */
/*
 * small_frame.c - messages of a few bytes that are posted and not answered.
 *
 * No Python code runs here, and no wait happens: finalisers may call this at any moment. The caller
 * need not have entered the channel.
 */
#include "ext.h"

#include <stdalign.h>

static rbr_status
post(ChannelObject *self, rbr_builder *builder)
{
    const uint32_t size = rbr_build_finish(builder);

    if (size == 0)
        return RBR_NO_MEMORY;
    return rbr_channel_post(self->channel, builder->base, size, NULL, 0, 0, 0, NULL);
}

/* The frame's body table; *root as its shape has it. */
static uint32_t
start(rbr_builder *builder, void *room, uint32_t bytes, uint64_t id, uint64_t parent, uint8_t body,
      const rbr_shape *shape)
{
    const rbr_shape *frame = &rbr_shape_frame_parent;
    uint32_t root;

    rbr_build_start(builder, room, bytes, NULL, NULL);
    root = rbr_build_table(builder, 0, frame);
    rbr_build_u64(builder, root, frame, RBR_FRAME__ID, id);
    rbr_build_u64(builder, root, frame, RBR_FRAME__PARENT, parent);
    rbr_build_u8(builder, root, frame, RBR_FRAME__BODY_TYPE, body);
    return rbr_build_table_once(builder, rbr_build_slot(root, frame, RBR_FRAME__BODY), shape);
}

static void
post_release(ChannelObject *channel, uint64_t id, uint64_t parent, uint64_t handle)
{
    alignas(8) uint8_t room[256];
    rbr_builder builder;
    rbr_shape shape;
    uint32_t table, first;

    if (channel->channel == NULL || channel->closing)
        return;
    rbr_shape_make(&shape, &rbr_desc_release, RBR_BIT(RBR_RELEASE__HANDLES));
    table = start(&builder, room, sizeof room, id, parent, RBR_BODY_RELEASE, &shape);
    first = rbr_build_vector(&builder, rbr_build_slot(table, &shape, RBR_RELEASE__HANDLES), 1, 8,
                             8);
    if (first != 0)
        memcpy(builder.base + first, &handle, sizeof handle);
    post(channel, &builder);
}

void
small_frame_release(ChannelObject *channel, uint64_t parent, uint64_t handle)
{
    post_release(channel, 0, parent, handle);
}

void
small_frame_ended(ChannelObject *channel, uint64_t call, uint64_t last_handle)
{
    post_release(channel, call, 0, last_handle);
}

void
small_frame_credit(ChannelObject *channel, uint64_t call, uint64_t parent, uint32_t items,
                   uint64_t bytes)
{
    alignas(8) uint8_t room[256];
    rbr_builder builder;
    rbr_shape shape;
    uint32_t table;

    if (channel->channel == NULL || channel->closing)
        return;
    rbr_shape_make(&shape, &rbr_desc_stream_credit,
                   RBR_BIT(RBR_STREAM_CREDIT__ITEMS) | RBR_BIT(RBR_STREAM_CREDIT__BYTES));
    table = start(&builder, room, sizeof room, call, parent, RBR_BODY_STREAM_CREDIT, &shape);
    rbr_build_u32(&builder, table, &shape, RBR_STREAM_CREDIT__ITEMS, items);
    rbr_build_u64(&builder, table, &shape, RBR_STREAM_CREDIT__BYTES, bytes);
    post(channel, &builder);
}

void
small_frame_close(ChannelObject *channel, uint64_t call, uint64_t parent)
{
    alignas(8) uint8_t room[256];
    rbr_builder builder;
    rbr_shape shape;

    if (channel->channel == NULL || channel->closing)
        return;
    rbr_shape_make(&shape, &rbr_desc_stream_close, 0);
    start(&builder, room, sizeof room, call, parent, RBR_BODY_STREAM_CLOSE, &shape);
    post(channel, &builder);
}

void
small_frame_newer(ChannelObject *channel, uint64_t call, uint64_t index)
{
    alignas(8) uint8_t room[256];
    rbr_builder builder;
    rbr_shape shape;
    uint32_t table;

    rbr_shape_make(&shape, &rbr_desc_stream_item, RBR_BIT(RBR_STREAM_ITEM__INDEX));
    table = start(&builder, room, sizeof room, call, 0, RBR_BODY_STREAM_ITEM, &shape);
    rbr_build_u64(&builder, table, &shape, RBR_STREAM_ITEM__INDEX, index);
    post(channel, &builder);
}

rbr_status
small_frame_open_latest(ChannelObject *channel, uint64_t call, rbr_block *block)
{
    alignas(8) uint8_t room[256];
    rbr_builder builder;
    rbr_shape shape;
    rbr_arena_ref ref;
    uint32_t table;

    rbr_shape_make(&shape, &rbr_desc_open_latest,
                   RBR_BIT(RBR_OPEN_LATEST__REF) | RBR_BIT(RBR_OPEN_LATEST__READER));
    table = start(&builder, room, sizeof room, call, 0, RBR_BODY_OPEN_LATEST, &shape);
    rbr_block_ref(block, &ref);
    rbr_build_set(&builder, table, &shape, RBR_OPEN_LATEST__REF, &ref, sizeof ref);
    return rbr_channel_post(channel->channel, builder.base, rbr_build_finish(&builder), &block, 1,
                            0, 0, NULL);
}

rbr_status
small_frame_no_memory(ChannelObject *channel, uint64_t request)
{
    static const char type[] = "builtins.MemoryError";
    static const char text[] = "no memory to send a result, or to say what was raised";
    alignas(8) uint8_t room[512];
    rbr_builder builder;
    rbr_shape shape;
    uint32_t error;

    rbr_shape_make(&shape, &rbr_desc_error,
                   RBR_BIT(RBR_ERROR__CODE) | RBR_BIT(RBR_ERROR__TYPE) |
                       RBR_BIT(RBR_ERROR__MESSAGE));
    error = start(&builder, room, sizeof room, request, 0, RBR_BODY_ERROR, &shape);
    rbr_build_u16(&builder, error, &shape, RBR_ERROR__CODE, RBR_ERROR_CODE_RAISED);
    rbr_build_string(&builder, rbr_build_slot(error, &shape, RBR_ERROR__TYPE), type,
                     sizeof type - 1);
    rbr_build_string(&builder, rbr_build_slot(error, &shape, RBR_ERROR__MESSAGE), text,
                     sizeof text - 1);
    return post(channel, &builder);
}
