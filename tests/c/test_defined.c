/* SPDX-License-Identifier: MIT */
/*
 * test_defined.c - every byte that reaches the peer was written by us: what valgrind says to all
 * ways out. `.ci/test_c valgrind` runs it; elsewhere the last test is skipped.
 */
#include "channel.h"
#include "channel_pair.h"
#include "check.h"
#include "defined.h"
#include "flatbuf_frames.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SMALL_RING = 65536,
    LARGE = 100000,     /* does not fit the ring */
    FOUND_EXIT = 99,    /* --error-exitcode of .ci/test_c */
    ENOUGH_MS = 15000,
};

static uint64_t
soon(void)
{
    return rbr_now_ns() + ENOUGH_MS * RBR_MS;
}

static bool
on_valgrind(void)
{
#ifdef RUNNING_ON_VALGRIND
    return RUNNING_ON_VALGRIND != 0;
#else
    return false;
#endif
}

/* Takes what comes. */
static void
swallow(rbr_channel *channel)
{
    rbr_message *message;

    while (rbr_channel_receive(channel, &message, RBR_FOREVER, RBR_FOREVER) == RBR_OK)
        rbr_message_free(message);
}

static void
send_bytes(rbr_channel *host, const void *bytes, uint32_t size)
{
    CHECK(rbr_channel_send(host, bytes, size, NULL, 0, soon(), NULL) == RBR_OK);
}

/* With a frame that does not speak of it: the block counts as sent all the same. */
static void
send_block(rbr_channel *host, uint32_t bytes, bool write)
{
    rbr_block *block;
    uint32_t size;

    CHECK(rbr_block_allocate(&block, host, bytes, soon(), NULL) == RBR_OK);
    if (write)
        memset(rbr_block_data(block), 1, bytes);
    size = build(build_log);
    CHECK(rbr_channel_send(host, room, size, &block, 1, soon(), NULL) == RBR_OK);
    rbr_block_release(block);
}

/* In memory of the heap, which is undefined to begin with. */
static void
send_call(rbr_channel *host, uint32_t padding)
{
    const uint32_t room_bytes = (padding + 512) / 8 * 8;
    uint8_t *call = aligned_alloc(8, room_bytes);

    CHECK(call != NULL);
    send_bytes(host, call, pair_build_call(call, room_bytes, 1, 0, 5, padding));
    free(call);
}

TEST_SECONDS(every_byte_of_what_is_sent_was_written, 60)
{
    const rbr_channel_options options = {.ring_bytes = SMALL_RING, .spin_ns = 0};
    channel_pair pair;
    uint32_t i;

    pair_open(&pair, &options, swallow);
    send_bytes(pair.host, room, build(build_ints));
    send_bytes(pair.host, room, build(build_log));
    for (i = 0; i < 20; i++)
        send_call(pair.host, i);
    send_call(pair.host, LARGE);
    for (i = 1; i < LARGE; i *= 7)
        send_block(pair.host, i, true);
    CHECK(rbr_channel_cancel(pair.host, 1, false) == RBR_OK);
    pair_close(&pair);
}

/* ------------------------------------------------------------------------- valgrind itself works */

static void
send_an_unwritten_frame(rbr_channel *host)
{
    RBR_VERIFY_UNWRITTEN(room, 64);
    send_bytes(host, room, 64);
}

static void
send_an_unwritten_block(rbr_channel *host)
{
    send_block(host, 4096, false);
}

static void
send_an_unwritten_control_message(rbr_channel *host)
{
    RBR_VERIFY_UNWRITTEN(room, 64);
    CHECK(rbr_control_send(host->watch.control, room, 64, -1, NULL) == RBR_OK);
}

static void
send_what_is_written(rbr_channel *host)
{
    send_block(host, 4096, true);
}

/* The exit code of a process that sends this, and is otherwise content. */
static int
exit_after(void (*send)(rbr_channel *host))
{
    const int pid = fork();
    int status;

    CHECK(pid >= 0);
    if (pid == 0) {
        channel_pair pair;

        pair_open(&pair, NULL, swallow);
        send(pair.host);
        rbr_channel_release(pair.host);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    return WEXITSTATUS(status);
}

TEST_SECONDS(an_unwritten_byte_is_noticed_on_each_way_out, 60)
{
    if (!on_valgrind())
        SKIP("not under valgrind, or built without its headers");
    CHECK(exit_after(send_what_is_written) == 0);
    CHECK(exit_after(send_an_unwritten_frame) == FOUND_EXIT);
    CHECK(exit_after(send_an_unwritten_block) == FOUND_EXIT);
    CHECK(exit_after(send_an_unwritten_control_message) == FOUND_EXIT);
}
