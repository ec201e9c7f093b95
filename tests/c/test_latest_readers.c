/* SPDX-License-Identifier: MIT */
/*
 * test_latest_readers.c - the latest-value buffer with readers in other threads and processes, which
 * may be killed.
 */
#include "check.h"
#include "latest_items.h"
#include "os.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

/* -------------------------------------------------------------------------------------- threads */

typedef struct listener {
    rbr_latest_reader reader;
    _Atomic uint64_t *last; /* the last item that will be; 0: not known yet */
    _Atomic uint64_t taken;
    bool releases; /* each item, and not only by taking the next */
    bool waits;    /* which is a release, too */
    pthread_t thread;
} listener;

static void *
listen(void *argument)
{
    listener *l = argument;
    uint64_t before = 0;
    item it;

    while (before == 0 || before != atomic_load(l->last)) {
        const rbr_status status = item_take(&l->reader, &it);

        if (status == RBR_AGAIN) {
            rbr_os_yield();
            continue;
        }
        CHECK(status == RBR_OK && it.sequence > before && item_is_whole(&it));
        before = it.sequence;
        if (l->releases)
            rbr_latest_release(&l->reader);
        if (l->waits)
            rbr_latest_wait(&l->reader);
        atomic_fetch_add_explicit(&l->taken, 1, memory_order_relaxed);
    }
    return NULL;
}

/* Both ends see the memory at the same address: under ThreadSanitizer, an access that nothing orders
 * is seen. */
TEST_SECONDS(no_byte_of_a_slot_is_touched_by_two_threads_at_once, 60)
{
    enum { READERS = 3, TAKEN_MIN = 100 };
    const uint64_t bytes = rbr_latest_bytes(READERS, ITEM_ROOM);
    const uint64_t end_ns = rbr_now_ns() + RBR_SECOND;
    void *memory = malloc(bytes);
    static listener l[READERS];
    _Atomic uint64_t last = 0;
    rbr_latest_writer writer;
    uint64_t sequence = 0;
    bool enough = false;
    uint32_t i;

    CHECK(memory != NULL);
    rbr_latest_writer_init(&writer, memory, READERS, ITEM_ROOM);
    for (i = 0; i < READERS; i++) {
        CHECK(rbr_latest_reader_init(&l[i].reader, memory, bytes, i) == RBR_OK);
        l[i].last = &last;
        l[i].releases = i == 1;
        l[i].waits = i == 2;
        CHECK(pthread_create(&l[i].thread, NULL, listen, &l[i]) == 0);
    }
    while (!enough || rbr_now_ns() < end_ns) {
        sequence++;
        item_publish(&writer, sequence);
        enough = true;
        for (i = 0; i < READERS; i++)
            enough = enough && atomic_load_explicit(&l[i].taken, memory_order_relaxed) >= TAKEN_MIN;
    }
    atomic_store(&last, sequence);
    for (i = 0; i < READERS; i++) {
        pthread_join(l[i].thread, NULL);
        printf("%llu of %llu items taken\n", (unsigned long long)l[i].taken,
               (unsigned long long)sequence);
    }
    free(memory);
}

enum { MEETINGS = 300000, POINTS = 100, STEPS_MAX = 20000 };

static void *
take_and_release(void *argument)
{
    listener *l = argument;
    item it;

    while (l->taken < MEETINGS) {
        if (item_take(&l->reader, &it) != RBR_OK) {
            rbr_os_yield();
            continue;
        }
        atomic_fetch_add(&l->taken, 1); /* the writer goes on */
        rbr_latest_release(&l->reader);
    }
    return NULL;
}

/* By chance; an offer that is lost is the last one, since nobody goes on. */
static void
offer_while_another_thread_releases(void)
{
    const uint64_t bytes = rbr_latest_bytes(1, ITEM_ROOM);
    void *memory = malloc(bytes);
    rbr_latest_writer writer;
    static listener l;
    uint64_t sequence;

    CHECK(memory != NULL);
    rbr_latest_writer_init(&writer, memory, 1, ITEM_ROOM);
    CHECK(rbr_latest_reader_init(&l.reader, memory, bytes, 0) == RBR_OK);
    CHECK(pthread_create(&l.thread, NULL, take_and_release, &l) == 0);
    for (sequence = 1; sequence <= MEETINGS; sequence++) {
        rbr_latest_claim(&writer);
        CHECK(rbr_latest_publish(&writer, 0) == RBR_OK);
        while (atomic_load(&l.taken) < sequence)
            rbr_os_yield();
    }
    pthread_join(l.thread, NULL);
    free(memory);
}

TEST_SECONDS(releases_and_offers_of_two_threads_lose_nothing, 60)
{
    offer_while_another_thread_releases();
}

/* What a child has said: to release, or to wait. */
enum { NOT_YET, RELEASED, WAITS, NEED_NOT_WAIT };

/* Releases what `reader` has taken, or says that it waits, in a child that stops before. */
static pid_t
start_release(rbr_latest_reader *reader, bool waits, _Atomic int *said)
{
    const pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(CHECK_SKIPPED);
        raise(SIGSTOP);
        if (!waits) {
            rbr_latest_release(reader);
            atomic_store(said, RELEASED);
        } else {
            atomic_store(said, rbr_latest_wait(reader) ? WAITS : NEED_NOT_WAIT);
        }
        _exit(0);
    }
    return child;
}

/* The child makes so many instructions of its release, the next item is published, and the child goes
 * on. Gives how many it made until it had released; -1: ptrace is not allowed. */
static int
offer_after(int steps, uint8_t *memory, uint64_t bytes, bool waits, _Atomic int *said)
{
    rbr_latest_reader reader;
    rbr_latest_writer writer;
    int status, done = 0;
    pid_t child;
    item it;

    rbr_latest_writer_init(&writer, memory, 1, ITEM_ROOM);
    CHECK(rbr_latest_reader_init(&reader, memory, bytes, 0) == RBR_OK);
    item_publish(&writer, 1);
    CHECK(item_take(&reader, &it) == RBR_OK);
    atomic_store(said, NOT_YET);
    child = start_release(&reader, waits, said);
    CHECK(waitpid(child, &status, 0) == child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == CHECK_SKIPPED)
        return -1;
    CHECK(WIFSTOPPED(status));
    for (; done < steps && atomic_load(said) == NOT_YET; done++) {
        CHECK(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) == 0);
        CHECK(waitpid(child, &status, 0) == child && WIFSTOPPED(status));
    }
    item_publish(&writer, 2);
    CHECK(ptrace(PTRACE_DETACH, child, NULL, NULL) == 0);
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(writer.waited == (atomic_load(said) == WAITS)); /* who sleeps is woken, and nobody else */
    CHECK(item_take(&reader, &it) == RBR_OK && it.sequence == 2);
    return done;
}

/* Surely, and not by chance: the offer comes after each single instruction of the child's. */
static void
offer_after_each_step(bool waits)
{
    const uint64_t bytes = rbr_latest_bytes(1, ITEM_ROOM);
    uint8_t *memory = check_share(bytes);
    _Atomic int *said = check_share(sizeof *said);
    const int steps = offer_after(STEPS_MAX, memory, bytes, waits, said);
    const int points = steps < POINTS ? steps : POINTS;
    int i;

    if (steps < 0) {
        printf("ptrace is not allowed here: by chance only\n");
        offer_while_another_thread_releases();
        return;
    }
    printf("%d instructions\n", steps);
    CHECK(steps > 0 && steps < STEPS_MAX);
    for (i = 0; i < points; i++) /* with sanitizers there are more, and most are theirs */
        offer_after((int)((int64_t)steps * i / points), memory, bytes, waits, said);
    munmap(memory, bytes);
    munmap(said, sizeof *said);
}

TEST_SECONDS(a_release_at_the_moment_of_the_next_offer_does_not_lose_it, 120)
{
    offer_after_each_step(false);
}

TEST_SECONDS(who_waits_at_the_moment_of_the_next_offer_is_woken_or_finds_it, 120)
{
    offer_after_each_step(true);
}

/* ------------------------------------------------------------------------------------ processes */

/* Shared with a child: how often it has taken an item, the last of them, and whether to stop there. */
typedef struct stage {
    _Atomic uint64_t taken, sequence;
    _Atomic bool hold;
} stage;

typedef struct family {
    uint8_t *memory;
    uint64_t bytes;
    rbr_latest_writer writer;
    stage *stage;
    uint64_t sequence;
    pid_t child;
} family;

/* The child's life, until it is killed. */
static _Noreturn void
read_for_ever(const family *f, uint32_t number)
{
    uint64_t before = 0;
    rbr_latest_reader reader;
    rbr_status status;
    item it = {0};

    CHECK(rbr_latest_reader_init(&reader, f->memory, f->bytes, number) == RBR_OK);
    for (;;) {
        if (before != 0 && atomic_load(&f->stage->hold)) {
            CHECK(item_is_whole(&it));
            continue;
        }
        status = item_take(&reader, &it);
        if (status == RBR_AGAIN) {
            rbr_os_yield();
            continue;
        }
        CHECK(status == RBR_OK && it.sequence > before && item_is_whole(&it));
        before = it.sequence;
        if (before % 2 == 0 && !atomic_load(&f->stage->hold))
            rbr_latest_release(&reader);
        atomic_store(&f->stage->sequence, before);
        atomic_fetch_add(&f->stage->taken, 1);
    }
}

static void
family_open(family *f, uint32_t readers)
{
    f->bytes = rbr_latest_bytes(readers, ITEM_ROOM);
    f->memory = check_share(f->bytes);
    f->stage = check_share(sizeof *f->stage);
    f->sequence = 0;
    rbr_latest_writer_init(&f->writer, f->memory, readers, ITEM_ROOM);
}

static void
family_publish(family *f, uint64_t count)
{
    for (; count > 0; count--)
        item_publish(&f->writer, ++f->sequence);
}

static void
start_reader(family *f, bool hold)
{
    fflush(NULL);
    atomic_store(&f->stage->taken, 0);
    atomic_store(&f->stage->hold, hold);
    f->child = fork();
    CHECK(f->child >= 0);
    if (f->child == 0)
        read_for_ever(f, 0);
}

static void
await_takes(const family *f, uint64_t count)
{
    while (atomic_load(&f->stage->taken) < count)
        rbr_os_yield();
}

/* Its end is known before it is dropped, as from a pidfd. */
static void
kill_reader(family *f)
{
    int status;

    kill(f->child, SIGKILL);
    CHECK(waitpid(f->child, &status, 0) == f->child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL); /* or one of its checks has failed */
    rbr_latest_drop_reader(&f->writer, 0);
}

static void
family_close(family *f)
{
    munmap(f->memory, f->bytes);
    munmap(f->stage, sizeof *f->stage);
}

TEST_SECONDS(a_reader_that_is_killed_with_an_item_in_hand_is_replaced, 60)
{
    family f;

    family_open(&f, 1);
    family_publish(&f, 3);
    start_reader(&f, true);
    await_takes(&f, 1);
    family_publish(&f, 1000); /* it looks at its item all the while */
    CHECK(f.writer.held[0] != 0 && atomic_load(&f.stage->sequence) == 3);
    kill_reader(&f);
    CHECK(f.writer.held[0] == 0);
    start_reader(&f, true);
    await_takes(&f, 1);
    CHECK(atomic_load(&f.stage->sequence) == 1003); /* at once, though nothing came since */
    family_publish(&f, 1000);
    kill_reader(&f);
    family_close(&f);
}

/* The writer asks before each publish, as one would that has viewers. */
TEST_SECONDS(readers_that_ended_are_found_by_their_pidfds, 60)
{
    int pidfds[3] = {-1, -1, -1};
    const uint64_t end_ns = rbr_now_ns() + 50 * RBR_SECOND;
    uint32_t dropped = 0;
    int status;
    family f;

    family_open(&f, 3);
    family_publish(&f, 3);
    start_reader(&f, true);
    CHECK(rbr_os_pidfd_open(&pidfds[0], f.child, NULL) == RBR_OK);
    if (pidfds[0] < 0) {
        kill(f.child, SIGKILL);
        waitpid(f.child, &status, 0);
        family_close(&f);
        check_skip("this kernel has no pidfds");
    }
    await_takes(&f, 1);
    family_publish(&f, 10);
    CHECK(f.writer.held[0] != 0);
    CHECK(rbr_latest_drop_ended(&f.writer, pidfds) == 0 && pidfds[0] >= 0); /* it lives */
    kill(f.child, SIGKILL);
    while (dropped == 0 && rbr_now_ns() < end_ns) { /* not reaped: its parent may be another */
        dropped = rbr_latest_drop_ended(&f.writer, pidfds);
        family_publish(&f, 1);
    }
    CHECK(dropped == 1 && pidfds[0] == -1 && f.writer.held[0] == 0);
    CHECK(rbr_latest_drop_ended(&f.writer, pidfds) == 0);
    CHECK(waitpid(f.child, &status, 0) == f.child && WIFSIGNALED(status));
    start_reader(&f, true); /* the number is free */
    await_takes(&f, 1);
    CHECK(atomic_load(&f.stage->sequence) == f.sequence);
    kill_reader(&f);
    family_close(&f);
}

TEST_SECONDS(readers_killed_at_any_moment_disturb_nobody, 120)
{
    enum { KILLS = 40, MANY = 5000 };
    const unsigned first_seed = (unsigned)getpid();
    unsigned seed = first_seed;
    rbr_latest_reader witness;
    item it;
    family f;
    int round;

    printf("seed %u\n", first_seed);
    family_open(&f, 2);
    CHECK(rbr_latest_reader_init(&witness, f.memory, f.bytes, 1) == RBR_OK);
    for (round = 0; round < KILLS; round++) {
        int count = rand_r(&seed) % MANY;

        start_reader(&f, false);
        family_publish(&f, 1);
        await_takes(&f, 1);
        for (; count >= 0; count--) {
            family_publish(&f, 1 + (uint64_t)count % 3);
            CHECK(item_take(&witness, &it) == RBR_OK && it.sequence == f.sequence &&
                  item_is_whole(&it));
        }
        kill_reader(&f);
    }
    family_close(&f);
}
