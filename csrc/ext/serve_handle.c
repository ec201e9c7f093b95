/* SPDX-License-Identifier: MIT */
/*
 * serve_handle.c - objects that stay in the worker: their table, their attributes.
 *
 * Each time one is sent it gets a number of its own, which the host releases when it lets go of that
 * handle; the object goes with its last number. A call that the host ends before it has taken all that
 * was sent for it says which number was the last that it saw: those after it nobody will release.
 */
#include "serve.h"

#include <string.h>

PyObject *
serve_type_name(PyObject *value)
{
    PyObject *type = (PyObject *)Py_TYPE(value), *full = NULL;
    PyObject *module = PyObject_GetAttrString(type, "__module__");
    PyObject *name = module != NULL ? PyObject_GetAttrString(type, "__qualname__") : NULL;

    if (name != NULL && PyUnicode_Check(module) && PyUnicode_Check(name) &&
        PyUnicode_CompareWithASCIIString(module, "builtins") != 0) {
        full = PyUnicode_FromFormat("%U.%U", module, name);
        Py_CLEAR(name);
    }
    Py_XDECREF(module);
    return full != NULL ? full : name;
}

/* ---------------------------------------------------------------------------------------- table */

/* How many numbers the object has; -1 with an exception. */
static long
count_of(const server *self, PyObject *object, PyObject **key)
{
    PyObject *count;

    *key = PyLong_FromVoidPtr(object);
    if (*key == NULL)
        return -1;
    count = PyDict_GetItemWithError(self->kept_ids, *key);
    if (count == NULL)
        return PyErr_Occurred() ? -1 : 0;
    return PyLong_AsLong(count);
}

static int
set_count(const server *self, PyObject *key, long count)
{
    PyObject *value;
    int result;

    if (count <= 0)
        return PyDict_DelItem(self->kept_ids, key);
    value = PyLong_FromLong(count);
    result = value != NULL ? PyDict_SetItem(self->kept_ids, key, value) : -1;
    Py_XDECREF(value);
    return result;
}

uint64_t
serve_keep(server *self, PyObject *object)
{
    PyObject *number = PyLong_FromUnsignedLongLong(self->last_kept + 1), *key = NULL;
    uint64_t made = 0;
    long count;

    if (number != NULL && PyDict_SetItem(self->kept, number, object) == 0) {
        count = count_of(self, object, &key);
        if (count >= 0 && set_count(self, key, count + 1) == 0)
            made = ++self->last_kept;
    }
    Py_XDECREF(number);
    Py_XDECREF(key);
    return made;
}

int
serve_handle_of(server *self, PyObject *value, uint64_t *number)
{
    PyObject *key = NULL;
    const long count = PyDict_Size(self->kept) > 0 ? count_of(self, value, &key) : 0;

    Py_XDECREF(key);
    if (count <= 0 || number == NULL)
        return count < 0 ? -1 : count > 0;
    *number = serve_keep(self, value);
    return *number != 0 ? 1 : -1;
}

PyObject *
serve_kept(server *self, uint64_t number)
{
    PyObject *key = PyLong_FromUnsignedLongLong(number);
    PyObject *object = key != NULL ? PyDict_GetItemWithError(self->kept, key) : NULL;

    Py_XINCREF(object);
    if (object == NULL && !PyErr_Occurred())
        PyErr_Format(PyExc_LookupError, "the object with number %R is not here any more", key);
    Py_XDECREF(key);
    return object;
}

PyObject *
serve_function(server *self, uint64_t id)
{
    if (id < (uint64_t)PyList_Size(self->functions))
        return Py_NewRef(PyList_GetItem(self->functions, (Py_ssize_t)id));
    PyErr_Format(self->channel->state->protocol_error, "there is no function number %llu",
                 (unsigned long long)id);
    return NULL;
}

static void
release_one(server *self, uint64_t number)
{
    PyObject *key = PyLong_FromUnsignedLongLong(number), *object = NULL, *count_key = NULL;
    long count;

    if (key != NULL)
        object = PyDict_GetItemWithError(self->kept, key);
    if (object != NULL) {
        Py_INCREF(object); /* its own __del__ runs when the table is in order again */
        count = count_of(self, object, &count_key);
        if (count > 0)
            set_count(self, count_key, count - 1);
        PyDict_DelItem(self->kept, key);
        if (PyDict_DelItem(self->kept_for, key) < 0)
            PyErr_Clear(); /* it was never sent */
        Py_XDECREF(count_key);
        Py_DECREF(object);
    }
    Py_XDECREF(key);
    PyErr_Clear();
}

/* What was given for this call with numbers above `last`: messages that nobody has taken. */
static PyObject *
given_after(const server *self, uint64_t call, uint64_t last)
{
    PyObject *numbers = PyList_New(0), *number, *given_for;
    Py_ssize_t position = 0;

    while (numbers != NULL && PyDict_Next(self->kept_for, &position, &number, &given_for))
        if (PyLong_AsUnsignedLongLong(given_for) == call &&
            PyLong_AsUnsignedLongLong(number) > last && PyList_Append(numbers, number) < 0)
            Py_CLEAR(numbers);
    return numbers;
}

static void
release_after(server *self, uint64_t call, uint64_t last)
{
    PyObject *numbers = given_after(self, call, last);

    if (numbers != NULL)
        serve_take_back(self, numbers);
    Py_XDECREF(numbers);
    PyErr_Clear();
}

void
serve_release(server *self, uint64_t id, rbr_table body)
{
    uint32_t count, i;
    const uint8_t *first = rbr_get_vector(body, RBR_RELEASE__HANDLES, &count);

    for (i = 0; i < count; i++) {
        uint64_t number;

        memcpy(&number, first + 8 * (size_t)i, sizeof number);
        if (id == 0)
            release_one(self, number);
        else
            release_after(self, id, number);
    }
}

void
serve_given(server *self, uint64_t call, PyObject *numbers)
{
    PyObject *type, *value, *traceback, *id;
    Py_ssize_t i;

    PyErr_Fetch(&type, &value, &traceback);
    id = PyLong_FromUnsignedLongLong(call);
    for (i = 0; self != NULL && id != NULL && i < PyList_Size(numbers); i++)
        PyDict_SetItem(self->kept_for, PyList_GetItem(numbers, i), id);
    Py_XDECREF(id);
    PyErr_Restore(type, value, traceback); /* without memory they are released one by one alone */
}

void
serve_take_back(server *self, PyObject *numbers)
{
    PyObject *type, *value, *traceback;
    Py_ssize_t i;

    PyErr_Fetch(&type, &value, &traceback);
    for (i = 0; self != NULL && i < PyList_Size(numbers); i++)
        release_one(self, PyLong_AsUnsignedLongLong(PyList_GetItem(numbers, i)));
    PyErr_Restore(type, value, traceback);
}

/* ----------------------------------------------------------------------------------- attributes */

/* A client of an application reaches what its objects show, not what they are made of: from there it is a
 * short way to everything. */
bool
serve_is_reachable(const server *self, const char *name, uint32_t size)
{
    static const char *const special[] = {"__call__", "__dir__"};
    size_t i;

    if (!self->served || size == 0 || name[0] != '_')
        return true;
    for (i = 0; i < sizeof special / sizeof special[0]; i++)
        if (size == strlen(special[i]) && memcmp(name, special[i], size) == 0)
            return true;
    PyErr_Format(
        PyExc_PermissionError,
        "%.100s: what begins with an underscore is not served of an object that stays there", name);
    return false;
}

/* Whether it stays here already: then it is no method, even where it can be called. */
static bool
is_kept(const server *self, PyObject *object)
{
    PyObject *key = NULL;
    const long count = count_of(self, object, &key);

    Py_XDECREF(key);
    PyErr_Clear();
    return count > 0;
}

static int
get_attribute(server *self, const rbr_message *message, PyObject *object, PyObject *name)
{
    const uint64_t id = rbr_message_id(message);
    PyObject *value = PyObject_GetAttr(object, name), *described = NULL;
    int result = -1;

    if (value != NULL && !is_kept(self, value)) {
        described = PyObject_CallMethod(self->table, "describe", "OOO", object, name, value);
        if (described != Py_None) /* a method, or an exception */
            Py_CLEAR(value);
    }
    if (value != NULL)
        result = serve_answer_call(self, id, value, false);
    serve_ran(self, id);
    if (value == NULL && described != NULL && described != Py_None)
        result = serve_answer_method(self, id, described);
    Py_XDECREF(value);
    Py_XDECREF(described);
    return result;
}

static int
set_attribute(server *self, const rbr_message *message, PyObject *object, PyObject *name,
              rbr_table set)
{
    const uint64_t id = rbr_message_id(message);
    value_decoder decoder = {.state = self->channel->state,
                             .channel = self->channel,
                             .message = message,
                             .pickle = self->channel->pickle};
    PyObject *value = value_decode(&decoder, set);
    int result;

    if (value == NULL)
        return -1;
    result = PyObject_SetAttr(object, name, value);
    Py_DECREF(value);
    return result == 0 ? serve_answer_call(self, id, Py_None, false) : -1;
}

int
serve_attribute(server *self, const rbr_message *message, rbr_table body)
{
    const uint64_t id = rbr_message_id(message), before = self->running;
    const rbr_table set = rbr_get_table(body, RBR_ATTRIBUTE__SET);
    PyObject *object = NULL, *name = NULL;
    int result = -1;
    uint32_t size;
    const char *text = rbr_get_string(body, RBR_ATTRIBUTE__NAME, &size);

    if (serve_begin(self, id) == 0 && serve_is_reachable(self, text, size))
        object = serve_kept(self, rbr_get_u64(body, RBR_ATTRIBUTE__HANDLE, 0));
    if (object != NULL)
        name = PyUnicode_DecodeUTF8(text, (Py_ssize_t)size, NULL);
    if (name != NULL)
        result = set.at != NULL ? set_attribute(self, message, object, name, set)
                                : get_attribute(self, message, object, name);
    Py_XDECREF(name);
    Py_XDECREF(object);
    return serve_over(self, id, before, result);
}
