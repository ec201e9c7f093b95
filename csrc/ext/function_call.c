/* SPDX-License-Identifier: MIT */
/*
 * function_call.c - what a call of a remote function does: the hot path of the host.
 *
 *   encode into a buffer of its own -> register the call -> copy to the ring -> wait -> decode
 *
 * The frame is encoded before the call is registered, so that whatever Python code the encoding
 * runs can make calls itself.
 */
#include "ext.h"

const char *
function_name(const FunctionObject *self)
{
    const char *name = PyUnicode_AsUTF8AndSize(self->title, NULL);

    if (name != NULL)
        return name;
    PyErr_Clear();
    return "a function";
}

/* -------------------------------------------------------------------------------------- encoding */

/* Which way the frame's Call table looks: the common case has a constant shape. */
static const rbr_shape *
call_shape(const FunctionObject *self, const call_wish *wish, Py_ssize_t keywords, rbr_shape *made)
{
    uint32_t fields = RBR_BIT(RBR_CALL__FUNCTION) | RBR_BIT(RBR_CALL__ARGS);

    if (keywords == 0 && wish->deadline_ns == RBR_FOREVER && self->label == Py_None &&
        self->handle == Py_None && !self->keep && wish->credit == 0)
        return &rbr_shape_call;
    if (keywords > 0)
        fields |= RBR_BIT(RBR_CALL__KWARGS);
    if (wish->deadline_ns != RBR_FOREVER)
        fields |= RBR_BIT(RBR_CALL__DEADLINE_MS);
    if (self->label != Py_None)
        fields |= RBR_BIT(RBR_CALL__LABEL);
    if (self->handle != Py_None)
        fields |= RBR_BIT(RBR_CALL__HANDLE) | RBR_BIT(RBR_CALL__TARGET);
    if (self->keep || wish->latest)
        fields |= RBR_BIT(RBR_CALL__FLAGS);
    if (wish->credit > 0)
        fields |= RBR_BIT(RBR_CALL__CREDIT);
    rbr_shape_make(made, &rbr_desc_call, fields);
    return made;
}

/* What only some calls have. */
static int
encode_rare(FunctionObject *self, value_encoder *encoder, const call_wish *wish, uint32_t call,
            const rbr_shape *shape)
{
    rbr_builder *build = &encoder->build;

    if (wish->deadline_ns != RBR_FOREVER) {
        const uint64_t now = rbr_now_ns();
        const uint64_t left_ms = wish->deadline_ns > now ? (wish->deadline_ns - now) / 1000000 + 1
                                                         : 1;

        rbr_build_u32(build, call, shape, RBR_CALL__DEADLINE_MS,
                      left_ms < UINT32_MAX ? (uint32_t)left_ms : UINT32_MAX);
    }
    if (self->keep || wish->latest)
        rbr_build_u32(build, call, shape, RBR_CALL__FLAGS, self->keep ? CALL_KEEP : CALL_LATEST);
    if (wish->credit > 0)
        rbr_build_u32(build, call, shape, RBR_CALL__CREDIT, wish->credit);
    if (self->handle != Py_None) {
        rbr_build_u64(build, call, shape, RBR_CALL__HANDLE, ((HandleObject *)self->handle)->id);
        if (call_encode_text(encoder, rbr_build_slot(call, shape, RBR_CALL__TARGET), self->method) <
            0)
            return -1;
    }
    return self->label == Py_None
               ? 0
               : call_encode_text(encoder, rbr_build_slot(call, shape, RBR_CALL__LABEL),
                                  self->label);
}

uint32_t
function_encode(FunctionObject *self, value_encoder *encoder, const call_wish *wish,
                PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    const Py_ssize_t keywords = names != NULL ? PyTuple_Size(names) : 0;
    rbr_builder *build = &encoder->build;
    rbr_shape made;
    const rbr_shape *shape = call_shape(self, wish, keywords, &made);
    uint32_t slot, call;
    const uint32_t root = call_start_frame(encoder, RBR_BODY_CALL, &slot);

    if (root == 0)
        return 0;
    call = shape == &made ? rbr_build_table_once(build, slot, shape)
                          : rbr_build_table(build, slot, shape);
    if (call == 0) {
        PyErr_NoMemory();
        return 0;
    }
    rbr_build_u32(build, call, shape, RBR_CALL__FUNCTION, wish->id);
    if (shape == &made && encode_rare(self, encoder, wish, call, shape) < 0)
        return 0;
    if (call_encode_args(encoder, rbr_build_slot(call, shape, RBR_CALL__ARGS), args, count) < 0)
        return 0;
    if (keywords > 0 && call_encode_kwargs(encoder, rbr_build_slot(call, shape, RBR_CALL__KWARGS),
                                           names, args + count) < 0)
        return 0;
    return root;
}

/* --------------------------------------------------------------------------------------- calling */

PyObject *
call_decode_answer(ChannelObject *channel, const rbr_message *message, bool copy)
{
    value_decoder decoder = {.state = channel->state,
                             .channel = channel,
                             .message = message,
                             .copy = copy,
                             .pickle = channel->pickle};
    uint8_t type;
    const rbr_table body = rbr_message_body(message, &type);

    if (type == RBR_BODY_RESULT) {
        PyObject *result = value_decode_field(&decoder, body, RBR_RESULT__VALUE);

        if (result == NULL)
            value_decode_place(&decoder, "result", NULL, -1);
        return result;
    }
    if (type == RBR_BODY_ERROR)
        return channel_raise_remote(channel, message, body);
    PyErr_Format(channel->state->protocol_error, "an answer is of kind %d", (int)type);
    return NULL;
}

ChannelObject *
function_enter(FunctionObject *self, uint64_t deadline_ns, uint32_t *id)
{
    if (self->handle != Py_None && !handle_is_here((HandleObject *)self->handle))
        return NULL;
    return target_enter(self->target, deadline_ns, id);
}

/* Nobody waits for the call any more (a timeout, Ctrl-C), and it has been asked to end: the owner sees
 * to it that it does. Keeps the exception that is set. */
static void
gave_up(ChannelObject *channel, uint64_t id)
{
    PyObject *type, *value, *traceback, *owner, *done = NULL;

    if (channel->owner == Py_None || id == 0 ||
        (PyErr_ExceptionMatches(PyExc_Exception) &&
         !PyErr_ExceptionMatches(channel->state->call_timeout)))
        return;
    PyErr_Fetch(&type, &value, &traceback);
    owner = PyObject_CallObject(channel->owner, NULL);
    if (owner != NULL && owner != Py_None)
        done = PyObject_CallMethod(owner, "gave_up", "OK", (PyObject *)channel,
                                   (unsigned long long)id);
    if (PyErr_Occurred())
        PyErr_WriteUnraisable((PyObject *)channel);
    Py_XDECREF(owner);
    Py_XDECREF(done);
    PyErr_Restore(type, value, traceback);
}

/* The worker has died before it began this call, and another takes its place: then nothing has
 * happened, and the call goes there. Clears the exception that is set. */
static bool
goes_elsewhere(ChannelObject *channel, uint64_t id)
{
    PyObject *type, *value, *traceback, *owner, *answer = NULL;
    bool replaced = false;

    if (id == 0 || channel->owner == Py_None || channel->channel == NULL ||
        !PyErr_ExceptionMatches(channel->state->worker_died) ||
        rbr_channel_peer_began(channel->channel, id))
        return false;
    PyErr_Fetch(&type, &value, &traceback);
    owner = PyObject_CallObject(channel->owner, NULL);
    if (owner != NULL && owner != Py_None)
        answer = PyObject_CallMethod(owner, "replaces", "O", (PyObject *)channel);
    if (answer != NULL)
        replaced = PyObject_IsTrue(answer) > 0;
    PyErr_Clear();
    Py_XDECREF(owner);
    Py_XDECREF(answer);
    PyErr_Restore(type, value, traceback);
    if (replaced)
        PyErr_Clear();
    return replaced;
}

/* Sends the call and gives its answer. NULL with an exception (*again: not set, and the call is to be
 * made once more). */
static PyObject *
call_once(FunctionObject *self, ChannelObject *channel, const call_wish *wish,
          PyObject *const *args, Py_ssize_t count, PyObject *names, bool *again)
{
    rbr_message *answer = NULL;
    value_encoder encoder;
    PyObject *result;
    call_made made = {.id = 0};
    uint8_t type;
    uint32_t root;

    if (value_encoder_start(&encoder, channel, wish->deadline_ns) < 0)
        return NULL;
    encoder.takes_callables = true;
    encoder.callbacks_on = self->callbacks_on;
    root = function_encode(self, &encoder, wish, args, count, names);
    if (root != 0)
        answer = call_exchange(channel, &encoder, root, &made, wish->deadline_ns,
                               function_name(self));
    value_encoder_stop(&encoder);
    if (answer == NULL) {
        *again = goes_elsewhere(channel, made.id);
        if (!*again)
            gave_up(channel, made.id);
        return NULL;
    }
    result = call_decode_answer(channel, answer, self->copy);
    rbr_message_body(answer, &type);
    if (result == NULL && type == RBR_BODY_RESULT) /* there may be handles that were not reached */
        small_frame_ended(channel, made.id, made.last_handle);
    rbr_message_free(answer);
    return result;
}

static PyObject *
function_call(FunctionObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    call_wish wish = {.credit = 0};
    ChannelObject *channel;
    PyObject *result;
    bool again;

    if (!deadline_from_timeout(self->timeout, &wish.deadline_ns))
        return NULL;
    do {
        again = false;
        channel = function_enter(self, wish.deadline_ns, &wish.id);
        if (channel == NULL)
            return NULL;
        result = call_once(self, channel, &wish, args, count, names, &again);
        target_leave(channel);
    } while (again);
    return result;
}

#ifndef Py_LIMITED_API
PyObject *
function_vectorcall(PyObject *self, PyObject *const *args, size_t count, PyObject *names)
{
    return function_call((FunctionObject *)self, args, PyVectorcall_NARGS(count), names);
}
#else
PyObject *
function_tp_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject **all, *names, *result;

    if (function_spread(args, kwargs, &all, &names) < 0)
        return NULL;
    result = function_call((FunctionObject *)self, all, PyTuple_Size(args), names);
    function_gather(args, all, names);
    return result;
}
#endif

int
function_spread(PyObject *args, PyObject *kwargs, PyObject ***all, PyObject **names)
{
    const Py_ssize_t count = PyTuple_Size(args);
    const Py_ssize_t keywords = kwargs != NULL ? PyDict_Size(kwargs) : 0;
    PyObject *key, *value;
    Py_ssize_t i, position = 0;

    *all = PyMem_Malloc((size_t)(count + keywords + 1) * sizeof **all);
    *names = keywords > 0 ? PyTuple_New(keywords) : NULL;
    if (*all == NULL || (keywords > 0 && *names == NULL)) {
        PyMem_Free(*all);
        Py_CLEAR(*names);
        PyErr_NoMemory();
        return -1;
    }
    for (i = 0; i < count; i++)
        (*all)[i] = PyTuple_GetItem(args, i);
    for (; i < count + keywords && PyDict_Next(kwargs, &position, &key, &value); i++) {
        PyTuple_SetItem(*names, i - count, Py_NewRef(key));
        (*all)[i] = Py_NewRef(value); /* the dict is its owner's to change, also while we encode */
    }
    return 0;
}

void
function_gather(PyObject *args, PyObject **all, PyObject *names)
{
    const Py_ssize_t count = PyTuple_Size(args);
    Py_ssize_t i;

    for (i = 0; names != NULL && i < PyTuple_Size(names); i++)
        Py_DECREF(all[count + i]);
    PyMem_Free(all);
    Py_XDECREF(names);
}
