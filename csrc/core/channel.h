/* SPDX-License-Identifier: MIT */
/*
 * channel.h - what the files of the channel share; nobody else includes it.
 *
 *   channel.c     opening, closing, counting, the one final state
 *   handshake.c   Hello, Welcome, the ring segment
 *   exchange.c    waiting: "whoever waits, reads"
 *   waiters.c     its bookkeeping: sleepers, pending calls
 *   deliver.c     whose a message is
 *   inbox.c       how an event loop waits
 *   send.c        a frame goes into the ring, or into a block; or waits until it can
 *   message.c     a record becomes a verified message with its blocks
 *   block.c       blocks of both arenas
 *   grow.c        the arenas' segments: offered, accepted, retired
 *   watcher.c     the thread that hears the control socket, the pidfd and the output pipes
 *   output.c      the child's stdout and stderr until somebody reads them
 *   call_progress.c  what running calls have come to, told at most every 30 ms
 *   relay.c       an end that passes on what comes, to another machine
 *
 * Locks, none of them in shared memory, none held while anything sleeps or calls back; where two
 * are held, they were taken in this order:
 *   progress_lock the progress of running calls; the watcher sends under it
 *   arena_lock    arenas' tables, growing
 *   send_lock     the producer
 *   lock          reader role, sleepers, pending calls, inbox, final state's message
 *   output_lock   output buffers, the exit
 *   child_lock    the watcher's; nothing else is taken inside
 */
#ifndef RBR_CHANNEL_H
#define RBR_CHANNEL_H

#include "blocks.h"
#include "call_progress.h"
#include "control.h"
#include "exchange.h"
#include "message.h"
#include "output.h"
#include "wake.h"
#include "watcher.h"

#include "ringbridge_wire.h"

#define RBR_PROTO_MAJOR 1
#define RBR_PROTO_MINOR 0

/* --------------------------------------------------------------------------------- the channel */

struct rbr_channel {
    _Atomic uint32_t users;  /* who may call us; the last one closes */
    _Atomic uint32_t memory; /* users plus our own blocks that are still held */
    int role; /* RBR_ROLE_... */
    uint64_t fork_token;
    bool served; /* the peers are an application and its client: neither is the other's to end */
    char title[96]; /* what the peer is, and its name: for messages */
    rbr_channel_options options;

    _Atomic int state; /* rbr_status; RBR_OK until the one final change */
    rbr_error final; /* its message; under exchange.lock */
    _Atomic bool closed; /* rbr_channel_close has run */

    rbr_segment segment;
    rbr_wake wake;
    rbr_exchange exchange;
    rbr_block_table blocks;
    rbr_output output;
    rbr_progress_table progress;
    rbr_watch watch;

    struct rbr_relay *_Atomic relay; /* this end passes all on; NULL: it does not */

    int handshake_step;
    uint64_t session;
    rbr_peer peer;
    char peer_text[4][256]; /* behind rbr_peer's strings */
    bool pickle_ok; /* this side's word; set before the handshake */
};

/* relay.c: another cancel stands in the watcher's table, or the final state was reached. */
void rbr_relay_wake(rbr_channel *channel);
void rbr_relay_free(rbr_channel *channel);

/* The first final state wins. Wakes everybody. */
void rbr_channel_latch(rbr_channel *channel, rbr_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What stands before the title where the worker's end speaks of its peer. */
const char *rbr_channel_host_of(const rbr_channel *channel);

/* RBR_OK, or why this process must not touch the peer. */
rbr_status rbr_channel_check(const rbr_channel *channel);

void rbr_channel_memory_retain(rbr_channel *channel);
void rbr_channel_memory_release(rbr_channel *channel);

/* Starts a small frame of our own in `room` (8-aligned); gives its body's table. */
uint32_t rbr_frame_start(rbr_builder *builder, void *room, uint32_t size, uint64_t id, uint8_t body,
                         const rbr_shape *shape);

/* Sends a Segment message. */
rbr_status rbr_channel_control_segment(rbr_channel *channel, uint16_t index, uint8_t state,
                                       uint64_t bytes, int fd, rbr_error *err);

#endif
