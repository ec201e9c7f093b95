/* SPDX-License-Identifier: MIT */
/*
 * waiters.c - who waits for what in this process: sleeping threads, pending calls, the inbox.
 *
 * Bookkeeping only: nothing here sleeps or touches the rings. All of it is under exchange.lock;
 * exchange.c decides who reads.
 */
#include "channel.h"

#include "os.h"

static_assert(sizeof(rbr_pending_call) <= sizeof(rbr_pending), "fits the public type");

void
rbr_exchange_init(rbr_channel *channel)
{
    pthread_mutex_init(&channel->exchange.send_lock, NULL);
    pthread_mutex_init(&channel->exchange.lock, NULL);
}

void
rbr_exchange_drop_inbox(rbr_channel *channel)
{
    rbr_message *message = channel->exchange.inbox_first, *next;

    for (; message != NULL; message = next) {
        next = message->next;
        rbr_message_free(message);
    }
    channel->exchange.inbox_first = channel->exchange.inbox_last = NULL;
}

void
rbr_exchange_free(rbr_channel *channel)
{
    rbr_exchange_drop_inbox(channel);
    pthread_mutex_destroy(&channel->exchange.send_lock);
    pthread_mutex_destroy(&channel->exchange.lock);
}

/* -------------------------------------------------------------- sleepers; all under exchange.lock */

#ifdef RBR_VERIFY_BUILD
static bool
sleepers_are_sound(const rbr_exchange *exchange)
{
    const rbr_sleeper *sleeper, *before = NULL;
    uint32_t for_room = 0;

    for (sleeper = exchange->sleepers; sleeper != NULL; before = sleeper, sleeper = sleeper->next) {
        assert(sleeper->queued && sleeper->prev == before);
        for_room += sleeper->kind == RBR_WANT_ROOM;
    }
    assert(exchange->room_sleepers == for_room);
    return true;
}
#endif

void
rbr_sleeper_add(rbr_exchange *exchange, rbr_sleeper *sleeper)
{
    sleeper->prev = NULL;
    sleeper->next = exchange->sleepers;
    if (sleeper->next != NULL)
        sleeper->next->prev = sleeper;
    exchange->sleepers = sleeper;
    sleeper->queued = true;
    if (sleeper->kind == RBR_WANT_ROOM)
        atomic_fetch_add_explicit(&exchange->room_sleepers, 1, memory_order_relaxed);
    RBR_VERIFY(sleepers_are_sound(exchange));
}

void
rbr_sleeper_remove(rbr_exchange *exchange, rbr_sleeper *sleeper)
{
    if (!sleeper->queued)
        return;
    if (sleeper->prev != NULL)
        sleeper->prev->next = sleeper->next;
    else
        exchange->sleepers = sleeper->next;
    if (sleeper->next != NULL)
        sleeper->next->prev = sleeper->prev;
    sleeper->queued = false;
    if (sleeper->kind == RBR_WANT_ROOM)
        atomic_fetch_sub_explicit(&exchange->room_sleepers, 1, memory_order_relaxed);
    RBR_VERIFY(sleepers_are_sound(exchange));
}

static void
sleeper_wake(rbr_exchange *exchange, rbr_sleeper *sleeper)
{
    rbr_sleeper_remove(exchange, sleeper);
    sem_post(&sleeper->wake);
}

void
rbr_sleepers_wake_request(rbr_exchange *exchange)
{
    rbr_sleeper *sleeper = exchange->sleepers;

    while (sleeper != NULL && sleeper->kind != RBR_WANT_REQUEST)
        sleeper = sleeper->next;
    if (sleeper != NULL)
        sleeper_wake(exchange, sleeper);
}

void
rbr_sleepers_wake_room(rbr_exchange *exchange)
{
    rbr_sleeper *sleeper = exchange->sleepers, *next;

    for (; sleeper != NULL; sleeper = next) {
        next = sleeper->next;
        if (sleeper->kind == RBR_WANT_ROOM &&
            rbr_producer_has_room(&exchange->producer, sleeper->bytes))
            sleeper_wake(exchange, sleeper);
    }
}

void
rbr_sleepers_offer_role(rbr_exchange *exchange)
{
    if (!exchange->reading && exchange->sleepers != NULL)
        sleeper_wake(exchange, exchange->sleepers);
}

void
rbr_exchange_wake_all(rbr_channel *channel)
{
    rbr_exchange *exchange = &channel->exchange;

    pthread_mutex_lock(&exchange->lock);
    while (exchange->sleepers != NULL)
        sleeper_wake(exchange, exchange->sleepers);
    if (atomic_load(&channel->watch.handshaken)) /* else nobody sleeps on it, or it is unmapped */
        rbr_wake_self(&channel->wake);
    pthread_mutex_unlock(&exchange->lock);
}

/* --------------------------------------------------------------- pending calls; under the same lock */

static rbr_pending_call **
pending_bucket(rbr_exchange *exchange, uint64_t id)
{
    return &exchange->pending[id % RBR_PENDING_BUCKETS];
}

static rbr_pending_call *
pending_find(rbr_exchange *exchange, uint64_t id)
{
    rbr_pending_call *call = *pending_bucket(exchange, id);

    while (call != NULL && call->id != id)
        call = call->next;
    return call;
}

static void
pending_remove(rbr_exchange *exchange, rbr_pending_call *call)
{
    rbr_pending_call **link = pending_bucket(exchange, call->id);

    while (*link != NULL && *link != call)
        link = &(*link)->next;
    if (*link == call)
        *link = call->next;
}

uint64_t
rbr_pending_begin(rbr_pending *pending, rbr_channel *channel)
{
    rbr_exchange *exchange = &channel->exchange;
    rbr_pending_call *call = (rbr_pending_call *)pending;
    rbr_pending_call **bucket;

    if (!rbr_os_fork_check(channel->fork_token)) { /* the lock may be held for ever */
        *call = (rbr_pending_call){.channel = channel};
        return 0;
    }
    pthread_mutex_lock(&exchange->lock);
    *call = (rbr_pending_call){.channel = channel, .id = ++exchange->last_id};
    bucket = pending_bucket(exchange, call->id);
    call->next = *bucket;
    *bucket = call;
    pthread_mutex_unlock(&exchange->lock);
    return call->id;
}

void
rbr_pending_end(rbr_pending *pending)
{
    rbr_pending_call *call = (rbr_pending_call *)pending;
    rbr_exchange *exchange = &call->channel->exchange;
    rbr_message *late;

    if (!rbr_os_fork_check(call->channel->fork_token))
        return;
    pthread_mutex_lock(&exchange->lock);
    pending_remove(exchange, call);
    late = call->answer;
    pthread_mutex_unlock(&exchange->lock);
    rbr_message_free(late);
}

/* ------------------------------------------------------------------------------------ delivering */

bool
rbr_message_answers(const rbr_message *message)
{
    return message->body_type == RBR_BODY_RESULT || message->body_type == RBR_BODY_ERROR ||
           message->body_type == RBR_BODY_LOADED;
}

rbr_message *
rbr_deliver(rbr_channel *channel, rbr_message *message)
{
    rbr_exchange *exchange = &channel->exchange;
    rbr_pending_call *call;

    if (rbr_message_answers(message)) {
        call = pending_find(exchange, message->id);
        if (call == NULL || call->answer != NULL) {
            atomic_fetch_add_explicit(&exchange->dropped_answers, 1, memory_order_relaxed);
            return message;
        }
        call->answer = message;
        if (call->sleeper != NULL)
            sleeper_wake(exchange, call->sleeper);
        return NULL;
    }
    if (channel->role == RBR_ROLE_HOST)
        return message; /* this version of the host answers no requests */
    if (exchange->inbox_last != NULL)
        exchange->inbox_last->next = message;
    else
        exchange->inbox_first = message;
    exchange->inbox_last = message;
    rbr_sleepers_wake_request(exchange);
    return NULL;
}

bool
rbr_want_is_met(rbr_channel *channel, rbr_want *want)
{
    rbr_exchange *exchange = &channel->exchange;

    switch (want->kind) {
    case RBR_WANT_ANSWER:
        want->message = want->call->answer;
        want->call->answer = NULL;
        return want->message != NULL;
    case RBR_WANT_REQUEST:
        want->message = exchange->inbox_first;
        if (want->message == NULL)
            return false;
        exchange->inbox_first = want->message->next;
        if (exchange->inbox_first == NULL)
            exchange->inbox_last = NULL;
        return true;
    case RBR_WANT_ROOM:
        return rbr_producer_has_room(&exchange->producer, want->bytes);
    }
    return false;
}
