/* SPDX-License-Identifier: MIT */
/*
 * serve_loop.c - serve(): the worker's loop, on its main thread.
 *
 *   receive -> decode -> call -> encode -> send, one call after another
 *
 * Whatever a call does, its caller gets an answer and the loop goes on: exceptions of every kind,
 * sys.exit and results that cannot cross become Error frames. A forked child that comes back from
 * user code ends here, because the rings are its parent's.
 */
#include "ext.h"

#include <signal.h>
#include <unistd.h>

typedef struct server {
    ChannelObject *channel;
    PyObject *functions; /* list, by function id */
    PyObject *load;
} server;

/* --------------------------------------------------------------------------------------- answers */

static uint32_t
start_answer(value_encoder *encoder, uint64_t id, uint8_t body, uint32_t *slot)
{
    const uint32_t root = rbr_build_table(&encoder->build, 0, &rbr_shape_frame);

    rbr_build_u64(&encoder->build, root, &rbr_shape_frame, RBR_FRAME__ID, id);
    rbr_build_u8(&encoder->build, root, &rbr_shape_frame, RBR_FRAME__BODY_TYPE, body);
    *slot = rbr_build_slot(root, &rbr_shape_frame, RBR_FRAME__BODY);
    return root;
}

static int
send_answer(server *self, value_encoder *encoder)
{
    const uint32_t size = rbr_build_finish(&encoder->build);

    if (size == 0) {
        PyErr_NoMemory();
        return -1;
    }
    return channel_send(self->channel, encoder, size, RBR_FOREVER, "sending a result");
}

static int
build_text(value_encoder *encoder, uint32_t slot, PyObject *text)
{
    Py_ssize_t size = 0;
    const char *bytes = PyUnicode_Check(text) ? PyUnicode_AsUTF8AndSize(text, &size) : "";

    if (bytes == NULL)
        return -1;
    return rbr_build_string(&encoder->build, slot, bytes, (uint32_t)size) == 0 ? -1 : 0;
}

/* described: what errors.to_wire says: (code, type, message, traceback, args). */
static int
encode_error(value_encoder *encoder, uint64_t id, PyObject *described, bool with_args)
{
    const uint32_t texts[] = {RBR_ERROR__TYPE, RBR_ERROR__MESSAGE, RBR_ERROR__TRACEBACK};
    const value_path path = {.root = "exception.args", .index = -1};
    PyObject *args = PyTuple_GetItem(described, 4);
    rbr_shape shape;
    uint32_t slot, error;
    int i;

    with_args = with_args && args != Py_None;
    start_answer(encoder, id, RBR_BODY_ERROR, &slot);
    rbr_shape_make(&shape, &rbr_desc_error,
                   RBR_BIT(RBR_ERROR__CODE) | RBR_BIT(RBR_ERROR__TYPE) |
                       RBR_BIT(RBR_ERROR__MESSAGE) | RBR_BIT(RBR_ERROR__TRACEBACK) |
                       (with_args ? RBR_BIT(RBR_ERROR__VALUE) : 0));
    error = rbr_build_table_once(&encoder->build, slot, &shape);
    rbr_build_u16(&encoder->build, error, &shape, RBR_ERROR__CODE,
                  (uint16_t)PyLong_AsLong(PyTuple_GetItem(described, 0)));
    for (i = 0; i < 3; i++)
        if (build_text(encoder, rbr_build_slot(error, &shape, texts[i]),
                       PyTuple_GetItem(described, i + 1)) < 0)
            return -1;
    return with_args ? value_encode(encoder, args, rbr_build_slot(error, &shape, RBR_ERROR__VALUE),
                                    &path)
                     : 0;
}

static int
try_send_error(server *self, uint64_t id, PyObject *described, bool with_args)
{
    value_encoder encoder;
    int result;

    if (value_encoder_start(&encoder, self->channel) < 0)
        return -1;
    result = encode_error(&encoder, id, described, with_args);
    if (result == 0)
        result = send_answer(self, &encoder);
    value_encoder_stop(&encoder);
    return result;
}

/* Takes the current exception, normalised and with its traceback. */
static PyObject *
fetch_exception(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback;

    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (value != NULL && traceback != NULL)
        PyException_SetTraceback(value, traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
#endif
}

/* Answers with the current exception. 0: sent; -1: the channel is of no more use. */
static int
answer_error(server *self, uint64_t id)
{
    PyObject *exception = fetch_exception();
    PyObject *described =
        PyObject_CallFunctionObjArgs(self->channel->state->error_to_wire, exception, NULL);
    int result = -1;

    Py_XDECREF(exception);
    if (described != NULL && PyTuple_Check(described) && PyTuple_Size(described) == 5) {
        result = try_send_error(self, id, described, true);
        if (result < 0) { /* its arguments cannot cross: the message will do */
            PyErr_Clear();
            result = try_send_error(self, id, described, false);
        }
    }
    Py_XDECREF(described);
    return result;
}

static int
answer_result(server *self, uint64_t id, PyObject *value)
{
    const value_path path = {.root = "result", .index = -1};
    value_encoder encoder;
    uint32_t slot, result;
    int status = -1;

    if (value_encoder_start(&encoder, self->channel) < 0)
        return -1;
    start_answer(&encoder, id, RBR_BODY_RESULT, &slot);
    result = rbr_build_table(&encoder.build, slot, &rbr_shape_result);
    if (value_encode(&encoder, value,
                     rbr_build_slot(result, &rbr_shape_result, RBR_RESULT__VALUE), &path) == 0)
        status = send_answer(self, &encoder);
    value_encoder_stop(&encoder);
    return status;
}

/* ----------------------------------------------------------------------------------------- calls */

/* The arguments of a Call: positional ones, then keyword values; *names: tuple or NULL. */
typedef struct arguments {
    PyObject **values;
    PyObject *few[9];
    uint32_t positional, count;
    PyObject *names;
} arguments;

static void
arguments_clear(arguments *self)
{
    uint32_t i;

    for (i = 0; i < self->count; i++)
        Py_DECREF(self->values[i]);
    if (self->values != self->few)
        PyMem_Free(self->values);
    Py_XDECREF(self->names);
}

static int
decode_keyword(value_decoder *decoder, arguments *self, rbr_table pair, uint32_t index)
{
    uint32_t size;
    const char *key = rbr_get_string(pair, RBR_KEY_VAL__K, &size);
    PyObject *name = PyUnicode_DecodeUTF8(key, (Py_ssize_t)size, NULL);
    PyObject *value;

    if (name == NULL)
        return -1;
    PyTuple_SetItem(self->names, (Py_ssize_t)index, name);
    value = value_decode_field(decoder, pair, RBR_KEY_VAL__V);
    if (value == NULL)
        return -1;
    self->values[self->count++] = value;
    return 0;
}

static int
decode_arguments(value_decoder *decoder, rbr_table call, arguments *self)
{
    uint32_t keywords, i;
    const uint8_t *args = rbr_get_vector(call, RBR_CALL__ARGS, &self->positional);
    const uint8_t *kwargs = rbr_get_vector(call, RBR_CALL__KWARGS, &keywords);

    self->count = 0;
    self->names = NULL;
    self->values = self->few;
    if (self->positional + keywords > sizeof self->few / sizeof *self->few)
        self->values = PyMem_Malloc((size_t)(self->positional + keywords) * sizeof *self->values);
    if (self->values == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (i = 0; i < self->positional; i++) {
        PyObject *value = value_decode(decoder, rbr_vector_table(args, i));

        if (value == NULL)
            return -1;
        self->values[self->count++] = value;
    }
    if (keywords > 0 && (self->names = PyTuple_New((Py_ssize_t)keywords)) == NULL)
        return -1;
    for (i = 0; i < keywords; i++)
        if (decode_keyword(decoder, self, rbr_vector_table(kwargs, i), i) < 0)
            return -1;
    return 0;
}

static PyObject *
call_function(PyObject *function, const arguments *with)
{
#ifndef Py_LIMITED_API
    return PyObject_Vectorcall(function, with->values, with->positional, with->names);
#else
    PyObject *args = PyTuple_New((Py_ssize_t)with->positional);
    PyObject *kwargs = with->names != NULL ? PyDict_New() : NULL;
    PyObject *result = NULL;
    uint32_t i;

    for (i = 0; args != NULL && i < with->positional; i++)
        PyTuple_SetItem(args, (Py_ssize_t)i, Py_NewRef(with->values[i]));
    for (; kwargs != NULL && i < with->count; i++)
        PyDict_SetItem(kwargs, PyTuple_GetItem(with->names, (Py_ssize_t)(i - with->positional)),
                       with->values[i]);
    if (args != NULL && (with->names == NULL || kwargs != NULL))
        result = PyObject_Call(function, args, kwargs);
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    return result;
#endif
}

static PyObject *
run_call(server *self, const rbr_message *message, rbr_table call)
{
    const uint32_t id = rbr_get_u32(call, RBR_CALL__FUNCTION, 0);
    value_decoder decoder = {.state = self->channel->state, .message = message};
    PyObject *function, *result = NULL;
    arguments with;

    if ((Py_ssize_t)id >= PyList_Size(self->functions)) {
        PyErr_Format(self->channel->state->protocol_error, "there is no function number %u", id);
        return NULL;
    }
    function = PyList_GetItem(self->functions, (Py_ssize_t)id);
    Py_INCREF(function); /* a reload may take it off the list while it runs */
    if (decode_arguments(&decoder, call, &with) == 0)
        result = call_function(function, &with);
    arguments_clear(&with);
    Py_DECREF(function);
    return result;
}

/* Marks the call as running for the watcher and for the SIGINT handler. From the moment it is
 * cleared, right after the user's function, no cancel can hit the next one. */
static void
set_running(server *self, uint64_t id)
{
    self->channel->state->running_call = id;
    rbr_channel_set_running(self->channel->channel, id);
}

static int
on_call(server *self, const rbr_message *message, rbr_table call)
{
    const uint64_t id = rbr_message_id(message);
    PyObject *result;
    int status = -1;

    set_running(self, id);
    if (rbr_channel_cancelled(self->channel->channel, id))
        raise(SIGINT); /* cancelled before it began: its handler raises Cancelled */
    result = PyErr_CheckSignals() < 0 ? NULL : run_call(self, message, call);
    set_running(self, 0);
    if (result != NULL) {
        status = answer_result(self, id, result);
        Py_DECREF(result);
    }
    if (status < 0 && rbr_channel_state(self->channel->channel, NULL) == RBR_OK)
        status = answer_error(self, id);
    return status;
}

/* ---------------------------------------------------------------------------------------- loads */

static int
encode_function(value_encoder *encoder, uint32_t slot, PyObject *described)
{
    PyObject *name, *signature, *doc;
    unsigned int id;
    int kind;
    rbr_shape shape;
    uint32_t table;

    if (!PyArg_ParseTuple(described, "IOOOi", &id, &name, &signature, &doc, &kind))
        return -1;
    rbr_shape_make(&shape, &rbr_desc_function,
                   RBR_BIT(RBR_FUNCTION__ID) | RBR_BIT(RBR_FUNCTION__NAME) |
                       RBR_BIT(RBR_FUNCTION__KIND) |
                       (signature != Py_None ? RBR_BIT(RBR_FUNCTION__SIGNATURE) : 0) |
                       (doc != Py_None ? RBR_BIT(RBR_FUNCTION__DOC) : 0));
    table = rbr_build_table_once(&encoder->build, slot, &shape);
    rbr_build_u32(&encoder->build, table, &shape, RBR_FUNCTION__ID, id);
    rbr_build_u8(&encoder->build, table, &shape, RBR_FUNCTION__KIND, (uint8_t)kind);
    if (table == 0 ||
        build_text(encoder, rbr_build_slot(table, &shape, RBR_FUNCTION__NAME), name) < 0)
        return -1;
    if (signature != Py_None &&
        build_text(encoder, rbr_build_slot(table, &shape, RBR_FUNCTION__SIGNATURE), signature) < 0)
        return -1;
    return doc == Py_None
               ? 0
               : build_text(encoder, rbr_build_slot(table, &shape, RBR_FUNCTION__DOC), doc);
}

static int
encode_functions(value_encoder *encoder, uint32_t slot, PyObject *functions)
{
    const Py_ssize_t count = PyList_Size(functions);
    const uint32_t first = rbr_build_vector(&encoder->build, slot, (uint32_t)count, 4, 4);
    Py_ssize_t i;

    for (i = 0; i < count; i++)
        if (encode_function(encoder, first + 4 * (uint32_t)i, PyList_GetItem(functions, i)) < 0)
            return -1;
    return first == 0 ? -1 : 0;
}

static int
encode_values(value_encoder *encoder, uint32_t slot, PyObject *values)
{
    const uint32_t first =
        rbr_build_vector(&encoder->build, slot, (uint32_t)PyDict_Size(values), 4, 4);
    PyObject *key, *value;
    Py_ssize_t position = 0;
    uint32_t i;

    encoder->tables += (uint32_t)PyDict_Size(values);
    for (i = 0; PyDict_Next(values, &position, &key, &value); i++) {
        const value_path root = {.root = "module", .index = -1};
        const value_path path = {.parent = &root, .key = key, .index = -1};
        const uint32_t pair = rbr_build_table(&encoder->build, first + 4 * i, &rbr_shape_keyval);

        if (pair == 0 ||
            build_text(encoder, rbr_build_slot(pair, &rbr_shape_keyval, RBR_KEY_VAL__K), key) < 0 ||
            value_encode(encoder, value, rbr_build_slot(pair, &rbr_shape_keyval, RBR_KEY_VAL__V),
                         &path) < 0)
            return -1;
    }
    return first == 0 ? -1 : 0;
}

static int
encode_loaded(value_encoder *encoder, uint64_t id, PyObject *loaded)
{
    PyObject *functions, *values, *doc;
    unsigned int generation;
    rbr_shape shape;
    uint32_t slot, table;

    if (!PyTuple_Check(loaded) ||
        !PyArg_ParseTuple(loaded, "IO!O!O", &generation, &PyList_Type, &functions, &PyDict_Type,
                          &values, &doc))
        return -1;
    start_answer(encoder, id, RBR_BODY_LOADED, &slot);
    rbr_shape_make(&shape, &rbr_desc_loaded,
                   RBR_BIT(RBR_LOADED__GENERATION) | RBR_BIT(RBR_LOADED__FUNCTIONS) |
                       RBR_BIT(RBR_LOADED__VALUES) |
                       (doc != Py_None ? RBR_BIT(RBR_LOADED__DOC) : 0));
    table = rbr_build_table_once(&encoder->build, slot, &shape);
    rbr_build_u32(&encoder->build, table, &shape, RBR_LOADED__GENERATION, generation);
    if (encode_functions(encoder, rbr_build_slot(table, &shape, RBR_LOADED__FUNCTIONS),
                         functions) < 0 ||
        encode_values(encoder, rbr_build_slot(table, &shape, RBR_LOADED__VALUES), values) < 0)
        return -1;
    return doc == Py_None
               ? 0
               : build_text(encoder, rbr_build_slot(table, &shape, RBR_LOADED__DOC), doc);
}

static int
answer_loaded(server *self, uint64_t id, PyObject *loaded)
{
    value_encoder encoder;
    int status;

    if (value_encoder_start(&encoder, self->channel) < 0)
        return -1;
    status = encode_loaded(&encoder, id, loaded);
    if (status < 0 && !PyErr_Occurred())
        PyErr_NoMemory();
    if (status == 0)
        status = send_answer(self, &encoder);
    value_encoder_stop(&encoder);
    return status;
}

static int
on_load(server *self, const rbr_message *message, rbr_table body)
{
    const uint64_t id = rbr_message_id(message);
    uint32_t size;
    const char *name = rbr_get_string(body, RBR_LOAD__MODULE, &size);
    PyObject *loaded;
    int status = -1;

    set_running(self, id);
    loaded = PyObject_CallFunction(self->load, "s#O", name, (Py_ssize_t)size,
                                   rbr_get_u8(body, RBR_LOAD__RELOAD, 0) ? Py_True : Py_False);
    set_running(self, 0);
    if (loaded != NULL) {
        status = answer_loaded(self, id, loaded);
        Py_DECREF(loaded);
    }
    if (status < 0 && rbr_channel_state(self->channel->channel, NULL) == RBR_OK)
        status = answer_error(self, id);
    return status;
}

/* --------------------------------------------------------------------------------------- the loop */

/* The next request. NULL without an exception: the host is done with us. */
static rbr_message *
next_request(server *self)
{
    rbr_channel *channel = self->channel->channel;
    rbr_message *message = NULL;
    rbr_status status = rbr_channel_receive(channel, &message, GIL_SPIN_NS, 0);

    while (status == RBR_AGAIN || status == RBR_TIMED_OUT || status == RBR_INTERRUPTED) {
        Py_BEGIN_ALLOW_THREADS
        status = rbr_channel_receive(channel, &message, RBR_FOREVER, RBR_FOREVER);
        Py_END_ALLOW_THREADS
        if (PyErr_CheckSignals() < 0)
            break;
    }
    if (PyErr_Occurred()) {
        rbr_message_free(message);
        return NULL;
    }
    if (status == RBR_BROKEN)
        channel_raise(self->channel, status, NULL, "receiving");
    return status == RBR_OK ? message : NULL;
}

static int
on_request(server *self, const rbr_message *message)
{
    uint8_t type;
    const rbr_table body = rbr_message_body(message, &type);

    switch (type) {
    case RBR_BODY_CALL:
        return on_call(self, message, body);
    case RBR_BODY_LOAD:
        return on_load(self, message, body);
    default:
        PyErr_Format(self->channel->state->protocol_error,
                     "this worker does not know requests of kind %d", (int)type);
        return answer_error(self, rbr_message_id(message));
    }
}

PyObject *
serve_loop(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    core_state *state = PyModule_GetState(module);
    rbr_message *message;
    server self;

    if (count != 3 || !Py_IS_TYPE(args[0], state->channel_type) || !PyList_Check(args[1]) ||
        !PyCallable_Check(args[2])) {
        PyErr_SetString(PyExc_TypeError, "serve(channel: Channel, functions: list, load: callable)");
        return NULL;
    }
    self = (server){(ChannelObject *)args[0], args[1], args[2]};
    if (channel_enter(self.channel) == NULL)
        return NULL;
    rbr_channel_set_running(self.channel->channel, 0); /* this thread runs the calls */
    while ((message = next_request(&self)) != NULL) {
        const int status = on_request(&self, message);

        rbr_message_free(message);
        if (rbr_channel_state(self.channel->channel, NULL) == RBR_FORKED)
            _exit(PyErr_Occurred() ? 1 : 0); /* user code forked, and its child came back */
        if (status < 0)
            break;
    }
    channel_leave(self.channel);
    if (PyErr_Occurred() && rbr_channel_state(self.channel->channel, NULL) != RBR_DEAD)
        return NULL;
    PyErr_Clear();
    Py_RETURN_NONE;
}

PyObject *
serve_current_call(PyObject *module, PyObject *unused)
{
    const core_state *state = PyModule_GetState(module);

    (void)unused;
    return PyLong_FromUnsignedLongLong(state->running_call);
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
    return PyBool_FromLong(((ChannelObject *)args[0])->channel != NULL &&
                           rbr_channel_cancelled(((ChannelObject *)args[0])->channel, id));
}
