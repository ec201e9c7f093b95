/* SPDX-License-Identifier: MIT */
/*
 * test_hostile.c - a worker that means harm: it writes where it may not, floods, offers nonsense.
 *
 * The host may refuse it, give it up or time out; it does not crash, hang or wait beyond its
 * deadlines. Each test tells what once went wrong. RBR_SEED repeats a run.
 */
#include "channel.h"
#include "channel_pair.h"
#include "check.h"
#include "os.h"
#include "soak.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <unistd.h>

static const rbr_channel_options small_ring = {.ring_bytes = 65536, .spin_ns = 0};

static uint64_t
ms_since(uint64_t start_ns)
{
    return (rbr_now_ns() - start_ns) / RBR_MS;
}

/* What a hostile worker does when it is done; the alarm is for the case that its host crashed. */
static _Noreturn void
park(void)
{
    alarm(60);
    for (;;)
        pause();
}

static void
pair_kill(channel_pair *pair)
{
    rbr_channel_kill(pair->host, SIGKILL, true, NULL);
    rbr_channel_release(pair->host);
}

/* An answer to a call that nobody has made: a list, which takes longer to check than to copy. */
static uint32_t
build_stray_result(void *room, uint32_t room_bytes, uint32_t items)
{
    rbr_builder builder;
    uint32_t root, result, value, first, i;

    rbr_build_start(&builder, room, room_bytes, NULL, NULL);
    root = rbr_build_table(&builder, 0, &rbr_shape_frame);
    rbr_build_u64(&builder, root, &rbr_shape_frame, RBR_FRAME__ID, 999999);
    rbr_build_u8(&builder, root, &rbr_shape_frame, RBR_FRAME__BODY_TYPE, RBR_BODY_RESULT);
    result = rbr_build_table(&builder, rbr_build_slot(root, &rbr_shape_frame, RBR_FRAME__BODY),
                             &rbr_shape_result);
    value = rbr_build_table(&builder, rbr_build_slot(result, &rbr_shape_result, RBR_RESULT__VALUE),
                            &rbr_shape_value_items);
    first = rbr_build_vector(
        &builder, rbr_build_slot(value, &rbr_shape_value_items, RBR_VALUE__ITEMS), items, 4, 4);
    for (i = 0; i < items; i++)
        rbr_build_table(&builder, first + 4 * i, &rbr_shape_value_plain);
    return rbr_build_finish(&builder);
}

static uint32_t
build_blob(void *room, uint32_t room_bytes, const rbr_block *block)
{
    rbr_arena_ref ref;
    rbr_builder builder;
    uint32_t root, blob;

    rbr_block_ref(block, &ref);
    rbr_build_start(&builder, room, room_bytes, NULL, NULL);
    root = rbr_build_table(&builder, 0, &rbr_shape_frame);
    rbr_build_u8(&builder, root, &rbr_shape_frame, RBR_FRAME__BODY_TYPE, RBR_BODY_BLOB);
    blob = rbr_build_table(&builder, rbr_build_slot(root, &rbr_shape_frame, RBR_FRAME__BODY),
                           &rbr_shape_blob);
    rbr_build_set(&builder, blob, &rbr_shape_blob, RBR_BLOB__REF, &ref, sizeof ref);
    rbr_build_u8(&builder, blob, &rbr_shape_blob, RBR_BLOB__WHOLE_FRAME, 1);
    return rbr_build_finish(&builder);
}

/* Writes the record as often as there is room, without a wake-up and without a look at anything. */
static void
flood_with(rbr_channel *channel, const void *record, uint32_t size, const _Atomic int *stop)
{
    void *room;

    while (!atomic_load(stop)) {
        if (rbr_producer_claim(&channel->exchange.producer, &room, size) != RBR_OK)
            continue;
        memcpy(room, record, size);
        rbr_producer_commit(&channel->exchange.producer);
    }
}

/* ----------------------------------------------------------------------------------- scribbling */

enum scribbled { WAKES, TAILS, HEADS, RECORDS, EVERYTHING, SCRIBBLED };

static enum scribbled scribbled_now;
static uint64_t random_state;
static _Atomic uint64_t *scribbles; /* how many; shared with those who do it */

static uint64_t
random_next(void)
{
    return soak_random(&random_state);
}

/* Random bytes into `bytes` of shared memory, whatever is atomic there; now and then zeroes. */
static void
scribble_over(void *at, size_t bytes)
{
    volatile uint8_t *to = (volatile uint8_t *)at + random_next() % bytes;
    const uint64_t value = random_next() % 4 == 0 ? 0 : random_next();

    *to = (uint8_t)value;
}

static void
scribble_once(rbr_segment *segment, enum scribbled what)
{
    struct rbr_segment_shared *shared = segment->shared;
    const size_t ring = random_next() % 2;

    switch (what) {
    case WAKES: /* `reserved` too: the semaphore that stood there was larger than the hint is */
        scribble_over(&shared->wake[random_next() % 2], 40);
        break;
    case TAILS:
        scribble_over(&shared->ring[ring].tail, 8);
        break;
    case HEADS:
        scribble_over(&shared->ring[ring].head, 8);
        break;
    case RECORDS:
        scribble_over(segment->data[ring] + random_next() % (segment->ring_bytes / 8) * 8, 8);
        break;
    default:
        scribble_once(segment, (enum scribbled)(random_next() % EVERYTHING));
    }
}

/* Answers as a good worker does, while a child of it scribbles. */
static void
serve_and_scribble(rbr_channel *channel)
{
    if (fork() == 0) {
        alarm(60);
        for (;;) {
            scribble_once(&channel->segment, scribbled_now);
            atomic_fetch_add_explicit(scribbles, 1, memory_order_relaxed);
            if (random_next() % 16 == 0)
                poll(NULL, 0, 1);
        }
    }
    pair_serve(channel);
    park();
}

static void *
call_a_scribbler(void *argument)
{
    const uint64_t until = in_ms(400);
    int64_t answer, number = 0;

    while (rbr_now_ns() < until) {
        const uint64_t start = rbr_now_ns();
        const rbr_status status = pair_call(argument, number, (uint32_t)(number % 12) * 1000,
                                            &answer, in_ms(100));

        number++;
        CHECK(status == RBR_OK || status == RBR_TIMED_OUT || status == RBR_BROKEN);
        CHECK(ms_since(start) < 10 * 1000);
    }
    return NULL;
}

/* A sem_t stood in shared memory: with a few bits of it changed, sem_post aborted the host, or it
 * slept as if there were no deadline. */
TEST_SECONDS(a_worker_that_scribbles_over_the_ring_segment_cannot_crash_or_hang_the_host, 60)
{
    const uint64_t seed = soak_seed();
    channel_pair pair;
    pthread_t thread;

    scribbles = check_share(sizeof *scribbles);
    for (scribbled_now = WAKES; scribbled_now < SCRIBBLED; scribbled_now++) {
        random_state = (seed + 1) * (scribbled_now + 1) * UINT64_C(0x9e3779b97f4a7c15);
        pair_open(&pair, &small_ring, serve_and_scribble);
        CHECK(pthread_create(&thread, NULL, call_a_scribbler, pair.host) == 0);
        call_a_scribbler(pair.host);
        pthread_join(thread, NULL);
        pair_kill(&pair);
    }
    soak_count("hostile header writes", atomic_load(scribbles));
}

static void
overwrite_the_hosts_tail(rbr_channel *channel)
{
    alarm(60);
    for (;;) {
        atomic_store(&channel->segment.shared->ring[RBR_ROLE_HOST].tail, 0);
        rbr_os_relax();
    }
}

/* The host asked its own tail, in shared memory, whether there is room: there always was, and the
 * claim that followed always failed. The sender went round for ever, beyond its deadline. */
TEST(a_worker_that_overwrites_our_tail_cannot_keep_a_sender)
{
    alignas(8) uint8_t room[9000];
    rbr_status status = RBR_OK;
    channel_pair pair;
    uint32_t size;
    int i;

    pair_open(&pair, &small_ring, overwrite_the_hosts_tail);
    size = pair_build_call(room, sizeof room, 1, FUNCTION_ECHO, 1, 8000);
    for (i = 0; i < 20 && status == RBR_OK; i++)
        status = rbr_channel_send(pair.host, room, size, NULL, 0, in_ms(100), NULL);
    CHECK(status == RBR_TIMED_OUT || status == RBR_BROKEN);
    pair_kill(&pair);
}

/* -------------------------------------------------------------------------------------- floods */

static _Atomic int *flood_stop; /* shared with what hostile workers leave behind */

static void
flood_prepare(void)
{
    flood_stop = check_share(sizeof *flood_stop);
}

/* A small record whose frame stands in a block: the host takes longer to read it than others take
 * to write a thousand, so the ring never runs empty, however the two are scheduled. */
static uint32_t
prepare_blob(rbr_channel *channel, void *record, uint32_t room_bytes, uint32_t bytes,
             uint32_t items)
{
    rbr_block *block;

    CHECK(rbr_block_allocate(&block, channel, bytes, in_ms(15000), NULL) == RBR_OK);
    CHECK(build_stray_result(rbr_block_data(block), bytes, items) > 0);
    return build_blob(record, room_bytes, block);
}

/* In a session of its own, so that the sweep after the worker's death does not end it. */
static void
flood_from_a_grandchild(rbr_channel *channel)
{
    alignas(8) uint8_t record[256];
    const uint32_t size = prepare_blob(channel, record, sizeof record, 128 << 10, 4000);

    if (fork() == 0) {
        setsid();
        alarm(60);
        flood_with(channel, record, size, flood_stop);
        _exit(0);
    }
    poll(NULL, 0, 200);
}

static void
flood_then_end(rbr_channel *channel)
{
    flood_from_a_grandchild(channel);
    _exit(0);
}

static void
flood_and_live(rbr_channel *channel)
{
    flood_from_a_grandchild(channel);
    park();
}

static rbr_status waited;

static void *
wait_for_ever(void *argument)
{
    rbr_message *message;
    rbr_pending pending;

    rbr_pending_begin(&pending, argument);
    do
        waited = rbr_pending_wait(&pending, &message, 0, RBR_FOREVER);
    while (waited == RBR_INTERRUPTED);
    rbr_pending_end(&pending);
    return NULL;
}

/* A waiter reported the end only when it found the ring empty, which it never was: a grandchild
 * that had inherited the ring went on writing. */
TEST(a_flood_that_outlives_the_worker_does_not_keep_its_waiters)
{
    channel_pair pair;

    flood_prepare();
    pair_open(&pair, &small_ring, flood_then_end);
    wait_for_ever(pair.host);
    CHECK(waited == RBR_DEAD);
    atomic_store(flood_stop, 1);
    rbr_channel_release(pair.host);
}

/* As above, after rbr_channel_close. */
TEST(a_flood_does_not_keep_the_waiters_of_a_closed_channel)
{
    channel_pair pair;
    pthread_t thread;

    flood_prepare();
    pair_open(&pair, &small_ring, flood_and_live);
    CHECK(pthread_create(&thread, NULL, wait_for_ever, pair.host) == 0);
    poll(NULL, 0, 100);
    rbr_channel_close(pair.host);
    pthread_join(thread, NULL);
    CHECK(waited == RBR_CLOSED);
    atomic_store(flood_stop, 1);
    pair_kill(&pair);
}

enum { BLOB_BYTES = 48 << 20 };

static void
flood_with_large_blobs(rbr_channel *channel)
{
    alignas(8) uint8_t record[256];
    const uint32_t size = prepare_blob(channel, record, sizeof record, BLOB_BYTES, 0);

    alarm(60);
    flood_with(channel, record, size, flood_stop);
}

/* The clock was looked at after each 64 frames. A Blob is a small record, but its frame is copied
 * from a block: 64 of them took seconds. Counted in frames, because machines differ. */
TEST(a_flood_of_blobs_does_not_outlast_a_deadline)
{
    rbr_message *message;
    rbr_pending pending;
    channel_pair pair;
    rbr_stats stats;

    flood_prepare();
    pair_open(&pair, &small_ring, flood_with_large_blobs);
    rbr_pending_begin(&pending, pair.host);
    do { /* until the flood has begun */
        CHECK(rbr_pending_wait(&pending, &message, 0, in_ms(100)) == RBR_TIMED_OUT);
        rbr_channel_stats(pair.host, &stats);
    } while (stats.frames_received == 0);
    rbr_pending_end(&pending);
    if (stats.frames_received >= 64)
        printf("     %llu frames\n", (unsigned long long)stats.frames_received);
    CHECK(stats.frames_received < 64);
    pair_kill(&pair);
}

/* -------------------------------------------------------------------------------------- offers */

static void
offer_nonsense_for_ever(rbr_channel *channel)
{
    const int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    alarm(60);
    rbr_watch_stop(channel); /* nobody reads the answers */
    for (;;)
        if (rbr_channel_control_segment(channel, 3, RBR_SEGMENT_STATE_OFFERED, 4096, fd, NULL) !=
            RBR_OK)
            poll(NULL, 0, 1);
}

/* The watcher answered each offer, and waited a second for room in the socket each time: close,
 * which joins it, took a minute. */
TEST_SECONDS(offers_whose_answers_nobody_reads_do_not_keep_close, 60)
{
    channel_pair pair;
    uint64_t start;

    pair_open(&pair, &small_ring, offer_nonsense_for_ever);
    poll(NULL, 0, 500);
    start = rbr_now_ns();
    rbr_channel_close(pair.host);
    CHECK(ms_since(start) < 10 * 1000);
    pair_kill(&pair);
}

/* Says what the host answered to an offer of this segment. */
static uint8_t
offer(rbr_channel *channel, uint16_t index, uint64_t bytes, int fd)
{
    struct pollfd answered = {.fd = channel->watch.control, .events = POLLIN};
    rbr_verdict verdict = {.refs_max = 0};
    rbr_datagram datagram;
    rbr_table root;

    CHECK(rbr_channel_control_segment(channel, index, RBR_SEGMENT_STATE_OFFERED, bytes, fd, NULL) ==
          RBR_OK);
    CHECK(poll(&answered, 1, 10000) == 1);
    CHECK(rbr_control_receive(channel->watch.control, &datagram, NULL) == RBR_OK);
    CHECK(rbr_verify(datagram.bytes, datagram.size, &root, &verdict) == RBR_OK);
    return rbr_get_u8(rbr_get_table(root, RBR_FRAME__BODY), RBR_SEGMENT__STATE, 0xff);
}

static void
offer_beyond_the_limit(rbr_channel *channel)
{
    const uint64_t bytes = 24 << 20;
    uint16_t index;
    bool sealed;
    int fd;

    rbr_watch_stop(channel); /* it would be surprised by the answers */
    CHECK(rbr_os_shared_create(&fd, &sealed, bytes, RBR_MEMORY_MEMFD, NULL) == RBR_OK);
    CHECK(offer(channel, 0, bytes, fd) == RBR_SEGMENT_STATE_ACCEPTED);
    for (index = 1; index < 20; index++)
        CHECK(offer(channel, index, bytes, fd) == RBR_SEGMENT_STATE_REFUSED);
    close(fd);
    pair_serve(channel); /* all is well: it answers */
}

/* The limit was kept only by the side that allocates: a worker could make the host map one fd
 * a thousand times, until it had no address space or page tables left. */
TEST(offers_beyond_the_arenas_limit_are_refused_and_the_channel_works_on)
{
    const rbr_channel_options options = {
        .arena_limit = 32 << 20, .memory = RBR_MEMORY_MEMFD, .spin_ns = 0};
    channel_pair pair;
    int64_t answer;

    pair_open(&pair, &options, offer_beyond_the_limit);
    CHECK(pair_call(pair.host, 4, 0, &answer, in_ms(15000)) == RBR_OK && answer == 4);
    CHECK(rbr_channel_state(pair.host, NULL) == RBR_OK);
    pair_kill(&pair);
}

/* A file's pages can be cut off or come from a dead server: a touch was fatal to the host. Only
 * memory (tmpfs, memfd) is taken. */
TEST(a_segment_that_is_a_file_on_a_disk_is_refused)
{
    char names[][32] = {"./rbr-XXXXXX", "/var/tmp/rbr-XXXXXX", "/rbr-XXXXXX"};
    struct statfs system;
    rbr_mapping *mapping;
    rbr_error error;
    size_t i;

    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        const int fd = mkstemp(names[i]);

        if (fd < 0)
            continue;
        unlink(names[i]);
        CHECK(fstatfs(fd, &system) == 0);
        /* Without holes: those are refused as well. */
        if (system.f_type != TMPFS_MAGIC && posix_fallocate(fd, 0, 1 << 20) == 0) {
            CHECK(rbr_mapping_attach(&mapping, fd, 1 << 20, 0, &error) == RBR_BROKEN);
            close(fd);
            return;
        }
        close(fd);
    }
    SKIP("no folder here is on a disk");
}
