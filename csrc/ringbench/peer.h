/* SPDX-License-Identifier: MIT */
/*
 * peer.h - what ringbridge is compared with: one way for messages of one size to cross between two
 * processes, both ways.
 *
 *   runner                                    its child
 *   open        before the fork
 *   attach      after it                      attach
 *   claim, write the payload, send; flush --> receive, read in place; release
 *   detach                                    detach
 *   close       after the child's end
 *
 * Some peers are modules beside the program (peers/), which need other libraries: they include this
 * file and nothing else of ringbench, and export `bench_peer_module`.
 */
#ifndef RBR_BENCH_PEER_H
#define RBR_BENCH_PEER_H

#include "bench.h"

/* A module of another version is not used. */
#define BENCH_PEER_VERSION 1
#define BENCH_PEER_SYMBOL "bench_peer_module"

struct bench_counts;

typedef struct bench_peer_setup {
    uint32_t bytes;      /* of every message */
    uint32_t room_bytes; /* how much may be under way, each way; at least four messages */
    uint32_t batch;      /* messages between two flushes at the most, where the peer batches */
    enum bench_wait wait;
    char unique[24]; /* no other peer that runs has this; for names */
    /* Ends this pair of processes, and only it: its row says why. */
    void (*fail)(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
} bench_peer_setup;

/* A call that may block waits, if it has to, until it makes sense to look again, or for good. Where
 * the way to wait is spin or yield none may block; where it is block all may. */
typedef struct bench_peer {
    uint32_t version;
    bool batches; /* one flush for several messages costs less than one each */
    bool waits;   /* it knows the four ways to wait itself: always may block */
    void *(*open)(const bench_peer_setup *setup);
    void (*attach)(void *peer, int side); /* enum bench_side */
    /* Where to write the next message; NULL: no room now. */
    void *(*claim)(void *peer, bool may_block);
    /* Hands over what was claimed; it may be held back until a flush. */
    void (*send)(void *peer);
    /* False: not all of it has gone out now. */
    bool (*flush)(void *peer, bool may_block);
    /* The next message, until the next receive or release; NULL: nothing now. A peer that finds
     * nothing releases what was received before. */
    const void *(*receive)(void *peer, uint32_t *bytes, bool may_block);
    void (*release)(void *peer);
    /* Adds what the side's wake-ups have counted; NULL: it counts none. */
    void (*count)(const void *peer, struct bench_counts *out);
    void (*detach)(void *peer);
    void (*close)(void *peer);
} bench_peer;

#endif
