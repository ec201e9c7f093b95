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
#include "bare_channel.h"
#include "check.h"
#include "flatbuf_frames.h"
#include "os.h"
#include "soak.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORD_ROUNDS = 3000000, FRAME_ROUNDS = 300000 };
enum { RING = 65536, FRAME_MAX = 2048, WORDS = FRAME_MAX / 8, VALUES = 3 };
enum { BLOCK_SEGMENT = 1, BLOCK_BYTES = 4096, SEGMENT_BYTES = 4 * BLOCK_BYTES };

/* A position that no ring of ours has. */
static const uint64_t nonsense = UINT64_C(1) << 40;

/* ------------------------------------------------------------------------------------ the flipper */

typedef struct toggled {
    _Atomic uint64_t *at;
    uint64_t values[VALUES];
} toggled;

typedef struct flipper {
    toggled words[WORDS];
    size_t count;
    int values; /* how many of each word's */
    _Atomic bool stop;
    pthread_t thread;
} flipper;

static void
pause_for_a_moment(uint64_t *random)
{
    int turns;

    for (turns = (int)(soak_random(random) % 16); turns > 0; turns--)
        rbr_os_relax();
}

/* Rests between two words as often as between two values: what is torn stays for a moment. */
static void *
flip(void *argument)
{
    flipper *f = argument;
    uint64_t random = 1;
    size_t i, rest;
    int value;

    while (!atomic_load_explicit(&f->stop, memory_order_relaxed))
        for (value = 0; value < f->values; value++) {
            rest = soak_random(&random) % f->count;
            for (i = 0; i < f->count; i++) {
                atomic_store_explicit(f->words[i].at, f->words[i].values[value],
                                      memory_order_relaxed);
                if (i == rest)
                    pause_for_a_moment(&random);
            }
            pause_for_a_moment(&random);
        }
    return NULL;
}

static void
flipper_start(flipper *f)
{
    CHECK(pthread_create(&f->thread, NULL, flip, f) == 0);
}

static void
flipper_stop(flipper *f)
{
    atomic_store(&f->stop, true);
    pthread_join(f->thread, NULL);
}

static void
flipper_add(flipper *f, void *at, uint64_t a, uint64_t b, uint64_t c)
{
    CHECK((uintptr_t)at % 8 == 0 && f->count < WORDS);
    f->words[f->count++] = (toggled){at, {a, b, c}};
}

/* All words in which `a` and `b` differ. */
static void
flipper_add_bytes(flipper *f, uint8_t *at, const uint8_t *a, const uint8_t *b, size_t bytes)
{
    uint64_t left, right;
    size_t i;

    for (i = 0; i < bytes; i += 8) {
        memcpy(&left, a + i, 8);
        memcpy(&right, b + i, 8);
        if (left != right)
            flipper_add(f, at + i, left, right, 0);
    }
}

/* ------------------------------------------------------------------------------------ the reader */

typedef struct fixture {
    rbr_segment segment;
    rbr_channel *reader, *peer;
    struct rbr_ring_shared *ring; /* that the peer writes */
    uint8_t *record;              /* its first */
    uint8_t *block;               /* the first of two in the peer's arena: generations 5 and 6 */
    flipper flipper;
    uint64_t usual, rounds, refused;
    uint64_t met[VALUES];
} fixture;

static void
setup(fixture *f, uint64_t rounds)
{
    int fd, i;

    memset(f, 0, sizeof *f);
    f->usual = rounds;
    CHECK(rbr_segment_create(&f->segment, &fd, RING, 1, RBR_MEMORY_MEMFD, NULL) == RBR_OK);
    close(fd);
    f->reader = bare_channel_new(RBR_ROLE_HOST, &f->segment, RBR_MIB);
    f->peer = bare_channel_new(RBR_ROLE_WORKER, &f->segment, RBR_MIB);
    f->ring = &f->segment.shared->ring[RBR_ROLE_WORKER];
    f->record = f->segment.data[RBR_ROLE_WORKER];
    bare_channel_grow(f->peer, f->reader, BLOCK_SEGMENT, SEGMENT_BYTES);
    f->block = f->peer->blocks.ours[BLOCK_SEGMENT]->base;
    for (i = 0; i < 2; i++)
        atomic_store(&((struct rbr_block_shared *)(void *)(f->block + i * BLOCK_BYTES))->generation,
                     5 + (uint32_t)i);
    f->flipper.values = 2;
}

static void
teardown(fixture *f)
{
    CHECK(atomic_load(&f->reader->blocks.peer_blocks) == 0);
    bare_channel_free(f->reader);
    bare_channel_free(f->peer);
    rbr_segment_detach(&f->segment);
}

/* A frame in a buffer of its own, which is as long as all others and ends in zeroes. */
typedef struct frame {
    alignas(8) uint8_t bytes[FRAME_MAX];
    uint32_t size;
} frame;

static void
make(frame *out, build_fn *fill)
{
    memset(out, 0, sizeof *out);
    out->size = (uint32_t)rbr_round_up(build(fill), 8);
    CHECK(out->size <= FRAME_MAX);
    memcpy(out->bytes, room, out->size);
    CHECK(verify(out->bytes, out->size) == RBR_OK);
}

static uint64_t
record_header(uint32_t bytes)
{
    return bytes;
}

static void
publish(fixture *f, const frame *shown, uint32_t size)
{
    const uint64_t header = record_header(size);

    memcpy(f->record, &header, sizeof header);
    memcpy(f->record + 8, shown->bytes, FRAME_MAX);
    atomic_store(&f->ring->tail, 8 + rbr_round_up(size, 8));
}

/* The record at the beginning once more. */
static rbr_status
take(fixture *f, const void **record, uint32_t *size)
{
    rbr_consumer *consumer = &f->reader->exchange.consumer;

    rbr_consumer_init(consumer, f->ring, f->record, RING, 0);
    return rbr_consumer_next(consumer, record, size);
}

static rbr_status
receive(fixture *f, rbr_message **message)
{
    rbr_error error = {.status = RBR_OK};
    const void *record;
    uint32_t size;
    rbr_status status;

    CHECK(take(f, &record, &size) == RBR_OK);
    status = rbr_message_read(message, f->reader, record, size, &error);
    CHECK(status == RBR_OK || (status == RBR_BROKEN && error.text[0] != '\0'));
    f->refused += status != RBR_OK;
    return status;
}

/* Whether to go round again: the rounds are over when each of the first `values` values was met. */
static bool
more(fixture *f, int values)
{
    bool all = true;
    int i;

    for (i = 0; i < values; i++)
        all &= f->met[i] > 0;
    if (f->rounds == 0)
        flipper_start(&f->flipper);
    if (f->rounds < soak_rounds(f->usual) || !all) {
        if (++f->rounds % 1024 == 0)
            rbr_os_yield();
        return true;
    }
    flipper_stop(&f->flipper);
    soak_count("double fetch rounds", f->rounds);
    return false;
}

static bool
is_whole(const rbr_message *message, const frame *one)
{
    return message->size == one->size && memcmp(message->bytes, one->bytes, one->size) == 0;
}

static bool
is_word_of(const uint8_t *word, size_t at, const frame *one)
{
    return memcmp(word, one->bytes + at, 8) == 0;
}

/* A message whose frame stood in memory that was `a` or `b`, word by word: it is verified, and what
 * it says of itself stands in its own copy. Counts whole ones. */
static void
check_copy(fixture *f, const rbr_message *message, const frame *a, const frame *b)
{
    uint32_t i;

    CHECK(message->size == a->size || message->size == b->size);
    for (i = 0; i < message->size; i += 8)
        CHECK(is_word_of(message->bytes + i, i, a) || is_word_of(message->bytes + i, i, b));
    CHECK(verify(message->bytes, message->size) == RBR_OK);
    CHECK(message->id == rbr_get_u64(root, RBR_FRAME__ID, 0));
    CHECK(message->body_type == rbr_get_u8(root, RBR_FRAME__BODY_TYPE, 0));
    CHECK(message->body.at == rbr_get_table(root, RBR_FRAME__BODY).at);
    CHECK(message->ref_count <= verdict.refs);
    walk(root);
    f->met[0] += is_whole(message, a);
    f->met[1] += is_whole(message, b);
}

/* -------------------------------------------------------------------------------------- one word */

TEST_SECONDS(a_records_size_is_read_once, 60)
{
    const uint32_t small = 64, huge = UINT32_MAX - 15;
    const frame nothing = {.size = 0};
    const void *record;
    uint32_t size;
    fixture f;

    setup(&f, WORD_ROUNDS);
    publish(&f, &nothing, FRAME_MAX);
    f.flipper.values = 3;
    flipper_add(&f.flipper, f.record, record_header(small), record_header(FRAME_MAX),
                record_header(huge));
    while (more(&f, 3)) {
        const rbr_status status = take(&f, &record, &size);

        f.met[status != RBR_OK ? 2 : size == small ? 0 : 1]++;
        CHECK(status == RBR_OK || status == RBR_BROKEN);
        if (status == RBR_OK) {
            CHECK(size == small || size == FRAME_MAX);
            CHECK(f.reader->exchange.consumer.head == 8 + size);
        }
    }
    teardown(&f);
}

TEST_SECONDS(a_tail_is_read_once, 60)
{
    const frame nothing = {.size = 0};
    const void *record;
    uint32_t size;
    fixture f;

    setup(&f, WORD_ROUNDS);
    publish(&f, &nothing, 64);
    f.flipper.values = 3;
    flipper_add(&f.flipper, &f.ring->tail, 0, 72, nonsense);
    while (more(&f, 3)) {
        const rbr_status status = take(&f, &record, &size);

        f.met[status == RBR_AGAIN ? 0 : status == RBR_OK ? 1 : 2]++;
        CHECK(status == RBR_AGAIN || status == RBR_OK || status == RBR_BROKEN);
        CHECK(f.reader->exchange.consumer.tail_seen == (status == RBR_OK ? 72 : 0));
    }
    teardown(&f);
}

TEST_SECONDS(a_head_is_read_once, 60)
{
    fixture f;
    void *record;

    setup(&f, WORD_ROUNDS);
    f.flipper.values = 3;
    flipper_add(&f.flipper, &f.ring->head, 0, 72, nonsense);
    while (more(&f, 3)) {
        rbr_producer *producer = &f.peer->exchange.producer;
        rbr_status status;

        rbr_producer_init(producer, f.ring, f.record, RING, 0);
        producer->tail = RING; /* full */
        status = rbr_producer_claim(producer, &record, 64);
        f.met[status == RBR_AGAIN ? 0 : status == RBR_OK ? 1 : 2]++;
        CHECK(status == RBR_AGAIN || status == RBR_OK || status == RBR_BROKEN);
        CHECK(producer->head_seen == (status == RBR_OK ? 72 : 0));
    }
    teardown(&f);
}

/* Words of 8 bytes on their borders are not torn by a copy. */
TEST_SECONDS(a_frame_with_one_word_toggled_is_one_or_the_other, 60)
{
    rbr_message *message;
    fixture f;
    frame a, b;
    const uint64_t other = 8;

    setup(&f, FRAME_ROUNDS);
    make(&a, build_ints);
    b = a;
    memcpy(b.bytes + (rbr_field(root, RBR_FRAME__ID) - a.bytes), &other, sizeof other);
    publish(&f, &a, a.size);
    flipper_add_bytes(&f.flipper, f.record + 8, a.bytes, b.bytes, a.size);
    CHECK(f.flipper.count == 1);
    while (more(&f, 2)) {
        CHECK(receive(&f, &message) == RBR_OK);
        CHECK(message->id == 7 || message->id == 8);
        check_copy(&f, message, &a, &b);
        rbr_message_free(message);
    }
    CHECK(f.met[0] + f.met[1] == f.rounds);
    teardown(&f);
}

/* Our own block, whose header the peer can write. */
TEST_SECONDS(the_count_of_returns_is_read_once, 60)
{
    rbr_arena *arena;
    rbr_extent *block;
    fixture f;

    setup(&f, WORD_ROUNDS);
    arena = &f.peer->blocks.arena;
    CHECK(rbr_arena_take(arena, 100, &block) == RBR_OK);
    flipper_add(&f.flipper, &rbr_extent_header(block)->returned, 1, 2, 0);
    while (more(&f, 2)) { /* never more than were sent: never broken */
        block->sent = 2;
        CHECK((block->held ? rbr_arena_drop(arena, block) : rbr_arena_collect(arena, 1)) == RBR_OK);
        CHECK(arena->used_blocks == !block->is_free);
        f.met[block->is_free]++;
        if (block->is_free)
            CHECK(rbr_arena_take(arena, 100, &block) == RBR_OK);
    }
    teardown(&f);
}

TEST_SECONDS(wake_words_that_are_toggled_keep_nobody_past_a_deadline, 60)
{
    struct rbr_wake_shared *mine;
    uint64_t here;
    fixture f;

    setup(&f, FRAME_ROUNDS);
    mine = &f.segment.shared->wake[RBR_ROLE_HOST];
    f.flipper.values = 3;
    here = (uint64_t)atomic_load(&f.peer->wake.mine->cpu) << 32;
    flipper_add(&f.flipper, mine, here, UINT64_MAX, here + 1); /* cpu, and waiting below it */
    flipper_add(&f.flipper, &mine->hint, 0, UINT64_MAX, 1);
    while (more(&f, 2)) {
        const uint64_t deadline = rbr_now_ns() + 20000;
        rbr_status status;

        rbr_wake_announce(&f.reader->wake, RBR_WAKE_DATA);
        rbr_wake_peer(&f.peer->wake, RBR_WAKE_DATA);
        status = f.rounds % 256 == 0 ? rbr_wake_sleep(&f.reader->wake, deadline) : RBR_OK;
        CHECK(status == RBR_OK || status == RBR_TIMED_OUT || status == RBR_INTERRUPTED);
        f.met[rbr_wake_may_spin(&f.peer->wake)]++;
    }
    teardown(&f);
}

/* ------------------------------------------------------------------------------------ many words */

static void
receive_either(build_fn *first, build_fn *second)
{
    rbr_message *message;
    fixture f;
    frame a, b;

    setup(&f, FRAME_ROUNDS);
    make(&a, first);
    make(&b, second);
    a.size = b.size = a.size > b.size ? a.size : b.size;
    publish(&f, &a, a.size);
    flipper_add_bytes(&f.flipper, f.record + 8, a.bytes, b.bytes, a.size);
    while (more(&f, 2))
        if (receive(&f, &message) == RBR_OK) {
            check_copy(&f, message, &a, &b);
            rbr_message_free(message);
        }
    printf("     one: %llu, the other: %llu, refused: %llu of %llu\n", (unsigned long long)f.met[0],
           (unsigned long long)f.met[1], (unsigned long long)f.refused,
           (unsigned long long)f.rounds);
    teardown(&f);
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
    rbr_message *message;
    fixture f;
    frame a, b;

    setup(&f, FRAME_ROUNDS);
    make(&a, build_log);
    make(&b, build_rich);
    CHECK(a.size < b.size);
    publish(&f, &a, b.size);
    flipper_add(&f.flipper, f.record, record_header(a.size), record_header(b.size), 0);
    flipper_add_bytes(&f.flipper, f.record + 8, a.bytes, b.bytes, b.size);
    while (more(&f, 2))
        if (receive(&f, &message) == RBR_OK) {
            check_copy(&f, message, &a, &b);
            rbr_message_free(message);
        }
    teardown(&f);
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

    setup(&f, FRAME_ROUNDS);
    mapping = f.reader->blocks.peers[BLOCK_SEGMENT];
    make(&a, build_rich);
    at = refs_at[0];
    b = a;
    memcpy(b.bytes + at, &refs[1], sizeof refs[1]);
    CHECK(memcmp(a.bytes + at, &refs[0], sizeof refs[0]) == 0);
    publish(&f, &a, a.size);
    flipper_add_bytes(&f.flipper, f.record + 8, a.bytes, b.bytes, a.size);
    while (more(&f, 2))
        if (receive(&f, &message) == RBR_OK) {
            const uint8_t *data = rbr_block_data(message->refs[0].block);

            memcpy(&taken, message->bytes + at, sizeof taken);
            CHECK(data == mapping->base + taken.offset);
            CHECK(rbr_block_bytes(message->refs[0].block) == taken.length);
            CHECK(taken.offset == refs[taken.generation - 5].offset);
            check_copy(&f, message, &a, &b);
            rbr_message_free(message);
        }
    CHECK(returns(&f, 0) + returns(&f, 1) == f.rounds - f.refused);
    teardown(&f);
}

TEST_SECONDS(a_generation_that_is_toggled_is_read_once, 60)
{
    rbr_message *message;
    fixture f;
    frame a;

    setup(&f, FRAME_ROUNDS);
    make(&a, build_rich);
    publish(&f, &a, a.size);
    flipper_add(&f.flipper, f.block + offsetof(struct rbr_block_shared, generation), 5, 6, 0);
    while (more(&f, 2)) {
        const rbr_status status = receive(&f, &message);

        f.met[status != RBR_OK]++;
        if (status == RBR_OK)
            rbr_message_free(message);
    }
    CHECK(returns(&f, 0) == f.met[0]);
    teardown(&f);
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
    rbr_message *message;
    frame a, b, blob;
    fixture f;

    setup(&f, FRAME_ROUNDS);
    make(&a, build_ints);
    make(&b, build_log);
    a.size = b.size = blob_bytes = a.size > b.size ? a.size : b.size;
    make(&blob, build_blob);
    memcpy(f.block + 64, a.bytes, a.size);
    publish(&f, &blob, blob.size);
    flipper_add_bytes(&f.flipper, f.block + 64, a.bytes, b.bytes, a.size);
    while (more(&f, 2))
        if (receive(&f, &message) == RBR_OK) {
            check_copy(&f, message, &a, &b);
            rbr_message_free(message);
        }
    CHECK(returns(&f, 0) == f.rounds);
    teardown(&f);
}
