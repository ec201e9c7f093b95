/* SPDX-License-Identifier: MIT */
/*
 * peer_zeromq.c - ZeroMQ: PAIR sockets over ipc://. The name is an abstract one: no file stays behind.
 *
 * A message is written where ZeroMQ allocated it, and read where ZeroMQ received it.
 */
#include "peer.h"

#include <errno.h>
#include <stdlib.h>
#include <zmq.h>

struct zeromq {
    bench_peer_setup setup;
    void *context, *socket;
    zmq_msg_t out, in;
    bool claimed, pending, received; /* out is there, is to be sent; in is there */
};

extern const bench_peer bench_peer_module;

static void
check(const struct zeromq *all, int result, const char *what)
{
    if (result != 0)
        all->setup.fail("%s: %s", what, zmq_strerror(zmq_errno()));
}

/* After a call that failed: nothing could be done now, or nothing ever can. */
static void
check_errno(const struct zeromq *all, const char *what)
{
    if (zmq_errno() != EAGAIN && zmq_errno() != EINTR)
        check(all, -1, what);
}

/* It starts threads: nothing of it may be there before the fork. */
static void *
zeromq_open(const bench_peer_setup *setup)
{
    struct zeromq *all = calloc(1, sizeof *all);

    if (all == NULL)
        setup->fail("no memory");
    all->setup = *setup;
    return all;
}

static void
set_option(const struct zeromq *all, int option, int value)
{
    check(all, zmq_setsockopt(all->socket, option, &value, sizeof value), "zmq_setsockopt");
}

static void
zeromq_attach(void *peer, int side)
{
    struct zeromq *all = peer;
    const int room = (int)(all->setup.room_bytes / all->setup.bytes);
    char name[64];

    all->context = zmq_ctx_new();
    all->socket = all->context != NULL ? zmq_socket(all->context, ZMQ_PAIR) : NULL;
    if (all->socket == NULL)
        check(all, -1, "zmq_socket");
    set_option(all, ZMQ_LINGER, 0);
    set_option(all, ZMQ_SNDHWM, room);
    set_option(all, ZMQ_RCVHWM, room);
    snprintf(name, sizeof name, "ipc://@ringbench-%s", all->setup.unique);
    if (side == 0)
        check(all, zmq_bind(all->socket, name), "zmq_bind");
    else
        check(all, zmq_connect(all->socket, name), "zmq_connect");
}

static bool
zeromq_flush(void *peer, bool may_block)
{
    struct zeromq *all = peer;

    if (!all->pending)
        return true;
    if (zmq_msg_send(&all->out, all->socket, may_block ? 0 : ZMQ_DONTWAIT) < 0) {
        check_errno(all, "zmq_msg_send");
        return false;
    }
    all->pending = all->claimed = false;
    return true;
}

static void *
zeromq_claim(void *peer, bool may_block)
{
    struct zeromq *all = peer;

    if (!zeromq_flush(peer, may_block))
        return NULL;
    if (!all->claimed)
        check(all, zmq_msg_init_size(&all->out, all->setup.bytes), "zmq_msg_init_size");
    all->claimed = true;
    return zmq_msg_data(&all->out);
}

static void
zeromq_send(void *peer)
{
    ((struct zeromq *)peer)->pending = true;
}

static void
zeromq_release(void *peer)
{
    struct zeromq *all = peer;

    if (all->received)
        zmq_msg_close(&all->in);
    all->received = false;
}

static const void *
zeromq_receive(void *peer, uint32_t *bytes, bool may_block)
{
    struct zeromq *all = peer;

    zeromq_release(peer);
    zmq_msg_init(&all->in);
    if (zmq_msg_recv(&all->in, all->socket, may_block ? 0 : ZMQ_DONTWAIT) < 0) {
        check_errno(all, "zmq_msg_recv");
        zmq_msg_close(&all->in);
        return NULL;
    }
    all->received = true;
    *bytes = (uint32_t)zmq_msg_size(&all->in);
    return zmq_msg_data(&all->in);
}

static void
zeromq_detach(void *peer)
{
    struct zeromq *all = peer;

    zeromq_release(peer);
    if (all->claimed)
        zmq_msg_close(&all->out);
    zmq_close(all->socket);
    zmq_ctx_term(all->context);
}

static void
zeromq_close(void *peer)
{
    free(peer);
}

__attribute__((visibility("default")))
const bench_peer bench_peer_module = {.version = BENCH_PEER_VERSION,
                                      .open = zeromq_open,
                                      .attach = zeromq_attach,
                                      .claim = zeromq_claim,
                                      .send = zeromq_send,
                                      .flush = zeromq_flush,
                                      .receive = zeromq_receive,
                                      .release = zeromq_release,
                                      .detach = zeromq_detach,
                                      .close = zeromq_close};
