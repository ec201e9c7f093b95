/* SPDX-License-Identifier: MIT */
/*
 * exchange.h - sending and waiting: the state that threads of one process share. The invariants stand in
 * exchange.c; bookkeeping: waiters.c, deliver.c; event loops: inbox.c; sending: send.c.
 */
#ifndef RBR_EXCHANGE_H
#define RBR_EXCHANGE_H

#include "message.h"
#include "ring.h"

#include <pthread.h>
#include <semaphore.h>

#define RBR_PENDING_BUCKETS_FIRST 1024 /* ids count up, so the chains stay even */
#define RBR_PENDING_BUCKETS_MAX 65536

/*
 * What may wait for a call until somebody takes it. A bound on bytes is on those that wait already: one
 * frame more may be of any size. What a peer that keeps to the protocol sends is always below.
 *
 *   answer      one; another one is dropped, as it is once the first was taken
 *   items       a worker is parked at 64 MiB, and at 1,024 of them. More break the channel
 *   callbacks   as many as threads over there may wait, by default. More are refused
 *   asides      Log, Progress (only the newest waits), and Release, for which the call's end will do.
 *               More are dropped. Their bytes are those of all calls
 */
enum rbr_sort { RBR_SORT_ANSWER, RBR_SORT_ITEM, RBR_SORT_CALLBACK, RBR_SORT_ASIDE, RBR_SORTS };

#define RBR_ITEMS_MAX 4096
#define RBR_ITEM_BYTES_MAX (64 * RBR_MIB)
#define RBR_CALLBACKS_MAX 32768
#define RBR_CALLBACK_BYTES_MAX (256 * RBR_MIB)
#define RBR_ASIDES_MAX 1024
#define RBR_ASIDE_BYTES_MAX (64 * RBR_MIB)
#define RBR_REQUEST_BYTES_MAX                                                                      \
    (64 * RBR_MIB) /* of a client, read while its application waited for it */

/* Bytes of frames that wait for room in the ring, beyond which a sender waits. */
#define RBR_UNSENT_BYTES_MAX (64 * RBR_MIB)

enum rbr_want_kind { RBR_WANT_ANSWER, RBR_WANT_REQUEST, RBR_WANT_ROOM };

/* First in, first out. */
typedef struct rbr_queue {
    rbr_message *first, *last;
} rbr_queue;

struct rbr_inbox {
    rbr_channel *channel;
    rbr_queue queue;
    bool background;    /* who waits for it reads only while nobody else does */
    bool armed;         /* its event loop sleeps; only with an event */
    int event;          /* an eventfd of this process; -1: threads wait for it */
    int poll; /* what the loop polls: an epoll of this event and the peer's; -1 likewise */
    rbr_inbox *next; /* in exchange.inboxes */
};

/* A thread that sleeps because another one reads; lives on its stack. */
typedef struct rbr_sleeper {
    sem_t wake;
    const struct rbr_want *want;
    bool queued;
    struct rbr_sleeper *prev, *next;
} rbr_sleeper;

/* What rbr_pending really holds. */
typedef struct rbr_pending_call {
    rbr_channel *channel;
    uint64_t id;
    uint64_t nested; /* requests made within this call are wanted, too; 0: none */
    struct rbr_pending_call *next; /* in its bucket */
    rbr_inbox *inbox; /* where its messages go; NULL: to its own queue */
    rbr_queue queue;
    rbr_message *progress; /* the one that waits, here or in the inbox; NULL: none does */
    struct {
        uint64_t bytes;
        uint32_t count;
    } waiting[RBR_SORTS]; /* here, or in the inbox */
    rbr_sleeper *sleeper;
} rbr_pending_call;

/* A frame that found no room in the ring. Its blocks are counted as sent, and held. */
typedef struct rbr_unsent {
    struct rbr_unsent *next;
    uint64_t id; /* of a call; 0: not one */
    rbr_block **blocks;
    size_t block_count;
    uint32_t size;
    _Alignas(8) uint8_t bytes[];
} rbr_unsent;

typedef struct rbr_exchange {
    pthread_mutex_t send_lock;
    rbr_producer producer;
    rbr_unsent *unsent_first, *unsent_last;
    uint64_t unsent_bytes;
    _Atomic uint32_t unsent_next; /* size of the first of them; 0: none. Read without the lock */
    _Atomic uint64_t frames_sent, bytes_sent;

    pthread_mutex_t lock;
    bool reading; /* some thread has the reader role, and with it the consumer */
    bool background; /* ... for an inbox that yields */
    _Atomic bool give_way; /* the background reader shall leave: somebody waits */
    rbr_consumer consumer;
    bool large; /* the frame that was just read; the reader's */
    uint64_t late_bytes; /* read since the final state; the reader's */
    rbr_sleeper *sleepers;
    _Atomic uint32_t room_sleepers; /* of them, how many wait for room */
    rbr_pending_call **pending; /* buckets, a power of two of them */
    uint32_t pending_mask, pending_count;
    uint64_t last_id;
    rbr_inbox own; /* requests; in a host also what was directed there */
    uint32_t nested_queued; /* in it, requests with a parent */
    uint64_t own_bytes;     /* in it, of requests */
    uint64_t aside_bytes; /* of the asides of all calls */
    rbr_inbox *inboxes; /* of event loops */
    uint32_t armed; /* of them, how many are */
    int event; /* what the peer sets to wake our loops; -1: no loop has asked */
    _Atomic uint64_t frames_received, bytes_received, dropped_answers, dropped_asides;
} rbr_exchange;

/* What a thread waits for. */
typedef struct rbr_want {
    enum rbr_want_kind kind;
    rbr_pending_call *call; /* ANSWER */
    rbr_inbox *inbox; /* REQUEST */
    uint32_t bytes; /* ROOM */
    rbr_message *message; /* out: ANSWER, REQUEST */
} rbr_want;

/* waiters.c; all under exchange.lock. */
void rbr_sleeper_add(rbr_exchange *exchange, rbr_sleeper *sleeper);
void rbr_sleeper_remove(rbr_exchange *exchange, rbr_sleeper *sleeper);
/* Wakes it: it is no longer in the list. */
void rbr_sleeper_wake(rbr_exchange *exchange, rbr_sleeper *sleeper);
/* Wakes those whose record has room now. */
void rbr_sleepers_wake_room(rbr_exchange *exchange);
/* E1 of exchange.c: to be called by whoever leaves, or arms an inbox. */
void rbr_sleepers_offer_role(rbr_channel *channel);
/* A call of ours that has not ended; NULL: none has this id. */
rbr_pending_call *rbr_pending_find(rbr_exchange *exchange, uint64_t id);

/* deliver.c; all under exchange.lock. */
/* Takes out the first message; NULL when there is none. */
rbr_message *rbr_queue_take(rbr_queue *queue);
void rbr_queue_drop(rbr_queue *queue);
/* What is in this queue waits no longer. */
void rbr_queue_uncount(rbr_exchange *exchange, const rbr_queue *queue);
/* Puts a message where it belongs; gives back what is to be discarded: this one, when nobody waits for
 * it, or one that it has replaced. RBR_AGAIN: to be refused, too many wait. RBR_BROKEN: too many. */
rbr_status rbr_deliver(rbr_channel *channel, rbr_message **message);
/* Ends a callback that was not delivered: its caller is told so. Not under the lock. */
void rbr_message_refuse(rbr_channel *channel, rbr_message *message);
/* Who was woken for a request within the call `parent` may leave with something else: wakes another
 * one for it. */
void rbr_deliver_left_behind(rbr_exchange *exchange, uint64_t parent);
/* Whether the want is met already; takes the message out. */
bool rbr_want_is_met(rbr_channel *channel, rbr_want *want);

/* send.c: what of the unsent frames has room goes into the ring. */
void rbr_send_unsent(rbr_channel *channel);
/* Whether anybody waits for room in the ring: threads, unsent frames. */
bool rbr_room_is_wanted(const rbr_exchange *exchange);
void rbr_unsent_free(rbr_channel *channel);
/* inbox.c; under exchange.lock. Wakes the loop of an inbox, of all, where armed. (One of several might
 * be a loop that was stopped: nobody would read.) free: the descriptors of the channel's own. */
void rbr_inbox_wake(rbr_exchange *exchange, rbr_inbox *inbox);
void rbr_inboxes_wake_all(rbr_exchange *exchange);
void rbr_inbox_free_own(rbr_channel *channel);
rbr_status rbr_exchange_init(rbr_channel *channel);
void rbr_exchange_free(rbr_channel *channel);
/* Messages that nobody received: they hold blocks, which hold the channel's memory. */
void rbr_exchange_drop_inbox(rbr_channel *channel);
/* Waits until the ring that we write has room for a record; reads meanwhile. */
rbr_status rbr_exchange_wait_room(rbr_channel *channel, uint32_t bytes, uint64_t deadline_ns);
/* Wakes every thread and loop that waits in this process, so that it sees the final state. */
void rbr_exchange_wake_all(rbr_channel *channel);

#endif
