/* SPDX-License-Identifier: MIT */
/*
 * watcher.c - the one thread of a channel: it hears what comes beside the rings.
 *
 * It blocks all signals, never takes the GIL and never waits for anything but poll, so it notices
 * a death whatever the peer's threads and ours are doing. It polls
 *
 *   stop_event     close, or "look again at what to poll"
 *   control        segments, cancels, goodbye; its end of file is a hint (a forked grandchild can
 *                  hold the socket open long after, and a peer can close it and live on)
 *   pidfds         the truth about the peer's life (on kernels before 5.3 it asks for the child's
 *                  exit every few milliseconds instead)
 *   output pipes   in the host
 *
 * At the peer's death, in this order: the child's exit is looked at, its session is killed while
 * the zombie still reserves the number, it is reaped, the pipes are drained and closed, the final
 * state is latched, which wakes every waiter.
 */
#include "channel.h"

#include "os.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    TRIM_MS = 10000,         /* an arena that nobody used for this long gives memory back */
    MESSAGES_MAX = 64,       /* of the control socket between two polls */
    DRAIN_BYTES = 256 << 10, /* of one pipe between two polls */
    ORPHAN_MS = 500,         /* a worker without a host ends by itself within this, or is ended */
    HINT_MS = 100,           /* after end of file on the control socket: is the peer alive? */
    SERVED_HINT_MS = 5, /* the same of an application or its client: it often lives, and has left */
    PARENT_MS = 50, /* a wrapper that started the peer has this long to end after it */
    REAP_MS = 500, /* a child that has ended can be waited for by then */
    CHILD_LOOK_MS = 10, /* between two looks at the child, on a kernel without pidfds */
    AGAIN_MS = 20, /* until a running call is interrupted again whose thread did not hear */
    AGAIN_MAX = 5,
};

/* ---------------------------------------------------------------------------- control messages */

static void
remember_cancel(rbr_channel *channel, uint64_t id, bool interrupt)
{
    rbr_watch *watch = &channel->watch;
    _Atomic uint64_t *known = &watch->cancelled[id % RBR_CANCELLED_MAX];
    const bool hard = interrupt && !channel->served; /* an application is only ever asked */
    uint64_t main_thread;

    if (atomic_load(known) != (id << 1 | 1)) /* a soft one takes no hard one back */
        atomic_store(known, id << 1 | hard);
    atomic_store(&watch->any_cancelled, true); /* before running_id is read: see below */
    main_thread = atomic_load(&watch->main_thread);
    /* The handler looks again whether the running call is the cancelled one. */
    if (hard && main_thread != 0 && atomic_load(&watch->running_id) == id) {
        atomic_store(&watch->unheard, id); /* its handler clears this */
        pthread_kill((pthread_t)main_thread, SIGINT);
    }
    rbr_relay_wake(channel);
}

static void
on_message(rbr_channel *channel, rbr_datagram *datagram)
{
    rbr_verdict verdict = {.refs_max = 0};
    rbr_error error = {.status = RBR_OK};
    rbr_table root, body;

    if (rbr_verify(datagram->bytes, datagram->size, &root, &verdict) != RBR_OK) {
        rbr_channel_latch(channel, RBR_BROKEN, "a control message is malformed: %s at byte %u",
                          rbr_defect_text(verdict.defect), verdict.offset);
        return;
    }
    body = rbr_get_table(root, RBR_FRAME__BODY);
    switch (rbr_get_u8(root, RBR_FRAME__BODY_TYPE, 0)) {
    case RBR_BODY_SEGMENT:
        if (rbr_blocks_on_segment(channel, body, datagram->fd, &error) != RBR_OK &&
            error.status != RBR_DEAD)
            rbr_channel_latch(channel, RBR_BROKEN, "%s", error.text);
        break;
    case RBR_BODY_CANCEL:
        remember_cancel(channel, rbr_get_u64(root, RBR_FRAME__ID, 0),
                        rbr_get_u8(body, RBR_CANCEL__HARD, 0) != 0);
        break;
    case RBR_BODY_EVENT: /* a worker's loop sleeps on nothing: a host writes to no descriptor of its choice */
        if ((channel->role == RBR_ROLE_WORKER || channel->served) && datagram->fd >= 0 &&
            atomic_load(&channel->wake.peers_event) < 0) {
            atomic_store(&channel->wake.peers_event, datagram->fd);
            datagram->fd = -1;
            rbr_wake_event(&channel->wake); /* who had to wake it before it was here could not */
        }
        break;
    case RBR_BODY_GOODBYE:
        atomic_store(&channel->watch.goodbye, true);
        rbr_exchange_wake_all(channel);
        break;
    default:
        break; /* from a newer peer, which knows that we may not */
    }
}

/* False: end of file, or of listening. */
static bool
read_control(rbr_channel *channel)
{
    int left;

    for (left = MESSAGES_MAX; left > 0; left--) {
        rbr_datagram datagram;
        rbr_error error = {.status = RBR_OK};
        const rbr_status status = rbr_control_receive(channel->watch.control, &datagram, &error);

        if (status == RBR_AGAIN)
            return true;
        if (status == RBR_DEAD)
            return false;
        if (status != RBR_OK) {
            rbr_channel_latch(channel, RBR_BROKEN, "%s", error.text);
            return false;
        }
        on_message(channel, &datagram);
        if (datagram.fd >= 0)
            close(datagram.fd);
        if (rbr_channel_state(channel, NULL) == RBR_BROKEN)
            return false; /* nothing that it says counts any more */
    }
    return true;
}

/* --------------------------------------------------------------------------------------- death */

static void
await_child(const rbr_watch *watch)
{
    struct pollfd look = {.fd = watch->child_pidfd, .events = POLLIN};

    if (watch->child_pidfd >= 0)
        poll(&look, 1, PARENT_MS);
}

/* Sweeps the session that the child leads: its number is ours until we reap the child. */
static rbr_exit
reap_child(rbr_channel *channel)
{
    rbr_watch *watch = &channel->watch;
    const uint64_t until = rbr_now_ns() + REAP_MS * RBR_MS;
    rbr_exit result = {.known = false};

    if (watch->child_pid == 0)
        return result;
    if (atomic_load(&watch->peer_pidfd) >= 0)
        await_child(watch); /* it is a wrapper, which waits for the peer */
    pthread_mutex_lock(&watch->child_lock);
    if (rbr_os_wait_child(watch->child_pidfd, watch->child_pid, true, &result) != RBR_DEAD) {
        kill(-watch->child_pid, SIGKILL);
        await_child(watch);
        /* Who watches the child (strace, a debugger) hears of its end before we do. */
        while (rbr_os_wait_child(watch->child_pidfd, watch->child_pid, false, &result) ==
                   RBR_AGAIN &&
               rbr_now_ns() < until)
            poll(NULL, 0, 1);
    } /* else somebody reaped it, and the number may be a stranger's by now */
    watch->child_pid = 0;
    pthread_mutex_unlock(&watch->child_lock);
    return result;
}

static void
describe_exit(const rbr_exit *result, char *text, size_t size)
{
    if (!result->known)
        snprintf(text, size, "ended (exit status unknown: somebody else waited for it)");
    else if (result->signalled)
        snprintf(text, size, "was killed by signal %d (%s)%s", result->code,
                 strsignal(result->code), result->core_dumped ? ", core dumped" : "");
    else
        snprintf(text, size, "exited with code %d", result->code);
}

static void
on_peer_ended(rbr_channel *channel)
{
    const rbr_exit result = reap_child(channel);
    char text[160];
    int stream;

    for (stream = 0; stream < 2; stream++)
        rbr_output_drain(channel, stream, RBR_OUTPUT_BYTES);
    rbr_output_end(channel, &result);
    if (channel->served) {
        rbr_channel_latch(channel, RBR_DEAD, "%s (pid %d) has ended", channel->title,
                          channel->peer.pid);
    } else if (channel->role == RBR_ROLE_HOST) {
        describe_exit(&result, text, sizeof text);
        rbr_channel_latch(channel, RBR_DEAD, "%s (pid %d) %s", channel->title, channel->peer.pid,
                          text);
    } else {
        rbr_channel_latch(channel, RBR_DEAD, "the host has ended");
    }
}

/* In the worker, the host being gone: the main thread has a moment to return from its loop, then
 * the whole session ends, whatever user code it is in. */
static void
end_orphan(rbr_channel *channel)
{
    struct pollfd stop = {.fd = channel->watch.stop_event, .events = POLLIN};
    const uint64_t until = rbr_now_ns() + ORPHAN_MS * RBR_MS;

    if (channel->served)
        return; /* the application goes on without this client */
    while (rbr_now_ns() < until) {
        poll(&stop, 1, ORPHAN_MS / 10);
        if (atomic_load(&channel->watch.stop))
            return; /* the channel is being closed: the main thread is on its way out */
    }
    if (getpgrp() == getpid())
        kill(0, SIGKILL);
    _exit(1);
}

/* -------------------------------------------------------------------------------------- the loop */

enum slot { SLOT_STOP, SLOT_CONTROL, SLOT_PEER, SLOT_OUT, SLOT_ERR, SLOTS };

typedef struct watch_loop {
    rbr_channel *channel;
    struct pollfd polled[SLOTS];
    bool ended; /* the peer's death was seen */
    bool control_open;
    uint64_t hint_ns; /* when to doubt a peer that closed its socket; 0: no doubt */
    uint64_t trim_ns; /* when to look at the arena; 0: no need */
    uint64_t again_id, again_ns; /* the call to interrupt again, and when; 0: none */
    unsigned again_left; /* how often at most */
} watch_loop;

static void
fill_slots(watch_loop *loop)
{
    rbr_watch *watch = &loop->channel->watch;
    const rbr_output *output = &loop->channel->output;
    const int peer = atomic_load(&watch->peer_pidfd);
    const int truth = peer >= 0 ? peer : watch->child_pidfd;
    const bool control = loop->control_open && atomic_load(&watch->handshaken);
    const int fds[SLOTS] = {
        watch->stop_event,     control ? watch->control : -1, loop->ended ? -1 : truth,
        output->streams[0].fd, output->streams[1].fd,
    };
    int i;

    for (i = 0; i < SLOTS; i++)
        loop->polled[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
}

/* No pidfd tells of the child's end. */
static bool
must_look_at_child(const watch_loop *loop)
{
    const rbr_watch *watch = &loop->channel->watch;

    return !loop->ended && watch->child_pid != 0 && watch->child_pidfd < 0;
}

static int
poll_timeout_ms(const watch_loop *loop)
{
    const uint64_t now = rbr_now_ns();
    const uint64_t progress_ns = rbr_progress_due_ns(loop->channel);
    uint64_t next = must_look_at_child(loop) ? now + CHILD_LOOK_MS * RBR_MS : RBR_FOREVER;

    if (loop->hint_ns != 0 && loop->hint_ns < next)
        next = loop->hint_ns;
    if (loop->trim_ns != 0 && loop->trim_ns < next)
        next = loop->trim_ns;
    if (progress_ns != 0 && progress_ns < next)
        next = progress_ns;
    if (loop->again_ns != 0 && loop->again_ns < next)
        next = loop->again_ns;
    if (next == RBR_FOREVER)
        return -1;
    return next <= now ? 0 : (int)((next - now) / RBR_MS + 1);
}

static void
on_ended(watch_loop *loop)
{
    loop->ended = true;
    on_peer_ended(loop->channel);
    if (loop->channel->role == RBR_ROLE_WORKER)
        end_orphan(loop->channel);
}

/* A signal that comes between an interpreter's last look and a system call that blocks is seen only
 * after that call: another one ends it. Not without end: who handles SIGINT himself never tells. */
static void
interrupt_again(watch_loop *loop, uint64_t now)
{
    rbr_watch *watch = &loop->channel->watch;
    uint64_t id = atomic_load(&watch->unheard);

    if (id != loop->again_id) {
        loop->again_id = id;
        loop->again_left = AGAIN_MAX;
        loop->again_ns = id != 0 ? now + AGAIN_MS * RBR_MS : 0;
    } else if (loop->again_ns != 0 && now >= loop->again_ns) {
        /* When it does not run any more it has ended, or waits for one that runs on top of it. */
        if (loop->again_left-- > 0 && atomic_load(&watch->running_id) == id) {
            pthread_kill((pthread_t)atomic_load(&watch->main_thread), SIGINT);
            loop->again_ns = now + AGAIN_MS * RBR_MS;
        } else {
            atomic_compare_exchange_strong(&watch->unheard, &id, 0);
            loop->again_ns = 0;
        }
    }
}

static void
on_timers(watch_loop *loop)
{
    rbr_channel *channel = loop->channel;
    const rbr_watch *watch = &channel->watch;
    const uint64_t now = rbr_now_ns();
    const uint64_t progress_ns = rbr_progress_due_ns(channel);
    rbr_exit ignored;

    if (must_look_at_child(loop) &&
        rbr_os_wait_child(-1, watch->child_pid, true, &ignored) != RBR_AGAIN)
        on_ended(loop);
    if (progress_ns != 0 && now >= progress_ns)
        rbr_progress_send_due(channel, now);
    interrupt_again(loop, now);
    if (atomic_exchange(&channel->watch.trim_soon, false) && loop->trim_ns == 0)
        loop->trim_ns = now + TRIM_MS * RBR_MS;
    if (loop->trim_ns != 0 && now >= loop->trim_ns)
        loop->trim_ns = rbr_blocks_trim(channel) ? now + TRIM_MS * RBR_MS : 0;
    if (loop->hint_ns != 0 && now >= loop->hint_ns && !loop->ended) {
        loop->hint_ns = 0;
        rbr_channel_latch(channel, RBR_DEAD,
                          channel->role == RBR_ROLE_HOST && !channel->served
                              ? "%s%s (pid %d) lives, but closed its control socket"
                              : "%s%s (pid %d) closed the channel",
                          rbr_channel_host_of(channel), channel->title, channel->peer.pid);
        if (channel->role == RBR_ROLE_WORKER)
            end_orphan(channel);
    }
}

static void
on_ready(watch_loop *loop)
{
    rbr_channel *channel = loop->channel;
    rbr_watch *watch = &channel->watch;
    const short any = POLLIN | POLLHUP | POLLERR;

    if (loop->polled[SLOT_STOP].revents != 0 && !rbr_os_event_clear(watch->stop_event)) {
        /* Without it nobody could stop us: we stop, and say so. */
        rbr_channel_latch(channel, RBR_BROKEN, "the eventfd of %s cannot be read (errno %d)",
                          channel->title, errno);
        atomic_store(&watch->stop, true);
    }
    if ((loop->polled[SLOT_OUT].revents & any) != 0)
        rbr_output_drain(channel, 0, DRAIN_BYTES);
    if ((loop->polled[SLOT_ERR].revents & any) != 0)
        rbr_output_drain(channel, 1, DRAIN_BYTES);
    if ((loop->polled[SLOT_CONTROL].revents & any) != 0 && !read_control(channel)) {
        loop->control_open = false;
        if (loop->polled[SLOT_PEER].fd < 0 && watch->child_pid == 0 && !loop->ended)
            on_ended(loop); /* no pidfd of the host: the socket is all we have */
        else
            loop->hint_ns = rbr_now_ns() + (channel->served ? SERVED_HINT_MS : HINT_MS) * RBR_MS;
    }
    if ((loop->polled[SLOT_PEER].revents & any) != 0)
        on_ended(loop);
}

static void *
watch_run(void *argument)
{
    watch_loop loop = {.channel = argument, .control_open = true};

    while (!atomic_load(&loop.channel->watch.stop)) {
        fill_slots(&loop);
        if (poll(loop.polled, SLOTS, poll_timeout_ms(&loop)) > 0)
            on_ready(&loop);
        on_timers(&loop);
    }
    return NULL;
}

/* ------------------------------------------------------------------------------------- starting */

rbr_status
rbr_watch_start(rbr_channel *channel, rbr_error *err)
{
    rbr_status status = rbr_os_thread_start(&channel->watch.thread, watch_run, channel,
                                            "ringbridge", err);

    channel->watch.started = status == RBR_OK;
    return status;
}

void
rbr_watch_poke(rbr_channel *channel)
{
    rbr_os_event_set(channel->watch.stop_event);
}

void
rbr_watch_stop(rbr_channel *channel)
{
    if (!channel->watch.started)
        return;
    atomic_store(&channel->watch.stop, true);
    rbr_watch_poke(channel);
    pthread_join((pthread_t)channel->watch.thread, NULL);
    channel->watch.started = false;
}

/* ----------------------------------------------------------------------------- the worker's side */

void
rbr_channel_set_running(rbr_channel *channel, uint32_t depth, uint64_t id)
{
    struct rbr_runs_shared *runs;
    _Atomic uint64_t *begun;

    if (atomic_load_explicit(&channel->watch.main_thread, memory_order_relaxed) == 0)
        atomic_store(&channel->watch.main_thread, (uint64_t)pthread_self());
    if (atomic_load_explicit(&channel->watch.handshaken, memory_order_relaxed) &&
        rbr_os_fork_check(channel->fork_token)) { /* a forked child has no say in its parent's */
        runs = &channel->segment.shared->runs[channel->role]; /* for the host, should we die */
        if (depth < RBR_RUNS_MAX)
            atomic_store_explicit(&runs->calls[depth], id, memory_order_relaxed);
        begun = &runs->begun[id % RBR_BEGUN_MAX];
        if (id > atomic_load_explicit(begun, memory_order_relaxed)) /* else it goes on */
            atomic_store_explicit(begun, id, memory_order_relaxed);
    }
    /* Here running_id is stored and then any_cancelled read, in the watcher the other way round.
     * All four are sequentially consistent, so one of the two sees the other's store. */
    atomic_store(&channel->watch.running_id, id);
}

void
rbr_channel_interrupt_heard(rbr_channel *channel)
{
    atomic_store(&channel->watch.unheard, 0);
}

int
rbr_channel_cancelled(rbr_channel *channel, uint64_t id)
{
    rbr_watch *watch = &channel->watch;

    uint64_t found;

    if (id == 0 || !atomic_load(&watch->any_cancelled))
        return 0;
    found = atomic_load(&watch->cancelled[id % RBR_CANCELLED_MAX]);
    return found >> 1 == id ? 1 + (int)(found & 1) : 0;
}
