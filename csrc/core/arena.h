/* SPDX-License-Identifier: MIT */
/*
 * arena.h - the owner's allocator: which bytes of its segments are in which block.
 *
 * The table is private: nothing that the peer writes decides where a block lies. See arena.c.
 * Not thread-safe: the channel holds a lock around every call.
 */
#ifndef RBR_ARENA_H
#define RBR_ARENA_H

#include "base.h"
#include "layout.h"

#define RBR_ARENA_GRAIN UINT64_C(4096)
#define RBR_ARENA_BINS 48
#define RBR_ARENA_SEGMENTS_MAX 1024

/* A run of grains in one segment: free, or a block. Nodes are memory that the caller gives. */
typedef struct rbr_extent {
    struct rbr_extent *below, *above; /* neighbours by address, in the same segment */
    struct rbr_extent *prev, *next;   /* in a bin when free, in flight when a block */
    uint8_t *base;                    /* of the block's header */
    uint64_t bytes;                   /* header included */
    uint64_t sent;                    /* how often the block was sent to the peer */
    uint64_t offset;                  /* of base in the segment */
    uint64_t payload_bytes;           /* as asked for */
    uint32_t generation;
    uint16_t segment;                 /* the arena number on the wire */
    bool is_free;
    bool held;                        /* this process holds a reference */
} rbr_extent;

typedef struct rbr_arena_list {
    rbr_extent *first, *last;
} rbr_arena_list;

typedef struct rbr_arena {
    rbr_arena_list bins[RBR_ARENA_BINS]; /* free extents by floor(log2(bytes)), last in first out */
    rbr_arena_list in_flight; /* not held, not yet handed back; oldest first */
    rbr_extent *spare; /* unused nodes, linked by next */
    uint64_t mapped_bytes, used_bytes, used_blocks;
    uint64_t takes; /* allocations ever: tells idleness */
    uint32_t generation;
} rbr_arena;

/* Memory for `count` more nodes; it must outlive the arena. */
void rbr_arena_give_nodes(rbr_arena *arena, rbr_extent *nodes, size_t count);
bool rbr_arena_wants_nodes(const rbr_arena *arena);

/* A new segment of `bytes` (a multiple of the grain) at `base`. Needs a spare node. */
void rbr_arena_add(rbr_arena *arena, uint8_t *base, uint64_t bytes, uint16_t segment);

/* A block with room for `payload` bytes, held. RBR_AGAIN: no extent is large enough.
 * Needs a spare node. */
rbr_status rbr_arena_take(rbr_arena *arena, uint64_t payload, rbr_extent **out);
/* The owner lets go of it: it is freed as soon as the peer has handed back all it was sent.
 * RBR_BROKEN: the peer handed back more than it got. */
rbr_status rbr_arena_drop(rbr_arena *arena, rbr_extent *block);
/* Frees the blocks in flight that have come back: the oldest `most`, stopping at a few that have
 * not; most = SIZE_MAX looks at all. */
rbr_status rbr_arena_collect(rbr_arena *arena, size_t most);

/* The bytes that a block of `payload` bytes takes, header and rounding included. */
static inline uint64_t
rbr_arena_extent_bytes(uint64_t payload)
{
    return rbr_round_up(payload + RBR_BLOCK_HEADER_BYTES, RBR_ARENA_GRAIN);
}

/* A segment that is free from end to end (not `keep`), taken out of the arena; -1: none. */
int rbr_arena_retire(rbr_arena *arena, int keep);

#ifdef RBR_VERIFY_BUILD
/* All is sound, and every block left is one that the peer has. */
bool rbr_arena_nothing_is_held(rbr_arena *arena);
#endif

static inline struct rbr_block_shared *
rbr_extent_header(const rbr_extent *block)
{
    return (struct rbr_block_shared *)(void *)block->base;
}

#endif
