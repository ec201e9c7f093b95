/* SPDX-License-Identifier: MIT */
/*
 * arena.c - extents, bins and counts.
 *
 * Knows nothing about processes or mappings: it is handed segments and node memory.
 *
 *   segment   +------+----------------+-----------+------------------+
 *             | free | block (held)   | block     | free             |
 *             +------+----------------+-----------+------------------+
 *                       ^ header, payload  ^ in flight: the peer has it
 *
 * Invariants
 *   A1  the extents of a segment tile it; two free ones are never neighbours.
 *   A2  a block is free again when this process does not hold it and `returned` in its header
 *       equals `sent` here. The peer only counts up; more than `sent` is a broken peer.
 *   A3  an allocation gets a new generation, so a reference to an older one is recognised.
 *   A4  last in, first out: the extent freed last is the warmest, and is taken first.
 */
#include "arena.h"

#include <string.h>

enum { BIN_LOOKS = 16, COLLECT_MISSES = 4 };

/* ------------------------------------------------------------------------------------- lists */

static void
list_push_front(rbr_arena_list *list, rbr_extent *node)
{
    node->prev = NULL;
    node->next = list->first;
    if (list->first != NULL)
        list->first->prev = node;
    else
        list->last = node;
    list->first = node;
}

static void
list_push_back(rbr_arena_list *list, rbr_extent *node)
{
    node->next = NULL;
    node->prev = list->last;
    if (list->last != NULL)
        list->last->next = node;
    else
        list->first = node;
    list->last = node;
}

static void
list_remove(rbr_arena_list *list, rbr_extent *node)
{
    if (node->prev != NULL)
        node->prev->next = node->next;
    else
        list->first = node->next;
    if (node->next != NULL)
        node->next->prev = node->prev;
    else
        list->last = node->prev;
    node->prev = node->next = NULL;
}

static rbr_arena_list *
bin_of(rbr_arena *arena, uint64_t bytes)
{
    const int log2 = 63 - __builtin_clzll(bytes);

    return &arena->bins[log2 < RBR_ARENA_BINS ? log2 : RBR_ARENA_BINS - 1];
}

/* ------------------------------------------------------------------------------------ checks */

#ifdef RBR_VERIFY_BUILD
static bool
list_is_linked(const rbr_arena_list *list)
{
    const rbr_extent *node, *before = NULL;

    for (node = list->first; node != NULL; before = node, node = node->next)
        assert(node->prev == before);
    assert(list->last == before);
    return true;
}

/* A1, for one free extent. */
static bool
extent_is_sound(const rbr_extent *extent)
{
    const rbr_extent *below = extent->below, *above = extent->above;

    assert(extent->is_free && !extent->held);
    assert(extent->bytes > 0 && extent->bytes % RBR_ARENA_GRAIN == 0);
    if (below != NULL)
        assert(!below->is_free && below->above == extent && below->segment == extent->segment &&
               below->base + below->bytes == extent->base);
    if (above != NULL)
        assert(!above->is_free && above->below == extent && above->segment == extent->segment &&
               extent->base + extent->bytes == above->base);
    return true;
}

static bool
arena_is_sound(rbr_arena *arena)
{
    uint64_t free_bytes = 0, away_bytes = 0, away_blocks = 0;
    const rbr_extent *extent;
    size_t bin;

    for (bin = 0; bin < RBR_ARENA_BINS; bin++) {
        assert(list_is_linked(&arena->bins[bin]));
        for (extent = arena->bins[bin].first; extent != NULL; extent = extent->next) {
            assert(extent_is_sound(extent) && bin_of(arena, extent->bytes) == &arena->bins[bin]);
            free_bytes += extent->bytes;
        }
    }
    assert(list_is_linked(&arena->in_flight));
    for (extent = arena->in_flight.first; extent != NULL; extent = extent->next) {
        assert(!extent->is_free && !extent->held);
        away_bytes += extent->bytes;
        away_blocks++;
    }
    assert(free_bytes + arena->used_bytes == arena->mapped_bytes);
    assert(away_bytes <= arena->used_bytes && away_blocks <= arena->used_blocks);
    return true;
}

bool
rbr_arena_nothing_is_held(rbr_arena *arena)
{
    const rbr_extent *extent;
    uint64_t away = 0;

    for (extent = arena->in_flight.first; extent != NULL; extent = extent->next)
        away++;
    return arena_is_sound(arena) && away == arena->used_blocks;
}
#endif

/* ------------------------------------------------------------------------------------- nodes */

void
rbr_arena_give_nodes(rbr_arena *arena, rbr_extent *nodes, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        nodes[i].next = arena->spare;
        arena->spare = &nodes[i];
    }
}

bool
rbr_arena_wants_nodes(const rbr_arena *arena)
{
    return arena->spare == NULL;
}

static rbr_extent *
node_new(rbr_arena *arena)
{
    rbr_extent *node = arena->spare;

    assert(node != NULL); /* our callers gave one */
    arena->spare = node->next;
    memset(node, 0, sizeof *node);
    return node;
}

static void
node_free(rbr_arena *arena, rbr_extent *node)
{
    rbr_arena_give_nodes(arena, node, 1);
}

/* ----------------------------------------------------------------------------------- extents */

static void
extent_set_free(rbr_arena *arena, rbr_extent *extent)
{
    extent->is_free = true;
    list_push_front(bin_of(arena, extent->bytes), extent);
}

/* Joins `upper` to `lower`, its neighbour below; both are in no list. */
static void
extent_join(rbr_arena *arena, rbr_extent *lower, rbr_extent *upper)
{
    RBR_VERIFY(lower->base + lower->bytes == upper->base);
    lower->bytes += upper->bytes;
    lower->above = upper->above;
    if (upper->above != NULL)
        upper->above->below = lower;
    node_free(arena, upper);
}

static void
extent_release(rbr_arena *arena, rbr_extent *extent)
{
    rbr_extent *above = extent->above, *below = extent->below;

    arena->used_bytes -= extent->bytes;
    arena->used_blocks--;
    if (above != NULL && above->is_free) { /* A1 */
        list_remove(bin_of(arena, above->bytes), above);
        extent_join(arena, extent, above);
    }
    if (below != NULL && below->is_free) {
        list_remove(bin_of(arena, below->bytes), below);
        extent_join(arena, below, extent);
        extent = below;
    }
    extent_set_free(arena, extent);
}

static rbr_extent *
extent_find(rbr_arena *arena, uint64_t need)
{
    const size_t first = (size_t)(bin_of(arena, need) - arena->bins);
    rbr_extent *extent;
    size_t bin;
    int looks = 0;

    /* In the need's own bin some are too small; in the bins above every one will do. */
    for (extent = arena->bins[first].first; extent != NULL && looks < BIN_LOOKS;
         extent = extent->next, looks++)
        if (extent->bytes >= need)
            return extent;
    for (bin = first + 1; bin < RBR_ARENA_BINS; bin++)
        if (arena->bins[bin].first != NULL)
            return arena->bins[bin].first;
    for (; extent != NULL; extent = extent->next)
        if (extent->bytes >= need)
            return extent;
    return NULL;
}

static void
extent_split(rbr_arena *arena, rbr_extent *extent, uint64_t need)
{
    rbr_extent *rest = node_new(arena);

    rest->base = extent->base + need;
    rest->bytes = extent->bytes - need;
    rest->offset = extent->offset + need;
    rest->segment = extent->segment;
    rest->below = extent;
    rest->above = extent->above;
    if (rest->above != NULL)
        rest->above->below = rest;
    extent->above = rest;
    extent->bytes = need;
    extent_set_free(arena, rest);
}

/* ------------------------------------------------------------------------------------ public */

void
rbr_arena_add(rbr_arena *arena, uint8_t *base, uint64_t bytes, uint16_t segment)
{
    rbr_extent *extent = node_new(arena);

    assert(bytes > 0 && bytes % RBR_ARENA_GRAIN == 0);
    extent->base = base;
    extent->bytes = bytes;
    extent->segment = segment;
    arena->mapped_bytes += bytes;
    extent_set_free(arena, extent);
    RBR_VERIFY(arena_is_sound(arena));
}

rbr_status
rbr_arena_take(rbr_arena *arena, uint64_t payload, rbr_extent **out)
{
    struct rbr_block_shared *header;
    rbr_extent *extent;
    uint64_t need;

    if (payload > UINT64_MAX / 2)
        return RBR_TOO_BIG;
    need = rbr_arena_extent_bytes(payload);
    extent = extent_find(arena, need);
    if (extent == NULL)
        return RBR_AGAIN;
    list_remove(bin_of(arena, extent->bytes), extent);
    extent->is_free = false;
    if (extent->bytes > need)
        extent_split(arena, extent, need);
    extent->held = true;
    extent->sent = 0;
    extent->payload_bytes = payload;
    extent->generation = ++arena->generation; /* A3 */
    header = rbr_extent_header(extent);
    atomic_store_explicit(&header->returned, 0, memory_order_relaxed);
    atomic_store_explicit(&header->bytes, payload, memory_order_relaxed);
    atomic_store_explicit(&header->generation, extent->generation, memory_order_relaxed);
    arena->used_bytes += extent->bytes;
    arena->used_blocks++;
    arena->takes++;
    RBR_VERIFY(arena_is_sound(arena));
    *out = extent;
    return RBR_OK;
}

/* A2. RBR_AGAIN: the peer still has it. */
static rbr_status
block_is_back(const rbr_extent *block)
{
    /* acquire: the peer has finished with the bytes before we give them to somebody else. */
    const uint64_t returned = atomic_load_explicit(&rbr_extent_header(block)->returned,
                                                   memory_order_acquire);

    if (returned == block->sent)
        return RBR_OK;
    return returned < block->sent ? RBR_AGAIN : RBR_BROKEN;
}

rbr_status
rbr_arena_drop(rbr_arena *arena, rbr_extent *block)
{
    const rbr_status status = block_is_back(block);

    RBR_VERIFY(block->held && !block->is_free);
    block->held = false;
    if (status == RBR_OK)
        extent_release(arena, block);
    else
        list_push_back(&arena->in_flight, block); /* a broken peer's stays here for good */
    RBR_VERIFY(arena_is_sound(arena));
    return status == RBR_BROKEN ? RBR_BROKEN : RBR_OK;
}

rbr_status
rbr_arena_collect(rbr_arena *arena, size_t most)
{
    const bool all = most == SIZE_MAX;
    rbr_extent *block = arena->in_flight.first, *next;
    int misses = 0;

    for (; block != NULL && most > 0 && (all || misses < COLLECT_MISSES); block = next, most--) {
        const rbr_status status = block_is_back(block);

        next = block->next;
        if (status == RBR_BROKEN)
            return RBR_BROKEN;
        if (status == RBR_AGAIN) {
            misses++;
            continue;
        }
        list_remove(&arena->in_flight, block);
        extent_release(arena, block);
    }
    RBR_VERIFY(arena_is_sound(arena));
    return RBR_OK;
}

int
rbr_arena_retire(rbr_arena *arena, int keep)
{
    size_t bin;
    rbr_extent *extent;

    for (bin = 0; bin < RBR_ARENA_BINS; bin++)
        for (extent = arena->bins[bin].first; extent != NULL; extent = extent->next)
            if (extent->below == NULL && extent->above == NULL && extent->segment != keep) {
                const int segment = extent->segment;

                list_remove(&arena->bins[bin], extent);
                arena->mapped_bytes -= extent->bytes;
                node_free(arena, extent);
                RBR_VERIFY(arena_is_sound(arena));
                return segment;
            }
    return -1;
}
