/* SPDX-License-Identifier: MIT */
/*
 * serve_lane.c - Lane: the calls of one client of an application, run whenever its own loop comes by.
 *
 *   loop sleeps on fileno() --readable--> serve(until) --False: nothing waits--> arm() --> loop
 *                                            '--True: the time is over--> serve again soon
 *
 * A call may make its thread wait, or open a dialog, whose loop comes by again: then others run on top of
 * it. While one waits for a callback nothing of its own client's runs but what the callback asks for.
 * While an answer waits for room, nothing more of that client's runs: who reads nothing gets nothing.
 */
#include "serve.h"

#include <stddef.h>

/* Lanes that spin() looks at. */
#define SPIN_LANES_MAX 64

typedef struct LaneObject {
    PyObject_HEAD
    ChannelObject *channel;
    server *server;    /* NULL: closed */
    unsigned entered;  /* times that serve() runs, one within the other */
    bool closing;      /* it is to end with the outermost of them */
    bool armed;        /* its descriptor may have become readable */
    uint64_t requests; /* of the server, when that has ended */
} LaneObject;

static void
end_now(LaneObject *self)
{
    server *ended = self->server;

    if (ended == NULL)
        return;
    self->requests = ended->requests;
    self->server = NULL;
    server_end(ended);
}

static PyObject *
lane_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"channel", "table", "callback_timeout", NULL};
    core_state *state = core_state_of_type(type);
    rbr_error error = {.status = RBR_OK};
    PyObject *table, *timeout;
    ChannelObject *channel;
    rbr_status status;
    LaneObject *self;
    double seconds;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!OO:Lane", keywords, state->channel_type,
                                     &channel, &table, &timeout))
        return NULL;
    seconds = timeout == Py_None ? -1.0 : PyFloat_AsDouble(timeout);
    if (PyErr_Occurred() || channel_enter_alive(channel) == NULL)
        return NULL;
    status = rbr_channel_poll_requests(channel->channel, &error);
    channel_leave(channel);
    if (status != RBR_OK)
        return channel_raise(channel, status, &error, "serving");
    self = PyObject_GC_New(LaneObject, type);
    if (self == NULL)
        return NULL;
    self->channel = (ChannelObject *)Py_NewRef((PyObject *)channel);
    self->entered = 0;
    self->closing = self->armed = false;
    self->requests = 0;
    self->server = server_new(channel, table);
    PyObject_GC_Track((PyObject *)self);
    if (self->server == NULL)
        Py_CLEAR(self);
    else if (seconds >= 0)
        self->server->callback_ns = (uint64_t)(seconds * 1e9);
    return (PyObject *)self;
}

static int
lane_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    (void)self;
    return 0;
}

static void
lane_dealloc(PyObject *object)
{
    LaneObject *self = (LaneObject *)object;
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    end_now(self);
    Py_XDECREF((PyObject *)self->channel);
    PyObject_GC_Del(object);
    Py_DECREF(type);
}

/* --------------------------------------------------------------------------------------- serving */

/* 1: the time is over, 0: nothing waits, -1 with an exception. */
static int
serve_until(server *self, uint64_t deadline_ns)
{
    rbr_channel *channel = self->channel->channel;

    while (!rbr_channel_flush(channel)) {
        rbr_message *message = NULL;
        const rbr_status status = rbr_channel_receive(channel, &message, 0, 0);

        if (status != RBR_OK && status != RBR_AGAIN) {
            channel_raise(self->channel, status, NULL, "serving");
            return -1;
        }
        if (status == RBR_AGAIN && !stream_is_ready(self))
            return 0;
        if (serve_one(self, &message) < 0) {
            if (!PyErr_Occurred()) /* its channel has just ended */
                channel_raise(self->channel, rbr_channel_state(channel, NULL), NULL, "serving");
            return -1;
        }
        if (self->interrupted) {
            self->interrupted = false;
            PyErr_SetNone(PyExc_KeyboardInterrupt);
            return -1;
        }
        if (rbr_now_ns() >= deadline_ns)
            return 1;
    }
    return 0;
}

/* On top of what runs already, where something does. */
static int
serve_entered(LaneObject *self, uint64_t deadline_ns)
{
    server *serving = self->server, *before = serve_enter_thread(serving);
    int result;

    if (self->entered > 1)
        serving->depth++;
    if (self->armed)
        rbr_inbox_clear(rbr_channel_inbox(self->channel->channel));
    self->armed = false;
    result = serve_until(serving, deadline_ns);
    if (result >= 0) /* else an exception is set */
        notices_look(serving);
    if (self->entered > 1) {
        serving->depth--;
        stream_leave(serving);
    }
    serve_leave_thread(before);
    return result;
}

static PyObject *
lane_serve(LaneObject *self, PyObject *until)
{
    const double seconds = PyFloat_AsDouble(until);
    int result;

    if (seconds == -1.0 && PyErr_Occurred())
        return NULL;
    if (self->server == NULL || self->closing || self->server->waits)
        Py_RETURN_FALSE;
    if (self->entered > 0 && self->server->thread != PyThread_get_thread_ident()) {
        PyErr_SetString(PyExc_RuntimeError, "another thread serves this lane");
        return NULL;
    }
    if (channel_enter(self->channel) == NULL)
        return NULL;
    self->entered++;
    result = serve_entered(self, (uint64_t)(seconds * 1e9));
    if (--self->entered == 0 && self->closing)
        end_now(self);
    channel_leave(self->channel);
    return result < 0 ? NULL : PyBool_FromLong(result);
}

static PyObject *
lane_arm(LaneObject *self, PyObject *unused)
{
    (void)unused;
    /* While its call waits for a callback nothing is taken here: so nothing must wake us for it. */
    if (self->server == NULL || self->closing || self->server->waits)
        Py_RETURN_NONE;
    if (channel_enter(self->channel) == NULL)
        return NULL;
    self->armed = true;
    rbr_inbox_arm(rbr_channel_inbox(self->channel->channel));
    channel_leave(self->channel);
    Py_RETURN_NONE;
}

static PyObject *
lane_fileno(LaneObject *self, PyObject *unused)
{
    int fd;

    (void)unused;
    if (channel_enter(self->channel) == NULL)
        return NULL;
    fd = rbr_inbox_fd(rbr_channel_inbox(self->channel->channel));
    channel_leave(self->channel);
    return PyLong_FromLong(fd);
}

static PyObject *
lane_close(LaneObject *self, PyObject *unused)
{
    (void)unused;
    self->closing = true;
    if (self->entered == 0)
        end_now(self);
    Py_RETURN_NONE;
}

static PyObject *
get_requests(LaneObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(self->server != NULL ? self->server->requests
                                                            : self->requests);
}

/* Of the call that runs now; None: none does, or it is a method. */
static PyObject *
get_function(LaneObject *self, void *unused)
{
    (void)unused;
    if (self->server == NULL || self->server->running == 0 || self->server->function == NO_FUNCTION)
        Py_RETURN_NONE;
    return PyLong_FromUnsignedLong(self->server->function);
}

/* -------------------------------------------------------------------------------------- spinning */

/* True: one of them has something. Without the GIL. */
static bool
spin_for(rbr_channel *const *channels, Py_ssize_t count, uint64_t until_ns)
{
    Py_ssize_t i;
    int turns;

    do {
        for (turns = 0; turns < 16; turns++)
            for (i = 0; i < count; i++)
                if (rbr_channel_has_frames(channels[i]))
                    return true;
    } while (rbr_now_ns() < until_ns);
    return false;
}

PyObject *
lanes_spin(PyObject *module, PyObject *lanes)
{
    const core_state *state = PyModule_GetState(module);
    rbr_channel *channels[SPIN_LANES_MAX];
    ChannelObject *entered[SPIN_LANES_MAX];
    Py_ssize_t i, count = 0;
    uint64_t spin_ns = 0;
    bool found;

    if (!PyTuple_Check(lanes)) {
        PyErr_SetString(PyExc_TypeError, "spin(lanes: tuple[Lane, ...])");
        return NULL;
    }
    for (i = 0; i < PyTuple_Size(lanes) && count < SPIN_LANES_MAX; i++) {
        LaneObject *lane = (LaneObject *)PyTuple_GetItem(lanes, i);
        uint64_t own_ns;

        if (!Py_IS_TYPE((PyObject *)lane, state->lane_type) || lane->server == NULL ||
            lane->closing || channel_enter(lane->channel) == NULL) {
            PyErr_Clear();
            continue;
        }
        own_ns = rbr_channel_spin_ns(lane->channel->channel);
        spin_ns = own_ns > spin_ns ? own_ns : spin_ns;
        entered[count] = lane->channel;
        channels[count++] = lane->channel->channel;
    }
    Py_BEGIN_ALLOW_THREADS
    found = count > 0 && spin_for(channels, count, rbr_now_ns() + spin_ns);
    Py_END_ALLOW_THREADS
    for (i = 0; i < count; i++)
        channel_leave(entered[i]);
    return PyBool_FromLong(found);
}

/* -------------------------------------------------------------------------------------- the type */

static PyMethodDef lane_methods[] = {
    {"serve", (PyCFunction)lane_serve, METH_O,
     PyDoc_STR("serve($self, until)\n--\n\nRuns what waits, until time.monotonic() has come there. "
               "True: there may be more. Raises the channel's end.")},
    {"arm", (PyCFunction)lane_arm, METH_NOARGS,
     PyDoc_STR("arm($self)\n--\n\nThe next request makes the descriptor readable, once.")},
    {"fileno", (PyCFunction)lane_fileno, METH_NOARGS,
     PyDoc_STR("fileno($self)\n--\n\nWhat an event loop polls for reading, once it is armed.")},
    {"close", (PyCFunction)lane_close, METH_NOARGS,
     PyDoc_STR("close($self)\n--\n\nNothing more is run, and what was kept goes. Idempotent.")},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef lane_getset[] = {
    {"requests", (getter)get_requests, NULL, PyDoc_STR("How many it has taken."), NULL},
    {"function", (getter)get_function, NULL, PyDoc_STR("The number of what it runs now."), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef lane_members[] = {
    {"channel", T_OBJECT, offsetof(LaneObject, channel), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot lane_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("The calls of one client of an application.")},
    {Py_tp_new, (void *)lane_new},
    {Py_tp_dealloc, (void *)lane_dealloc},
    {Py_tp_traverse, (void *)lane_traverse},
    {Py_tp_methods, lane_methods},
    {Py_tp_getset, lane_getset},
    {Py_tp_members, lane_members},
    {0, NULL},
};

PyType_Spec lane_type_spec = {
    .name = "ringbridge._core.Lane",
    .basicsize = sizeof(LaneObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | RBR_TPFLAGS_IMMUTABLE,
    .slots = lane_slots,
};
