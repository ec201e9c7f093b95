/* SPDX-License-Identifier: MIT */
/*
 * test_progress.c - progress: newest first, seldom sent, never waited for.
 *
 * The worker is a bare channel; the host is this file, which reads the ring. Where time matters the
 * watcher's part is called by hand with the time that it would see, so nothing here depends on how
 * fast the machine is; the last tests let the real watcher run.
 */
#include "bare_channel.h"
#include "check.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { RING = 4096, CALL = 7, MANY = 1000000 };
#define LATER (rbr_now_ns() + 1000 * RBR_SECOND)

typedef struct fixture {
    rbr_segment segment;
    rbr_channel *worker;
    rbr_consumer host;
} fixture;

/* What one frame said. */
typedef struct said {
    uint64_t id, done, total;
    float fraction;
    char text[RBR_PROGRESS_TEXT_MAX + 1];
} said;

static void
set_up(fixture *f)
{
    int fd;

    CHECK(rbr_segment_create(&f->segment, &fd, RING, 1, RBR_MEMORY_MEMFD, NULL) == RBR_OK);
    close(fd);
    f->worker = bare_channel_new(RBR_ROLE_WORKER, &f->segment, 0);
    f->worker->watch.stop_event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    f->worker->watch.control = f->worker->watch.child_pidfd = -1;
    f->worker->output.streams[0].fd = f->worker->output.streams[1].fd = -1;
    atomic_store(&f->worker->watch.peer_pidfd, -1);
    CHECK(f->worker->watch.stop_event >= 0);
    rbr_consumer_init(&f->host, &f->segment.shared->ring[RBR_ROLE_WORKER],
                      f->segment.data[RBR_ROLE_WORKER], RING, 0);
}

static void
tear_down(fixture *f)
{
    rbr_watch_stop(f->worker);
    close(f->worker->watch.stop_event);
    bare_channel_free(f->worker);
    rbr_segment_detach(&f->segment);
}

/* The next frame, false when there is none. */
static bool
read_frame(fixture *f, said *out)
{
    alignas(8) uint8_t copy[1024];
    rbr_verdict verdict = {.refs_max = 0};
    rbr_table root, body;
    const void *record;
    const char *text;
    uint32_t size;

    if (rbr_consumer_next(&f->host, &record, &size) != RBR_OK)
        return false;
    CHECK(size <= sizeof copy);
    memcpy(copy, record, size);
    rbr_consumer_release(&f->host);
    CHECK(rbr_verify(copy, size, &root, &verdict) == RBR_OK);
    CHECK(rbr_get_u8(root, RBR_FRAME__BODY_TYPE, 0) == RBR_BODY_PROGRESS);
    body = rbr_get_table(root, RBR_FRAME__BODY);
    out->id = rbr_get_u64(root, RBR_FRAME__ID, 0);
    out->fraction = rbr_get_f32(body, RBR_PROGRESS__FRACTION, 0);
    out->done = rbr_get_u64(body, RBR_PROGRESS__DONE, 0);
    out->total = rbr_get_u64(body, RBR_PROGRESS__TOTAL, 0);
    text = rbr_get_string(body, RBR_PROGRESS__MESSAGE, &size);
    CHECK(size < sizeof out->text);
    memcpy(out->text, text != NULL ? text : "", size);
    out->text[size] = '\0';
    return true;
}

/* How often the watcher was poked since the last time. */
static uint64_t
pokes(fixture *f)
{
    uint64_t count = 0;

    return read(f->worker->watch.stop_event, &count, sizeof count) < 0 ? 0 : count;
}

static void
tell(fixture *f, uint64_t id, uint64_t done, uint64_t total, const char *text)
{
    const rbr_progress numbers = {
        .fraction = total != 0 ? (double)done / (double)total : -1, .done = done, .total = total};

    CHECK(rbr_channel_progress(f->worker, id, &numbers, text, text != NULL ? strlen(text) : 0) ==
          RBR_OK);
}

/* A period is over. */
static void
let_watcher_come(fixture *f)
{
    int i;

    for (i = 0; i < RBR_PROGRESS_SLOTS; i++)
        f->worker->progress.slots[i].next_ns = 0;
    rbr_progress_send_due(f->worker, rbr_now_ns());
}

/* --------------------------------------------------------------------------------------- by hand */

TEST(the_first_value_is_sent_at_once)
{
    fixture f;
    said got;

    set_up(&f);
    tell(&f, CALL, 3, 10, "reading");
    CHECK(read_frame(&f, &got));
    CHECK(got.id == CALL && got.done == 3 && got.total == 10);
    CHECK(got.fraction > 0.29F && got.fraction < 0.31F);
    CHECK(strcmp(got.text, "reading") == 0);
    CHECK(pokes(&f) == 0 && rbr_progress_due_ns(f.worker) == 0);
    tear_down(&f);
}

TEST(the_newest_of_many_is_sent_when_its_time_has_come_and_the_watcher_is_poked_once)
{
    fixture f;
    said got;
    uint64_t done;

    set_up(&f);
    tell(&f, CALL, 0, 100, NULL);
    CHECK(read_frame(&f, &got));
    f.worker->progress.slots[0].next_ns = LATER; /* however slow this machine is */
    for (done = 1; done <= 100; done++)
        tell(&f, CALL, done, 100, NULL);
    CHECK(!read_frame(&f, &got));
    CHECK(pokes(&f) == 1);
    CHECK(rbr_progress_due_ns(f.worker) == f.worker->progress.slots[0].next_ns);
    rbr_progress_send_due(f.worker, rbr_now_ns()); /* too early */
    CHECK(!read_frame(&f, &got) && rbr_progress_due_ns(f.worker) != 0);
    let_watcher_come(&f);
    CHECK(read_frame(&f, &got) && got.done == 100 && got.fraction == 1);
    CHECK(!read_frame(&f, &got) && rbr_progress_due_ns(f.worker) == 0);
    tear_down(&f);
}

TEST(the_last_value_is_sent_when_the_call_ends_and_nothing_after_that)
{
    fixture f;
    said got;

    set_up(&f);
    tell(&f, CALL, 1, 9, NULL);
    CHECK(read_frame(&f, &got));
    f.worker->progress.slots[0].next_ns = LATER;
    tell(&f, CALL, 9, 9, NULL);
    rbr_channel_progress_end(f.worker, CALL);
    CHECK(read_frame(&f, &got) && got.done == 9);
    rbr_channel_progress_end(f.worker, CALL);
    let_watcher_come(&f);
    CHECK(!read_frame(&f, &got));
    CHECK(atomic_load(&f.worker->progress.used) == 0);
    tear_down(&f);
}

TEST(what_is_not_said_stays_as_it_was)
{
    const rbr_progress unknown = {.fraction = -5};
    fixture f;
    said got;

    set_up(&f);
    tell(&f, CALL, 1, 4, "one");
    CHECK(read_frame(&f, &got));
    CHECK(rbr_channel_progress(f.worker, CALL, NULL, "two", 3) == RBR_OK);
    let_watcher_come(&f);
    CHECK(read_frame(&f, &got) && got.done == 1 && got.total == 4 && strcmp(got.text, "two") == 0);
    CHECK(rbr_channel_progress(f.worker, CALL, &unknown, NULL, 0) == RBR_OK);
    let_watcher_come(&f);
    CHECK(read_frame(&f, &got) && got.fraction == -1 && got.total == 0);
    CHECK(strcmp(got.text, "two") == 0);
    CHECK(rbr_channel_progress(f.worker, CALL, NULL, "", 0) == RBR_OK);
    let_watcher_come(&f);
    CHECK(read_frame(&f, &got) && got.text[0] == '\0');
    tear_down(&f);
}

TEST(what_finds_no_room_is_held_and_sent_later)
{
    fixture f;
    said got;
    void *record;
    uint64_t id = 100;

    set_up(&f);
    while (rbr_producer_claim(&f.worker->exchange.producer, &record, 900) == RBR_OK)
        ; /* claimed, and not committed until the host shall read */
    tell(&f, CALL, 1, 2,
         "a text of some length, so that it surely finds no room in what is left "
         "of the ring: this is longer than the last piece, which took no record");
    while (atomic_load(&f.worker->progress.due_ns) == 0 && id < 200)
        tell(&f, id++, 1, 2, NULL); /* small ones into the last piece */
    CHECK(rbr_progress_due_ns(f.worker) != 0 && pokes(&f) >= 1);
    let_watcher_come(&f);
    CHECK(rbr_progress_due_ns(f.worker) != 0); /* still no room */
    memset(f.segment.data[RBR_ROLE_WORKER], 0, RING);
    rbr_producer_init(&f.worker->exchange.producer, &f.segment.shared->ring[RBR_ROLE_WORKER],
                      f.segment.data[RBR_ROLE_WORKER], RING, 0);
    atomic_store(&f.segment.shared->ring[RBR_ROLE_WORKER].tail, 0);
    let_watcher_come(&f);
    CHECK(read_frame(&f, &got) && got.done == 1 && got.total == 2);
    tear_down(&f);
}

TEST(a_long_text_is_cut_between_two_characters)
{
    char text[RBR_PROGRESS_TEXT_MAX + 9];
    fixture f;
    said got;
    size_t i;

    set_up(&f);
    memset(text, 'a', sizeof text);
    for (i = RBR_PROGRESS_TEXT_MAX - 1; i + 1 < sizeof text; i += 2) { /* half within the limit */
        text[i] = '\xC3';
        text[i + 1] = '\xA9';
    }
    CHECK(rbr_channel_progress(f.worker, CALL, NULL, text, sizeof text) == RBR_OK);
    CHECK(read_frame(&f, &got) && strlen(got.text) == RBR_PROGRESS_TEXT_MAX - 1);
    memset(text, 'a', sizeof text);
    CHECK(rbr_channel_progress(f.worker, CALL + 1, NULL, text, sizeof text) == RBR_OK);
    CHECK(read_frame(&f, &got) && strlen(got.text) == RBR_PROGRESS_TEXT_MAX);
    tear_down(&f);
}

TEST(more_calls_than_there_are_slots_forget_the_least_recent)
{
    fixture f;
    said got;
    uint64_t id;

    set_up(&f);
    for (id = 1; id <= 4 * RBR_PROGRESS_SLOTS; id++) {
        tell(&f, id, id, 1000, NULL);
        CHECK(read_frame(&f, &got) && got.id == id && got.done == id);
    }
    CHECK(atomic_load(&f.worker->progress.used) == RBR_PROGRESS_SLOTS);
    for (id = 1; id <= 4 * RBR_PROGRESS_SLOTS; id++)
        rbr_channel_progress_end(f.worker, id);
    CHECK(atomic_load(&f.worker->progress.used) == 0);
    CHECK(!read_frame(&f, &got));
    tear_down(&f);
}

TEST(an_impossible_fraction_is_clipped)
{
    const rbr_progress odd[] = {{.fraction = 7}, {.fraction = -0.25}, {.fraction = 0.0 / 0.0}};
    const float wanted[] = {1, -1, -1};
    fixture f;
    said got;
    uint64_t i;

    set_up(&f);
    for (i = 0; i < 3; i++) {
        CHECK(rbr_channel_progress(f.worker, i + 1, &odd[i], NULL, 0) == RBR_OK);
        CHECK(read_frame(&f, &got) && got.fraction == wanted[i]);
    }
    CHECK(rbr_channel_progress(f.worker, 0, &odd[0], NULL, 0) == RBR_OK); /* no call: nobody */
    CHECK(!read_frame(&f, &got));
    tear_down(&f);
}

/* ------------------------------------------------------------------------------ the real watcher */

/* Waits for the frame that says `done`; gives how many came until then. */
static uint64_t
read_until(fixture *f, uint64_t id, uint64_t done)
{
    uint64_t frames = 0, last = 0;
    said got = {.id = 0};

    while (got.id != id || got.done != done) { /* the alarm is the deadline */
        if (!read_frame(f, &got)) {
            usleep(1000);
            continue;
        }
        if (got.id == id) {
            CHECK(got.done >= last); /* G1 */
            last = got.done;
            frames++;
        }
    }
    return frames;
}

TEST(a_million_values_cost_little_and_the_watcher_sends_the_last)
{
    fixture f;
    uint64_t done, start_ns, took_ns, frames;

    set_up(&f);
    CHECK(rbr_watch_start(f.worker, NULL) == RBR_OK);
    start_ns = rbr_now_ns();
    for (done = 1; done <= MANY; done++)
        tell(&f, CALL, done, MANY, "working");
    took_ns = rbr_now_ns() - start_ns;
    frames = read_until(&f, CALL, MANY);
    printf("%.1f ns each, %llu frames\n", (double)took_ns / MANY, (unsigned long long)frames);
    CHECK(frames <= (rbr_now_ns() - start_ns) / RBR_PROGRESS_PERIOD_NS + 2);
    tear_down(&f);
}

/* In the first round it may be about to sleep for just that long; not in all of them. */
TEST(the_watcher_that_sleeps_is_woken_for_each_value_that_is_held)
{
    fixture f;
    uint64_t done;

    set_up(&f);
    CHECK(rbr_watch_start(f.worker, NULL) == RBR_OK);
    for (done = 2; done <= 10; done += 2) {
        tell(&f, CALL, done - 1, 10, NULL);
        tell(&f, CALL, done, 10, NULL);
        CHECK(read_until(&f, CALL, done) <= 2);
    }
    tear_down(&f);
}

static void *
tell_many(void *argument)
{
    fixture *f = argument;
    static _Atomic uint64_t thread;
    const uint64_t id = 1 + atomic_fetch_add(&thread, 1) % 2;
    uint64_t done;

    for (done = 1; done <= 20000; done++)
        tell(f, id, done, 20000, NULL);
    rbr_channel_progress_end(f->worker, id + 10); /* of no call */
    return NULL;
}

TEST(several_threads_tell_of_several_calls_while_the_watcher_sends)
{
    pthread_t threads[2];
    fixture f;
    int i;

    set_up(&f);
    CHECK(rbr_watch_start(f.worker, NULL) == RBR_OK);
    for (i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, tell_many, &f) == 0);
    for (i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    for (i = 0; i < 2; i++) {
        tell(&f, (uint64_t)i + 1, 30000, 0, NULL);
        CHECK(read_until(&f, (uint64_t)i + 1, 30000) >= 1);
    }
    tear_down(&f);
}
