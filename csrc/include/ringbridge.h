/* SPDX-License-Identifier: MIT */
/*
 * ringbridge.h - the public face of the C core.
 *
 * A channel joins two processes: the host, which creates the shared memory, and the worker, which
 * joins it. Frames (FlatBuffers, see ringbridge_flatbuf.h) cross through two rings in shared
 * memory; array payloads lie in arenas and are used in place.
 *
 * Conventions
 *   Names      rbr_<room>_<verb>; every type is opaque unless its fields are documented here.
 *   Arguments  object, outputs, inputs, a length right after its array, deadline, rbr_error last.
 *   Errors     a status to branch on; where a person will read it, an rbr_error (may be NULL).
 *              Outputs are untouched on failure.
 *   Time       nanoseconds of CLOCK_MONOTONIC; RBR_FOREVER never comes. A wait whose deadline has
 *              passed still looks once.
 *   Threads    every function may be called from any thread, unless it says otherwise. None of
 *              them calls back, and none holds a lock while it sleeps.
 *   fork       a forked child that still holds a channel gets RBR_FORKED from all that would
 *              touch the peer, and its releases do nothing.
 */
#ifndef RINGBRIDGE_H
#define RINGBRIDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RBR_VERSION "0.1.0"

/* A deadline that never comes. */
#define RBR_FOREVER UINT64_MAX

/* What a call came to. Final: every later call on this channel gives the same. */
typedef enum rbr_status {
    RBR_OK = 0,
    RBR_AGAIN,       /* not now: nothing there, no room, not finished */
    RBR_INTERRUPTED, /* a signal arrived: run its handlers, then call again */
    RBR_TIMED_OUT,   /* the deadline has passed */
    RBR_DEAD,        /* the peer has ended; final */
    RBR_CLOSED,      /* this side has closed the channel; final */
    RBR_BROKEN,      /* the peer wrote what breaks the protocol; final, the message says what */
    RBR_FORKED,      /* a forked child must not use its parent's channel */
    RBR_TOO_BIG,     /* larger than this call can ever take */
    RBR_ARENA_FULL,  /* the arena's limit, or the machine's memory, is reached */
    RBR_NO_MEMORY,   /* malloc failed */
    RBR_REFUSED,     /* the handshake was refused, the message says why */
    RBR_SYSTEM,      /* a system call failed: rbr_error.sys_errno */
} rbr_status;

/* Bytes of an error's text, its 0 included. */
#define RBR_ERROR_TEXT_MAX 1024

/* An error for people. Only a call that failed writes it; the text ends with a 0. */
typedef struct rbr_error {
    rbr_status status;
    int sys_errno; /* of RBR_SYSTEM, else 0 */
    char text[RBR_ERROR_TEXT_MAX];
} rbr_error;

/* CLOCK_MONOTONIC in nanoseconds: deadlines are this plus a duration. */
uint64_t rbr_now_ns(void);

/* ----------------------------------------------------------------------------------- channel */

/* One end of a channel: the rings, the arenas, the control socket and the watcher thread. */
typedef struct rbr_channel rbr_channel;

/* Where shared memory comes from. */
enum rbr_memory { RBR_MEMORY_AUTO = 0, RBR_MEMORY_SHM = 1, RBR_MEMORY_MEMFD = 2 };

/* What is taken where nothing else is asked for: of a ring, of an arena's first segment. */
#define RBR_RING_BYTES_DEFAULT (1u << 20)
#define RBR_ARENA_FIRST_BYTES (16u << 20)

/* How a channel is made; all zeros (and spin_ns -1) are the defaults. */
typedef struct rbr_channel_options {
    const char *name;     /* for messages; NULL: "worker" */
    const char *kind;     /* what the peer is, for messages; NULL: "worker" */
    uint32_t ring_bytes;  /* each way; power of two, 64 KiB to 1 GiB; 0: RBR_RING_BYTES_DEFAULT */
    uint64_t arena_limit; /* bytes each side may allocate in its arena; 0: half of the memory */
    enum rbr_memory memory; /* AUTO: POSIX shared memory, a sealed memfd where that fails */
    int64_t spin_ns;        /* spin this long before sleeping; -1: calibrated to this machine */
} rbr_channel_options;

/*
 * Starts the host's side over `socket`, one end of a SOCK_SEQPACKET pair whose other end the child
 * `pid` has inherited. out_fd and err_fd are read ends of pipes on the child's stdout and stderr,
 * or -1. Owns all three descriptors from here on, also on failure; reaps the child. A watcher
 * thread runs from now until rbr_channel_close. The peer is usable after rbr_channel_handshake.
 */
rbr_status rbr_channel_open_host(rbr_channel **out, int socket, int pid, int out_fd, int err_fd,
                                 const rbr_channel_options *options, rbr_error *err);

/*
 * The host's side towards a process that runs already, which serves us: `socket` is connected to it. That
 * process is watched, and neither reaped nor signalled; cancels only ask. The rest as for a child. Its memory
 * must be of the sealed kind: options->memory is not looked at.
 */
rbr_status rbr_channel_open_client(rbr_channel **out, int socket,
                                   const rbr_channel_options *options, rbr_error *err);

/* Joins as the worker, over the inherited `socket`, which it owns from here on. */
rbr_status rbr_channel_open_worker(rbr_channel **out, int socket, const char *python_version,
                                   const char *abi, const char *executable, rbr_error *err);

/*
 * The same for an application that serves the client at the other end of `socket`. It belongs to its user, not
 * to that client, and trusts it with nothing: memory that the client could shrink is refused, nothing it sends
 * interrupts a thread, and its end ends no process.
 */
rbr_status rbr_channel_open_served(rbr_channel **out, int socket, const char *python_version,
                                   const char *abi, const char *executable,
                                   const rbr_channel_options *options, rbr_error *err);

/*
 * This side agrees to pickled values, whose decoding runs code that the sender chose. They cross
 * when both sides have agreed (rbr_peer.pickle). Before the handshake, by the thread that opened.
 */
void rbr_channel_allow_pickle(rbr_channel *channel);

/*
 * Exchanges versions, limits and the shared memory with the peer. One thread at a time;
 * RBR_INTERRUPTED and RBR_TIMED_OUT: may be called again. RBR_REFUSED, RBR_DEAD, RBR_BROKEN: the
 * message says why, and rbr_channel_close is what is left.
 */
rbr_status rbr_channel_handshake(rbr_channel *channel, uint64_t deadline_ns, rbr_error *err);

/* What the peer said of itself; strings live as long as the channel. Valid after the handshake. */
typedef struct rbr_peer {
    int pid;
    const char *python;     /* "3.11.7" */
    const char *abi;        /* "cp311" */
    const char *version;    /* of its ringbridge */
    const char *executable; /* its sys.executable */
    bool pickle;            /* both sides have agreed to pickled values */
} rbr_peer;

/* Copies what the peer said of itself. After the handshake only. */
void rbr_channel_peer(rbr_channel *channel, rbr_peer *out);

/* RBR_OK while the channel works, else the final status, with its message. */
rbr_status rbr_channel_state(rbr_channel *channel, rbr_error *err);

/* Asks the peer to end: it finishes the call it is in, then returns RBR_CLOSED from receive. To a client:
 * no more of its calls are run here. */
void rbr_channel_say_goodbye(rbr_channel *channel);

/* Sends a signal to the peer, never to a process that only has its number. group: to every
 * process of the child's session instead. RBR_DEAD when it has ended; RBR_REFUSED: it is no child's. */
rbr_status rbr_channel_kill(rbr_channel *channel, int signal_number, bool group, rbr_error *err);

/* How the child ended. */
typedef struct rbr_exit {
    bool known;        /* false: somebody else reaped it */
    bool signalled;    /* code is a signal's number, else an exit code */
    bool core_dumped;
    int code;
} rbr_exit;

/* Waits until the peer has ended and its output pipes are drained. */
rbr_status rbr_channel_wait_end(rbr_channel *channel, rbr_exit *out, uint64_t deadline_ns);

/* Stops the watcher, wakes every waiter with RBR_CLOSED, and lets go of everything but the memory
 * under blocks that are still held. Idempotent; never waits for the peer. */
void rbr_channel_close(rbr_channel *channel);

/* The handle itself is counted: open gives one reference. The last release closes. */
void rbr_channel_retain(rbr_channel *channel);
void rbr_channel_release(rbr_channel *channel);

/* -------------------------------------------------------------------------------- worker's end */

/* Asks the peer to cancel the call `id`. hard: also interrupt the code that runs it. RBR_AGAIN: the peer
 * does not read what it is asked, and much waits for it. */
rbr_status rbr_channel_cancel(rbr_channel *channel, uint64_t id, bool hard);

/*
 * The id of the call that the calling thread (the worker's main thread) runs now; 0: none. While
 * it is set, a hard cancel of that id sends SIGINT to this thread. depth: within how many others,
 * each of which waits for a callback, it runs: those still run, too.
 */
void rbr_channel_set_running(rbr_channel *channel, uint32_t depth, uint64_t id);
/* That thread has heard of the SIGINT: without this it comes again a few times. Async-signal-safe. */
void rbr_channel_interrupt_heard(rbr_channel *channel);

/* In a host: whether the worker runs this call now, or ran it when it ended. Its word. */
bool rbr_channel_peer_runs(rbr_channel *channel, uint64_t id);
/* In a host: whether the worker has begun this call of ours, or may have. False: surely not. */
bool rbr_channel_peer_began(rbr_channel *channel, uint64_t id);

/* What the peer wants of this call: 0 nothing, 1 that it is asked to end, 2 that it is interrupted. */
int rbr_channel_cancelled(rbr_channel *channel, uint64_t id);

/* What a call has come to. */
typedef struct rbr_progress {
    double fraction; /* 0 to 1 (clipped); negative or NaN: unknown */
    uint64_t done;
    uint64_t total;  /* 0: unknown */
} rbr_progress;

/*
 * Tells the peer what the call `id` has come to; numbers NULL, text NULL: as before. Newest wins: at
 * most every 30 ms one is sent, by this call or by the watcher, so this may be called as often as one
 * likes. Never waits. Of the text (UTF-8) some 200 bytes are sent, up to a character's edge.
 */
rbr_status rbr_channel_progress(rbr_channel *channel, uint64_t id, const rbr_progress *numbers,
                                const char *text, size_t text_bytes);

/* The call `id` ends: sends what was held back, before its answer, and forgets it. */
void rbr_channel_progress_end(rbr_channel *channel, uint64_t id);

/* -------------------------------------------------------------------------------------- blocks */

/*
 * A block is a piece of an arena, counted by this process. A block of ours may be sent any number
 * of times; a block of the peer's is handed back when its last reference goes. data is 64-byte
 * aligned and stays mapped while a reference is held, past the channel's and the peer's end.
 */
typedef struct rbr_block rbr_block;

/* A new block of our arena. May wait for the peer to map a new segment (RBR_TIMED_OUT,
 * RBR_INTERRUPTED); deadline 0 never waits: RBR_AGAIN. Its bytes are not cleared. */
rbr_status rbr_block_allocate(rbr_block **out, rbr_channel *channel, uint64_t bytes,
                              uint64_t deadline_ns, rbr_error *err);
/* The payload's first byte, and how many there are. */
void *rbr_block_data(const rbr_block *block);
uint64_t rbr_block_bytes(const rbr_block *block);

/* True for a block of our arena on this channel: it can be sent without a copy. */
bool rbr_block_is_ours(const rbr_block *block, const rbr_channel *channel);

/* One reference more, one less. The last release gives the memory back: to our arena, or, where
 * the block is the peer's, to the peer. */
void rbr_block_retain(rbr_block *block);
void rbr_block_release(rbr_block *block);

/* The 24 bytes that name a block on the wire: table Tensor's field `arena`. */
typedef struct rbr_arena_ref {
    uint64_t offset;
    uint64_t length;
    uint32_t generation;
    uint16_t arena;
    uint16_t flags;
} rbr_arena_ref;

/* The reference that goes into a frame; rbr_channel_send takes the block itself, beside it. */
void rbr_block_ref(const rbr_block *block, rbr_arena_ref *out);

/* ------------------------------------------------------------------------------------ messages */

/* One received frame: a private, verified copy. It holds the blocks its payloads lie in. */
typedef struct rbr_message rbr_message;

/* The frame's bytes and size, its id (of a call: the one its answer carries), and the id of the
 * call that it was made in (0: none). The bytes live as long as the message. */
const uint8_t *rbr_message_frame(const rbr_message *message, uint32_t *size);
uint64_t rbr_message_id(const rbr_message *message);
uint64_t rbr_message_parent(const rbr_message *message);
/* (rbr_message_body, which gives the body's table, is declared in ringbridge_flatbuf.h.) */

/* The block behind a Tensor's field `arena` (pass its position in the frame); a new reference.
 * NULL where there is none. */
rbr_block *rbr_message_block(const rbr_message *message, const uint8_t *arena_field);

/* The same for a frame that stands in memory which the peer may write meanwhile, such as an item of
 * a latest-value buffer: copies it, then verifies the copy. RBR_BROKEN: it is malformed, or has a
 * payload that is not in the frame.
 * room: RBR_MESSAGE_HEAD + size bytes, 64-byte aligned, where the message is made, with the frame
 * behind the head; it is not to be freed then. NULL: it is allocated. */
#define RBR_MESSAGE_HEAD 128
rbr_status rbr_message_copy(rbr_message **out, const void *frame, uint64_t size, void *room,
                            rbr_error *err);

/* The id of our call that it belongs to: its own, or for a callback its parent. 0: a request. */
uint64_t rbr_message_call(const rbr_message *message);

/* Ends the message; blocks that nobody took are handed back. NULL is allowed. */
void rbr_message_free(rbr_message *message);
/* The same, for one that nobody wants: a callback's caller is told that its call was given up. */
void rbr_message_discard(rbr_channel *channel, rbr_message *message);

/* --------------------------------------------------------------------------- sending, receiving */

/*
 * Sends a frame that refers to `blocks`, all of our arena (each as often as it is listed). The frame is copied; one
 * that is too large for the ring goes through the arena. While it waits for room, it moves the
 * peer's frames into this side's queues. deadline 0 never waits: RBR_AGAIN.
 */
rbr_status rbr_channel_send(rbr_channel *channel, const void *frame, uint32_t size,
                            rbr_block *const *blocks, size_t count, uint64_t deadline_ns,
                            rbr_error *err);

/*
 * The same, but never waits for room: what does not fit stands in a queue of this process, which every
 * reader moves on, and which nothing overtakes. Beyond 64 MiB in it a call (id is not 0) waits until the
 * deadline; deadline 0: RBR_AGAIN. A frame too large for the ring waits as rbr_channel_send does.
 */
rbr_status rbr_channel_post(rbr_channel *channel, const void *frame, uint32_t size,
                            rbr_block *const *blocks, size_t count, uint64_t id,
                            uint64_t deadline_ns, rbr_error *err);
/* Takes the call `id` out of that queue: it never happened. False: it has left it. */
bool rbr_channel_unsend(rbr_channel *channel, uint64_t id);

/*
 * An inbox: frames that no thread blocks for. Each channel has one of its own: a worker's requests; in a
 * host what belongs to calls that were directed there. An event loop opens one for itself.
 */
typedef struct rbr_inbox rbr_inbox;

/* The channel's own. */
rbr_inbox *rbr_channel_inbox(rbr_channel *channel);
/* Gives the channel's own a descriptor, where requests are served by an event loop; it goes with the channel.
 * Idempotent, by one thread at a time. */
rbr_status rbr_channel_poll_requests(rbr_channel *channel, rbr_error *err);
/* Whether there may be a frame to take now. Looks, and changes nothing. */
bool rbr_channel_has_frames(rbr_channel *channel);
/* How long to look for one before it pays to sleep; 0: not at all, the peer is on this CPU now. */
uint64_t rbr_channel_spin_ns(rbr_channel *channel);
/* Sends what was posted and found no room, where there is some now. True: there is more, and the
 * channel works. */
bool rbr_channel_flush(rbr_channel *channel);
/* One for an event loop: a reference to the channel, until rbr_inbox_close. */
rbr_status rbr_inbox_open(rbr_inbox **out, rbr_channel *channel, rbr_error *err);
/* Forgets what is in it; calls that were directed to it keep to themselves what comes then. */
void rbr_inbox_close(rbr_inbox *inbox);
/*
 * What the loop polls: when it is readable, clear it, take until RBR_AGAIN (deadline 0), and arm the inbox
 * again. Only an armed inbox makes it readable, once; arming looks first, so nothing is missed.
 */
int rbr_inbox_fd(const rbr_inbox *inbox);
void rbr_inbox_clear(rbr_inbox *inbox);
void rbr_inbox_arm(rbr_inbox *inbox);
/* The next frame. Waits as rbr_pending_wait does; of the host's own inbox only while nobody else
 * reads. RBR_CLOSED, in a worker: the peer said goodbye, and every frame before has been taken. */
rbr_status rbr_inbox_take(rbr_inbox *inbox, rbr_message **out, uint64_t spin_ns,
                          uint64_t deadline_ns);

/* A call of ours that waits for its answer. Stays where it is between begin and end. */
typedef struct rbr_pending {
    uint64_t private_[18];
} rbr_pending;

/* Registers a new call and gives its frame id (never reused; 0 only in a forked child). */
uint64_t rbr_pending_begin(rbr_pending *pending, rbr_channel *channel);
/* Before it is sent: what comes for it goes into this inbox, and nobody waits for it with
 * rbr_pending_wait. NULL: the default. */
void rbr_pending_direct(rbr_pending *pending, rbr_inbox *inbox);
/* In a worker: waiting also gives requests that the host made within the call `id`. */
void rbr_pending_nest(rbr_pending *pending, uint64_t id);
/* Waits for the next frame of this call: its answer, its progress, an item, a callback. Looks, spins for at most spin_ns (0: not at
 * all, RBR_FOREVER: what was calibrated) and then sleeps until the deadline; with deadline 0 it
 * never sleeps, and returns RBR_AGAIN. */
rbr_status rbr_pending_wait(rbr_pending *pending, rbr_message **out, uint64_t spin_ns,
                            uint64_t deadline_ns);
/* Forgets the call: what comes later is dropped, its blocks are handed back, and a callback is told
 * that its call was given up. */
void rbr_pending_end(rbr_pending *pending);

/* rbr_inbox_take from the channel's own inbox. */
rbr_status rbr_channel_receive(rbr_channel *channel, rbr_message **out, uint64_t spin_ns,
                               uint64_t deadline_ns);

/* -------------------------------------------------------------------------------------- output */

/*
 * The child's stdout (stream 1) and stderr (stream 2), as it wrote them. One reader thread. Waits
 * until there is something; *size is in: room, out: bytes. *dropped counts bytes of this stream
 * that were thrown away before these because nobody had read them. RBR_CLOSED at the end.
 */
rbr_status rbr_channel_read_output(rbr_channel *channel, char *bytes, size_t *size, int *stream,
                                   uint64_t *dropped, uint64_t deadline_ns);

/* The last bytes of the child's stderr, whether read or not; returns how many. */
size_t rbr_channel_error_tail(rbr_channel *channel, char *bytes, size_t size);

/* --------------------------------------------------------------------------------------- stats */

/* Counters since the channel was opened, and what is held now. */
typedef struct rbr_stats {
    uint64_t frames_sent, frames_received; /* frames, control messages not counted */
    uint64_t bytes_sent, bytes_received;   /* of frames, payloads in arenas not counted */
    uint64_t wakes_sent;                   /* of the peer, when it slept */
    uint64_t sleeps;                       /* times this side went to sleep */
    uint64_t late_looks;      /* a sleep's 100 ms look found work that nobody announced within
                               * another 50 ms: a lost wake-up; must stay 0 */
    uint64_t dropped_answers; /* answers whose call had been given up, or had one already */
    uint64_t dropped_asides;  /* log records mostly: too many of running calls waited */
    uint64_t arena_bytes;     /* of our arena's segments, mapped */
    uint64_t arena_used;      /* bytes in blocks that we or the peer still hold */
    uint64_t arena_blocks;    /* how many such blocks */
    uint64_t arena_limit;
    uint64_t peer_blocks;     /* blocks of the peer's arena that we hold */
    uint64_t output_dropped;  /* bytes of the child's output thrown away */
    uint32_t ring_bytes;
    uint32_t spin_ns;
} rbr_stats;

/* Copies the counters; each is right by itself, together they may be a moment apart. */
void rbr_channel_stats(rbr_channel *channel, rbr_stats *out);

#ifdef __cplusplus
}
#endif
#endif
