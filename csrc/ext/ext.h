/* SPDX-License-Identifier: MIT */
/*
 * ext.h - what the files of the extension `_core` share.
 *
 *   module.c          the module: its state, its types, its few functions
 *   channel_type.c    Channel: one end of a channel
 *   channel_open.c    how one begins: to a child, as that child, to an application, as that one
 *   channel_process.c signals to the peer, its end, its output
 *   channel_wait.c    waiting without the GIL, so that Ctrl-C is heard
 *   channel_errors.c  statuses and Error frames become exceptions
 *   target_type.c     Target: what a remote function is bound to, and again after a restart
 *   function_type.c   Function: a remote function, its names and options
 *   function_call.c   its call: the hot path of the host
 *   call_frame.c      what a call and a load have in common
 *   call_type.c       Call: a call that nobody blocks for
 *   call_latest.c     a stream whose newest item wins: the host's end; serve_latest.c: the worker's
 *   inbox_type.c      Inbox: where the answers to such calls arrive
 *   event.c           what comes for a call: its answer, progress, items, callbacks
 *   context.c         the call in which this thread runs a callback
 *   small_frame.c     requests that are posted and not answered
 *   handle_type.c     Handle: an object that stays in the worker
 *   load.c            the host's side of loading a module
 *   serve_loop.c      serve(): the hot path of the worker
 *   serve_lane.c      Lane: the same for an application's own loop, which comes by now and then
 *   serve_running.c   which call runs, on which thread
 *   serve_answer.c    what the worker sends back
 *   serve_stream.c    its generators, item by item
 *   serve_handle.c    its objects that stay, their attributes
 *   serve_callback.c  its calls back into the host
 *   serve_task.c      what a running call tells the host: progress, log
 *   array_type.c      Array: memory of a block (or of its own) with shape, strides and format;
 *                     tensor_*.c: arrays on the wire, DLPack
 *   numpy_*.c         the few things that we ask of numpy, without its headers; it may be absent
 *   value_encode.c    Python values -> table Value; value_encoder.c: the frame that is built
 *   value_decode.c    table Value -> Python values; both ways: value_{lists,dates,rare,hashes}.c
 *   value_foreign.c   tables and pickles, through Python modules of ours
 *   value_handle.c    handles, and functions that are called back
 *
 * Only this folder includes Python.h, and of the core it sees include/ only. The source keeps to
 * what the limited API of 3.11 has (or to a shim here), so that an abi3 build stays possible.
 * Object state needs the GIL, unless a comment says otherwise.
 */
#ifndef RBR_EXT_H
#define RBR_EXT_H

#include "compat.h"

#include "ringbridge.h"
#include "ringbridge_flatbuf.h"
#include "ringbridge_latest.h"
#include "ringbridge_wire.h"

/* ---------------------------------------------------------------------------------- the module */

enum foreign_module {
    FOREIGN_TABLES,
    FOREIGN_PICKLES,
    FOREIGN_OUTPUT,
    FOREIGN_TASK,
    FOREIGN_OBJECTS,
    FOREIGN_CALLBACKS,
    FOREIGN_ANSWERING,
    FOREIGN_CORE, /* this very extension, as Python knows it */
    FOREIGN_COUNT
};

typedef struct core_state {
    PyTypeObject *channel_type;
    PyTypeObject *target_type;
    PyTypeObject *function_type;
    PyTypeObject *call_type, *inbox_type, *handle_type, *lane_type;
    PyTypeObject *array_type;
    /* of ringbridge.errors */
    PyObject *ringbridge_error, *worker_start_failed, *worker_died, *cannot_cross, *call_timeout;
    PyObject *arena_full, *protocol_error, *busy;
    PyObject *error_from_wire; /* (code, type, message, traceback, args) -> exception */
    PyObject *error_to_wire;   /* (exception) -> (code, type, message, traceback, args) */
    struct server *server; /* in a worker: its loop; NULL: none */
    /* What a thread that waits here for another process does meanwhile, or NULL; and which thread. */
    PyObject *idle;
    unsigned long idle_thread;
    /* numpy_bridge.c: NULL until numpy was first needed */
    struct numpy_bridge *numpy;
    bool numpy_missing; /* looked for, not installed */
    /* value_encode.c, value_decode.c: what datetime and its like need, made on first use */
    PyObject *cold_types[16];
    /* value_foreign.c: Python modules of ours, when they were first needed */
    PyObject *foreign[FOREIGN_COUNT];
} core_state;

/* tp_new of a type whose objects only C makes: raises. */
PyObject *type_without_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);

core_state *core_state_of_type(PyTypeObject *type); /* of one of our types (not a subclass) */
void numpy_bridge_clear(core_state *state);
int numpy_bridge_traverse(core_state *state, visitproc visit, void *arg);

/* value_foreign.c: a function of a Python module of ours, imported now if it has not been; a new
 * reference. */
PyObject *foreign_function(core_state *state, enum foreign_module which, const char *name);

extern PyType_Spec call_type_spec, inbox_type_spec, handle_type_spec, lane_type_spec;
extern PyType_Spec channel_type_spec, target_type_spec, function_type_spec, array_type_spec;

typedef struct value_encoder value_encoder;

/* ------------------------------------------------------------------------------------- Channel */

typedef struct ChannelObject {
    PyObject_HEAD
    core_state *state;
    rbr_channel *channel; /* NULL once closed and left by the last user */
    int users; /* threads inside channel_enter ... channel_leave */
    bool closing;
    bool pickle; /* both sides have agreed to pickled values */
    bool host; /* not the worker's end */
    bool served; /* the peers are an application and its client */
    struct server *server; /* what runs the peer's calls; NULL: nothing */
    bool coroutines; /* answer its callbacks: Python knows which of them runs, see context.c */
    PyObject *name; /* str */
    PyObject *title; /* str, what the peer is, and its name: for messages */
    PyObject *retired; /* str: why no call begins here any more; NULL: they do */
    PyObject *owner; /* () -> who sees to the process, or None; or None: nobody */
    PyObject *readers; /* who takes from its inboxes: of readers.py; until close() */
    PyObject *weakrefs;
    uint8_t *scratch; /* one encode buffer kept warm; NULL while somebody uses it */
    uint32_t scratch_bytes;
} ChannelObject;

/* The channel to use until channel_leave, NULL with an exception when it is closed. While anybody is
 * inside, close() only marks it: nobody's memory is unmapped under him. */
rbr_channel *channel_enter(ChannelObject *self);
/* The same, and NULL with the reason when the peer has ended already, or is to be replaced. */
rbr_channel *channel_enter_alive(ChannelObject *self);
void channel_leave(ChannelObject *self);

/* The deadline for a timeout in seconds (None: never). false with an exception. */
bool deadline_from_timeout(PyObject *timeout, uint64_t *deadline_ns);

/* channel_open.c: how one begins. */
PyObject *channel_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);
PyObject *channel_join(PyObject *type, PyObject *args);
PyObject *channel_connect(PyObject *type, PyObject *args, PyObject *kwargs);
PyObject *channel_accept(PyObject *type, PyObject *args, PyObject *kwargs);

/* channel_process.c: methods of Channel. */
PyObject *channel_kill(ChannelObject *self, PyObject *args);
PyObject *channel_wait_end(ChannelObject *self, PyObject *timeout);
PyObject *channel_read_output(ChannelObject *self, PyObject *timeout);
PyObject *channel_error_tail(ChannelObject *self, PyObject *unused);

/* Sends a finished frame; waits without the GIL. `doing` is for the message. -1 with an exception. */
int channel_send(ChannelObject *self, value_encoder *encoder, uint32_t size, uint64_t deadline_ns,
                 const char *doing);
/* The same, posted: it never waits for room. A call (id is not 0) for which there is no room even in this
 * process waits until the deadline; 0: raises Busy. */
int channel_post(ChannelObject *self, value_encoder *encoder, uint32_t size, uint64_t id,
                 uint64_t deadline_ns, const char *doing);
/* The next message for a pending call: spins a moment with the GIL, then lets go of it and runs signal
 * handlers. RBR_INTERRUPTED: one of them has raised, and its exception is set. */
rbr_status channel_next(ChannelObject *self, rbr_pending *pending, uint64_t deadline_ns,
                        rbr_message **message);
/* Until when an answer may wait for the peer. */
uint64_t channel_answer_deadline(const ChannelObject *self);
/* Waits so for the answer to a call of ours. NULL with an exception; on a timeout or an exception of
 * a handler the peer is asked to cancel the call. */
rbr_message *channel_wait(ChannelObject *self, rbr_pending *pending, uint64_t id,
                          uint64_t deadline_ns, const char *doing);
/* Raises what an Error body says; always NULL. */
void *channel_raise_remote(ChannelObject *self, const rbr_message *message, rbr_table body);

/* The next moment to let Python's signal handlers run, and `idle` (state NULL: not that one); then, 1 to go on waiting, 0 when the status is
 * what counts, -1 when a handler raised. */
/* Whether this thread has something to do while it waits. */
bool channel_has_idle(const core_state *state);
uint64_t channel_slice_end(const core_state *state, uint64_t deadline_ns);
int channel_slice_over(const core_state *state, rbr_status status, uint64_t deadline_ns);

/* How long a waiter spins with the GIL, and how long it waits without it before it lets Python's
 * signal handlers run (a handler's signal may have come to another thread). */
#define GIL_SPIN_NS UINT64_C(2000)
#define SIGNAL_LOOK_NS UINT64_C(50000000)
/* ... and before the thread that has something to do while it waits does that. */
#define IDLE_SLICE_NS UINT64_C(2000000)
/* How long an application waits for a client that has to map new memory before a result can go there. */
#define PATIENCE_NS UINT64_C(2000000000)

/* A block of our arena; waits without the GIL, runs signal handlers. NULL with an exception set
 * (ArenaFull, WorkerDied, KeyboardInterrupt ...). */
rbr_block *channel_allocate(ChannelObject *self, uint64_t bytes, uint64_t deadline_ns);

/* Sets the exception for a status that is not RBR_OK; returns NULL. err may be NULL. */
void *channel_raise(ChannelObject *self, rbr_status status, const rbr_error *err,
                    const char *doing);

/* The same for a channel that was closed, or retired: whose Worker has gone on without it. */
void *channel_raise_closed(ChannelObject *self);

#include "value.h"

#include "call.h"

#endif
