/* SPDX-License-Identifier: MIT */
/*
 * ext.h - what the files of the extension `_core` share.
 *
 *   module.c          the module: its state, its types, its few functions
 *   channel_object.h  Channel: one end of a channel; its files are channel_*.c
 *   channel_type.c    the type, and what it is asked
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
 *   publisher_type.c  Publisher: the computation's end of a plot; subscriber_type.c: a viewer's
 *   passage_type.c    Passage: a relay's end of a channel, what it passes on; passage_in.c: what it
 *                     is given
 *   packed.c          frames that are no message of a channel; frame_copy.c: private copies of large
 *                     ones
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
    PyTypeObject *array_type, *publisher_type, *subscriber_type, *passage_type;
    /* of ringbridge.errors */
    PyObject *ringbridge_error, *worker_start_failed, *worker_died, *cannot_cross, *call_timeout;
    PyObject *arena_full, *protocol_error, *busy;
    PyObject *error_from_wire; /* (code, type, message, traceback, args) -> exception */
    PyObject *error_to_wire;   /* (exception) -> (code, type, message, traceback, args) */
    struct server *server; /* in a worker: its loop; NULL: none */
    PyObject
        *idle; /* what a thread may do while it waits here for another process; NULL: nothing */
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
extern PyType_Spec publisher_type_spec, subscriber_type_spec, passage_type_spec;

typedef struct value_encoder value_encoder;

#include "channel_object.h"

#include "value.h"

#include "call.h"

#endif
