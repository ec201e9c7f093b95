/* SPDX-License-Identifier: MIT */
/*
 * ringbridge_publication.h - items that one process publishes and others of the same user follow: a
 * latest-value buffer in memory of its own, whose readers come and go. See publication.c.
 *
 *   rbr_publication_new                       rbr_subscription_open
 *   rbr_publication_claim, fill, publish      rbr_latest_take, copy, verify, release
 *   rbr_publication_join  -- descriptors -->  rbr_latest_wait, poll(wait), rbr_subscription_heard
 *   rbr_publication_leave
 *
 * The two descriptors of a reader cross as the caller likes, over a Unix socket as a rule.
 *
 * Threads: claim, enlarge and publish by one thread at a time; join, leave and moves by any, at any
 * time. A subscription by one thread at a time.
 */
#ifndef RINGBRIDGE_PUBLICATION_H
#define RINGBRIDGE_PUBLICATION_H

#include "ringbridge_latest.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Readers of one publication at a time. */
#define RBR_PUBLICATION_READERS_MAX 16

/* ---------------------------------------------------------------------------- who publishes */

typedef struct rbr_publication rbr_publication;

rbr_status rbr_publication_new(rbr_publication **out, rbr_error *err);
/* Its readers keep what they have mapped. NULL is allowed. */
void rbr_publication_free(rbr_publication *self);

/* RBR_OK; RBR_FORKED: in a forked child, whose parent publishes. */
rbr_status rbr_publication_check(const rbr_publication *self, rbr_error *err);
/* Room for the next item, of *bytes. RBR_SYSTEM: the machine has no memory left for it, and the next
 * claim tries again. RBR_FORKED: as check. */
rbr_status rbr_publication_claim(rbr_publication *self, void **room, uint64_t *bytes,
                                 rbr_error *err);
/* Gives the claim up for one with room for `bytes`, of at most RBR_FRAME_BYTES_MAX: the publication
 * moves to new memory, which no reader has joined. RBR_SYSTEM: it has not moved. */
rbr_status rbr_publication_enlarge(rbr_publication *self, uint64_t bytes, rbr_error *err);
/* `bytes` of the room are the newest item now; who waits for it is woken. Waits for nobody. */
rbr_status rbr_publication_publish(rbr_publication *self, uint64_t bytes);

/* How often it has moved: then all readers that had joined before are to join again. */
uint64_t rbr_publication_moves(rbr_publication *self);
/* A reader joins, and finds the newest item, if there is one. *ticket: for leave. *reader: its number.
 * *memory, *wait: descriptors for its rbr_subscription_open; the caller closes its copies.
 * RBR_AGAIN: RBR_PUBLICATION_READERS_MAX are there. */
rbr_status rbr_publication_join(rbr_publication *self, uint64_t *ticket, uint32_t *reader,
                                int *memory, int *wait, rbr_error *err);
/* That reader has gone. Nothing for one that had left, or had joined before the last move. */
void rbr_publication_leave(rbr_publication *self, uint64_t ticket);

/* ------------------------------------------------------------------------------ who follows */

typedef struct rbr_subscription {
    rbr_latest_reader reader; /* for the calls of ringbridge_latest.h */
    int wait; /* to poll: readable once what rbr_latest_wait waited for has come */
    void *base; /* private */
    uint64_t bytes; /* private */
} rbr_subscription;

/* Owns both descriptors from here on, also on failure. RBR_BROKEN: they are of no publication, or no
 * reader has that number, or the memory could shrink. */
rbr_status rbr_subscription_open(rbr_subscription *out, int memory, uint32_t reader, int wait,
                                 rbr_error *err);
/* Makes `wait` not readable again. Before the next rbr_latest_take. False: nobody will make it readable
 * any more, since the publication has moved or ended, and it stays so: do not poll it. */
bool rbr_subscription_heard(rbr_subscription *self);
void rbr_subscription_close(rbr_subscription *self);

#ifdef __cplusplus
}
#endif
#endif
