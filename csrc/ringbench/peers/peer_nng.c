/* SPDX-License-Identifier: MIT */
/*
 * peer_nng.c - nng: pair0 sockets over its ipc transport. The name is an abstract one: no file stays
 * behind.
 *
 * A message is written where nng allocated it, and read where nng received it.
 */
#include "peer.h"

#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <stdlib.h>

enum { RETRY_MS = 10, MESSAGES_MAX = 8192 };

struct nng_peer {
    bench_peer_setup setup;
    nng_socket socket;
    nng_msg *out, *in; /* NULL: none */
    bool pending;      /* out is to be sent */
};

extern const bench_peer bench_peer_module;

/* NNG_EAGAIN: nothing could be done now. */
static bool
done(const struct nng_peer *all, int result, const char *what)
{
    if (result != 0 && result != NNG_EAGAIN && result != NNG_EINTR)
        all->setup.fail("%s: %s", what, nng_strerror(result));
    return result == 0;
}

/* It starts threads: nothing of it may be there before the fork. */
static void *
peer_open(const bench_peer_setup *setup)
{
    struct nng_peer *all = calloc(1, sizeof *all);

    if (all == NULL)
        setup->fail("no memory");
    all->setup = *setup;
    return all;
}

static void
peer_attach(void *peer, int side)
{
    struct nng_peer *all = peer;
    const uint32_t fit = all->setup.room_bytes / all->setup.bytes;
    const int room = (int)(fit < MESSAGES_MAX ? fit : MESSAGES_MAX);
    char name[64];

    done(all, nng_pair0_open(&all->socket), "nng_pair0_open");
    done(all, nng_socket_set_int(all->socket, NNG_OPT_SENDBUF, room), NNG_OPT_SENDBUF);
    done(all, nng_socket_set_int(all->socket, NNG_OPT_RECVBUF, room), NNG_OPT_RECVBUF);
    done(all, nng_socket_set_size(all->socket, NNG_OPT_RECVMAXSZ, 0), NNG_OPT_RECVMAXSZ);
    done(all, nng_socket_set_ms(all->socket, NNG_OPT_RECONNMINT, RETRY_MS), NNG_OPT_RECONNMINT);
    done(all, nng_socket_set_ms(all->socket, NNG_OPT_RECONNMAXT, RETRY_MS), NNG_OPT_RECONNMAXT);
    snprintf(name, sizeof name, "abstract://ringbench-%s", all->setup.unique);
    if (side == 0)
        done(all, nng_listen(all->socket, name, NULL, 0), "nng_listen");
    else
        done(all, nng_dial(all->socket, name, NULL, NNG_FLAG_NONBLOCK), "nng_dial");
}

static bool
peer_flush(void *peer, bool may_block)
{
    struct nng_peer *all = peer;

    if (!all->pending)
        return true;
    if (!done(all, nng_sendmsg(all->socket, all->out, may_block ? 0 : NNG_FLAG_NONBLOCK),
              "nng_sendmsg"))
        return false;
    all->out = NULL; /* it belongs to nng now */
    all->pending = false;
    return true;
}

static void *
peer_claim(void *peer, bool may_block)
{
    struct nng_peer *all = peer;

    if (!peer_flush(peer, may_block))
        return NULL;
    if (all->out == NULL)
        done(all, nng_msg_alloc(&all->out, all->setup.bytes), "nng_msg_alloc");
    return nng_msg_body(all->out);
}

static void
peer_send(void *peer)
{
    ((struct nng_peer *)peer)->pending = true;
}

static void
peer_release(void *peer)
{
    struct nng_peer *all = peer;

    if (all->in != NULL)
        nng_msg_free(all->in);
    all->in = NULL;
}

static const void *
peer_receive(void *peer, uint32_t *bytes, bool may_block)
{
    struct nng_peer *all = peer;

    peer_release(peer);
    if (!done(all, nng_recvmsg(all->socket, &all->in, may_block ? 0 : NNG_FLAG_NONBLOCK),
              "nng_recvmsg")) {
        all->in = NULL;
        return NULL;
    }
    *bytes = (uint32_t)nng_msg_len(all->in);
    return nng_msg_body(all->in);
}

static void
peer_detach(void *peer)
{
    struct nng_peer *all = peer;

    peer_release(peer);
    if (all->out != NULL)
        nng_msg_free(all->out);
    nng_close(all->socket);
}

static void
peer_close(void *peer)
{
    free(peer);
}

__attribute__((visibility("default")))
const bench_peer bench_peer_module = {.version = BENCH_PEER_VERSION,
                                      .open = peer_open,
                                      .attach = peer_attach,
                                      .claim = peer_claim,
                                      .send = peer_send,
                                      .flush = peer_flush,
                                      .receive = peer_receive,
                                      .release = peer_release,
                                      .detach = peer_detach,
                                      .close = peer_close};
