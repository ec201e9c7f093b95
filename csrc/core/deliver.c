/* SPDX-License-Identifier: MIT */
/*
 * deliver.c - a message that was read goes to the call it belongs to, or into an inbox; and is taken
 * out again.
 *
 *   belongs to a call of ours     its own queue, or the inbox that it was directed to
 *   a request (in a worker)       the channel's own inbox; who waits within the call that it was made
 *                                 in takes it out of turn
 *   neither                       discarded; who waits for an answer to it is told so
 *
 * Under exchange.lock, but for rbr_message_discard.
 */
#include "channel.h"

/* -------------------------------------------------------------------------------------- queues */

static void
queue_put(rbr_queue *queue, rbr_message *message)
{
    message->next = NULL;
    if (queue->last != NULL)
        queue->last->next = message;
    else
        queue->first = message;
    queue->last = message;
}

rbr_message *
rbr_queue_take(rbr_queue *queue, rbr_message *before)
{
    rbr_message *message = before != NULL ? before->next : queue->first;

    if (message == NULL)
        return NULL;
    if (before != NULL)
        before->next = message->next;
    else
        queue->first = message->next;
    if (queue->last == message)
        queue->last = before;
    return message;
}

void
rbr_queue_drop(rbr_queue *queue)
{
    rbr_message *message;

    while ((message = rbr_queue_take(queue, NULL)) != NULL)
        rbr_message_free(message);
}

/* Wakes one who waits for what came into this inbox. An event loop's has the loop, where it is armed,
 * and perhaps a thread in rbr_inbox_take, which may be the loop's own. */
static void
wake_for_inbox(rbr_exchange *exchange, rbr_inbox *inbox)
{
    rbr_sleeper *sleeper = exchange->sleepers;

    rbr_inbox_wake(exchange, inbox);
    while (sleeper != NULL &&
           (sleeper->want->kind != RBR_WANT_REQUEST || sleeper->want->inbox != inbox))
        sleeper = sleeper->next;
    if (sleeper != NULL)
        rbr_sleeper_wake(exchange, sleeper);
}

/* Wakes the thread that waits within the call `parent`: it runs what is nested in it. */
static bool
wake_for_nested(rbr_exchange *exchange, uint64_t parent)
{
    rbr_sleeper *sleeper = exchange->sleepers;

    while (sleeper != NULL &&
           (sleeper->want->kind != RBR_WANT_ANSWER || sleeper->want->call->nested != parent))
        sleeper = sleeper->next;
    if (sleeper == NULL)
        return false;
    rbr_sleeper_wake(exchange, sleeper);
    return true;
}

/* ------------------------------------------------------------------------------------ delivering */

uint64_t
rbr_message_call(const rbr_message *message)
{
    switch (message->body_type) {
    case RBR_BODY_RESULT:
    case RBR_BODY_ERROR:
    case RBR_BODY_LOADED:
    case RBR_BODY_PROGRESS:
    case RBR_BODY_LOG:
    case RBR_BODY_STREAM_ITEM:
    case RBR_BODY_STREAM_END:
    case RBR_BODY_OPEN_LATEST:
        return message->id;
    case RBR_BODY_CALLBACK:
    case RBR_BODY_RELEASE: /* of a callback; a host's has no parent, and is a request */
        return message->parent;
    default:
        return 0;
    }
}

static bool
may_be_dropped(const rbr_message *message)
{
    return message->body_type == RBR_BODY_PROGRESS || message->body_type == RBR_BODY_LOG ||
           message->body_type == RBR_BODY_RELEASE; /* then it is released when the call ends */
}

/* To a call of ours. RBR_BROKEN: it has too many already. */
static rbr_status
deliver_to_call(rbr_exchange *exchange, rbr_pending_call *call, rbr_message **message)
{
    if (call->queued >= RBR_QUEUED_MAX)
        return may_be_dropped(*message) ? RBR_OK : RBR_BROKEN;
    call->queued++;
    queue_put(call->inbox != NULL ? &call->inbox->queue : &call->queue, *message);
    *message = NULL;
    if (call->sleeper != NULL)
        rbr_sleeper_wake(exchange, call->sleeper);
    else if (call->inbox != NULL)
        wake_for_inbox(exchange, call->inbox);
    return RBR_OK;
}

rbr_status
rbr_deliver(rbr_channel *channel, rbr_message **message)
{
    rbr_exchange *exchange = &channel->exchange;
    const uint64_t id = rbr_message_call(*message), parent = (*message)->parent;
    rbr_pending_call *call;

    if (id != 0) {
        call = rbr_pending_find(exchange, id);
        if (call != NULL)
            return deliver_to_call(exchange, call, message);
        atomic_fetch_add_explicit(&exchange->dropped_answers, 1, memory_order_relaxed);
        return RBR_OK;
    }
    if (channel->role == RBR_ROLE_HOST)
        return RBR_OK; /* a host answers no requests but callbacks */
    exchange->nested_queued += parent != 0;
    queue_put(&exchange->own.queue, *message);
    *message = NULL;
    if (parent == 0 || !wake_for_nested(exchange, parent))
        wake_for_inbox(exchange, &exchange->own);
    return RBR_OK;
}

void
rbr_deliver_left_behind(rbr_exchange *exchange, uint64_t parent)
{
    if (exchange->nested_queued > 0 && !wake_for_nested(exchange, parent))
        wake_for_inbox(exchange, &exchange->own);
}

/* A refusal never waits for room: a peer that reads none of them must not fill our memory. */
static bool
may_refuse(rbr_channel *channel)
{
    rbr_exchange *exchange = &channel->exchange;
    bool full;

    pthread_mutex_lock(&exchange->send_lock);
    full = exchange->unsent_bytes > RBR_UNSENT_BYTES_MAX;
    pthread_mutex_unlock(&exchange->send_lock);
    if (full)
        rbr_channel_latch(channel, RBR_BROKEN,
                          "the peer makes callbacks in calls that have ended, and reads no answer");
    return !full;
}

/* A callback whose call was given up is refused, since its caller waits. */
static void
refuse(rbr_channel *channel, uint64_t id)
{
    static const char type[] = "ringbridge.errors.Cancelled";
    static const char text[] = "the host has given up the call that this callback belongs to";
    alignas(8) uint8_t room[512];
    rbr_builder builder;
    rbr_shape shape;
    uint32_t error;

    rbr_shape_make(&shape, &rbr_desc_error,
                   RBR_BIT(RBR_ERROR__CODE) | RBR_BIT(RBR_ERROR__TYPE) |
                       RBR_BIT(RBR_ERROR__MESSAGE));
    error = rbr_frame_start(&builder, room, sizeof room, id, RBR_BODY_ERROR, &shape);
    rbr_build_u16(&builder, error, &shape, RBR_ERROR__CODE, RBR_ERROR_CODE_CANCELLED);
    rbr_build_string(&builder, rbr_build_slot(error, &shape, RBR_ERROR__TYPE), type,
                     sizeof type - 1);
    rbr_build_string(&builder, rbr_build_slot(error, &shape, RBR_ERROR__MESSAGE), text,
                     sizeof text - 1);
    rbr_channel_post(channel, room, rbr_build_finish(&builder), NULL, 0, 0, 0, NULL);
}

void
rbr_message_discard(rbr_channel *channel, rbr_message *message)
{
    if (message->body_type == RBR_BODY_CALLBACK && message->id != 0 && may_refuse(channel))
        refuse(channel, message->id);
    rbr_message_free(message);
}

/* ------------------------------------------------------------------------------------ taking */

/* A request that was made within the call `parent`. */
static rbr_message *
take_nested(rbr_exchange *exchange, uint64_t parent)
{
    rbr_message *before = NULL, *message = exchange->own.queue.first;

    if (parent == 0 || exchange->nested_queued == 0)
        return NULL;
    for (; message != NULL && message->parent != parent; message = message->next)
        before = message;
    if (message == NULL)
        return NULL;
    exchange->nested_queued--;
    return rbr_queue_take(&exchange->own.queue, before);
}

static rbr_message *
take_from_inbox(rbr_exchange *exchange, rbr_inbox *inbox)
{
    rbr_message *message = rbr_queue_take(&inbox->queue, NULL);
    const uint64_t id = message != NULL ? rbr_message_call(message) : 0;
    rbr_pending_call *call;

    if (message == NULL)
        return NULL;
    if (id == 0) {
        exchange->nested_queued -= message->parent != 0;
        return message;
    }
    call = rbr_pending_find(exchange, id);
    if (call != NULL)
        call->queued--;
    return message; /* of a call that has ended: who takes it sees that, as its id is unknown */
}

bool
rbr_want_is_met(rbr_channel *channel, rbr_want *want)
{
    rbr_exchange *exchange = &channel->exchange;

    switch (want->kind) {
    case RBR_WANT_ANSWER:
        want->message = rbr_queue_take(&want->call->queue, NULL);
        if (want->message != NULL)
            want->call->queued--;
        else
            want->message = take_nested(exchange, want->call->nested);
        return want->message != NULL;
    case RBR_WANT_REQUEST:
        want->message = take_from_inbox(exchange, want->inbox);
        return want->message != NULL;
    case RBR_WANT_ROOM:
        return rbr_producer_has_room(&exchange->producer, want->bytes);
    }
    return false;
}
