/* SPDX-License-Identifier: MIT */
/*
 * block.c - blocks of our arena and of the peer's. Their segments are grow.c's.
 *
 *   ours     allocated here; may be sent; free again when nobody here holds it and the peer has
 *            handed back all it was sent (arena.c decides)
 *   peer's   came in a message; its last release counts `returned` up in its header
 *
 * A release never waits, and in a forked child it touches nothing that is shared.
 */
#include "channel.h"

#include "defined.h"
#include "os.h"

#include <stdlib.h>
#include <string.h>

enum { COLLECT_FIRST = 8 };

struct rbr_block {
    _Atomic uint32_t refs;
    rbr_channel *channel;  /* ours: keeps the table alive; peer's: for the counter, see closed */
    rbr_mapping *mapping;  /* keeps the memory */
    rbr_extent *extent;    /* ours; NULL: the peer's */
    struct rbr_block_shared *header;
    uint64_t bytes;
    uint64_t fork_token;
    rbr_arena_ref ref;
};

static void
latch_returned(rbr_channel *channel)
{
    rbr_channel_latch(channel, RBR_BROKEN,
                      "the peer handed back a block more often than it was sent");
}

/* ---------------------------------------------------------------------------------- allocating */

/* An extent from what there is. Under arena_lock. RBR_AGAIN: none. */
static rbr_status
take(rbr_channel *channel, uint64_t payload, rbr_extent **out)
{
    rbr_block_table *table = &channel->blocks;
    rbr_status status = rbr_blocks_need_node(channel);

    if (status != RBR_OK)
        return status;
    /* What came back lately is the warmest memory: look for it first. */
    status = rbr_arena_collect(&table->arena, COLLECT_FIRST);
    if (status == RBR_OK)
        status = rbr_arena_take(&table->arena, payload, out);
    if (status != RBR_AGAIN)
        return status;
    status = rbr_arena_collect(&table->arena, SIZE_MAX);
    return status == RBR_OK ? rbr_arena_take(&table->arena, payload, out) : status;
}

static rbr_status
block_new(rbr_block **out, rbr_channel *channel, rbr_extent *extent)
{
    rbr_block *block = malloc(sizeof *block);

    if (block == NULL)
        return RBR_NO_MEMORY;
    *block = (rbr_block){
        .refs = 1,
        .channel = channel,
        .mapping = channel->blocks.ours[extent->segment],
        .extent = extent,
        .header = rbr_extent_header(extent),
        .bytes = extent->payload_bytes,
        .fork_token = channel->fork_token,
        .ref = {extent->offset + RBR_BLOCK_HEADER_BYTES, extent->payload_bytes, extent->generation,
                extent->segment, 0},
    };
    RBR_VERIFY_UNWRITTEN(rbr_block_data(block), block->bytes);
    rbr_mapping_retain(block->mapping);
    rbr_channel_memory_retain(channel);
    *out = block;
    return RBR_OK;
}

rbr_status
rbr_block_allocate(rbr_block **out, rbr_channel *channel, uint64_t bytes, uint64_t deadline_ns,
                   rbr_error *err)
{
    rbr_block_table *table = &channel->blocks;
    rbr_extent *extent;
    rbr_status status = rbr_channel_check(channel);

    if (status != RBR_OK) {
        rbr_channel_state(channel, err);
        return status;
    }
    pthread_mutex_lock(&table->arena_lock);
    for (;;) {
        status = take(channel, bytes, &extent);
        if (status != RBR_AGAIN)
            break;
        status = rbr_blocks_grow(channel, bytes, deadline_ns, err);
        if (status != RBR_OK)
            break;
    }
    if (status == RBR_OK) {
        status = block_new(out, channel, extent);
        if (status != RBR_OK)
            rbr_arena_drop(&table->arena, extent);
    }
    pthread_mutex_unlock(&table->arena_lock);
    if (status == RBR_BROKEN)
        latch_returned(channel);
    if (status == RBR_TOO_BIG)
        return rbr_fail(err, status, "a block cannot have %llu bytes", (unsigned long long)bytes);
    if (status == RBR_NO_MEMORY)
        return rbr_fail(err, status, "out of memory");
    return status;
}

void *
rbr_block_data(const rbr_block *block)
{
    return (uint8_t *)block->header + RBR_BLOCK_HEADER_BYTES;
}

uint64_t
rbr_block_bytes(const rbr_block *block)
{
    return block->bytes;
}

bool
rbr_block_is_ours(const rbr_block *block, const rbr_channel *channel)
{
    return block->extent != NULL && block->channel == channel;
}

void
rbr_block_ref(const rbr_block *block, rbr_arena_ref *out)
{
    *out = block->ref;
}

void
rbr_block_retain(rbr_block *block)
{
    RBR_VERIFY(block->refs > 0);
    atomic_fetch_add_explicit(&block->refs, 1, memory_order_relaxed);
}

static void
release_ours(rbr_block *block)
{
    rbr_channel *channel = block->channel;
    rbr_status status;

    pthread_mutex_lock(&channel->blocks.arena_lock);
    status = rbr_arena_drop(&channel->blocks.arena, block->extent);
    pthread_mutex_unlock(&channel->blocks.arena_lock);
    if (status == RBR_BROKEN)
        latch_returned(channel);
}

void
rbr_block_release(rbr_block *block)
{
    rbr_channel *channel;

    RBR_VERIFY(block == NULL || block->refs > 0);
    if (block == NULL || atomic_fetch_sub_explicit(&block->refs, 1, memory_order_acq_rel) != 1)
        return;
    channel = block->channel;
    if (!rbr_os_fork_check(block->fork_token)) {
        free(block); /* a forked child: the parent counts, and its locks may be held for ever */
        return;
    }
    if (block->extent != NULL) {
        release_ours(block);
    } else {
        /* release: we have finished with the bytes before the owner may reuse them. */
        atomic_fetch_add_explicit(&block->header->returned, 1, memory_order_release);
        RBR_VERIFY(channel->blocks.peer_blocks > 0);
        atomic_fetch_sub_explicit(&channel->blocks.peer_blocks, 1, memory_order_relaxed);
    }
    rbr_mapping_release(block->mapping);
    free(block);
    rbr_channel_memory_release(channel);
}

/* ------------------------------------------------------------------------------------- sending */

void
rbr_blocks_mark_sent(rbr_channel *channel, rbr_block *const *blocks, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++)
        RBR_VERIFY_WRITTEN(rbr_block_data(blocks[i]), blocks[i]->bytes);
    pthread_mutex_lock(&channel->blocks.arena_lock);
    for (i = 0; i < count; i++) {
        RBR_VERIFY(blocks[i]->extent->held);
        blocks[i]->extent->sent++;
    }
    pthread_mutex_unlock(&channel->blocks.arena_lock);
}

void
rbr_blocks_unmark_sent(rbr_channel *channel, rbr_block *const *blocks, size_t count)
{
    size_t i;

    pthread_mutex_lock(&channel->blocks.arena_lock);
    for (i = 0; i < count; i++) {
        RBR_VERIFY(blocks[i]->extent->held && blocks[i]->extent->sent > 0);
        blocks[i]->extent->sent--;
    }
    pthread_mutex_unlock(&channel->blocks.arena_lock);
}

/* ----------------------------------------------------------------------------------- receiving */

static bool
reference_is_sound(const rbr_mapping *mapping, const rbr_arena_ref *ref)
{
    const struct rbr_block_shared *header;

    if (ref->offset < RBR_BLOCK_HEADER_BYTES || ref->offset % RBR_BLOCK_HEADER_BYTES != 0 ||
        ref->offset > mapping->bytes || ref->length > mapping->bytes - ref->offset)
        return false;
    header = (const struct rbr_block_shared *)(const void *)(mapping->base + ref->offset -
                                                             RBR_BLOCK_HEADER_BYTES);
    return atomic_load_explicit(&header->generation, memory_order_relaxed) == ref->generation;
}

rbr_status
rbr_blocks_resolve(rbr_block **out, rbr_channel *channel, const uint8_t *reference, rbr_error *err)
{
    rbr_block_table *table = &channel->blocks;
    rbr_mapping *mapping = NULL;
    rbr_arena_ref ref;
    rbr_block *block;

    memcpy(&ref, reference, sizeof ref);
    pthread_mutex_lock(&table->arena_lock);
    if (ref.arena < RBR_ARENA_SEGMENTS_MAX && table->peers[ref.arena] != NULL) {
        mapping = table->peers[ref.arena];
        rbr_mapping_retain(mapping);
    }
    pthread_mutex_unlock(&table->arena_lock);
    if (mapping == NULL)
        return rbr_fail(err, RBR_BROKEN, "a payload lies in arena segment %u, which is not there",
                        ref.arena);
    if (!reference_is_sound(mapping, &ref)) {
        rbr_mapping_release(mapping);
        return rbr_fail(err, RBR_BROKEN,
                        "a payload reference is wrong: offset %llu, length %llu, generation %u",
                        (unsigned long long)ref.offset, (unsigned long long)ref.length,
                        ref.generation);
    }
    block = malloc(sizeof *block);
    if (block == NULL) {
        rbr_mapping_release(mapping);
        return rbr_fail(err, RBR_NO_MEMORY, "out of memory");
    }
    *block = (rbr_block){
        .refs = 1,
        .channel = channel,
        .mapping = mapping,
        .header = (struct rbr_block_shared *)(void *)(mapping->base + ref.offset -
                                                      RBR_BLOCK_HEADER_BYTES),
        .bytes = ref.length,
        .fork_token = channel->fork_token,
        .ref = ref,
    };
    rbr_channel_memory_retain(channel);
    atomic_fetch_add_explicit(&table->peer_blocks, 1, memory_order_relaxed);
    *out = block;
    return RBR_OK;
}
