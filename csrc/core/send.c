/* SPDX-License-Identifier: MIT */
/*
 * send.c - a finished frame goes into the ring, or into a block when it is too large for it.
 *
 * The producer's lock is held for one memcpy and never while anything sleeps: a thread that finds
 * the ring full lets go of it and waits as a reader (exchange.c, E2).
 *
 * Who must not wait posts: its frame stands in a queue of this process until there is room. Nothing
 * overtakes that queue, and every reader moves it on.
 */
#include "channel.h"

#include "defined.h"

#include <stdlib.h>
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

/* ------------------------------------------------------------------- frames that wait for room */

bool
rbr_room_is_wanted(const rbr_exchange *exchange)
{
    return atomic_load_explicit(&exchange->room_sleepers, memory_order_relaxed) > 0 ||
           atomic_load_explicit(&exchange->unsent_next, memory_order_relaxed) != 0;
}

static void
unsent_end(rbr_unsent *unsent)
{
    size_t i;

    for (i = 0; i < unsent->block_count; i++)
        rbr_block_release(unsent->blocks[i]);
    free(unsent->blocks);
    free(unsent);
}

/* Takes the frame behind `before` (NULL: the first) out of the queue; under send_lock. */
static rbr_unsent *
unsent_take(rbr_exchange *exchange, rbr_unsent *before)
{
    rbr_unsent *unsent = before != NULL ? before->next : exchange->unsent_first;

    if (before != NULL)
        before->next = unsent->next;
    else
        exchange->unsent_first = unsent->next;
    if (exchange->unsent_last == unsent)
        exchange->unsent_last = before;
    exchange->unsent_bytes -= unsent->size;
    atomic_store_explicit(&exchange->unsent_next,
                          exchange->unsent_first != NULL ? exchange->unsent_first->size : 0,
                          memory_order_relaxed);
    return unsent;
}

/* A copy, with the blocks held: they may have to be counted as not sent after all. */
static rbr_unsent *
unsent_new(uint64_t id, const void *frame, uint32_t size, rbr_block *const *blocks, size_t count)
{
    rbr_unsent *unsent = malloc(sizeof *unsent + size);
    size_t i;

    if (unsent == NULL)
        return NULL;
    *unsent = (rbr_unsent){.id = id, .size = size, .block_count = count};
    memcpy(unsent->bytes, frame, size);
    if (count > 0) {
        unsent->blocks = malloc(count * sizeof unsent->blocks[0]);
        if (unsent->blocks == NULL) {
            free(unsent);
            return NULL;
        }
    }
    for (i = 0; i < count; i++) {
        unsent->blocks[i] = blocks[i];
        rbr_block_retain(blocks[i]);
    }
    return unsent;
}

void
rbr_unsent_free(rbr_channel *channel)
{
    rbr_exchange *exchange = &channel->exchange;

    while (exchange->unsent_first != NULL) {
        rbr_unsent *unsent = unsent_take(exchange, NULL);

        if (unsent->block_count > 0)
            rbr_blocks_unmark_sent(channel, unsent->blocks, unsent->block_count);
        unsent_end(unsent);
    }
}

bool
rbr_channel_unsend(rbr_channel *channel, uint64_t id)
{
    rbr_exchange *exchange = &channel->exchange;
    rbr_unsent *before = NULL, *unsent;

    if (rbr_channel_check(channel) != RBR_OK)
        return false;
    pthread_mutex_lock(&exchange->send_lock);
    for (unsent = exchange->unsent_first; unsent != NULL && unsent->id != id; unsent = unsent->next)
        before = unsent;
    if (unsent != NULL)
        unsent_take(exchange, before);
    pthread_mutex_unlock(&exchange->send_lock);
    if (unsent == NULL)
        return false;
    if (unsent->block_count > 0)
        rbr_blocks_unmark_sent(channel, unsent->blocks, unsent->block_count);
    unsent_end(unsent);
    return true;
}

/* ------------------------------------------------------------------------------- into the ring */

/* Under send_lock. */
static rbr_status
put_now(rbr_exchange *exchange, const void *frame, uint32_t size)
{
    void *record;
    const rbr_status status = rbr_producer_claim(&exchange->producer, &record, size);

    if (status == RBR_OK) {
        memcpy(record, frame, size);
        rbr_producer_commit(&exchange->producer);
        atomic_fetch_add_explicit(&exchange->frames_sent, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&exchange->bytes_sent, size, memory_order_relaxed);
    }
    return status;
}

/* Under send_lock: what was posted before. *done: frames that have gone, to be ended without it. */
static rbr_status
put_unsent(rbr_exchange *exchange, rbr_unsent **done)
{
    rbr_status status = RBR_OK;

    while (exchange->unsent_first != NULL) {
        rbr_unsent *first = exchange->unsent_first;

        status = put_now(exchange, first->bytes, first->size);
        if (status != RBR_OK)
            return status;
        unsent_take(exchange, NULL);
        first->next = *done;
        *done = first;
    }
    return status;
}

/* Puts what was posted before, then this frame (NULL: none). RBR_AGAIN: no room; then the frame is
 * queued in `post` (NULL: not), and *wanted is how much must become free first. */
static rbr_status
try_put(rbr_channel *channel, const void *frame, uint32_t size, rbr_unsent *post, uint32_t *wanted)
{
    rbr_exchange *exchange = &channel->exchange;
    rbr_unsent *done = NULL;
    rbr_status status;
    bool put;

    pthread_mutex_lock(&exchange->send_lock);
    status = put_unsent(exchange, &done);
    if (status == RBR_OK && frame != NULL)
        status = put_now(exchange, frame, size);
    put = done != NULL || (status == RBR_OK && frame != NULL);
    if (status == RBR_AGAIN && post != NULL) {
        if (exchange->unsent_last != NULL)
            exchange->unsent_last->next = post;
        else
            exchange->unsent_first = post;
        exchange->unsent_last = post;
        exchange->unsent_bytes += post->size;
        atomic_store_explicit(&exchange->unsent_next, exchange->unsent_first->size,
                              memory_order_relaxed);
    }
    *wanted = exchange->unsent_first != NULL ? exchange->unsent_first->size : size;
    pthread_mutex_unlock(&exchange->send_lock);
    if (put)
        rbr_wake_peer(&channel->wake, RBR_WAKE_DATA);
    while (done != NULL) {
        rbr_unsent *next = done->next;

        unsent_end(done);
        done = next;
    }
    if (status == RBR_BROKEN)
        rbr_channel_latch(channel, RBR_BROKEN, "the peer's ring header is impossible: head");
    return status;
}

void
rbr_send_unsent(rbr_channel *channel)
{
    uint32_t ignored;

    try_put(channel, NULL, 0, NULL, &ignored);
}

bool
rbr_channel_flush(rbr_channel *channel)
{
    _Atomic uint32_t *unsent = &channel->exchange.unsent_next;

    if (atomic_load_explicit(unsent, memory_order_relaxed) == 0)
        return false;
    if (rbr_channel_check(channel) == RBR_OK)
        rbr_send_unsent(channel);
    /* At the end nothing goes any more: who takes next hears of that. */
    return rbr_channel_check(channel) == RBR_OK &&
           atomic_load_explicit(unsent, memory_order_relaxed) != 0;
}

static rbr_status
put(rbr_channel *channel, const void *frame, uint32_t size, uint64_t deadline_ns)
{
    rbr_status status;
    uint32_t wanted;

    RBR_VERIFY_WRITTEN(frame, size);
    while ((status = try_put(channel, frame, size, NULL, &wanted)) == RBR_AGAIN) {
        if (deadline_ns == 0)
            return RBR_AGAIN;
        status = rbr_exchange_wait_room(channel, wanted, deadline_ns);
        if (status != RBR_OK)
            return status;
    }
    return status;
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

/* Queues a frame, or waits where too many are queued already. */
static rbr_status
post(rbr_channel *channel, rbr_unsent *unsent, uint64_t deadline_ns)
{
    rbr_exchange *exchange = &channel->exchange;
    rbr_status status;
    uint32_t wanted;
    bool full;

    for (;;) {
        pthread_mutex_lock(&exchange->send_lock);
        full = exchange->unsent_bytes > 0 && unsent->id != 0 &&
               exchange->unsent_bytes + unsent->size > RBR_UNSENT_BYTES_MAX;
        pthread_mutex_unlock(&exchange->send_lock);
        status = try_put(channel, unsent->bytes, unsent->size, full ? NULL : unsent, &wanted);
        if (status != RBR_AGAIN) {
            unsent_end(unsent);
            return status;
        }
        if (!full)
            break;
        if (deadline_ns != 0)
            status = rbr_exchange_wait_room(channel, wanted, deadline_ns);
        if (status != RBR_OK) {
            unsent_end(unsent);
            return status;
        }
    }
    /* Who sleeps as a reader may have announced that before it was wanted to look for room. */
    rbr_wake_add_reason(&channel->wake, RBR_WAKE_ROOM);
    rbr_send_unsent(channel);
    return RBR_OK;
}

rbr_status
rbr_channel_post(rbr_channel *channel, const void *frame, uint32_t size, rbr_block *const *blocks,
                 size_t count, uint64_t id, uint64_t deadline_ns, rbr_error *err)
{
    rbr_status status = rbr_channel_check(channel);
    rbr_unsent *unsent;
    uint32_t wanted;

    if (status != RBR_OK)
        return status;
    if (size > rbr_ring_record_max(channel->exchange.producer.mask + 1))
        return rbr_channel_send(channel, frame, size, blocks, count, deadline_ns, err);
    if (count > 0)
        rbr_blocks_mark_sent(channel, blocks, count);
    RBR_VERIFY_WRITTEN(frame, size);
    status = try_put(channel, frame, size, NULL, &wanted); /* most often there is room: no copy */
    if (status == RBR_AGAIN) {
        unsent = unsent_new(id, frame, size, blocks, count);
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the queue has it, or it has ended */
        status = unsent != NULL ? post(channel, unsent, deadline_ns)
                                : rbr_fail(err, RBR_NO_MEMORY, "out of memory");
    }
    if (status != RBR_OK && count > 0)
        rbr_blocks_unmark_sent(channel, blocks, count);
    return status;
}
