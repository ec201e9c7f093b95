/* SPDX-License-Identifier: MIT */
/*
 * send.c - a finished frame goes into the ring, or into a block when it is too large for it.
 *
 * The producer's lock is held for one memcpy and never while anything sleeps: a thread that finds
 * the ring full lets go of it and waits as a reader (exchange.c, E2).
 */
#include "channel.h"

#include "defined.h"

#include <string.h>

uint32_t
rbr_frame_start(rbr_builder *builder, void *room, uint32_t size, uint64_t id, uint8_t body,
                const rbr_shape *shape)
{
    uint32_t root;

    rbr_build_start(builder, room, size, NULL, NULL);
    root = rbr_build_table(builder, 0, &rbr_shape_frame);
    rbr_build_u64(builder, root, &rbr_shape_frame, RBR_FRAME__ID, id);
    rbr_build_u8(builder, root, &rbr_shape_frame, RBR_FRAME__BODY_TYPE, body);
    return rbr_build_table(builder, rbr_build_slot(root, &rbr_shape_frame, RBR_FRAME__BODY), shape);
}

static rbr_status
try_put(rbr_channel *channel, const void *frame, uint32_t size)
{
    rbr_exchange *exchange = &channel->exchange;
    rbr_status status;
    void *record;

    pthread_mutex_lock(&exchange->send_lock);
    status = rbr_producer_claim(&exchange->producer, &record, size);
    if (status == RBR_OK) {
        memcpy(record, frame, size);
        rbr_producer_commit(&exchange->producer);
    }
    pthread_mutex_unlock(&exchange->send_lock);
    if (status == RBR_BROKEN)
        rbr_channel_latch(channel, RBR_BROKEN, "the peer's ring header is impossible: head");
    return status;
}

static rbr_status
put(rbr_channel *channel, const void *frame, uint32_t size, uint64_t deadline_ns)
{
    rbr_status status;

    RBR_VERIFY_WRITTEN(frame, size);
    while ((status = try_put(channel, frame, size)) == RBR_AGAIN) {
        if (deadline_ns == 0)
            return RBR_AGAIN;
        status = rbr_exchange_wait_room(channel, size, deadline_ns);
        if (status != RBR_OK)
            return status;
    }
    if (status != RBR_OK)
        return status;
    rbr_wake_peer(&channel->wake, RBR_WAKE_DATA);
    atomic_fetch_add_explicit(&channel->exchange.frames_sent, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&channel->exchange.bytes_sent, size, memory_order_relaxed);
    return RBR_OK;
}

/* A frame too large for the ring: it stands in a block, and a Blob says where. */
static rbr_status
put_blob(rbr_channel *channel, const void *frame, uint32_t size, uint64_t deadline_ns,
         rbr_error *err)
{
    alignas(8) uint8_t small[256];
    rbr_builder builder;
    rbr_arena_ref ref;
    rbr_block *block;
    uint32_t blob, blob_size;
    rbr_status status = rbr_block_allocate(&block, channel, size, deadline_ns, err);

    if (status != RBR_OK)
        return status;
    memcpy(rbr_block_data(block), frame, size);
    rbr_block_ref(block, &ref);
    blob = rbr_frame_start(&builder, small, sizeof small, 0, RBR_BODY_BLOB, &rbr_shape_blob);
    rbr_build_set(&builder, blob, &rbr_shape_blob, RBR_BLOB__REF, &ref, sizeof ref);
    rbr_build_u8(&builder, blob, &rbr_shape_blob, RBR_BLOB__WHOLE_FRAME, 1);
    blob_size = rbr_build_finish(&builder);
    assert(blob_size > 0);
    rbr_blocks_mark_sent(channel, &block, 1);
    status = put(channel, small, blob_size, deadline_ns);
    if (status != RBR_OK)
        rbr_blocks_unmark_sent(channel, &block, 1);
    rbr_block_release(block);
    return status;
}

rbr_status
rbr_channel_send(rbr_channel *channel, const void *frame, uint32_t size, rbr_block *const *blocks,
                 size_t count, uint64_t deadline_ns, rbr_error *err)
{
    rbr_status status = rbr_channel_check(channel);

    if (status != RBR_OK)
        return status;
    if (size > RBR_FRAME_BYTES_MAX)
        return RBR_TOO_BIG;
    if (count > 0)
        rbr_blocks_mark_sent(channel, blocks, count);
    if (size <= rbr_ring_record_max(channel->exchange.producer.mask + 1))
        status = put(channel, frame, size, deadline_ns);
    else
        status = put_blob(channel, frame, size, deadline_ns, err);
    if (status != RBR_OK && count > 0)
        rbr_blocks_unmark_sent(channel, blocks, count);
    return status;
}
