/* SPDX-License-Identifier: MIT */
/*
 * channel_errors.c - every status of the core, and every Error frame, becomes one of
 * ringbridge.errors here and nowhere else.
 */
#include "ext.h"

#include <errno.h>
#include <string.h>

/* What its end was for, where it was ours: those whose calls end with it did nothing wrong. */
static PyObject *
reason_to_end(const ChannelObject *self)
{
    if (self->retired == NULL || PyUnicode_GetLength(self->retired) == 0)
        return PyUnicode_FromString("");
    return PyUnicode_FromFormat("; ringbridge ended it: %U", self->retired);
}

static void *
raise_died(ChannelObject *self, const char *text, const char *doing)
{
    char tail[2048];
    size_t size = 0;
    rbr_exit result = {.known = false};
    PyObject *message = NULL, *error = NULL, *lines, *reason;

    if (self->channel != NULL) {
        size = rbr_channel_error_tail(self->channel, tail, sizeof tail);
        rbr_channel_wait_end(self->channel, &result, 0);
    }
    lines = PyUnicode_DecodeUTF8(tail, (Py_ssize_t)size, "backslashreplace");
    reason = reason_to_end(self);
    if (lines != NULL && reason != NULL)
        message = PyUnicode_FromFormat(
            "%s%U%s%s%s%U", text, reason, doing != NULL ? "; the call was " : "",
            doing != NULL ? doing : "", size > 0 ? "; its last output on stderr:\n" : "", lines);
    Py_XDECREF(lines);
    Py_XDECREF(reason);
    if (message == NULL)
        return NULL;
    if (!result.known)
        error = PyObject_CallFunction(self->state->worker_died, "OOO", message, Py_None, Py_None);
    else if (result.signalled)
        error = PyObject_CallFunction(self->state->worker_died, "OiO", message, result.code,
                                      Py_None);
    else
        error = PyObject_CallFunction(self->state->worker_died, "OOi", message, Py_None,
                                      result.code);
    Py_DECREF(message);
    if (error != NULL) {
        PyErr_SetObject(self->state->worker_died, error);
        Py_DECREF(error);
    }
    return NULL;
}

/* With a message that may hold a path's or a peer's bytes: not surely UTF-8. */
static void *
raise_text(PyObject *type, const rbr_error *err, const char *otherwise)
{
    const char *text = err != NULL ? err->text : otherwise;
    PyObject *message = PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "backslashreplace");

    if (message != NULL) {
        PyErr_SetObject(type, message);
        Py_DECREF(message);
    }
    return NULL;
}

static void *
raise_system(const rbr_error *err)
{
    PyObject *arguments;

    if (err->sys_errno == ENOMEM) /* as everywhere in Python */
        return raise_text(PyExc_MemoryError, err, "out of memory");
    arguments = Py_BuildValue("(is)", err->sys_errno, err->text);
    if (arguments != NULL) {
        PyErr_SetObject(PyExc_OSError, arguments); /* picks the subclass by errno */
        Py_DECREF(arguments);
    }
    return NULL;
}

void *
channel_raise_closed(ChannelObject *self)
{
    if (self->retired != NULL)
        PyErr_Format(self->state->worker_died, "this process of %U has been replaced", self->title);
    else
        PyErr_Format(self->state->ringbridge_error,
                     "%U is closed: by close(), or since nothing held the %s any more", self->title,
                     self->served ? "Connection" : "Worker");
    return NULL;
}

void *
core_raise(core_state *state, rbr_status status, const rbr_error *err, const char *doing)
{
    switch (status) {
    case RBR_NO_MEMORY:
        return raise_text(PyExc_MemoryError, err, "out of memory");
    case RBR_SYSTEM:
        if (err != NULL)
            return raise_system(err);
        PyErr_SetString(PyExc_OSError, doing);
        return NULL;
    case RBR_AGAIN:
        return raise_text(state->busy, err, doing);
    case RBR_FORKED:
        return raise_text(state->ringbridge_error, err,
                          "a forked child cannot use its parent's worker");
    default:
        return raise_text(state->protocol_error, err, "the other process broke the protocol");
    }
}

void *
channel_raise(ChannelObject *self, rbr_status status, const rbr_error *err, const char *doing)
{
    core_state *state = self->state;
    const char *what = doing != NULL ? doing : "the call";
    rbr_error final = {.status = RBR_OK};

    if (PyErr_Occurred()) /* a signal's handler has raised */
        return NULL;
    if (err == NULL && self->channel != NULL && rbr_channel_state(self->channel, &final) != RBR_OK)
        err = &final;
    switch (status) {
    case RBR_DEAD:
        return raise_died(self, err != NULL ? err->text : "the worker has ended", doing);
    case RBR_CLOSED:
        if (self->retired != NULL)
            return channel_raise_closed(self);
        PyErr_Format(state->ringbridge_error, "%U is closed; the call was %s", self->title, what);
        break;
    case RBR_TIMED_OUT:
        PyErr_Format(state->call_timeout, "%s did not finish within its timeout (%U)", what,
                     self->title);
        break;
    case RBR_ARENA_FULL:
        return raise_text(state->arena_full, err, "the arena is full");
    case RBR_REFUSED:
        return raise_text(state->worker_start_failed, err, "refused");
    case RBR_TOO_BIG:
        PyErr_Format(state->cannot_cross, "%s: %s", what,
                     err != NULL ? err->text : "the message is too large");
        break;
    default:
        return core_raise(state, status, err, what);
    }
    return NULL;
}

static PyObject *
text_or_empty(rbr_table table, uint32_t field)
{
    uint32_t size;
    const char *text = rbr_get_string(table, field, &size);

    return PyUnicode_DecodeUTF8(text != NULL ? text : "", text != NULL ? (Py_ssize_t)size : 0,
                                "backslashreplace");
}

void *
channel_raise_remote(ChannelObject *self, const rbr_message *message, rbr_table body)
{
    value_decoder decoder = {.state = self->state, .message = message, .pickle = self->pickle};
    const rbr_table value = rbr_get_table(body, RBR_ERROR__VALUE);
    PyObject *type = text_or_empty(body, RBR_ERROR__TYPE);
    PyObject *text = text_or_empty(body, RBR_ERROR__MESSAGE);
    PyObject *traceback = text_or_empty(body, RBR_ERROR__TRACEBACK);
    PyObject *arguments = NULL, *error = NULL;

    if (type == NULL || text == NULL || traceback == NULL)
        goto done;
    if (value.at != NULL)
        arguments = value_decode(&decoder, value);
    if (arguments == NULL) {
        if (PyErr_Occurred() &&
            (PyErr_ExceptionMatches(PyExc_MemoryError) || !PyErr_ExceptionMatches(PyExc_Exception)))
            goto done; /* KeyboardInterrupt: not ours to drop */
        PyErr_Clear(); /* the message will do */
        arguments = Py_NewRef(Py_None);
    }
    error = PyObject_CallFunction(self->state->error_from_wire, "iOOOO",
                                  (int)rbr_get_u16(body, RBR_ERROR__CODE, 0), type, text, traceback,
                                  arguments);
    if (error != NULL && PyExceptionInstance_Check(error))
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    else if (!PyErr_Occurred())
        PyErr_SetString(self->state->protocol_error, "the remote error could not be rebuilt");
done:
    Py_XDECREF(type);
    Py_XDECREF(text);
    Py_XDECREF(traceback);
    Py_XDECREF(arguments);
    Py_XDECREF(error);
    return NULL;
}
