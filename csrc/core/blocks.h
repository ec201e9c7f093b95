/* SPDX-License-Identifier: MIT */
/*
 * blocks.h - the arenas of a channel: ours, the peer's, and their segments. See block.c and grow.c.
 */
#ifndef RBR_BLOCKS_H
#define RBR_BLOCKS_H

#include "arena.h"
#include "segment.h"

#include "ringbridge_flatbuf.h"

#include <pthread.h>

typedef struct rbr_block_table {
    pthread_mutex_t arena_lock;
    pthread_cond_t grown; /* a new segment was accepted or refused */
    rbr_arena arena;      /* ours: only we allocate in it */
    rbr_mapping *ours[RBR_ARENA_SEGMENTS_MAX];
    rbr_mapping *peers[RBR_ARENA_SEGMENTS_MAX];
    struct rbr_node_chunk *chunks; /* memory of the arena's nodes */
    bool growing;
    uint16_t growing_index;
    uint16_t next_index;
    rbr_error refusal; /* why the last growth failed; status RBR_OK: it did not */
    uint64_t limit;
    uint64_t peer_bytes;    /* of the peer's segments that we have mapped: within limit, too */
    uint64_t takes_at_tick; /* the arena's activity at the watcher's last look */
    _Atomic uint64_t peer_blocks;
} rbr_block_table;

void rbr_blocks_init(rbr_channel *channel, uint64_t limit);
void rbr_blocks_free(rbr_channel *channel);
/* Makes the arena larger for a block of `payload` bytes and waits for the peer's answer. RBR_OK: try
 * again. Called and returns with arena_lock held, and lets go of it while it waits. */
rbr_status rbr_blocks_grow(rbr_channel *channel, uint64_t payload, uint64_t deadline_ns,
                           rbr_error *err);
/* Whoever waits for the arena to grow sees the final state. */
void rbr_blocks_wake_all(rbr_channel *channel);
/* Gives the arena the node that one operation may need. Under arena_lock. */
rbr_status rbr_blocks_need_node(rbr_channel *channel);
/* Counts a sending of each block, before the frame is published; undo when it was not. */
void rbr_blocks_mark_sent(rbr_channel *channel, rbr_block *const *blocks, size_t count);
void rbr_blocks_unmark_sent(rbr_channel *channel, rbr_block *const *blocks, size_t count);
/* A block of the peer's, by its reference; RBR_BROKEN when that is not one. */
rbr_status rbr_blocks_resolve(rbr_block **out, rbr_channel *channel, const uint8_t *reference,
                              rbr_error *err);
/* A Segment message has come (fd -1: none); the watcher's. */
rbr_status rbr_blocks_on_segment(rbr_channel *channel, rbr_table segment, int fd, rbr_error *err);
/* The watcher's idle look: lets go of segments that nobody needed since the last one. True while
 * there is something left to let go of later. */
bool rbr_blocks_trim(rbr_channel *channel);

#endif
