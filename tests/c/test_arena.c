/* SPDX-License-Identifier: MIT */
/* test_arena.c - the owner's allocator: a model of who has which bytes, and a lying peer. */
#include "arena.h"
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SEGMENT = 1 << 20, NODES = 1024, LIVE = 64 };

typedef struct fixture {
    rbr_arena arena;
    rbr_extent *nodes;
    uint8_t *memory;
} fixture;

static void
setup(fixture *f)
{
    memset(f, 0, sizeof *f);
    f->nodes = calloc(NODES, sizeof *f->nodes);
    f->memory = aligned_alloc(4096, SEGMENT);
    CHECK(f->nodes != NULL && f->memory != NULL);
    rbr_arena_give_nodes(&f->arena, f->nodes, NODES);
    rbr_arena_add(&f->arena, f->memory, SEGMENT, 7);
}

static void
teardown(fixture *f)
{
    free(f->nodes);
    free(f->memory);
}

static void
hand_back(rbr_extent *block, uint64_t times)
{
    atomic_fetch_add(&rbr_extent_header(block)->returned, times);
}

TEST(a_block_is_aligned_and_knows_its_size)
{
    fixture f;
    rbr_extent *block;

    setup(&f);
    CHECK(rbr_arena_take(&f.arena, 100, &block) == RBR_OK);
    CHECK(block->segment == 7 && block->payload_bytes == 100);
    CHECK((uintptr_t)(block->base + RBR_BLOCK_HEADER_BYTES) % 64 == 0);
    CHECK(f.arena.used_blocks == 1 && f.arena.used_bytes == 4096);
    CHECK(rbr_arena_drop(&f.arena, block) == RBR_OK);
    CHECK(f.arena.used_blocks == 0 && f.arena.used_bytes == 0);
    teardown(&f);
}

TEST(what_is_too_large_is_refused_without_harm)
{
    fixture f;
    rbr_extent *block;

    setup(&f);
    CHECK(rbr_arena_take(&f.arena, SEGMENT, &block) == RBR_AGAIN); /* no room for the header */
    CHECK(rbr_arena_take(&f.arena, UINT64_MAX, &block) == RBR_TOO_BIG);
    CHECK(rbr_arena_take(&f.arena, SEGMENT - 64, &block) == RBR_OK);
    CHECK(rbr_arena_take(&f.arena, 1, &block) == RBR_AGAIN);
    teardown(&f);
}

TEST(a_sent_block_is_free_only_when_the_peer_handed_back_all)
{
    fixture f;
    rbr_extent *block, *again;

    setup(&f);
    CHECK(rbr_arena_take(&f.arena, SEGMENT - 64, &block) == RBR_OK);
    block->sent = 2;
    CHECK(rbr_arena_drop(&f.arena, block) == RBR_OK);
    CHECK(rbr_arena_collect(&f.arena, SIZE_MAX) == RBR_OK);
    CHECK(rbr_arena_take(&f.arena, 1, &again) == RBR_AGAIN);
    hand_back(block, 1);
    CHECK(rbr_arena_collect(&f.arena, SIZE_MAX) == RBR_OK);
    CHECK(rbr_arena_take(&f.arena, 1, &again) == RBR_AGAIN);
    hand_back(block, 1);
    CHECK(rbr_arena_collect(&f.arena, SIZE_MAX) == RBR_OK);
    CHECK(rbr_arena_take(&f.arena, 1, &again) == RBR_OK);
    teardown(&f);
}

TEST(a_peer_that_hands_back_too_often_is_broken)
{
    fixture f;
    rbr_extent *block;

    setup(&f);
    CHECK(rbr_arena_take(&f.arena, 10, &block) == RBR_OK);
    block->sent = 1;
    hand_back(block, 2);
    CHECK(rbr_arena_drop(&f.arena, block) == RBR_BROKEN);
    CHECK(f.arena.used_blocks == 1); /* never given to anybody again */
    teardown(&f);
}

TEST(the_block_freed_last_is_taken_first)
{
    fixture f;
    rbr_extent *a, *b, *c;
    uint8_t *base;

    setup(&f);
    CHECK(rbr_arena_take(&f.arena, 8000, &a) == RBR_OK);
    CHECK(rbr_arena_take(&f.arena, 8000, &b) == RBR_OK);
    CHECK(rbr_arena_take(&f.arena, 8000, &c) == RBR_OK);
    base = b->base;
    CHECK(rbr_arena_drop(&f.arena, b) == RBR_OK);
    CHECK(rbr_arena_take(&f.arena, 8000, &b) == RBR_OK);
    CHECK(b->base == base);
    teardown(&f);
}

TEST(every_allocation_has_a_generation_of_its_own)
{
    fixture f;
    rbr_extent *block;
    uint32_t first;

    setup(&f);
    CHECK(rbr_arena_take(&f.arena, 10, &block) == RBR_OK);
    first = block->generation;
    CHECK(atomic_load(&rbr_extent_header(block)->generation) == first);
    CHECK(rbr_arena_drop(&f.arena, block) == RBR_OK);
    CHECK(rbr_arena_take(&f.arena, 10, &block) == RBR_OK);
    CHECK(block->generation != first);
    teardown(&f);
}

TEST(a_segment_is_retired_only_when_it_is_free_from_end_to_end)
{
    fixture f;
    rbr_extent *block;

    setup(&f);
    CHECK(rbr_arena_take(&f.arena, 10, &block) == RBR_OK);
    CHECK(rbr_arena_retire(&f.arena, -1) == -1);
    CHECK(rbr_arena_drop(&f.arena, block) == RBR_OK);
    CHECK(rbr_arena_retire(&f.arena, 7) == -1); /* kept */
    CHECK(rbr_arena_retire(&f.arena, -1) == 7);
    CHECK(f.arena.mapped_bytes == 0);
    CHECK(rbr_arena_take(&f.arena, 10, &block) == RBR_AGAIN);
    teardown(&f);
}

/* The model: each live block is filled with its number; an overlap would show. */
typedef struct live {
    rbr_extent *block;
    uint64_t size;
    uint8_t mark;
    bool in_flight;
} live;

static void
verify(const live *one)
{
    const uint8_t *payload = one->block->base + RBR_BLOCK_HEADER_BYTES;
    uint64_t i;

    for (i = 0; i < one->size; i += 97)
        CHECK(payload[i] == one->mark);
    if (one->size > 0)
        CHECK(payload[one->size - 1] == one->mark);
}

TEST_SECONDS(any_sequence_keeps_blocks_apart_and_loses_no_byte, 60)
{
    fixture f;
    live model[LIVE] = {{0}};
    unsigned seed = (unsigned)getpid();
    uint32_t step;
    int i;

    printf("seed %u\n", seed);
    setup(&f);
    for (step = 0; step < 100000; step++) {
        live *one = &model[rand_r(&seed) % LIVE];

        if (one->block == NULL) {
            const uint64_t size = (uint64_t)rand_r(&seed) % (rand_r(&seed) % 4 ? 5000 : 100000);

            if (rbr_arena_take(&f.arena, size, &one->block) != RBR_OK)
                continue;
            *one = (live){one->block, size, (uint8_t)step, false};
            memset(one->block->base + RBR_BLOCK_HEADER_BYTES, one->mark, size);
            one->block->sent = (uint64_t)rand_r(&seed) % 3;
        } else if (!one->in_flight) {
            const bool back = one->block->sent == 0;

            verify(one);
            CHECK(rbr_arena_drop(&f.arena, one->block) == RBR_OK);
            one->in_flight = !back;
            if (back)
                one->block = NULL;
        } else {
            verify(one);
            hand_back(one->block, one->block->sent);
            CHECK(rbr_arena_collect(&f.arena, SIZE_MAX) == RBR_OK);
            one->block = NULL;
        }
    }
    for (i = 0; i < LIVE; i++)
        if (model[i].block != NULL) {
            verify(&model[i]);
            hand_back(model[i].block, model[i].block->sent);
            if (!model[i].in_flight)
                CHECK(rbr_arena_drop(&f.arena, model[i].block) == RBR_OK);
        }
    CHECK(rbr_arena_collect(&f.arena, SIZE_MAX) == RBR_OK);
    CHECK(f.arena.used_blocks == 0 && f.arena.used_bytes == 0);
    CHECK(rbr_arena_retire(&f.arena, -1) == 7); /* one free extent again: all was joined */
    teardown(&f);
}
