/* SPDX-License-Identifier: MIT */
/*
 * value_encode.c - Python values -> table Value: the plain kinds, the containers, the dispatch.
 *
 * Types are compared exactly: a subclass would come back as something else, so it is refused.
 *
 * Anything that waits (a block), that copies without the GIL, or that allocates objects may run
 * other Python code, and that code may change the list that is being encoded. So sizes are checked
 * at every step, items are held by a reference while they are encoded, and nothing points into the
 * buffer across a call that may make it grow: positions only.
 */
#include "values.h"

/* ------------------------------------------------------------------------------------- scalars */

static int
encode_plain(value_encoder *self, uint8_t kind, uint32_t slot, const value_path *path)
{
    return value_table(self, slot, &rbr_shape_value_plain, kind, path) != 0 ? 0 : -1;
}

static int
encode_int(value_encoder *self, PyObject *value, uint32_t slot, const value_path *path)
{
    int overflow;
    const long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    uint32_t table;

    if (overflow != 0)
        return rare_encode_big_int(self, value, slot, path);
    table = value_table(self, slot, &rbr_shape_value_int, RBR_KIND_INT, path);
    rbr_build_i64(&self->build, table, &rbr_shape_value_int, RBR_VALUE__I, number);
    return table != 0 ? 0 : -1;
}

static int
encode_float(value_encoder *self, PyObject *value, uint32_t slot, const value_path *path)
{
    const uint32_t table = value_table(self, slot, &rbr_shape_value_float, RBR_KIND_FLOAT, path);

    rbr_build_f64(&self->build, table, &rbr_shape_value_float, RBR_VALUE__F,
                  PyFloat_AsDouble(value));
    return table != 0 ? 0 : -1;
}

static int
encode_complex(value_encoder *self, PyObject *value, uint32_t slot, const value_path *path)
{
    const rbr_shape *shape = &rbr_shape_value_complex;
    const uint32_t table = value_table(self, slot, shape, RBR_KIND_COMPLEX, path);

    rbr_build_f64(&self->build, table, shape, RBR_VALUE__F, PyComplex_RealAsDouble(value));
    rbr_build_f64(&self->build, table, shape, RBR_VALUE__G, PyComplex_ImagAsDouble(value));
    return table != 0 ? 0 : -1;
}

/* The UTF-8 of a str, which lives as long as the str; NULL with CannotCross. */
static const char *
text_of(value_encoder *self, PyObject *value, Py_ssize_t *size, const value_path *path)
{
    const char *text = PyUnicode_AsUTF8AndSize(value, size);

    if (text == NULL && PyErr_ExceptionMatches(PyExc_UnicodeEncodeError))
        value_refuse(self, path,
                     "a str with a lone surrogate, which is not text; convert it with "
                     "os.fsencode(...) or .encode(errors=...)");
    return text;
}

static int
encode_str(value_encoder *self, PyObject *value, uint32_t slot, const value_path *path)
{
    const rbr_shape *shape = &rbr_shape_value_string;
    Py_ssize_t size;
    const char *text = text_of(self, value, &size, path);
    uint32_t table;

    if (text == NULL)
        return -1;
    if (size > TEXT_INLINE_BYTES_MAX)
        return tensor_encode_text(self, RBR_KIND_STR, text, (uint64_t)size, slot, path);
    table = value_table(self, slot, shape, RBR_KIND_STR, path);
    if (table == 0)
        return -1;
    rbr_build_string(&self->build, rbr_build_slot(table, shape, RBR_VALUE__S), text,
                     (uint32_t)size);
    return value_built(self, path);
}

int
value_encode_bytes(value_encoder *self, uint8_t kind, const char *bytes, uint64_t size,
                   uint32_t slot, const value_path *path)
{
    const rbr_shape *shape = &rbr_shape_value_bytes;
    const uint32_t table = value_table(self, slot, shape, kind, path);

    if (table == 0)
        return -1;
    if (size > RBR_FRAME_BYTES_MAX)
        self->build.status = RBR_TOO_BIG;
    rbr_build_bytes(&self->build, rbr_build_slot(table, shape, RBR_VALUE__B), bytes,
                    (uint32_t)size);
    return value_built(self, path);
}

/* bytes and bytearray: the view keeps a bytearray from moving while we wait for a block. */
static int
encode_bytes(value_encoder *self, PyObject *value, uint8_t kind, uint32_t slot,
             const value_path *path)
{
    Py_buffer view;
    int result;

    if (PyObject_GetBuffer(value, &view, PyBUF_SIMPLE) < 0)
        return -1;
    if (view.len > TEXT_INLINE_BYTES_MAX)
        result = tensor_encode_text(self, kind, view.buf, (uint64_t)view.len, slot, path);
    else
        result = value_encode_bytes(self, kind, view.buf, (uint64_t)view.len, slot, path);
    PyBuffer_Release(&view);
    return result;
}

/* ---------------------------------------------------------------------------------- containers */

/* One more container around what follows; -1 when the wire allows no more. */
static int
enter(value_encoder *self, Py_ssize_t count, const value_path *path)
{
    if (self->depth >= VALUE_DEPTH_MAX)
        return value_refuse(self, path, "nested too deeply (more than %d levels)", VALUE_DEPTH_MAX);
    if (count > RBR_TABLES_MAX)
        return value_refuse(self, path,
                            "%zd values are too many for one message (%d); send an "
                            "array, or lists of one type",
                            count, RBR_TABLES_MAX);
    self->depth++;
    return 0;
}

static int
changed(value_encoder *self, const value_path *path)
{
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_RuntimeError)) /* a set's iterator's */
        return -1;
    return value_refuse(self, path, "it changed its size while it was being sent");
}

/* A table {kind, items} with room for `count` items; the first item's slot, 0 with an exception. */
static uint32_t
items_table(value_encoder *self, uint8_t kind, size_t count, uint32_t slot, const value_path *path)
{
    const rbr_shape *shape = &rbr_shape_value_items;
    const uint32_t table = value_table(self, slot, shape, kind, path);
    uint32_t first = 0;

    if (table != 0)
        first = rbr_build_vector(&self->build, rbr_build_slot(table, shape, RBR_VALUE__ITEMS),
                                 (uint32_t)count, 4, 4);
    if (table != 0 && first == 0)
        value_built(self, path);
    return first;
}

int
value_encode_parts(value_encoder *self, uint8_t kind, PyObject *const *parts, size_t count,
                   uint32_t slot, const value_path *path)
{
    value_path link = {.parent = path};
    uint32_t first;
    size_t i;

    if (enter(self, (Py_ssize_t)count, path) < 0)
        return -1;
    first = items_table(self, kind, count, slot, path);
    for (i = 0; first != 0 && i < count; i++) {
        link.index = (Py_ssize_t)i;
        if (value_encode(self, parts[i], first + 4 * (uint32_t)i, &link) < 0)
            first = 0;
    }
    self->depth--;
    return first != 0 ? 0 : -1;
}

/* list and tuple, item by item */
static int
encode_sequence(value_encoder *self, PyObject *value, uint8_t kind, uint32_t slot,
                const value_path *path)
{
    const bool list = kind == RBR_KIND_LIST;
    const Py_ssize_t count = list ? PyList_Size(value) : PyTuple_Size(value);
    value_path link = {.parent = path};
    int result = 0;
    uint32_t first;

    if (enter(self, count, path) < 0)
        return -1;
    first = items_table(self, kind, (size_t)count, slot, path);
    for (link.index = 0; first != 0 && result == 0 && link.index < count; link.index++) {
        PyObject *item;
        if (list && PyList_Size(value) != count) {
            result = changed(self, path);
            break;
        }
        item = list ? RBR_LIST_ITEM(value, link.index) : PyTuple_GetItem(value, link.index);
        Py_INCREF(item);
        result = value_encode(self, item, first + 4 * (uint32_t)link.index, &link);
        Py_DECREF(item);
    }
    self->depth--;
    return first != 0 ? result : -1;
}

static int
encode_set(value_encoder *self, PyObject *value, uint8_t kind, uint32_t slot,
           const value_path *path)
{
    const value_path link = {.parent = path, .root = " (an element)", .index = -1};
    const Py_ssize_t count = PySet_Size(value);
    PyObject *iterator, *item;
    Py_ssize_t done = 0;
    uint32_t first;

    if (enter(self, count, path) < 0)
        return -1;
    first = items_table(self, kind, (size_t)count, slot, path);
    iterator = first != 0 ? PyObject_GetIter(value) : NULL;
    while (iterator != NULL && done <= count && (item = PyIter_Next(iterator)) != NULL) {
        const int failed = done < count &&
                           value_encode(self, item, first + 4 * (uint32_t)done, &link) < 0;
        Py_DECREF(item);
        if (failed)
            Py_CLEAR(iterator);
        done++;
    }
    self->depth--;
    if (iterator == NULL)
        return -1;
    Py_DECREF(iterator);
    return done == count && !PyErr_Occurred() ? 0 : changed(self, path);
}

/* One key and its item; the dict holds neither while code runs. */
static int
encode_pair(value_encoder *self, PyObject *key, PyObject *item, uint32_t key_slot,
            uint32_t item_slot, const value_path *path)
{
    const value_path key_link = {.parent = path, .root = " (a key)", .index = -1};
    const value_path link = {.parent = path, .key = key, .index = -1};
    int result;

    Py_INCREF(key);
    Py_INCREF(item);
    result = value_encode(self, key, key_slot, &key_link);
    if (result == 0)
        result = value_encode(self, item, item_slot, &link);
    Py_DECREF(key);
    Py_DECREF(item);
    return result;
}

static int
encode_pairs(value_encoder *self, PyObject *dict, Py_ssize_t count, uint32_t keys, uint32_t items,
             const value_path *path)
{
    Py_ssize_t at = 0, done = 0;
    PyObject *key, *item;

    while (PyDict_Next(dict, &at, &key, &item)) {
        const uint32_t step = 4 * (uint32_t)done;
        if (done++ == count)
            break;
        if (encode_pair(self, key, item, keys + step, items + step, path) < 0)
            return -1;
        if (PyDict_Size(dict) != count)
            break;
    }
    return done == count && PyDict_Size(dict) == count ? 0 : changed(self, path);
}

static int
encode_dict(value_encoder *self, PyObject *value, uint32_t slot, const value_path *path)
{
    const rbr_shape *shape = &rbr_shape_value_dict;
    const Py_ssize_t count = PyDict_Size(value);
    uint32_t table, keys, items;
    int result = -1;

    if (enter(self, count, path) < 0)
        return -1;
    table = value_table(self, slot, shape, RBR_KIND_DICT, path);
    if (table != 0) {
        keys = rbr_build_vector(&self->build, rbr_build_slot(table, shape, RBR_VALUE__KEYS),
                                (uint32_t)count, 4, 4);
        items = rbr_build_vector(&self->build, rbr_build_slot(table, shape, RBR_VALUE__ITEMS),
                                 (uint32_t)count, 4, 4);
        result = value_built(self, path);
        if (result == 0)
            result = encode_pairs(self, value, count, keys, items, path);
    }
    self->depth--;
    return result;
}

static int
encode_list(value_encoder *self, PyObject *value, uint32_t slot, const value_path *path)
{
    const Py_ssize_t count = PyList_Size(value);

    if (count >= LIST_VECTOR_MIN) {
        const int done = list_encode_vector(self, value, count, slot, path);
        if (done != 0)
            return done < 0 ? -1 : 0;
    }
    return encode_sequence(self, value, RBR_KIND_LIST, slot, path);
}

/* ------------------------------------------------------------------------------------ dispatch */

/* What is not on the hot path. */
static int
encode_other(value_encoder *self, PyObject *value, uint32_t slot, const value_path *path)
{
    const PyTypeObject *type = Py_TYPE(value);
    int done;

    if (type == &PyBytes_Type)
        return encode_bytes(self, value, RBR_KIND_BYTES, slot, path);
    if (type == &PyByteArray_Type)
        return encode_bytes(self, value, RBR_KIND_BYTE_ARRAY, slot, path);
    if (type == &PyComplex_Type)
        return encode_complex(self, value, slot, path);
    if (type == &PySet_Type)
        return encode_set(self, value, RBR_KIND_SET, slot, path);
    if (type == &PyFrozenSet_Type)
        return encode_set(self, value, RBR_KIND_FROZEN_SET, slot, path);
    if (value == Py_Ellipsis)
        return encode_plain(self, RBR_KIND_ELLIPSIS, slot, path);
    done = tensor_encode(self, value, slot, path);
    if (done == 0)
        done = rare_encode(self, value, slot, path);
    if (done == 0)
        done = handle_encode(self, value, slot, path);
    if (done == 0)
        done = foreign_encode(self, value, slot, path);
    if (done == 0)
        done = handle_encode_foreign(self, value, slot, path);
    if (done == 0)
        return value_refuse_type(self, path, value);
    return done < 0 ? -1 : 0;
}

int
value_encode(value_encoder *self, PyObject *value, uint32_t slot, const value_path *path)
{
    const PyTypeObject *type = Py_TYPE(value);

    if (type == &PyLong_Type)
        return encode_int(self, value, slot, path);
    if (type == &PyFloat_Type)
        return encode_float(self, value, slot, path);
    if (type == &PyUnicode_Type)
        return encode_str(self, value, slot, path);
    if (value == Py_None)
        return encode_plain(self, RBR_KIND_NONE, slot, path);
    if (type == &PyBool_Type)
        return encode_plain(self, value == Py_True ? RBR_KIND_TRUE : RBR_KIND_FALSE, slot, path);
    if (type == &PyList_Type)
        return encode_list(self, value, slot, path);
    if (type == &PyTuple_Type)
        return encode_sequence(self, value, RBR_KIND_TUPLE, slot, path);
    if (type == &PyDict_Type)
        return encode_dict(self, value, slot, path);
    return encode_other(self, value, slot, path);
}
