/* SPDX-License-Identifier: MIT */
/*
 * test_publication_races.c - a publication whose readers run at the same time: in threads, where
 * ThreadSanitizer looks on, and in processes that are stopped and killed.
 */
#include "check.h"
#include "followers.h"
#include "os.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ITEM = 200 };

/* ------------------------------------------------------------------------------- wake-ups, in threads */

typedef struct sleeper {
    follower f;
    uint64_t last; /* the item after which it ends */
    uint64_t sleeps, taken;
    pthread_t thread;
} sleeper;

/* Sleeps whenever nothing newer is there, without an end: a wake-up that is lost hangs. */
static void *
sleep_and_take(void *argument)
{
    sleeper *s = argument;
    uint64_t before = 0;

    while (before < s->last) {
        const uint64_t sequence = follower_take(&s->f);

        if (sequence > 0) {
            CHECK(sequence > before);
            before = sequence;
            s->taken++;
        } else if (rbr_latest_wait(&s->f.subscription.reader)) {
            struct pollfd polled = {.fd = s->f.subscription.wait, .events = POLLIN};

            s->sleeps++;
            CHECK(poll(&polled, 1, -1) == 1);
            CHECK(rbr_subscription_heard(&s->f.subscription));
        }
    }
    return NULL;
}

TEST_SECONDS(no_wake_up_is_lost_between_a_wait_and_a_publish, 120)
{
    enum { SLEEPERS = 2, ITEMS = 60000 };
    sleeper s[SLEEPERS] = {{.last = ITEMS}, {.last = ITEMS}};
    rbr_publication *p;
    uint64_t sequence;
    int i;

    CHECK(rbr_publication_new(&p, NULL) == RBR_OK);
    for (i = 0; i < SLEEPERS; i++) {
        follower_join(&s[i].f, p);
        CHECK(pthread_create(&s[i].thread, NULL, sleep_and_take, &s[i]) == 0);
    }
    for (sequence = 1; sequence <= ITEMS; sequence++) {
        publish(p, sequence, ITEM);
        if (sequence % 3 == 0) /* so that they fall asleep at different moments */
            rbr_os_yield();
    }
    for (i = 0; i < SLEEPERS; i++) {
        CHECK(pthread_join(s[i].thread, NULL) == 0);
        printf("%llu taken, %llu sleeps\n", (unsigned long long)s[i].taken,
               (unsigned long long)s[i].sleeps);
        CHECK(s[i].sleeps > 0);
        follower_end(&s[i].f);
    }
    rbr_publication_free(p);
}

typedef struct visitor {
    rbr_publication *publication;
    _Atomic bool *over;
    uint64_t visits;
    pthread_t thread;
} visitor;

static void *
come_and_go(void *argument)
{
    visitor *v = argument;
    follower f;
    int i;

    while (!atomic_load(v->over)) {
        follower_join(&f, v->publication);
        for (i = 0; i < 5; i++) {
            follower_take(&f);
            rbr_latest_wait(&f.subscription.reader);
            rbr_publication_moves(v->publication);
        }
        if (v->visits++ % 2 == 0) /* or its socket ends first */
            rbr_publication_leave(v->publication, f.ticket);
        follower_end(&f);
        rbr_publication_leave(v->publication, f.ticket);
    }
    return NULL;
}

TEST_SECONDS(readers_come_and_go_while_items_are_published_and_memory_moves, 120)
{
    enum { VISITORS = 2, VISITS_MIN = 50 };
    _Atomic bool over = false;
    visitor v[VISITORS];
    rbr_publication *p;
    uint64_t sequence = 0, bytes = ITEM;
    int i;

    CHECK(rbr_publication_new(&p, NULL) == RBR_OK);
    for (i = 0; i < VISITORS; i++) {
        v[i] = (visitor){.publication = p, .over = &over};
        CHECK(pthread_create(&v[i].thread, NULL, come_and_go, &v[i]) == 0);
    }
    while (sequence < 20000) {
        sequence++;
        if (sequence % 1000 == 0 && bytes < 4 * RBR_MIB) {
            bytes = bytes * 2 + 60000;
            publish(p, sequence, bytes);
        }
        publish(p, sequence, ITEM);
        if (sequence % 64 == 0)
            rbr_os_yield();
    }
    atomic_store(&over, true);
    for (i = 0; i < VISITORS; i++) {
        CHECK(pthread_join(v[i].thread, NULL) == 0);
        printf("%llu visits\n", (unsigned long long)v[i].visits);
    }
    CHECK(rbr_publication_moves(p) > 3);
    rbr_publication_free(p);
}

/* ----------------------------------------------------------------------------- other processes */

/* A child that follows until it is ended, and counts in shared memory. */
static pid_t
follow_in_a_child(rbr_publication *p, _Atomic uint64_t *taken, uint64_t *ticket)
{
    uint32_t number;
    int memory, wait;
    pid_t pid;
    follower f;

    CHECK(rbr_publication_join(p, ticket, &number, &memory, &wait, NULL) == RBR_OK);
    pid = fork();
    if (pid != 0) {
        close(memory);
        close(wait);
        return pid;
    }
    CHECK(rbr_subscription_open(&f.subscription, memory, number, wait, NULL) == RBR_OK);
    rbr_publication_free(p); /* its copies of the other ends: nobody's end would be heard */
    for (;;) {
        struct pollfd polled = {.fd = f.subscription.wait, .events = POLLIN};

        if (follower_take(&f) > 0)
            atomic_fetch_add(taken, 1);
        else if (rbr_latest_wait(&f.subscription.reader) && poll(&polled, 1, -1) == 1 &&
                 !rbr_subscription_heard(&f.subscription))
            _exit(0);
    }
}

static void
until_taken(const _Atomic uint64_t *taken, uint64_t more, rbr_publication *p, uint64_t *sequence)
{
    const uint64_t wanted = atomic_load(taken) + more;

    while (atomic_load(taken) < wanted) {
        publish(p, ++*sequence, ITEM);
        rbr_os_yield();
    }
}

TEST_SECONDS(readers_that_are_killed_anywhere_hurt_neither_writer_nor_others, 120)
{
    enum { ROUNDS = 100 };
    _Atomic uint64_t *taken = check_share(2 * sizeof *taken);
    uint64_t ticket, steady_ticket, sequence = 0;
    rbr_publication *p;
    pid_t steady, pid;
    int round, status;

    CHECK(rbr_publication_new(&p, NULL) == RBR_OK);
    steady = follow_in_a_child(p, &taken[0], &steady_ticket);
    for (round = 0; round < ROUNDS; round++) {
        pid = follow_in_a_child(p, &taken[1], &ticket);
        until_taken(&taken[1], 1 + (uint64_t)round % 7, p, &sequence);
        kill(pid, SIGKILL);
        publish(p, ++sequence, ITEM);
        CHECK(waitpid(pid, &status, 0) == pid && WTERMSIG(status) == SIGKILL);
        rbr_publication_leave(p, ticket);
        until_taken(&taken[0], 1, p, &sequence);
    }
    rbr_publication_free(p);
    CHECK(waitpid(steady, &status, 0) == steady && status == 0); /* it heard of the end */
}

TEST_SECONDS(a_stopped_reader_is_not_waited_for_and_goes_on_with_the_newest, 60)
{
    _Atomic uint64_t *taken = check_share(sizeof *taken);
    uint64_t ticket, sequence = 0, before, i;
    rbr_publication *p;
    int status;
    pid_t pid;

    CHECK(rbr_publication_new(&p, NULL) == RBR_OK);
    pid = follow_in_a_child(p, taken, &ticket);
    until_taken(taken, 10, p, &sequence);
    CHECK(kill(pid, SIGSTOP) == 0 && waitpid(pid, &status, WUNTRACED) == pid);
    CHECK(WIFSTOPPED(status));
    before = atomic_load(taken);
    for (i = 0; i < 50000; i++)
        publish(p, ++sequence, ITEM);
    CHECK(atomic_load(taken) == before);
    CHECK(kill(pid, SIGCONT) == 0);
    while (atomic_load(taken) == before) /* it need not be told: what it waited for has come */
        rbr_os_yield();
    until_taken(taken, 10, p, &sequence);
    rbr_publication_free(p);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}
