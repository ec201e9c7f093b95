/* SPDX-License-Identifier: MIT */
/*
 * calls.h - private to call_type.c and inbox_type.c: calls that no thread blocks for.
 */
#ifndef RBR_EXT_CALLS_H
#define RBR_EXT_CALLS_H

#include "ext.h"

#include <stddef.h>

/* Messages that were taken and given to nobody, since an exception came amid that (Ctrl-C, no memory):
 * they are taken again before all others. */
typedef struct put_back put_back;
typedef struct put_backs {
    put_back *first;
    put_back *spare; /* for the next one, when there may be no memory */
} put_backs;

/* Before a message is taken that may have to be put back. -1 with an exception. */
int put_backs_prepare(put_backs *self);
/* Owns the message. Keeps the exception that is set. */
void put_backs_add(put_backs *self, rbr_message *message);
/* NULL: there is none. */
rbr_message *put_backs_take(put_backs *self);
/* channel NULL: it is closed. */
void put_backs_drop(put_backs *self, rbr_channel *channel);

/* Where events arrive: of the channel's own inbox, or of one with a descriptor to poll. It holds its
 * calls until their last event, so that who submits need not. */
typedef struct InboxObject {
    PyObject_HEAD
    ChannelObject *channel;
    rbr_inbox *inbox; /* NULL once closed and left by the last user */
    int users;        /* threads in take() */
    bool closing;
    bool opened;     /* it is ours to close, and has a descriptor */
    PyObject *calls; /* dict: id -> Call */
    put_backs put_backs;
    PyObject *weakrefs;
} InboxObject;

typedef struct CallObject {
    PyObject_HEAD
    ChannelObject *channel;
    rbr_channel *held; /* a reference, and the pending call is registered; NULL: it has ended */
    rbr_pending pending;
    put_backs put_backs; /* without an inbox */
    uint64_t id;
    uint64_t parent; /* the call that it was made in; 0: none */
    uint64_t last_handle; /* the largest number of a handle that came for it; 0: none */
    bool finished;        /* its last message has been taken: no handle will be missed */
    bool copy;
    latest_view *latest; /* NULL: it is no stream whose newest item wins */
    PyObject *callbacks; /* list of callables, by index; NULL: none */
    InboxObject *inbox;  /* NULL: take() */
    PyObject *owner;     /* any object: whose call it is */
    PyObject *title;     /* for messages */
    PyObject *weakrefs;
} CallObject;

/* What a message for it says; again: it had been put back. */
PyObject *call_event(CallObject *self, const rbr_message *message, bool again);
/* call_latest.c: the newest item of its stream: (ITEM, it), (NOTHING, None) where it has been taken
 * already, or (END, exception). Gives the credit back. */
PyObject *call_newest(CallObject *self, PyObject *unused);
/* Nothing of it is left in the core; may let go of the GIL. Idempotent. */
void call_end(CallObject *self);

/* The inbox to use until inbox_leave, NULL with an exception when it is closed. While anybody is
 * inside, close() only marks it: its memory is not freed under him. */
rbr_inbox *inbox_enter(InboxObject *self);
void inbox_leave(InboxObject *self);

/* Within which call its stream is read now: by this thread or coroutine, else where it was begun. -1
 * with an exception: then that. */
int call_reads_within(CallObject *self, uint64_t *parent);

int inbox_add(InboxObject *self, CallObject *call);
void inbox_remove(InboxObject *self, uint64_t id);

#endif
