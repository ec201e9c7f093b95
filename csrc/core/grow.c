/* SPDX-License-Identifier: MIT */
/*
 * grow.c - the segments of both arenas: offered, accepted, retired.
 *
 * A segment of ours is offered to the peer with its fd, and used once the peer has accepted it:
 *
 *   ours:  mapped -> Offered -> Accepted -> in use -> (free from end to end) Retired -> unmapped
 *   peer:            mapped, answers                                         unmapped
 *
 * One offer is under way at a time; whoever needs it waits for the answer, which the watcher hears.
 */
#include "channel.h"

#include "os.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    NODES_PER_CHUNK = 256,
    DEATH_MS = 500, /* the watcher knows sooner why the peer's socket is closed */
};

/* The next segment is as large as all of them so far, but no larger than this unless one block
 * needs more: growing costs page faults on both sides. */
#define GROW_BYTES_MAX (256 * RBR_MIB)

struct rbr_node_chunk {
    struct rbr_node_chunk *next;
    rbr_extent nodes[NODES_PER_CHUNK];
};

void
rbr_blocks_init(rbr_channel *channel, uint64_t limit)
{
    rbr_block_table *table = &channel->blocks;
    pthread_condattr_t attributes;

    pthread_mutex_init(&table->arena_lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&table->grown, &attributes);
    pthread_condattr_destroy(&attributes);
    table->limit = limit != 0 ? limit : rbr_os_memory_total() / 2;
}

void
rbr_blocks_free(rbr_channel *channel)
{
    rbr_block_table *table = &channel->blocks;
    struct rbr_node_chunk *chunk = table->chunks, *next;
    int i;

    /* A block that is held, ours or the peer's, would hold the channel. */
    RBR_VERIFY(rbr_arena_nothing_is_held(&table->arena) && table->peer_blocks == 0);
    for (i = 0; i < RBR_ARENA_SEGMENTS_MAX; i++) {
        if (table->ours[i] != NULL)
            rbr_mapping_release(table->ours[i]);
        if (table->peers[i] != NULL)
            rbr_mapping_release(table->peers[i]);
    }
    for (; chunk != NULL; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    pthread_cond_destroy(&table->grown);
    pthread_mutex_destroy(&table->arena_lock);
}

rbr_status
rbr_blocks_need_node(rbr_channel *channel)
{
    rbr_block_table *table = &channel->blocks;
    struct rbr_node_chunk *chunk;

    if (!rbr_arena_wants_nodes(&table->arena))
        return RBR_OK;
    chunk = malloc(sizeof *chunk);
    if (chunk == NULL)
        return RBR_NO_MEMORY;
    chunk->next = table->chunks;
    table->chunks = chunk;
    rbr_arena_give_nodes(&table->arena, chunk->nodes, NODES_PER_CHUNK);
    return RBR_OK;
}

/* ------------------------------------------------------------------------------------- growing */

/* Lets go of one segment that is free from end to end. Under arena_lock. */
static bool
retire_one(rbr_channel *channel, int keep)
{
    rbr_block_table *table = &channel->blocks;
    const int index = rbr_arena_retire(&table->arena, keep);
    rbr_mapping *mapping;

    if (index < 0)
        return false;
    mapping = table->ours[index];
    /* The peer holds no block of it, so it can unmap whenever it hears this. */
    if (rbr_channel_control_segment(channel, (uint16_t)index, RBR_SEGMENT_STATE_RETIRED, 0, -1,
                                    NULL) != RBR_OK) {
        /* It does not hear us now: the segment stays (the node for it has just become spare). */
        rbr_arena_add(&table->arena, mapping->base, mapping->bytes, (uint16_t)index);
        return false;
    }
    rbr_mapping_release(mapping);
    table->ours[index] = NULL;
    return true;
}

/* How large the next segment should be, for a need of `need`; 0: the limit does not allow it. Under
 * arena_lock. */
static uint64_t
growth(rbr_channel *channel, uint64_t need)
{
    rbr_block_table *table = &channel->blocks;
    uint64_t step = table->arena.mapped_bytes;

    if (step < RBR_ARENA_FIRST_BYTES)
        step = RBR_ARENA_FIRST_BYTES;
    if (step > GROW_BYTES_MAX)
        step = GROW_BYTES_MAX;
    if (step < need)
        step = need;
    while (table->arena.mapped_bytes + need > table->limit && retire_one(channel, -1))
        ;
    if (need > table->limit || table->arena.mapped_bytes > table->limit - need)
        return 0;
    if (step > table->limit - table->arena.mapped_bytes)
        step = need;
    return step;
}

static int
free_index(rbr_block_table *table)
{
    int tries;

    for (tries = 0; tries < RBR_ARENA_SEGMENTS_MAX; tries++) {
        const uint16_t index = table->next_index;

        table->next_index = (uint16_t)((index + 1) % RBR_ARENA_SEGMENTS_MAX);
        if (table->ours[index] == NULL)
            return index;
    }
    return -1;
}

static rbr_status
fail_full(rbr_channel *channel, uint64_t payload, const char *why, rbr_error *err)
{
    const rbr_block_table *table = &channel->blocks;
    const bool fits = payload <= table->arena.mapped_bytes - table->arena.used_bytes;

    return rbr_fail(err, RBR_ARENA_FULL,
                    "%llu bytes of shared memory are wanted, but %s: the limit is %llu bytes, %llu "
                    "are mapped, of which %llu are held in %llu blocks%s (delete arrays that are "
                    "no longer needed, or raise limits={\"arena_bytes\": ...})",
                    (unsigned long long)payload, why, (unsigned long long)table->limit,
                    (unsigned long long)table->arena.mapped_bytes,
                    (unsigned long long)table->arena.used_bytes,
                    (unsigned long long)table->arena.used_blocks,
                    fits ? ", and what is free lies in smaller pieces" : "");
}

/* As large as it should be or, where the system has not that much, as it needs to be. */
static rbr_status
make_segment(rbr_mapping **out, int *fd, uint64_t bytes, uint64_t need, uint16_t index,
             enum rbr_memory memory, rbr_error *err)
{
    rbr_status status = rbr_mapping_create(out, fd, bytes, index, memory, err);

    if (status == RBR_SYSTEM && need < bytes)
        status = rbr_mapping_create(out, fd, need, index, memory, err);
    return status;
}

/* The peer's end of the control socket is closed: waits for the watcher to find out why. Called and
 * returns with arena_lock held; lets go of it between. */
static rbr_status
await_death(rbr_channel *channel, uint64_t deadline_ns, rbr_error *err)
{
    const uint64_t death_ns = rbr_now_ns() + DEATH_MS * RBR_MS;
    const uint64_t until = deadline_ns < death_ns ? deadline_ns : death_ns;
    rbr_status status;

    pthread_mutex_unlock(&channel->blocks.arena_lock);
    while ((status = rbr_channel_state(channel, err)) == RBR_OK && rbr_now_ns() < until)
        poll(NULL, 0, 1);
    pthread_mutex_lock(&channel->blocks.arena_lock);
    if (status != RBR_OK)
        return status;
    return rbr_fail(err, RBR_DEAD, "%s%s (pid %d) no longer reads its control socket",
                    rbr_channel_host_of(channel), channel->title, channel->peer.pid);
}

/* Makes a segment and offers it. Called and returns with arena_lock held; lets go of it between. */
static rbr_status
grow_start(rbr_channel *channel, uint64_t payload, uint64_t deadline_ns, rbr_error *err)
{
    rbr_block_table *table = &channel->blocks;
    const uint64_t need = rbr_round_up(rbr_arena_extent_bytes(payload), 2 * RBR_MIB);
    const uint64_t bytes = growth(channel, need);
    const uint64_t left = rbr_os_memory_available();
    const int index = free_index(table);
    rbr_mapping *mapping;
    rbr_status status;
    int fd;

    if (bytes == 0)
        return fail_full(channel, payload, "that is more than the arena may grow", err);
    if (index < 0)
        return fail_full(channel, payload, "the arena has too many segments", err);
    if (left < need)
        return fail_full(channel, payload, "the machine has not that much memory left", err);
    table->growing = true;
    table->growing_index = (uint16_t)index;
    table->refusal.status = RBR_OK;
    pthread_mutex_unlock(&table->arena_lock);
    status = make_segment(&mapping, &fd, left < bytes ? need : bytes, need, (uint16_t)index,
                          channel->options.memory, err);
    pthread_mutex_lock(&table->arena_lock);
    if (status == RBR_OK) {
        table->ours[index] = mapping;
        status = rbr_channel_control_segment(channel, (uint16_t)index, RBR_SEGMENT_STATE_OFFERED,
                                             mapping->bytes, fd, err);
        close(fd);
    }
    if (status != RBR_OK) {
        table->growing = false;
        if (table->ours[index] != NULL)
            rbr_mapping_release(table->ours[index]);
        table->ours[index] = NULL;
        pthread_cond_broadcast(&table->grown);
    }
    return status == RBR_DEAD ? await_death(channel, deadline_ns, err) : status;
}

/* Under arena_lock. RBR_OK: look again. */
static rbr_status
grow_wait(rbr_channel *channel, uint64_t deadline_ns)
{
    rbr_block_table *table = &channel->blocks;

    while (table->growing) {
        const int state = atomic_load_explicit(&channel->state, memory_order_acquire);
        const uint64_t look_ns = rbr_now_ns() + RBR_LOOK_NS;
        const uint64_t until = deadline_ns < look_ns ? deadline_ns : look_ns;
        const struct timespec wake = {(time_t)(until / RBR_SECOND), (long)(until % RBR_SECOND)};

        if (state != RBR_OK)
            return (rbr_status)state;
        if (deadline_ns == 0)
            return RBR_AGAIN;
        pthread_cond_timedwait(&table->grown, &table->arena_lock, &wake);
        if (table->growing && rbr_now_ns() >= deadline_ns)
            return RBR_TIMED_OUT;
    }
    return RBR_OK;
}

void
rbr_blocks_wake_all(rbr_channel *channel)
{
    /* Under the lock: who has looked at the state, and not yet begun to wait, would sleep on. */
    pthread_mutex_lock(&channel->blocks.arena_lock);
    pthread_cond_broadcast(&channel->blocks.grown);
    pthread_mutex_unlock(&channel->blocks.arena_lock);
}

rbr_status
rbr_blocks_grow(rbr_channel *channel, uint64_t payload, uint64_t deadline_ns, rbr_error *err)
{
    rbr_block_table *table = &channel->blocks;
    rbr_status status;

    if (!table->growing) {
        if (deadline_ns == 0)
            return RBR_AGAIN;
        status = grow_start(channel, payload, deadline_ns, err);
        if (status != RBR_OK)
            return status;
    }
    status = grow_wait(channel, deadline_ns);
    if (status == RBR_OK && table->refusal.status != RBR_OK) { /* the peer could not map it */
        status = rbr_fail(err, table->refusal.status, "%s", table->refusal.text);
        table->refusal.status = RBR_OK;
    }
    return status;
}

/* --------------------------------------------------------------------- segments, in the watcher */

static rbr_status
on_offered(rbr_channel *channel, uint16_t index, uint64_t bytes, int fd, rbr_error *err)
{
    rbr_block_table *table = &channel->blocks;
    rbr_mapping *mapping = NULL;
    rbr_error reason = {.status = RBR_OK};
    rbr_status status;

    if (table->peers[index] != NULL || bytes == 0 || bytes % RBR_ARENA_GRAIN != 0)
        return rbr_fail(err, RBR_BROKEN, "the peer offers arena segment %u wrongly", index);
    if (fd >= 0 && (channel->role == RBR_ROLE_HOST || channel->served) &&
        channel->options.memory == RBR_MEMORY_MEMFD &&
        !rbr_os_shared_is_sealed(fd)) /* asked for the kind that cannot shrink under us */
        return rbr_fail(err, RBR_BROKEN, "the peer offers a segment that is not sealed");
    /* fd -1: we had none left to receive it with. */
    status = fd < 0 || bytes > table->limit || table->peer_bytes > table->limit - bytes
                 ? RBR_ARENA_FULL
                 : rbr_mapping_attach(&mapping, fd, bytes, index, &reason);
    pthread_mutex_lock(&table->arena_lock);
    table->peers[index] = mapping;
    if (mapping != NULL)
        table->peer_bytes += bytes;
    pthread_mutex_unlock(&table->arena_lock);
    return rbr_channel_control_segment(
        channel, index, status == RBR_OK ? RBR_SEGMENT_STATE_ACCEPTED : RBR_SEGMENT_STATE_REFUSED,
        bytes, -1, err);
}

/* The peer's answer to our offer. */
static rbr_status
on_answered(rbr_channel *channel, uint16_t index, bool accepted, rbr_error *err)
{
    rbr_block_table *table = &channel->blocks;
    rbr_status status = RBR_OK;

    pthread_mutex_lock(&table->arena_lock);
    if (!table->growing || table->growing_index != index || table->ours[index] == NULL) {
        status = rbr_fail(err, RBR_BROKEN, "the peer answers an offer that was not made");
    } else if (accepted && rbr_blocks_need_node(channel) == RBR_OK) {
        rbr_arena_add(&table->arena, table->ours[index]->base, table->ours[index]->bytes, index);
        atomic_store(&channel->watch.trim_soon, true);
    } else {
        rbr_fail(&table->refusal, RBR_ARENA_FULL,
                 "process %d could not map %llu bytes of shared memory (it is short of memory, or "
                 "may open no more files: ulimit -n)",
                 channel->peer.pid, (unsigned long long)table->ours[index]->bytes);
        rbr_mapping_release(table->ours[index]);
        table->ours[index] = NULL;
    }
    table->growing = false;
    pthread_cond_broadcast(&table->grown);
    pthread_mutex_unlock(&table->arena_lock);
    return status;
}

static void
on_retired(rbr_channel *channel, uint16_t index)
{
    rbr_mapping *mapping;

    pthread_mutex_lock(&channel->blocks.arena_lock);
    mapping = channel->blocks.peers[index];
    channel->blocks.peers[index] = NULL;
    if (mapping != NULL)
        channel->blocks.peer_bytes -= mapping->bytes;
    pthread_mutex_unlock(&channel->blocks.arena_lock);
    if (mapping != NULL)
        rbr_mapping_release(mapping);
}

rbr_status
rbr_blocks_on_segment(rbr_channel *channel, rbr_table segment, int fd, rbr_error *err)
{
    const uint16_t index = rbr_get_u16(segment, RBR_SEGMENT__ARENA, 0);
    const uint8_t state = rbr_get_u8(segment, RBR_SEGMENT__STATE, 0);

    if (index >= RBR_ARENA_SEGMENTS_MAX)
        return rbr_fail(err, RBR_BROKEN, "arena segment %u is out of range", index);
    switch (state) {
    case RBR_SEGMENT_STATE_OFFERED:
        return on_offered(channel, index, rbr_get_u64(segment, RBR_SEGMENT__BYTES, 0), fd, err);
    case RBR_SEGMENT_STATE_ACCEPTED:
    case RBR_SEGMENT_STATE_REFUSED:
        return on_answered(channel, index, state == RBR_SEGMENT_STATE_ACCEPTED, err);
    case RBR_SEGMENT_STATE_RETIRED:
        on_retired(channel, index);
        return RBR_OK;
    default:
        return rbr_fail(err, RBR_BROKEN, "a segment message has state %u", state);
    }
}

bool
rbr_blocks_trim(rbr_channel *channel)
{
    rbr_block_table *table = &channel->blocks;
    bool left;

    pthread_mutex_lock(&table->arena_lock);
    if (table->arena.takes == table->takes_at_tick) {
        if (rbr_arena_collect(&table->arena, SIZE_MAX) == RBR_OK)
            while (retire_one(channel, 0))
                ; /* segment 0 stays: the next call finds it warm */
    }
    table->takes_at_tick = table->arena.takes;
    left = table->arena.mapped_bytes > RBR_ARENA_FIRST_BYTES;
    pthread_mutex_unlock(&table->arena_lock);
    return left;
}
