/* SPDX-License-Identifier: MIT */
/*
 * test_flipper.c - shared memory that changes while it is read: each word is read once (F6).
 *
 * A second thread, the flipper, plays a peer that toggles live words for as long as we read. What
 * is claimed depends on what is toggled:
 *
 *   one word (size, tail, head, generation, returned, a field of a frame)
 *       we see one of its values, and all that we do follows from that one
 *   many words (a whole frame, a reference to a block)
 *       the copy may be torn; it was verified as it was copied, or refused as a whole
 *
 * Control messages come through a socket: the kernel has copied them, so nobody can toggle those.
 * RBR_ROUNDS is the number of reads in each test; with one CPU a test goes on until it met both
 * values. The races are the point, so this is not for ThreadSanitizer.
 */
#include "check.h"
#include "flipper.h"
#include "os.h"

#include <stdio.h>
#include <string.h>

enum { WORD_ROUNDS = 3000000, FRAME_ROUNDS = 300000 };

/* A position that no ring of ours has. */
static const uint64_t nonsense = UINT64_C(1) << 40;

/* -------------------------------------------------------------------------------------- one word */

TEST_SECONDS(a_records_size_is_read_once, 60)
{
    const uint32_t small = 64, huge = UINT32_MAX - 15;
    const frame nothing = {.size = 0};
    const void *record;
    uint32_t size;
    fixture f;

    flipper_setup(&f, WORD_ROUNDS);
    flipper_publish(&f, &nothing, FRAME_MAX);
    f.flips.values = 3;
    flipper_add(&f.flips, f.record, small, FRAME_MAX, huge);
    while (flipper_more(&f, 3)) {
        const rbr_status status = flipper_take(&f, &record, &size);

        f.met[status != RBR_OK ? 2 : size == small ? 0 : 1]++;
        CHECK(status == RBR_OK || status == RBR_BROKEN);
        if (status == RBR_OK) {
            CHECK(size == small || size == FRAME_MAX);
            CHECK(f.reader->exchange.consumer.head == 8 + size);
        }
    }
    flipper_teardown(&f);
}

TEST_SECONDS(a_tail_is_read_once, 60)
{
    const frame nothing = {.size = 0};
    const void *record;
    uint32_t size;
    fixture f;

    flipper_setup(&f, WORD_ROUNDS);
    flipper_publish(&f, &nothing, 64);
    f.flips.values = 3;
    flipper_add(&f.flips, &f.ring->tail, 0, 72, nonsense);
    while (flipper_more(&f, 3)) {
        const rbr_status status = flipper_take(&f, &record, &size);

        f.met[status == RBR_AGAIN ? 0 : status == RBR_OK ? 1 : 2]++;
        CHECK(status == RBR_AGAIN || status == RBR_OK || status == RBR_BROKEN);
        CHECK(f.reader->exchange.consumer.tail_seen == (status == RBR_OK ? 72 : 0));
    }
    flipper_teardown(&f);
}

TEST_SECONDS(a_head_is_read_once, 60)
{
    fixture f;
    void *record;

    flipper_setup(&f, WORD_ROUNDS);
    f.flips.values = 3;
    flipper_add(&f.flips, &f.ring->head, 0, 72, nonsense);
    while (flipper_more(&f, 3)) {
        rbr_producer *producer = &f.peer->exchange.producer;
        rbr_status status;

        rbr_producer_init(producer, f.ring, f.record, RING, 0);
        producer->tail = RING; /* full */
        producer->committed = RING;
        status = rbr_producer_claim(producer, &record, 64);
        f.met[status == RBR_AGAIN ? 0 : status == RBR_OK ? 1 : 2]++;
        CHECK(status == RBR_AGAIN || status == RBR_OK || status == RBR_BROKEN);
        CHECK(producer->head_seen == (status == RBR_OK ? 72 : 0));
    }
    flipper_teardown(&f);
}

/* Words of 8 bytes on their borders are not torn by a copy. */
TEST_SECONDS(a_frame_with_one_word_toggled_is_one_or_the_other, 60)
{
    rbr_message *message;
    fixture f;
    frame a, b;
    const uint64_t other = 8;

    flipper_setup(&f, FRAME_ROUNDS);
    flipper_frame(&a, build_ints);
    b = a;
    memcpy(b.bytes + (rbr_field(root, RBR_FRAME__ID) - a.bytes), &other, sizeof other);
    flipper_publish(&f, &a, a.size);
    flipper_add_bytes(&f.flips, f.record + 8, a.bytes, b.bytes, a.size);
    CHECK(f.flips.count == 1);
    while (flipper_more(&f, 2)) {
        CHECK(flipper_receive(&f, &message) == RBR_OK);
        CHECK(message->id == 7 || message->id == 8);
        flipper_check_copy(&f, message, &a, &b);
        rbr_message_free(message);
    }
    CHECK(f.met[0] + f.met[1] == f.rounds);
    flipper_teardown(&f);
}

/* Our own block, whose header the peer can write. */
TEST_SECONDS(the_count_of_returns_is_read_once, 60)
{
    rbr_arena *arena;
    rbr_extent *block;
    fixture f;

    flipper_setup(&f, WORD_ROUNDS);
    arena = &f.peer->blocks.arena;
    CHECK(rbr_arena_take(arena, 100, &block) == RBR_OK);
    flipper_add(&f.flips, &rbr_extent_header(block)->returned, 1, 2, 0);
    while (flipper_more(&f, 2)) { /* never more than were sent: never broken */
        if (block->is_free)
            CHECK(rbr_arena_take(arena, 100, &block) == RBR_OK);
        block->sent = 2;
        CHECK((block->held ? rbr_arena_drop(arena, block) : rbr_arena_collect(arena, 1)) == RBR_OK);
        CHECK(arena->used_blocks == !block->is_free);
        f.met[block->is_free]++;
    }
    flipper_teardown(&f);
}

TEST_SECONDS(wake_words_that_are_toggled_keep_nobody_past_a_deadline, 60)
{
    struct rbr_wake_shared *mine;
    uint64_t here;
    fixture f;

    flipper_setup(&f, FRAME_ROUNDS);
    mine = &f.segment.shared->wake[RBR_ROLE_HOST];
    f.flips.values = 3;
    here = (uint64_t)atomic_load(&f.peer->wake.mine->cpu) << 32;
    flipper_add(&f.flips, mine, here, UINT64_MAX, here + 1); /* cpu, and waiting below it */
    flipper_add(&f.flips, &mine->hint, 0, UINT64_MAX, 1);
    while (flipper_more(&f, 2)) {
        const uint64_t deadline = rbr_now_ns() + 20000;
        rbr_status status;

        rbr_wake_announce(&f.reader->wake, RBR_WAKE_DATA);
        rbr_wake_peer(&f.peer->wake, RBR_WAKE_DATA);
        status = f.rounds % 256 == 0 ? rbr_wake_sleep(&f.reader->wake, deadline) : RBR_OK;
        CHECK(status == RBR_OK || status == RBR_TIMED_OUT || status == RBR_INTERRUPTED);
        f.met[rbr_wake_may_spin(&f.peer->wake)]++;
    }
    flipper_teardown(&f);
}

/* ------------------------------------------------------------------------------------ many words */

/* `a` and `b` in turn, or a mix of them: each that is taken was verified as it was copied. */
static void
receive_all(fixture *f, const frame *a, const frame *b)
{
    rbr_message *message;

    while (flipper_more(f, 2))
        if (flipper_receive(f, &message) == RBR_OK) {
            flipper_check_copy(f, message, a, b);
            rbr_message_free(message);
        }
}

static void
receive_either(build_fn *first, build_fn *second)
{
    fixture f;
    frame a, b;

    flipper_setup(&f, FRAME_ROUNDS);
    flipper_frame(&a, first);
    flipper_frame(&b, second);
    a.size = b.size = a.size > b.size ? a.size : b.size;
    flipper_publish(&f, &a, a.size);
    flipper_add_bytes(&f.flips, f.record + 8, a.bytes, b.bytes, a.size);
    receive_all(&f, &a, &b);
    printf("     one: %llu, the other: %llu, refused: %llu of %llu\n", (unsigned long long)f.met[0],
           (unsigned long long)f.met[1], (unsigned long long)f.refused,
           (unsigned long long)f.rounds);
    flipper_teardown(&f);
}

TEST_SECONDS(a_call_that_becomes_a_log_is_verified_as_it_was_copied, 60)
{
    receive_either(build_ints, build_log);
}

TEST_SECONDS(a_call_that_becomes_a_result_with_a_block_is_verified_as_it_was_copied, 60)
{
    receive_either(build_ints, build_rich);
}

/* Size and frame together, as after a write of another frame in the same place. */
TEST_SECONDS(a_frame_with_its_size_toggled_is_verified_as_it_was_copied, 60)
{
    fixture f;
    frame a, b;

    flipper_setup(&f, FRAME_ROUNDS);
    flipper_frame(&a, build_log);
    flipper_frame(&b, build_rich);
    CHECK(a.size < b.size);
    flipper_publish(&f, &a, b.size);
    flipper_add(&f.flips, f.record, a.size, b.size, 0);
    flipper_add_bytes(&f.flips, f.record + 8, a.bytes, b.bytes, b.size);
    receive_all(&f, &a, &b);
    flipper_teardown(&f);
}

/* -------------------------------------------------------------------------------------- blocks */

static uint64_t
returns(const fixture *f, int block)
{
    const uint8_t *header = f->block + block * BLOCK_BYTES;

    return atomic_load(&((const struct rbr_block_shared *)(const void *)header)->returned);
}

/* Two sound references: any mix of their words is one of them or refused, because the generations
 * differ; whatever is taken lies inside the segment, and is handed back once. */
TEST_SECONDS(a_reference_that_is_toggled_is_proved_as_it_was_copied, 60)
{
    const rbr_arena_ref refs[2] = {{64, 192, 5, BLOCK_SEGMENT, 0},
                                   {BLOCK_BYTES + 64, 64, 6, BLOCK_SEGMENT, 0}};
    const rbr_mapping *mapping;
    rbr_message *message;
    rbr_arena_ref taken;
    fixture f;
    frame a, b;
    uint32_t at;

    flipper_setup(&f, FRAME_ROUNDS);
    mapping = f.reader->blocks.peers[BLOCK_SEGMENT];
    flipper_frame(&a, build_rich);
    at = refs_at[0];
    b = a;
    memcpy(b.bytes + at, &refs[1], sizeof refs[1]);
    CHECK(memcmp(a.bytes + at, &refs[0], sizeof refs[0]) == 0);
    flipper_publish(&f, &a, a.size);
    flipper_add_bytes(&f.flips, f.record + 8, a.bytes, b.bytes, a.size);
    while (flipper_more(&f, 2))
        if (flipper_receive(&f, &message) == RBR_OK) {
            const uint8_t *data = rbr_block_data(message->refs[0].block);

            memcpy(&taken, message->bytes + at, sizeof taken);
            CHECK(data == mapping->base + taken.offset);
            CHECK(rbr_block_bytes(message->refs[0].block) == taken.length);
            CHECK(taken.offset == refs[taken.generation - 5].offset);
            flipper_check_copy(&f, message, &a, &b);
            rbr_message_free(message);
        }
    CHECK(returns(&f, 0) + returns(&f, 1) == f.rounds - f.refused);
    flipper_teardown(&f);
}

TEST_SECONDS(a_generation_that_is_toggled_is_read_once, 60)
{
    rbr_message *message;
    fixture f;
    frame a;

    flipper_setup(&f, FRAME_ROUNDS);
    flipper_frame(&a, build_rich);
    flipper_publish(&f, &a, a.size);
    flipper_add(&f.flips, f.block + offsetof(struct rbr_block_shared, generation), 5, 6, 0);
    while (flipper_more(&f, 2)) {
        const rbr_status status = flipper_receive(&f, &message);

        f.met[status != RBR_OK]++;
        if (status == RBR_OK)
            rbr_message_free(message);
    }
    CHECK(returns(&f, 0) == f.met[0]);
    flipper_teardown(&f);
}

static uint32_t blob_bytes;

static void
build_blob(rbr_builder *b)
{
    const rbr_arena_ref ref = {64, blob_bytes, 5, BLOCK_SEGMENT, 0};
    const uint32_t blob = rbr_build_table(b, put_frame(b, 0, RBR_BODY_BLOB), &rbr_shape_blob);

    rbr_build_set(b, blob, &rbr_shape_blob, RBR_BLOB__REF, &ref, sizeof ref);
    rbr_build_u8(b, blob, &rbr_shape_blob, RBR_BLOB__WHOLE_FRAME, 1);
}

/* The frame stands in a block, which goes back at once, also when its frame is refused. */
TEST_SECONDS(a_frame_in_a_block_is_verified_as_it_was_copied, 60)
{
    frame a, b, blob;
    fixture f;

    flipper_setup(&f, FRAME_ROUNDS);
    flipper_frame(&a, build_ints);
    flipper_frame(&b, build_log);
    a.size = b.size = blob_bytes = a.size > b.size ? a.size : b.size;
    flipper_frame(&blob, build_blob);
    memcpy(f.block + 64, a.bytes, a.size);
    flipper_publish(&f, &blob, blob.size);
    flipper_add_bytes(&f.flips, f.block + 64, a.bytes, b.bytes, a.size);
    receive_all(&f, &a, &b);
    CHECK(returns(&f, 0) == f.rounds);
    flipper_teardown(&f);
}
