/* SPDX-License-Identifier: MIT */
/* test_ring.c - the ring by itself: its borders, hostile headers, two threads. */
#include "check.h"
#include "os.h"
#include "ring.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CAPACITY = 65536 };

typedef struct fixture {
    struct rbr_ring_shared *shared;
    uint8_t *data;
    rbr_producer producer;
    rbr_consumer consumer;
} fixture;

static void
setup(fixture *f, uint64_t start)
{
    void *base;
    bool sealed;
    int fd;

    CHECK(rbr_os_shared_create(&fd, &sealed, CAPACITY, RBR_MEMORY_MEMFD, NULL) == RBR_OK);
    CHECK(rbr_os_map_twice(&base, fd, 0, CAPACITY, NULL) == RBR_OK);
    close(fd);
    f->data = base;
    f->shared = aligned_alloc(RBR_LINE, sizeof *f->shared);
    CHECK(f->shared != NULL);
    atomic_init(&f->shared->tail, start);
    atomic_init(&f->shared->head, start);
    rbr_producer_init(&f->producer, f->shared, f->data, CAPACITY, start);
    rbr_consumer_init(&f->consumer, f->shared, f->data, CAPACITY, start);
}

static void
teardown(fixture *f)
{
    rbr_os_unmap(f->data, 2 * CAPACITY);
    free(f->shared);
}

static rbr_status
put(fixture *f, const void *bytes, uint32_t size)
{
    void *record;
    const rbr_status status = rbr_producer_claim(&f->producer, &record, size);

    if (status != RBR_OK)
        return status;
    memcpy(record, bytes, size);
    rbr_producer_commit(&f->producer);
    return RBR_OK;
}

TEST(an_empty_ring_has_nothing)
{
    fixture f;
    const void *record;
    uint32_t size;

    setup(&f, 0);
    CHECK(rbr_consumer_next(&f.consumer, &record, &size) == RBR_AGAIN);
    teardown(&f);
}

TEST(a_claimed_record_is_not_seen_before_its_commit)
{
    fixture f;
    const void *record;
    void *slot;
    uint32_t size;

    setup(&f, 0);
    CHECK(rbr_producer_claim(&f.producer, &slot, 5) == RBR_OK);
    memcpy(slot, "hello", 5);
    CHECK(rbr_consumer_next(&f.consumer, &record, &size) == RBR_AGAIN);
    rbr_producer_commit(&f.producer);
    CHECK(rbr_consumer_next(&f.consumer, &record, &size) == RBR_OK);
    CHECK(size == 5 && memcmp(record, "hello", 5) == 0);
    teardown(&f);
}

TEST(records_are_aligned_and_may_be_empty)
{
    fixture f;
    const void *record;
    uint32_t size;

    setup(&f, 0);
    CHECK(put(&f, "", 0) == RBR_OK);
    CHECK(put(&f, "x", 1) == RBR_OK);
    CHECK(rbr_consumer_next(&f.consumer, &record, &size) == RBR_OK && size == 0);
    CHECK(rbr_consumer_next(&f.consumer, &record, &size) == RBR_OK && size == 1);
    CHECK((uintptr_t)record % 8 == 0);
    teardown(&f);
}

TEST(claim_refuses_when_full_and_takes_again_after_release)
{
    fixture f;
    const void *record;
    uint8_t bytes[1000] = {0};
    uint32_t size;
    int puts = 0;

    setup(&f, 0);
    while (put(&f, bytes, sizeof bytes) == RBR_OK)
        puts++;
    CHECK(puts == CAPACITY / 1008);
    CHECK(!rbr_producer_has_room(&f.producer, sizeof bytes));
    CHECK(put(&f, bytes, sizeof bytes) == RBR_AGAIN);
    CHECK(rbr_consumer_next(&f.consumer, &record, &size) == RBR_OK);
    CHECK(put(&f, bytes, sizeof bytes) == RBR_AGAIN); /* read, not yet released */
    rbr_consumer_release(&f.consumer);
    CHECK(rbr_producer_has_room(&f.producer, sizeof bytes));
    CHECK(put(&f, bytes, sizeof bytes) == RBR_OK);
    teardown(&f);
}

/* It once looked at the shared tail, which the peer can write: claim said no, has_room said yes, and
 * the sender went round for ever. */
TEST(room_is_reckoned_from_what_we_committed_ourselves)
{
    fixture f;
    uint8_t bytes[1000] = {0};

    setup(&f, 0);
    while (put(&f, bytes, sizeof bytes) == RBR_OK)
        ;
    atomic_store(&f.shared->tail, 0);
    CHECK(!rbr_producer_has_room(&f.producer, sizeof bytes));
    teardown(&f);
}

TEST(a_record_larger_than_a_quarter_is_too_big)
{
    fixture f;
    void *slot;

    setup(&f, 0);
    CHECK(rbr_producer_claim(&f.producer, &slot, rbr_ring_record_max(CAPACITY)) == RBR_OK);
    CHECK(rbr_producer_claim(&f.producer, &slot, rbr_ring_record_max(CAPACITY) + 1) == RBR_TOO_BIG);
    CHECK(rbr_producer_claim(&f.producer, &slot, UINT32_MAX) == RBR_TOO_BIG);
    teardown(&f);
}

static void
cross(uint64_t start)
{
    fixture f;
    uint8_t bytes[3000];
    const void *record;
    uint32_t size, i;

    setup(&f, start);
    for (i = 0; i < 2000; i++) { /* many laps, every record across some border once */
        const uint32_t wanted = 1 + (i * 37) % sizeof bytes;

        memset(bytes, (int)i, wanted);
        CHECK(put(&f, bytes, wanted) == RBR_OK);
        CHECK(rbr_consumer_next(&f.consumer, &record, &size) == RBR_OK);
        CHECK(size == wanted && memcmp(record, bytes, size) == 0);
        rbr_consumer_release(&f.consumer);
    }
    teardown(&f);
}

TEST(records_cross_the_end_of_the_data_in_one_piece)
{
    cross(CAPACITY - 16);
}

TEST(positions_cross_two_to_the_32)
{
    cross((UINT64_C(1) << 32) - 4096);
}

TEST(positions_wrap_at_two_to_the_64)
{
    cross(UINT64_MAX - 4095);
}

/* ------------------------------------------------------------------------------ hostile headers */

TEST(a_tail_beyond_the_capacity_is_broken)
{
    fixture f;
    const void *record;
    uint32_t size;

    setup(&f, 64);
    atomic_store(&f.shared->tail, 64 + CAPACITY + 8);
    CHECK(rbr_consumer_next(&f.consumer, &record, &size) == RBR_BROKEN);
    atomic_store(&f.shared->tail, 0); /* behind us */
    CHECK(rbr_consumer_next(&f.consumer, &record, &size) == RBR_BROKEN);
    atomic_store(&f.shared->tail, 64 + 9); /* not a record's border */
    CHECK(rbr_consumer_next(&f.consumer, &record, &size) == RBR_BROKEN);
    teardown(&f);
}

TEST(a_head_that_overtakes_the_tail_is_broken)
{
    fixture f;
    uint8_t bytes[8000] = {0};
    void *slot;

    setup(&f, 0);
    while (put(&f, bytes, sizeof bytes) == RBR_OK)
        ;
    atomic_store(&f.shared->head, f.producer.tail + 8);
    CHECK(rbr_producer_claim(&f.producer, &slot, sizeof bytes) == RBR_BROKEN);
    teardown(&f);
}

/* It was believed, and a VERIFY build ended on its own check: several claims may share one commit. */
TEST(a_head_beyond_what_was_committed_is_broken)
{
    fixture f;
    void *slot;

    setup(&f, 0);
    while (rbr_producer_claim(&f.producer, &slot, 8000) == RBR_OK)
        ;
    atomic_store(&f.shared->head, 8);
    CHECK(rbr_producer_claim(&f.producer, &slot, 8000) == RBR_BROKEN);
    teardown(&f);
}

TEST(any_record_size_is_inside_the_data_or_broken)
{
    fixture f;
    uint32_t tries;
    unsigned seed = (unsigned)getpid();

    printf("seed %u\n", seed);
    setup(&f, 0);
    for (tries = 0; tries < 200000; tries++) {
        const void *record;
        uint32_t size, written = (uint32_t)rand_r(&seed) << (rand_r(&seed) % 8);
        rbr_status status;

        CHECK(put(&f, "12345678", 8) == RBR_OK);
        memcpy(f.data + (f.consumer.head & (CAPACITY - 1)), &written, sizeof written);
        status = rbr_consumer_next(&f.consumer, &record, &size);
        if (status == RBR_OK) {
            CHECK(size <= 8);
            CHECK((const uint8_t *)record + size <= f.data + 2 * CAPACITY);
        } else {
            CHECK(status == RBR_BROKEN);
        }
        rbr_consumer_init(&f.consumer, f.shared, f.data, CAPACITY, f.producer.tail);
        rbr_consumer_release(&f.consumer);
    }
    teardown(&f);
}

/* ---------------------------------------------------------------------------------- two threads */

enum { STRESS_RECORDS = 300000 };

static void *
produce(void *argument)
{
    fixture *f = argument;
    uint32_t i;

    for (i = 0; i < STRESS_RECORDS; i++) {
        const uint32_t words = 1 + i % 61;
        uint32_t *record, k;
        void *slot;

        while (rbr_producer_claim(&f->producer, &slot, words * 4) == RBR_AGAIN)
            rbr_os_yield();
        record = slot;
        for (k = 0; k + 1 < words; k++)
            record[k] = i * 31 + k;
        record[words - 1] = i; /* the number last: a torn record shows */
        if (i % 3 == 0 || f->producer.tail - f->producer.head_seen > CAPACITY / 2)
            rbr_producer_commit(&f->producer);
    }
    rbr_producer_commit(&f->producer);
    return NULL;
}

TEST_SECONDS(a_consumer_in_another_thread_gets_every_record_whole, 60)
{
    fixture f;
    pthread_t thread;
    uint32_t i = 0, k, size;
    const void *record;

    setup(&f, UINT64_MAX - 65535);
    CHECK(pthread_create(&thread, NULL, produce, &f) == 0);
    while (i < STRESS_RECORDS) {
        const uint32_t *words;

        if (rbr_consumer_next(&f.consumer, &record, &size) == RBR_AGAIN) {
            rbr_consumer_release(&f.consumer);
            rbr_os_yield();
            continue;
        }
        words = record;
        CHECK(size == 4 * (1 + i % 61));
        CHECK(words[size / 4 - 1] == i);
        for (k = 0; k + 1 < size / 4; k++)
            CHECK(words[k] == i * 31 + k);
        i++;
        rbr_consumer_release(&f.consumer);
    }
    pthread_join(thread, NULL);
    CHECK(rbr_consumer_next(&f.consumer, &record, &size) == RBR_AGAIN);
    teardown(&f);
}

/* ------------------------------------------------------------------------------- one mapping */

/* Records that fill the data exactly never cross its end, so it needs no second mapping: under
 * ThreadSanitizer, both threads touch each byte at the same address, and an access that nothing
 * orders is seen. With two mappings, it would be two addresses. */
enum { WHOLE_RECORDS = 100000, WHOLE_WORDS = 30 };

static void *
produce_whole(void *argument)
{
    fixture *f = argument;
    uint32_t i, k;

    for (i = 0; i < WHOLE_RECORDS; i++) {
        void *slot;

        while (rbr_producer_claim(&f->producer, &slot, 4 * WHOLE_WORDS) == RBR_AGAIN)
            rbr_os_yield();
        for (k = 0; k < WHOLE_WORDS; k++)
            ((uint32_t *)slot)[k] = i ^ k;
        rbr_producer_commit(&f->producer);
    }
    return NULL;
}

TEST_SECONDS(no_byte_of_a_ring_is_touched_by_two_threads_at_once, 60)
{
    fixture f = {.data = aligned_alloc(RBR_LINE, CAPACITY)};
    pthread_t thread;
    uint32_t i = 0, k, size;
    const void *record;

    f.shared = aligned_alloc(RBR_LINE, sizeof *f.shared);
    CHECK(f.data != NULL && f.shared != NULL);
    CHECK(CAPACITY % (4 * WHOLE_WORDS + sizeof(struct rbr_record_shared)) == 0);
    atomic_init(&f.shared->tail, 0);
    atomic_init(&f.shared->head, 0);
    rbr_producer_init(&f.producer, f.shared, f.data, CAPACITY, 0);
    rbr_consumer_init(&f.consumer, f.shared, f.data, CAPACITY, 0);
    CHECK(pthread_create(&thread, NULL, produce_whole, &f) == 0);
    while (i < WHOLE_RECORDS) {
        if (rbr_consumer_next(&f.consumer, &record, &size) == RBR_AGAIN) {
            rbr_os_yield();
            continue;
        }
        CHECK(size == 4 * WHOLE_WORDS);
        for (k = 0; k < WHOLE_WORDS; k++)
            CHECK(((const uint32_t *)record)[k] == (i ^ k));
        i++;
        rbr_consumer_release(&f.consumer);
    }
    pthread_join(thread, NULL);
    free(f.data);
    free(f.shared);
}
