/* SPDX-License-Identifier: MIT */
/*
 * event.c - what comes for a call of ours before, and as, its answer.
 *
 * A callback is answered whatever happens: the other side waits for it. What it raises goes there,
 * and comes back as the call's error unless the code over there catches it. Only what is no Exception
 * (Ctrl-C, SystemExit) is raised here as well, since it is meant for this process.
 */
#include "ext.h"

bool
event_is_answer(const rbr_message *message)
{
    uint8_t type;

    rbr_message_body(message, &type);
    return type == RBR_BODY_RESULT || type == RBR_BODY_ERROR || type == RBR_BODY_LOADED;
}

/* ------------------------------------------------------------------------------------- decoding */

static PyObject *
decode_text(rbr_table table, uint32_t field)
{
    uint32_t size;
    const char *text = rbr_get_string(table, field, &size);

    if (text == NULL)
        Py_RETURN_NONE;
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)size, "backslashreplace");
}

static PyObject *
decode_kwargs(value_decoder *decoder, const uint8_t *first, uint32_t count)
{
    PyObject *kwargs = PyDict_New();
    uint32_t i;

    for (i = 0; kwargs != NULL && i < count; i++) {
        const rbr_table pair = rbr_vector_table(first, i);
        uint32_t size;
        const char *key = rbr_get_string(pair, RBR_KEY_VAL__K, &size);
        PyObject *name = PyUnicode_DecodeUTF8(key, (Py_ssize_t)size, NULL);
        PyObject *value = name != NULL ? value_decode_field(decoder, pair, RBR_KEY_VAL__V) : NULL;

        if (name != NULL && value == NULL)
            value_decode_place(decoder, "kwargs", name, -1);
        if (value == NULL || PyDict_SetItem(kwargs, name, value) < 0)
            Py_CLEAR(kwargs);
        Py_XDECREF(name);
        Py_XDECREF(value);
    }
    return kwargs;
}

PyObject *
event_decode_arguments(value_decoder *decoder, rbr_table body, uint32_t args_field,
                       uint32_t kwargs_field)
{
    uint32_t positional, keywords, i;
    const uint8_t *first = rbr_get_vector(body, args_field, &positional);
    const uint8_t *pairs = rbr_get_vector(body, kwargs_field, &keywords);
    PyObject *args = PyTuple_New((Py_ssize_t)positional);
    PyObject *kwargs = NULL, *both;

    for (i = 0; args != NULL && i < positional; i++) {
        PyObject *value = value_decode(decoder, rbr_vector_table(first, i));

        if (value == NULL) {
            value_decode_place(decoder, "args", NULL, i);
            Py_CLEAR(args);
        } else {
            PyTuple_SetItem(args, (Py_ssize_t)i, value);
        }
    }
    if (args != NULL)
        kwargs = keywords > 0 ? decode_kwargs(decoder, pairs, keywords) : Py_NewRef(Py_None);
    both = kwargs != NULL ? PyTuple_Pack(2, args, kwargs) : NULL;
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    return both;
}

static PyObject *
remote_exception(ChannelObject *channel, const rbr_message *message, rbr_table body)
{
    channel_raise_remote(channel, message, body);
    return PyErr_GetRaisedException();
}

static PyObject *
decode_end(ChannelObject *channel, const rbr_message *message, rbr_table body)
{
    const rbr_table error = rbr_get_table(body, RBR_STREAM_END__ERROR);

    if (error.at == NULL)
        Py_RETURN_NONE;
    return remote_exception(channel, message, error);
}

static PyObject *
decode_callback(value_decoder *decoder, rbr_table body, PyObject *callbacks)
{
    const uint64_t index = rbr_get_u64(body, RBR_CALLBACK__ID, 0);
    PyObject *callable = Py_None, *both, *event = NULL;

    if (callbacks != NULL && index < (uint64_t)PyList_Size(callbacks))
        callable = PyList_GetItem(callbacks, (Py_ssize_t)index);
    Py_INCREF(callable);
    both = event_decode_arguments(decoder, body, RBR_CALLBACK__ARGS, RBR_CALLBACK__KWARGS);
    if (both != NULL)
        event = Py_BuildValue("KOOO", (unsigned long long)rbr_message_id(decoder->message),
                              callable, PyTuple_GetItem(both, 0), PyTuple_GetItem(both, 1));
    Py_XDECREF(both);
    Py_DECREF(callable);
    return event;
}

/* The worker has let go of a callback before its call ended. */
static void
release_callbacks(rbr_table body, PyObject *callbacks)
{
    uint32_t count, i;
    const uint8_t *first = rbr_get_vector(body, RBR_RELEASE__HANDLES, &count);

    for (i = 0; callbacks != NULL && i < count; i++) {
        uint64_t index;

        memcpy(&index, first + 8 * (size_t)i, sizeof index);
        if (index < (uint64_t)PyList_Size(callbacks))
            PyList_SetItem(callbacks, (Py_ssize_t)index, Py_NewRef(Py_None));
    }
}

/* An item, or the word that there is a newer one. */
static PyObject *
decode_item(value_decoder *decoder, rbr_table body, const event_call *call, enum event_kind *kind)
{
    PyObject *payload;

    *kind = EVENT_ITEM;
    if (call->latest != NULL && call->latest->block != NULL) {
        *kind = EVENT_NEWER;
        return Py_NewRef(Py_None);
    }
    payload = value_decode_field(decoder, body, RBR_STREAM_ITEM__VALUE);
    if (payload == NULL)
        value_decode_place(decoder, "item", NULL, -1);
    return payload;
}

/* The payload; *kind as it is, or NOTHING. */
static PyObject *
decode_payload(value_decoder *decoder, rbr_table body, uint8_t type, const event_call *call,
               enum event_kind *kind)
{
    ChannelObject *channel = decoder->channel;
    PyObject *text, *logger, *payload;

    switch (type) {
    case RBR_BODY_RESULT:
        *kind = EVENT_RESULT;
        payload = value_decode_field(decoder, body, RBR_RESULT__VALUE);
        if (payload == NULL)
            value_decode_place(decoder, "result", NULL, -1);
        return payload;
    case RBR_BODY_ERROR:
        *kind = EVENT_ERROR;
        return remote_exception(channel, decoder->message, body);
    case RBR_BODY_STREAM_ITEM:
        return decode_item(decoder, body, call, kind);
    case RBR_BODY_STREAM_END:
        *kind = EVENT_END;
        return decode_end(channel, decoder->message, body);
    case RBR_BODY_CALLBACK:
        *kind = EVENT_CALLBACK;
        return decode_callback(decoder, body, call->callbacks);
    case RBR_BODY_PROGRESS:
        *kind = EVENT_PROGRESS;
        text = decode_text(body, RBR_PROGRESS__MESSAGE);
        return text == NULL ? NULL
                            : Py_BuildValue("fKKN", rbr_get_f32(body, RBR_PROGRESS__FRACTION, -1),
                                            rbr_get_u64(body, RBR_PROGRESS__DONE, 0),
                                            rbr_get_u64(body, RBR_PROGRESS__TOTAL, 0), text);
    case RBR_BODY_LOG:
        *kind = EVENT_LOG;
        text = decode_text(body, RBR_LOG__TEXT);
        logger = text != NULL ? decode_text(body, RBR_LOG__LOGGER) : NULL;
        if (logger == NULL)
            Py_CLEAR(text);
        return text == NULL
                   ? NULL
                   : Py_BuildValue("iNN", (int)rbr_get_u8(body, RBR_LOG__LEVEL, 0), logger, text);
    case RBR_BODY_RELEASE:
        release_callbacks(body, call->callbacks);
        break;
    case RBR_BODY_OPEN_LATEST:
        *kind = EVENT_END;
        if (call->latest == NULL || !latest_view_open(call->latest, decoder->message, body))
            return value_bad(decoder, "a latest-value buffer that is none");
        break;
    default:
        break; /* of a newer peer */
    }
    *kind = EVENT_NOTHING;
    return Py_NewRef(Py_None);
}

PyObject *
event_of_exception(enum event_kind kind)
{
    return Py_BuildValue("iN", (int)kind, PyErr_GetRaisedException());
}

/* What came cannot be decoded: what its call hears instead. */
static PyObject *
event_of_failure(ChannelObject *channel, const rbr_message *message, uint64_t parent,
                 enum event_kind kind)
{
    if (kind == EVENT_CALLBACK) { /* its arguments cannot be had: its caller hears why */
        serve_answer_error(channel, rbr_message_id(message));
        return PyErr_Occurred() ? NULL : Py_BuildValue("iO", (int)EVENT_NOTHING, Py_None);
    }
    if (kind != EVENT_ITEM && kind != EVENT_END)
        return event_of_exception(EVENT_ERROR);
    small_frame_close(channel, rbr_message_id(message), parent);
    return event_of_exception(EVENT_END);
}

PyObject *
event_decode(ChannelObject *channel, const rbr_message *message, const event_call *call)
{
    PyObject *handles = NULL, *event = NULL, *payload;
    value_decoder decoder = {.state = channel->state,
                             .channel = channel,
                             .message = message,
                             .copy = call->copy,
                             .pickle = channel->pickle,
                             .handles = &handles};
    enum event_kind kind = EVENT_NOTHING;
    uint8_t type;
    const rbr_table body = rbr_message_body(message, &type);

    payload = decode_payload(&decoder, body, type, call, &kind);
    if (payload != NULL)
        event = Py_BuildValue("iN", (int)kind, payload);
    if (payload != NULL && event != NULL && decoder.last_handle > *call->last_handle)
        *call->last_handle = decoder.last_handle;
    if (payload == NULL && (call->again || PyErr_ExceptionMatches(PyExc_Exception)))
        event = event_of_failure(channel, message, call->parent, kind);
    if (event == NULL)
        handles_disown(handles);
    Py_XDECREF(handles);
    return event;
}

/* ------------------------------------------------------------------------------------- answering */

/* Sends the exception that is set to the other side. -1: it is raised here, too. */
static int
answer_raised(ChannelObject *channel, uint64_t request)
{
    const bool ours = !PyErr_ExceptionMatches(PyExc_Exception);
    PyObject *type, *value, *traceback;

    PyErr_Fetch(&type, &value, &traceback);
    if (ours) {
        Py_XINCREF(type);
        Py_XINCREF(value);
        Py_XINCREF(traceback);
    }
    PyErr_Restore(type, value, traceback);
    if (serve_answer_error(channel, request) < 0 && !ours) {
        if (!PyErr_ExceptionMatches(PyExc_Exception))
            return -1;
        PyErr_Clear(); /* the channel has ended: the wait that follows says so */
    }
    if (!ours)
        return 0;
    PyErr_Clear();
    PyErr_Restore(type, value, traceback);
    return -1;
}

static int
run_callback(ChannelObject *channel, uint64_t call, uint64_t request, PyObject *callable,
             PyObject *args, PyObject *kwargs)
{
    call_context context;
    PyObject *result = NULL;

    if (callable == Py_None) {
        PyErr_SetString(channel->state->ringbridge_error,
                        "the call that this callback came with has ended, or it was released");
    } else {
        call_context_push(&context, channel, call);
        result = PyObject_Call(callable, args, kwargs != Py_None ? kwargs : NULL);
        call_context_pop(&context);
    }
    if (result != NULL && serve_answer_result(channel, request, result) == 0) {
        Py_DECREF(result);
        return 0;
    }
    Py_XDECREF(result);
    return answer_raised(channel, request);
}

PyObject *
event_run_callback(PyObject *module, PyObject *args)
{
    core_state *state = PyModule_GetState(module);
    PyObject *callable, *call_args, *call_kwargs;
    unsigned long long call, request;
    ChannelObject *channel;
    int result;

    if (!PyArg_ParseTuple(args, "O!KKOOO:run_callback", state->channel_type, &channel, &call,
                          &request, &callable, &call_args, &call_kwargs) ||
        channel_enter(channel) == NULL)
        return NULL;
    result = run_callback(channel, call, request, callable, call_args, call_kwargs);
    channel_leave(channel);
    if (result < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* What an executor was asked to run is done. asked: (channel, request). */
static PyObject *
on_executor_done(PyObject *asked, PyObject *future)
{
    ChannelObject *channel = (ChannelObject *)PyTuple_GetItem(asked, 0);
    const uint64_t request = PyLong_AsUnsignedLongLong(PyTuple_GetItem(asked, 1));
    PyObject *cancelled = PyObject_CallMethod(future, "cancelled", NULL);
    const int never_ran = cancelled != NULL ? PyObject_IsTrue(cancelled) : -1;

    Py_XDECREF(cancelled);
    if (never_ran < 0)
        return NULL;
    if (never_ran && channel_enter(channel) != NULL) {
        PyErr_SetString(PyExc_RuntimeError,
                        "its executor cancelled this callback before it ran: was it shut down?");
        serve_answer_error(channel, request);
        channel_leave(channel);
    }
    PyErr_Clear(); /* the channel has ended: nobody waits for it */
    Py_RETURN_NONE;
}

/* Where the executor gives a future. -1 with an exception that is for this process. */
static int
watch_executor(const event_hand *self, uint64_t request, PyObject *future)
{
    static PyMethodDef method = {"on_executor_done", on_executor_done, METH_O, NULL};
    PyObject *asked = Py_BuildValue("OK", (PyObject *)self->channel, (unsigned long long)request);
    PyObject *call = asked != NULL ? PyCFunction_NewEx(&method, asked, NULL) : NULL;
    PyObject *done = call != NULL ? PyObject_CallMethod(future, "add_done_callback", "O", call)
                                  : NULL;

    Py_XDECREF(asked);
    Py_XDECREF(call);
    Py_XDECREF(done);
    if (done == NULL && !PyErr_ExceptionMatches(PyExc_Exception))
        return -1;
    PyErr_Clear(); /* what submit() gave is no future */
    return 0;
}

/* payload: as event_decode gives it. */
static int
on_callback(const event_hand *self, PyObject *payload)
{
    PyObject *run, *submitted, *callable, *args, *kwargs;
    unsigned long long request;
    int result;

    if (!PyArg_ParseTuple(payload, "KOOO", &request, &callable, &args, &kwargs))
        return -1;
    if (self->callbacks_on == Py_None)
        return run_callback(self->channel, self->call, request, callable, args, kwargs);
    run = foreign_function(self->channel->state, FOREIGN_CORE, "run_callback");
    if (run == NULL)
        return -1;
    submitted = PyObject_CallMethod(self->callbacks_on, "submit", "OOKKOOO", run,
                                    (PyObject *)self->channel, (unsigned long long)self->call,
                                    request, callable, args, kwargs);
    Py_DECREF(run);
    if (submitted == NULL) /* the executor takes nothing any more: the other side hears why */
        return answer_raised(self->channel, request);
    result = watch_executor(self, request, submitted);
    Py_DECREF(submitted);
    return result;
}

static int
on_log(const event_hand *self, PyObject *payload)
{
    PyObject *hear = foreign_function(self->channel->state, FOREIGN_OUTPUT, "hear");
    PyObject *done = NULL;

    if (hear != NULL)
        done = PyObject_CallFunctionObjArgs(hear, self->channel->name, payload, NULL);
    Py_XDECREF(hear);
    Py_XDECREF(done);
    if (done == NULL && !PyErr_ExceptionMatches(PyExc_Exception))
        return -1;
    PyErr_Clear(); /* a log handler's trouble is not the call's */
    return 0;
}

int
event_handle(const event_hand *self, const rbr_message *message)
{
    const event_call call = {.callbacks = self->callbacks, .last_handle = self->last_handle};
    PyObject *event = event_decode(self->channel, message, &call);
    int result = 0;

    if (event == NULL)
        return -1;
    switch (PyLong_AsLong(PyTuple_GetItem(event, 0))) {
    case EVENT_CALLBACK:
        result = on_callback(self, PyTuple_GetItem(event, 1));
        break;
    case EVENT_LOG:
        result = on_log(self, PyTuple_GetItem(event, 1));
        break;
    default:
        break; /* progress: nobody has asked for it */
    }
    Py_DECREF(event);
    return result;
}
