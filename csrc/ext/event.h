/* SPDX-License-Identifier: MIT */
/*
 * event.h - what comes for a call of ours, and the small messages that go without an answer. Included
 * by ext.h, through call.h.
 */
#ifndef RBR_EXT_EVENT_H
#define RBR_EXT_EVENT_H

/* context.c: the call in which this thread runs a callback. Requests that it makes meanwhile on the
 * same channel carry that call's id as their parent, so that the worker, which waits for the
 * callback, runs them. Lives on the stack between push and pop. */
typedef struct call_context {
    const ChannelObject *channel;
    uint64_t call;
    struct call_context *before;
} call_context;

void call_context_push(call_context *self, const ChannelObject *channel, uint64_t call);
void call_context_pop(call_context *self);
/* The innermost such call on this channel; 0: none. */
uint64_t call_context_of(const ChannelObject *channel);
/* The same, also where a coroutine answers the callback; may run Python code. -1 with an exception. */
int call_parent_of(ChannelObject *channel, uint64_t *parent);

/* event.c: what comes for a call of ours. As Python sees it, (kind, payload):
 *   RESULT    the value                      ERROR  the exception
 *   PROGRESS  (fraction, done, total, text)  LOG    (level, logger, text)
 *   ITEM      the value                      END    None, or the exception
 *   CALLBACK  (request, callable or None, args, kwargs or None): to be answered
 *   NOTHING   None: it has been dealt with
 *   NEWER     None: there is something newer in the stream's latest-value buffer */
enum event_kind {
    EVENT_RESULT,
    EVENT_ERROR,
    EVENT_PROGRESS,
    EVENT_LOG,
    EVENT_ITEM,
    EVENT_END,
    EVENT_CALLBACK,
    EVENT_NOTHING,
    EVENT_NEWER
};

/* call_latest.c: the latest-value buffer of a stream of ours. */
typedef struct latest_view {
    rbr_block *block; /* NULL: none so far */
    rbr_latest_reader reader;
    uint64_t next;    /* the item that follows the one taken last */
    uint64_t dropped; /* items that nobody saw, between those taken */
    frame_copies copies;
} latest_view;

/* This table OpenLatest names the buffer, instead of the one so far. False: it is none. */
bool latest_view_open(latest_view *self, const rbr_message *message, rbr_table body);
void latest_view_close(latest_view *self);

/* What a call of ours has, for what comes for it. */
typedef struct event_call {
    PyObject *callbacks; /* list or NULL */
    latest_view *latest; /* NULL: it is no stream */
    uint64_t parent;     /* the call that it was made in; 0: none */
    uint64_t *last_handle; /* in and out: the largest number of a handle that came for it */
    bool copy;
    bool again; /* an exception that is none of the call's own has cut this short before */
} event_call;

/* A value that cannot be decoded becomes an ERROR, or an END: then the stream is closed over there.
 * NULL with an exception that is not the call's: Ctrl-C; only where it is not done again, so that
 * what raises each time (a pickle may) ends its call. */
PyObject *event_decode(ChannelObject *channel, const rbr_message *message, const event_call *call);
/* (kind, the exception that is set). */
PyObject *event_of_exception(enum event_kind kind);
bool event_is_answer(const rbr_message *message);
/* A call that a thread waits for, and what its callbacks need. */
typedef struct event_hand {
    ChannelObject *channel;
    uint64_t call;
    PyObject *callbacks;    /* list or NULL */
    PyObject *callbacks_on; /* an executor, or None: this thread */
    uint64_t *last_handle;  /* as in event_call */
} event_hand;
/* Runs callbacks, hands on what was logged. -1 with an exception that is not for the other side (no
 * subclass of Exception). */
int event_handle(const event_hand *self, const rbr_message *message);
/* run_callback(channel, call, request, callable, args, kwargs): runs a callback as part of `call` on
 * this thread, and answers `request`. */
PyObject *event_run_callback(PyObject *module, PyObject *args);
/* Decodes positional and keyword arguments: (args, kwargs or None). */
PyObject *event_decode_arguments(value_decoder *decoder, rbr_table body, uint32_t args_field,
                                 uint32_t kwargs_field);

/* small_frame.c: messages of a few bytes, posted: they never wait. Errors are dropped: the channel's
 * end is noticed elsewhere. parent: the call that waits for a callback until this is done; 0: none. */
void small_frame_release(ChannelObject *channel, uint64_t parent, uint64_t handle);
/* A call of ours has ended before its last message was taken: objects that those not taken have the
 * handles of can go. last_handle: the largest number of a handle that came for it; 0: none did. */
void small_frame_ended(ChannelObject *channel, uint64_t call, uint64_t last_handle);
void small_frame_credit(ChannelObject *channel, uint64_t call, uint64_t parent, uint32_t items,
                        uint64_t bytes);
void small_frame_close(ChannelObject *channel, uint64_t call, uint64_t parent);
/* In a worker: the item `index` of a stream is in its latest-value buffer, or a newer one is. */
void small_frame_newer(ChannelObject *channel, uint64_t call, uint64_t index);
/* In a worker: this block is that buffer from now on; the host is reader 0. */
rbr_status small_frame_open_latest(ChannelObject *channel, uint64_t call, rbr_block *block);

/* Answers a request, of either side, where memory has ended: it has ended with a MemoryError. */
rbr_status small_frame_no_memory(ChannelObject *channel, uint64_t request);

#endif
