/* SPDX-License-Identifier: MIT */
/* bare_channel.c - see bare_channel.h. */
#include "bare_channel.h"

#include "channel_pair.h"
#include "check.h"
#include "os.h"

#include <stdlib.h>
#include <unistd.h>

rbr_channel *
bare_channel_new(int role, const rbr_segment *segment, uint64_t arena_limit)
{
    rbr_channel *channel = calloc(1, sizeof *channel);

    CHECK(channel != NULL);
    atomic_init(&channel->users, 1);
    atomic_init(&channel->memory, 1);
    channel->role = role;
    channel->segment = *segment;
    channel->fork_token = rbr_os_fork_token();
    atomic_store(&channel->watch.handshaken, true);
    atomic_store(&channel->wake.peers_event, -1);
    rbr_progress_init(channel);
    CHECK(rbr_exchange_init(channel) == RBR_OK);
    rbr_blocks_init(channel, arena_limit);
    rbr_wake_init(&channel->wake, segment->shared, role, 0);
    rbr_producer_init(&channel->exchange.producer, &segment->shared->ring[role],
                      segment->data[role], segment->ring_bytes, 0);
    rbr_consumer_init(&channel->exchange.consumer, &segment->shared->ring[1 - role],
                      segment->data[1 - role], segment->ring_bytes, 0);
    return channel;
}

void
bare_channel_free(rbr_channel *channel)
{
    CHECK(atomic_load(&channel->memory) == 1);
    rbr_progress_free(channel);
    rbr_exchange_free(channel);
    rbr_blocks_free(channel);
    free(channel);
}

void
bare_pair_open(bare_pair *pair, uint32_t ring_bytes)
{
    int fd;

    CHECK(rbr_segment_create(&pair->rings, &fd, ring_bytes, 1, RBR_MEMORY_MEMFD, NULL) == RBR_OK);
    close(fd);
    pair->host = bare_channel_new(RBR_ROLE_HOST, &pair->rings, RBR_MIB);
    pair->worker = bare_channel_new(RBR_ROLE_WORKER, &pair->rings, RBR_MIB);
}

void
bare_pair_close(bare_pair *pair)
{
    bare_channel_free(pair->host);
    bare_channel_free(pair->worker);
    rbr_segment_detach(&pair->rings);
}

uint64_t
bare_next_of(rbr_pending *pending)
{
    rbr_message *message;

    return rbr_pending_wait(pending, &message, 0, 0) == RBR_OK ? pair_take_id(message) : 0;
}

void
bare_channel_grow(rbr_channel *owner, rbr_channel *peer, uint16_t index, uint64_t bytes)
{
    rbr_mapping *ours, *theirs;
    int fd;

    CHECK(rbr_mapping_create(&ours, &fd, bytes, index, RBR_MEMORY_MEMFD, NULL) == RBR_OK);
    CHECK(rbr_mapping_attach(&theirs, fd, bytes, index, NULL) == RBR_OK);
    close(fd);
    CHECK(owner->blocks.ours[index] == NULL && peer->blocks.peers[index] == NULL);
    CHECK(rbr_blocks_need_node(owner) == RBR_OK);
    owner->blocks.ours[index] = ours;
    peer->blocks.peers[index] = theirs;
    rbr_arena_add(&owner->blocks.arena, ours->base, bytes, index);
}

int
bare_channel_retire(rbr_channel *owner, rbr_channel *peer)
{
    const int index = rbr_arena_retire(&owner->blocks.arena, -1);

    if (index < 0)
        return -1;
    rbr_mapping_release(owner->blocks.ours[index]);
    rbr_mapping_release(peer->blocks.peers[index]);
    owner->blocks.ours[index] = peer->blocks.peers[index] = NULL;
    return index;
}
