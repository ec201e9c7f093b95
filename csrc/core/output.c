/* SPDX-License-Identifier: MIT */
/*
 * output.c - what the child prints, until somebody reads it.
 *
 * The watcher fills, one reader empties. A stream that nobody reads keeps its newest
 * RBR_OUTPUT_BYTES and counts what it lost, so the child never blocks on a full pipe. The last
 * bytes of stderr are kept a second time, for the message of WorkerDied.
 */
#include "channel.h"

#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

rbr_status
rbr_output_init(rbr_channel *channel, int out_fd, int err_fd, rbr_error *err)
{
    rbr_output *output = &channel->output;
    const int fds[2] = {out_fd, err_fd};
    pthread_condattr_t attributes;
    int i;

    pthread_mutex_init(&output->output_lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&output->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    for (i = 0; i < 2; i++)
        output->streams[i].fd = fds[i];
    for (i = 0; i < 2; i++) {
        if (fds[i] < 0)
            continue;
        output->streams[i].bytes = malloc(RBR_OUTPUT_BYTES);
        if (output->streams[i].bytes == NULL)
            return rbr_fail(err, RBR_NO_MEMORY, "out of memory");
        if (fcntl(fds[i], F_SETFL, fcntl(fds[i], F_GETFL) | O_NONBLOCK) != 0 ||
            fcntl(fds[i], F_SETFD, FD_CLOEXEC) != 0)
            return rbr_fail_sys(err, "set up an output pipe");
    }
    return RBR_OK;
}

void
rbr_output_free(rbr_channel *channel)
{
    rbr_output *output = &channel->output;
    int i;

    for (i = 0; i < 2; i++) {
        if (output->streams[i].fd >= 0)
            close(output->streams[i].fd);
        output->streams[i].fd = -1;
        free(output->streams[i].bytes);
        output->streams[i].bytes = NULL;
    }
    pthread_cond_destroy(&output->changed);
    pthread_mutex_destroy(&output->output_lock);
}

/* Copies into a circular buffer of `capacity` at a position that only grows. */
static void
circular_write(char *buffer, uint64_t capacity, uint64_t position, const char *bytes, size_t size)
{
    const size_t at = (size_t)(position % capacity);
    const size_t first = size < capacity - at ? size : (size_t)(capacity - at);

    memcpy(buffer + at, bytes, first);
    memcpy(buffer, bytes + first, size - first);
}

static void
circular_read(char *bytes, size_t size, const char *buffer, uint64_t capacity, uint64_t position)
{
    const size_t at = (size_t)(position % capacity);
    const size_t first = size < capacity - at ? size : (size_t)(capacity - at);

    memcpy(bytes, buffer + at, first);
    memcpy(bytes + first, buffer, size - first);
}

/* Under output_lock. */
static void
keep(rbr_output *output, int stream, const char *bytes, size_t size)
{
    rbr_output_stream *to = &output->streams[stream];

    circular_write(to->bytes, RBR_OUTPUT_BYTES, to->written, bytes, size);
    to->written += size;
    if (to->written - to->read > RBR_OUTPUT_BYTES) {
        const uint64_t lost = to->written - to->read - RBR_OUTPUT_BYTES;

        to->read += lost;
        to->dropped += lost;
        output->dropped_total += lost;
    }
    if (stream == 1) {
        const size_t kept = size < RBR_ERROR_TAIL_BYTES ? size : RBR_ERROR_TAIL_BYTES;

        circular_write(output->tail, RBR_ERROR_TAIL_BYTES, output->tail_written + (size - kept),
                       bytes + (size - kept), kept);
        output->tail_written += size;
    }
}

void
rbr_output_drain(rbr_channel *channel, int stream, size_t most)
{
    rbr_output *output = &channel->output;
    const int fd = output->streams[stream].fd; /* only the watcher changes it */
    char bytes[16384];
    ssize_t got;

    while (fd >= 0 && most > 0) {
        got = read(fd, bytes, sizeof bytes < most ? sizeof bytes : most);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return;
        pthread_mutex_lock(&output->output_lock);
        if (got > 0) {
            keep(output, stream, bytes, (size_t)got);
            most -= (size_t)got;
        } else {
            close(fd);
            output->streams[stream].fd = -1;
        }
        pthread_cond_broadcast(&output->changed);
        pthread_mutex_unlock(&output->output_lock);
        if (got <= 0)
            return;
    }
}

void
rbr_output_end(rbr_channel *channel, const rbr_exit *result)
{
    rbr_output *output = &channel->output;
    int i;

    pthread_mutex_lock(&output->output_lock);
    for (i = 0; i < 2; i++) {
        if (output->streams[i].fd >= 0)
            close(output->streams[i].fd);
        output->streams[i].fd = -1;
    }
    if (!output->ended) {
        output->exit = *result;
        output->ended = true;
    }
    pthread_cond_broadcast(&output->changed);
    pthread_mutex_unlock(&output->output_lock);
}

/* Under output_lock; RBR_TIMED_OUT when the deadline has passed. */
static rbr_status
wait_changed(rbr_output *output, uint64_t deadline_ns)
{
    const struct timespec until = {(time_t)(deadline_ns / RBR_SECOND),
                                   (long)(deadline_ns % RBR_SECOND)};

    if (deadline_ns == RBR_FOREVER) {
        pthread_cond_wait(&output->changed, &output->output_lock);
        return RBR_OK;
    }
    return pthread_cond_timedwait(&output->changed, &output->output_lock, &until) == ETIMEDOUT
               ? RBR_TIMED_OUT
               : RBR_OK;
}

/* Under output_lock. RBR_AGAIN: nothing there. */
static rbr_status
take(rbr_output *output, char *bytes, size_t *size, int *stream, uint64_t *dropped)
{
    int i;

    for (i = 0; i < 2; i++) {
        rbr_output_stream *from = &output->streams[i];
        const uint64_t there = from->written - from->read;

        if (there == 0)
            continue;
        *size = there < *size ? (size_t)there : *size;
        circular_read(bytes, *size, from->bytes, RBR_OUTPUT_BYTES, from->read);
        from->read += *size;
        *dropped = from->dropped;
        from->dropped = 0;
        *stream = i + 1;
        return RBR_OK;
    }
    return RBR_AGAIN;
}

rbr_status
rbr_channel_read_output(rbr_channel *channel, char *bytes, size_t *size, int *stream,
                        uint64_t *dropped, uint64_t deadline_ns)
{
    rbr_output *output = &channel->output;
    rbr_status status;

    if (!rbr_os_fork_check(channel->fork_token))
        return RBR_FORKED;
    pthread_mutex_lock(&output->output_lock);
    for (;;) {
        status = take(output, bytes, size, stream, dropped);
        if (status != RBR_AGAIN)
            break;
        if (output->ended || atomic_load(&channel->closed)) {
            status = RBR_CLOSED;
            break;
        }
        if (wait_changed(output, deadline_ns) == RBR_TIMED_OUT) {
            status = take(output, bytes, size, stream, dropped);
            if (status == RBR_AGAIN)
                status = RBR_TIMED_OUT;
            break;
        }
    }
    pthread_mutex_unlock(&output->output_lock);
    return status;
}

size_t
rbr_channel_error_tail(rbr_channel *channel, char *bytes, size_t size)
{
    rbr_output *output = &channel->output;
    uint64_t there;

    if (!rbr_os_fork_check(channel->fork_token))
        return 0;
    pthread_mutex_lock(&output->output_lock);
    there = output->tail_written < RBR_ERROR_TAIL_BYTES ? output->tail_written
                                                        : RBR_ERROR_TAIL_BYTES;
    if (there < size)
        size = (size_t)there;
    circular_read(bytes, size, output->tail, RBR_ERROR_TAIL_BYTES, output->tail_written - size);
    pthread_mutex_unlock(&output->output_lock);
    return size;
}

rbr_status
rbr_channel_wait_end(rbr_channel *channel, rbr_exit *out, uint64_t deadline_ns)
{
    rbr_output *output = &channel->output;
    rbr_status status = RBR_OK;

    if (!rbr_os_fork_check(channel->fork_token))
        return RBR_FORKED;
    pthread_mutex_lock(&output->output_lock);
    while (!output->ended && status == RBR_OK)
        status = wait_changed(output, deadline_ns);
    if (output->ended) {
        *out = output->exit;
        status = RBR_OK;
    }
    pthread_mutex_unlock(&output->output_lock);
    return status;
}
