/* SPDX-License-Identifier: MIT */
/*
 * beside.c - what goes past the rings: goodbye, cancels, what the peer says of its calls, signals.
 */
#include "channel.h"

#include "os.h"

#include <signal.h>

/* Bytes of control messages that the peer may have unread before a Cancel is dropped. */
#define CANCELS_QUEUED_MAX 32768

static void
send_control(rbr_channel *channel, uint64_t id, uint8_t body, const rbr_shape *shape, bool hard)
{
    alignas(8) uint8_t room[256];
    rbr_builder builder;
    const uint32_t table = rbr_frame_start(&builder, room, sizeof room, id, body, shape);

    if (body == RBR_BODY_CANCEL)
        rbr_build_u8(&builder, table, shape, RBR_CANCEL__HARD, hard);
    rbr_control_send(channel->watch.control, room, rbr_build_finish(&builder), -1, NULL);
}

void
rbr_channel_say_goodbye(rbr_channel *channel)
{
    rbr_shape shape;

    if (rbr_channel_check(channel) != RBR_OK)
        return;
    rbr_shape_make(&shape, &rbr_desc_goodbye, RBR_BIT(RBR_GOODBYE__CODE));
    send_control(channel, 0, RBR_BODY_GOODBYE, &shape, false);
}

rbr_status
rbr_channel_cancel(rbr_channel *channel, uint64_t id, bool hard)
{
    rbr_status status = rbr_channel_check(channel);
    rbr_shape shape;

    if (status != RBR_OK)
        return status;
    if (rbr_control_queued(channel->watch.control) > CANCELS_QUEUED_MAX)
        return RBR_AGAIN; /* the peer does not read: what matters more needs the room */
    rbr_shape_make(&shape, &rbr_desc_cancel, RBR_BIT(RBR_CANCEL__HARD));
    send_control(channel, id, RBR_BODY_CANCEL, &shape, hard);
    return RBR_OK;
}

static bool
began(const struct rbr_runs_shared *runs, uint64_t id)
{
    return atomic_load_explicit(&runs->begun[id % RBR_BEGUN_MAX], memory_order_relaxed) >= id;
}

static bool
is_running(const struct rbr_runs_shared *runs, uint64_t id)
{
    uint32_t depth;

    for (depth = 0; depth < RBR_RUNS_MAX; depth++)
        if (atomic_load_explicit(&runs->calls[depth], memory_order_relaxed) == id)
            return true;
    return false;
}

static bool
peer_says(rbr_channel *channel, bool (*what)(const struct rbr_runs_shared *, uint64_t), uint64_t id)
{
    bool said = false;

    if (id == 0 || !rbr_os_fork_check(channel->fork_token)) /* the lock may be held for ever */
        return false;
    pthread_mutex_lock(&channel->exchange.lock); /* let_go takes it before it unmaps */
    if (atomic_load(&channel->watch.handshaken))
        said = what(&channel->segment.shared->runs[1 - channel->role], id);
    pthread_mutex_unlock(&channel->exchange.lock);
    return said;
}

bool
rbr_channel_peer_runs(rbr_channel *channel, uint64_t id)
{
    return peer_says(channel, is_running, id);
}

/* It is a relay that has ended: what began last may not have been told. */
static bool
told_too_late(rbr_channel *channel)
{
    bool late = false;

    if (atomic_load_explicit(&channel->state, memory_order_acquire) == RBR_OK)
        return false;
    pthread_mutex_lock(&channel->exchange.lock);
    if (atomic_load(&channel->watch.handshaken))
        late = atomic_load_explicit(&channel->segment.shared->late, memory_order_relaxed) != 0;
    pthread_mutex_unlock(&channel->exchange.lock);
    return late;
}

bool
rbr_channel_peer_began(rbr_channel *channel, uint64_t id)
{
    return peer_says(channel, began, id) ||
           (rbr_os_fork_check(channel->fork_token) && told_too_late(channel));
}

rbr_status
rbr_channel_kill(rbr_channel *channel, int signal_number, bool group, rbr_error *err)
{
    rbr_watch *watch = &channel->watch;
    const int peer = atomic_load(&watch->peer_pidfd);
    const int pidfd = peer >= 0 ? peer : watch->child_pidfd;
    rbr_exit ignored;
    bool sent = false;

    if (!rbr_os_fork_check(channel->fork_token))
        return RBR_FORKED;
    if (channel->served)
        return rbr_fail(err, RBR_REFUSED, "%s is not ours to end", channel->title);
    if (group || pidfd < 0) { /* no pidfd: a kernel before 5.3, or it has ended */
        /* The group's number is the child's: sure to be ours only while nobody reaped it. */
        pthread_mutex_lock(&watch->child_lock);
        if (watch->child_pid != 0 &&
            rbr_os_wait_child(watch->child_pidfd, watch->child_pid, true, &ignored) != RBR_DEAD)
            sent = kill(group ? -watch->child_pid : watch->child_pid, signal_number) == 0;
        pthread_mutex_unlock(&watch->child_lock);
        if (sent)
            return RBR_OK;
    }
    if (pidfd < 0)
        return rbr_fail(err, RBR_DEAD, "the process has ended");
    return rbr_os_pidfd_signal(pidfd, signal_number, err);
}
