/* SPDX-License-Identifier: MIT */
/*
 * value_rare.c - the kinds that are seldom sent: int beyond 64 bits, slice, range, Path, UUID,
 * Decimal. Both ways.
 *
 * Their types live in modules that may not be imported yet. Encoding looks in sys.modules only: a
 * module that nobody imported has no values. Decoding imports.
 */
#include "values.h"

/* A UUID's sub: what its maker knew of its uniqueness (uuid.SafeUUID). */
enum { UUID_UNKNOWN, UUID_SAFE, UUID_UNSAFE };

static const struct {
    const char *module, *name;
} cold_names[COLD_COUNT] = {
    [COLD_DATE] = {"datetime", "date"},
    [COLD_TIME] = {"datetime", "time"},
    [COLD_DATE_TIME] = {"datetime", "datetime"},
    [COLD_TIME_DELTA] = {"datetime", "timedelta"},
    [COLD_TIMEZONE] = {"datetime", "timezone"},
    [COLD_ZONE_INFO] = {"zoneinfo", "ZoneInfo"},
    [COLD_DECIMAL] = {"decimal", "Decimal"},
    [COLD_UUID] = {"uuid", "UUID"},
    [COLD_PATH] = {"pathlib", "PosixPath"},
    [COLD_PURE_POSIX_PATH] = {"pathlib", "PurePosixPath"},
    [COLD_PURE_WINDOWS_PATH] = {"pathlib", "PureWindowsPath"},
};
_Static_assert(COLD_COUNT <= sizeof((core_state *)0)->cold_types / sizeof(PyObject *),
               "core_state has room for them");

PyObject *
cold_type(core_state *state, enum cold_type which, bool needed)
{
    PyObject *module, *name, *type;

    if (state->cold_types[which] != NULL)
        return state->cold_types[which];
    name = PyUnicode_FromString(cold_names[which].module);
    if (name == NULL)
        return NULL;
    module = needed ? PyImport_Import(name) : PyImport_GetModule(name);
    Py_DECREF(name);
    if (module == NULL)
        return NULL;
    type = PyObject_GetAttrString(module, cold_names[which].name);
    Py_DECREF(module);
    if (type == NULL && !needed && PyErr_ExceptionMatches(PyExc_AttributeError))
        PyErr_Clear(); /* being imported just now */
    if (type != NULL && state->cold_types[which] == NULL)
        state->cold_types[which] = type;
    else
        Py_XDECREF(type);
    return type != NULL ? state->cold_types[which] : NULL;
}

/* ------------------------------------------------------------------------------------ encoding */

/* bytes of this size, in two's complement, little-endian: a call of int.to_bytes */
static PyObject *
int_to_bytes(PyObject *value)
{
    PyObject *bits = PyObject_CallMethod(value, "bit_length", NULL), *result = NULL;
    PyObject *method = PyObject_GetAttrString(value, "to_bytes");
    PyObject *keywords = Py_BuildValue("{sO}", "signed", Py_True), *args = NULL;

    if (bits != NULL) {
        const long long count = PyLong_AsLongLong(bits);
        if (count >= 0)
            args = Py_BuildValue("(Ls)", count / 8 + 1, "little");
    }
    if (args != NULL && method != NULL && keywords != NULL)
        result = PyObject_Call(method, args, keywords);
    Py_XDECREF(bits);
    Py_XDECREF(method);
    Py_XDECREF(keywords);
    Py_XDECREF(args);
    return result;
}

/* Sends a bytes object as `kind`; takes it; NULL passes an error on. 1 or -1. */
static int
encode_taken_bytes(value_encoder *self, uint8_t kind, PyObject *bytes, uint32_t slot,
                   const value_path *path)
{
    char *data;
    Py_ssize_t size;
    int result = -1;

    if (bytes == NULL)
        return -1;
    if (PyBytes_AsStringAndSize(bytes, &data, &size) == 0)
        result = value_encode_bytes(self, kind, data, (uint64_t)size, slot, path);
    Py_DECREF(bytes);
    return result < 0 ? -1 : 1;
}

int
rare_encode_big_int(value_encoder *self, PyObject *value, uint32_t slot, const value_path *path)
{
    return encode_taken_bytes(self, RBR_KIND_BIG_INT, int_to_bytes(value), slot, path) < 0 ? -1 : 0;
}

/* slice and range */
static int
encode_bounds(value_encoder *self, PyObject *value, uint8_t kind, uint32_t slot,
              const value_path *path)
{
    PyObject *parts[3];
    int result = -1;

    parts[0] = PyObject_GetAttrString(value, "start");
    parts[1] = PyObject_GetAttrString(value, "stop");
    parts[2] = PyObject_GetAttrString(value, "step");
    if (parts[0] != NULL && parts[1] != NULL && parts[2] != NULL)
        result = value_encode_parts(self, kind, parts, 3, slot, path);
    Py_XDECREF(parts[0]);
    Py_XDECREF(parts[1]);
    Py_XDECREF(parts[2]);
    return result < 0 ? -1 : 1;
}

/* The same, with a sub. */
static int
encode_taken_sub_bytes(value_encoder *self, uint8_t kind, uint8_t sub, PyObject *bytes,
                       uint32_t slot, const value_path *path)
{
    rbr_shape shape;
    uint32_t table;
    int result = -1;

    rbr_shape_make(&shape, &rbr_desc_value,
                   RBR_BIT(RBR_VALUE__KIND) | RBR_BIT(RBR_VALUE__SUB) | RBR_BIT(RBR_VALUE__B));
    table = value_table_once(self, slot, &shape, kind, path);
    if (table != 0) {
        rbr_build_u8(&self->build, table, &shape, RBR_VALUE__SUB, sub);
        rbr_build_bytes(&self->build, rbr_build_slot(table, &shape, RBR_VALUE__B),
                        PyBytes_AsString(bytes), (uint32_t)PyBytes_Size(bytes));
        result = value_built(self, path);
    }
    Py_DECREF(bytes);
    return result < 0 ? -1 : 1;
}

static int
encode_path(value_encoder *self, PyObject *value, uint8_t sub, uint32_t slot,
            const value_path *path)
{
    PyObject *text = PyObject_Str(value), *bytes;

    bytes = text != NULL ? PyUnicode_AsEncodedString(text, "utf-8", "surrogateescape") : NULL;
    Py_XDECREF(text);
    if (bytes == NULL) {
        if (PyErr_ExceptionMatches(PyExc_UnicodeEncodeError))
            value_refuse(self, path, "a path with a lone surrogate, which no file has");
        return -1;
    }
    return encode_taken_sub_bytes(self, RBR_KIND_PATH, sub, bytes, slot, path);
}

/* UUID.is_safe is an enum whose value is None, 0 or -1; 0 with an exception in *failed. */
static uint8_t
uuid_safety(PyObject *uuid, bool *failed)
{
    PyObject *is_safe = PyObject_GetAttrString(uuid, "is_safe"), *value = NULL;
    uint8_t sub = UUID_UNKNOWN;

    if (is_safe != NULL)
        value = PyObject_GetAttrString(is_safe, "value");
    *failed = value == NULL;
    if (value != NULL && value != Py_None)
        sub = PyObject_IsTrue(value) == 0 ? UUID_SAFE : UUID_UNSAFE;
    Py_XDECREF(is_safe);
    Py_XDECREF(value);
    return sub;
}

static int
encode_uuid(value_encoder *self, PyObject *value, uint32_t slot, const value_path *path)
{
    bool failed;
    const uint8_t sub = uuid_safety(value, &failed);
    PyObject *bytes = failed ? NULL : PyObject_GetAttrString(value, "bytes");

    if (bytes == NULL)
        return -1;
    if (sub == UUID_UNKNOWN)
        return encode_taken_bytes(self, RBR_KIND_UUID, bytes, slot, path);
    return encode_taken_sub_bytes(self, RBR_KIND_UUID, sub, bytes, slot, path);
}

static int
encode_decimal(value_encoder *self, PyObject *value, uint32_t slot, const value_path *path)
{
    const rbr_shape *shape = &rbr_shape_value_string;
    PyObject *text = PyObject_Str(value);
    const char *bytes;
    Py_ssize_t size;
    uint32_t table = 0;

    if (text == NULL)
        return -1;
    bytes = PyUnicode_AsUTF8AndSize(text, &size);
    if (bytes != NULL)
        table = value_table(self, slot, shape, RBR_KIND_DECIMAL, path);
    if (table != 0)
        rbr_build_string(&self->build, rbr_build_slot(table, shape, RBR_VALUE__S), bytes,
                         (uint32_t)size);
    Py_DECREF(text);
    return table == 0 || value_built(self, path) < 0 ? -1 : 1;
}

int
rare_encode(value_encoder *self, PyObject *value, uint32_t slot, const value_path *path)
{
    core_state *state = self->state;
    PyObject *type = (PyObject *)Py_TYPE(value);
    int i;

    if (type == (PyObject *)&PySlice_Type)
        return encode_bounds(self, value, RBR_KIND_SLICE, slot, path);
    if (type == (PyObject *)&PyRange_Type)
        return encode_bounds(self, value, RBR_KIND_RANGE, slot, path);
    for (i = 0; i < COLD_COUNT; i++) {
        if (type == cold_type(state, i, false))
            break;
        if (PyErr_Occurred())
            return -1;
    }
    if (i == COLD_COUNT) /* here, behind the known types: it looks for an attribute */
        return tensor_encode_dlpack(self, value, slot, path);
    if (i == COLD_DECIMAL)
        return encode_decimal(self, value, slot, path);
    if (i == COLD_UUID)
        return encode_uuid(self, value, slot, path);
    if (i >= COLD_PATH)
        return encode_path(self, value, (uint8_t)(i - COLD_PATH), slot, path);
    return dates_encode(self, value, slot, path);
}

/* ------------------------------------------------------------------------------------ decoding */

PyObject *
rare_decode_big_int(value_decoder *self, rbr_table value)
{
    uint32_t count;
    const uint8_t *bytes = value_vector(self, value, RBR_VALUE__B, &count);
    PyObject *method, *args, *keywords, *result = NULL;

    if (bytes == NULL)
        return NULL;
    method = PyObject_GetAttrString((PyObject *)&PyLong_Type, "from_bytes");
    args = Py_BuildValue("(y#s)", (const char *)bytes, (Py_ssize_t)count, "little");
    keywords = Py_BuildValue("{sO}", "signed", Py_True);
    if (method != NULL && args != NULL && keywords != NULL)
        result = PyObject_Call(method, args, keywords);
    Py_XDECREF(method);
    Py_XDECREF(args);
    Py_XDECREF(keywords);
    return result;
}

static PyObject *
decode_bounds(value_decoder *self, rbr_table value, uint8_t kind)
{
    PyObject *parts[3] = {NULL, NULL, NULL}, *result = NULL;
    uint32_t count, i;
    const uint8_t *first = value_vector(self, value, RBR_VALUE__ITEMS, &count);

    if (first == NULL)
        return NULL;
    if (count != 3)
        return value_bad(self, "a slice or range has three parts");
    for (i = 0; i < 3; i++) {
        parts[i] = value_decode(self, rbr_vector_table(first, i));
        if (parts[i] == NULL)
            goto done;
    }
    if (kind == RBR_KIND_SLICE)
        result = PySlice_New(parts[0], parts[1], parts[2]);
    else
        result = PyObject_CallFunctionObjArgs((PyObject *)&PyRange_Type, parts[0], parts[1],
                                              parts[2], NULL);
    if (result == NULL)
        value_bad(self, "not the parts of a slice or range");
done:
    for (i = 0; i < 3; i++)
        Py_XDECREF(parts[i]);
    return result;
}

/* type(argument), which is taken; NULL passes an error on. What that raises is the peer's doing. */
static PyObject *
make_cold(value_decoder *self, enum cold_type which, PyObject *argument, const char *bad)
{
    PyObject *type, *result = NULL;

    if (argument == NULL)
        return value_bad(self, bad);
    type = cold_type(self->state, which, true);
    if (type != NULL) {
        result = PyObject_CallFunctionObjArgs(type, argument, NULL);
        if (result == NULL)
            value_bad(self, bad);
    }
    Py_DECREF(argument);
    return result;
}

static PyObject *
decode_path(value_decoder *self, rbr_table value)
{
    const uint8_t sub = rbr_get_u8(value, RBR_VALUE__SUB, 0);
    uint32_t count;
    const uint8_t *bytes = value_vector(self, value, RBR_VALUE__B, &count);

    if (bytes == NULL)
        return NULL;
    if (sub > COLD_PURE_WINDOWS_PATH - COLD_PATH)
        return value_bad(self, "an unknown kind of path");
    return make_cold(self, COLD_PATH + sub,
                     PyUnicode_DecodeUTF8((const char *)bytes, count, "surrogateescape"),
                     "not a path");
}

static PyObject *
decode_decimal(value_decoder *self, rbr_table value)
{
    uint32_t count;
    const uint8_t *text = value_vector(self, value, RBR_VALUE__S, &count);

    if (text == NULL)
        return NULL;
    return make_cold(self, COLD_DECIMAL, PyUnicode_DecodeUTF8((const char *)text, count, "strict"),
                     "not a Decimal");
}

/* keywords["is_safe"] = SafeUUID(...) */
static int
add_safety(PyObject *keywords, uint8_t sub)
{
    PyObject *module = PyImport_ImportModule("uuid"), *safety = NULL;
    int result = -1;

    if (module != NULL)
        safety = PyObject_CallMethod(module, "SafeUUID", "(i)", sub == UUID_SAFE ? 0 : -1);
    if (safety != NULL)
        result = PyDict_SetItemString(keywords, "is_safe", safety);
    Py_XDECREF(module);
    Py_XDECREF(safety);
    return result;
}

static PyObject *
decode_uuid(value_decoder *self, rbr_table value)
{
    uint32_t count;
    const uint8_t *bytes = value_vector(self, value, RBR_VALUE__B, &count);
    const uint8_t sub = rbr_get_u8(value, RBR_VALUE__SUB, UUID_UNKNOWN);
    PyObject *type, *args, *keywords, *result = NULL;

    if (bytes == NULL)
        return NULL;
    if (count != 16 || sub > UUID_UNSAFE)
        return value_bad(self, "not the parts of a UUID");
    type = cold_type(self->state, COLD_UUID, true);
    args = PyTuple_New(0);
    keywords = Py_BuildValue("{sy#}", "bytes", (const char *)bytes, (Py_ssize_t)count);
    if (keywords != NULL && sub != UUID_UNKNOWN && add_safety(keywords, sub) < 0)
        Py_CLEAR(keywords);
    if (type != NULL && args != NULL && keywords != NULL)
        result = PyObject_Call(type, args, keywords);
    Py_XDECREF(args);
    Py_XDECREF(keywords);
    return result;
}

PyObject *
rare_decode(value_decoder *self, rbr_table value, uint8_t kind)
{
    switch (kind) {
    case RBR_KIND_SLICE:
    case RBR_KIND_RANGE:
        return decode_bounds(self, value, kind);
    case RBR_KIND_PATH:
        return decode_path(self, value);
    case RBR_KIND_UUID:
        return decode_uuid(self, value);
    case RBR_KIND_DECIMAL:
        return decode_decimal(self, value);
    default:
        return dates_decode(self, value, kind);
    }
}
