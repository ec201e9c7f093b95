/* SPDX-License-Identifier: MIT */
/*
 * test_publication.c - a publication by itself: who joins, leaves, waits and is woken; memory that moves,
 * and memory or descriptors that are not to be had. Races and other processes: test_publication_races.c.
 */
#include "check.h"
#include "followers.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static rbr_publication *
publication(void)
{
    rbr_publication *made;
    rbr_error err;

    CHECK(rbr_publication_new(&made, &err) == RBR_OK);
    return made;
}

/* --------------------------------------------------------------------------- joining and leaving */

TEST(each_reader_takes_each_item_once_and_whole)
{
    rbr_publication *p = publication();
    follower f[3];
    uint64_t sequence;
    int i;

    for (i = 0; i < 3; i++)
        follower_join(&f[i], p);
    for (sequence = 1; sequence <= 100; sequence++) {
        publish(p, sequence, 10 + sequence);
        for (i = 0; i < 3; i++) {
            CHECK(follower_take(&f[i]) == sequence);
            CHECK(follower_take(&f[i]) == 0);
        }
    }
    for (i = 0; i < 3; i++)
        follower_end(&f[i]);
    rbr_publication_free(p);
}

TEST(who_joins_late_finds_the_newest_item)
{
    rbr_publication *p = publication();
    follower early, late;

    follower_join(&early, p);
    CHECK(follower_take(&early) == 0);
    publish(p, 1, 100);
    publish(p, 2, 200);
    follower_join(&late, p);
    CHECK(follower_take(&late) == 2 && follower_take(&late) == 0);
    CHECK(follower_take(&early) == 2);
    follower_end(&early);
    follower_end(&late);
    rbr_publication_free(p);
}

TEST(a_number_that_was_left_is_the_next_ones_with_the_newest_item)
{
    rbr_publication *p = publication();
    follower first, second;
    uint64_t bytes, count;
    const void *payload;
    uint32_t number;

    publish(p, 1, 10);
    follower_join(&first, p);
    CHECK(follower_take(&first) == 1);
    number = first.number;
    rbr_publication_leave(p, first.ticket);
    rbr_publication_leave(p, first.ticket); /* it has left */
    rbr_latest_take(&first.subscription.reader, &payload, &bytes,
                    &count); /* it writes all the same */
    follower_join(&second, p);
    CHECK(second.number == number && follower_take(&second) == 1);
    rbr_publication_leave(p, first.ticket); /* that is not the second's */
    CHECK(rbr_latest_wait(&second.subscription.reader));
    CHECK(!follower_is_woken(&second)); /* and its socket has not ended */
    publish(p, 2, 10);
    CHECK(follower_is_woken(&second) && follower_take(&second) == 2);
    follower_end(&first);
    follower_end(&second);
    rbr_publication_free(p);
}

TEST(one_reader_more_than_there_is_room_for_is_refused)
{
    enum { ALL = RBR_PUBLICATION_READERS_MAX };
    rbr_publication *p = publication();
    rbr_error err = {.status = RBR_OK};
    int memory, wait, i;
    follower f[ALL];
    uint32_t number;
    uint64_t ticket;

    for (i = 0; i < ALL; i++)
        follower_join(&f[i], p);
    CHECK(rbr_publication_join(p, &ticket, &number, &memory, &wait, &err) == RBR_AGAIN);
    CHECK(strstr(err.text, "16 readers") != NULL);
    publish(p, 1, 5);
    for (i = 0; i < ALL; i++)
        CHECK(follower_take(&f[i]) == 1);
    rbr_publication_leave(p, f[7].ticket);
    follower_end(&f[7]);
    follower_join(&f[7], p);
    CHECK(follower_take(&f[7]) == 1);
    for (i = 0; i < ALL; i++)
        follower_end(&f[i]);
    rbr_publication_free(p);
}

/* --------------------------------------------------------------------------------------- waiting */

TEST(a_reader_that_waits_is_woken_once)
{
    rbr_publication *p = publication();
    char bytes[8];
    follower f;

    follower_join(&f, p);
    publish(p, 1, 5); /* it does not wait */
    CHECK(!follower_is_woken(&f));
    CHECK(!rbr_latest_wait(&f.subscription.reader)); /* there is something */
    CHECK(follower_take(&f) == 1);
    CHECK(rbr_latest_wait(&f.subscription.reader) && !follower_is_woken(&f));
    CHECK(rbr_latest_wait(&f.subscription.reader)); /* it says so again */
    publish(p, 2, 5);
    publish(p, 3, 5);
    CHECK(follower_is_woken(&f));
    CHECK(recv(f.subscription.wait, bytes, sizeof bytes, MSG_DONTWAIT) == 1);
    CHECK(follower_take(&f) == 3);
    publish(p, 4, 5);
    CHECK(!follower_is_woken(&f));
    CHECK(rbr_subscription_heard(&f.subscription));
    follower_end(&f);
    rbr_publication_free(p);
}

TEST(to_wait_gives_the_slot_back)
{
    rbr_publication *p = publication();
    follower f;
    void *first, *room;
    uint64_t bytes;

    follower_join(&f, p);
    publish(p, 1, 5);
    CHECK(follower_take(&f) == 1);
    first = f.payload;
    CHECK(rbr_latest_wait(&f.subscription.reader));
    publish(p, 2, 5); /* the writer hears of it */
    CHECK(rbr_publication_claim(p, &room, &bytes, NULL) == RBR_OK);
    /* The lowest slot is free. The mappings differ, their places in a page do not. */
    CHECK((uintptr_t)room % 4096 == (uintptr_t)first % 4096);
    follower_end(&f);
    rbr_publication_free(p);
}

TEST(who_waits_and_does_not_hear_makes_nobody_wait)
{
    rbr_publication *p = publication();
    follower f;
    uint64_t i;

    follower_join(&f, p);
    for (i = 1; i <= 200000; i++) { /* a socket's buffer holds some hundreds */
        publish(p, i, 5);
        if (i % 3 == 0)
            follower_take(&f);
        rbr_latest_wait(&f.subscription.reader);
    }
    CHECK(follower_is_woken(&f) && rbr_subscription_heard(&f.subscription));
    CHECK(!follower_is_woken(&f) || rbr_subscription_heard(&f.subscription));
    follower_end(&f);
    rbr_publication_free(p);
}

TEST(who_has_left_is_not_woken_though_it_says_that_it_waits)
{
    rbr_publication *p = publication();
    follower f;

    follower_join(&f, p);
    rbr_publication_leave(p, f.ticket);
    CHECK(!rbr_subscription_heard(&f.subscription)); /* nobody is there */
    CHECK(rbr_latest_wait(&f.subscription.reader));
    publish(p, 1, 5);
    follower_end(&f);
    rbr_publication_free(p);
}

TEST(the_end_of_a_publication_is_heard_and_its_last_item_stays)
{
    rbr_publication *p = publication();
    follower f;

    follower_join(&f, p);
    publish(p, 1, 50);
    CHECK(follower_take(&f) == 1 && rbr_latest_wait(&f.subscription.reader));
    publish(p, 2, 50);
    rbr_publication_free(p);
    CHECK(follower_is_woken(&f));
    CHECK(rbr_subscription_heard(&f.subscription) && !rbr_subscription_heard(&f.subscription));
    CHECK(follower_take(&f) == 2);
    follower_end(&f);
}

/* ---------------------------------------------------------------------------- memory that moves */

TEST(an_item_that_is_too_large_moves_the_publication)
{
    rbr_publication *p = publication();
    follower f, again;
    uint64_t bytes;
    void *room;

    follower_join(&f, p);
    publish(p, 1, 100);
    CHECK(rbr_publication_claim(p, &room, &bytes, NULL) == RBR_OK && bytes >= 65536);
    CHECK(rbr_publication_publish(p, bytes + 1) == RBR_TOO_BIG);
    CHECK(rbr_publication_moves(p) == 0);
    CHECK(rbr_publication_enlarge(p, 10 * bytes, NULL) == RBR_OK);
    CHECK(rbr_publication_moves(p) == 1);
    CHECK(!rbr_subscription_heard(&f.subscription));
    CHECK(follower_take(&f) == 1); /* what was there is there still */
    publish(p, 2, 10 * bytes);
    CHECK(follower_take(&f) == 0);
    follower_join(&again, p);
    CHECK(again.number == f.number);
    rbr_publication_leave(p, f.ticket); /* of the old memory: it means nobody here */
    publish(p, 3, 10 * bytes);
    CHECK(follower_take(&again) == 3 && rbr_latest_wait(&again.subscription.reader));
    publish(p, 4, 7);
    CHECK(follower_is_woken(&again));
    follower_end(&f);
    follower_end(&again);
    rbr_publication_free(p);
}

TEST(slots_get_their_memory_when_they_are_needed)
{
    rbr_publication *p = publication();
    const uint64_t large = 8 * RBR_MIB;
    uint64_t sequence = 1, ticket;
    int memory, wait, i;
    struct stat info;
    uint32_t number;
    follower f;

    CHECK(rbr_publication_enlarge(p, large, NULL) == RBR_OK);
    follower_join(&f, p);
    CHECK(rbr_publication_join(p, &ticket, &number, &memory, &wait, NULL) == RBR_OK);
    for (i = 0; i < 10; i++) {
        publish(p, sequence, large);
        CHECK(follower_take(&f) == sequence++);
    }
    CHECK(fstat(memory, &info) == 0);
    CHECK((uint64_t)info.st_size > 17 * large);
    CHECK((uint64_t)info.st_blocks * 512 > 2 * large);
    CHECK((uint64_t)info.st_blocks * 512 < 5 * large);
    close(memory);
    close(wait);
    follower_end(&f);
    rbr_publication_free(p);
}

/* -------------------------------------------------------------------------------- what is refused */

static void
refuses(int memory, uint32_t reader)
{
    int pair[2];
    rbr_subscription s;
    rbr_error err = {.status = RBR_OK};

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    CHECK(rbr_subscription_open(&s, memory, reader, pair[0], &err) == RBR_BROKEN);
    CHECK(err.text[0] != '\0');
    CHECK(fcntl(memory, F_GETFD) < 0 && fcntl(pair[0], F_GETFD) < 0); /* it owned both */
    close(pair[1]);
}

/* The same memory, but for that it could shrink. */
static int
unsealed_copy(int memory)
{
    const int copy = memfd_create("x", MFD_CLOEXEC);
    uint8_t page[4096];
    struct stat info;

    CHECK(fstat(memory, &info) == 0 && ftruncate(copy, info.st_size) == 0);
    CHECK(pread(memory, page, sizeof page, 0) == sizeof page);
    CHECK(pwrite(copy, page, sizeof page, 0) == sizeof page);
    return copy;
}

TEST(what_is_no_publication_is_refused)
{
    rbr_publication *p = publication();
    int fds[2], memory, wait, sealed = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    uint64_t ticket;
    uint32_t number;

    CHECK(pipe(fds) == 0);
    refuses(fds[0], 0);
    close(fds[1]);
    refuses(open("/dev/null", O_RDWR), 0);
    refuses(memfd_create("x", MFD_CLOEXEC), 0); /* of no size, not sealed */
    CHECK(rbr_publication_join(p, &ticket, &number, &memory, &wait, NULL) == RBR_OK);
    refuses(unsealed_copy(memory), 0);
    close(memory);
    close(wait);
    CHECK(ftruncate(sealed, 1 << 20) == 0);
    refuses(fcntl(sealed, F_DUPFD_CLOEXEC, 3), 0);
    CHECK(fcntl(sealed, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
    refuses(sealed, 0); /* zeros */
    CHECK(rbr_publication_join(p, &ticket, &number, &memory, &wait, NULL) == RBR_OK);
    close(wait);
    refuses(memory, RBR_PUBLICATION_READERS_MAX);
    rbr_publication_free(p);
}

TEST(a_forked_child_is_refused_and_its_parent_goes_on)
{
    rbr_publication *p = publication();
    uint64_t bytes, ticket;
    uint32_t number;
    int memory, wait, status;
    follower f;
    void *room;
    pid_t pid;

    CHECK(rbr_publication_check(p, NULL) == RBR_OK);
    follower_join(&f, p);
    publish(p, 1, 10);
    pid = fork();
    if (pid == 0) {
        CHECK(rbr_publication_check(p, NULL) == RBR_FORKED);
        CHECK(rbr_publication_claim(p, &room, &bytes, NULL) == RBR_FORKED);
        CHECK(rbr_publication_publish(p, 1) == RBR_FORKED);
        CHECK(rbr_publication_enlarge(p, 1, NULL) == RBR_FORKED);
        CHECK(rbr_publication_join(p, &ticket, &number, &memory, &wait, NULL) == RBR_FORKED);
        rbr_publication_leave(p, f.ticket);
        rbr_publication_free(p);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(follower_take(&f) == 1 && rbr_latest_wait(&f.subscription.reader));
    publish(p, 2, 10);
    CHECK(follower_is_woken(&f) && follower_take(&f) == 2);
    follower_end(&f);
    rbr_publication_free(p);
}

static void
limit(int what, rlim_t to)
{
    struct rlimit now;

    CHECK(getrlimit(what, &now) == 0);
    now.rlim_cur = to;
    CHECK(setrlimit(what, &now) == 0);
}

TEST(where_no_descriptor_is_left_a_join_fails_and_keeps_nothing)
{
    rbr_publication *p = publication();
    rbr_error err = {.status = RBR_OK};
    int memory, wait, next = dup(0), extra;
    uint64_t ticket;
    uint32_t number;
    follower f;

    CHECK(next >= 0);
    close(next);
    for (extra = 0; extra < 3; extra++) { /* it takes three */
        limit(RLIMIT_NOFILE, (rlim_t)next + (rlim_t)extra);
        CHECK(rbr_publication_join(p, &ticket, &number, &memory, &wait, &err) == RBR_SYSTEM);
        CHECK(err.sys_errno == EMFILE);
    }
    limit(RLIMIT_NOFILE, 256);
    publish(p, 1, 10);
    follower_join(&f, p);
    CHECK(f.number == 0 && follower_take(&f) == 1);
    follower_end(&f);
    rbr_publication_free(p);
}

TEST(where_no_memory_is_to_be_had_the_old_one_serves_on)
{
    rbr_publication *p = publication();
    rbr_error err = {.status = RBR_OK};
    follower f;

    follower_join(&f, p);
    publish(p, 1, 10);
    limit(RLIMIT_FSIZE, 4 << 20); /* it must not end us by SIGXFSZ either */
    CHECK(rbr_publication_enlarge(p, 64 * RBR_MIB, &err) == RBR_SYSTEM);
    CHECK(strstr(err.text, "RLIMIT_FSIZE") != NULL && rbr_publication_moves(p) == 0);
    CHECK(follower_take(&f) == 1);
    publish(p, 2, 10);
    CHECK(follower_take(&f) == 2);
    follower_end(&f);
    rbr_publication_free(p);
}

static int
mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    int count = 0, c;

    CHECK(maps != NULL);
    while ((c = fgetc(maps)) != EOF)
        count += c == '\n';
    fclose(maps);
    return count;
}

TEST(a_thousand_publications_leave_nothing_behind)
{
    int i, before = 0;

    for (i = 0; i < 1000; i++) {
        rbr_publication *p = publication();
        follower f[2];

        follower_join(&f[0], p);
        publish(p, 1, 10);
        CHECK(rbr_publication_enlarge(p, 200000, NULL) == RBR_OK);
        follower_join(&f[1], p);
        publish(p, 2, 200000);
        CHECK(follower_take(&f[0]) == 1 && follower_take(&f[1]) == 2);
        follower_end(&f[0]);
        follower_end(&f[1]);
        rbr_publication_free(p);
        if (i == 10)
            before = mappings();
    }
    CHECK(mappings() <= before + 2); /* malloc's own */
}
