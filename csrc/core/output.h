/* SPDX-License-Identifier: MIT */
/*
 * output.h - the child's stdout and stderr. See output.c.
 */
#ifndef RBR_OUTPUT_H
#define RBR_OUTPUT_H

#include "base.h"

#include <pthread.h>

#define RBR_OUTPUT_BYTES (UINT64_C(1) << 20)
#define RBR_ERROR_TAIL_BYTES 8192

typedef struct rbr_output_stream {
    int fd; /* -1: closed */
    char *bytes;
    uint64_t read, written; /* positions that only grow */
    uint64_t dropped;       /* since the last read */
} rbr_output_stream;

typedef struct rbr_output {
    pthread_mutex_t output_lock;
    pthread_cond_t changed;
    rbr_output_stream streams[2]; /* stdout, stderr */
    char tail[RBR_ERROR_TAIL_BYTES];
    uint64_t tail_written;
    uint64_t dropped_total;
    bool ended; /* the peer has ended and the pipes are drained */
    rbr_exit exit;
} rbr_output;

rbr_status rbr_output_init(rbr_channel *channel, int out_fd, int err_fd, rbr_error *err);
void rbr_output_free(rbr_channel *channel);
/* Moves what is in the pipe, at most `most` bytes; closes it at its end. */
void rbr_output_drain(rbr_channel *channel, int stream, size_t most);
/* Closes the pipes, records the exit, wakes the readers. */
void rbr_output_end(rbr_channel *channel, const rbr_exit *result);

#endif
