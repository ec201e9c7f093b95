/* SPDX-License-Identifier: MIT */
/*
 * waiters.c - who waits for what in this process: sleeping threads, pending calls.
 *
 * Bookkeeping only: nothing here sleeps or touches the rings. All of it is under exchange.lock;
 * exchange.c decides who reads.
 */
#include "channel.h"

#include "os.h"

#include <stdlib.h>

static_assert(sizeof(rbr_pending_call) <= sizeof(rbr_pending), "fits the public type");

rbr_status
rbr_exchange_init(rbr_channel *channel)
{
    rbr_exchange *exchange = &channel->exchange;

    pthread_mutex_init(&exchange->send_lock, NULL);
    pthread_mutex_init(&exchange->lock, NULL);
    exchange->event = -1;
    exchange->own = (rbr_inbox){
        .channel = channel, .background = channel->role == RBR_ROLE_HOST, .event = -1, .poll = -1};
    exchange->pending = calloc(RBR_PENDING_BUCKETS_FIRST, sizeof *exchange->pending);
    exchange->pending_mask = RBR_PENDING_BUCKETS_FIRST - 1;
    return exchange->pending != NULL ? RBR_OK : RBR_NO_MEMORY;
}

void
rbr_exchange_drop_inbox(rbr_channel *channel)
{
    rbr_queue_drop(&channel->exchange.own.queue);
    rbr_unsent_free(channel);
}

void
rbr_exchange_free(rbr_channel *channel)
{
    rbr_exchange_drop_inbox(channel);
    free(channel->exchange.pending);
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
        for_room += sleeper->want->kind == RBR_WANT_ROOM;
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
    if (sleeper->want->kind == RBR_WANT_ROOM)
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
    if (sleeper->want->kind == RBR_WANT_ROOM)
        atomic_fetch_sub_explicit(&exchange->room_sleepers, 1, memory_order_relaxed);
    RBR_VERIFY(sleepers_are_sound(exchange));
}

void
rbr_sleeper_wake(rbr_exchange *exchange, rbr_sleeper *sleeper)
{
    rbr_sleeper_remove(exchange, sleeper);
    sem_post(&sleeper->wake);
}

void
rbr_sleepers_wake_room(rbr_exchange *exchange)
{
    rbr_sleeper *sleeper = exchange->sleepers, *next;

    for (; sleeper != NULL; sleeper = next) {
        next = sleeper->next;
        if (sleeper->want->kind == RBR_WANT_ROOM &&
            rbr_producer_has_room(&exchange->producer, sleeper->want->bytes))
            rbr_sleeper_wake(exchange, sleeper);
    }
}

static bool
in_background(const rbr_sleeper *sleeper)
{
    return sleeper->want->kind == RBR_WANT_REQUEST && sleeper->want->inbox->background;
}

/* Only event loops sleep: the peer shall wake them, unless there is something already. */
static void
leave_it_to_loops(rbr_channel *channel)
{
    rbr_exchange *exchange = &channel->exchange;
    uint32_t unsent = atomic_load_explicit(&exchange->unsent_next, memory_order_relaxed);
    /* An application takes nothing from a client that does not take its answers. */
    bool closed = unsent != 0 && channel->served && channel->role == RBR_ROLE_WORKER;

    if (!atomic_load(&channel->watch.handshaken))
        return;
    rbr_wake_add_reason(&channel->wake, RBR_WAKE_EVENT | (closed ? RBR_WAKE_ROOM : RBR_WAKE_DATA));
    /* Behind F1: who posts a frame after this look adds the reason himself. */
    unsent = atomic_load_explicit(&exchange->unsent_next, memory_order_relaxed);
    if (unsent != 0) {
        rbr_wake_add_reason(&channel->wake, RBR_WAKE_ROOM);
    } else if (closed) { /* it has gone since */
        closed = false;
        rbr_wake_add_reason(&channel->wake, RBR_WAKE_DATA);
    }
    if ((!closed && rbr_consumer_has_data(&exchange->consumer)) ||
        (unsent != 0 && rbr_producer_has_room(&exchange->producer, unsent)))
        rbr_inboxes_wake_all(exchange);
}

void
rbr_sleepers_offer_role(rbr_channel *channel)
{
    rbr_exchange *exchange = &channel->exchange;
    rbr_sleeper *sleeper = exchange->sleepers;

    if (exchange->reading)
        return;
    if (sleeper != NULL) {
        while (in_background(sleeper) && sleeper->next != NULL)
            sleeper = sleeper->next;
        rbr_sleeper_wake(exchange, sleeper);
    } else if (exchange->armed > 0) {
        leave_it_to_loops(channel);
    }
}

void
rbr_exchange_wake_all(rbr_channel *channel)
{
    rbr_exchange *exchange = &channel->exchange;

    pthread_mutex_lock(&exchange->lock);
    while (exchange->sleepers != NULL)
        rbr_sleeper_wake(exchange, exchange->sleepers);
    rbr_inboxes_wake_all(exchange);
    if (atomic_load(&channel->watch.handshaken)) /* else nobody sleeps on it, or it is unmapped */
        rbr_wake_self(&channel->wake);
    pthread_mutex_unlock(&exchange->lock);
}

/* --------------------------------------------------------------- pending calls; under the same lock */

static rbr_pending_call **
pending_bucket(rbr_exchange *exchange, uint64_t id)
{
    return &exchange->pending[id & exchange->pending_mask];
}

rbr_pending_call *
rbr_pending_find(rbr_exchange *exchange, uint64_t id)
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
    if (*link != call)
        return;
    *link = call->next;
    exchange->pending_count--;
}

/* Keeps the chains short, where there is memory for it. */
static void
pending_spread(rbr_exchange *exchange)
{
    const uint32_t old = exchange->pending_mask + 1, wanted = 4 * old;
    rbr_pending_call **fresh, *call, *next, **bucket;
    uint32_t i;

    if (exchange->pending_count < 4 * old || wanted > RBR_PENDING_BUCKETS_MAX)
        return;
    fresh = calloc(wanted, sizeof *fresh);
    if (fresh == NULL)
        return;
    for (i = 0; i < old; i++)
        for (call = exchange->pending[i]; call != NULL; call = next) {
            next = call->next;
            bucket = &fresh[call->id & (wanted - 1)];
            call->next = *bucket;
            *bucket = call;
        }
    free(exchange->pending);
    exchange->pending = fresh;
    exchange->pending_mask = wanted - 1;
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
    pending_spread(exchange);
    *call = (rbr_pending_call){.channel = channel, .id = ++exchange->last_id};
    bucket = pending_bucket(exchange, call->id);
    call->next = *bucket;
    *bucket = call;
    exchange->pending_count++;
    pthread_mutex_unlock(&exchange->lock);
    return call->id;
}

void
rbr_pending_direct(rbr_pending *pending, rbr_inbox *inbox)
{
    rbr_pending_call *call = (rbr_pending_call *)pending;

    if (call->id == 0) /* of a forked child, where nothing comes for it */
        return;
    pthread_mutex_lock(&call->channel->exchange.lock); /* who closes an inbox looks at all calls */
    call->inbox = inbox;
    pthread_mutex_unlock(&call->channel->exchange.lock);
}

void
rbr_pending_nest(rbr_pending *pending, uint64_t call)
{
    rbr_pending_call *waiting = (rbr_pending_call *)pending;

    if (waiting->id == 0)
        return;
    pthread_mutex_lock(&waiting->channel->exchange.lock); /* who delivers looks at it */
    waiting->nested = call;
    pthread_mutex_unlock(&waiting->channel->exchange.lock);
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
    rbr_queue_uncount(exchange, &call->queue);
    pthread_mutex_unlock(&exchange->lock);
    while ((late = rbr_queue_take(&call->queue)) != NULL) /* nobody else reaches it any more */
        rbr_message_discard(call->channel, late);
}
