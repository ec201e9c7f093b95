/* SPDX-License-Identifier: MIT */
/*
 * value_handle.c - what crosses as a number: objects that stay in the worker, and callables that are
 * called back.
 *
 *   Handle    sub 0: an object of the worker's table, i: its number, s: its type, as module.name
 *             sub 1: a function of a loaded module (to the worker only), i: its id
 *   Callback  (in arguments to the worker only) i: its place among the call's callbacks, s: its name
 */
#include "values.h"

/* ------------------------------------------------------------------------------------- encoding */

static int
encode_number(value_encoder *self, uint8_t kind, uint8_t sub, uint64_t number, PyObject *name,
              uint32_t slot, const value_path *path)
{
    rbr_shape shape;
    uint32_t table;

    rbr_shape_make(&shape, &rbr_desc_value,
                   RBR_BIT(RBR_VALUE__KIND) | RBR_BIT(RBR_VALUE__SUB) | RBR_BIT(RBR_VALUE__I) |
                       RBR_BIT(RBR_VALUE__S));
    table = value_table_once(self, slot, &shape, kind, path);
    if (table == 0)
        return -1;
    rbr_build_u8(&self->build, table, &shape, RBR_VALUE__SUB, sub);
    rbr_build_u64(&self->build, table, &shape, RBR_VALUE__I, number);
    return call_encode_text(self, rbr_build_slot(table, &shape, RBR_VALUE__S), name);
}

int
value_encode_handle(value_encoder *self, uint64_t number, PyObject *name, uint32_t slot,
                    const value_path *path)
{
    PyObject *given = PyLong_FromUnsignedLongLong(number);
    int result = -1;

    if (self->kept == NULL)
        self->kept = PyList_New(0);
    if (given != NULL && self->kept != NULL && PyList_Append(self->kept, given) == 0)
        result = encode_number(self, RBR_KIND_HANDLE, 0, number, name, slot, path);
    Py_XDECREF(given);
    return result;
}

static int
encode_handle(value_encoder *self, const HandleObject *handle, uint32_t slot,
              const value_path *path)
{
    const ChannelObject *home = handle->channel;

    if (home != self->channel && (home->channel == NULL || home->closing ||
                                  rbr_channel_state(home->channel, NULL) != RBR_OK))
        return value_refuse(self, path,
                            "this %U is gone: it lived in a process of %U that has ended; "
                            "make another",
                            handle->name, home->title);
    if (home != self->channel)
        return value_refuse(self, path, "this %U lives in a process of %U, and cannot go elsewhere",
                            handle->name, home->title);
    return encode_number(self, RBR_KIND_HANDLE, 0, handle->id, handle->name, slot, path);
}

static int
encode_callback(value_encoder *self, PyObject *value, uint32_t slot, const value_path *path)
{
    PyObject *name;
    Py_ssize_t place;
    int result;

    if (self->callbacks == NULL && (self->callbacks = PyList_New(0)) == NULL)
        return -1;
    place = PyList_Size(self->callbacks);
    if (PyList_Append(self->callbacks, value) < 0)
        return -1;
    name = PyObject_GetAttrString(value, "__name__");
    if (name == NULL || !PyUnicode_Check(name)) {
        if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_Exception))
            return -1;
        PyErr_Clear();
        Py_XDECREF(name);
        name = PyUnicode_FromString("callback");
    }
    if (name == NULL)
        return -1;
    result = encode_number(self, RBR_KIND_CALLBACK, 0, (uint64_t)place, name, slot, path);
    if (result < 0 && PyErr_ExceptionMatches(PyExc_UnicodeEncodeError))
        value_refuse(self, path, "its __name__ is not text");
    Py_DECREF(name);
    return result;
}

/* An object of ours that stays here, under this number. */
static int
encode_staying(value_encoder *self, PyObject *value, uint64_t number, uint32_t slot,
               const value_path *path)
{
    PyObject *name;
    int result;

    if (self->all_inline) /* nobody would release those of dropped items */
        return value_refuse(self, path,
                            "an object that stays where it is cannot be in an item of a stream "
                            "with options(latest=True), where items are dropped");
    name = serve_type_name(value);
    result = name == NULL ? -1 : value_encode_handle(self, number, name, slot, path);
    Py_XDECREF(name);
    return result < 0 ? -1 : 1;
}

int
handle_encode_foreign(value_encoder *self, PyObject *value, uint32_t slot, const value_path *path)
{
    ChannelObject *channel = self->channel;
    uint64_t number = 0;

    if (channel == NULL || !channel->served || channel->server == NULL || PyModule_Check(value))
        return 0;
    if (!self->all_inline && (number = serve_keep(channel->server, value)) == 0)
        return -1;
    return encode_staying(self, value, number, slot, path);
}

int
handle_encode(value_encoder *self, PyObject *value, uint32_t slot, const value_path *path)
{
    core_state *state = self->state;
    uint64_t number;

    if (PyObject_TypeCheck(value, state->handle_type))
        return encode_handle(self, (HandleObject *)value, slot, path) < 0 ? -1 : 1;
    if (self->channel == NULL)
        return 0;
    if (self->channel->server != NULL) {
        const int found = serve_handle_of(self->channel->server, value,
                                          self->all_inline ? NULL : &number);

        return found <= 0 ? found : encode_staying(self, value, number, slot, path);
    }
    if (Py_IS_TYPE(value, state->function_type)) {
        const FunctionObject *function = (FunctionObject *)value;

        if (function->handle == Py_None && function->target->channel == self->channel &&
            function->target->id != TARGET_GONE)
            return encode_number(self, RBR_KIND_HANDLE, 1, function->target->id,
                                 function->target->name, slot, path) < 0
                       ? -1
                       : 1;
    }
    if (self->takes_callables && PyCallable_Check(value) && !PyType_Check(value))
        return encode_callback(self, value, slot, path) < 0 ? -1 : 1;
    return 0;
}

/* ------------------------------------------------------------------------------------- decoding */

static PyObject *
decode_name(rbr_table value)
{
    uint32_t size;
    const char *text = rbr_get_string(value, RBR_VALUE__S, &size);

    return PyUnicode_DecodeUTF8(text != NULL ? text : "", text != NULL ? (Py_ssize_t)size : 0,
                                "backslashreplace");
}

static PyObject *
decode_handle(value_decoder *self, PyObject *name, uint64_t number)
{
    PyObject *made;

    if (self->handles != NULL && *self->handles == NULL && (*self->handles = PyList_New(0)) == NULL)
        return NULL;
    made = handle_make(self->channel, number, name);
    if (number > self->last_handle)
        self->last_handle = number;
    if (made != NULL && self->handles != NULL && PyList_Append(*self->handles, made) < 0) {
        ((HandleObject *)made)->id = 0;
        Py_CLEAR(made);
    }
    return made;
}

static PyObject *
decode_callback(value_decoder *self, PyObject *name, uint64_t number)
{
    const uint64_t call = rbr_message_id(self->message);
    PyObject *held = serve_hold_callback(self->channel->server, call, number);
    PyObject *make = NULL, *made = NULL;

    if (held != NULL)
        make = foreign_function(self->state, FOREIGN_CALLBACKS, "Callback");
    if (make != NULL)
        made = PyObject_CallFunction(make, "OKKO", held, (unsigned long long)call,
                                     (unsigned long long)number, name);
    Py_XDECREF(make);
    Py_XDECREF(held);
    return made;
}

PyObject *
handle_decode(value_decoder *self, rbr_table value, uint8_t kind)
{
    const uint64_t number = rbr_get_u64(value, RBR_VALUE__I, 0);
    const uint8_t sub = rbr_get_u8(value, RBR_VALUE__SUB, 0);
    struct server *server;
    PyObject *name, *made;

    if (self->channel == NULL)
        return value_bad(self, "a handle or a callback where there can be none");
    server = self->channel->server;
    if (rbr_field(value, RBR_VALUE__I) == NULL || rbr_field(value, RBR_VALUE__S) == NULL)
        return value_bad(self, "a handle or a callback without its number or its name");
    if (self->channel->host ? kind != RBR_KIND_HANDLE || sub != 0 : server == NULL)
        return value_bad(self, "a handle or a callback that goes the wrong way");
    if (!self->channel->host && kind == RBR_KIND_HANDLE)
        return sub == 0 ? serve_kept(server, number) : serve_function(server, number);
    name = decode_name(value);
    if (name == NULL)
        return NULL;
    made = self->channel->host ? decode_handle(self, name, number)
                               : decode_callback(self, name, number);
    Py_DECREF(name);
    return made;
}
