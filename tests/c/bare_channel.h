/* SPDX-License-Identifier: MIT */
/*
 * bare_channel.h - the data plane of a channel without its control plane: rings and arenas, but no
 * socket, no watcher and no process at the other end. For tests that play the peer themselves.
 */
#ifndef RBR_TESTS_BARE_CHANNEL_H
#define RBR_TESTS_BARE_CHANNEL_H

#include "channel.h"

/* The segment stays the caller's; two channels may share it. */
rbr_channel *bare_channel_new(int role, const rbr_segment *segment, uint64_t arena_limit);
/* All blocks must be back. */
void bare_channel_free(rbr_channel *channel);

/* Both ends of one channel. */
typedef struct bare_pair {
    rbr_channel *host, *worker;
    rbr_segment rings;
} bare_pair;

void bare_pair_open(bare_pair *pair, uint32_t ring_bytes);
void bare_pair_close(bare_pair *pair);
/* The id of the frame that is there for this call; 0: none. */
uint64_t bare_next_of(rbr_pending *pending);

/* A segment for the owner's arena, which the peer maps too, as if it had been offered and accepted. */
void bare_channel_grow(rbr_channel *owner, rbr_channel *peer, uint16_t index, uint64_t bytes);
/* Takes a free segment out of both; its index, -1: none is free. */
int bare_channel_retire(rbr_channel *owner, rbr_channel *peer);

#endif
