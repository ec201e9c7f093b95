/* SPDX-License-Identifier: MIT */
/*
 * call_type.c - Call: one call that no thread blocks for, and Function.start(), which makes it.
 *
 *   with an inbox      what comes for it is taken from there
 *   without one        take(): a stream's consumer waits for it itself
 *
 * A Call holds the channel until its last event, or end(): then nothing of it is left in the core.
 */
#include "calls.h"

/* ------------------------------------------------------------------------------------- starting */

/* An event loop's thread waits at most this long for memory that the worker has to map: its watcher does
 * that within a millisecond, where it gets a processor. */
#define LOOP_WAIT_NS UINT64_C(500000000)

static CallObject *
call_alloc(FunctionObject *function, ChannelObject *channel, PyObject *owner)
{
    CallObject *self = PyObject_GC_New(CallObject, channel->state->call_type);

    if (self == NULL)
        return NULL;
    self->channel = (ChannelObject *)Py_NewRef((PyObject *)channel);
    self->held = NULL;
    self->put_backs = (put_backs){NULL, NULL};
    self->id = 0;
    self->parent = 0;
    self->last_handle = 0;
    self->finished = false;
    self->copy = function->copy;
    self->latest = NULL;
    self->callbacks = NULL;
    self->inbox = NULL;
    self->owner = Py_NewRef(owner);
    self->title = Py_NewRef(function->title);
    self->weakrefs = NULL;
    PyObject_GC_Track((PyObject *)self);
    return self;
}

/* From here on its events arrive. */
static int
register_call(CallObject *self, InboxObject *inbox)
{
    if (inbox != NULL && inbox_enter(inbox) == NULL)
        return -1;
    self->held = self->channel->channel;
    rbr_channel_retain(self->held);
    self->id = rbr_pending_begin(&self->pending, self->held);
    if (inbox == NULL)
        return 0;
    self->inbox = (InboxObject *)Py_NewRef((PyObject *)inbox);
    rbr_pending_direct(&self->pending, inbox->inbox);
    inbox_leave(inbox);
    return inbox_add(inbox, self);
}

static int
encode_and_post(CallObject *self, FunctionObject *function, const call_wish *wish,
                value_encoder *encoder, uint64_t wait_ns, PyObject *args, PyObject *kwargs,
                InboxObject *inbox)
{
    PyObject **all, *names;
    uint32_t root, size;
    int result = -1;

    if (function_spread(args, kwargs, &all, &names) < 0)
        return -1;
    root = function_encode(function, encoder, wish, all, PyTuple_Size(args), names);
    function_gather(args, all, names);
    if (root == 0)
        return -1;
    self->parent = encoder->parent;
    self->callbacks = encoder->callbacks;
    encoder->callbacks = NULL;
    size = rbr_build_finish(&encoder->build);
    if (size == 0) {
        PyErr_NoMemory();
        return -1;
    }
    if (register_call(self, inbox) == 0) {
        call_set_id(encoder, root, self->id);
        result = channel_post(self->channel, encoder, size, self->id, wait_ns,
                              function_name(function));
    }
    if (result < 0)
        call_end(self);
    return result;
}

/* What an event loop must not wait for is Busy there. */
static void
timeout_is_busy(core_state *state, bool may_wait)
{
    PyObject *type, *value, *traceback, *text;

    if (may_wait || !PyErr_ExceptionMatches(state->call_timeout))
        return;
    PyErr_Fetch(&type, &value, &traceback);
    text = value != NULL ? PyObject_Str(value) : NULL;
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    if (text != NULL)
        PyErr_Format(state->busy,
                     "%U; an event loop's thread must not wait longer: await some first", text);
    Py_XDECREF(text);
}

static CallObject *
start_on(FunctionObject *function, ChannelObject *channel, call_wish *wish, uint64_t parent,
         bool may_wait, PyObject *args, PyObject *kwargs, InboxObject *inbox, PyObject *owner)
{
    const uint64_t wait_ns = may_wait ? wish->deadline_ns : 0;
    CallObject *self = call_alloc(function, channel, owner);
    value_encoder encoder;
    int result = -1;

    if (self == NULL)
        return NULL;
    if (wish->latest && (self->latest = PyMem_Calloc(1, sizeof *self->latest)) == NULL) {
        Py_DECREF((PyObject *)self);
        return (CallObject *)PyErr_NoMemory();
    }
    if (value_encoder_start(&encoder, channel, may_wait ? wait_ns : rbr_now_ns() + LOOP_WAIT_NS) ==
        0) {
        encoder.takes_callables = true;
        encoder.parent = parent;
        result = encode_and_post(self, function, wish, &encoder, wait_ns, args, kwargs, inbox);
        value_encoder_stop(&encoder);
    }
    if (result < 0) {
        timeout_is_busy(channel->state, may_wait);
        Py_CLEAR(self);
    }
    return self;
}

PyObject *
call_start(FunctionObject *function, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"args",     "kwargs", "inbox", "credit",
                               "may_wait", "parent", "owner", NULL};
    core_state *state = function->target->channel->state;
    PyObject *call_args, *call_kwargs, *inbox = Py_None, *owner = Py_None;
    unsigned long long parent = 0;
    call_wish wish = {.credit = 0};
    ChannelObject *channel;
    int may_wait = 1;
    CallObject *self;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!O!|$OIpKO:start", keywords, &PyTuple_Type,
                                     &call_args, &PyDict_Type, &call_kwargs, &inbox, &wish.credit,
                                     &may_wait, &parent, &owner))
        return NULL;
    if (inbox != Py_None && !Py_IS_TYPE(inbox, state->inbox_type)) {
        PyErr_SetString(PyExc_TypeError, "inbox must be an Inbox or None");
        return NULL;
    }
    if (!deadline_from_timeout(function->timeout, &wish.deadline_ns))
        return NULL;
    wish.latest = function->latest && wish.credit > 0;
    if (wish.latest)
        wish.credit = 1;
    channel = function_enter(function, wish.deadline_ns, &wish.id);
    if (channel == NULL)
        return NULL;
    if (inbox != Py_None && ((InboxObject *)inbox)->channel != channel) {
        /* The worker was replaced since the caller looked: it looks again. */
        PyErr_SetString(PyExc_LookupError, "this inbox belongs to another channel");
        target_leave(channel);
        return NULL;
    }
    self = start_on(function, channel, &wish, parent, may_wait != 0, call_args, call_kwargs,
                    inbox != Py_None ? (InboxObject *)inbox : NULL, owner);
    target_leave(channel);
    return (PyObject *)self;
}

/* ---------------------------------------------------------------------------------------- ending */

void
call_end(CallObject *self)
{
    rbr_channel *held = self->held;

    if (held == NULL)
        return;
    self->held = NULL;
    put_backs_drop(&self->put_backs, held);
    rbr_pending_end(&self->pending);
    if (!self->finished)
        small_frame_ended(self->channel, self->id, self->last_handle);
    if (self->inbox != NULL)
        inbox_remove(self->inbox, self->id);
    if (self->channel->channel == held) { /* it has a reference of its own: ours is not the last */
        rbr_channel_release(held);
        return;
    }
    Py_BEGIN_ALLOW_THREADS
    rbr_channel_release(held); /* may join the watcher */
    Py_END_ALLOW_THREADS
}

static PyObject *
method_end(CallObject *self, PyObject *unused)
{
    (void)unused;
    call_end(self);
    Py_RETURN_NONE;
}

/* --------------------------------------------------------------------------------------- methods */

PyObject *
call_event(CallObject *self, const rbr_message *message, bool again)
{
    const event_call call = {self->callbacks,    self->latest, self->parent,
                             &self->last_handle, self->copy,   again};
    PyObject *event = event_decode(self->channel, message, &call);
    uint8_t type;

    rbr_message_body(message, &type);
    if (type == RBR_BODY_ERROR || type == RBR_BODY_STREAM_END ||
        (type == RBR_BODY_RESULT && event != NULL &&
         PyLong_AsLong(PyTuple_GetItem(event, 0)) == EVENT_RESULT))
        self->finished = true;
    return event;
}

static PyObject *
raise_ended(void)
{
    PyErr_SetString(PyExc_ValueError, "nothing comes for this call here: it has ended, or has an "
                                      "inbox");
    return NULL;
}

/* The next message; waits in slices, since another thread may end the call, and nothing comes then. */
static rbr_status
next_message(CallObject *self, uint64_t deadline_ns, rbr_message **message)
{
    rbr_status status;

    do
        status = channel_next(self->channel, &self->pending,
                              channel_slice_end(self->channel->state, deadline_ns), message);
    while (status == RBR_TIMED_OUT && self->held != NULL && rbr_now_ns() < deadline_ns);
    return status;
}

static PyObject *
wait_for_event(CallObject *self, uint64_t deadline_ns)
{
    rbr_message *message = put_backs_take(&self->put_backs);
    const bool again = message != NULL;
    rbr_status status = RBR_OK;
    PyObject *event;

    if (message == NULL)
        status = next_message(self, deadline_ns, &message);
    if (self->held == NULL && (status == RBR_OK || status == RBR_TIMED_OUT)) {
        if (status == RBR_OK)
            rbr_message_discard(self->channel->channel, message);
        return raise_ended();
    }
    if (status != RBR_OK) {
        const char *title = PyUnicode_AsUTF8AndSize(self->title, NULL);

        return channel_raise(self->channel, status, NULL, title);
    }
    event = call_event(self, message, again);
    if (event != NULL)
        rbr_message_free(message);
    else
        put_backs_add(&self->put_backs, message);
    return event;
}

static PyObject *
method_take(CallObject *self, PyObject *timeout)
{
    uint64_t deadline_ns;
    PyObject *event;

    if (!deadline_from_timeout(timeout, &deadline_ns))
        return NULL;
    if (self->held == NULL || self->inbox != NULL)
        return raise_ended();
    if (put_backs_prepare(&self->put_backs) < 0 || channel_enter(self->channel) == NULL)
        return NULL;
    event = wait_for_event(self, deadline_ns);
    channel_leave(self->channel);
    return event;
}

/* True: it had not been sent, and never will be. */
static PyObject *
method_cancel(CallObject *self, PyObject *args)
{
    bool unsent = false;
    int hard;

    if (!PyArg_ParseTuple(args, "p:cancel", &hard))
        return NULL;
    if (self->held != NULL) {
        unsent = rbr_channel_unsend(self->held, self->id);
        if (!unsent)
            rbr_channel_cancel(self->held, self->id, hard != 0);
    }
    return PyBool_FromLong(unsent);
}

int
call_reads_within(CallObject *self, uint64_t *parent)
{
    const int result = call_parent_of(self->channel, parent);

    if (*parent == 0)
        *parent = self->parent;
    return result;
}

static PyObject *
method_credit(CallObject *self, PyObject *args)
{
    unsigned long long bytes;
    unsigned int items;
    uint64_t parent;
    int result;

    if (!PyArg_ParseTuple(args, "IK:credit", &items, &bytes))
        return NULL;
    result = call_reads_within(self, &parent);
    if (self->held != NULL)
        small_frame_credit(self->channel, self->id, parent, items, bytes);
    return result < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
method_close_stream(CallObject *self, PyObject *unused)
{
    uint64_t parent;
    int result;

    (void)unused;
    result = call_reads_within(self, &parent);
    if (self->held != NULL)
        small_frame_close(self->channel, self->id, parent);
    return result < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
get_running(CallObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(self->held != NULL && rbr_channel_peer_runs(self->held, self->id));
}

static PyObject *
get_begun(CallObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(self->held == NULL || rbr_channel_peer_began(self->held, self->id));
}

static PyObject *
get_id(CallObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(self->id);
}

static PyObject *
get_dropped(CallObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(self->latest != NULL ? self->latest->dropped : 0);
}

static PyObject *
get_ended(CallObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(self->held == NULL);
}

/* ---------------------------------------------------------------------------------- the object */

static int
call_traverse(CallObject *self, visitproc visit, void *arg)
{
    Py_VISIT((PyObject *)Py_TYPE((PyObject *)self));
    Py_VISIT((PyObject *)self->channel);
    Py_VISIT(self->callbacks);
    Py_VISIT((PyObject *)self->inbox);
    Py_VISIT(self->owner);
    return 0;
}

static int
call_clear(CallObject *self)
{
    PyObject *owner = self->owner;

    self->owner = Py_NewRef(Py_None);
    Py_DECREF(owner);
    Py_CLEAR(self->callbacks);
    return 0;
}

static void
call_dealloc(CallObject *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);

    PyObject_GC_UnTrack((PyObject *)self);
    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs((PyObject *)self);
    call_end(self);
    put_backs_drop(&self->put_backs, NULL);
    latest_view_close(self->latest);
    Py_XDECREF((PyObject *)self->inbox);
    Py_XDECREF(self->callbacks);
    Py_DECREF(self->owner);
    Py_DECREF(self->title);
    Py_DECREF((PyObject *)self->channel);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMethodDef call_methods[] = {
    {"take", (PyCFunction)method_take, METH_O,
     PyDoc_STR("take($self, timeout)\n--\n\nThe next event: (kind, payload). Without an inbox.")},
    {"newest", (PyCFunction)call_newest, METH_NOARGS,
     PyDoc_STR("newest($self)\n--\n\nAfter NEWER: the newest item, as an event.")},
    {"cancel", (PyCFunction)method_cancel, METH_VARARGS,
     PyDoc_STR("cancel($self, hard)\n--\n\n"
               "Asks the worker to end it; hard: interrupts it. True: it was never sent.")},
    {"credit", (PyCFunction)method_credit, METH_VARARGS,
     PyDoc_STR("credit($self, items, bytes)\n--\n\nThe stream may send so much more.")},
    {"close_stream", (PyCFunction)method_close_stream, METH_NOARGS,
     PyDoc_STR("close_stream($self)\n--\n\nAsks the worker to close the generator.")},
    {"end", (PyCFunction)method_end, METH_NOARGS,
     PyDoc_STR("end($self)\n--\n\nForgets it: what comes later is dropped. Idempotent.")},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef call_getset[] = {
    {"id", (getter)get_id, NULL, PyDoc_STR("Its frames' id."), NULL},
    {"running", (getter)get_running, NULL,
     PyDoc_STR("Whether the worker says that it runs this call now, or ran it when it ended."),
     NULL},
    {"dropped", (getter)get_dropped, NULL,
     PyDoc_STR("Items of a stream that nobody saw, since a newer one won."), NULL},
    {"begun", (getter)get_begun, NULL,
     PyDoc_STR("Whether the worker has begun it, or may have; false: surely not."), NULL},
    {"ended", (getter)get_ended, NULL, PyDoc_STR("Whether nothing comes for it any more."), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef call_members[] = {
    {"owner", T_OBJECT, offsetof(CallObject, owner), READONLY, NULL},
    {"channel", T_OBJECT, offsetof(CallObject, channel), READONLY, NULL},
    {"title", T_OBJECT, offsetof(CallObject, title), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(CallObject, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot call_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("A call that no thread blocks for; made by Function.start().")},
    {Py_tp_new, (void *)type_without_new},
    {Py_tp_dealloc, (void *)call_dealloc},
    {Py_tp_traverse, (void *)call_traverse},
    {Py_tp_clear, (void *)call_clear},
    {Py_tp_methods, call_methods},
    {Py_tp_members, call_members},
    {Py_tp_getset, call_getset},
    {0, NULL},
};

PyType_Spec call_type_spec = {
    .name = "ringbridge._core.Call",
    .basicsize = sizeof(CallObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | RBR_TPFLAGS_IMMUTABLE,
    .slots = call_slots,
};
