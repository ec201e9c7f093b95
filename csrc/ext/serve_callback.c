/* SPDX-License-Identifier: MIT */
/*
 * serve_callback.c - code that runs in the worker calls a function of the host's.
 *
 * While the main thread waits for the answer it runs requests that the host makes within the very
 * call that the callback came with, since that answer may depend on them; all others stay in line.
 * That call need not be the one that runs: it may have left its callback to another, or its result is
 * being encoded. Another thread that waits runs nothing.
 */
#include "serve.h"

/* Callbacks under way whose answers nobody waits for: then the next one waits for the first. */
#define NOTICES_MAX 64u

#define HELD "ringbridge._core callback"

/* What a Callback has of the host's function. */
typedef struct held {
    ChannelObject *channel;
    uint64_t call, index;
} held;

/* The host may let go of the function. C alone runs here: an interrupt that is raised in a __del__ of
 * Python's would be lost. */
static void
let_go(PyObject *capsule)
{
    held *self = PyCapsule_GetPointer(capsule, HELD);
    server *serving = self->channel->server;
    PyObject *type, *value, *traceback, *key;

    PyErr_Fetch(&type, &value, &traceback);
    key = PyLong_FromUnsignedLongLong(self->call);
    if (key != NULL && serving != NULL && PySet_Contains(serving->calling, key) == 1)
        small_frame_release(self->channel, self->call, self->index);
    Py_XDECREF(key);
    PyErr_Restore(type, value, traceback);
    Py_DECREF((PyObject *)self->channel);
    PyMem_Free(self);
}

PyObject *
serve_hold_callback(server *self, uint64_t call, uint64_t index)
{
    PyObject *key = PyLong_FromUnsignedLongLong(call), *capsule = NULL;
    held *made = PyMem_Malloc(sizeof *made);

    if (made == NULL)
        PyErr_NoMemory();
    else if (key != NULL && PySet_Add(self->calling, key) == 0)
        capsule = PyCapsule_New(made, HELD, let_go);
    Py_XDECREF(key);
    if (capsule == NULL) {
        PyMem_Free(made);
        return NULL;
    }
    *made = (held){.channel = (ChannelObject *)Py_NewRef((PyObject *)self->channel),
                   .call = call,
                   .index = index};
    return capsule;
}

void
serve_callbacks_end(server *self, uint64_t id)
{
    PyObject *type, *value, *traceback, *key;

    if (PySet_Size(self->calling) == 0)
        return;
    PyErr_Fetch(&type, &value, &traceback);
    key = PyLong_FromUnsignedLongLong(id);
    if (key == NULL || PySet_Discard(self->calling, key) < 0)
        PyErr_Clear();
    Py_XDECREF(key);
    PyErr_Restore(type, value, traceback);
}

/* -------------------------------------------------------------------------------------- sending */

static uint32_t
encode(value_encoder *encoder, uint64_t call, uint64_t index, PyObject *const *args,
       Py_ssize_t count, PyObject *names)
{
    uint32_t slot, root;

    encoder->parent = call;
    root = call_start_frame(encoder, RBR_BODY_CALLBACK, &slot);
    if (root == 0 || call_encode_callback(encoder, slot, index, args, count, names) < 0)
        return 0;
    return root;
}

/* A client that does not answer must not keep an application's thread. */
static uint64_t
serve_callback_deadline(const server *self)
{
    return self->callback_ns == RBR_FOREVER ? RBR_FOREVER : rbr_now_ns() + self->callback_ns;
}

static int
send(server *self, rbr_pending *pending, uint64_t call, uint64_t index, PyObject *args,
     PyObject *kwargs)
{
    PyObject **all, *names;
    value_encoder encoder;
    uint32_t root, size = 0;
    int result = -1;

    if (function_spread(args, kwargs, &all, &names) < 0)
        return -1;
    if (value_encoder_start(&encoder, self->channel, RBR_FOREVER) == 0) {
        root = encode(&encoder, call, index, all, PyTuple_Size(args), names);
        if (root != 0)
            size = rbr_build_finish(&encoder.build);
        if (size > 0) {
            call_set_id(&encoder, root, rbr_pending_begin(pending, self->channel->channel));
            result = channel_send(self->channel, &encoder, size, serve_callback_deadline(self),
                                  "a callback");
            if (result == 0)
                value_encoder_sent(&encoder, call);
            else
                rbr_pending_end(pending);
        } else if (!PyErr_Occurred()) {
            PyErr_NoMemory();
        }
        value_encoder_stop(&encoder);
    }
    function_gather(args, all, names);
    return result;
}

/* -------------------------------------------------------------------------------------- waiting */

/* The next message for the pending call. NULL with an exception. */
static rbr_message *
next_message(server *self, rbr_pending *pending)
{
    rbr_message *message = NULL;
    const rbr_status status = channel_next(self->channel, pending, serve_callback_deadline(self),
                                           &message);

    if (status != RBR_OK)
        return channel_raise(self->channel, status, NULL, "a callback");
    return message;
}

/* An asyncio loop that runs on this thread, and its task, while a request is served within them: what that
 * runs may run a loop of its own. In C, so that no signal handler sees it half done. */
typedef struct outer_loop {
    PyObject *asyncio; /* the module _asyncio; borrowed */
    PyObject *loop;    /* NULL: none runs */
    PyObject *task;    /* NULL: before 3.12 a loop's task is no other loop's business */
} outer_loop;

static int
outer_loop_hide(outer_loop *self)
{
    PyObject *done;

    *self = (outer_loop){.asyncio = PyDict_GetItemString(PyImport_GetModuleDict(), "_asyncio")};
    if (self->asyncio == NULL)
        return 0;
    self->loop = PyObject_CallMethod(self->asyncio, "_get_running_loop", NULL);
    if (self->loop == Py_None)
        Py_CLEAR(self->loop);
    if (self->loop == NULL)
        return PyErr_Occurred() ? -1 : 0;
    if (PyObject_HasAttrString(self->asyncio, "_swap_current_task"))
        self->task = PyObject_CallMethod(self->asyncio, "_swap_current_task", "OO", self->loop,
                                         Py_None);
    done = PyErr_Occurred() ? NULL
                            : PyObject_CallMethod(self->asyncio, "_set_running_loop", "O", Py_None);
    Py_XDECREF(done);
    return done != NULL ? 0 : -1;
}

static void
outer_loop_show(outer_loop *self)
{
    PyObject *type, *value, *traceback, *done;

    if (self->loop == NULL)
        return;
    PyErr_Fetch(&type, &value, &traceback);
    done = PyObject_CallMethod(self->asyncio, "_set_running_loop", "O", self->loop);
    Py_XDECREF(done);
    if (self->task != NULL) {
        done = PyObject_CallMethod(self->asyncio, "_swap_current_task", "OO", self->loop,
                                   self->task);
        Py_XDECREF(done);
    }
    Py_XDECREF(self->task);
    Py_DECREF(self->loop);
    PyErr_Restore(type, value, traceback); /* nothing of the above fails while there is memory */
}

/* Serves the message, or NULL: lets a stream make an item. */
static int
serve_nested(server *self, rbr_message **message)
{
    outer_loop outer;
    int result = outer_loop_hide(&outer);

    if (result == 0)
        result = message != NULL ? serve_request(self, message) : stream_step(self);
    outer_loop_show(&outer);
    return result;
}

/* Streams that were begun within the calls that wait make items, as long as nothing else comes. */
static rbr_message *
next_of_nested(server *self, rbr_pending *pending)
{
    rbr_message *message = NULL;

    while (stream_is_ready(self) && rbr_pending_wait(pending, &message, 0, 0) == RBR_AGAIN)
        if (serve_nested(self, NULL) < 0)
            return NULL;
    return message != NULL ? message : next_message(self, pending);
}

/* The answer; on the main thread, what the host asks for within `call`, which the callback came with,
 * is run meanwhile. NULL with an exception. */
static rbr_message *
answer_of(server *self, rbr_pending *pending, uint64_t call)
{
    rbr_message *message;
    int served = 0;
    bool waited;

    if (PyThread_get_thread_ident() != self->thread)
        return next_message(self, pending);
    rbr_pending_nest(pending, call);
    waited = self->waits;
    self->waits = true;
    self->depth++;
    do {
        message = next_of_nested(self, pending);
        if (message == NULL || rbr_message_call(message) != 0)
            break;
        served = serve_nested(self, &message);
        rbr_message_free(message);
        message = NULL;
    } while (served == 0);
    self->depth--;
    self->waits = waited;
    stream_leave(self);
    rbr_pending_nest(pending, 0);
    return message;
}

static PyObject *
wait_for_answer(server *self, rbr_pending *pending, uint64_t call)
{
    rbr_message *message = answer_of(self, pending, call);
    PyObject *result = message != NULL ? call_decode_answer(self->channel, message, false) : NULL;

    rbr_message_free(message);
    return result;
}

/* --------------------------------------------------------------------------------- not waiting */

static void
notice_end(notice *self)
{
    rbr_pending_end(&self->pending);
    PyMem_Free(self);
}

void
notice_drop_all(server *self)
{
    while (self->notices != NULL) {
        notice *next = self->notices->next;

        notice_end(self->notices);
        self->notices = next;
    }
    self->last_notice = NULL;
    self->notice_count = 0;
}

/* To stderr, with its cause: the traceback of the host's function. */
static void
print_raised(void)
{
    PyObject *raised = PyErr_GetRaisedException();
    PyObject *traceback = PyImport_ImportModule("traceback"), *where = NULL, *done = NULL;

    if (traceback != NULL)
        where = PyException_GetTraceback(raised);
    if (traceback != NULL)
        done = PyObject_CallMethod(traceback, "print_exception", "OOO", (PyObject *)Py_TYPE(raised),
                                   raised, where != NULL ? where : Py_None);
    if (done == NULL)
        PyErr_WriteUnraisable(NULL);
    Py_XDECREF(done);
    Py_XDECREF(where);
    Py_XDECREF(traceback);
    Py_DECREF(raised);
}

/* An error is told, since nobody else hears of it. */
static void
notice_answered(server *self, notice *answered, rbr_message *message)
{
    PyObject *result = call_decode_answer(self->channel, message, false);

    rbr_message_free(message);
    if (result == NULL)
        print_raised();
    Py_XDECREF(result);
    notice_end(answered);
}

static void
notice_append(server *self, notice *made)
{
    made->next = NULL;
    if (self->last_notice != NULL)
        self->last_notice->next = made;
    else
        self->notices = made;
    self->last_notice = made;
    self->notice_count++;
}

/* Takes the first one out of the line: it is this thread's, also while others have the GIL. */
static notice *
notice_take(server *self)
{
    notice *first = self->notices;

    self->notices = first->next;
    if (self->notices == NULL)
        self->last_notice = NULL;
    self->notice_count--;
    return first;
}

void
notices_look(server *self)
{
    rbr_message *message;

    while (self->notices != NULL &&
           rbr_pending_wait(&self->notices->pending, &message, 0, 0) == RBR_OK)
        notice_answered(self, notice_take(self), message);
}

/* Looks which are answered; waits for the first where there are too many. -1 with an exception. */
static int
make_room_for_one(server *self)
{
    rbr_message *message;
    notice *first;

    for (notices_look(self); self->notice_count >= NOTICES_MAX; notices_look(self)) {
        first = notice_take(self);
        message = answer_of(self, &first->pending, first->call);
        if (message == NULL) {
            notice_append(self, first);
            return -1;
        }
        notice_answered(self, first, message);
    }
    return 0;
}

static int
notify(server *self, uint64_t call, uint64_t index, PyObject *args, PyObject *kwargs)
{
    notice *made;

    if (make_room_for_one(self) < 0)
        return -1;
    made = PyMem_Calloc(1, sizeof *made);
    if (made == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if (send(self, &made->pending, call, index, args, kwargs) < 0) {
        PyMem_Free(made);
        return -1;
    }
    made->call = call;
    notice_append(self, made);
    return 0;
}

/* ------------------------------------------------------------------------- the module's function */

static int
still_runs(server *self, uint64_t call, PyObject *name)
{
    PyObject *key = PyLong_FromUnsignedLongLong(call);
    const int found = key != NULL ? PySet_Contains(self->calling, key) : -1;

    Py_XDECREF(key);
    if (found == 0)
        PyErr_Format(self->channel->state->ringbridge_error,
                     "the call that the callback %U came with has ended: a callback cannot be kept "
                     "for later",
                     name);
    return found == 1 ? 0 : -1;
}

static PyObject *
call_back(server *self, uint64_t call, uint64_t index, PyObject *args, PyObject *kwargs)
{
    PyObject *result;
    rbr_pending pending;

    if (send(self, &pending, call, index, args, kwargs) < 0)
        return NULL;
    result = wait_for_answer(self, &pending, call);
    rbr_pending_end(&pending);
    return result;
}

PyObject *
serve_call_back(PyObject *module, PyObject *args)
{
    PyObject *capsule, *name, *call_args, *call_kwargs, *result = NULL;
    unsigned long long call, index;
    const held *function;
    server *self;
    int wait;

    (void)module;
    if (!PyArg_ParseTuple(args, "OKKUO!O!p:call_back", &capsule, &call, &index, &name,
                          &PyTuple_Type, &call_args, &PyDict_Type, &call_kwargs, &wait))
        return NULL;
    function = PyCapsule_GetPointer(capsule, HELD);
    if (function == NULL)
        return NULL;
    self = serve_enter(function->channel);
    if (self == NULL)
        return NULL;
    if (still_runs(self, call, name) < 0)
        result = NULL;
    else if (wait)
        result = call_back(self, call, index, call_args, call_kwargs);
    else if (notify(self, call, index, call_args, call_kwargs) == 0)
        result = Py_NewRef(Py_None);
    serve_leave(self);
    return result;
}
