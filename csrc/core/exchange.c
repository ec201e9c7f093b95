/* SPDX-License-Identifier: MIT */
/*
 * exchange.c - waiting.
 *
 * Whoever waits, reads: of all threads that wait for something, one has the reader role. It alone
 * uses the consumer; what it finds for others it delivers, and leaving it wakes another sleeper to
 * take the role. No thread of ours stands between the ring and the thread that wants the answer.
 *
 *   want          met by
 *   ANSWER        the next frame that belongs to our pending call (or was asked for within it)
 *   REQUEST       the next frame of an inbox: of the channel's own, or of an event loop's
 *   ROOM          the peer consumed enough of the ring that we write
 *
 * A background reader (the inbox's word) reads only while nobody else waits: who comes asks it to give
 * way, and whoever leaves last offers it the role again.
 *
 * Invariants
 *   E1  while a thread sleeps in this process, some thread has the reader role or is on its way to
 *       take it: every thread that leaves while the role is free wakes one sleeper. Where only event
 *       loops sleep, the peer is asked to wake them.
 *   E2  a waiter for room also reads, so two full rings never face each other; and whoever reads
 *       sends what could not be sent before.
 *   E3  what the peer committed before its end is delivered before the end is reported.
 */
#include "channel.h"

#include "os.h"

#include <stdlib.h>
#include <string.h>

/* A reader that finds only others' frames looks at the clock, and for room, this often. */
enum { FRAMES_PER_LOOK = 64 };
/* ... and after each frame larger than this, which takes long by itself. */
#define BYTES_PER_LOOK RBR_MIB

/* ------------------------------------------------------------------------------- the reader role */

static bool
is_mine(const rbr_channel *channel, const rbr_want *want, const rbr_message *message)
{
    const uint64_t call = rbr_message_call(message);

    if (atomic_load_explicit(&channel->relay, memory_order_relaxed) != NULL)
        return want->kind == RBR_WANT_REQUEST && want->inbox == &channel->exchange.own;
    if (want->kind == RBR_WANT_ANSWER)
        return (call == want->call->id && want->call->inbox == NULL) ||
               (call == 0 && want->call->nested != 0 && message->parent == want->call->nested);
    return want->kind == RBR_WANT_REQUEST && call == 0 && want->inbox == &channel->exchange.own &&
           channel->role == RBR_ROLE_WORKER;
}

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

    RBR_VERIFY(exchange->reading); /* a second reader that left would have cleared it */
    if (status == RBR_AGAIN)
        return RBR_TIMED_OUT;
    if (status != RBR_OK) {
        /* A new tail is looked at only when all records before the last one were read. */
        const bool tail = exchange->consumer.head == exchange->consumer.tail_seen;

        rbr_channel_latch(channel, RBR_BROKEN, "the peer's ring header is impossible: %s",
                          tail ? "tail" : "record size");
        return RBR_BROKEN;
    }
    status = rbr_message_read(&message, channel, record, size, &error);
    if (status != RBR_OK) {
        rbr_channel_latch(channel, status, "%s", error.text);
        return status;
    }
    exchange->large = message->size > BYTES_PER_LOOK;
    atomic_fetch_add_explicit(&exchange->frames_received, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&exchange->bytes_received, size, memory_order_relaxed);
    /* The common case needs no lock: what we read is what we wait for. (The queue was empty when
     * we took the role, and only the reader fills it: no message overtakes another.) */
    if (is_mine(channel, want, message)) {
        want->message = message;
        return RBR_OK;
    }
    pthread_mutex_lock(&exchange->lock);
    status = rbr_deliver(channel, &message);
    mine = want->kind == RBR_WANT_REQUEST && rbr_want_is_met(channel, want);
    pthread_mutex_unlock(&exchange->lock);
    if (message != NULL && status == RBR_AGAIN)
        rbr_message_refuse(channel, message);
    else if (message != NULL)
        rbr_message_discard(channel, message);
    if (mine)
        return RBR_OK;
    if (status == RBR_BROKEN)
        rbr_channel_latch(channel, RBR_BROKEN,
                          channel->role == RBR_ROLE_WORKER
                              ? "the peer asks for more than may wait here"
                              : "the peer sends more for one call than it was given leave to");
    return status == RBR_BROKEN ? RBR_BROKEN : RBR_AGAIN;
}

/* Room for those who sleep in this process, and for ourselves. RBR_OK: ours. */
static rbr_status
look_for_room(rbr_channel *channel, const rbr_want *want)
{
    rbr_exchange *exchange = &channel->exchange;

    if (atomic_load_explicit(&exchange->unsent_next, memory_order_relaxed) != 0)
        rbr_send_unsent(channel);
    if (want->kind == RBR_WANT_ROOM && rbr_producer_has_room(&exchange->producer, want->bytes))
        return RBR_OK;
    if (atomic_load_explicit(&exchange->room_sleepers, memory_order_relaxed) > 0) {
        pthread_mutex_lock(&exchange->lock);
        rbr_sleepers_wake_room(exchange);
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
    /* To a host it says nothing: what its own inbox waits for are answers, not requests. */
    if (channel->role == RBR_ROLE_WORKER && want->kind == RBR_WANT_REQUEST &&
        want->inbox == &channel->exchange.own &&
        atomic_load_explicit(&channel->watch.goodbye, memory_order_acquire))
        return RBR_CLOSED;
    return RBR_OK;
}

static bool
must_give_way(const rbr_channel *channel, const rbr_want *want)
{
    return want->kind == RBR_WANT_REQUEST && want->inbox->background &&
           atomic_load(&channel->exchange.give_way);
}

/* True: there is something to look at. */
static bool
spin(rbr_channel *channel, uint64_t until_ns)
{
    const rbr_consumer *consumer = &channel->exchange.consumer;
    int turns;

    if (!rbr_wake_may_spin(&channel->wake)) {
        rbr_os_yield(); /* the peer is on this CPU: let it run */
        return rbr_consumer_has_data(consumer);
    }
    do {
        for (turns = 0; turns < 32; turns++) {
            if (rbr_consumer_has_data(consumer))
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
    const bool room = want->kind == RBR_WANT_ROOM || rbr_room_is_wanted(exchange);
    rbr_status status;
    bool found;

    rbr_wake_announce(&channel->wake, RBR_WAKE_DATA | (room ? RBR_WAKE_ROOM : 0));
    if (rbr_consumer_has_data(&exchange->consumer) || is_over(channel, want) != RBR_OK ||
        must_give_way(channel, want) || look_for_room(channel, want) == RBR_OK ||
        /* Somebody began to wait for room since: our announcement may have overwritten his. */
        (!room && rbr_room_is_wanted(exchange))) {
        rbr_wake_cancel(&channel->wake);
        return RBR_OK;
    }
    status = rbr_wake_sleep(&channel->wake, deadline_ns);
    if (status != RBR_TIMED_OUT)
        return status;
    found = rbr_consumer_has_data(&exchange->consumer) ||
            (want->kind == RBR_WANT_ROOM &&
             rbr_producer_has_room(&exchange->producer, want->bytes));
    if (rbr_wake_was_forgotten(&channel->wake, found))
        atomic_fetch_add_explicit(&channel->wake.late_looks, 1, memory_order_relaxed);
    return RBR_OK; /* the caller looks, then compares the clock with its deadline */
}

/* Reads until the want is met or there is no use; the caller holds the reader role. RBR_AGAIN with a
 * deadline that is not 0: to give way. */
static rbr_status
read_until(rbr_channel *channel, rbr_want *want, uint64_t spin_ns, uint64_t deadline_ns)
{
    rbr_exchange *exchange = &channel->exchange;
    bool may_spin = spin_ns > 0;
    uint64_t frames = 0;
    rbr_status status;

    for (;;) {
        const rbr_status over = is_over(channel, want);
        const uint64_t before = exchange->consumer.head;

        if (must_give_way(channel, want))
            return RBR_AGAIN;
        status = read_one(channel, want);
        if (over != RBR_OK)
            exchange->late_bytes += exchange->consumer.head - before;
        /* E3 asks for no more than one ring full: what comes then was written after the end. */
        if (status == RBR_AGAIN && over != RBR_OK &&
            (atomic_load(&channel->closed) || exchange->late_bytes > exchange->consumer.mask + 1))
            return over;
        if (status == RBR_AGAIN && ++frames % FRAMES_PER_LOOK != 0 && !exchange->large)
            continue;
        if (status != RBR_AGAIN && status != RBR_TIMED_OUT)
            return status;
        if (look_for_room(channel, want) == RBR_OK)
            return RBR_OK;
        if (status == RBR_AGAIN) { /* a flood for others must not outlast our deadline */
            if (rbr_now_ns() >= deadline_ns)
                return deadline_ns == 0 ? RBR_AGAIN : RBR_TIMED_OUT;
            continue;
        }
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
            !rbr_consumer_has_data(&exchange->consumer))
            return RBR_TIMED_OUT;
    }
}

/* ------------------------------------------------------------------------------------- waiting */

/* Under the lock: what is wanted is there, though nobody has woken who wants it. */
static bool
came_unheard(const rbr_exchange *exchange, const rbr_want *want)
{
    if (want->call != NULL)
        return want->call->queue.first != NULL;
    if (want->inbox != NULL)
        return want->inbox->queue.first != NULL;
    return rbr_producer_has_room(&exchange->producer, want->bytes);
}

/* Of a sleep that timed out: whether what is wanted is there, and nobody was about to wake who wants
 * it. Under the lock, which it may let go of meanwhile. */
static bool
was_forgotten(rbr_exchange *exchange, rbr_sleeper *sleeper)
{
    if (!sleeper->queued || !came_unheard(exchange, sleeper->want))
        return false;
    if (sleeper->want->kind == RBR_WANT_ROOM) { /* the peer makes it, and needs no lock of ours */
        pthread_mutex_unlock(&exchange->lock);
        rbr_os_sem_wait(&sleeper->wake, rbr_now_ns() + RBR_POST_NS);
        pthread_mutex_lock(&exchange->lock);
    }
    return sleeper->queued;
}

/* Sleeps until a reader delivers or offers the role. Called and returns with the lock held. */
static rbr_status
sleep_as_follower(rbr_channel *channel, const rbr_want *want, uint64_t deadline_ns)
{
    rbr_exchange *exchange = &channel->exchange;
    const uint64_t look_ns = rbr_now_ns() + RBR_LOOK_NS;
    rbr_sleeper sleeper = {.want = want};
    rbr_status status;

    sem_init(&sleeper.wake, 0, 0);
    rbr_sleeper_add(exchange, &sleeper);
    if (want->call != NULL)
        want->call->sleeper = &sleeper;
    pthread_mutex_unlock(&exchange->lock);
    if (want->kind == RBR_WANT_ROOM)
        rbr_wake_add_reason(&channel->wake, RBR_WAKE_ROOM);
    /* The reader may be asleep for data alone: room that came before the reason was added has been
     * announced to nobody, so look once more. */
    if (want->kind == RBR_WANT_ROOM && rbr_producer_has_room(&exchange->producer, want->bytes))
        status = RBR_OK;
    else
        status = rbr_os_sem_wait(&sleeper.wake, deadline_ns < look_ns ? deadline_ns : look_ns);
    pthread_mutex_lock(&exchange->lock);
    if (want->call != NULL)
        want->call->sleeper = NULL;
    if (status == RBR_TIMED_OUT && was_forgotten(exchange, &sleeper))
        atomic_fetch_add_explicit(&channel->wake.late_looks, 1, memory_order_relaxed);
    rbr_sleeper_remove(exchange, &sleeper);
    sem_destroy(&sleeper.wake);
    if (status == RBR_TIMED_OUT && rbr_now_ns() < deadline_ns)
        return RBR_OK;
    return status;
}

/* Under the lock, which it lets go of while it reads. */
static rbr_status
take_role(rbr_channel *channel, rbr_want *want, uint64_t spin_ns, uint64_t deadline_ns)
{
    rbr_exchange *exchange = &channel->exchange;
    rbr_status status;

    exchange->reading = true;
    exchange->background = want->kind == RBR_WANT_REQUEST && want->inbox->background;
    atomic_store(&exchange->give_way, false);
    if (exchange->armed > 0) /* we are here now: the peer need not wake event loops */
        rbr_wake_cancel(&channel->wake);
    pthread_mutex_unlock(&exchange->lock);
    status = read_until(channel, want, spin_ns, deadline_ns);
    pthread_mutex_lock(&exchange->lock);
    RBR_VERIFY(exchange->reading);
    exchange->reading = false;
    return status;
}

/* Under the lock: another thread reads, perhaps only in the background. */
static void
ask_to_give_way(rbr_channel *channel, const rbr_want *want)
{
    rbr_exchange *exchange = &channel->exchange;

    if (!exchange->reading || !exchange->background ||
        (want->kind == RBR_WANT_REQUEST && want->inbox->background))
        return;
    if (!atomic_exchange(&exchange->give_way, true))
        rbr_wake_self(&channel->wake);
}

static rbr_status
wait_for(rbr_channel *channel, rbr_want *want, uint64_t spin_ns, uint64_t deadline_ns)
{
    rbr_exchange *exchange = &channel->exchange;
    rbr_status status = RBR_OK;
    bool gave_way = false;

    if (spin_ns == RBR_FOREVER || spin_ns > channel->wake.spin_ns)
        spin_ns = channel->wake.spin_ns;
    pthread_mutex_lock(&exchange->lock);
    for (;;) {
        if (rbr_want_is_met(channel, want)) {
            status = RBR_OK;
            break;
        }
        if (status != RBR_OK)
            break;
        if (!exchange->reading && !gave_way) {
            status = take_role(channel, want, spin_ns, deadline_ns);
            if (status == RBR_OK)
                break;
            if (status == RBR_AGAIN && deadline_ns != 0) {
                /* We sleep until the role is offered to us, which is when nobody else waits. */
                gave_way = exchange->sleepers != NULL;
                rbr_sleepers_offer_role(channel);
                status = RBR_OK;
            }
        } else if (deadline_ns == 0) {
            status = RBR_AGAIN;
        } else {
            ask_to_give_way(channel, want);
            status = sleep_as_follower(channel, want, deadline_ns);
            gave_way = false;
        }
    }
    if (want->call != NULL && want->call->nested != 0)
        rbr_deliver_left_behind(exchange, want->call->nested);
    rbr_sleepers_offer_role(channel); /* E1 */
    pthread_mutex_unlock(&exchange->lock);
    return status;
}

/* After the final state there may still be something to read; in a forked child, or before the
 * handshake, there is not. */
static bool
may_read(rbr_channel *channel)
{
    return rbr_os_fork_check(channel->fork_token) &&
           atomic_load_explicit(&channel->watch.handshaken, memory_order_acquire);
}

rbr_status
rbr_pending_wait(rbr_pending *pending, rbr_message **out, uint64_t spin_ns, uint64_t deadline_ns)
{
    rbr_pending_call *call = (rbr_pending_call *)pending;
    rbr_want want = {.kind = RBR_WANT_ANSWER, .call = call};
    rbr_status status = rbr_channel_check(call->channel);

    if (status != RBR_OK && !may_read(call->channel))
        return status;
    status = wait_for(call->channel, &want, spin_ns, deadline_ns);
    if (status == RBR_OK)
        *out = want.message;
    return status;
}

rbr_status
rbr_inbox_take(rbr_inbox *inbox, rbr_message **out, uint64_t spin_ns, uint64_t deadline_ns)
{
    rbr_channel *channel = inbox->channel;
    rbr_want want = {.kind = RBR_WANT_REQUEST, .inbox = inbox};
    rbr_status status = rbr_channel_check(channel);

    if (status != RBR_OK && !may_read(channel))
        return status;
    status = wait_for(channel, &want, spin_ns, deadline_ns);
    if (status == RBR_OK)
        *out = want.message;
    return status;
}

rbr_status
rbr_channel_receive(rbr_channel *channel, rbr_message **out, uint64_t spin_ns, uint64_t deadline_ns)
{
    return rbr_inbox_take(&channel->exchange.own, out, spin_ns, deadline_ns);
}

bool
rbr_channel_has_frames(rbr_channel *channel)
{
    rbr_exchange *exchange = &channel->exchange;
    uint32_t unsent;
    bool found;

    if (rbr_channel_check(channel) != RBR_OK || atomic_load(&channel->watch.goodbye))
        return true; /* who takes hears of it */
    unsent = atomic_load_explicit(&exchange->unsent_next, memory_order_relaxed);
    if (unsent != 0) /* nothing is taken until it has gone */
        return rbr_producer_has_room(&exchange->producer, unsent);
    pthread_mutex_lock(&exchange->lock); /* the consumer is of whoever reads */
    found = exchange->own.queue.first != NULL ||
            (!exchange->reading && rbr_consumer_has_data(&exchange->consumer));
    pthread_mutex_unlock(&exchange->lock);
    return found;
}

uint64_t
rbr_channel_spin_ns(rbr_channel *channel)
{
    if (rbr_channel_check(channel) != RBR_OK)
        return 0;
    rbr_wake_publish_cpu(&channel->wake);
    return rbr_wake_may_spin(&channel->wake) ? channel->wake.spin_ns : 0;
}

rbr_status
rbr_exchange_wait_room(rbr_channel *channel, uint32_t bytes, uint64_t deadline_ns)
{
    rbr_want want = {.kind = RBR_WANT_ROOM, .bytes = bytes};

    return wait_for(channel, &want, RBR_FOREVER, deadline_ns);
}
