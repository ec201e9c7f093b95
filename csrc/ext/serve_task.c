/* SPDX-License-Identifier: MIT */
/*
 * serve_task.c - what the code of a call tells the host while it runs, Progress and Log, and what it
 * may ask: which call runs, whether it is cancelled. The Python side is ringbridge/current.py.
 *
 * progress() is called in inner loops: no keyword is parsed here, nothing is allocated, and the core
 * sends but the newest value now and then. It never raises for the sake of the channel: a host that has
 * gone is no error of the code that runs.
 */
#include "serve.h"

#include <math.h>

/* Bytes of a log record's text, as of a line that a worker prints (output.py). */
#define LOG_TEXT_BYTES_MAX (64 << 10)

/* Whether the call has begun and not ended: it runs, or waits for a callback, or is a stream between
 * two items. What is told of another one is not sent. */
static bool
call_is_open(const server *loop, uint64_t id)
{
    const stream *each;
    PyObject *key;
    bool found;

    if (id == 0 || loop == NULL || loop->running == id)
        return id != 0 && loop != NULL;
    for (each = loop->streams; each != NULL; each = each->next)
        if (each->id == id)
            return true;
    key = PyLong_FromUnsignedLongLong(id);
    found = key != NULL && PySet_Contains(loop->calling, key) == 1;
    Py_XDECREF(key);
    PyErr_Clear();
    return found;
}

static rbr_channel *
channel_of(PyObject *object)
{
    const ChannelObject *self = (const ChannelObject *)object;

    return self->closing ? NULL : self->channel;
}

/* ----------------------------------------------------------------------------------- arguments */

/* 1: a number, 0: None, -1 with an exception. */
static int
number_of(PyObject *value, const char *name, double *out)
{
    if (value == Py_None)
        return 0;
    *out = Py_IS_TYPE(value, &PyLong_Type) ? PyLong_AsDouble(value) : PyFloat_AsDouble(value);
    if (*out != -1.0 || !PyErr_Occurred())
        return 1;
    if (PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyObject *kind;

        PyErr_Clear();
        kind = PyObject_GetAttrString((PyObject *)Py_TYPE(value), "__name__");
        if (kind != NULL)
            PyErr_Format(
                PyExc_TypeError,
                "progress(): %s must be a number or None, not %U; right are progress(3, 10), "
                "progress(3, 10, \"reading\") and progress(fraction=0.3)",
                name, kind);
        Py_XDECREF(kind);
    }
    return -1;
}

/* What can be counted; parts, and what is too large, are told by the fraction alone. */
static bool
is_count(double number)
{
    return number < 1.8e19 && (!(number > 0) || (double)(uint64_t)number == number);
}

/* 1: there are numbers, 0: none was given, -1 with an exception. */
static int
numbers_of(PyObject *const *args, rbr_progress *out)
{
    double done = 0, total = 0;
    const int has_done = number_of(args[0], "done", &done);
    const int has_total = has_done < 0 ? -1 : number_of(args[1], "total", &total);
    const int has_fraction = has_total < 0 ? -1 : number_of(args[2], "fraction", &out->fraction);

    if (has_fraction < 0)
        return -1;
    if (is_count(done) && is_count(total)) {
        out->done = done > 0 ? (uint64_t)done : 0;
        out->total = total > 0 ? (uint64_t)total : 0;
    }
    if (!has_fraction) /* of what was said: 0.5 of 0.8 too */
        out->fraction = total > 0 && total < HUGE_VAL ? (done > 0 ? done / total : 0) : -1;
    else if (out->fraction < 0)
        out->fraction = 0; /* clipped; for the core it would be unknown */
    return has_done | has_total | has_fraction;
}

/* The text's UTF-8; *made holds it where it had to be made (lone surrogates). -1 with an exception. */
static int
utf8_of(PyObject *text, const char **bytes, Py_ssize_t *size, PyObject **made)
{
    *bytes = PyUnicode_AsUTF8AndSize(text, size);
    if (*bytes != NULL)
        return 0;
    if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError))
        return -1;
    PyErr_Clear();
    *made = PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
    if (*made == NULL)
        return -1;
    *bytes = PyBytes_AsString(*made);
    *size = PyBytes_Size(*made);
    return 0;
}

static int
check_text(PyObject *text, const char *where)
{
    PyObject *kind;

    if (PyUnicode_Check(text))
        return 0;
    kind = PyObject_GetAttrString((PyObject *)Py_TYPE(text), "__name__");
    if (kind != NULL)
        PyErr_Format(PyExc_TypeError, "%s must be a str, not %U", where, kind);
    Py_XDECREF(kind);
    return -1;
}

/* ------------------------------------------------------------------------------------ progress */

PyObject *
serve_progress(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    const core_state *state = PyModule_GetState(module);
    rbr_progress numbers = {.fraction = -1};
    PyObject *made = NULL;
    const char *text = NULL;
    rbr_channel *channel;
    Py_ssize_t size = 0;
    int has_numbers;
    uint64_t id;

    if (count != 6 || (args[0] != Py_None && !Py_IS_TYPE(args[0], state->channel_type))) {
        PyErr_SetString(PyExc_TypeError,
                        "progress(channel: Channel | None, call_id, done, total, fraction, text)");
        return NULL;
    }
    has_numbers = numbers_of(args + 2, &numbers);
    if (has_numbers < 0 || (args[5] != Py_None && check_text(args[5], "progress(): text") < 0))
        return NULL;
    id = PyLong_AsUnsignedLongLong(args[1]);
    if (PyErr_Occurred())
        return NULL;
    channel = args[0] == Py_None ? NULL : channel_of(args[0]);
    if (channel == NULL || !call_is_open(((ChannelObject *)args[0])->server, id))
        Py_RETURN_FALSE;
    if (rbr_channel_cancelled(channel, id))
        Py_RETURN_TRUE;
    if (args[5] != Py_None && utf8_of(args[5], &text, &size, &made) < 0)
        return NULL;
    rbr_channel_progress(channel, id, has_numbers ? &numbers : NULL, text, (size_t)size);
    Py_XDECREF(made);
    Py_RETURN_FALSE;
}

/* ----------------------------------------------------------------------------------------- log */

static int
encode_text(value_encoder *encoder, uint32_t slot, PyObject *text)
{
    PyObject *made = NULL;
    const char *bytes;
    Py_ssize_t size;
    uint32_t at;

    if (utf8_of(text, &bytes, &size, &made) < 0)
        return -1;
    at = rbr_build_string(&encoder->build, slot, bytes,
                          rbr_string_cut(bytes, (size_t)size, LOG_TEXT_BYTES_MAX));
    Py_XDECREF(made);
    if (at == 0)
        PyErr_NoMemory();
    return at == 0 ? -1 : 0;
}

/* -1 with an exception. */
static int
encode_log(value_encoder *encoder, uint64_t id, uint8_t level, PyObject *logger, PyObject *text)
{
    const uint32_t root = rbr_build_table(&encoder->build, 0, &rbr_shape_frame);
    rbr_shape shape;
    uint32_t table;

    rbr_shape_make(&shape, &rbr_desc_log,
                   RBR_BIT(RBR_LOG__STREAM) | RBR_BIT(RBR_LOG__LEVEL) |
                       RBR_BIT(RBR_LOG__T_MONO_NS) | RBR_BIT(RBR_LOG__LOGGER) |
                       RBR_BIT(RBR_LOG__TEXT));
    rbr_build_u64(&encoder->build, root, &rbr_shape_frame, RBR_FRAME__ID, id);
    rbr_build_u8(&encoder->build, root, &rbr_shape_frame, RBR_FRAME__BODY_TYPE, RBR_BODY_LOG);
    table = rbr_build_table_once(&encoder->build,
                                 rbr_build_slot(root, &rbr_shape_frame, RBR_FRAME__BODY), &shape);
    if (table == 0) {
        PyErr_NoMemory();
        return -1;
    }
    rbr_build_u8(&encoder->build, table, &shape, RBR_LOG__LEVEL, level);
    rbr_build_u64(&encoder->build, table, &shape, RBR_LOG__T_MONO_NS, rbr_now_ns());
    if (encode_text(encoder, rbr_build_slot(table, &shape, RBR_LOG__LOGGER), logger) < 0)
        return -1;
    return encode_text(encoder, rbr_build_slot(table, &shape, RBR_LOG__TEXT), text);
}

/* Waits for room without the GIL. -1 with an exception. */
static int
send_log(ChannelObject *channel, uint64_t id, uint8_t level, PyObject *logger, PyObject *text)
{
    value_encoder encoder;
    uint32_t size;
    int status;

    if (value_encoder_start(&encoder, channel, RBR_FOREVER) < 0)
        return -1;
    status = encode_log(&encoder, id, level, logger, text);
    if (status == 0) {
        size = rbr_build_finish(&encoder.build);
        status = -1;
        if (size == 0)
            PyErr_NoMemory();
        else if (!channel->served)
            status = channel_send(channel, &encoder, size, RBR_FOREVER, "sending a log record");
        else if (rbr_channel_flush(channel->channel)) /* a client that does not read misses it */
            status = 0;
        else
            status = channel_post(channel, &encoder, size, 0, 0, "sending a log record");
    }
    value_encoder_stop(&encoder);
    return status;
}

PyObject *
serve_log(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    const core_state *state = PyModule_GetState(module);
    ChannelObject *channel;
    uint64_t id;
    long level;

    if (count != 5 || !Py_IS_TYPE(args[0], state->channel_type)) {
        PyErr_SetString(PyExc_TypeError, "log(channel: Channel, call_id, level, logger, text)");
        return NULL;
    }
    id = PyLong_AsUnsignedLongLong(args[1]);
    level = PyErr_Occurred() ? -1 : PyLong_AsLong(args[2]);
    if (PyErr_Occurred() || check_text(args[3], "log(): logger") < 0 ||
        check_text(args[4], "log(): text") < 0)
        return NULL;
    channel = (ChannelObject *)args[0];
    if (channel_of(args[0]) == NULL || !call_is_open(channel->server, id) ||
        channel_enter(channel) == NULL)
        return PyErr_Occurred() ? NULL : PyBool_FromLong(0);
    if (send_log(channel, id,
                 (uint8_t)(level < 0     ? 0
                           : level > 255 ? 255
                                         : level),
                 args[3], args[4]) < 0 &&
        rbr_channel_state(channel->channel, NULL) != RBR_OK)
        PyErr_Clear(); /* nobody is there to read it */
    channel_leave(channel);
    return PyErr_Occurred() ? NULL : PyBool_FromLong(1);
}

/* ------------------------------------------------------------------------------- what it may ask */

PyObject *
serve_current_call(PyObject *module, PyObject *unused)
{
    const server *here = serve_here(PyModule_GetState(module));

    (void)unused;
    return PyLong_FromUnsignedLongLong(here != NULL ? here->running : 0);
}

PyObject *
serve_current_channel(PyObject *module, PyObject *unused)
{
    const server *here = serve_here(PyModule_GetState(module));

    (void)unused;
    return Py_NewRef(here != NULL && here->running != 0 ? (PyObject *)here->channel : Py_None);
}

PyObject *
serve_interrupt_heard(PyObject *module, PyObject *unused)
{
    const core_state *state = PyModule_GetState(module);

    (void)unused;
    if (state->server != NULL && state->server->channel->channel != NULL)
        rbr_channel_interrupt_heard(state->server->channel->channel);
    Py_RETURN_NONE;
}

PyObject *
serve_cancelled(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    core_state *state = PyModule_GetState(module);
    unsigned long long id;

    if (count != 2 || !Py_IS_TYPE(args[0], state->channel_type)) {
        PyErr_SetString(PyExc_TypeError, "cancelled(channel: Channel, call_id: int)");
        return NULL;
    }
    id = PyLong_AsUnsignedLongLong(args[1]);
    if (PyErr_Occurred())
        return NULL;
    return PyLong_FromLong(((ChannelObject *)args[0])->channel != NULL
                               ? rbr_channel_cancelled(((ChannelObject *)args[0])->channel, id)
                               : 0);
}
