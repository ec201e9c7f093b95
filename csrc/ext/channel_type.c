/* SPDX-License-Identifier: MIT */
/*
 * channel_type.c - Channel: one end of a channel, as a Python object.
 *
 * close() while other threads are inside marks the object, wakes them, and the last one out lets go
 * of the memory.
 */
#include "ext.h"

#include <stddef.h>

/* --------------------------------------------------------------------------------- using a channel */

rbr_channel *
channel_enter(ChannelObject *self)
{
    if (self->channel == NULL || self->closing) {
        channel_raise_closed(self);
        return NULL;
    }
    self->users++;
    return self->channel;
}

rbr_channel *
channel_enter_alive(ChannelObject *self)
{
    rbr_channel *channel = channel_enter(self);
    rbr_error error;
    rbr_status status;

    if (channel == NULL)
        return NULL;
    status = rbr_channel_state(channel, &error);
    if (status == RBR_OK && self->retired == NULL)
        return channel;
    if (status == RBR_OK)
        channel_raise_closed(self);
    else
        channel_raise(self, status, &error, NULL); /* this call is not to blame */
    channel_leave(self);
    return NULL;
}

static void
let_go(ChannelObject *self)
{
    rbr_channel *channel = self->channel;

    self->channel = NULL;
    Py_BEGIN_ALLOW_THREADS
    rbr_channel_release(channel);
    Py_END_ALLOW_THREADS
}

void
channel_leave(ChannelObject *self)
{
    if (--self->users == 0 && self->closing && self->channel != NULL)
        let_go(self);
}

/* ---------------------------------------------------------------------------------------- ending */

static int
channel_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((ChannelObject *)self)->owner);
    Py_VISIT(((ChannelObject *)self)->readers);
    return 0;
}

static void
channel_dealloc(PyObject *object)
{
    ChannelObject *self = (ChannelObject *)object;
    PyTypeObject *type = Py_TYPE(object);

    PyObject_GC_UnTrack(object);
    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs(object);
    if (self->channel != NULL)
        let_go(self);
    value_scratch_free(self);
    Py_XDECREF(self->name);
    Py_XDECREF(self->title);
    Py_XDECREF(self->retired);
    Py_XDECREF(self->owner);
    Py_XDECREF(self->readers);
    PyObject_GC_Del(object);
    Py_DECREF(type);
}

static PyObject *
channel_close(ChannelObject *self, PyObject *unused)
{
    (void)unused;
    if (self->channel == NULL || self->closing)
        Py_RETURN_NONE;
    self->closing = true;
    self->users++; /* so that a thread that leaves meanwhile does not free it under us */
    Py_BEGIN_ALLOW_THREADS
    rbr_channel_close(self->channel);
    Py_END_ALLOW_THREADS
    channel_leave(self);
    Py_CLEAR(self->readers); /* they hold us, and descriptors */
    Py_RETURN_NONE;
}

/* --------------------------------------------------------------------------------------- methods */

static PyObject *
channel_handshake(ChannelObject *self, PyObject *timeout)
{
    rbr_channel *channel;
    uint64_t deadline_ns;
    rbr_error error = {.status = RBR_OK};
    rbr_status status;
    int more = 1;

    if (!deadline_from_timeout(timeout, &deadline_ns) || (channel = channel_enter(self)) == NULL)
        return NULL;
    do {
        const uint64_t until = channel_slice_end(NULL, deadline_ns);

        Py_BEGIN_ALLOW_THREADS
        status = rbr_channel_handshake(channel, until, &error);
        Py_END_ALLOW_THREADS
    } while (status != RBR_OK && (more = channel_slice_over(NULL, status, deadline_ns)) == 1);
    if (status != RBR_OK || more < 0) {
        channel_raise(self, status, &error, status == RBR_TIMED_OUT ? "the handshake" : NULL);
    } else {
        rbr_peer peer;

        rbr_channel_peer(channel, &peer);
        self->pickle = peer.pickle;
    }
    channel_leave(self);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

/* The peer's words: cut to our room, and not surely UTF-8. */
static PyObject *
text_of(const char *bytes)
{
    return PyUnicode_DecodeUTF8(bytes, (Py_ssize_t)strlen(bytes), "backslashreplace");
}

static PyObject *
channel_peer(ChannelObject *self, void *unused)
{
    rbr_peer peer;

    (void)unused;
    if (channel_enter(self) == NULL)
        return NULL;
    rbr_channel_peer(self->channel, &peer);
    PyObject *result = Py_BuildValue("{s:i,s:N,s:N,s:N,s:N}", "pid", peer.pid, "python",
                                     text_of(peer.python), "abi", text_of(peer.abi), "version",
                                     text_of(peer.version), "executable", text_of(peer.executable));
    channel_leave(self);
    return result;
}

static PyObject *
channel_alive(ChannelObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(self->channel != NULL && !self->closing && self->retired == NULL &&
                           rbr_channel_state(self->channel, NULL) == RBR_OK);
}

static PyObject *
channel_empty(ChannelObject *self, PyObject *args)
{
    PyObject *shape, *dtype;

    if (!PyArg_ParseTuple(args, "OO:empty", &shape, &dtype))
        return NULL;
    return array_empty(self, shape, dtype);
}

static PyObject *
channel_stats(ChannelObject *self, PyObject *unused)
{
    rbr_stats stats;

    (void)unused;
    if (channel_enter(self) == NULL)
        return NULL;
    rbr_channel_stats(self->channel, &stats);
    channel_leave(self);
    return Py_BuildValue(
        "{s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:I,s:I}", "frames_sent",
        stats.frames_sent, "frames_received", stats.frames_received, "bytes_sent", stats.bytes_sent,
        "bytes_received", stats.bytes_received, "wakes_sent", stats.wakes_sent, "sleeps",
        stats.sleeps, "late_looks", stats.late_looks, "dropped_answers", stats.dropped_answers,
        "dropped_asides", stats.dropped_asides, "arena_bytes", stats.arena_bytes, "arena_used",
        stats.arena_used, "arena_blocks", stats.arena_blocks, "arena_limit", stats.arena_limit,
        "peer_blocks", stats.peer_blocks, "output_dropped", stats.output_dropped, "ring_bytes",
        stats.ring_bytes, "spin_ns", stats.spin_ns);
}

static PyObject *
channel_cancel(ChannelObject *self, PyObject *args)
{
    unsigned long long id;
    int hard;

    if (!PyArg_ParseTuple(args, "Kp:cancel", &id, &hard) || channel_enter(self) == NULL)
        return NULL;
    rbr_channel_cancel(self->channel, id, hard != 0);
    channel_leave(self);
    Py_RETURN_NONE;
}

static PyObject *
channel_say_goodbye(ChannelObject *self, PyObject *unused)
{
    (void)unused;
    if (channel_enter(self) == NULL)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    rbr_channel_say_goodbye(self->channel);
    Py_END_ALLOW_THREADS
    channel_leave(self);
    Py_RETURN_NONE;
}

static PyObject *
channel_retire(ChannelObject *self, PyObject *why)
{
    if (!PyUnicode_Check(why)) {
        PyErr_SetString(PyExc_TypeError, "retire() takes a str");
        return NULL;
    }
    if (self->retired == NULL)
        self->retired = Py_NewRef(why);
    Py_RETURN_NONE;
}

static PyObject *
channel_runs(ChannelObject *self, PyObject *args)
{
    unsigned long long id;

    if (!PyArg_ParseTuple(args, "K:runs", &id))
        return NULL;
    return PyBool_FromLong(self->channel != NULL && rbr_channel_peer_runs(self->channel, id));
}

static PyMethodDef channel_methods[] = {
    {"join", channel_join, METH_VARARGS | METH_CLASS,
     PyDoc_STR("join($type, socket, pickle=False, told=None)\n--\n\n"
               "The worker's end, over the inherited socket; told: who is spoken for.")},
    {"connect", (PyCFunction)(void (*)(void))channel_connect,
     METH_VARARGS | METH_KEYWORDS | METH_CLASS,
     PyDoc_STR("connect($type, socket, *, name, ring_bytes=0, arena_bytes=0, pickle=False)\n--\n\n"
               "The client's end, over a socket that an application has accepted.")},
    {"accept", (PyCFunction)(void (*)(void))channel_accept,
     METH_VARARGS | METH_KEYWORDS | METH_CLASS,
     PyDoc_STR("accept($type, socket, *, name, arena_bytes=0, pickle=False)\n--\n\n"
               "The application's end, over a client's socket.")},
    {"handshake", (PyCFunction)channel_handshake, METH_O,
     PyDoc_STR("handshake($self, timeout)\n--\n\nMeets the peer.")},
    {"load", (PyCFunction)(void (*)(void))channel_load, METH_FASTCALL,
     PyDoc_STR("load($self, module, reload, timeout)\n--\n\nImports a module over there.")},
    {"empty", (PyCFunction)channel_empty, METH_VARARGS,
     PyDoc_STR("empty($self, shape, dtype)\n--\n\nA new array in this end's arena.")},
    {"stats", (PyCFunction)channel_stats, METH_NOARGS, PyDoc_STR("stats($self)\n--\n\nCounters.")},
    {"cancel", (PyCFunction)channel_cancel, METH_VARARGS,
     PyDoc_STR("cancel($self, call_id, hard)\n--\n\nAsks the peer to cancel a call; hard: "
               "interrupt it.")},
    {"say_goodbye", (PyCFunction)channel_say_goodbye, METH_NOARGS,
     PyDoc_STR("say_goodbye($self)\n--\n\nAsks the peer to end after the call that it is in.")},
    {"retire", (PyCFunction)channel_retire, METH_O,
     PyDoc_STR("retire($self, why)\n--\n\nNo call begins here any more; those under way go on.")},
    {"kill", (PyCFunction)channel_kill, METH_VARARGS,
     PyDoc_STR("kill($self, signal, group)\n--\n\nSignals the peer, or its session.")},
    {"wait_end", (PyCFunction)channel_wait_end, METH_O,
     PyDoc_STR("wait_end($self, timeout)\n--\n\nWaits for the peer's end: (known, signalled, code, "
               "core dumped), or None.")},
    {"read_output", (PyCFunction)channel_read_output, METH_O,
     PyDoc_STR(
         "read_output($self, timeout)\n--\n\nThe child's next output: (stream, bytes, lost).")},
    {"error_tail", (PyCFunction)channel_error_tail, METH_NOARGS,
     PyDoc_STR("error_tail($self)\n--\n\nThe last bytes of the child's stderr.")},
    {"runs", (PyCFunction)channel_runs, METH_VARARGS,
     PyDoc_STR("runs($self, call)\n--\n\n"
               "Whether the peer runs the call of this id, or ran it when it ended.")},
    {"close", (PyCFunction)channel_close, METH_NOARGS,
     PyDoc_STR("close($self)\n--\n\nLets go of everything; never waits for the peer.")},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef channel_getset[] = {
    {"peer", (getter)channel_peer, NULL, PyDoc_STR("What the peer said of itself."), NULL},
    {"alive", (getter)channel_alive, NULL, PyDoc_STR("Whether the channel works."), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef channel_members[] = {
    {"name", T_OBJECT, offsetof(ChannelObject, name), READONLY, NULL},
    {"title", T_OBJECT, offsetof(ChannelObject, title), READONLY, NULL},
    {"owner", T_OBJECT, offsetof(ChannelObject, owner), 0, NULL},
    {"readers", T_OBJECT, offsetof(ChannelObject, readers), 0, NULL},
    {"coroutines", T_BOOL, offsetof(ChannelObject, coroutines), 0, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ChannelObject, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot channel_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("One end of a channel to another process.")},
    {Py_tp_new, (void *)channel_new},
    {Py_tp_dealloc, (void *)channel_dealloc},
    {Py_tp_traverse, (void *)channel_traverse},
    {Py_tp_methods, channel_methods},
    {Py_tp_members, channel_members},
    {Py_tp_getset, channel_getset},
    {0, NULL},
};

PyType_Spec channel_type_spec = {
    .name = "ringbridge._core.Channel",
    .basicsize = sizeof(ChannelObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | RBR_TPFLAGS_IMMUTABLE,
    .slots = channel_slots,
};
