/* SPDX-License-Identifier: MIT */
/*
 * channel.c - opening and closing; the one final state; counts.
 *
 * Two counts: users may call us, the last one closes; blocks of ours that are still held keep the
 * structure (and their mappings) past that.
 */
#include "channel.h"

#include "os.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------------- opening */

static rbr_status
check_options(rbr_channel_options *options, rbr_error *err)
{
    if (options->ring_bytes == 0)
        options->ring_bytes = RBR_RING_BYTES_DEFAULT;
    if (!rbr_is_power_of_two(options->ring_bytes) || options->ring_bytes < RBR_RING_BYTES_MIN ||
        options->ring_bytes > RBR_RING_BYTES_MAX)
        return rbr_fail(err, RBR_TOO_BIG, "ring_bytes must be a power of two from %u to %u, not %u",
                        RBR_RING_BYTES_MIN, RBR_RING_BYTES_MAX, options->ring_bytes);
    return RBR_OK;
}

/* All that only users need: descriptors and the rings. The arena's memory stays for held blocks. */
static void
let_go(rbr_channel *channel)
{
    rbr_watch *watch = &channel->watch;
    const int fds[] = {
        watch->control,          watch->stop_event,
        watch->child_pidfd,      atomic_load(&watch->peer_pidfd),
        channel->exchange.event, atomic_exchange(&channel->wake.peers_event, -1),
    };
    size_t i;

    pthread_mutex_lock(&channel->exchange.lock);
    atomic_store(&watch->handshaken, false); /* rbr_exchange_wake_all looks under the lock */
    pthread_mutex_unlock(&channel->exchange.lock);
    rbr_segment_detach(&channel->segment);
    rbr_inbox_free_own(channel);
    for (i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    watch->control = watch->stop_event = watch->child_pidfd = channel->exchange.event = -1;
    atomic_store(&watch->peer_pidfd, -1);
}

static void
channel_free(rbr_channel *channel)
{
    let_go(channel);
    rbr_output_free(channel);
    rbr_progress_free(channel);
    rbr_relay_free(channel);
    rbr_exchange_free(channel);
    rbr_blocks_free(channel);
    pthread_mutex_destroy(&channel->watch.child_lock);
    free(channel);
}

/* Takes the descriptors, also on failure. */
static rbr_status
channel_new(rbr_channel **out, int role, int socket, int out_fd, int err_fd,
            const rbr_channel_options *options, rbr_error *err)
{
    rbr_channel *channel = calloc(1, sizeof *channel);
    rbr_status status;

    if (channel == NULL) {
        close(socket);
        if (out_fd >= 0)
            close(out_fd);
        if (err_fd >= 0)
            close(err_fd);
        return rbr_fail(err, RBR_NO_MEMORY, "out of memory");
    }
    atomic_init(&channel->users, 1);
    atomic_init(&channel->memory, 1);
    channel->role = role;
    channel->options = *options;
    snprintf(channel->title, sizeof channel->title, "%s %s",
             options->kind != NULL ? options->kind : "worker",
             options->name != NULL ? options->name : "worker");
    channel->options.name = channel->options.kind = NULL; /* the caller's */
    channel->watch.control = socket;
    channel->watch.child_pidfd = -1;
    atomic_init(&channel->watch.peer_pidfd, -1);
    atomic_init(&channel->wake.peers_event, -1);
    channel->fork_token = rbr_os_fork_token();
    pthread_mutex_init(&channel->watch.child_lock, NULL);
    rbr_progress_init(channel);
    status = rbr_output_init(channel, out_fd, err_fd, err);
    if (rbr_exchange_init(channel) != RBR_OK && status == RBR_OK)
        status = rbr_fail(err, RBR_NO_MEMORY, "out of memory");
    rbr_blocks_init(channel, options->arena_limit);
    channel->watch.stop_event = -1;
    if (status == RBR_OK)
        status = rbr_os_event_new(&channel->watch.stop_event, err);
    if (status == RBR_OK && channel->fork_token == 0)
        status = rbr_fail(err, RBR_NO_MEMORY, "out of memory");
    if (status == RBR_OK)
        status = rbr_control_prepare(socket, err);
    if (status != RBR_OK) {
        channel_free(channel);
        return status;
    }
    *out = channel;
    return RBR_OK;
}

rbr_status
rbr_channel_open_host(rbr_channel **out, int socket, int pid, int out_fd, int err_fd,
                      const rbr_channel_options *options, rbr_error *err)
{
    rbr_channel_options checked = *options;
    rbr_channel *channel;
    rbr_status status = check_options(&checked, err);

    if (status != RBR_OK) {
        close(socket);
        if (out_fd >= 0)
            close(out_fd);
        if (err_fd >= 0)
            close(err_fd);
        return status;
    }
    status = channel_new(&channel, RBR_ROLE_HOST, socket, out_fd, err_fd, &checked, err);
    if (status != RBR_OK)
        return status;
    channel->watch.child_pid = pid;
    channel->peer.pid = pid;
    channel->wake.spin_ns = checked.spin_ns < 0 ? rbr_wake_calibrate() : (uint64_t)checked.spin_ns;
    status = rbr_os_pidfd_open(&channel->watch.child_pidfd, pid, err); /* ours to reap: surely it */
    if (status == RBR_OK)
        status = rbr_watch_start(channel, err);
    if (status != RBR_OK) {
        channel_free(channel);
        return status;
    }
    *out = channel;
    return RBR_OK;
}

/* The peer is a process that the socket is connected to, and no child of ours. */
static rbr_status
watch_connected(rbr_channel *channel, rbr_error *err)
{
    const int pid = rbr_control_peer_pid(channel->watch.control);
    int pidfd = -1;
    rbr_status status = RBR_OK;

    channel->peer.pid = pid;
    if (pid > 0) /* opened; the handshake that follows shows that the socket still answers */
        status = rbr_os_pidfd_open(&pidfd, pid, err);
    atomic_store(&channel->watch.peer_pidfd, pidfd);
    return status == RBR_OK ? rbr_watch_start(channel, err) : status;
}

rbr_status
rbr_channel_open_client(rbr_channel **out, int socket, const rbr_channel_options *options,
                        rbr_error *err)
{
    rbr_channel_options checked = *options;
    rbr_channel *channel;
    rbr_status status = check_options(&checked, err);

    if (status != RBR_OK) {
        close(socket);
        return status;
    }
    checked.memory = RBR_MEMORY_MEMFD;
    status = channel_new(&channel, RBR_ROLE_HOST, socket, -1, -1, &checked, err);
    if (status != RBR_OK)
        return status;
    channel->served = channel->wake.nudge = true;
    channel->wake.spin_ns = checked.spin_ns < 0 ? rbr_wake_calibrate() : (uint64_t)checked.spin_ns;
    status = watch_connected(channel, err);
    if (status != RBR_OK) {
        channel_free(channel);
        return status;
    }
    *out = channel;
    return RBR_OK;
}

/* options: of an application that serves; NULL: of a worker. */
static rbr_status
open_worker(rbr_channel **out, int socket, const char *python_version, const char *abi,
            const char *executable, const rbr_channel_options *options, rbr_error *err)
{
    const rbr_channel_options none = {.name = NULL};
    rbr_channel *channel;
    rbr_status status = channel_new(&channel, RBR_ROLE_WORKER, socket, -1, -1,
                                    options != NULL ? options : &none, err);

    if (status != RBR_OK)
        return status;
    channel->served = channel->wake.nudge = options != NULL;
    snprintf(channel->peer_text[0], sizeof channel->peer_text[0], "%s", python_version);
    snprintf(channel->peer_text[1], sizeof channel->peer_text[1], "%s", abi);
    snprintf(channel->peer_text[3], sizeof channel->peer_text[3], "%s", executable);
    status = watch_connected(channel, err);
    if (status != RBR_OK) {
        channel_free(channel);
        return status;
    }
    *out = channel;
    return RBR_OK;
}

rbr_status
rbr_channel_open_worker(rbr_channel **out, int socket, const char *python_version, const char *abi,
                        const char *executable, rbr_error *err)
{
    return open_worker(out, socket, python_version, abi, executable, NULL, err);
}

rbr_status
rbr_channel_open_served(rbr_channel **out, int socket, const char *python_version, const char *abi,
                        const char *executable, const rbr_channel_options *options, rbr_error *err)
{
    return open_worker(out, socket, python_version, abi, executable, options, err);
}

/* --------------------------------------------------------------------------------- final state */

void
rbr_channel_latch(rbr_channel *channel, rbr_status status, const char *format, ...)
{
    va_list arguments;

    pthread_mutex_lock(&channel->exchange.lock);
    if (atomic_load_explicit(&channel->state, memory_order_relaxed) == RBR_OK) {
        va_start(arguments, format);
        vsnprintf(channel->final.text, sizeof channel->final.text, format, arguments);
        va_end(arguments);
        channel->final.status = status;
        /* release: whoever sees the state sees its message, and all that led to it. */
        atomic_store_explicit(&channel->state, (int)status, memory_order_release);
    }
    pthread_mutex_unlock(&channel->exchange.lock);
    rbr_exchange_wake_all(channel);
    rbr_blocks_wake_all(channel);
    rbr_relay_wake(channel);
}

rbr_status
rbr_channel_state(rbr_channel *channel, rbr_error *err)
{
    const int state = atomic_load_explicit(&channel->state, memory_order_acquire);

    if (!rbr_os_fork_check(channel->fork_token))
        return rbr_fail(err, RBR_FORKED,
                        "this process was forked from the one that owns %s: start a worker, or "
                        "connect, anew here",
                        channel->title);
    if (state != RBR_OK && err != NULL) {
        pthread_mutex_lock(&channel->exchange.lock);
        *err = channel->final;
        pthread_mutex_unlock(&channel->exchange.lock);
    }
    return (rbr_status)state;
}

rbr_status
rbr_channel_check(const rbr_channel *channel)
{
    if (!rbr_os_fork_check(channel->fork_token))
        return RBR_FORKED;
    if (!atomic_load_explicit(&channel->watch.handshaken, memory_order_acquire)) {
        const int state = atomic_load_explicit(&channel->state, memory_order_acquire);

        return state != RBR_OK ? (rbr_status)state : RBR_CLOSED;
    }
    return (rbr_status)atomic_load_explicit(&channel->state, memory_order_acquire);
}

void
rbr_channel_peer(rbr_channel *channel, rbr_peer *out)
{
    const bool host = channel->role == RBR_ROLE_HOST;

    *out = (rbr_peer){
        .pid = channel->peer.pid,
        .python = host ? channel->peer_text[0] : "",
        .abi = host ? channel->peer_text[1] : "",
        .version = channel->peer_text[2],
        .executable = host ? channel->peer_text[3] : "",
        .pickle = channel->peer.pickle,
    };
}

void
rbr_channel_allow_pickle(rbr_channel *channel)
{
    channel->pickle_ok = true;
}

const char *
rbr_channel_host_of(const rbr_channel *channel)
{
    return channel->role == RBR_ROLE_WORKER && !channel->served ? "the host of " : "";
}

/* ------------------------------------------------------------------------------------- closing */

void
rbr_channel_close(rbr_channel *channel)
{
    const rbr_exit unknown = {.known = false};

    if (!rbr_os_fork_check(channel->fork_token) || atomic_exchange(&channel->closed, true))
        return;
    rbr_watch_stop(channel);
    rbr_channel_latch(channel, RBR_CLOSED, "%s is closed", channel->title);
    rbr_output_end(channel, &unknown);
}

void
rbr_channel_retain(rbr_channel *channel)
{
    atomic_fetch_add_explicit(&channel->users, 1, memory_order_relaxed);
}

void
rbr_channel_release(rbr_channel *channel)
{
    RBR_VERIFY(channel->users > 0);
    if (atomic_fetch_sub_explicit(&channel->users, 1, memory_order_acq_rel) != 1)
        return;
    if (!rbr_os_fork_check(channel->fork_token))
        return; /* the parent's: no thread to join, locks in any state; the memory stays */
    rbr_channel_close(channel);
    rbr_exchange_drop_inbox(channel);
    let_go(channel);
    rbr_channel_memory_release(channel);
}

void
rbr_channel_memory_retain(rbr_channel *channel)
{
    atomic_fetch_add_explicit(&channel->memory, 1, memory_order_relaxed);
}

void
rbr_channel_memory_release(rbr_channel *channel)
{
    RBR_VERIFY(channel->memory > 0);
    if (atomic_fetch_sub_explicit(&channel->memory, 1, memory_order_acq_rel) == 1)
        channel_free(channel);
}

/* --------------------------------------------------------------------------------------- stats */

void
rbr_channel_stats(rbr_channel *channel, rbr_stats *out)
{
    rbr_exchange *exchange = &channel->exchange;
    rbr_block_table *table = &channel->blocks;
    rbr_stats stats = {
        .frames_sent = atomic_load(&exchange->frames_sent),
        .frames_received = atomic_load(&exchange->frames_received),
        .bytes_sent = atomic_load(&exchange->bytes_sent),
        .bytes_received = atomic_load(&exchange->bytes_received),
        .wakes_sent = atomic_load(&channel->wake.wakes_sent),
        .sleeps = atomic_load(&channel->wake.sleeps),
        .late_looks = atomic_load(&channel->wake.late_looks),
        .dropped_answers = atomic_load(&exchange->dropped_answers),
        .dropped_asides = atomic_load(&exchange->dropped_asides),
        .peer_blocks = atomic_load(&table->peer_blocks),
        .arena_limit = table->limit,
        .ring_bytes = channel->segment.ring_bytes,
        .spin_ns = (uint32_t)channel->wake.spin_ns,
    };

    if (rbr_os_fork_check(channel->fork_token)) { /* a forked child must take no lock */
        pthread_mutex_lock(&table->arena_lock);
        rbr_arena_collect(&table->arena, SIZE_MAX);
        stats.arena_bytes = table->arena.mapped_bytes;
        stats.arena_used = table->arena.used_bytes;
        stats.arena_blocks = table->arena.used_blocks;
        pthread_mutex_unlock(&table->arena_lock);
        pthread_mutex_lock(&channel->output.output_lock);
        stats.output_dropped = channel->output.dropped_total;
        pthread_mutex_unlock(&channel->output.output_lock);
    }
    *out = stats;
}
