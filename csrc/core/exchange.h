/* SPDX-License-Identifier: MIT */
/*
 * exchange.h - sending and waiting: the state that threads of one process share. See exchange.c for
 * the invariants, waiters.c for the bookkeeping, send.c for sending.
 */
#ifndef RBR_EXCHANGE_H
#define RBR_EXCHANGE_H

#include "message.h"
#include "ring.h"

#include <pthread.h>
#include <semaphore.h>

#define RBR_PENDING_BUCKETS 1024 /* ids count up, so the chains stay even */

enum rbr_want_kind { RBR_WANT_ANSWER, RBR_WANT_REQUEST, RBR_WANT_ROOM };

/* A thread that sleeps because another one reads; lives on its stack. */
typedef struct rbr_sleeper {
    sem_t wake;
    enum rbr_want_kind kind;
    uint32_t bytes; /* ROOM */
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
    bool large;           /* the frame that was just read; the reader's */
    uint64_t late_bytes;  /* read since the final state; the reader's */
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
/* Wakes one who waits for a request. */
void rbr_sleepers_wake_request(rbr_exchange *exchange);
/* Wakes those whose record has room now. */
void rbr_sleepers_wake_room(rbr_exchange *exchange);
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
/* Requests that nobody received: they hold blocks, which hold the channel's memory. */
void rbr_exchange_drop_inbox(rbr_channel *channel);
/* Waits until the ring that we write has room for a record; reads meanwhile. */
rbr_status rbr_exchange_wait_room(rbr_channel *channel, uint32_t bytes, uint64_t deadline_ns);
/* Wakes every thread that waits in this process, so that it sees the final state. */
void rbr_exchange_wake_all(rbr_channel *channel);

#endif
