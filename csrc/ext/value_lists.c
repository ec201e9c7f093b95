/* SPDX-License-Identifier: MIT */
/*
 * value_lists.c - lists of one type, as one vector: float, int, str and bool, both ways.
 *
 * Encoding looks twice: once at the types, then at the values. Where the second look finds one that
 * does not fit (an int of more than 64 bits, a long or broken str), the buffer is rolled back and
 * the list goes item by item.
 */
#include "values.h"

/* Where the buffer stood, to go back to. */
typedef struct mark {
    uint32_t used, vtables, tables;
} mark;

static void
roll_back(value_encoder *self, const mark *to)
{
    rbr_builder *build = &self->build;

    while (build->vtables > to->vtables)
        build->written[--build->vtables % RBR_BUILDER_VTABLES].shape = NULL;
    build->used = to->used;
    self->tables = to->tables;
}

/* The one type of all items, NULL: there are several, or it has no vector. */
static PyTypeObject *
common_type(PyObject *list, Py_ssize_t count)
{
    PyTypeObject *type = Py_TYPE(RBR_LIST_ITEM(list, 0));
    Py_ssize_t i;

    if (type != &PyFloat_Type && type != &PyLong_Type && type != &PyUnicode_Type &&
        type != &PyBool_Type)
        return NULL;
    for (i = 1; i < count; i++)
        if (Py_TYPE(RBR_LIST_ITEM(list, i)) != type)
            return NULL;
    return type;
}

/* These four fill a vector of `count` elements; false: an item does not fit. None runs code of
 * others, so the list stays as it is. */
static bool
fill_floats(value_encoder *self, PyObject *list, Py_ssize_t count, uint32_t first)
{
    uint8_t *to = self->build.base + first;
    Py_ssize_t i;

    for (i = 0; i < count; i++) {
        const double number = PyFloat_AsDouble(RBR_LIST_ITEM(list, i));
        memcpy(to + 8 * i, &number, 8);
    }
    return true;
}

static bool
fill_ints(value_encoder *self, PyObject *list, Py_ssize_t count, uint32_t first)
{
    uint8_t *to = self->build.base + first;
    int overflow = 0;
    Py_ssize_t i;

    for (i = 0; i < count && overflow == 0; i++) {
        const int64_t number = PyLong_AsLongLongAndOverflow(RBR_LIST_ITEM(list, i), &overflow);
        memcpy(to + 8 * i, &number, 8);
    }
    return overflow == 0;
}

static bool
fill_bools(value_encoder *self, PyObject *list, Py_ssize_t count, uint32_t first)
{
    uint8_t *to = self->build.base + first;
    Py_ssize_t i;

    for (i = 0; i < count; i++)
        to[i] = RBR_LIST_ITEM(list, i) == Py_True;
    return true;
}

static bool
fill_strs(value_encoder *self, PyObject *list, Py_ssize_t count, uint32_t first)
{
    const char *text;
    Py_ssize_t i, size;

    for (i = 0; i < count; i++) {
        text = PyUnicode_AsUTF8AndSize(RBR_LIST_ITEM(list, i), &size);
        if (text == NULL) {
            PyErr_Clear(); /* item by item, this will be found again, with its path */
            return false;
        }
        if (size > TEXT_INLINE_BYTES_MAX)
            return false;
        rbr_build_string(&self->build, first + 4 * (uint32_t)i, text, (uint32_t)size);
    }
    return true;
}

int
list_encode_vector(value_encoder *self, PyObject *list, Py_ssize_t count, uint32_t slot,
                   const value_path *path)
{
    const mark start = {self->build.used, self->build.vtables, self->tables};
    const PyTypeObject *type = common_type(list, count);
    const rbr_shape *shape = &rbr_shape_value_f64s;
    bool (*fill)(value_encoder *, PyObject *, Py_ssize_t, uint32_t) = fill_floats;
    uint32_t field = RBR_VALUE__F64S, bytes = 8, table, first;
    uint8_t kind = RBR_KIND_F64_VEC;

    if (type == NULL || count > UINT32_MAX)
        return 0;
    if (type == &PyLong_Type) {
        shape = &rbr_shape_value_i64s;
        fill = fill_ints;
        field = RBR_VALUE__I64S;
        kind = RBR_KIND_I64_VEC;
    } else if (type == &PyUnicode_Type) {
        shape = &rbr_shape_value_strs;
        fill = fill_strs;
        field = RBR_VALUE__STRS;
        bytes = 4;
        kind = RBR_KIND_STR_VEC;
    } else if (type == &PyBool_Type) {
        shape = &rbr_shape_value_bytes;
        fill = fill_bools;
        field = RBR_VALUE__B;
        bytes = 1;
        kind = RBR_KIND_BOOL_VEC;
    }
    table = value_table(self, slot, shape, kind, path);
    if (table == 0)
        return -1;
    first = rbr_build_vector(&self->build, rbr_build_slot(table, shape, field), (uint32_t)count,
                             bytes, bytes == 8 ? 8 : 4);
    if (first != 0 && !fill(self, list, count, first)) {
        roll_back(self, &start);
        return 0;
    }
    return value_built(self, path) < 0 ? -1 : 1;
}

/* ------------------------------------------------------------------------------------ decoding */

static PyObject *
float_at(const uint8_t *first, uint32_t index)
{
    double number;

    memcpy(&number, first + 8 * (size_t)index, 8);
    return PyFloat_FromDouble(number);
}

static PyObject *
int_at(const uint8_t *first, uint32_t index)
{
    int64_t number;

    memcpy(&number, first + 8 * (size_t)index, 8);
    return PyLong_FromLongLong(number);
}

static PyObject *
bool_at(const uint8_t *first, uint32_t index)
{
    return Py_NewRef(first[index] != 0 ? Py_True : Py_False);
}

static PyObject *
str_at(const uint8_t *first, uint32_t index)
{
    const uint8_t *text = rbr_follow(first + 4 * (size_t)index);

    return PyUnicode_DecodeUTF8((const char *)text + 4, rbr_load_u32(text), "strict");
}

static inline PyObject *
list_from(value_decoder *self, rbr_table value, uint32_t field,
          PyObject *(*at)(const uint8_t *, uint32_t))
{
    uint32_t count, i;
    const uint8_t *first = value_vector(self, value, field, &count);
    PyObject *list, *item;

    if (first == NULL)
        return NULL;
    list = PyList_New(count);
    for (i = 0; list != NULL && i < count; i++) {
        item = at(first, i);
        if (item == NULL) {
            value_bad(self, "an item that is not UTF-8");
            Py_CLEAR(list);
            break;
        }
        RBR_LIST_FILL(list, i, item);
    }
    return list;
}

PyObject *
list_decode_vector(value_decoder *self, rbr_table value, uint8_t kind)
{
    switch (kind) {
    case RBR_KIND_F64_VEC:
        return list_from(self, value, RBR_VALUE__F64S, float_at);
    case RBR_KIND_I64_VEC:
        return list_from(self, value, RBR_VALUE__I64S, int_at);
    case RBR_KIND_STR_VEC:
        return list_from(self, value, RBR_VALUE__STRS, str_at);
    default:
        return list_from(self, value, RBR_VALUE__B, bool_at);
    }
}
