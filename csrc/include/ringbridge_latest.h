/* SPDX-License-Identifier: MIT */
/*
 * ringbridge_latest.h - a buffer in memory that processes share: one writer, several readers, and
 * the newest item wins. See latest.c for the invariants.
 *
 *   rbr_latest_writer writer;              rbr_latest_reader reader;
 *   rbr_latest_writer_init                 rbr_latest_reader_init
 *   rbr_latest_claim, fill, publish        rbr_latest_take, copy, verify, release
 *
 * Nobody waits for anybody: the writer overwrites what no reader took, and each reader gets the
 * newest item there is. A reader may say that it is about to sleep, and the writer hears of it when it
 * publishes; how one sleeps and is woken is not known here.
 *
 * Not thread-safe: the writer's calls are made by one thread at a time, and so are each reader's;
 * rbr_latest_has_newer may be called by any thread.
 */
#ifndef RINGBRIDGE_LATEST_H
#define RINGBRIDGE_LATEST_H

#include "ringbridge.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Readers of one buffer. */
#define RBR_LATEST_READERS_MAX 62

/* The writer's end. Its fields are private; `room` and `waited` may be read. */
typedef struct rbr_latest_writer {
    struct rbr_latest_offer_shared *offers;
    uint8_t *slots;
    uint64_t room, stride; /* of a slot: the largest payload, and all of it */
    uint64_t newest;       /* the offer of what was published last; 0: nothing yet */
    uint64_t held[RBR_LATEST_READERS_MAX]; /* the slot that each took last, as a bit */
    uint32_t readers;
    uint32_t claimed;      /* the slot that is being written; none between publish and claim */
    uint64_t waited;       /* bit i: reader i waited for what was published last */
} rbr_latest_writer;

/* A reader's end. Its fields are private; `room` may be read. */
typedef struct rbr_latest_reader {
    struct rbr_latest_offer_shared *mine;
    uint8_t *slots;
    uint64_t room, stride;
    uint64_t sequence; /* of the item taken last; 0: none yet */
    uint32_t readers;
} rbr_latest_reader;

/* How much memory it takes for `readers` (1 to RBR_LATEST_READERS_MAX) and payloads up to `room`
 * bytes (below 2^48). The memory may begin at any address, provided that all processes see the same
 * remainder by 128 there: a mapping begins at a page. */
uint64_t rbr_latest_bytes(uint32_t readers, uint64_t room);

/* Memory of rbr_latest_bytes. No reader may know of it yet. */
void rbr_latest_writer_init(rbr_latest_writer *writer, void *memory, uint32_t readers,
                            uint64_t room);
/* Room for one payload of up to `room` bytes, 64-byte aligned. There always is; a claim that was not
 * published is given up. */
void *rbr_latest_claim(rbr_latest_writer *writer);
/* What was written to the room of the last claim, `bytes` of it, is the newest item now, and `waited`
 * says whom to wake. RBR_TOO_BIG: more than the room; nothing has changed. */
rbr_status rbr_latest_publish(rbr_latest_writer *writer, uint64_t bytes);
/* That reader has ended, and its number is free for another, who gets the newest item. It may come
 * between a claim and its publish. */
void rbr_latest_drop_reader(rbr_latest_writer *writer, uint32_t number);
/* That reader is done with, and may still look a last time: it finds the newest item if it has not
 * taken it, and not once more if it has. Before the next one with its number: rbr_latest_drop_reader. */
void rbr_latest_part_reader(rbr_latest_writer *writer, uint32_t number);
/* As drop_reader for each reader whose process has ended. pidfds: of the process that has that number, -1
 * for none; as many as there are readers. Those of the ended are closed and become -1. Returns how
 * many they were. Never waits: before a publish it costs one poll(). */
uint32_t rbr_latest_drop_ended(rbr_latest_writer *writer, int *pidfds);

/* `memory` of `bytes` is what the writer made. Each number is one reader's at a time.
 * RBR_BROKEN: it is no such buffer, or has no such number. */
rbr_status rbr_latest_reader_init(rbr_latest_reader *reader, void *memory, uint64_t bytes,
                                  uint32_t number);
/* The newest item, if it is newer than the last one taken, whose bytes are gone then; those of this
 * one stay until release, or the next take that gives RBR_OK. Sequences count the items published,
 * from 1: what is missing between two was never seen. The writer may be broken and still scribble on
 * the bytes: copy first, then verify the copy. RBR_AGAIN: nothing newer. RBR_BROKEN: slot, size or
 * sequence are impossible. */
rbr_status rbr_latest_take(rbr_latest_reader *reader, const void **payload, uint64_t *bytes,
                           uint64_t *sequence);
/* The bytes of the item taken last are not needed any more. Nobody waits for that: it lets the writer
 * do with fewer slots, which are warmer then. */
void rbr_latest_release(rbr_latest_reader *reader);
/* Releases too, and says that this reader waits: the next publish finds it in `waited`, once. False: it
 * need not wait, there is something newer to take. Nothing is missed: it is the exchanged word itself
 * that says so. */
bool rbr_latest_wait(rbr_latest_reader *reader);
/* Whether a take could succeed now. A look, without order: whoever sleeps looks behind a fence. */
bool rbr_latest_has_newer(const rbr_latest_reader *reader);

#ifdef __cplusplus
}
#endif
#endif
