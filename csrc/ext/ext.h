/* SPDX-License-Identifier: MIT */
/*
 * ext.h - what the files of the extension `_core` share.
 *
 *   module.c          the module: its state, its types, its few functions
 *   channel_type.c    Channel: one end of a channel
 *   channel_wait.c    waiting without the GIL, so that Ctrl-C is heard
 *   channel_errors.c  statuses and Error frames become exceptions
 *   function_type.c   Function: a remote function; its call is the hot path of the host
 *   call_frame.c      what a call and a load have in common
 *   load.c            the host's side of loading a module
 *   serve_loop.c      serve(): the hot path of the worker
 *   serve_answer.c    what the worker sends back
 *   array_type.c      Array: memory of a block (or of its own) with shape, strides and format
 *   numpy_bridge.c    the few things that we ask of numpy, without its headers; it may be absent
 *   value_encode.c    Python values -> table Value
 *   value_decode.c    table Value -> Python values
 *
 * Only this folder includes Python.h, and of the core it sees include/ only. The source keeps to
 * what the limited API of 3.11 has (or to a shim here), so that an abi3 build stays possible.
 * Object state needs the GIL, unless a comment says otherwise.
 */
#ifndef RBR_EXT_H
#define RBR_EXT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include "ringbridge.h"
#include "ringbridge_flatbuf.h"
#include "ringbridge_wire.h"

/* ---------------------------------------------------------------------------------- the module */

typedef struct core_state {
    PyTypeObject *channel_type;
    PyTypeObject *function_type;
    PyTypeObject *array_type;
    /* of ringbridge.errors */
    PyObject *ringbridge_error, *worker_start_failed, *worker_died, *cannot_cross, *call_timeout;
    PyObject *arena_full, *protocol_error;
    PyObject *error_from_wire; /* (code, type, message, traceback, args) -> exception */
    PyObject *error_to_wire;   /* (exception) -> (code, type, message, traceback, args) */
    uint64_t running_call; /* in a worker: the id of the call that it runs; 0: none */
    /* numpy_bridge.c: NULL until numpy was first needed */
    struct numpy_bridge *numpy;
    bool numpy_missing;     /* looked for, not installed */
    /* value_encode.c, value_decode.c: what datetime and its like need, made on first use */
    PyObject *cold_types[16];
} core_state;

core_state *core_state_of_type(PyTypeObject *type); /* of one of our types (not a subclass) */
void numpy_bridge_clear(core_state *state);
int numpy_bridge_traverse(core_state *state, visitproc visit, void *arg);

extern PyType_Spec channel_type_spec, function_type_spec, array_type_spec;

typedef struct value_encoder value_encoder;

/* ------------------------------------------------------------------------------------- Channel */

typedef struct ChannelObject {
    PyObject_HEAD
    core_state *state;
    rbr_channel *channel; /* NULL once closed and left by the last user */
    int users;            /* threads inside channel_enter ... channel_leave */
    bool closing;
    PyObject *name;       /* str, for messages */
    uint8_t *scratch;     /* one encode buffer kept warm; NULL while somebody uses it */
    uint32_t scratch_bytes;
} ChannelObject;

/* The channel to use until channel_leave, NULL with an exception when it is closed. While anybody is
 * inside, close() only marks it: nobody's memory is unmapped under him. */
rbr_channel *channel_enter(ChannelObject *self);
void channel_leave(ChannelObject *self);

/* The deadline for a timeout in seconds (None: never). false with an exception. */
bool deadline_from_timeout(PyObject *timeout, uint64_t *deadline_ns);

/* Sends a finished frame; waits without the GIL. `doing` is for the message. -1 with an exception. */
int channel_send(ChannelObject *self, value_encoder *encoder, uint32_t size, uint64_t deadline_ns,
                 const char *doing);
/* Waits for the answer to a call of ours: spins a moment with the GIL, then lets go of it and runs
 * signal handlers. NULL with an exception; on a timeout or an exception of a handler the peer is
 * asked to cancel the call. */
rbr_message *channel_wait(ChannelObject *self, rbr_pending *pending, uint64_t id,
                          uint64_t deadline_ns, const char *doing);
/* Raises what an Error body says; always NULL. */
void *channel_raise_remote(ChannelObject *self, const rbr_message *message, rbr_table body);

/* The next moment to let Python's signal handlers run; then, 1 to go on waiting, 0 when the status is
 * what counts, -1 when a handler raised. */
uint64_t channel_slice_end(uint64_t deadline_ns);
int channel_slice_over(rbr_status status, uint64_t deadline_ns);

/* call_frame.c: the Frame table with its body's type set; gives the body's slot. 0 with an
 * exception. */
uint32_t call_start_frame(value_encoder *encoder, uint8_t body, uint32_t *slot);
/* Writes a str into a slot. -1 with an exception. */
int call_encode_text(value_encoder *encoder, uint32_t slot, PyObject *text);
/* Sends the finished frame whose table stands at `root` and waits for the answer. */
rbr_message *call_exchange(ChannelObject *channel, value_encoder *encoder, uint32_t root,
                           uint64_t deadline_ns, const char *doing);

/* Answers to the request `id`. -1: not sent, with an exception. The error is the current exception,
 * which is taken; loaded is what serve's `load` returned. */
int serve_answer_result(ChannelObject *channel, uint64_t id, PyObject *value);
int serve_answer_error(ChannelObject *channel, uint64_t id);
int serve_answer_loaded(ChannelObject *channel, uint64_t id, PyObject *loaded);

/* channel.load(module, reload, timeout). */
PyObject *channel_load(ChannelObject *self, PyObject *const *args, Py_ssize_t count);

/* The module's functions for the worker; serve_loop.c. */
PyObject *serve_loop(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *serve_cancelled(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *serve_current_call(PyObject *module, PyObject *unused);

/* How long a waiter spins with the GIL, and how long it waits without it before it lets Python's
 * signal handlers run (a handler's signal may have come to another thread). */
#define GIL_SPIN_NS UINT64_C(2000)
#define SIGNAL_LOOK_NS UINT64_C(50000000)

/* A block of our arena; waits without the GIL, runs signal handlers. NULL with an exception set
 * (ArenaFull, WorkerDied, KeyboardInterrupt ...). */
rbr_block *channel_allocate(ChannelObject *self, uint64_t bytes);

/* Sets the exception for a status that is not RBR_OK; returns NULL. err may be NULL. */
void *channel_raise(ChannelObject *self, rbr_status status, const rbr_error *err,
                    const char *doing);

/* -------------------------------------------------------------------------------------- values */

/* Where in the arguments we are, for CannotCross: a chain on the C stack. */
typedef struct value_path {
    const struct value_path *parent;
    const char *root; /* "args", "kwargs", "result"; at the first link only */
    PyObject *key;    /* borrowed; NULL: use index */
    Py_ssize_t index; /* -1: no subscript */
} value_path;

/* One frame being built. Encoding can run Python code, so each encode has a buffer of its own. */
struct value_encoder {
    rbr_builder build; /* its context is this encoder */
    ChannelObject *channel;
    rbr_block **blocks; /* referred to by the frame; a reference each */
    size_t block_count, block_room;
    rbr_block *blocks_few[4];
    int depth;
    uint32_t tables; /* in the frame so far; who writes many others (KeyVal) adds them */
};

int value_encoder_start(value_encoder *self, ChannelObject *channel);
/* Writes a table Value and points `slot` at it. -1 with an exception (CannotCross names the path,
 * MemoryError, ArenaFull, or what the value's own code raised). */
int value_encode(value_encoder *self, PyObject *value, uint32_t slot, const value_path *path);
/* Gives back the buffer and the block references. Idempotent after start. */
void value_encoder_stop(value_encoder *self);

typedef struct value_decoder {
    core_state *state;
    const rbr_message *message;
    bool copy;  /* arrays become private copies, no block stays held */
    int depth;
} value_decoder;

/* A new reference, NULL with an exception (ProtocolError for what the verifier cannot see). */
PyObject *value_decode(value_decoder *self, rbr_table value);

/* Decodes the required child `field` of `table`; a missing one is a ProtocolError. */
PyObject *value_decode_field(value_decoder *self, rbr_table table, uint32_t field);

/* --------------------------------------------------------------------------------------- Array */

/* An Array over a new block of the channel's arena, wrapped as numpy.ndarray where numpy is to be
 * had, else as a memoryview. shape: int or sequence of ints, dtype: what numpy.dtype takes, or
 * without numpy a name of a plain dtype ("float32") or its array-interface code ("<f4"). */
PyObject *array_empty(ChannelObject *channel, PyObject *shape, PyObject *dtype);

/* ------------------------------------------------------------------------ the values' additions */

/* Frees the warm encode buffer: for Channel's dealloc. */
void value_scratch_free(ChannelObject *channel);

#ifdef Py_TPFLAGS_IMMUTABLETYPE
#define RBR_TPFLAGS_IMMUTABLE Py_TPFLAGS_IMMUTABLETYPE
#else
#define RBR_TPFLAGS_IMMUTABLE 0 /* 3.9 */
#endif

#if PY_VERSION_HEX < 0x030A0000
static inline PyObject *
Py_NewRef(PyObject *object)
{
    Py_INCREF(object);
    return object;
}
#endif

/* Filling a list or tuple that nobody else has seen; takes the reference. And an item, borrowed, of
 * an exact list whose size was just looked at. */
#ifdef Py_LIMITED_API
#define RBR_LIST_FILL(list, index, item) ((void)PyList_SetItem(list, index, item))
#define RBR_TUPLE_FILL(tuple, index, item) ((void)PyTuple_SetItem(tuple, index, item))
#define RBR_LIST_ITEM(list, index) PyList_GetItem(list, index)
#else
#define RBR_LIST_FILL(list, index, item) PyList_SET_ITEM(list, index, item)
#define RBR_TUPLE_FILL(tuple, index, item) PyTuple_SET_ITEM(tuple, index, item)
#define RBR_LIST_ITEM(list, index) PyList_GET_ITEM(list, index)
#endif

#endif
