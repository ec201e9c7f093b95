/* SPDX-License-Identifier: MIT */
/*
 * layout.h - every byte that lives in shared memory. No functions.
 *
 *   the ring segment (created by the host, one a channel)
 *   0              128          256          384                             64 KiB
 *   +--------------+------------+------------+-------------------------------+----------+----------+
 *   | magic, sizes | wake host  | wake worker| rings: tail, head; then runs  | data 0   | data 1   |
 *   +--------------+------------+------------+-------------------------------+----------+----------+
 *   ring 0 carries host -> worker, ring 1 worker -> host; wake[role] is slept on by that role;
 *   runs[role] tells which calls that role runs.
 *
 *   an arena segment (created by the side that allocates in it)
 *   +--------+---------------+--------+---------------+---
 *   | header | payload ...   | header | payload ...   |      extents are multiples of 4 KiB
 *   +--------+---------------+--------+---------------+---
 *
 *   a record in a ring
 *   +0 u32 bytes, +4 u32 zero, +8 the frame, then up to 7 bytes of padding
 *
 *   a latest-value buffer (made by its writer, in memory that all its readers have mapped)
 *   0              128          256          128 * (1 + readers)
 *   +--------------+------------+------------+--------+-------------+--------+-------------+---
 *   | magic, sizes | offer to 0 | offer to 1 | header | payload ... | header | payload ... |
 *   +--------------+------------+------------+--------+-------------+--------+-------------+---
 *   2 + readers slots, all of the same size, a multiple of 128
 *
 * Who writes what stands at each field. Whatever the peer can write is read once, into a local,
 * and checked before it is used.
 */
#ifndef RBR_LAYOUT_H
#define RBR_LAYOUT_H

#include <assert.h> /* static_assert */
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Two cache lines: the hardware fetches lines in pairs. */
#define RBR_LINE 128
#define RBR_PAGE 65536 /* the largest page of the machines we know */

#define RBR_SEGMENT_MAGIC UINT64_C(0x31676e6972726272) /* "rbrring1" */

struct rbr_ring_shared {
    alignas(RBR_LINE) _Atomic uint64_t tail; /* bytes ever written; by the producer only */
    alignas(RBR_LINE) _Atomic uint64_t head; /* bytes ever consumed; by the consumer only */
};

/* What a sleeper waits for; EVENT: an event loop sleeps too, and is to be woken by the eventfd. */
enum rbr_wake_for { RBR_WAKE_DATA = 1, RBR_WAKE_ROOM = 2, RBR_WAKE_EVENT = 4 };

struct rbr_wake_shared {
    alignas(RBR_LINE) _Atomic uint32_t waiting; /* rbr_wake_for bits: set by the sleeper, cleared
                                                   by either */
    _Atomic uint32_t cpu;                       /* where the sleeper last ran; by the sleeper */
    _Atomic uint32_t hint;                      /* a futex: 1 = "look again"; set by anybody */
    uint32_t reserved;
};

#define RBR_RUNS_MAX 16 /* what is called from deeper within is not told of */
#define RBR_BEGUN_MAX 2048

/* Of calls, by the role that runs them. On lines of their own: the peer reads their neighbours at each
 * send, and these only when something went wrong. */
struct rbr_runs_shared {
    /* Ids of those that run, each called back from within the one before it; 0: none. */
    alignas(RBR_LINE) _Atomic uint64_t calls[RBR_RUNS_MAX];
    alignas(RBR_LINE) _Atomic uint64_t begun[RBR_BEGUN_MAX]; /* ids, each at its id modulo this */
};

struct rbr_segment_shared {
    uint64_t magic;      /* these four: by the host, before the worker knows of the segment */
    uint64_t session;
    uint32_t ring_bytes; /* of each ring's data */
    _Atomic uint32_t late; /* 1, by the worker: it is a relay, and `runs` hears of begins late */
    struct rbr_wake_shared wake[2]; /* by the sleeper's role on the wire: 0 host, 1 worker */
    struct rbr_ring_shared ring[2]; /* by the producer's role */
    struct rbr_runs_shared runs[2];
};

/* Before each block's payload. */
struct rbr_block_shared {
    _Atomic uint64_t returned;    /* how often the peer handed it back; by the peer, only grows */
    _Atomic uint32_t generation;  /* of the allocation; by the owner */
    uint32_t reserved;
    _Atomic uint64_t bytes;       /* of the payload; by the owner */
    uint8_t padding[40];
};

struct rbr_record_shared {
    _Atomic uint32_t bytes;
    uint32_t reserved;
};

#define RBR_LATEST_MAGIC UINT64_C(0x316574616c726272) /* "rbrlate1" */
#define RBR_LATEST_SLOT_BITS 6                        /* of an offer: the slot's number */

struct rbr_latest_shared {
    alignas(RBR_LINE) uint64_t magic; /* these four: by the writer, before a reader knows of it */
    _Atomic uint64_t room;            /* of each slot: the largest payload */
    _Atomic uint32_t readers;
    uint32_t reserved;
};

/* Instead of an offer: sequences begin at 1. */
enum rbr_latest_word { RBR_LATEST_TAKEN = 0, RBR_LATEST_RELEASED = 1, RBR_LATEST_WAITING = 2 };

/* One for each reader. */
struct rbr_latest_offer_shared {
    alignas(RBR_LINE) _Atomic uint64_t offer; /* sequence << 6 | slot: by the writer; one of the
                                                 three above: by the reader, and at first */
};

/* Before each slot's payload. */
struct rbr_latest_slot_shared {
    _Atomic uint64_t bytes; /* of the payload; by the writer */
    uint8_t padding[56];
};

#define RBR_RING_DATA_OFFSET RBR_PAGE
#define RBR_BLOCK_HEADER_BYTES 64

static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a lock inside shared memory would be per process");
static_assert(ATOMIC_INT_LOCK_FREE == 2, "a lock inside shared memory would be per process");
static_assert(sizeof(_Atomic uint64_t) == 8 && sizeof(_Atomic uint32_t) == 4, "wire layout");
static_assert(offsetof(struct rbr_ring_shared, head) == RBR_LINE, "wire layout");
static_assert(sizeof(struct rbr_ring_shared) == 2 * RBR_LINE, "wire layout");
static_assert(offsetof(struct rbr_wake_shared, hint) == 8, "wire layout");
static_assert(sizeof(struct rbr_wake_shared) == RBR_LINE, "wire layout");
static_assert(offsetof(struct rbr_segment_shared, wake) == RBR_LINE, "wire layout");
static_assert(offsetof(struct rbr_segment_shared, ring) == 3 * RBR_LINE, "wire layout");
static_assert(sizeof(struct rbr_segment_shared) <= RBR_RING_DATA_OFFSET, "wire layout");
static_assert(sizeof(struct rbr_block_shared) == RBR_BLOCK_HEADER_BYTES, "wire layout");
static_assert(sizeof(struct rbr_record_shared) == 8, "wire layout");
static_assert(offsetof(struct rbr_latest_shared, readers) == 16, "wire layout");
static_assert(sizeof(struct rbr_latest_shared) == RBR_LINE, "wire layout");
static_assert(sizeof(struct rbr_latest_offer_shared) == RBR_LINE, "wire layout");
static_assert(sizeof(struct rbr_latest_slot_shared) == 64, "wire layout");

/* Compared in the handshake: two builds that disagree about any byte above must not meet. */
#define RBR_LAYOUT_HASH                                                                            \
    (UINT64_C(2) << 32 | (uint64_t)RBR_LINE << 16 | (uint64_t)RBR_BLOCK_HEADER_BYTES)

#endif
