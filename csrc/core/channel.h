/* SPDX-License-Identifier: MIT */
/*
 * channel.h - what the files of the channel share; nobody else includes it.
 *
 *   channel.c     opening, closing, counting, the one final state
 *   handshake.c   Hello, Welcome, the ring segment
 *   exchange.c    waiting: "whoever waits, reads"
 *   waiters.c     its bookkeeping: sleepers, pending calls, the inbox
 *   send.c        a frame goes into the ring, or into a block
 *   message.c     a record becomes a verified message with its blocks
 *   block.c       blocks of both arenas
 *   grow.c        the arenas' segments: offered, accepted, retired
 *   watcher.c     the thread that hears the control socket, the pidfd and the output pipes
 *   output.c      the child's stdout and stderr until somebody reads them
 *
 * Locks, none of them in shared memory, none held while anything sleeps or calls back; where two
 * are held, they were taken in this order:
 *   arena_lock    arenas' tables, growing
 *   send_lock     the producer
 *   lock          reader role, sleepers, pending calls, inbox, final state's message
 *   output_lock   output buffers, the exit
 *   child_lock, cancel_lock   the watcher's; nothing else is taken inside
 */
#ifndef RBR_CHANNEL_H
#define RBR_CHANNEL_H

#include "arena.h"
#include "base.h"
#include "control.h"
#include "ring.h"
#include "segment.h"
#include "wake.h"

#include "ringbridge_flatbuf.h"
#include "ringbridge_wire.h"

#include <pthread.h>

#define RBR_PROTO_MAJOR 1
#define RBR_PROTO_MINOR 0

#define RBR_PENDING_BUCKETS 1024 /* ids count up, so the chains stay even */
#define RBR_CANCELLED_MAX 64     /* remembered cancels; a call older than that has ended */
#define RBR_OUTPUT_BYTES (UINT64_C(1) << 20)
#define RBR_ERROR_TAIL_BYTES 8192

/* ---------------------------------------------------------------------------------- message.c */

typedef struct rbr_message_ref {
    uint32_t at; /* of the ArenaRef in the frame */
    rbr_block *block;
} rbr_message_ref;

struct rbr_message {
    struct rbr_message *next; /* in the inbox */
    uint64_t id, parent;
    rbr_message_ref *refs;
    uint32_t ref_count;
    uint32_t size;
    rbr_table body;
    uint8_t body_type;
    _Alignas(8) uint8_t bytes[];
};

/* Copies the consumer's current record, releases it, verifies the copy, takes hold of its blocks,
 * and opens a Blob. */
rbr_status rbr_message_read(rbr_message **out, rbr_channel *channel, const void *record,
                            uint32_t size, rbr_error *err);

/* --------------------------------------------------------------------- exchange.c, waiters.c */

enum rbr_want_kind { RBR_WANT_ANSWER, RBR_WANT_REQUEST, RBR_WANT_ROOM };

/* A thread that sleeps because another one reads; lives on its stack. */
typedef struct rbr_sleeper {
    sem_t wake;
    enum rbr_want_kind kind;
    bool queued;
    struct rbr_sleeper *prev, *next;
} rbr_sleeper;

/* What rbr_pending really holds. */
typedef struct rbr_pending_call {
    rbr_channel *channel;
    uint64_t id;
    struct rbr_pending_call *next; /* in its bucket */
    rbr_message *answer;
    rbr_sleeper *sleeper;
} rbr_pending_call;

typedef struct rbr_exchange {
    pthread_mutex_t send_lock;
    rbr_producer producer;
    _Atomic uint64_t frames_sent, bytes_sent;

    pthread_mutex_t lock;
    bool reading; /* some thread has the reader role, and with it the consumer */
    rbr_consumer consumer;
    rbr_sleeper *sleepers;
    _Atomic uint32_t room_sleepers; /* of them, how many wait for room */
    rbr_pending_call *pending[RBR_PENDING_BUCKETS];
    uint64_t last_id;
    rbr_message *inbox_first, *inbox_last;
    _Atomic uint64_t frames_received, bytes_received, dropped_answers;
} rbr_exchange;

/* What a thread waits for. */
typedef struct rbr_want {
    enum rbr_want_kind kind;
    rbr_pending_call *call; /* ANSWER */
    uint32_t bytes;         /* ROOM */
    rbr_message *message;   /* out: ANSWER, REQUEST */
} rbr_want;

/* waiters.c; all under exchange.lock. */
void rbr_sleeper_add(rbr_exchange *exchange, rbr_sleeper *sleeper);
void rbr_sleeper_remove(rbr_exchange *exchange, rbr_sleeper *sleeper);
/* Wakes one, or all, who wait for this kind of thing. */
void rbr_sleepers_wake(rbr_exchange *exchange, enum rbr_want_kind kind, bool all);
/* E1 of exchange.c: to be called by whoever leaves. */
void rbr_sleepers_offer_role(rbr_exchange *exchange);
/* Whether a message answers a call (it may not be one of ours). */
bool rbr_message_answers(const rbr_message *message);
/* Puts a message where it belongs; gives it back when nobody waits for it. */
rbr_message *rbr_deliver(rbr_channel *channel, rbr_message *message);
/* Whether the want is met already; takes the message out. */
bool rbr_want_is_met(rbr_channel *channel, rbr_want *want);

void rbr_exchange_init(rbr_channel *channel);
void rbr_exchange_free(rbr_channel *channel);
/* Waits until the ring that we write has room for a record; reads meanwhile. */
rbr_status rbr_exchange_wait_room(rbr_channel *channel, uint32_t bytes, uint64_t deadline_ns);
/* Wakes every thread that waits in this process, so that it sees the final state. */
void rbr_exchange_wake_all(rbr_channel *channel);

/* ----------------------------------------------------------------------------- block.c, grow.c */

typedef struct rbr_block_table {
    pthread_mutex_t arena_lock;
    pthread_cond_t grown; /* a new segment was accepted or refused */
    rbr_arena arena;      /* ours: only we allocate in it */
    rbr_mapping *ours[RBR_ARENA_SEGMENTS_MAX];
    rbr_mapping *peers[RBR_ARENA_SEGMENTS_MAX];
    struct rbr_node_chunk *chunks; /* memory of the arena's nodes */
    bool growing;
    uint16_t growing_index;
    uint16_t next_index;
    rbr_error refusal; /* why the last growth failed; status RBR_OK: it did not */
    uint64_t limit;
    uint64_t takes_at_tick; /* the arena's activity at the watcher's last look */
    _Atomic uint64_t peer_blocks;
} rbr_block_table;

void rbr_blocks_init(rbr_channel *channel, uint64_t limit);
void rbr_blocks_free(rbr_channel *channel);
/* Makes the arena larger for a block of `payload` bytes and waits for the peer's answer. RBR_OK: try
 * again. Called and returns with arena_lock held, and lets go of it while it waits. */
rbr_status rbr_blocks_grow(rbr_channel *channel, uint64_t payload, uint64_t deadline_ns,
                           rbr_error *err);
/* Gives the arena the node that one operation may need. Under arena_lock. */
rbr_status rbr_blocks_need_node(rbr_channel *channel);
/* Counts a sending of each block, before the frame is published; undo when it was not. */
void rbr_blocks_mark_sent(rbr_channel *channel, rbr_block *const *blocks, size_t count);
void rbr_blocks_unmark_sent(rbr_channel *channel, rbr_block *const *blocks, size_t count);
/* A block of the peer's, by its reference; RBR_BROKEN when that is not one. */
rbr_status rbr_blocks_resolve(rbr_block **out, rbr_channel *channel, const uint8_t *reference,
                              rbr_error *err);
/* A Segment message has come (fd -1: none); the watcher's. */
rbr_status rbr_blocks_on_segment(rbr_channel *channel, rbr_table segment, int fd, rbr_error *err);
/* The watcher's idle look: lets go of segments that nobody needed since the last one. True while
 * there is something left to let go of later. */
bool rbr_blocks_trim(rbr_channel *channel);

/* ------------------------------------------------------------------------------------ output.c */

typedef struct rbr_output_stream {
    int fd; /* -1: closed */
    char *bytes;
    uint64_t read, written; /* positions that only grow */
    uint64_t dropped;       /* since the last read */
} rbr_output_stream;

typedef struct rbr_output {
    pthread_mutex_t output_lock;
    pthread_cond_t changed;
    rbr_output_stream streams[2]; /* stdout, stderr */
    char tail[RBR_ERROR_TAIL_BYTES];
    uint64_t tail_written;
    uint64_t dropped_total;
    bool ended; /* the peer has ended and the pipes are drained */
    rbr_exit exit;
} rbr_output;

rbr_status rbr_output_init(rbr_channel *channel, int out_fd, int err_fd, rbr_error *err);
void rbr_output_free(rbr_channel *channel);
/* Moves what is in the pipe, at most `most` bytes; closes it at its end. */
void rbr_output_drain(rbr_channel *channel, int stream, size_t most);
/* Closes the pipes, records the exit, wakes the readers. */
void rbr_output_end(rbr_channel *channel, const rbr_exit *result);

/* ----------------------------------------------------------------------------------- watcher.c */

typedef struct rbr_watch {
    unsigned long thread;
    bool started;
    int stop_event;   /* eventfd: stop, or look again at what to poll */
    int control;      /* the control socket */
    pthread_mutex_t child_lock; /* child_pid is ours to signal while it is held and not 0 */
    int child_pid;              /* the process that we started; 0: none, or reaped */
    int child_pidfd;            /* -1: none */
    _Atomic int peer_pidfd;     /* the peer, where it is not the child; in the worker: the host */
    _Atomic bool stop, handshaken, goodbye, trim_soon;
    _Atomic uint64_t running_id;
    _Atomic uint64_t main_thread; /* pthread_t; 0: none yet */
    pthread_mutex_t cancel_lock;
    uint64_t cancelled[RBR_CANCELLED_MAX];
    _Atomic uint32_t cancelled_count;
} rbr_watch;

rbr_status rbr_watch_start(rbr_channel *channel, rbr_error *err);
void rbr_watch_poke(rbr_channel *channel);
void rbr_watch_stop(rbr_channel *channel);

/* --------------------------------------------------------------------------------- the channel */

struct rbr_channel {
    _Atomic uint32_t users;  /* who may call us; the last one closes */
    _Atomic uint32_t memory; /* users plus our own blocks that are still held */
    int role; /* RBR_ROLE_... */
    uint64_t fork_token;
    char name[64];
    rbr_channel_options options;

    _Atomic int state;    /* rbr_status; RBR_OK until the one final change */
    rbr_error final;      /* its message; under exchange.lock */
    _Atomic bool closed;  /* rbr_channel_close has run */

    rbr_segment segment;
    rbr_wake wake;
    rbr_exchange exchange;
    rbr_block_table blocks;
    rbr_output output;
    rbr_watch watch;

    int handshake_step;
    uint64_t session;
    rbr_peer peer;
    char peer_text[4][256]; /* behind rbr_peer's strings */
};

/* The first final state wins. Wakes everybody. */
void rbr_channel_latch(rbr_channel *channel, rbr_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* RBR_OK, or why this process must not touch the peer. */
rbr_status rbr_channel_check(const rbr_channel *channel);

void rbr_channel_memory_retain(rbr_channel *channel);
void rbr_channel_memory_release(rbr_channel *channel);

/* Sends a control message that has no body but scalars. */
rbr_status rbr_channel_control_segment(rbr_channel *channel, uint16_t index, uint8_t state,
                                       uint64_t bytes, int fd, rbr_error *err);

#endif
