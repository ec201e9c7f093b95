/* SPDX-License-Identifier: MIT */
/*
 * call_progress.h - what running calls have come to, for the host. See call_progress.c.
 */
#ifndef RBR_CALL_PROGRESS_H
#define RBR_CALL_PROGRESS_H

#include "base.h"

#include <pthread.h>

/* Calls under way at once; beyond that the least recent is forgotten. */
#define RBR_PROGRESS_SLOTS 16
#define RBR_PROGRESS_TEXT_MAX 200 /* bytes of UTF-8 */
#define RBR_PROGRESS_PERIOD_NS (30 * RBR_MS)

/* The newest that is known of one call. */
typedef struct rbr_progress_slot {
    uint64_t id;      /* 0: free */
    uint64_t next_ns; /* nothing is sent before this */
    bool held;        /* there is something newer than what was sent: the watcher's to send */
    uint32_t text_bytes;
    rbr_progress numbers;
    char text[RBR_PROGRESS_TEXT_MAX];
} rbr_progress_slot;

typedef struct rbr_progress_table {
    pthread_mutex_t progress_lock;
    _Atomic uint32_t used;   /* slots that are not free */
    _Atomic uint64_t due_ns; /* when the first of those held is to be sent; 0: none is held */
    uint32_t last;           /* the slot that was used last */
    rbr_progress_slot slots[RBR_PROGRESS_SLOTS];
} rbr_progress_table;

void rbr_progress_init(rbr_channel *channel);
void rbr_progress_free(rbr_channel *channel);

/* The watcher's: when to come again (0: not before it is poked), and to send what is due by then. */
uint64_t rbr_progress_due_ns(const rbr_channel *channel);
void rbr_progress_send_due(rbr_channel *channel, uint64_t now_ns);

#endif
