/* SPDX-License-Identifier: MIT */
/*
 * peer_bytes.c - pipes and Unix sockets: streams of bytes, so each message is preceded by its length.
 *
 *   to     | length | message | length | message |      |   written at a flush, whole or in parts
 *   from   |  (read) | length | message | length | me   |   filled by as few reads as possible
 *
 * The socket is SOCK_STREAM: one call sends and receives a batch, and no message is too large for it.
 * SOCK_SEQPACKET takes about the same time for a round trip (down to three quarters at 4 KiB), but has
 * one message a call, and none above the limit of the send buffer.
 */
#include "duo.h"
#include "peers.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD = sizeof(uint64_t), READ_BYTES = 64 << 10 };

struct bytes_peer {
    bench_peer_setup setup;
    int fds[BENCH_SIDES][2]; /* by side: to read, to write; a socket: twice the same */
    int in, out;             /* this side's */
    uint32_t frame;          /* bytes of a message with its length */
    uint8_t *to, *from;
    uint32_t to_room, to_sent, to_end;
    uint32_t from_room, from_begin, from_end;
};

/* ------------------------------------------------------------------------------------- opening */

static struct bytes_peer *
new_peer(const bench_peer_setup *setup)
{
    struct bytes_peer *all = calloc(1, sizeof *all);
    uint32_t frames;

    if (all == NULL)
        setup->fail("no memory");
    all->setup = *setup;
    all->frame = HEAD + setup->bytes;
    all->to_room = setup->batch * all->frame;
    frames = READ_BYTES / all->frame;
    all->from_room = (frames > 0 ? frames : 1) * all->frame;
    all->to = malloc(all->to_room);
    all->from = malloc(all->from_room);
    if (all->to == NULL || all->from == NULL)
        setup->fail("no %u bytes of memory", all->to_room + all->from_room);
    return all;
}

/* Where nobody may block, or not always, the descriptors do not. */
static void
set_flags(const struct bytes_peer *all)
{
    int side, way;

    if (all->setup.wait == BENCH_WAIT_BLOCK)
        return;
    for (side = 0; side < BENCH_SIDES; side++)
        for (way = 0; way < 2; way++)
            if (fcntl(all->fds[side][way], F_SETFL, O_NONBLOCK) != 0)
                all->setup.fail("O_NONBLOCK: %s", strerror(errno));
}

static void *
pipe_open(const bench_peer_setup *setup)
{
    struct bytes_peer *all = new_peer(setup);
    int side, ends[2];

    for (side = 0; side < BENCH_SIDES; side++) {
        if (pipe2(ends, O_CLOEXEC) != 0)
            setup->fail("pipe: %s", strerror(errno));
        /* What the system allows; less room makes it slower, not wrong. */
        (void)fcntl(ends[1], F_SETPIPE_SZ, (int)setup->room_bytes);
        all->fds[side][0] = ends[0];
        all->fds[1 - side][1] = ends[1];
    }
    set_flags(all);
    return all;
}

static void *
socket_open(const bench_peer_setup *setup)
{
    struct bytes_peer *all = new_peer(setup);
    const int room = (int)setup->room_bytes;
    int side, ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        setup->fail("socketpair: %s", strerror(errno));
    for (side = 0; side < BENCH_SIDES; side++) {
        (void)setsockopt(ends[side], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
        all->fds[side][0] = all->fds[side][1] = ends[side];
    }
    set_flags(all);
    return all;
}

static void
close_side(struct bytes_peer *all, int side)
{
    int *fds = all->fds[side];

    if (fds[1] != fds[0] && fds[1] >= 0)
        close(fds[1]);
    if (fds[0] >= 0)
        close(fds[0]);
    fds[0] = fds[1] = -1;
}

static void
bytes_attach(void *peer, int side)
{
    struct bytes_peer *all = peer;

    all->in = all->fds[side][0];
    all->out = all->fds[side][1];
    close_side(all, 1 - side);
}

static void
bytes_detach(void *peer)
{
    struct bytes_peer *all = peer;

    close_side(all, BENCH_HERE);
    close_side(all, BENCH_THERE);
}

static void
bytes_close(void *peer)
{
    struct bytes_peer *all = peer;

    free(all->to);
    free(all->from);
    free(all);
}

/* ------------------------------------------------------------------------------------- waiting */

/* After a call that could do nothing; true: it makes sense to try again. */
static bool
retry(const struct bytes_peer *all, int fd, short events, bool may_block)
{
    struct pollfd look = {.fd = fd, .events = events};

    if (errno == EINTR)
        return true;
    if (errno != EAGAIN)
        all->setup.fail("%s: %s", events == POLLIN ? "read" : "write", strerror(errno));
    if (may_block)
        poll(&look, 1, -1);
    return may_block;
}

/* ------------------------------------------------------------------------------------- sending */

static bool
bytes_flush(void *peer, bool may_block)
{
    struct bytes_peer *all = peer;

    while (all->to_sent < all->to_end) {
        const ssize_t sent = write(all->out, all->to + all->to_sent, all->to_end - all->to_sent);

        if (sent >= 0)
            all->to_sent += (uint32_t)sent;
        else if (!retry(all, all->out, POLLOUT, may_block))
            return false;
    }
    all->to_sent = all->to_end = 0;
    return true;
}

static void *
bytes_claim(void *peer, bool may_block)
{
    struct bytes_peer *all = peer;
    const uint64_t bytes = all->setup.bytes;

    if (all->to_end + all->frame > all->to_room && !bytes_flush(peer, may_block))
        return NULL;
    memcpy(all->to + all->to_end, &bytes, sizeof bytes);
    return all->to + all->to_end + HEAD;
}

static void
bytes_send(void *peer)
{
    struct bytes_peer *all = peer;

    all->to_end += all->frame;
}

/* ----------------------------------------------------------------------------------- receiving */

/* The message at the front, where all of it has come. */
static const void *
take(struct bytes_peer *all, uint32_t *bytes)
{
    const uint32_t there = all->from_end - all->from_begin;
    const uint8_t *at = all->from + all->from_begin;
    uint64_t length;

    if (there < HEAD)
        return NULL;
    memcpy(&length, at, sizeof length);
    if (length != all->setup.bytes)
        all->setup.fail("a length of %llu bytes came", (unsigned long long)length);
    if (there < all->frame)
        return NULL;
    *bytes = (uint32_t)length;
    all->from_begin += all->frame;
    return at + HEAD;
}

static const void *
bytes_receive(void *peer, uint32_t *bytes, bool may_block)
{
    struct bytes_peer *all = peer;
    const void *message;

    while ((message = take(all, bytes)) == NULL) {
        ssize_t got;

        if (all->from_begin > 0) { /* less than a message */
            memmove(all->from, all->from + all->from_begin, all->from_end - all->from_begin);
            all->from_end -= all->from_begin;
            all->from_begin = 0;
        }
        got = read(all->in, all->from + all->from_end, all->from_room - all->from_end);
        if (got == 0)
            all->setup.fail("the other side has closed its end");
        if (got > 0)
            all->from_end += (uint32_t)got;
        else if (!retry(all, all->in, POLLIN, may_block))
            return NULL;
    }
    return message;
}

static void
bytes_release(void *peer)
{
    (void)peer; /* the copy is ours */
}

const bench_peer bench_peer_pipe = {.version = BENCH_PEER_VERSION,
                                    .batches = true,
                                    .open = pipe_open,
                                    .attach = bytes_attach,
                                    .claim = bytes_claim,
                                    .send = bytes_send,
                                    .flush = bytes_flush,
                                    .receive = bytes_receive,
                                    .release = bytes_release,
                                    .detach = bytes_detach,
                                    .close = bytes_close};

const bench_peer bench_peer_socket = {.version = BENCH_PEER_VERSION,
                                      .batches = true,
                                      .open = socket_open,
                                      .attach = bytes_attach,
                                      .claim = bytes_claim,
                                      .send = bytes_send,
                                      .flush = bytes_flush,
                                      .receive = bytes_receive,
                                      .release = bytes_release,
                                      .detach = bytes_detach,
                                      .close = bytes_close};
