/* SPDX-License-Identifier: MIT */
/*
 * call.h - what calls, loads and the worker's loop call of each other. Included by ext.h.
 */
#ifndef RBR_EXT_CALL_H
#define RBR_EXT_CALL_H

#include "event.h"

/* call_frame.c: the Frame table with its body's type set; gives the body's slot. 0 with an
 * exception. */
uint32_t call_start_frame(value_encoder *encoder, uint8_t body, uint32_t *slot);
/* Writes a str into a slot. -1 with an exception. */
int call_encode_text(value_encoder *encoder, uint32_t slot, PyObject *text);
/* Writes the vectors Call.args and Call.kwargs into their slots. -1 with an exception. */
int call_encode_args(value_encoder *encoder, uint32_t slot, PyObject *const *args,
                     Py_ssize_t count);
int call_encode_kwargs(value_encoder *encoder, uint32_t slot, PyObject *names,
                       PyObject *const *values);
/* A table Callback, in this slot. */
int call_encode_callback(value_encoder *encoder, uint32_t slot, uint64_t index,
                         PyObject *const *args, Py_ssize_t count, PyObject *names);
/* Gives the finished frame its id. */
void call_set_id(value_encoder *encoder, uint32_t root, uint64_t id);
/* A call that a thread makes and waits for. */
typedef struct call_made {
    uint64_t id; /* 0: it was not made */
    uint64_t last_handle; /* the largest number of a handle that came for it; 0: none */
} call_made;

/* Sends the finished frame whose table stands at `root` and waits for the answer; callbacks that the
 * other side makes meanwhile run here. *made: for who has to give it up. */
rbr_message *call_exchange(ChannelObject *channel, value_encoder *encoder, uint32_t root,
                           call_made *made, uint64_t deadline_ns, const char *doing);

/* What a remote function is bound to: shared by all its options() copies, and bound anew when the
 * worker's process is replaced. */
typedef struct TargetObject {
    PyObject_HEAD
    ChannelObject *channel;
    uint32_t id;     /* TARGET_GONE: the module has no such function any more */
    PyObject *name;  /* "terrain.hillshade" */
    PyObject *owner; /* who is asked when the channel is dead, see target_enter; or None */
} TargetObject;

#define TARGET_GONE UINT32_MAX

/* For one call: the channel to use until target_leave, alive, and the function's id there; NULL with
 * an exception. Where the channel is dead, closed or retired, the owner is asked first:
 * `owner.revived(target, timeout)` is true once the target was bound to a live one; false: what the
 * channel says is the answer. */
ChannelObject *target_enter(TargetObject *self, uint64_t deadline_ns, uint32_t *id);
void target_leave(ChannelObject *channel);

/* function_type.c holds it, function_call.c calls it. */
typedef struct FunctionObject {
    PyObject_HEAD
#ifndef Py_LIMITED_API
    vectorcallfunc vectorcall;
#endif
    TargetObject *target;
    bool copy, keep, latest;
    PyObject *handle;       /* the Handle whose method it is, or None */
    PyObject *method;       /* str: its name; or None */
    PyObject *callbacks_on; /* an executor, or None */
    PyObject *timeout;      /* float seconds, or None */
    PyObject *label;        /* str, or None */
    PyObject *title;   /* name and label, for messages */
    PyObject *doc, *signature;
    PyObject *weakrefs;
} FunctionObject;

/* Call.flags: the result stays there, and its handle comes. */
#define CALL_KEEP 1u
/* Of a stream: its newest item wins, and it never waits. */
#define CALL_LATEST 2u

/* What a call asks for, beside its arguments. */
typedef struct call_wish {
    uint32_t id;          /* of the function */
    uint32_t credit;      /* of a stream: items that may be under way; 0: not a stream */
    bool latest;          /* a stream whose newest item wins; its credit is 1 */
    uint64_t deadline_ns; /* the call's, as the other side hears of it */
} call_wish;

/* As target_enter; and a method's object must still be there. */
ChannelObject *function_enter(FunctionObject *self, uint64_t deadline_ns, uint32_t *id);
/* What an answer says: a new reference, NULL with an exception. */
PyObject *call_decode_answer(ChannelObject *channel, const rbr_message *message, bool copy);

/* Writes the frame; its root's position, 0 with an exception. kwargs follow args, as in a
 * vectorcall. */
uint32_t function_encode(FunctionObject *self, value_encoder *encoder, const call_wish *wish,
                         PyObject *const *args, Py_ssize_t count, PyObject *names);
/* `args` (a tuple) and `kwargs` (a dict or NULL) as a vectorcall has them, until function_gather. -1
 * with an exception. */
int function_spread(PyObject *args, PyObject *kwargs, PyObject ***all, PyObject **names);
void function_gather(PyObject *args, PyObject **all, PyObject *names);
const char *function_name(const FunctionObject *self);
/* call_type.c: function.start(...). */
PyObject *call_start(FunctionObject *self, PyObject *args, PyObject *kwargs);

#ifndef Py_LIMITED_API
PyObject *function_vectorcall(PyObject *self, PyObject *const *args, size_t count, PyObject *names);
#else
PyObject *function_tp_call(PyObject *self, PyObject *args, PyObject *kwargs);
#endif

/* handle_type.c: an object that stays in the worker, as the host holds it. */
typedef struct HandleObject {
    PyObject_HEAD
    ChannelObject *channel;
    uint64_t id; /* 0: nothing is to be released */
    PyObject *name; /* of its type, with its module */
    PyObject *weakrefs;
} HandleObject;

/* A RemoteObject, the Python type on top of it. */
PyObject *handle_make(ChannelObject *channel, uint64_t id, PyObject *name);
/* A list of them, or NULL: their objects are not theirs to release; nobody has seen them. */
void handles_disown(PyObject *handles);
/* Whether its process still lives; false with an exception. */
bool handle_is_here(const HandleObject *self);
PyObject *handle_attribute(PyObject *module, PyObject *args);
PyObject *handle_set_attribute(PyObject *module, PyObject *args);
PyObject *handle_about(PyObject *module, PyObject *object);
/* load.c: the list of functions in a Loaded. */
PyObject *load_decode_functions(rbr_table body);

/* The worker's loop, for the values that only it knows. serve_handle.c: */
struct server;
/* module.name, so that two types of one name are two in the host. */
PyObject *serve_type_name(PyObject *value);
/* 1: the object is one of those that stay, and goes as *number from now on (NULL: as none); 0: it is
 * not; -1. */
int serve_handle_of(struct server *server, PyObject *value, uint64_t *number);
/* A new number for an object that stays from now on; 0 with an exception. */
uint64_t serve_keep(struct server *server, PyObject *object);
/* These numbers (a list of int) are not known to the host: they go. server NULL: they have gone. */
void serve_take_back(struct server *server, PyObject *numbers);
/* They have gone to the host, with a message of this call. Keeps the exception that is set. */
void serve_given(struct server *server, uint64_t call, PyObject *numbers);
PyObject *serve_kept(struct server *server, uint64_t number);
PyObject *serve_function(struct server *server, uint64_t id);
/* serve_callback.c: a function of the host's that came with `call`: what holds it there, until its last
 * reference goes or the call ends. */
PyObject *serve_hold_callback(struct server *server, uint64_t call, uint64_t index);

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
PyObject *serve_interrupt_heard(PyObject *module, PyObject *unused);
PyObject *serve_current_call(PyObject *module, PyObject *unused);
PyObject *serve_current_channel(PyObject *module, PyObject *unused);
PyObject *serve_on_idle(PyObject *module, PyObject *function);
PyObject *serve_run_idle(PyObject *module, PyObject *unused);
/* serve_callback.c */
PyObject *serve_call_back(PyObject *module, PyObject *args);
/* serve_lane.c */
PyObject *lanes_spin(PyObject *module, PyObject *lanes);
/* serve_task.c */
PyObject *serve_progress(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *serve_log(PyObject *module, PyObject *const *args, Py_ssize_t count);

#endif
