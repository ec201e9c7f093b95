/* SPDX-License-Identifier: MIT */
/*
 * exchange.c - waiting.
 *
 * Whoever waits, reads: of all threads that wait for something, one has the reader role. It alone
 * uses the consumer; what it finds for others it delivers, and leaving it wakes another sleeper to
 * take the role. No thread of ours stands between the ring and the thread that wants the answer.
 *
 *   want          met by
 *   ANSWER        the frame with the id of our pending call
 *   REQUEST       any frame that answers nothing: the inbox
 *   ROOM          the peer consumed enough of the ring that we write
 *
 * Invariants
 *   E1  while a thread sleeps in this process, some thread has the reader role or is on its way to
 *       take it: every thread that leaves while the role is free wakes one sleeper.
 *   E2  a waiter for room also reads, so two full rings never face each other.
 *   E3  what the peer committed before its end is delivered before the end is reported.
 */
#include "channel.h"

#include "os.h"

#include <stdlib.h>
#include <string.h>

typedef struct rbr_want {
    enum rbr_want_kind kind;
    rbr_pending_call *call; /* ANSWER */
    uint32_t bytes;         /* ROOM */
    rbr_message *message;   /* out: ANSWER, REQUEST */
} rbr_want;

static_assert(sizeof(rbr_pending_call) <= sizeof(rbr_pending), "fits the public type");

void
rbr_exchange_init(rbr_channel *channel)
{
    pthread_mutex_init(&channel->exchange.send_lock, NULL);
    pthread_mutex_init(&channel->exchange.lock, NULL);
}

void
rbr_exchange_free(rbr_channel *channel)
{
    rbr_message *message = channel->exchange.inbox_first, *next;

    for (; message != NULL; message = next) {
        next = message->next;
        rbr_message_free(message);
    }
    channel->exchange.inbox_first = NULL;
    pthread_mutex_destroy(&channel->exchange.send_lock);
    pthread_mutex_destroy(&channel->exchange.lock);
}

/* -------------------------------------------------------------- sleepers; all under exchange.lock */

static void
sleeper_add(rbr_exchange *exchange, rbr_sleeper *sleeper)
{
    sleeper->prev = NULL;
    sleeper->next = exchange->sleepers;
    if (sleeper->next != NULL)
        sleeper->next->prev = sleeper;
    exchange->sleepers = sleeper;
    sleeper->queued = true;
    if (sleeper->kind == RBR_WANT_ROOM)
        atomic_fetch_add_explicit(&exchange->room_sleepers, 1, memory_order_relaxed);
}

static void
sleeper_remove(rbr_exchange *exchange, rbr_sleeper *sleeper)
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
}

static void
sleeper_wake(rbr_exchange *exchange, rbr_sleeper *sleeper)
{
    sleeper_remove(exchange, sleeper);
    sem_post(&sleeper->wake);
}

static void
wake_kind(rbr_exchange *exchange, enum rbr_want_kind kind, bool all)
{
    rbr_sleeper *sleeper = exchange->sleepers, *next;

    for (; sleeper != NULL; sleeper = next) {
        next = sleeper->next;
        if (sleeper->kind != kind)
            continue;
        sleeper_wake(exchange, sleeper);
        if (!all)
            return;
    }
}

/* E1: to be called by whoever leaves. */
static void
offer_role(rbr_exchange *exchange)
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
    pthread_mutex_unlock(&exchange->lock);
    if (atomic_load(&channel->watch.handshaken)) /* before that nobody can sleep on it */
        rbr_wake_self(&channel->wake);
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

static bool
answers(const rbr_message *message)
{
    return message->body_type == RBR_BODY_RESULT || message->body_type == RBR_BODY_ERROR ||
           message->body_type == RBR_BODY_LOADED;
}

/* Puts a message where it belongs; gives it back when nobody waits for it. Under the lock. */
static rbr_message *
deliver(rbr_channel *channel, rbr_message *message)
{
    rbr_exchange *exchange = &channel->exchange;
    rbr_pending_call *call;

    if (answers(message)) {
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
    wake_kind(exchange, RBR_WANT_REQUEST, false);
    return NULL;
}

/* Whether the want is met already. Under the lock. */
static bool
is_met(rbr_channel *channel, rbr_want *want)
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

/* ------------------------------------------------------------------------------- the reader role */

/* Reads one frame. RBR_OK: it (or the room) is what we want. RBR_AGAIN: it was for somebody else.
 * RBR_TIMED_OUT: the ring is empty. */
static rbr_status
read_one(rbr_channel *channel, rbr_want *want)
{
    rbr_exchange *exchange = &channel->exchange;
    rbr_error error = {.status = RBR_OK};
    rbr_message *message;
    const void *record;
    uint32_t size;
    rbr_status status = rbr_consumer_next(&exchange->consumer, &record, &size);
    bool mine;

    if (status == RBR_AGAIN)
        return RBR_TIMED_OUT;
    if (status != RBR_OK) {
        rbr_channel_latch(channel, RBR_BROKEN,
                          "the peer's ring header is impossible (tail or record size)");
        return RBR_BROKEN;
    }
    status = rbr_message_read(&message, channel, record, size, &error);
    if (status == RBR_NO_MEMORY || status == RBR_BROKEN) {
        rbr_channel_latch(channel, RBR_BROKEN, "%s", error.text);
        return RBR_BROKEN;
    }
    atomic_fetch_add_explicit(&exchange->frames_received, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&exchange->bytes_received, size, memory_order_relaxed);
    /* The common case needs no lock: what we read is what we wait for. (The inbox was empty when
     * we took the role, and only the reader fills it: no request overtakes another.) */
    mine = want->kind == RBR_WANT_ANSWER ? answers(message) && message->id == want->call->id
                                         : want->kind == RBR_WANT_REQUEST && !answers(message);
    if (mine) {
        want->message = message;
        return RBR_OK;
    }
    pthread_mutex_lock(&exchange->lock);
    message = deliver(channel, message);
    pthread_mutex_unlock(&exchange->lock);
    rbr_message_free(message);
    return RBR_AGAIN;
}

static bool
ring_has_data(const rbr_consumer *consumer)
{
    return atomic_load_explicit(&consumer->shared->tail, memory_order_relaxed) != consumer->head;
}

/* Room for those who sleep in this process, and for ourselves. RBR_OK: ours. */
static rbr_status
look_for_room(rbr_channel *channel, const rbr_want *want)
{
    rbr_exchange *exchange = &channel->exchange;

    if (want->kind == RBR_WANT_ROOM && rbr_producer_has_room(&exchange->producer, want->bytes))
        return RBR_OK;
    if (atomic_load_explicit(&exchange->room_sleepers, memory_order_relaxed) > 0 &&
        rbr_producer_has_room(&exchange->producer,
                              rbr_ring_record_max(exchange->producer.mask + 1))) {
        pthread_mutex_lock(&exchange->lock);
        wake_kind(exchange, RBR_WANT_ROOM, true);
        pthread_mutex_unlock(&exchange->lock);
    }
    return RBR_AGAIN;
}

/* Why there is no use in waiting; RBR_OK: there is. */
static rbr_status
is_over(rbr_channel *channel, const rbr_want *want)
{
    const int state = atomic_load_explicit(&channel->state, memory_order_acquire);

    if (state != RBR_OK)
        return (rbr_status)state;
    if (want->kind == RBR_WANT_REQUEST &&
        atomic_load_explicit(&channel->watch.goodbye, memory_order_acquire))
        return RBR_CLOSED;
    return RBR_OK;
}

/* True: there is something to look at. */
static bool
spin(rbr_channel *channel, uint64_t until_ns)
{
    const rbr_consumer *consumer = &channel->exchange.consumer;
    int turns;

    if (!rbr_wake_may_spin(&channel->wake)) {
        rbr_os_yield(); /* the peer is on this CPU: let it run */
        return ring_has_data(consumer);
    }
    do {
        for (turns = 0; turns < 32; turns++) {
            if (ring_has_data(consumer))
                return true;
            rbr_os_relax();
        }
    } while (rbr_now_ns() < until_ns && rbr_wake_may_spin(&channel->wake));
    return false;
}

/* Announces a sleep, looks once more, sleeps. RBR_OK: look again. */
static rbr_status
sleep_as_reader(rbr_channel *channel, const rbr_want *want, uint64_t deadline_ns)
{
    rbr_exchange *exchange = &channel->exchange;
    const bool room = want->kind == RBR_WANT_ROOM ||
                      atomic_load_explicit(&exchange->room_sleepers, memory_order_relaxed) > 0;
    rbr_status status;

    rbr_wake_announce(&channel->wake, RBR_WAKE_DATA | (room ? RBR_WAKE_ROOM : 0));
    if (ring_has_data(&exchange->consumer) || is_over(channel, want) != RBR_OK ||
        look_for_room(channel, want) == RBR_OK) {
        rbr_wake_cancel(&channel->wake);
        return RBR_OK;
    }
    status = rbr_wake_sleep(&channel->wake, deadline_ns);
    if (status != RBR_TIMED_OUT)
        return status;
    if (ring_has_data(&exchange->consumer))
        atomic_fetch_add_explicit(&channel->wake.late_looks, 1, memory_order_relaxed);
    return RBR_OK; /* the caller looks, then compares the clock with its deadline */
}

/* Reads until the want is met or there is no use; the caller holds the reader role. */
static rbr_status
read_until(rbr_channel *channel, rbr_want *want, uint64_t spin_ns, uint64_t deadline_ns)
{
    bool may_spin = spin_ns > 0;
    rbr_status status;

    for (;;) {
        const rbr_status over = is_over(channel, want);

        status = read_one(channel, want);
        if (status == RBR_AGAIN)
            continue;
        if (status != RBR_TIMED_OUT)
            return status;
        if (look_for_room(channel, want) == RBR_OK)
            return RBR_OK;
        if (over != RBR_OK)
            return over; /* E3: seen before the ring was found empty */
        if (may_spin) {
            may_spin = false;
            rbr_wake_publish_cpu(&channel->wake);
            if (spin(channel, rbr_now_ns() + spin_ns))
                continue;
        }
        if (deadline_ns == 0)
            return RBR_AGAIN;
        status = sleep_as_reader(channel, want, deadline_ns);
        if (status != RBR_OK)
            return status;
        if (deadline_ns != RBR_FOREVER && rbr_now_ns() >= deadline_ns &&
            !ring_has_data(&channel->exchange.consumer))
            return RBR_TIMED_OUT;
    }
}

/* ------------------------------------------------------------------------------------- waiting */

/* Sleeps until a reader delivers or offers the role. Called and returns with the lock held. */
static rbr_status
sleep_as_follower(rbr_channel *channel, const rbr_want *want, uint64_t deadline_ns)
{
    rbr_exchange *exchange = &channel->exchange;
    const uint64_t look_ns = rbr_now_ns() + RBR_LOOK_NS;
    rbr_sleeper sleeper = {.kind = want->kind};
    rbr_status status;

    sem_init(&sleeper.wake, 0, 0);
    sleeper_add(exchange, &sleeper);
    if (want->call != NULL)
        want->call->sleeper = &sleeper;
    pthread_mutex_unlock(&exchange->lock);
    if (want->kind == RBR_WANT_ROOM)
        rbr_wake_add_reason(&channel->wake, RBR_WAKE_ROOM);
    status = rbr_os_sem_wait(&sleeper.wake, deadline_ns < look_ns ? deadline_ns : look_ns);
    pthread_mutex_lock(&exchange->lock);
    if (want->call != NULL)
        want->call->sleeper = NULL;
    sleeper_remove(exchange, &sleeper);
    sem_destroy(&sleeper.wake);
    if (status == RBR_TIMED_OUT && rbr_now_ns() < deadline_ns)
        return RBR_OK;
    return status;
}

static rbr_status
wait_for(rbr_channel *channel, rbr_want *want, uint64_t spin_ns, uint64_t deadline_ns)
{
    rbr_exchange *exchange = &channel->exchange;
    rbr_status status = RBR_OK;

    if (spin_ns == RBR_FOREVER || spin_ns > channel->wake.spin_ns)
        spin_ns = channel->wake.spin_ns;
    pthread_mutex_lock(&exchange->lock);
    for (;;) {
        if (is_met(channel, want)) {
            status = RBR_OK;
            break;
        }
        if (status != RBR_OK)
            break;
        if (!exchange->reading) {
            exchange->reading = true;
            pthread_mutex_unlock(&exchange->lock);
            status = read_until(channel, want, spin_ns, deadline_ns);
            pthread_mutex_lock(&exchange->lock);
            exchange->reading = false;
            if (status == RBR_OK)
                break;
        } else if (deadline_ns == 0) {
            status = RBR_AGAIN;
        } else {
            status = sleep_as_follower(channel, want, deadline_ns);
        }
    }
    offer_role(exchange); /* E1 */
    pthread_mutex_unlock(&exchange->lock);
    return status;
}

rbr_status
rbr_pending_wait(rbr_pending *pending, rbr_message **out, uint64_t spin_ns, uint64_t deadline_ns)
{
    rbr_pending_call *call = (rbr_pending_call *)pending;
    rbr_want want = {.kind = RBR_WANT_ANSWER, .call = call};
    rbr_status status = rbr_channel_check(call->channel);

    if (status == RBR_FORKED)
        return status;
    status = wait_for(call->channel, &want, spin_ns, deadline_ns);
    if (status == RBR_OK)
        *out = want.message;
    return status;
}

rbr_status
rbr_channel_receive(rbr_channel *channel, rbr_message **out, uint64_t spin_ns,
                    uint64_t deadline_ns)
{
    rbr_want want = {.kind = RBR_WANT_REQUEST};
    rbr_status status = rbr_channel_check(channel);

    if (status == RBR_FORKED)
        return status;
    status = wait_for(channel, &want, spin_ns, deadline_ns);
    if (status == RBR_OK)
        *out = want.message;
    return status;
}

rbr_status
rbr_exchange_wait_room(rbr_channel *channel, uint32_t bytes, uint64_t deadline_ns)
{
    rbr_want want = {.kind = RBR_WANT_ROOM, .bytes = bytes};

    return wait_for(channel, &want, RBR_FOREVER, deadline_ns);
}
