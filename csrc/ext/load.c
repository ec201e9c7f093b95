/* SPDX-License-Identifier: MIT */
/*
 * load.c - the host's side of loading a module: Load goes, Loaded comes back.
 */
#include "ext.h"

static PyObject *
decode_function(rbr_table function)
{
    uint32_t name_size, signature_size, doc_size;
    const char *name = rbr_get_string(function, RBR_FUNCTION__NAME, &name_size);
    const char *signature = rbr_get_string(function, RBR_FUNCTION__SIGNATURE, &signature_size);
    const char *doc = rbr_get_string(function, RBR_FUNCTION__DOC, &doc_size);

    return Py_BuildValue("(Is#z#z#i)", rbr_get_u32(function, RBR_FUNCTION__ID, 0), name,
                         (Py_ssize_t)name_size, signature, (Py_ssize_t)signature_size, doc,
                         (Py_ssize_t)doc_size, (int)rbr_get_u8(function, RBR_FUNCTION__KIND, 0));
}

PyObject *
load_decode_functions(rbr_table body)
{
    uint32_t count, i;
    const uint8_t *first = rbr_get_vector(body, RBR_LOADED__FUNCTIONS, &count);
    PyObject *list = PyList_New(0);

    for (i = 0; list != NULL && i < count; i++) {
        PyObject *item = decode_function(rbr_vector_table(first, i));

        if (item == NULL || PyList_Append(list, item) < 0)
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

static PyObject *
decode_values(value_decoder *decoder, rbr_table body)
{
    uint32_t count, i;
    const uint8_t *first = rbr_get_vector(body, RBR_LOADED__VALUES, &count);
    PyObject *dict = PyDict_New();

    for (i = 0; dict != NULL && i < count; i++) {
        const rbr_table pair = rbr_vector_table(first, i);
        uint32_t size;
        const char *key = rbr_get_string(pair, RBR_KEY_VAL__K, &size);
        PyObject *name = PyUnicode_DecodeUTF8(key, (Py_ssize_t)size, "backslashreplace");
        PyObject *value = name != NULL ? value_decode_field(decoder, pair, RBR_KEY_VAL__V) : NULL;

        if (value == NULL || PyDict_SetItem(dict, name, value) < 0)
            Py_CLEAR(dict);
        Py_XDECREF(name);
        Py_XDECREF(value);
    }
    return dict;
}

static PyObject *
decode_loaded(ChannelObject *channel, const rbr_message *message)
{
    value_decoder decoder = {
        .state = channel->state, .channel = channel, .message = message, .pickle = channel->pickle};
    uint8_t type;
    const rbr_table body = rbr_message_body(message, &type);
    PyObject *functions, *values, *loaded = NULL;
    const char *doc;
    uint32_t size;

    if (type == RBR_BODY_ERROR)
        return channel_raise_remote(channel, message, body);
    if (type != RBR_BODY_LOADED) {
        PyErr_Format(channel->state->protocol_error, "an answer to load is of kind %d", (int)type);
        return NULL;
    }
    doc = rbr_get_string(body, RBR_LOADED__DOC, &size);
    functions = load_decode_functions(body);
    values = functions != NULL ? decode_values(&decoder, body) : NULL;
    if (values != NULL)
        loaded = Py_BuildValue("(IOOz#)", rbr_get_u32(body, RBR_LOADED__GENERATION, 0), functions,
                               values, doc, (Py_ssize_t)size);
    Py_XDECREF(functions);
    Py_XDECREF(values);
    return loaded != NULL ? loaded : value_bad(&decoder, "not what a module holds");
}

static uint32_t
encode_load(value_encoder *encoder, PyObject *module, bool reload)
{
    rbr_shape shape;
    uint32_t slot, load;
    const uint32_t root = call_start_frame(encoder, RBR_BODY_LOAD, &slot);

    if (root == 0)
        return 0;
    rbr_shape_make(&shape, &rbr_desc_load, RBR_BIT(RBR_LOAD__MODULE) | RBR_BIT(RBR_LOAD__RELOAD));
    load = rbr_build_table_once(&encoder->build, slot, &shape);
    rbr_build_u8(&encoder->build, load, &shape, RBR_LOAD__RELOAD, reload);
    if (load == 0) {
        PyErr_NoMemory();
        return 0;
    }
    return call_encode_text(encoder, rbr_build_slot(load, &shape, RBR_LOAD__MODULE), module) < 0
               ? 0
               : root;
}

PyObject *
channel_load(ChannelObject *self, PyObject *const *args, Py_ssize_t count)
{
    value_encoder encoder;
    rbr_message *answer = NULL;
    PyObject *result = NULL;
    uint64_t deadline_ns;
    call_made made;
    uint32_t root;
    int reload;

    if (count != 3 || !PyUnicode_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "load(module: str, reload: bool, timeout: float | None)");
        return NULL;
    }
    reload = PyObject_IsTrue(args[1]);
    if (reload < 0 || !deadline_from_timeout(args[2], &deadline_ns) ||
        channel_enter_alive(self) == NULL)
        return NULL;
    if (value_encoder_start(&encoder, self, deadline_ns) == 0) {
        root = encode_load(&encoder, args[0], reload != 0);
        if (root != 0)
            answer = call_exchange(self, &encoder, root, &made, deadline_ns, "load");
        value_encoder_stop(&encoder);
    }
    if (answer != NULL) {
        result = decode_loaded(self, answer);
        rbr_message_free(answer);
    }
    channel_leave(self);
    return result;
}
