/* SPDX-License-Identifier: MIT */
/*
 * test_arena_model.c - any sequence of uses and misuses of an arena: an error, never corruption
 * (F24).
 *
 * Two channels share an arena in this process: the owner allocates, sends and lets go; the peer takes
 * hold and hands back, and sometimes lies in what it can write. Beside them stands a model that knows
 * nothing of extents or bins: who holds each block, what is on its way, and which block has each 4 KiB
 * of each segment.
 *
 *   a block lives while the owner holds it, or more was sent than handed back
 *
 * RBR_ROUNDS is the number of operations, RBR_SEED repeats a sequence.
 */
#include "bare_channel.h"
#include "check.h"
#include "soak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    RING = 65536,
    OPERATIONS = 200000,
    BLOCKS = 96,
    SEGMENTS = 4,
    GRAINS = 64,
    HANDLES = 4,
    GRAIN = 4096,
    NOBODY = -1
};

typedef struct block {
    bool lives;
    rbr_block *held[HANDLES]; /* one block, however many references the owner has */
    int references;
    rbr_block *taken[HANDLES]; /* by the peer */
    int taken_count;
    int on_the_way;
    rbr_arena_ref ref;
    uint64_t mark;
} block;

typedef struct model {
    rbr_segment rings;
    rbr_channel *owner, *peer;
    block blocks[BLOCKS];
    bool mapped[SEGMENTS];
    int grains[SEGMENTS][GRAINS]; /* which block has it */
    uint64_t random, last_mark;
    uint64_t refused, stale, lies, full;
} model;

static uint64_t
below(model *m, uint64_t limit)
{
    return soak_random(&m->random) % limit;
}

/* --------------------------------------------------------------------------------- what the model says */

static uint64_t
grains_of(const block *b)
{
    return (b->ref.length + 64 + GRAIN - 1) / GRAIN;
}

static void
set_grains(model *m, const block *b, int from, int to)
{
    const uint64_t first = (b->ref.offset - 64) / GRAIN;
    uint64_t i;

    CHECK((b->ref.offset - 64) % GRAIN == 0 && first + grains_of(b) <= GRAINS);
    for (i = first; i < first + grains_of(b); i++) {
        CHECK(m->grains[b->ref.arena][i] == from); /* no overlap */
        m->grains[b->ref.arena][i] = to;
    }
}

static void
ends_perhaps(model *m, block *b)
{
    if (b->references > 0 || b->taken_count > 0 || b->on_the_way > 0)
        return;
    b->lives = false;
    set_grains(m, b, (int)(b - m->blocks), NOBODY);
}

/* The longest run of grains that nobody has. */
static int
longest_run(const model *m)
{
    int segment, i, run, longest = 0;

    for (segment = 0; segment < SEGMENTS; segment++)
        for (i = run = 0; m->mapped[segment] && i < GRAINS; i++) {
            run = m->grains[segment][i] == NOBODY ? run + 1 : 0;
            longest = run > longest ? run : longest;
        }
    return longest;
}

static void
agree(model *m)
{
    rbr_stats stats;
    uint64_t blocks = 0, bytes = 0, mapped = 0, taken = 0;
    int i;

    for (i = 0; i < BLOCKS; i++) {
        taken += (uint64_t)m->blocks[i].taken_count;
        blocks += m->blocks[i].lives;
        bytes += m->blocks[i].lives ? grains_of(&m->blocks[i]) * GRAIN : 0;
    }
    for (i = 0; i < SEGMENTS; i++)
        mapped += m->mapped[i] ? GRAINS * GRAIN : 0;
    rbr_channel_stats(m->owner, &stats); /* collects */
    CHECK(stats.arena_blocks == blocks && stats.arena_used == bytes && stats.arena_bytes == mapped);
    rbr_channel_stats(m->peer, &stats);
    CHECK(stats.peer_blocks == taken);
    CHECK(rbr_channel_check(m->owner) == RBR_OK && rbr_channel_check(m->peer) == RBR_OK);
}

/* ------------------------------------------------------------------------------------------ the bytes */

/* Each word tells whose it is. Its halves are no generation, so that no payload looks like a header. */
static uint64_t
word(const block *b, uint64_t i)
{
    return (b->mark * 4096 + i % 4096) | UINT64_C(0x8000000080000000);
}

static void
fill(const block *b, uint8_t *data)
{
    uint64_t i, value;

    for (i = 0; i + 8 <= b->ref.length; i += 8) {
        value = word(b, i / 8);
        memcpy(data + i, &value, 8);
    }
}

static void
check_bytes(const block *b, const rbr_block *handle)
{
    const uint8_t *data = rbr_block_data(handle);
    uint64_t i, value;

    CHECK(rbr_block_bytes(handle) == b->ref.length);
    for (i = 0; i + 8 <= b->ref.length; i += 8) {
        memcpy(&value, data + i, 8);
        CHECK(value == word(b, i / 8));
    }
}

/* ----------------------------------------------------------------------------------------- operations */

static block *
any_block(model *m)
{
    return &m->blocks[below(m, BLOCKS)];
}

static void
allocate(model *m, block *b)
{
    const uint64_t bytes = below(m, below(m, 4) ? 2 * GRAIN : GRAINS * GRAIN);
    rbr_status status;
    rbr_block *fresh;

    if (b->lives)
        return;
    status = rbr_block_allocate(&fresh, m->owner, bytes, 0, NULL);
    if (status ==
        RBR_AGAIN) { /* it would have to grow, and may not wait: there is really no room */
        CHECK((uint64_t)longest_run(m) * GRAIN < bytes + 64);
        m->full++;
        return;
    }
    CHECK(status == RBR_OK);
    *b = (block){.lives = true, .references = 1, .mark = ++m->last_mark};
    b->held[0] = fresh;
    rbr_block_ref(fresh, &b->ref);
    CHECK(b->ref.length == bytes && b->ref.arena < SEGMENTS && m->mapped[b->ref.arena]);
    set_grains(m, b, NOBODY, (int)(b - m->blocks));
    fill(b, rbr_block_data(fresh));
}

static void
share(block *b)
{
    if (b->references == 0 || b->references == HANDLES)
        return;
    rbr_block_retain(b->held[0]);
    b->references++;
}

static void
let_go(model *m, block *b)
{
    if (b->references == 0)
        return;
    check_bytes(b, b->held[0]);
    rbr_block_release(b->held[0]);
    b->references--;
    ends_perhaps(m, b);
}

static void
send_it(model *m, block *b)
{
    if (b->references == 0 || b->on_the_way == HANDLES)
        return;
    rbr_blocks_mark_sent(m->owner, &b->held[0], 1);
    if (below(m, 8) == 0) /* the frame did not go out */
        rbr_blocks_unmark_sent(m->owner, &b->held[0], 1);
    else
        b->on_the_way++;
}

static void
take_it(model *m, block *b)
{
    rbr_block *handle;

    if (b->on_the_way == 0 || b->taken_count == HANDLES)
        return;
    CHECK(rbr_blocks_resolve(&handle, m->peer, (const uint8_t *)&b->ref, NULL) == RBR_OK);
    CHECK(!rbr_block_is_ours(handle, m->peer));
    check_bytes(b, handle);
    b->on_the_way--;
    b->taken[b->taken_count++] = handle;
}

static void
hand_back(model *m, block *b)
{
    if (b->taken_count == 0)
        return;
    check_bytes(b, b->taken[--b->taken_count]);
    rbr_block_release(b->taken[b->taken_count]);
    ends_perhaps(m, b);
}

/* Another block stands where this one, which has ended, once began. */
static bool
was_followed(const model *m, const block *b)
{
    const block *next;
    int grain;

    if (b->lives || b->ref.generation == 0)
        return false;
    grain = m->grains[b->ref.arena][(b->ref.offset - 64) / GRAIN];
    if (grain == NOBODY)
        return false;
    next = &m->blocks[grain];
    return next->ref.offset == b->ref.offset;
}

/* A reference of a generation that has passed, or that never was: refused, and it says why. */
static void
take_wrongly(model *m, block *b)
{
    const int kind = b->lives ? (int)below(m, 5) : was_followed(m, b) ? 5 : -1;
    rbr_error error = {.status = RBR_OK};
    rbr_arena_ref ref = b->ref;
    rbr_block *handle;

    switch (kind) {
    case -1:
        return;
    case 0:
        ref.arena = (uint16_t)(SEGMENTS + below(m, 65536 - SEGMENTS));
        break;
    case 1:
        ref.offset = soak_random(&m->random);
        break;
    case 2:
        ref.length = GRAINS * GRAIN + soak_random(&m->random) / 2;
        break;
    case 3:
        ref.offset += 1 + below(m, 63);
        break;
    case 4:
        ref.generation -= 1 + (uint32_t)below(m, ref.generation);
        break;
    default: /* as it was once right */
        m->stale++;
    }
    CHECK(rbr_blocks_resolve(&handle, m->peer, (const uint8_t *)&ref, &error) == RBR_BROKEN);
    CHECK(strstr(error.text, "payload") != NULL);
    m->refused++;
}

static _Atomic uint64_t *
returned_of(const model *m, const block *b)
{
    uint8_t *base = m->peer->blocks.peers[b->ref.arena]->base + b->ref.offset;

    return &((struct rbr_block_shared *)(void *)(base - 64))->returned;
}

/* The peer's word against the owner's count. Too many: the owner says so as soon as it looks, gives
 * the block to nobody and its channel has failed. Too few: the block stays. Then the lie is undone. */
static void
lie(model *m, block *b)
{
    _Atomic uint64_t *const returned = b->lives ? returned_of(m, b) : NULL;
    const uint64_t due = b->lives ? (uint64_t)(b->on_the_way + b->taken_count) : 0;
    uint64_t honest;
    bool too_many;

    if (!b->lives || b->references > 0) /* the owner does not look while it holds it */
        return;
    honest = atomic_load(returned);
    too_many = below(m, 2) == 0;
    if (!too_many && honest == 0)
        return;
    atomic_store(returned, too_many ? honest + due + 1 + below(m, UINT64_MAX - honest - due - 1)
                                    : below(m, honest));
    pthread_mutex_lock(&m->owner->blocks.arena_lock);
    CHECK(rbr_arena_collect(&m->owner->blocks.arena, SIZE_MAX) == (too_many ? RBR_BROKEN : RBR_OK));
    pthread_mutex_unlock(&m->owner->blocks.arena_lock);
    if (!too_many) /* and nobody else gets its bytes */
        allocate(m, any_block(m));
    atomic_store(returned, honest);
    m->lies++;
}

/* The peer hands back once more than it was given, while the owner still holds the block. */
static void
hand_back_twice(model *m, block *b)
{
    rbr_error error = {.status = RBR_OK};

    if (b->references != 1 || b->on_the_way > 0 || b->taken_count > 0)
        return;
    atomic_fetch_add(returned_of(m, b), 1);
    check_bytes(b, b->held[0]);
    rbr_block_release(b->held[0]);
    b->references = 0;
    CHECK(rbr_channel_state(m->owner, &error) == RBR_BROKEN);
    CHECK(strstr(error.text, "handed back a block more often than it was sent") != NULL);
    CHECK(rbr_block_allocate(&b->held[0], m->owner, 1, 0, NULL) == RBR_BROKEN);
    atomic_store(&m->owner->state, RBR_OK); /* the sequence goes on, as if nothing had happened */
    atomic_fetch_sub(returned_of(m, b), 1);
    ends_perhaps(m, b);
    m->lies++;
}

static void
grow_or_retire(model *m)
{
    int index = (int)below(m, SEGMENTS), i;

    if (!m->mapped[index]) {
        bare_channel_grow(m->owner, m->peer, (uint16_t)index, GRAINS * GRAIN);
        m->mapped[index] = true;
        return;
    }
    agree(m); /* what came back is collected: an arena that could shrink does */
    index = bare_channel_retire(m->owner, m->peer);
    for (i = 0; i < SEGMENTS; i++) {
        int grain, used = 0;

        for (grain = 0; grain < GRAINS; grain++)
            used += m->grains[i][grain] != NOBODY;
        CHECK(index != i || (m->mapped[i] && used == 0));
        CHECK(index >= 0 || !m->mapped[i] || used > 0);
    }
    if (index >= 0)
        m->mapped[index] = false;
}

static void
operate(model *m)
{
    const uint64_t dice = below(m, 1000);
    block *b = any_block(m);

    if (dice < 250)
        allocate(m, b);
    else if (dice < 300)
        share(b);
    else if (dice < 540)
        let_go(m, b);
    else if (dice < 640)
        send_it(m, b);
    else if (dice < 780)
        take_it(m, b);
    else if (dice < 920)
        hand_back(m, b);
    else if (dice < 950)
        take_wrongly(m, b);
    else if (dice < 970)
        lie(m, b);
    else if (dice < 980)
        hand_back_twice(m, b);
    else if (dice < 985)
        grow_or_retire(m);
    else
        agree(m);
}

/* ------------------------------------------------------------------------------------------- the test */

static void
setup(model *m)
{
    int fd, i, j;

    memset(m, 0, sizeof *m);
    CHECK(rbr_segment_create(&m->rings, &fd, RING, 1, RBR_MEMORY_MEMFD, NULL) == RBR_OK);
    close(fd);
    m->owner = bare_channel_new(RBR_ROLE_HOST, &m->rings, RBR_MIB);
    m->peer = bare_channel_new(RBR_ROLE_WORKER, &m->rings, RBR_MIB);
    for (i = 0; i < SEGMENTS; i++)
        for (j = 0; j < GRAINS; j++)
            m->grains[i][j] = NOBODY;
    m->random = (soak_seed() + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static void
all_comes_back(model *m)
{
    int i;

    for (i = 0; i < BLOCKS; i++) {
        block *b = &m->blocks[i];

        while (b->references > 0)
            let_go(m, b);
        while (b->on_the_way > 0 || b->taken_count > 0) {
            take_it(m, b);
            hand_back(m, b);
        }
        CHECK(!b->lives);
    }
    agree(m);
    while ((i = bare_channel_retire(m->owner, m->peer)) >= 0)
        m->mapped[i] = false;
    agree(m);
    for (i = 0; i < SEGMENTS; i++)
        CHECK(!m->mapped[i]);
}

TEST_SECONDS(any_misuse_is_an_error_and_every_byte_stays_where_it_was, 300)
{
    const uint64_t operations = soak_rounds(OPERATIONS);
    static model m;
    uint64_t i;

    setup(&m);
    for (i = 0; i < operations; i++)
        operate(&m);
    CHECK(m.refused > 0 && m.stale > 0 && m.lies > 0 && m.full > 0);
    all_comes_back(&m);
    bare_channel_free(m.owner);
    bare_channel_free(m.peer);
    rbr_segment_detach(&m.rings);
    printf("     blocks: %llu, references refused: %llu, of them stale: %llu, lies: %llu, full: "
           "%llu\n",
           (unsigned long long)m.last_mark, (unsigned long long)m.refused,
           (unsigned long long)m.stale, (unsigned long long)m.lies, (unsigned long long)m.full);
    soak_count("arena operations", operations);
}
