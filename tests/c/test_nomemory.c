/* SPDX-License-Identifier: MIT */
/*
 * test_nomemory.c - malloc fails (F10): the n-th one, for each n, around each function that needs it.
 *
 * The linker puts the functions below in the place of malloc and its like (--wrap). Promised:
 * RBR_NO_MEMORY and no more; nothing is leaked; where a frame could not be read, the channel is
 * closed with that reason, and the peer, whose own memory is fine, ends as after any close.
 */
#include "channel_pair.h"
#include "check.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define NEVER (-1)
#define TRIES_MAX 100
#define BLOB_BYTES 300000 /* more than a quarter of the ring */
#define BLOCK_BYTES (1u << 20)

/* ---------------------------------------------------------------------------- malloc that fails */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __wrap_free(void *memory);

static atomic_long until_failure = NEVER; /* how many succeed before the one that fails */
static atomic_long live;                  /* pieces of memory not freed yet */

static bool
fails(void)
{
    return atomic_load(&until_failure) >= 0 && atomic_fetch_sub(&until_failure, 1) == 0;
}

static void *
counted(void *memory)
{
    if (memory != NULL)
        atomic_fetch_add(&live, 1);
    return memory;
}

void *
__wrap_malloc(size_t size)
{
    return fails() ? NULL : counted(__real_malloc(size));
}

void *
__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : counted(__real_calloc(count, size));
}

/* Of the tests alone: counted, and never fails. */
void *
__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return counted(__real_aligned_alloc(alignment, size));
}

void
__wrap_free(void *memory)
{
    if (memory != NULL)
        atomic_fetch_sub(&live, 1);
    __real_free(memory);
}

/* Whether the failure has happened since; afterwards nothing fails. */
static bool
disarm(void)
{
    return atomic_exchange(&until_failure, NEVER) == NEVER;
}

static uint64_t
soon(void)
{
    return rbr_now_ns() + UINT64_C(10000000000);
}

/* -------------------------------------------------------------------------------------- opening */

static int
child_that_waits(void)
{
    const int pid = fork();

    CHECK(pid >= 0);
    if (pid == 0)
        for (;;)
            pause();
    return pid;
}

TEST(opening_a_host_without_memory_is_an_error_and_closes_the_descriptors)
{
    const rbr_channel_options options = {.name = "test"};
    const long before = atomic_load(&live);
    rbr_status status = RBR_NO_MEMORY;
    rbr_channel *channel;
    rbr_error error;
    long n;

    for (n = 0; status != RBR_OK; n++) {
        int ends[2], out[2], err[2], pid;

        CHECK(n < TRIES_MAX);
        CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0 && pipe(out) == 0 &&
              pipe(err) == 0);
        pid = child_that_waits();
        atomic_store(&until_failure, n);
        status = rbr_channel_open_host(&channel, ends[0], pid, out[0], err[0], &options, &error);
        CHECK(disarm() == (status != RBR_OK));
        CHECK(status == RBR_OK || (status == RBR_NO_MEMORY && error.status == RBR_NO_MEMORY));
        if (status == RBR_OK)
            rbr_channel_release(channel);
        CHECK(close(ends[0]) != 0 && close(out[0]) != 0 && close(err[0]) != 0);
        close(ends[1]);
        close(out[1]);
        close(err[1]);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        CHECK(atomic_load(&live) == before);
    }
    CHECK(n > 3); /* the channel, and a buffer for each pipe */
}

TEST(joining_without_memory_is_an_error_and_closes_the_socket)
{
    const long before = atomic_load(&live);
    rbr_channel *channel;
    rbr_error error;
    int ends[2];

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    atomic_store(&until_failure, 0);
    CHECK(rbr_channel_open_worker(&channel, ends[1], "3.0.0", "none", "test", &error) ==
          RBR_NO_MEMORY);
    CHECK(disarm());
    CHECK(close(ends[1]) != 0);
    close(ends[0]);
    CHECK(atomic_load(&live) == before);
}

/* --------------------------------------------------------------------------------- in the host */

/* What is tried; its status. */
typedef rbr_status (*operation)(rbr_channel *host);

static rbr_status
small_call(rbr_channel *host)
{
    int64_t answer = 0;
    const rbr_status status = pair_call(host, 42, 100, &answer, soon());

    CHECK(status != RBR_OK || answer == 42);
    return status;
}

static rbr_status
large_call(rbr_channel *host)
{
    int64_t answer = 0;
    const rbr_status status = pair_call(host, 43, BLOB_BYTES, &answer, soon());

    CHECK(status != RBR_OK || answer == 43);
    return status;
}

static rbr_status
allocation(rbr_channel *host)
{
    rbr_block *block;
    const rbr_status status = rbr_block_allocate(&block, host, BLOCK_BYTES, soon(), NULL);

    if (status == RBR_OK)
        rbr_block_release(block);
    return status;
}

/* Each n in a channel of its own, because what is allocated once is part of it. */
static void
try_in_host(operation run, bool may_end)
{
    const long before = atomic_load(&live);
    bool reached = true;
    long n;

    for (n = 0; reached; n++) {
        rbr_status status;
        channel_pair pair;

        CHECK(n < TRIES_MAX);
        pair_open(&pair, NULL, pair_serve);
        atomic_store(&until_failure, n);
        status = run(pair.host);
        reached = disarm();
        if (rbr_channel_state(pair.host, NULL) == RBR_OK) {
            CHECK(status == RBR_OK || (reached && status == RBR_NO_MEMORY));
            CHECK(run(pair.host) == RBR_OK);
            pair_close(&pair);
        } else {
            /* A frame that could not be read: closed for that reason, which it says again. Or no
             * room for what the worker offered: this worker ends when it cannot answer. */
            CHECK(reached && (status == RBR_NO_MEMORY || status == RBR_DEAD));
            CHECK(may_end && run(pair.host) == status);
            rbr_channel_release(pair.host);
            waitpid(pair.pid, NULL, 0);
        }
        CHECK(atomic_load(&live) == before);
    }
    CHECK(n > 1);
}

TEST_SECONDS(a_call_without_memory_for_its_answer_is_an_error, 60)
{
    try_in_host(small_call, true);
}

TEST_SECONDS(a_large_call_without_memory_is_an_error, 60)
{
    try_in_host(large_call, true);
}

TEST_SECONDS(a_block_that_cannot_be_had_is_an_error_and_the_next_one_can, 60)
{
    try_in_host(allocation, false);
}

/* ------------------------------------------------------------------------------- in the worker */

static long worker_fails_at; /* set before it is forked */

static void
serve_with_a_failure(rbr_channel *channel)
{
    atomic_store(&until_failure, worker_fails_at);
    pair_serve(channel);
}

static void
try_in_worker(operation run)
{
    const long before = atomic_load(&live);
    rbr_status status = RBR_DEAD;

    for (worker_fails_at = 0; status != RBR_OK; worker_fails_at++) {
        channel_pair pair;
        rbr_exit result;

        CHECK(worker_fails_at < TRIES_MAX);
        pair_open(&pair, NULL, serve_with_a_failure);
        status = run(pair.host);
        if (status == RBR_DEAD) { /* it ends as one does that has nothing left to serve */
            CHECK(rbr_channel_wait_end(pair.host, &result, soon()) == RBR_OK);
            CHECK(result.known && !result.signalled && result.code == 0);
        } else {
            CHECK(status == RBR_OK || status == RBR_ARENA_FULL);
        }
        rbr_channel_release(pair.host);
        waitpid(pair.pid, NULL, 0);
        CHECK(atomic_load(&live) == before);
    }
    CHECK(worker_fails_at > 1);
}

TEST_SECONDS(a_worker_without_memory_for_a_call_ends_and_the_host_is_told, 60)
{
    try_in_worker(small_call);
}

TEST_SECONDS(a_worker_without_memory_for_a_large_call_ends_or_refuses, 60)
{
    try_in_worker(large_call);
}
