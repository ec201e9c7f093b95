/* SPDX-License-Identifier: MIT */
/*
 * test_latest.c - the latest-value buffer by itself: what is taken and what is missed, and words that
 * a broken peer could write. Threads and processes: test_latest_readers.c.
 */
#include "check.h"
#include "latest_items.h"
#include "pin.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A block's payload begins 64 bytes behind a page. */
enum { READERS = 3, SLOTS = 2 + READERS, BLOCK_OFFSET = 64 };

typedef struct fixture {
    uint8_t *allocated, *memory;
    uint64_t bytes;
    rbr_latest_writer writer;
    rbr_latest_reader reader[READERS];
} fixture;

static void
setup(fixture *f)
{
    uint32_t i;

    f->bytes = rbr_latest_bytes(READERS, ITEM_ROOM);
    f->allocated = aligned_alloc(RBR_LINE, rbr_round_up(BLOCK_OFFSET + f->bytes, RBR_LINE));
    CHECK(f->allocated != NULL);
    f->memory = f->allocated + BLOCK_OFFSET;
    memset(f->memory, 0xAA, f->bytes);
    rbr_latest_writer_init(&f->writer, f->memory, READERS, ITEM_ROOM);
    for (i = 0; i < READERS; i++)
        CHECK(rbr_latest_reader_init(&f->reader[i], f->memory, f->bytes, i) == RBR_OK);
}

static void
teardown(fixture *f)
{
    free(f->allocated);
}

static void
publish(fixture *f, uint64_t first, uint64_t last)
{
    uint64_t sequence;

    for (sequence = first; sequence <= last; sequence++)
        item_publish(&f->writer, sequence);
}

/* ------------------------------------------------------------------------------- what is taken */

TEST(nothing_is_there_before_the_first_item_is_published)
{
    fixture f;
    item it;

    setup(&f);
    CHECK(item_take(&f.reader[0], &it) == RBR_AGAIN);
    item_fill(rbr_latest_claim(&f.writer), 1);
    CHECK(!rbr_latest_has_newer(&f.reader[0]) && item_take(&f.reader[0], &it) == RBR_AGAIN);
    CHECK(rbr_latest_publish(&f.writer, item_bytes(1)) == RBR_OK);
    CHECK(rbr_latest_has_newer(&f.reader[0]) && item_take(&f.reader[0], &it) == RBR_OK);
    teardown(&f);
}

TEST(each_reader_takes_an_item_once_and_whole)
{
    fixture f;
    item it;
    int i;

    setup(&f);
    publish(&f, 1, 1);
    for (i = 0; i < READERS; i++) {
        CHECK(item_take(&f.reader[i], &it) == RBR_OK && it.sequence == 1 && item_is_whole(&it));
        CHECK((uintptr_t)it.payload % 64 == 0);
        CHECK(!rbr_latest_has_newer(&f.reader[i]) && item_take(&f.reader[i], &it) == RBR_AGAIN);
    }
    teardown(&f);
}

TEST(the_newest_item_wins_and_its_sequence_tells_how_many_were_missed)
{
    fixture f;
    item it;

    setup(&f);
    publish(&f, 1, 2);
    CHECK(item_take(&f.reader[0], &it) == RBR_OK && it.sequence == 2);
    publish(&f, 3, 1000);
    CHECK(item_take(&f.reader[0], &it) == RBR_OK && it.sequence == 1000 && item_is_whole(&it));
    CHECK(item_take(&f.reader[1], &it) == RBR_OK && it.sequence == 1000);
    teardown(&f);
}

TEST(what_a_reader_has_taken_stays_while_the_writer_goes_on)
{
    fixture f;
    item it[READERS];
    int i;

    setup(&f);
    for (i = 0; i < READERS; i++) { /* as many slots as can be pinned */
        publish(&f, 10 * (uint64_t)i + 1, 10 * (uint64_t)i + 10);
        CHECK(item_take(&f.reader[i], &it[i]) == RBR_OK);
    }
    publish(&f, 31, 1000);
    for (i = 0; i < READERS; i++)
        CHECK(it[i].sequence == 10 * (uint64_t)i + 10 && item_is_whole(&it[i]));
    teardown(&f);
}

TEST(two_slots_do_when_each_item_is_released_in_time)
{
    uint64_t i;
    fixture f;
    item it;

    setup(&f);
    publish(&f, 1, 1);
    CHECK(item_take(&f.reader[0], &it) == RBR_OK); /* is given back by taking the next */
    for (i = 0; i < 100; i++) {
        publish(&f, i + 2, i + 2);
        CHECK(item_take(&f.reader[0], &it) == RBR_OK && item_is_whole(&it));
        rbr_latest_release(&f.reader[0]);
        rbr_latest_release(&f.reader[0]); /* changes nothing */
        CHECK(!rbr_latest_has_newer(&f.reader[0]));
        CHECK(item_take(&f.reader[0], &it) == RBR_AGAIN);
        CHECK(i < 4 || (const uint8_t *)it.payload < f.writer.slots + 2 * f.writer.stride);
    }
    teardown(&f);
}

TEST(a_release_that_comes_after_the_next_offer_takes_nothing_away)
{
    fixture f;
    item it;

    setup(&f);
    rbr_latest_release(&f.reader[0]);
    publish(&f, 1, 1);
    CHECK(item_take(&f.reader[0], &it) == RBR_OK);
    publish(&f, 2, 1000);
    rbr_latest_release(&f.reader[0]);
    CHECK(item_take(&f.reader[0], &it) == RBR_OK && it.sequence == 1000);
    publish(&f, 1001, 2000);
    CHECK(it.sequence == 1000 && item_is_whole(&it));
    teardown(&f);
}

TEST(a_claim_that_was_not_published_is_given_up)
{
    fixture f;
    item it;

    setup(&f);
    publish(&f, 1, 1);
    item_fill(rbr_latest_claim(&f.writer), 77);
    publish(&f, 2, 2);
    CHECK(item_take(&f.reader[0], &it) == RBR_OK && it.sequence == 2 && item_is_whole(&it));
    teardown(&f);
}

TEST(an_item_that_is_too_large_is_refused_and_the_last_one_stays)
{
    fixture f;
    item it;

    setup(&f);
    publish(&f, 1, 1);
    memset(rbr_latest_claim(&f.writer), 1, ITEM_ROOM);
    CHECK(rbr_latest_publish(&f.writer, ITEM_ROOM + 1) == RBR_TOO_BIG);
    CHECK(rbr_latest_publish(&f.writer, UINT64_MAX) == RBR_TOO_BIG);
    CHECK(item_take(&f.reader[0], &it) == RBR_OK && it.sequence == 1 && item_is_whole(&it));
    CHECK(rbr_latest_publish(&f.writer, ITEM_ROOM) == RBR_OK); /* the claim is still there */
    CHECK(item_take(&f.reader[0], &it) == RBR_OK && it.sequence == 2 && it.bytes == ITEM_ROOM);
    teardown(&f);
}

TEST(the_most_readers_there_can_be_all_hold_items_of_their_own)
{
    enum { MOST = RBR_LATEST_READERS_MAX };
    static rbr_latest_reader reader[MOST];
    static item it[MOST];
    const uint64_t bytes = rbr_latest_bytes(MOST, ITEM_ROOM);
    void *memory = malloc(bytes);
    rbr_latest_writer writer;
    uint32_t i;

    CHECK(memory != NULL);
    rbr_latest_writer_init(&writer, memory, MOST, ITEM_ROOM);
    for (i = 0; i < MOST; i++) {
        CHECK(rbr_latest_reader_init(&reader[i], memory, bytes, i) == RBR_OK);
        item_publish(&writer, i + 1);
        CHECK(item_take(&reader[i], &it[i]) == RBR_OK);
    }
    for (; i < 3 * MOST; i++)
        item_publish(&writer, i + 1);
    for (i = 0; i < MOST; i++)
        CHECK(it[i].sequence == i + 1 && item_is_whole(&it[i]));
    free(memory);
}

TEST(a_new_reader_gets_the_newest_item_though_its_predecessor_took_it)
{
    fixture f;
    item it;

    setup(&f);
    publish(&f, 1, 5);
    CHECK(item_take(&f.reader[1], &it) == RBR_OK);
    rbr_latest_drop_reader(&f.writer, 1);
    CHECK(f.writer.held[1] == 0);
    CHECK(rbr_latest_reader_init(&f.reader[1], f.memory, f.bytes, 1) == RBR_OK);
    CHECK(item_take(&f.reader[1], &it) == RBR_OK && it.sequence == 5 && item_is_whole(&it));
    publish(&f, 6, 1000);
    CHECK(it.sequence == 5 && item_is_whole(&it));
    teardown(&f);
}

TEST(a_reader_that_was_parted_with_does_not_get_an_item_twice)
{
    fixture f;
    item it;

    setup(&f);
    publish(&f, 1, 5);
    CHECK(item_take(&f.reader[1], &it) == RBR_OK && it.sequence == 5);
    rbr_latest_part_reader(&f.writer, 1);
    CHECK(f.writer.held[1] == 0);
    CHECK(item_take(&f.reader[1], &it) == RBR_AGAIN);
    CHECK(rbr_latest_wait(&f.reader[1]));
    rbr_latest_part_reader(&f.writer, 1);
    CHECK(item_take(&f.reader[1], &it) == RBR_AGAIN);
    rbr_latest_part_reader(&f.writer, 0); /* which has not taken it yet */
    CHECK(item_take(&f.reader[0], &it) == RBR_OK && it.sequence == 5 && item_is_whole(&it));
    publish(&f, 6, 6);
    CHECK(f.writer.held[1] == 0);
    rbr_latest_drop_reader(&f.writer, 1);
    CHECK(rbr_latest_reader_init(&f.reader[1], f.memory, f.bytes, 1) == RBR_OK);
    CHECK(item_take(&f.reader[1], &it) == RBR_OK && it.sequence == 6);
    teardown(&f);
}

TEST(a_reader_may_be_dropped_between_a_claim_and_its_publish)
{
    fixture f;
    void *room;
    item it;

    setup(&f);
    publish(&f, 1, 1);
    CHECK(item_take(&f.reader[0], &it) == RBR_OK);
    publish(&f, 2, 2);
    room = rbr_latest_claim(&f.writer);
    rbr_latest_drop_reader(&f.writer, 0);
    CHECK(rbr_latest_reader_init(&f.reader[0], f.memory, f.bytes, 0) == RBR_OK);
    CHECK(item_take(&f.reader[0], &it) == RBR_OK && it.sequence == 2 && it.payload != room);
    item_fill(room, 3);
    CHECK(item_is_whole(&it));
    CHECK(rbr_latest_publish(&f.writer, item_bytes(3)) == RBR_OK);
    publish(&f, 4, 1000);
    CHECK(it.sequence == 2 && item_is_whole(&it));
    teardown(&f);
}

TEST(any_order_of_publish_take_release_and_drop_keeps_every_item_in_hand_whole)
{
    const unsigned first_seed = (unsigned)getpid();
    uint64_t sequence = 0, seen[READERS] = {0};
    item held[READERS] = {{0}};
    unsigned seed = first_seed;
    int step, i;
    fixture f;

    printf("seed %u\n", first_seed);
    setup(&f);
    for (step = 0; step < 200000; step++) {
        const uint32_t who = (uint32_t)rand_r(&seed) % READERS;
        const int what = rand_r(&seed) % 16;

        if (what < 6) {
            sequence++;
            publish(&f, sequence, sequence);
        } else if (what < 12) {
            const bool newer = seen[who] < sequence;

            CHECK(item_take(&f.reader[who], &held[who]) == (newer ? RBR_OK : RBR_AGAIN));
            CHECK(!newer || held[who].sequence == sequence);
            seen[who] = sequence;
        } else if (what < 15) {
            rbr_latest_release(&f.reader[who]);
            held[who] = (item){0};
        } else {
            rbr_latest_drop_reader(&f.writer, who);
            CHECK(rbr_latest_reader_init(&f.reader[who], f.memory, f.bytes, who) == RBR_OK);
            held[who] = (item){0};
            seen[who] = 0;
        }
        for (i = 0; i < READERS; i++)
            CHECK(item_is_whole(&held[i]));
    }
    teardown(&f);
}

/* ------------------------------------------------------------------------------- hostile words */

static struct rbr_latest_shared *
header_of(const fixture *f)
{
    return (struct rbr_latest_shared *)(void *)f->writer.offers - 1;
}

static rbr_status
join(const fixture *f, uint64_t bytes, uint32_t number)
{
    rbr_latest_reader reader;

    return rbr_latest_reader_init(&reader, f->memory, bytes, number);
}

TEST(a_header_that_cannot_be_is_broken)
{
    static const uint32_t readers[] = {0, RBR_LATEST_READERS_MAX + 1, READERS + 1, UINT32_MAX};
    static const uint64_t rooms[] = {ITEM_ROOM + RBR_LINE, (UINT64_C(1) << 48) - 1,
                                     UINT64_C(1) << 48, UINT64_MAX - 63, UINT64_MAX};
    size_t i;
    fixture f;

    setup(&f);
    CHECK(join(&f, f.bytes, 0) == RBR_OK);
    CHECK(join(&f, f.bytes, READERS) == RBR_BROKEN && join(&f, f.bytes, UINT32_MAX) == RBR_BROKEN);
    CHECK(join(&f, f.bytes - 1, 0) == RBR_BROKEN && join(&f, 0, 0) == RBR_BROKEN);
    for (i = 0; i < sizeof readers / sizeof readers[0]; i++) {
        atomic_store(&header_of(&f)->readers, readers[i]);
        CHECK(join(&f, f.bytes, 0) == RBR_BROKEN);
    }
    atomic_store(&header_of(&f)->readers, READERS);
    for (i = 0; i < sizeof rooms / sizeof rooms[0]; i++) {
        atomic_store(&header_of(&f)->room, rooms[i]);
        CHECK(join(&f, f.bytes, 0) == RBR_BROKEN);
    }
    atomic_store(&header_of(&f)->room, ITEM_ROOM);
    header_of(&f)->magic++;
    CHECK(join(&f, f.bytes, 0) == RBR_BROKEN);
    teardown(&f);
}

static bool
is_inside(const fixture *f, const void *payload, uint64_t bytes)
{
    const uint8_t *first = payload;

    return first >= f->memory && first + bytes <= f->memory + f->bytes;
}

static uint64_t
random_word(unsigned *seed)
{
    const uint64_t word = (uint64_t)rand_r(seed) << 33 | (uint64_t)rand_r(seed) << 2;

    return word >> rand_r(seed) % 64;
}

TEST(any_offer_and_any_size_are_inside_the_memory_or_broken)
{
    const unsigned first_seed = (unsigned)getpid();
    uint64_t tries, taken = 0, broken = 0;
    unsigned seed = first_seed;
    fixture f;

    printf("seed %u\n", first_seed);
    setup(&f);
    for (tries = 0; tries < 500000; tries++) {
        const uint64_t slot = tries % SLOTS, word = random_word(&seed);
        uint8_t *const size = f.writer.slots + slot * f.writer.stride;
        rbr_latest_reader *reader = &f.reader[0];
        rbr_status status;
        item it;

        atomic_store((_Atomic uint64_t *)(void *)size, random_word(&seed));
        atomic_store(&f.writer.offers[0].offer, word);
        reader->sequence >>= tries % 64;
        status = item_take(reader, &it);
        if (status == RBR_OK)
            CHECK(is_inside(&f, it.payload, it.bytes) && it.sequence == reader->sequence);
        else
            CHECK(status == (word <= RBR_LATEST_WAITING ? RBR_AGAIN : RBR_BROKEN));
        taken += status == RBR_OK;
        broken += status == RBR_BROKEN;
    }
    CHECK(taken > 1000 && broken > 1000);
    teardown(&f);
}

TEST(an_item_that_is_not_newer_than_the_last_is_broken)
{
    fixture f;
    item it;

    setup(&f);
    publish(&f, 1, 7);
    CHECK(item_take(&f.reader[0], &it) == RBR_OK);
    atomic_store(&f.writer.offers[0].offer, f.writer.newest); /* once more */
    CHECK(item_take(&f.reader[0], &it) == RBR_BROKEN);
    atomic_store(&f.writer.offers[0].offer, f.writer.newest - (1 << RBR_LATEST_SLOT_BITS));
    CHECK(item_take(&f.reader[0], &it) == RBR_BROKEN);
    publish(&f, 8, 8);
    CHECK(item_take(&f.reader[0], &it) == RBR_OK && it.sequence == 8 && item_is_whole(&it));
    teardown(&f);
}

/* Two readers write whatever they like: the writer always has room, and the third sees nothing. */
TEST(whatever_readers_write_the_writer_goes_on_and_others_are_served)
{
    const unsigned first_seed = (unsigned)getpid();
    unsigned seed = first_seed;
    item held = {0};
    uint64_t sequence;
    fixture f;

    printf("seed %u\n", first_seed);
    setup(&f);
    for (sequence = 1; sequence <= 200000; sequence++) {
        const uint64_t words[] = {0, f.writer.newest, random_word(&seed), sequence % 4};
        const void *room;

        atomic_store(&f.writer.offers[0].offer, words[(unsigned)rand_r(&seed) % 4]);
        atomic_store(&f.writer.offers[1].offer, words[(unsigned)rand_r(&seed) % 4]);
        room = rbr_latest_claim(&f.writer);
        CHECK(is_inside(&f, room, ITEM_ROOM) && room != held.payload);
        publish(&f, sequence, sequence);
        CHECK(item_is_whole(&held));
        if (rand_r(&seed) % 4 == 0)
            CHECK(item_take(&f.reader[2], &held) == RBR_OK && held.sequence == sequence);
    }
    teardown(&f);
}

typedef struct toggler {
    _Atomic uint64_t *word;
    _Atomic bool stop;
} toggler;

static void *
toggle(void *argument)
{
    toggler *t = argument;

    pin_to(1);
    while (!atomic_load_explicit(&t->stop, memory_order_relaxed)) {
        atomic_store_explicit(t->word, ITEM_ROOM, memory_order_relaxed);
        atomic_store_explicit(t->word, UINT64_MAX, memory_order_relaxed);
    }
    return NULL;
}

TEST_SECONDS(a_size_is_read_once, 60)
{
    enum { TRIES = 3000000, OF_EACH = 1000 };
    uint64_t tries, taken = 0, broken = 0;
    toggler t = {.stop = false};
    pthread_t thread;
    fixture f;
    item it;

    if (pin_processors() < 2)
        SKIP("one processor: nothing changes between two reads");
    setup(&f);
    t.word = (_Atomic uint64_t *)(void *)f.writer.slots; /* of the slot that is claimed first */
    publish(&f, 1, 1);
    CHECK(pthread_create(&thread, NULL, toggle, &t) == 0);
    pin_to(0);
    for (tries = 0; tries < TRIES || taken < OF_EACH || broken < OF_EACH; tries++) {
        rbr_status status;

        atomic_store(&f.writer.offers[0].offer, f.writer.newest);
        f.reader[0].sequence = 0;
        status = item_take(&f.reader[0], &it);
        CHECK(status == RBR_OK ? it.bytes <= ITEM_ROOM : status == RBR_BROKEN);
        taken += status == RBR_OK;
        broken += status == RBR_BROKEN;
    }
    atomic_store(&t.stop, true);
    pthread_join(thread, NULL);
    teardown(&f);
}
