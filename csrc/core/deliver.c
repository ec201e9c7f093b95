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
 * Under exchange.lock, but for rbr_message_discard and rbr_message_refuse.
 */
#include "channel.h"

#include <string.h>

/* -------------------------------------------------------------------------------------- queues */

static void
queue_put(rbr_queue *queue, rbr_message *message)
{
    message->prev = queue->last;
    message->next = NULL;
    if (queue->last != NULL)
        queue->last->next = message;
    else
        queue->first = message;
    queue->last = message;
}

static void
queue_remove(rbr_queue *queue, const rbr_message *message)
{
    if (message->prev != NULL)
        message->prev->next = message->next;
    else
        queue->first = message->next;
    if (message->next != NULL)
        message->next->prev = message->prev;
    else
        queue->last = message->prev;
}

rbr_message *
rbr_queue_take(rbr_queue *queue)
{
    rbr_message *first = queue->first;

    if (first != NULL)
        queue_remove(queue, first);
    return first;
}

void
rbr_queue_drop(rbr_queue *queue)
{
    rbr_message *message;

    while ((message = rbr_queue_take(queue)) != NULL)
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

/* -------------------------------------------------------------------------------------- whose */

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

/* -------------------------------------------------------------------------- how many may wait */

static enum rbr_sort
sort_of(const rbr_message *message)
{
    switch (message->body_type) {
    case RBR_BODY_STREAM_ITEM:
    case RBR_BODY_OPEN_LATEST:
        return RBR_SORT_ITEM;
    case RBR_BODY_CALLBACK:
        return RBR_SORT_CALLBACK;
    case RBR_BODY_PROGRESS:
    case RBR_BODY_LOG:
    case RBR_BODY_RELEASE:
        return RBR_SORT_ASIDE;
    default:
        return RBR_SORT_ANSWER;
    }
}

static bool
has_room(const rbr_exchange *exchange, const rbr_pending_call *call, const rbr_message *message)
{
    const enum rbr_sort sort = sort_of(message);
    const uint64_t bytes = call->waiting[sort].bytes;
    const uint32_t count = call->waiting[sort].count;

    switch (sort) {
    case RBR_SORT_ITEM:
        return count < RBR_ITEMS_MAX && bytes < RBR_ITEM_BYTES_MAX;
    case RBR_SORT_CALLBACK:
        return count < RBR_CALLBACKS_MAX && bytes < RBR_CALLBACK_BYTES_MAX;
    case RBR_SORT_ASIDE: /* of Progress there is one at the most: it needs no place among the others */
        return exchange->aside_bytes < RBR_ASIDE_BYTES_MAX &&
               (count < RBR_ASIDES_MAX || message->body_type == RBR_BODY_PROGRESS);
    default:
        return count == 0;
    }
}

static void
count_in(rbr_exchange *exchange, rbr_pending_call *call, rbr_message *message)
{
    const enum rbr_sort sort = sort_of(message);

    call->waiting[sort].count++;
    call->waiting[sort].bytes += message->size;
    if (sort == RBR_SORT_ASIDE)
        exchange->aside_bytes += message->size;
    if (message->body_type == RBR_BODY_PROGRESS)
        call->progress = message;
}

/* call NULL: it has ended, and its messages were left in an inbox. */
static void
count_out(rbr_exchange *exchange, rbr_pending_call *call, const rbr_message *message)
{
    const enum rbr_sort sort = sort_of(message);

    if (sort == RBR_SORT_ASIDE)
        exchange->aside_bytes -= message->size;
    if (call == NULL)
        return;
    RBR_VERIFY(call->waiting[sort].count > 0 && call->waiting[sort].bytes >= message->size);
    call->waiting[sort].count--;
    call->waiting[sort].bytes -= message->size;
    if (call->progress == message)
        call->progress = NULL;
}

void
rbr_queue_uncount(rbr_exchange *exchange, const rbr_queue *queue)
{
    const rbr_message *message = queue->first;

    for (; message != NULL; message = message->next)
        count_out(exchange, rbr_pending_find(exchange, rbr_message_call(message)), message);
}

/* There is no room for it. */
static rbr_status
turn_away(rbr_exchange *exchange, const rbr_message *message)
{
    switch (sort_of(message)) {
    case RBR_SORT_ITEM:
        return RBR_BROKEN;
    case RBR_SORT_CALLBACK:
        return RBR_AGAIN;
    case RBR_SORT_ASIDE:
        atomic_fetch_add_explicit(&exchange->dropped_asides, 1, memory_order_relaxed);
        return RBR_OK;
    default:
        atomic_fetch_add_explicit(&exchange->dropped_answers, 1, memory_order_relaxed);
        return RBR_OK;
    }
}

/* ------------------------------------------------------------------------------------ delivering */

/* To a call of ours. */
static rbr_status
deliver_to_call(rbr_exchange *exchange, rbr_pending_call *call, rbr_message **message)
{
    rbr_queue *queue = call->inbox != NULL ? &call->inbox->queue : &call->queue;
    rbr_message *older = (*message)->body_type == RBR_BODY_PROGRESS ? call->progress : NULL;

    if (!has_room(exchange, call, *message))
        return turn_away(exchange, *message);
    if (older != NULL) {
        queue_remove(queue, older);
        count_out(exchange, call, older);
    }
    count_in(exchange, call, *message);
    queue_put(queue, *message);
    *message = older;
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
    if (channel->served && exchange->own_bytes > RBR_REQUEST_BYTES_MAX)
        return RBR_BROKEN;
    exchange->nested_queued += parent != 0;
    exchange->own_bytes += (*message)->size;
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

/* ------------------------------------------------------------------------------- not delivered */

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
                          "the peer makes callbacks that are refused, and reads no answer");
    return !full;
}

static void
refuse(rbr_channel *channel, uint64_t id, uint16_t code, const char *type, const char *text)
{
    alignas(8) uint8_t room[512];
    rbr_builder builder;
    rbr_shape shape;
    uint32_t error;

    rbr_shape_make(&shape, &rbr_desc_error,
                   RBR_BIT(RBR_ERROR__CODE) | RBR_BIT(RBR_ERROR__TYPE) |
                       RBR_BIT(RBR_ERROR__MESSAGE));
    error = rbr_frame_start(&builder, room, sizeof room, id, RBR_BODY_ERROR, &shape);
    rbr_build_u16(&builder, error, &shape, RBR_ERROR__CODE, code);
    rbr_build_string(&builder, rbr_build_slot(error, &shape, RBR_ERROR__TYPE), type,
                     (uint32_t)strlen(type));
    rbr_build_string(&builder, rbr_build_slot(error, &shape, RBR_ERROR__MESSAGE), text,
                     (uint32_t)strlen(text));
    rbr_channel_post(channel, room, rbr_build_finish(&builder), NULL, 0, 0, 0, NULL);
}

/* A callback whose call was given up is refused, since its caller waits. */
void
rbr_message_discard(rbr_channel *channel, rbr_message *message)
{
    if (message->body_type == RBR_BODY_CALLBACK && message->id != 0 && may_refuse(channel))
        refuse(channel, message->id, RBR_ERROR_CODE_CANCELLED, "ringbridge.errors.Cancelled",
               "the host has given up the call that this callback belongs to");
    rbr_message_free(message);
}

void
rbr_message_refuse(rbr_channel *channel, rbr_message *message)
{
    if (message->id != 0 && may_refuse(channel))
        refuse(
            channel, message->id, RBR_ERROR_CODE_RAISED, "ringbridge.errors.Busy",
            "the host has not run the callbacks that this call made before, and takes no more of "
            "them: wait for some, or pass less to each");
    rbr_message_free(message);
}

/* ------------------------------------------------------------------------------------ taking */

/* A request that was made within the call `parent`. */
static rbr_message *
take_nested(rbr_exchange *exchange, uint64_t parent)
{
    rbr_message *message = exchange->own.queue.first;

    if (parent == 0 || exchange->nested_queued == 0)
        return NULL;
    while (message != NULL && message->parent != parent)
        message = message->next;
    if (message == NULL)
        return NULL;
    exchange->nested_queued--;
    exchange->own_bytes -= message->size;
    queue_remove(&exchange->own.queue, message);
    return message;
}

static rbr_message *
take_from_inbox(rbr_exchange *exchange, rbr_inbox *inbox)
{
    rbr_message *message = rbr_queue_take(&inbox->queue);
    const uint64_t id = message != NULL ? rbr_message_call(message) : 0;

    if (message == NULL)
        return NULL;
    if (id != 0) { /* of a call that has ended: who takes it sees that, as its id is unknown */
        count_out(exchange, rbr_pending_find(exchange, id), message);
    } else {
        exchange->nested_queued -= message->parent != 0;
        exchange->own_bytes -= message->size;
    }
    return message;
}

bool
rbr_want_is_met(rbr_channel *channel, rbr_want *want)
{
    rbr_exchange *exchange = &channel->exchange;

    switch (want->kind) {
    case RBR_WANT_ANSWER:
        want->message = rbr_queue_take(&want->call->queue);
        if (want->message != NULL)
            count_out(exchange, want->call, want->message);
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
