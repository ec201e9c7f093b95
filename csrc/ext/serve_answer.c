/* SPDX-License-Identifier: MIT */
/*
 * serve_answer.c - what is sent back: Result, Error, Loaded, StreamItem, StreamEnd.
 */
#include "serve.h"

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
send_answer(ChannelObject *channel, value_encoder *encoder, uint64_t id)
{
    const uint32_t size = rbr_build_finish(&encoder->build);
    int result;

    if (size == 0) {
        PyErr_NoMemory();
        return -1;
    }
    if (channel->host) /* to a callback: the worker waits, the host must not */
        return channel_post(channel, encoder, size, 0, RBR_FOREVER, "answering a callback");
    if (channel->served) /* a client that does not read must not keep the application's thread */
        result = channel_post(channel, encoder, size, 0, channel_answer_deadline(channel),
                              "sending a result");
    else
        result = channel_send(channel, encoder, size, RBR_FOREVER, "sending a result");
    if (result == 0)
        value_encoder_sent(encoder, id);
    return result;
}

/* The slot of the end's error; 0 where it has none. */
static uint32_t
start_end(value_encoder *encoder, const stream *from, bool error)
{
    rbr_shape shape;
    uint32_t slot, table;

    start_answer(encoder, from->id, RBR_BODY_STREAM_END, &slot);
    rbr_shape_make(&shape, &rbr_desc_stream_end,
                   RBR_BIT(RBR_STREAM_END__COUNT) | (error ? RBR_BIT(RBR_STREAM_END__ERROR) : 0));
    table = rbr_build_table_once(&encoder->build, slot, &shape);
    rbr_build_u64(&encoder->build, table, &shape, RBR_STREAM_END__COUNT, from->index);
    return error ? rbr_build_slot(table, &shape, RBR_STREAM_END__ERROR) : 0;
}

/* described: what errors.to_wire says: (code, type, message, traceback, args). */
static int
encode_error(value_encoder *encoder, uint32_t slot, PyObject *described, bool with_args)
{
    const uint32_t texts[] = {RBR_ERROR__TYPE, RBR_ERROR__MESSAGE, RBR_ERROR__TRACEBACK};
    const value_path path = {.root = "exception.args", .index = -1};
    PyObject *args = PyTuple_GetItem(described, 4);
    rbr_shape shape;
    uint32_t error;
    int i;

    with_args = with_args && args != Py_None;
    rbr_shape_make(&shape, &rbr_desc_error,
                   RBR_BIT(RBR_ERROR__CODE) | RBR_BIT(RBR_ERROR__TYPE) |
                       RBR_BIT(RBR_ERROR__MESSAGE) | RBR_BIT(RBR_ERROR__TRACEBACK) |
                       (with_args ? RBR_BIT(RBR_ERROR__VALUE) : 0));
    error = rbr_build_table_once(&encoder->build, slot, &shape);
    rbr_build_u16(&encoder->build, error, &shape, RBR_ERROR__CODE,
                  (uint16_t)PyLong_AsLong(PyTuple_GetItem(described, 0)));
    for (i = 0; i < 3; i++)
        if (call_encode_text(encoder, rbr_build_slot(error, &shape, texts[i]),
                             PyTuple_GetItem(described, i + 1)) < 0)
            return -1;
    return with_args
               ? value_encode(encoder, args, rbr_build_slot(error, &shape, RBR_ERROR__VALUE), &path)
               : 0;
}

/* end: of a stream, not of a call. */
static int
try_send_error(ChannelObject *channel, uint64_t id, const stream *end, PyObject *described,
               bool with_args)
{
    value_encoder encoder;
    uint32_t slot;
    int result;

    if (value_encoder_start(&encoder, channel, channel_answer_deadline(channel)) < 0)
        return -1;
    if (end != NULL)
        slot = start_end(&encoder, end, true);
    else
        start_answer(&encoder, id, RBR_BODY_ERROR, &slot);
    result = encode_error(&encoder, slot, described, with_args);
    if (result == 0)
        result = send_answer(channel, &encoder, id);
    value_encoder_stop(&encoder);
    return result;
}

/* The exception that is set has kept us from answering. Who waits is told that much at least; where
 * that cannot be, the channel ends, so that nobody waits for ever. As send_error. */
static int
send_no_memory(ChannelObject *channel, uint64_t id)
{
    if (rbr_channel_state(channel->channel, NULL) != RBR_OK)
        return -1;
    if (small_frame_no_memory(channel, id) != RBR_OK) {
        rbr_channel_close(channel->channel);
        return -1;
    }
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_Exception))
        return -1; /* Ctrl-C, SIGTERM: this process is meant, too */
    PyErr_Clear();
    return 0;
}

/* Answers with the current exception. 0: sent; -1: the channel is of no more use, or with what is no
 * Exception: the process is to end. */
static int
send_error(ChannelObject *channel, uint64_t id, const stream *end)
{
    PyObject *exception = PyErr_GetRaisedException();
    PyObject *described = PyObject_CallFunctionObjArgs(channel->state->error_to_wire, exception,
                                                       NULL);
    int result = -1;

    Py_XDECREF(exception);
    if (described != NULL && PyTuple_Check(described) && PyTuple_Size(described) == 5) {
        result = try_send_error(channel, id, end, described, true);
        if (result < 0) { /* its arguments cannot cross: the message will do */
            PyErr_Clear();
            result = try_send_error(channel, id, end, described, false);
        }
    }
    Py_XDECREF(described);
    return result == 0 ? 0 : send_no_memory(channel, id);
}

int
serve_answer_error(ChannelObject *channel, uint64_t id)
{
    return send_error(channel, id, NULL);
}

/* A Value that names the object, which stays. */
static int
encode_kept(value_encoder *encoder, server *self, PyObject *value, uint32_t slot)
{
    const value_path path = {.root = "result", .index = -1};
    PyObject *name = serve_type_name(value);
    const uint64_t number = name != NULL ? serve_keep(self, value) : 0;
    int result = -1;

    if (number != 0)
        result = value_encode_handle(encoder, number, name, slot, &path);
    Py_XDECREF(name);
    return result;
}

/* keeper: where the value stays; NULL: it goes. */
static int
build_result(value_encoder *encoder, server *keeper, uint64_t id, PyObject *value)
{
    const value_path path = {.root = "result", .index = -1};
    uint32_t slot, result;

    start_answer(encoder, id, RBR_BODY_RESULT, &slot);
    result = rbr_build_table(&encoder->build, slot, &rbr_shape_result);
    slot = rbr_build_slot(result, &rbr_shape_result, RBR_RESULT__VALUE);
    return keeper != NULL ? encode_kept(encoder, keeper, value, slot)
                          : value_encode(encoder, value, slot, &path);
}

int
serve_answer_result(ChannelObject *channel, uint64_t id, PyObject *value)
{
    value_encoder encoder;
    int status;

    if (value_encoder_start(&encoder, channel, channel_answer_deadline(channel)) < 0)
        return -1;
    status = build_result(&encoder, NULL, id, value);
    if (status == 0)
        status = send_answer(channel, &encoder, id);
    value_encoder_stop(&encoder);
    return status;
}

int
serve_answer_call(server *self, uint64_t id, PyObject *value, bool keep)
{
    value_encoder encoder;
    int status;

    if (value_encoder_start(&encoder, self->channel, channel_answer_deadline(self->channel)) < 0)
        return -1;
    status = build_result(&encoder, keep ? self : NULL, id, value);
    if (status < 0)
        serve_raise_cancelled(self, id);
    serve_ran(self, id);
    if (status == 0)
        status = send_answer(self->channel, &encoder, id);
    value_encoder_stop(&encoder);
    return status;
}

/* -------------------------------------------------------------------------------------- streams */

int
serve_build_item(value_encoder *encoder, server *self, const stream *from, PyObject *value)
{
    const value_path path = {.root = "item", .index = -1};
    rbr_shape shape;
    uint32_t slot, table;

    start_answer(encoder, from->id, RBR_BODY_STREAM_ITEM, &slot);
    rbr_shape_make(&shape, &rbr_desc_stream_item,
                   RBR_BIT(RBR_STREAM_ITEM__INDEX) | RBR_BIT(RBR_STREAM_ITEM__VALUE));
    table = rbr_build_table_once(&encoder->build, slot, &shape);
    rbr_build_u64(&encoder->build, table, &shape, RBR_STREAM_ITEM__INDEX, from->index);
    slot = rbr_build_slot(table, &shape, RBR_STREAM_ITEM__VALUE);
    return from->keep ? encode_kept(encoder, self, value, slot)
                      : value_encode(encoder, value, slot, &path);
}

int
serve_answer_item(server *self, const stream *from, PyObject *value, uint64_t *bytes)
{
    value_encoder encoder;
    int status;
    size_t i;

    if (value_encoder_start(&encoder, self->channel, channel_answer_deadline(self->channel)) < 0)
        return -1;
    status = serve_build_item(&encoder, self, from, value);
    if (status == 0)
        status = send_answer(self->channel, &encoder, from->id);
    *bytes = encoder.build.used;
    for (i = 0; i < encoder.block_count; i++)
        *bytes += rbr_block_bytes(encoder.blocks[i]);
    value_encoder_stop(&encoder);
    return status;
}

int
serve_answer_end(server *self, const stream *from)
{
    value_encoder encoder;
    int status;

    if (PyErr_Occurred())
        return send_error(self->channel, from->id, from);
    if (value_encoder_start(&encoder, self->channel, channel_answer_deadline(self->channel)) < 0)
        return -1;
    start_end(&encoder, from, false);
    status = send_answer(self->channel, &encoder, from->id);
    value_encoder_stop(&encoder);
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
        call_encode_text(encoder, rbr_build_slot(table, &shape, RBR_FUNCTION__NAME), name) < 0)
        return -1;
    if (signature != Py_None &&
        call_encode_text(encoder, rbr_build_slot(table, &shape, RBR_FUNCTION__SIGNATURE),
                         signature) < 0)
        return -1;
    return doc == Py_None
               ? 0
               : call_encode_text(encoder, rbr_build_slot(table, &shape, RBR_FUNCTION__DOC), doc);
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
    const uint32_t first = rbr_build_vector(&encoder->build, slot, (uint32_t)PyDict_Size(values), 4,
                                            4);
    PyObject *key, *value;
    Py_ssize_t position = 0;
    uint32_t i;

    encoder->tables += (uint32_t)PyDict_Size(values);
    for (i = 0; PyDict_Next(values, &position, &key, &value); i++) {
        const value_path root = {.root = "module", .index = -1};
        const value_path path = {.parent = &root, .key = key, .index = -1};
        const uint32_t pair = rbr_build_table(&encoder->build, first + 4 * i, &rbr_shape_keyval);

        if (pair == 0 ||
            call_encode_text(encoder, rbr_build_slot(pair, &rbr_shape_keyval, RBR_KEY_VAL__K),
                             key) < 0 ||
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

    if (!PyTuple_Check(loaded) || !PyArg_ParseTuple(loaded, "IO!O!O", &generation, &PyList_Type,
                                                    &functions, &PyDict_Type, &values, &doc))
        return -1;
    start_answer(encoder, id, RBR_BODY_LOADED, &slot);
    rbr_shape_make(&shape, &rbr_desc_loaded,
                   RBR_BIT(RBR_LOADED__GENERATION) | RBR_BIT(RBR_LOADED__FUNCTIONS) |
                       RBR_BIT(RBR_LOADED__VALUES) |
                       (doc != Py_None ? RBR_BIT(RBR_LOADED__DOC) : 0));
    table = rbr_build_table_once(&encoder->build, slot, &shape);
    rbr_build_u32(&encoder->build, table, &shape, RBR_LOADED__GENERATION, generation);
    if (encode_functions(encoder, rbr_build_slot(table, &shape, RBR_LOADED__FUNCTIONS), functions) <
            0 ||
        encode_values(encoder, rbr_build_slot(table, &shape, RBR_LOADED__VALUES), values) < 0)
        return -1;
    return doc == Py_None
               ? 0
               : call_encode_text(encoder, rbr_build_slot(table, &shape, RBR_LOADED__DOC), doc);
}

int
serve_answer_loaded(ChannelObject *channel, uint64_t id, PyObject *loaded)
{
    value_encoder encoder;
    int status;

    if (value_encoder_start(&encoder, channel, channel_answer_deadline(channel)) < 0)
        return -1;
    status = encode_loaded(&encoder, id, loaded);
    if (status < 0 && !PyErr_Occurred())
        PyErr_NoMemory();
    if (status == 0)
        status = send_answer(channel, &encoder, id);
    value_encoder_stop(&encoder);
    return status;
}

int
serve_answer_method(server *self, uint64_t id, PyObject *described)
{
    PyObject *loaded = Py_BuildValue("I[O]{}O", 0u, described, Py_None);
    int result = -1;

    if (loaded != NULL)
        result = serve_answer_loaded(self->channel, id, loaded);
    Py_XDECREF(loaded);
    return result;
}
