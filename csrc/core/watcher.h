/* SPDX-License-Identifier: MIT */
/*
 * watcher.h - the thread that hears what comes beside the rings. See watcher.c.
 */
#ifndef RBR_WATCHER_H
#define RBR_WATCHER_H

#include "base.h"

#include <pthread.h>

/* Remembered cancels, each at its id modulo this: of two calls that far apart, one has ended. */
#define RBR_CANCELLED_MAX 16384

typedef struct rbr_watch {
    unsigned long thread;
    bool started;
    int stop_event;   /* eventfd: stop, or look again at what to poll */
    int control;      /* the control socket */
    pthread_mutex_t child_lock; /* child_pid is ours to signal while it is held and not 0 */
    int child_pid;              /* the process that we started; 0: none, or reaped */
    int child_pidfd;            /* -1: none */
    _Atomic int peer_pidfd;     /* the peer, where it is not the child; in the worker: the host */
    _Atomic bool stop, handshaken, goodbye, trim_soon;
    _Atomic uint64_t running_id;
    _Atomic uint64_t main_thread; /* pthread_t; 0: none yet */
    _Atomic uint64_t unheard; /* a running call that was interrupted, whose thread has not heard
                                     of it yet; 0: none */
    _Atomic bool any_cancelled;
    _Atomic uint64_t cancelled[RBR_CANCELLED_MAX]; /* id << 1 | hard */
} rbr_watch;

rbr_status rbr_watch_start(rbr_channel *channel, rbr_error *err);
void rbr_watch_poke(rbr_channel *channel);
void rbr_watch_stop(rbr_channel *channel);

#endif
