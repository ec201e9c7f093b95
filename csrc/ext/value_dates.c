/* SPDX-License-Identifier: MIT */
/*
 * value_dates.c - date, time, datetime and timedelta, both ways.
 *
 * Each travels as the numbers that its constructor takes (values.h), so nothing is rounded and no
 * calendar is computed here. A time zone is datetime.timezone, by its offset and name, or
 * zoneinfo.ZoneInfo, by its key; others have no identity that the other side could rebuild.
 */
#include "values.h"

#define SUB_FOLD 1u
enum { ZONE_NONE = 0, ZONE_FIXED = 1, ZONE_KEY = 2 };

#define NUMBERS_MAX 10 /* a datetime's seven, a fixed offset's three */

/* What the constructors take, in their order. */
static const struct {
    enum cold_type type;
    uint8_t kind, count;
    bool has_zone;
    const char *names[7];
} dates[] = {
    {COLD_DATE, RBR_KIND_DATE, 3, false, {"year", "month", "day"}},
    {COLD_TIME, RBR_KIND_TIME, 4, true, {"hour", "minute", "second", "microsecond"}},
    {COLD_DATE_TIME,
     RBR_KIND_DATE_TIME,
     7,
     true,
     {"year", "month", "day", "hour", "minute", "second", "microsecond"}},
    {COLD_TIME_DELTA, RBR_KIND_TIME_DELTA, 3, false, {"days", "seconds", "microseconds"}},
};
enum { DATES = sizeof dates / sizeof *dates, DELTA = DATES - 1 };

/* ------------------------------------------------------------------------------------ encoding */

/* What is sent of one date. */
typedef struct parts {
    int64_t numbers[NUMBERS_MAX];
    uint32_t count;
    uint8_t sub;
    PyObject *aux; /* the zone's name or key; a reference, or NULL */
} parts;

static int
read_numbers(PyObject *value, int which, parts *out)
{
    int i;

    for (i = 0; i < dates[which].count; i++) {
        PyObject *number = PyObject_GetAttrString(value, dates[which].names[i]);
        if (number == NULL)
            return -1;
        out->numbers[out->count++] = PyLong_AsLongLong(number);
        Py_DECREF(number);
        if (PyErr_Occurred())
            return -1;
    }
    return 0;
}

/* datetime.timezone: __getinitargs__ gives (offset,) or (offset, name). */
static int
read_fixed_zone(PyObject *zone, parts *out)
{
    PyObject *args = PyObject_CallMethod(zone, "__getinitargs__", NULL);
    int result = -1;

    if (args == NULL)
        return -1;
    if (PyTuple_Check(args) && PyTuple_Size(args) >= 1)
        result = read_numbers(PyTuple_GetItem(args, 0), DELTA, out);
    if (result == 0 && PyTuple_Size(args) == 2)
        out->aux = Py_NewRef(PyTuple_GetItem(args, 1));
    Py_DECREF(args);
    out->sub |= ZONE_FIXED << 1;
    return result;
}

static int
read_zone(value_encoder *self, PyObject *value, parts *out, const value_path *path)
{
    core_state *state = self->state;
    PyObject *zone = PyObject_GetAttrString(value, "tzinfo"), *type;
    int result = 0;

    if (zone == NULL)
        return -1;
    type = (PyObject *)Py_TYPE(zone);
    if (zone == Py_None) {
        result = 0;
    } else if (type == cold_type(state, COLD_TIMEZONE, false)) {
        result = read_fixed_zone(zone, out);
    } else {
        if (type == cold_type(state, COLD_ZONE_INFO, false)) {
            out->aux = PyObject_GetAttrString(zone, "key");
            out->sub |= ZONE_KEY << 1;
        }
        if (out->aux == NULL && PyErr_Occurred())
            result = -1;
        else if (out->aux == NULL || !PyUnicode_Check(out->aux))
            result = value_refuse(self, path,
                                  "a time zone of %R cannot cross; use datetime.timezone or a "
                                  "zoneinfo.ZoneInfo that has a key",
                                  type);
    }
    Py_DECREF(zone);
    return result;
}

static int
write_parts(value_encoder *self, uint8_t kind, const parts *from, uint32_t slot,
            const value_path *path)
{
    const char *aux = NULL;
    Py_ssize_t aux_size = 0;
    rbr_shape shape;
    uint32_t table, first, fields;

    fields = RBR_BIT(RBR_VALUE__KIND) | RBR_BIT(RBR_VALUE__SUB) | RBR_BIT(RBR_VALUE__I64S);
    if (from->aux != NULL) {
        aux = PyUnicode_AsUTF8AndSize(from->aux, &aux_size);
        if (aux == NULL)
            return PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)
                       ? value_refuse(self, path, "a time zone whose name is not text")
                       : -1;
        fields |= RBR_BIT(RBR_VALUE__AUX);
    }
    rbr_shape_make(&shape, &rbr_desc_value, fields);
    table = value_table_once(self, slot, &shape, kind, path);
    if (table == 0)
        return -1;
    rbr_build_u8(&self->build, table, &shape, RBR_VALUE__SUB, from->sub);
    first = rbr_build_vector(&self->build, rbr_build_slot(table, &shape, RBR_VALUE__I64S),
                             from->count, 8, 8);
    if (first != 0)
        memcpy(self->build.base + first, from->numbers, 8 * (size_t)from->count);
    if (aux != NULL)
        rbr_build_string(&self->build, rbr_build_slot(table, &shape, RBR_VALUE__AUX), aux,
                         (uint32_t)aux_size);
    return value_built(self, path);
}

static int
read_fold(PyObject *value, parts *out)
{
    PyObject *fold = PyObject_GetAttrString(value, "fold");

    if (fold == NULL)
        return -1;
    if (PyObject_IsTrue(fold) == 1)
        out->sub |= SUB_FOLD;
    Py_DECREF(fold);
    return 0;
}

int
dates_encode(value_encoder *self, PyObject *value, uint32_t slot, const value_path *path)
{
    core_state *state = self->state;
    PyObject *type = (PyObject *)Py_TYPE(value);
    parts sent = {.count = 0};
    int which, result = -1;

    for (which = 0; which < DATES; which++)
        if (type == state->cold_types[dates[which].type])
            break;
    if (which == DATES)
        return 0;
    if (read_numbers(value, which, &sent) < 0)
        return -1;
    if (!dates[which].has_zone ||
        (read_fold(value, &sent) == 0 && read_zone(self, value, &sent, path) == 0))
        result = write_parts(self, dates[which].kind, &sent, slot, path);
    Py_XDECREF(sent.aux);
    return result < 0 ? -1 : 1;
}

/* ------------------------------------------------------------------------------------ decoding */

static PyObject *
number_at(const uint8_t *numbers, uint32_t index)
{
    int64_t number;

    memcpy(&number, numbers + 8 * (size_t)index, 8);
    return PyLong_FromLongLong(number);
}

/* The constructor's arguments: `count` numbers, and room for a zone. */
static PyObject *
numbers_tuple(const uint8_t *numbers, uint32_t count, PyObject *zone)
{
    PyObject *args = PyTuple_New((Py_ssize_t)count + (zone != NULL ? 1 : 0)), *number;
    uint32_t i;

    for (i = 0; args != NULL && i < count; i++) {
        number = number_at(numbers, i);
        if (number == NULL || PyTuple_SetItem(args, i, number) < 0)
            Py_CLEAR(args);
    }
    if (args != NULL && zone != NULL && PyTuple_SetItem(args, count, Py_NewRef(zone)) < 0)
        Py_CLEAR(args);
    return args;
}

static PyObject *
make_fixed_zone(core_state *state, const uint8_t *numbers, PyObject *name)
{
    PyObject *delta_type = cold_type(state, COLD_TIME_DELTA, true);
    PyObject *zone_type = cold_type(state, COLD_TIMEZONE, true);
    PyObject *args = numbers_tuple(numbers, 3, NULL), *delta = NULL, *zone = NULL;

    if (delta_type != NULL && zone_type != NULL && args != NULL)
        delta = PyObject_Call(delta_type, args, NULL);
    if (delta != NULL)
        zone = PyObject_CallFunctionObjArgs(zone_type, delta, name, NULL);
    Py_XDECREF(args);
    Py_XDECREF(delta);
    return zone;
}

static PyObject *
make_key_zone(value_decoder *self, PyObject *key)
{
    PyObject *type = cold_type(self->state, COLD_ZONE_INFO, true), *zone;

    if (type == NULL)
        return NULL;
    if (key == NULL)
        return value_bad(self, "a ZoneInfo without key");
    zone = PyObject_CallFunctionObjArgs(type, key, NULL);
    if (zone == NULL && PyErr_ExceptionMatches(PyExc_KeyError)) { /* ZoneInfoNotFoundError */
        PyErr_Clear();
        PyErr_Format(self->state->cannot_cross,
                     "the time zone %R is not known here; install tzdata", key);
    }
    return zone;
}

/* None, or the zone; numbers after the date's own are a fixed offset. */
static PyObject *
decode_zone(value_decoder *self, rbr_table value, uint8_t zone, const uint8_t *offset)
{
    uint32_t size;
    const char *text = rbr_get_string(value, RBR_VALUE__AUX, &size);
    PyObject *aux = NULL, *result;

    if (zone == ZONE_NONE)
        return Py_NewRef(Py_None);
    if (text != NULL) {
        aux = PyUnicode_DecodeUTF8(text, size, "strict");
        if (aux == NULL)
            return NULL;
    }
    result = zone == ZONE_FIXED ? make_fixed_zone(self->state, offset, aux)
                                : make_key_zone(self, aux);
    Py_XDECREF(aux);
    return result;
}

static PyObject *
make_date(value_decoder *self, int which, const uint8_t *numbers, PyObject *zone, bool fold)
{
    PyObject *type = cold_type(self->state, dates[which].type, true);
    PyObject *args = numbers_tuple(numbers, dates[which].count, zone);
    PyObject *keywords = fold ? Py_BuildValue("{si}", "fold", 1) : NULL, *result = NULL;

    if (type != NULL && args != NULL && (keywords != NULL || !fold))
        result = PyObject_Call(type, args, keywords);
    Py_XDECREF(args);
    Py_XDECREF(keywords);
    return result;
}

PyObject *
dates_decode(value_decoder *self, rbr_table value, uint8_t kind)
{
    const uint8_t sub = rbr_get_u8(value, RBR_VALUE__SUB, 0), zone_kind = sub >> 1;
    PyObject *zone = NULL, *result;
    const uint8_t *numbers;
    uint32_t count, wanted;
    int which = 0;

    while (which < DATES && dates[which].kind != kind)
        which++;
    if (which == DATES)
        return value_bad(self, "a kind that this version does not know");
    numbers = value_vector(self, value, RBR_VALUE__I64S, &count);
    if (numbers == NULL)
        return NULL;
    wanted = dates[which].count + (zone_kind == ZONE_FIXED ? 3u : 0u);
    if (count != wanted || zone_kind > ZONE_KEY || (!dates[which].has_zone && sub != 0))
        return value_bad(self, "not the parts of a date or time");
    if (dates[which].has_zone) {
        zone = decode_zone(self, value, zone_kind, numbers + 8 * (size_t)dates[which].count);
        if (zone == NULL)
            return value_bad(self, "not a time zone");
    }
    result = make_date(self, which, numbers, zone, (sub & SUB_FOLD) != 0);
    Py_XDECREF(zone);
    if (result == NULL)
        return value_bad(self, "not a date or time");
    return result;
}
