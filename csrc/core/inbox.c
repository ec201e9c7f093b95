/* SPDX-License-Identifier: MIT */
/*
 * inbox.c - messages for calls that no thread waits for; how an event loop hears of them.
 *
 * A loop polls one descriptor: an epoll of two eventfds. One is the inbox's own: a thread of this
 * process that read something for it, or saw the channel's end, sets it. The other is the channel's,
 * which the peer has too, and sets when it sends something while only loops sleep here. Neither is
 * ever read, since a peer could make that wait: the epoll is edge-triggered, and tells each loop of each
 * time that one was set. Where the channel's is a socket (wake.c) it is emptied, or it would be full some
 * day; a loop that misses its edge thereby loses nothing, since who emptied it reads for all.
 *
 *   loop                                        whoever brings a message
 *   poll, clear
 *   take until RBR_AGAIN                        into the queue, under the lock
 *   arm: armed = true, under the lock           armed? armed = false, set the event
 *
 * An inbox that is not armed is looked at before its loop sleeps, so nothing need be set for it.
 */
#include "channel.h"

#include "os.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

rbr_inbox *
rbr_channel_inbox(rbr_channel *channel)
{
    return &channel->exchange.own;
}

/* What is polled, and what the peer gets. */
static rbr_status
event_pair(const rbr_channel *channel, int *event, int *peers, rbr_error *err)
{
    rbr_status status;

    if (channel->served)
        return rbr_os_nudge_new(event, peers, err);
    status = rbr_os_event_new(event, err);
    *peers = *event;
    return status;
}

/* The descriptor that the peer sets; made, and given to the peer, when the first loop asks. */
static rbr_status
shared_event(rbr_channel *channel, rbr_error *err)
{
    rbr_exchange *exchange = &channel->exchange;
    alignas(8) uint8_t room[256];
    rbr_status status = RBR_OK;
    rbr_builder builder;
    rbr_shape shape;

    pthread_mutex_lock(&exchange->send_lock); /* one of us makes it */
    if (exchange->event < 0) {
        int event, peers;

        status = event_pair(channel, &event, &peers, err);
        if (status == RBR_OK) {
            rbr_shape_make(&shape, &rbr_desc_event, RBR_BIT(RBR_EVENT__ROLE));
            rbr_frame_start(&builder, room, sizeof room, 0, RBR_BODY_EVENT, &shape);
            status = rbr_control_send(channel->watch.control, room, rbr_build_finish(&builder),
                                      peers, err);
            if (peers != event)
                close(peers);
            if (status == RBR_OK)
                exchange->event = event;
            else
                close(event);
        }
    }
    pthread_mutex_unlock(&exchange->send_lock);
    return status;
}

static void
forget_edges(const rbr_inbox *inbox)
{
    struct epoll_event events[2];

    if (inbox->channel->served)
        rbr_os_nudge_forget(inbox->channel->exchange.event);
    epoll_wait(inbox->poll, events, 2, 0);
}

static rbr_status
poll_both(rbr_inbox *inbox, rbr_error *err)
{
    struct epoll_event look = {.events = EPOLLIN | EPOLLET};

    inbox->poll = epoll_create1(EPOLL_CLOEXEC);
    if (inbox->poll < 0 || epoll_ctl(inbox->poll, EPOLL_CTL_ADD, inbox->event, &look) < 0 ||
        epoll_ctl(inbox->poll, EPOLL_CTL_ADD, inbox->channel->exchange.event, &look) < 0)
        return rbr_fail_sys(err, "make an epoll of eventfds");
    forget_edges(inbox); /* the channel's may have been set for other loops long ago */
    return RBR_OK;
}

static void
close_both(rbr_inbox *inbox)
{
    if (inbox->event >= 0)
        close(inbox->event);
    if (inbox->poll >= 0)
        close(inbox->poll);
    inbox->event = inbox->poll = -1;
}

static rbr_status
open_both(rbr_inbox *inbox, rbr_error *err)
{
    rbr_exchange *exchange = &inbox->channel->exchange;
    rbr_status status = shared_event(inbox->channel, err);

    if (status == RBR_OK)
        status = rbr_os_event_new(&inbox->event, err);
    if (status == RBR_OK)
        status = poll_both(inbox, err);
    if (status != RBR_OK) {
        close_both(inbox);
        return status;
    }
    pthread_mutex_lock(&exchange->lock);
    inbox->next = exchange->inboxes;
    exchange->inboxes = inbox;
    pthread_mutex_unlock(&exchange->lock);
    return RBR_OK;
}

rbr_status
rbr_channel_poll_requests(rbr_channel *channel, rbr_error *err)
{
    const rbr_status status = rbr_channel_state(channel, err);

    if (status == RBR_OK && channel->exchange.own.poll >= 0)
        return rbr_fail(err, RBR_REFUSED, "the requests of %s are served already", channel->title);
    return status == RBR_OK ? open_both(&channel->exchange.own, err) : status;
}

void
rbr_inbox_free_own(rbr_channel *channel)
{
    close_both(&channel->exchange.own);
}

rbr_status
rbr_inbox_open(rbr_inbox **out, rbr_channel *channel, rbr_error *err)
{
    rbr_status status = rbr_channel_state(channel, err);
    rbr_inbox *inbox;

    if (status != RBR_OK)
        return status;
    inbox = malloc(sizeof *inbox);
    if (inbox == NULL)
        return rbr_fail(err, RBR_NO_MEMORY, "out of memory");
    *inbox = (rbr_inbox){.channel = channel, .event = -1, .poll = -1};
    status = open_both(inbox, err);
    if (status != RBR_OK) {
        free(inbox);
        return status;
    }
    rbr_channel_retain(channel);
    *out = inbox;
    return RBR_OK;
}

int
rbr_inbox_fd(const rbr_inbox *inbox)
{
    return inbox->poll;
}

/* Under exchange.lock. */
static void
disarm(rbr_exchange *exchange, rbr_inbox *inbox)
{
    if (!inbox->armed)
        return;
    inbox->armed = false;
    exchange->armed--;
}

void
rbr_inbox_arm(rbr_inbox *inbox)
{
    rbr_channel *channel = inbox->channel;
    rbr_exchange *exchange = &channel->exchange;

    if (!rbr_os_fork_check(channel->fork_token))
        return;
    if (atomic_load(&channel->watch.handshaken))
        rbr_wake_publish_cpu(&channel->wake);
    pthread_mutex_lock(&exchange->lock);
    if (!inbox->armed) {
        inbox->armed = true;
        exchange->armed++;
    }
    if (inbox->queue.first != NULL ||
        atomic_load_explicit(&channel->state, memory_order_acquire) != RBR_OK)
        rbr_inbox_wake(exchange, inbox);
    else
        rbr_sleepers_offer_role(channel);
    pthread_mutex_unlock(&exchange->lock);
}

void
rbr_inbox_clear(rbr_inbox *inbox)
{
    if (rbr_os_fork_check(inbox->channel->fork_token)) /* else they are the parent's */
        forget_edges(inbox);
}

void
rbr_inbox_close(rbr_inbox *inbox)
{
    rbr_channel *channel = inbox->channel;
    rbr_exchange *exchange = &channel->exchange;
    rbr_inbox **link = &exchange->inboxes;
    rbr_message *message, *next;
    rbr_pending_call *call;
    uint32_t i;

    if (!rbr_os_fork_check(channel->fork_token))
        return; /* the parent's: the memory stays */
    pthread_mutex_lock(&exchange->lock);
    disarm(exchange, inbox);
    while (*link != inbox)
        link = &(*link)->next;
    *link = inbox->next;
    rbr_queue_uncount(exchange, &inbox->queue);
    for (i = 0; i <= exchange->pending_mask; i++)
        for (call = exchange->pending[i]; call != NULL; call = call->next)
            if (call->inbox == inbox)
                call->inbox = NULL;
    pthread_mutex_unlock(&exchange->lock);
    for (message = inbox->queue.first; message != NULL; message = next) {
        next = message->next;
        rbr_message_discard(channel, message);
    }
    close_both(inbox);
    free(inbox);
    rbr_channel_release(channel);
}

void
rbr_inbox_wake(rbr_exchange *exchange, rbr_inbox *inbox)
{
    if (!inbox->armed)
        return;
    disarm(exchange, inbox);
    rbr_os_event_set(inbox->event);
}

void
rbr_inboxes_wake_all(rbr_exchange *exchange)
{
    rbr_inbox *inbox;

    for (inbox = exchange->inboxes; inbox != NULL; inbox = inbox->next)
        rbr_inbox_wake(exchange, inbox);
}
