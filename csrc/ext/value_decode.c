/* SPDX-License-Identifier: MIT */
/*
 * value_decode.c - table Value -> Python values: the plain kinds, the containers, the dispatch.
 *
 * The frame is verified: every table, vector and string lies inside it. That a kind has its field,
 * that keys can be hashed, that text is UTF-8, is found out here, and is a ProtocolError. Depth is
 * bounded by the verifier (RBR_DEPTH_MAX).
 */
#include "values.h"

/* Raised before, and not the peer's fault: these go through as they are. */
static bool
is_our_own(value_decoder *self)
{
    return PyErr_ExceptionMatches(PyExc_MemoryError) || PyErr_ExceptionMatches(PyExc_ImportError) ||
           PyErr_ExceptionMatches(self->state->cannot_cross) ||
           PyErr_ExceptionMatches(self->state->protocol_error) ||
           !PyErr_ExceptionMatches(PyExc_Exception); /* KeyboardInterrupt */
}

PyObject *
value_bad(value_decoder *self, const char *what)
{
    PyObject *type, *reason, *traceback;

    if (!PyErr_Occurred()) {
        PyErr_Format(self->state->protocol_error, "bad message: %s", what);
        return NULL;
    }
    if (is_our_own(self))
        return NULL;
    PyErr_Fetch(&type, &reason, &traceback);
    PyErr_Format(self->state->protocol_error, "bad message: %s (%S)", what,
                 reason != NULL ? reason : type);
    Py_XDECREF(type);
    Py_XDECREF(reason);
    Py_XDECREF(traceback);
    return NULL;
}

const uint8_t *
value_vector(value_decoder *self, rbr_table value, uint32_t field, uint32_t *count)
{
    const uint8_t *first = rbr_get_vector(value, field, count);

    if (first == NULL)
        value_bad(self, "a value lacks the field of its kind");
    return first;
}

void
value_decode_place(value_decoder *self, const char *root, PyObject *key, Py_ssize_t index)
{
    const value_path link = {.root = root, .key = key, .index = index};
    PyObject *type, *error, *traceback, *where, *text = NULL;

    if (!PyErr_ExceptionMatches(self->state->cannot_cross))
        return;
    PyErr_Fetch(&type, &error, &traceback);
    where = value_link_text(&link);
    if (where != NULL && error != NULL)
        text = PyUnicode_FromFormat(self->placed ? "%U%S" : "%U: %S", where, error);
    Py_XDECREF(where);
    if (text == NULL) {
        PyErr_Clear(); /* the reason counts more than its place */
    } else {
        Py_XDECREF(error);
        error = text;
        self->placed = true;
    }
    PyErr_Restore(type, error, traceback);
}

/* -------------------------------------------------------------------------------------- scalars */

static PyObject *
decode_int(value_decoder *self, rbr_table value)
{
    const uint8_t *at = rbr_field(value, RBR_VALUE__I);
    int64_t number;

    if (at == NULL)
        return value_bad(self, "an int without its number");
    memcpy(&number, at, sizeof number);
    return PyLong_FromLongLong(number);
}

static PyObject *
decode_float(value_decoder *self, rbr_table value)
{
    const uint8_t *at = rbr_field(value, RBR_VALUE__F);
    double number;

    if (at == NULL)
        return value_bad(self, "a float without its number");
    memcpy(&number, at, sizeof number);
    return PyFloat_FromDouble(number);
}

static PyObject *
decode_complex(value_decoder *self, rbr_table value)
{
    if (rbr_field(value, RBR_VALUE__F) == NULL || rbr_field(value, RBR_VALUE__G) == NULL)
        return value_bad(self, "a complex without its numbers");
    return PyComplex_FromDoubles(rbr_get_f64(value, RBR_VALUE__F, 0),
                                 rbr_get_f64(value, RBR_VALUE__G, 0));
}

/* str, bytes and bytearray: in the table, or a long one behind it. */
static PyObject *
decode_text(value_decoder *self, rbr_table value, uint8_t kind)
{
    const uint32_t field = kind == RBR_KIND_STR ? RBR_VALUE__S : RBR_VALUE__B;
    PyObject *result;
    uint32_t count;
    const char *bytes = rbr_get_string(value, field, &count);

    if (bytes == NULL)
        return tensor_decode_text(self, value, kind);
    if (kind == RBR_KIND_BYTES)
        return PyBytes_FromStringAndSize(bytes, count);
    if (kind == RBR_KIND_BYTE_ARRAY)
        return PyByteArray_FromStringAndSize(bytes, count);
    result = PyUnicode_DecodeUTF8(bytes, count, "strict");
    return result != NULL ? result : value_bad(self, "a str that is not UTF-8");
}

/* ----------------------------------------------------------------------------------- containers */

static PyObject *
decode_list(value_decoder *self, rbr_table value)
{
    uint32_t count, i;
    const uint8_t *first = value_vector(self, value, RBR_VALUE__ITEMS, &count);
    PyObject *list = first != NULL ? PyList_New(count) : NULL, *item;

    for (i = 0; list != NULL && i < count; i++) {
        item = value_decode(self, rbr_vector_table(first, i));
        if (item == NULL) {
            value_decode_place(self, NULL, NULL, i);
            Py_CLEAR(list);
        } else {
            RBR_LIST_FILL(list, i, item);
        }
    }
    return list;
}

PyObject *
value_decode_items(value_decoder *self, rbr_table value)
{
    uint32_t count, i;
    const uint8_t *first = value_vector(self, value, RBR_VALUE__ITEMS, &count);
    PyObject *tuple = first != NULL ? PyTuple_New(count) : NULL, *item;

    for (i = 0; tuple != NULL && i < count; i++) {
        item = value_decode(self, rbr_vector_table(first, i));
        if (item == NULL) {
            value_decode_place(self, NULL, NULL, i);
            Py_CLEAR(tuple);
        } else {
            RBR_TUPLE_FILL(tuple, i, item);
        }
    }
    return tuple;
}

static PyObject *
decode_set(value_decoder *self, rbr_table value, bool frozen)
{
    uint32_t count, i;
    const uint8_t *first = value_vector(self, value, RBR_VALUE__ITEMS, &count);
    PyObject *set, *item;
    hash_tally tally;
    int failed;

    if (first == NULL || hash_tally_start(&tally, self->state, count) < 0)
        return NULL;
    set = frozen ? PyFrozenSet_New(NULL) : PySet_New(NULL);
    for (i = 0; set != NULL && i < count; i++) {
        item = value_decode(self, rbr_vector_table(first, i));
        if (item == NULL)
            value_decode_place(self, " (an element)", NULL, -1);
        failed = item == NULL || hash_tally_add(&tally, item) < 0 ||
                 PySet_Add(set, item) < 0; /* a new frozenset may be filled */
        if (failed)
            value_bad(self, "an element of a set that cannot be hashed");
        Py_XDECREF(item);
        if (failed)
            Py_CLEAR(set);
    }
    hash_tally_stop(&tally);
    return set;
}

static int
decode_pair(value_decoder *self, PyObject *dict, hash_tally *tally, rbr_table key_at,
            rbr_table item_at)
{
    PyObject *key = value_decode(self, key_at);
    PyObject *item = key != NULL ? value_decode(self, item_at) : NULL;
    int result = -1;

    if (key == NULL) {
        value_decode_place(self, " (a key)", NULL, -1);
    } else if (item == NULL) {
        value_decode_place(self, NULL, key, -1);
    } else {
        result = hash_tally_add(tally, key) < 0 ? -1 : PyDict_SetItem(dict, key, item);
        if (result < 0)
            value_bad(self, "a key of a dict that cannot be hashed");
    }
    Py_XDECREF(key);
    Py_XDECREF(item);
    return result;
}

static PyObject *
decode_dict(value_decoder *self, rbr_table value)
{
    uint32_t count, key_count, i;
    const uint8_t *keys = value_vector(self, value, RBR_VALUE__KEYS, &key_count);
    const uint8_t *items = keys ? value_vector(self, value, RBR_VALUE__ITEMS, &count) : NULL;
    hash_tally tally;
    PyObject *dict;

    if (items == NULL)
        return NULL;
    if (key_count != count)
        return value_bad(self, "a dict with not as many items as keys");
    if (hash_tally_start(&tally, self->state, count) < 0)
        return NULL;
    dict = PyDict_New();
    for (i = 0; dict != NULL && i < count; i++)
        if (decode_pair(self, dict, &tally, rbr_vector_table(keys, i), rbr_vector_table(items, i)) <
            0)
            Py_CLEAR(dict);
    hash_tally_stop(&tally);
    return dict;
}

/* ------------------------------------------------------------------------------------- dispatch */

PyObject *
value_decode(value_decoder *self, rbr_table value)
{
    const uint8_t kind = rbr_get_u8(value, RBR_VALUE__KIND, RBR_KIND_NONE);

    switch (kind) {
    case RBR_KIND_NONE:
        return Py_NewRef(Py_None);
    case RBR_KIND_FALSE:
        return Py_NewRef(Py_False);
    case RBR_KIND_TRUE:
        return Py_NewRef(Py_True);
    case RBR_KIND_ELLIPSIS:
        return Py_NewRef(Py_Ellipsis);
    case RBR_KIND_INT:
        return decode_int(self, value);
    case RBR_KIND_BIG_INT:
        return rare_decode_big_int(self, value);
    case RBR_KIND_FLOAT:
        return decode_float(self, value);
    case RBR_KIND_COMPLEX:
        return decode_complex(self, value);
    case RBR_KIND_STR:
    case RBR_KIND_BYTES:
    case RBR_KIND_BYTE_ARRAY:
        return decode_text(self, value, kind);
    case RBR_KIND_LIST:
        return decode_list(self, value);
    case RBR_KIND_TUPLE:
        return value_decode_items(self, value);
    case RBR_KIND_DICT:
        return decode_dict(self, value);
    case RBR_KIND_SET:
    case RBR_KIND_FROZEN_SET:
        return decode_set(self, value, kind == RBR_KIND_FROZEN_SET);
    case RBR_KIND_TENSOR:
        return tensor_decode(self, value);
    case RBR_KIND_I64_VEC:
    case RBR_KIND_F64_VEC:
    case RBR_KIND_STR_VEC:
    case RBR_KIND_BOOL_VEC:
        return list_decode_vector(self, value, kind);
    case RBR_KIND_TABLE:
    case RBR_KIND_PICKLE:
        return foreign_decode(self, value, kind);
    case RBR_KIND_HANDLE:
    case RBR_KIND_CALLBACK:
        return handle_decode(self, value, kind);
    default:
        return rare_decode(self, value, kind);
    }
}

PyObject *
value_decode_field(value_decoder *self, rbr_table table, uint32_t field)
{
    const rbr_table value = rbr_get_table(table, field);

    if (value.at == NULL)
        return value_bad(self, "a message lacks its value");
    return value_decode(self, value);
}
