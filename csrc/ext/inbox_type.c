/* SPDX-License-Identifier: MIT */
/*
 * inbox_type.c - Inbox: where the events of calls arrive that no thread blocks for.
 *
 *   Inbox(channel)               the channel's own: a background thread takes, and waits in take()
 *   Inbox(channel, event=True)   an event loop's: it polls fileno(), takes until there is nothing,
 *                                and arms it again
 *
 * close() while threads are in take() marks the object; they leave at their next look, and the last
 * one out lets go of the memory.
 */
#include "calls.h"

/* --------------------------------------------------------------------------------- using an inbox */

static void
raise_closed(const InboxObject *self)
{
    PyErr_SetString(self->channel->state->ringbridge_error,
                    "this inbox is closed: nothing arrives in it any more");
}

rbr_inbox *
inbox_enter(InboxObject *self)
{
    if (self->inbox == NULL || self->closing) {
        raise_closed(self);
        return NULL;
    }
    self->users++;
    return self->inbox;
}

static void
let_go(InboxObject *self)
{
    rbr_inbox *inbox = self->inbox;

    self->inbox = NULL;
    Py_BEGIN_ALLOW_THREADS
    rbr_inbox_close(inbox);
    Py_END_ALLOW_THREADS
}

void
inbox_leave(InboxObject *self)
{
    if (--self->users == 0 && self->closing && self->inbox != NULL)
        let_go(self);
}

/* -------------------------------------------------------------------------------------- put back */

struct put_back {
    rbr_message *message;
    put_back *next;
};

int
put_backs_prepare(put_backs *self)
{
    if (self->spare == NULL && (self->spare = PyMem_Malloc(sizeof *self->spare)) == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

void
put_backs_add(put_backs *self, rbr_message *message)
{
    put_back **last = &self->first, *made = self->spare;

    self->spare = NULL;
    if (made == NULL) /* another thread has just put one back, too */
        made = PyMem_Malloc(sizeof *made);
    if (made == NULL) {
        rbr_message_free(message);
        return;
    }
    *made = (put_back){.message = message};
    while (*last != NULL)
        last = &(*last)->next;
    *last = made;
}

rbr_message *
put_backs_take(put_backs *self)
{
    put_back *taken = self->first;
    rbr_message *message = taken != NULL ? taken->message : NULL;

    if (taken != NULL)
        self->first = taken->next;
    PyMem_Free(taken);
    return message;
}

void
put_backs_drop(put_backs *self, rbr_channel *channel)
{
    rbr_message *message;

    while ((message = put_backs_take(self)) != NULL) {
        if (channel != NULL)
            rbr_message_discard(channel, message);
        else
            rbr_message_free(message);
    }
    PyMem_Free(self->spare);
    self->spare = NULL;
}

/* ---------------------------------------------------------------------------------------- calls */

int
inbox_add(InboxObject *self, CallObject *call)
{
    PyObject *key = PyLong_FromUnsignedLongLong(call->id);
    const int result = key != NULL ? PyDict_SetItem(self->calls, key, (PyObject *)call) : -1;

    Py_XDECREF(key);
    return result;
}

/* Keeps an exception that is set. */
void
inbox_remove(InboxObject *self, uint64_t id)
{
    PyObject *type, *value, *traceback, *key;

    PyErr_Fetch(&type, &value, &traceback);
    key = PyLong_FromUnsignedLongLong(id);
    if (key == NULL || PyDict_DelItem(self->calls, key) < 0)
        PyErr_Clear(); /* it was not there */
    Py_XDECREF(key);
    PyErr_Restore(type, value, traceback);
}

/* A new reference; NULL without an exception: nobody's. */
static CallObject *
inbox_find(InboxObject *self, uint64_t id)
{
    PyObject *key = PyLong_FromUnsignedLongLong(id);
    PyObject *call = key != NULL ? PyDict_GetItemWithError(self->calls, key) : NULL;

    Py_XINCREF(call);
    Py_XDECREF(key);
    return (CallObject *)call;
}

/* --------------------------------------------------------------------------------------- methods */

/* (call, kind, payload), which takes the call; NULL with an exception: as if it had not been tried. */
static PyObject *
event_for(CallObject *call, const rbr_message *message, bool again)
{
    PyObject *result = PyTuple_New(3); /* first: once an event is made, nothing fails any more */
    PyObject *event = result != NULL ? call_event(call, message, again) : NULL;
    long kind;

    if (event == NULL) {
        Py_XDECREF(result);
        Py_DECREF((PyObject *)call);
        return NULL;
    }
    PyTuple_SetItem(result, 0, (PyObject *)call);
    PyTuple_SetItem(result, 1, Py_NewRef(PyTuple_GetItem(event, 0)));
    PyTuple_SetItem(result, 2, Py_NewRef(PyTuple_GetItem(event, 1)));
    kind = PyLong_AsLong(PyTuple_GetItem(event, 0));
    Py_DECREF(event);
    if (kind == EVENT_RESULT || kind == EVENT_ERROR || kind == EVENT_END)
        call_end(call);
    return result;
}

/* The same; NULL without an exception: nothing for anybody. Owns the message. */
static PyObject *
event_of(InboxObject *self, rbr_message *message, bool again)
{
    CallObject *call = inbox_find(self, rbr_message_call(message));
    PyObject *event = call != NULL ? event_for(call, message, again) : NULL;

    if (event != NULL)
        rbr_message_free(message);
    else if (PyErr_Occurred())
        put_backs_add(&self->put_backs, message);
    else
        rbr_message_discard(self->channel->channel, message);
    return event;
}

static rbr_status
next_message(InboxObject *self, rbr_message **message, uint64_t deadline_ns)
{
    rbr_status status = rbr_inbox_take(self->inbox, message, 0, 0);
    uint64_t spin_ns = RBR_FOREVER;
    int more = 1;

    if (deadline_ns == 0)
        return status;
    while (status != RBR_OK && !self->closing && more == 1 &&
           (more = channel_slice_over(self->channel->state, status, deadline_ns)) == 1) {
        const uint64_t until = channel_slice_end(self->channel->state, deadline_ns);

        Py_BEGIN_ALLOW_THREADS
        status = rbr_inbox_take(self->inbox, message, spin_ns, until);
        Py_END_ALLOW_THREADS
        spin_ns = 0;
    }
    return status;
}

static PyObject *
method_take(InboxObject *self, PyObject *timeout)
{
    uint64_t deadline_ns;
    PyObject *result = NULL;
    rbr_status status;

    if (!deadline_from_timeout(timeout, &deadline_ns))
        return NULL;
    if (timeout != Py_None && PyFloat_AsDouble(timeout) == 0.0)
        deadline_ns = 0;
    if (put_backs_prepare(&self->put_backs) < 0 || channel_enter(self->channel) == NULL)
        return NULL;
    if (inbox_enter(self) == NULL) {
        channel_leave(self->channel);
        return NULL;
    }
    do {
        rbr_message *message = put_backs_take(&self->put_backs);
        const bool again = message != NULL;

        status = again ? RBR_OK : next_message(self, &message, deadline_ns);
        if (status == RBR_OK)
            result = event_of(self, message, again);
    } while (status == RBR_OK && result == NULL && !PyErr_Occurred());
    inbox_leave(self);
    if (status != RBR_OK && status != RBR_AGAIN && status != RBR_TIMED_OUT &&
        status != RBR_INTERRUPTED)
        channel_raise(self->channel, status, NULL, NULL); /* which calls, the reader knows */
    else if (result == NULL && self->closing && !PyErr_Occurred())
        raise_closed(self);
    channel_leave(self->channel);
    if (result == NULL && !PyErr_Occurred())
        Py_RETURN_NONE;
    return result;
}

static bool
has_descriptor(const InboxObject *self)
{
    return self->opened && self->inbox != NULL && !self->closing;
}

static PyObject *
method_fileno(InboxObject *self, PyObject *unused)
{
    (void)unused;
    if (!has_descriptor(self)) {
        PyErr_SetString(PyExc_ValueError, "this inbox has no descriptor");
        return NULL;
    }
    return PyLong_FromLong(rbr_inbox_fd(self->inbox));
}

static PyObject *
method_clear(InboxObject *self, PyObject *unused)
{
    (void)unused;
    if (has_descriptor(self))
        rbr_inbox_clear(self->inbox);
    Py_RETURN_NONE;
}

static PyObject *
method_arm(InboxObject *self, PyObject *unused)
{
    (void)unused;
    if (has_descriptor(self))
        rbr_inbox_arm(self->inbox);
    Py_RETURN_NONE;
}

static void
inbox_close(InboxObject *self)
{
    if (!has_descriptor(self))
        return;
    self->closing = true;
    if (self->users == 0)
        let_go(self);
}

static PyObject *
method_close(InboxObject *self, PyObject *unused)
{
    PyObject *calls = PyDict_Values(self->calls);
    Py_ssize_t i;

    (void)unused;
    if (calls == NULL)
        return NULL;
    for (i = 0; i < PyList_Size(calls); i++)
        call_end((CallObject *)PyList_GetItem(calls, i));
    Py_DECREF(calls);
    put_backs_drop(&self->put_backs, self->channel->channel);
    inbox_close(self);
    Py_RETURN_NONE;
}

/* ---------------------------------------------------------------------------------- the object */

static PyObject *
inbox_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"channel", "event", NULL};
    core_state *state = core_state_of_type(type);
    rbr_error error = {.status = RBR_OK};
    rbr_status status = RBR_OK;
    ChannelObject *channel;
    InboxObject *self;
    int event = 0;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!|p:Inbox", keywords, state->channel_type,
                                     &channel, &event))
        return NULL;
    self = PyObject_GC_New(InboxObject, type);
    if (self == NULL)
        return NULL;
    self->channel = (ChannelObject *)Py_NewRef((PyObject *)channel);
    self->inbox = NULL;
    self->users = 0;
    self->closing = false;
    self->opened = event != 0;
    self->calls = PyDict_New();
    self->put_backs = (put_backs){NULL, NULL};
    self->weakrefs = NULL;
    PyObject_GC_Track((PyObject *)self);
    if (self->calls == NULL || channel_enter(channel) == NULL) {
        Py_DECREF((PyObject *)self);
        return NULL;
    }
    if (event)
        status = rbr_inbox_open(&self->inbox, channel->channel, &error);
    else
        self->inbox = rbr_channel_inbox(channel->channel);
    if (status != RBR_OK) {
        channel_raise(channel, status, &error, "opening an inbox");
        Py_CLEAR(self);
    }
    channel_leave(channel);
    return (PyObject *)self;
}

static int
inbox_traverse(InboxObject *self, visitproc visit, void *arg)
{
    Py_VISIT((PyObject *)Py_TYPE((PyObject *)self));
    Py_VISIT((PyObject *)self->channel);
    Py_VISIT(self->calls);
    return 0;
}

static int
inbox_clear(InboxObject *self)
{
    if (self->calls != NULL)
        PyDict_Clear(self->calls);
    return 0;
}

static void
inbox_dealloc(InboxObject *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);

    PyObject_GC_UnTrack((PyObject *)self);
    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs((PyObject *)self);
    put_backs_drop(&self->put_backs, self->channel->channel);
    inbox_close(self);
    Py_XDECREF(self->calls);
    Py_DECREF((PyObject *)self->channel);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMethodDef inbox_methods[] = {
    {"take", (PyCFunction)method_take, METH_O,
     PyDoc_STR("take($self, timeout)\n--\n\n"
               "The next event: (call, kind, payload); None: none came. timeout 0 never waits.")},
    {"fileno", (PyCFunction)method_fileno, METH_NOARGS,
     PyDoc_STR("fileno($self)\n--\n\nWhat an event loop polls for reading, once it is armed.")},
    {"clear", (PyCFunction)method_clear, METH_NOARGS,
     PyDoc_STR(
         "clear($self)\n--\n\nThe descriptor is not readable any more; then take, then arm.")},
    {"arm", (PyCFunction)method_arm, METH_NOARGS,
     PyDoc_STR("arm($self)\n--\n\nThe next event makes the descriptor readable, once.")},
    {"close", (PyCFunction)method_close, METH_NOARGS,
     PyDoc_STR("close($self)\n--\n\nEnds its calls, and lets go of the descriptor. Idempotent.")},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef inbox_members[] = {
    {"calls", T_OBJECT, offsetof(InboxObject, calls), READONLY, NULL},
    {"channel", T_OBJECT, offsetof(InboxObject, channel), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(InboxObject, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot inbox_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("Where the events of calls arrive that no thread blocks for.")},
    {Py_tp_new, (void *)inbox_new},
    {Py_tp_dealloc, (void *)inbox_dealloc},
    {Py_tp_traverse, (void *)inbox_traverse},
    {Py_tp_clear, (void *)inbox_clear},
    {Py_tp_methods, inbox_methods},
    {Py_tp_members, inbox_members},
    {0, NULL},
};

PyType_Spec inbox_type_spec = {
    .name = "ringbridge._core.Inbox",
    .basicsize = sizeof(InboxObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | RBR_TPFLAGS_IMMUTABLE,
    .slots = inbox_slots,
};
