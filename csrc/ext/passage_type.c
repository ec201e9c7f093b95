/* SPDX-License-Identifier: MIT */
/*
 * passage_type.c - Passage: what a relay does with a channel's frames.
 *
 *   outward   take() -> a frame that came; piece() -> its bytes, then those of its payloads
 *   inward    begin(), feed() until it is whole -> verified, its payloads in blocks of ours; put()
 *
 * A frame crosses with the payloads behind it, in the order of its references and as long as these say.
 * Frames are verified here too, since the references that are written into them must be where they are.
 * One thread for each direction, and one for cancels; passage_in.c has the other direction.
 */
#include "passage.h"

static PyObject *
passage_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"channel", NULL};
    core_state *state = core_state_of_type(type);
    rbr_error error = {.status = RBR_OK};
    ChannelObject *channel;
    PassageObject *self;
    rbr_status status;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!:Passage", keywords, state->channel_type,
                                     &channel))
        return NULL;
    if (channel_enter(channel) == NULL)
        return NULL;
    status = rbr_channel_relay(channel->channel, &error);
    if (status != RBR_OK)
        channel_raise(channel, status, &error, "relaying");
    channel_leave(channel);
    if (status != RBR_OK)
        return NULL;
    self = (PassageObject *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self != NULL)
        self->channel = (ChannelObject *)Py_NewRef((PyObject *)channel);
    return (PyObject *)self;
}

static int
passage_traverse(PassageObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT((PyObject *)self->channel);
    return 0;
}

static void
passage_dealloc(PassageObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    rbr_message_free(self->out.message);
    passage_in_clear(&self->in);
    Py_XDECREF((PyObject *)self->channel);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

/* ------------------------------------------------------------------------------------- outward */

/* Waits for the next frame; NULL with an exception, or without one where none came in time. */
static rbr_message *
next_message(ChannelObject *channel, uint64_t deadline_ns)
{
    rbr_message *message = NULL;
    rbr_status status;
    uint64_t spin_ns = RBR_FOREVER;
    int more = 1;

    do {
        const uint64_t until = channel_slice_end(NULL, deadline_ns);

        Py_BEGIN_ALLOW_THREADS
        status = rbr_channel_receive(channel->channel, &message, spin_ns, until);
        Py_END_ALLOW_THREADS
        spin_ns = 0;
    } while (status != RBR_OK && (more = channel_slice_over(NULL, status, deadline_ns)) == 1);
    if (status == RBR_OK)
        return message;
    if (status == RBR_CLOSED && rbr_channel_state(channel->channel, NULL) == RBR_OK)
        PyErr_SetString(PyExc_EOFError, "the peer has said goodbye");
    else if (more == 0 && status != RBR_TIMED_OUT)
        channel_raise(channel, status, NULL, NULL);
    return NULL;
}

static bool
is_request(uint8_t type)
{
    return type == RBR_BODY_CALL || type == RBR_BODY_LOAD || type == RBR_BODY_ATTRIBUTE ||
           type == RBR_BODY_CALLBACK;
}

PyObject *
passage_describe(uint64_t id, uint8_t type, rbr_table body)
{
    const bool latest = type == RBR_BODY_CALL &&
                        (rbr_get_u32(body, RBR_CALL__FLAGS, 0) & CALL_LATEST) != 0;

    return Py_BuildValue("(KNNN)", (unsigned long long)id, PyBool_FromLong(is_request(type)),
                         PyBool_FromLong(latest), PyBool_FromLong(type == RBR_BODY_STREAM_ITEM));
}

/* Word of what begins comes late. Where nothing else is under way, or the call that it is made in waits
 * for it, it begins as soon as it is there. */
static void
tell_of_request(PassageObject *self, const rbr_message *message)
{
    uint8_t type;

    rbr_message_body(message, &type);
    if (!is_request(type))
        return;
    if (self->unanswered++ == 0 || rbr_message_parent(message) != 0) {
        self->presumed = rbr_message_id(message);
        rbr_relay_may_run(self->channel->channel, self->presumed);
    }
}

static PyObject *
passage_take(PassageObject *self, PyObject *timeout)
{
    passage_out *out = &self->out;
    uint64_t deadline_ns, payload_bytes = 0;
    uint32_t i, size;
    rbr_message *message;
    rbr_table body;
    uint8_t type;

    if (!deadline_from_timeout(timeout, &deadline_ns) || channel_enter(self->channel) == NULL)
        return NULL;
    message = next_message(self->channel, deadline_ns);
    if (message != NULL && !self->channel->host)
        tell_of_request(self, message);
    channel_leave(self->channel);
    if (message == NULL) {
        if (PyErr_Occurred())
            return NULL;
        Py_RETURN_NONE;
    }
    body = rbr_message_body(message, &type);
    rbr_message_free(out->message);
    *out = (passage_out){.message = message};
    rbr_message_frame(message, &size);
    for (i = 0; i < rbr_message_payloads(message); i++)
        payload_bytes += rbr_block_bytes(rbr_message_payload(message, i));
    return Py_BuildValue("(NIK)", passage_describe(rbr_message_id(message), type, body),
                         (unsigned int)size, (unsigned long long)payload_bytes);
}

/* The part that is read now: the frame, then one payload after the other. NULL: all has been. */
static const uint8_t *
part_of(const passage_out *out, uint64_t *bytes)
{
    const rbr_block *block;
    uint32_t size;

    if (out->part == 0) {
        const uint8_t *frame = rbr_message_frame(out->message, &size);

        *bytes = size;
        return frame;
    }
    if (out->part > rbr_message_payloads(out->message))
        return NULL;
    block = rbr_message_payload(out->message, out->part - 1);
    *bytes = rbr_block_bytes(block);
    return rbr_block_data(block);
}

/* Copies at most `room` bytes and goes on by as many. */
static Py_ssize_t
read_out(passage_out *out, char *to, Py_ssize_t room)
{
    const uint8_t *part;
    Py_ssize_t done = 0;
    uint64_t bytes;

    while (done < room && (part = part_of(out, &bytes)) != NULL) {
        uint64_t now = bytes - out->at;

        if (now > (uint64_t)(room - done))
            now = (uint64_t)(room - done);
        memcpy(to + done, part + out->at, now);
        done += (Py_ssize_t)now;
        out->at += now;
        if (out->at == bytes) {
            out->at = 0;
            out->part++;
        }
    }
    return done;
}

static PyObject *
passage_piece(PassageObject *self, PyObject *limit)
{
    const Py_ssize_t room = PyLong_AsSsize_t(limit);
    passage_out *out = &self->out;
    uint64_t bytes, left = 0;
    PyObject *piece;
    uint32_t part;

    if (room <= 0) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "piece() takes a number of bytes");
        return NULL;
    }
    if (out->message == NULL)
        return PyBytes_FromStringAndSize(NULL, 0);
    for (part = out->part; left < (uint64_t)room; part++) {
        const passage_out from = {.message = out->message, .part = part};

        if (part_of(&from, &bytes) == NULL)
            break;
        left += part == out->part ? bytes - out->at : bytes;
    }
    piece = PyBytes_FromStringAndSize(NULL, left < (uint64_t)room ? (Py_ssize_t)left : room);
    if (piece == NULL)
        return NULL;
    read_out(out, PyBytes_AsString(piece), PyBytes_Size(piece));
    if (part_of(out, &bytes) == NULL) { /* the payloads go back at once */
        rbr_message_free(out->message);
        *out = (passage_out){.message = NULL};
    }
    return piece;
}

/* ----------------------------------------------------------------------- what goes past the rings */

static PyObject *
passage_next_cancel(PassageObject *self, PyObject *timeout)
{
    uint64_t deadline_ns, id;
    rbr_status status;
    bool hard;

    if (!deadline_from_timeout(timeout, &deadline_ns) || channel_enter(self->channel) == NULL)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    status = rbr_relay_cancel(self->channel->channel, &id, &hard, deadline_ns);
    Py_END_ALLOW_THREADS
    if (status != RBR_OK && status != RBR_TIMED_OUT && status != RBR_INTERRUPTED)
        channel_raise(self->channel, status, NULL, NULL);
    channel_leave(self->channel);
    if (PyErr_Occurred())
        return NULL;
    if (status != RBR_OK)
        Py_RETURN_NONE;
    return Py_BuildValue("(KN)", (unsigned long long)id, PyBool_FromLong(hard));
}

static PyObject *
passage_running(PassageObject *self, PyObject *unused)
{
    uint64_t ids[RBR_RELAY_RUNS_MAX];
    uint32_t count, i;
    PyObject *found;

    (void)unused;
    if (channel_enter(self->channel) == NULL)
        return NULL;
    count = rbr_relay_peer_runs(self->channel->channel, ids);
    channel_leave(self->channel);
    found = PyTuple_New((Py_ssize_t)count);
    for (i = 0; found != NULL && i < count; i++) {
        PyObject *id = PyLong_FromUnsignedLongLong(ids[i]);

        if (id == NULL || PyTuple_SetItem(found, (Py_ssize_t)i, id) < 0)
            Py_CLEAR(found);
    }
    return found;
}

static PyObject *
passage_set_running(PassageObject *self, PyObject *given)
{
    uint64_t ids[RBR_RELAY_RUNS_MAX];
    const Py_ssize_t count = PyTuple_Check(given) ? PyTuple_Size(given) : -1;
    Py_ssize_t i;

    if (count < 0 || count > RBR_RELAY_RUNS_MAX) {
        PyErr_SetString(PyExc_ValueError, "set_running() takes a tuple of at most 16 ids");
        return NULL;
    }
    for (i = 0; i < count; i++) {
        ids[i] = PyLong_AsUnsignedLongLong(PyTuple_GetItem(given, i));
        if (ids[i] == self->presumed)
            self->presumed = 0;
    }
    if (PyErr_Occurred() || channel_enter(self->channel) == NULL)
        return NULL;
    rbr_relay_runs(self->channel->channel, ids, (uint32_t)count);
    if (self->presumed != 0) /* this word was written before that call came there */
        rbr_relay_may_run(self->channel->channel, self->presumed);
    channel_leave(self->channel);
    Py_RETURN_NONE;
}

static PyMethodDef passage_methods[] = {
    {"take", (PyCFunction)passage_take, METH_O,
     PyDoc_STR("take($self, timeout)\n--\n\n"
               "The next frame: ((id, request, latest, item), bytes, payload bytes); None: none in "
               "time.")},
    {"piece", (PyCFunction)passage_piece, METH_O,
     PyDoc_STR("piece($self, limit)\n--\n\n"
               "The next bytes of the frame taken, then of its payloads; b\"\" at their end.")},
    {"begin", (PyCFunction)passage_begin, METH_VARARGS,
     PyDoc_STR("begin($self, frame_bytes, payload_bytes)\n--\n\nA frame follows.")},
    {"feed", (PyCFunction)passage_feed, METH_O,
     PyDoc_STR("feed($self, data)\n--\n\nIts next bytes; True: it is whole.")},
    {"meant", (PyCFunction)passage_meant, METH_NOARGS,
     PyDoc_STR("meant($self, /)\n--\n\n(id, request, latest, item) of the frame that is fed.")},
    {"put", (PyCFunction)passage_put, METH_O,
     PyDoc_STR("put($self, timeout)\n--\n\nSends it; False: there was no room in time.")},
    {"forget", (PyCFunction)passage_forget, METH_NOARGS,
     PyDoc_STR("forget($self, /)\n--\n\nWhat was fed is let go of.")},
    {"refusal", (PyCFunction)passage_refusal, METH_VARARGS,
     PyDoc_STR("refusal($self, id, code, type, text)\n--\n\nThe frame of an Error, as bytes.")},
    {"next_cancel", (PyCFunction)passage_next_cancel, METH_O,
     PyDoc_STR("next_cancel($self, timeout)\n--\n\n(id, hard); None: none came in time.")},
    {"running", (PyCFunction)passage_running, METH_NOARGS,
     PyDoc_STR("running($self, /)\n--\n\nThe calls that the worker runs now.")},
    {"set_running", (PyCFunction)passage_set_running, METH_O,
     PyDoc_STR("set_running($self, ids)\n--\n\nWhat the host shall see of that.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot passage_slots[] = {
    {Py_tp_doc,
     (void *)PyDoc_STR("Passage(channel)\n--\n\n"
                       "A channel's end that passes on what comes, to another machine.")},
    {Py_tp_new, (void *)passage_new},
    {Py_tp_dealloc, (void *)passage_dealloc},
    {Py_tp_traverse, (void *)passage_traverse},
    {Py_tp_methods, passage_methods},
    {0, NULL},
};

PyType_Spec passage_type_spec = {
    .name = "ringbridge._core.Passage",
    .basicsize = sizeof(PassageObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | RBR_TPFLAGS_IMMUTABLE,
    .slots = passage_slots,
};
