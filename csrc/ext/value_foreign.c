/* SPDX-License-Identifier: MIT */
/*
 * value_foreign.c - tables and pickles: values that other libraries make bytes of, and make again.
 *
 * What crosses are plain parts (see values.h); which bytes they hold is known to ringbridge.tables
 * and ringbridge.pickles, which are imported when they are first needed. A value that is no table,
 * or that Arrow refuses, is pickled where both sides have agreed to that, and refused elsewhere.
 *
 * A pickle runs code of the sender's choice. So a frame with one in it, from a peer that had not
 * been given leave, is a ProtocolError before a byte of it is looked at.
 */
#include "values.h"

PyObject *
foreign_function(core_state *state, enum foreign_module which, const char *name)
{
    static const char *const names[FOREIGN_COUNT] = {
        [FOREIGN_TABLES] = "ringbridge.tables",       [FOREIGN_PICKLES] = "ringbridge.pickles",
        [FOREIGN_OUTPUT] = "ringbridge.output",       [FOREIGN_TASK] = "ringbridge.task",
        [FOREIGN_OBJECTS] = "ringbridge.objects",     [FOREIGN_CALLBACKS] = "ringbridge.callbacks",
        [FOREIGN_ANSWERING] = "ringbridge.answering", [FOREIGN_CORE] = "ringbridge._core",
    };

    if (state->foreign[which] == NULL) {
        PyObject *module = PyImport_ImportModule(names[which]);

        if (module == NULL)
            return NULL;
        if (state->foreign[which] == NULL) /* the import may have run other threads */
            state->foreign[which] = module;
        else
            Py_DECREF(module);
    }
    return PyObject_GetAttrString(state->foreign[which], name);
}

/* ------------------------------------------------------------------------------------ encoding */

/* Its module has refused the value with a CannotCross: says where that was. Always -1. */
static int
refused(value_encoder *self, const value_path *path)
{
    PyObject *type, *error, *traceback, *text;

    if (!PyErr_ExceptionMatches(self->state->cannot_cross))
        return -1;
    PyErr_Fetch(&type, &error, &traceback);
    text = error != NULL ? PyObject_Str(error) : NULL;
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    if (text == NULL)
        return -1;
    value_refuse(self, path, "%U", text);
    Py_DECREF(text);
    return -1;
}

/* Memory for an Arrow stream, as a memoryview: of our arena, or private where it travels inline. */
static PyObject *
stream_memory(value_encoder *self, uint64_t bytes)
{
    core_state *state = self->state;
    tensor as = {.of = {.dtype = RBR_DTYPE_U8, .itemsize = 1}, .rank = 1};
    rbr_block *block = NULL;
    ArrayObject *base;
    PyObject *view;

    as.shape[0] = (int64_t)bytes;
    tensor_pack(&as, false);
    if (bytes > TENSOR_INLINE_BYTES_MAX && !self->all_inline) {
        block = channel_allocate(self->channel, bytes, self->deadline_ns);
        if (block == NULL)
            return NULL;
    }
    base = array_new(state, block, bytes, 0, &as);
    if (base == NULL)
        return NULL;
    view = PyMemoryView_FromObject((PyObject *)base);
    Py_DECREF((PyObject *)base);
    return view;
}

/* `measured`: (what, bytes, the Arrow table), from ringbridge.tables. */
static int
encode_measured(value_encoder *self, PyObject *measured, uint32_t slot, const value_path *path)
{
    PyObject *write, *arrow, *parts[2] = {NULL, NULL}, *written = NULL;
    unsigned long long bytes;
    int result = -1;

    if (!PyArg_ParseTuple(measured, "OKO:measure", &parts[0], &bytes, &arrow))
        return -1;
    write = foreign_function(self->state, FOREIGN_TABLES, "write");
    if (write != NULL)
        parts[1] = stream_memory(self, bytes);
    if (parts[1] != NULL)
        written = PyObject_CallFunctionObjArgs(write, arrow, parts[1], NULL);
    if (written != NULL)
        result = value_encode_parts(self, RBR_KIND_TABLE, parts, 2, slot, path);
    Py_XDECREF(write);
    Py_XDECREF(written);
    Py_XDECREF(parts[1]);
    return result;
}

static int
encode_table(value_encoder *self, PyObject *value, uint32_t slot, const value_path *path)
{
    PyObject *measure = foreign_function(self->state, FOREIGN_TABLES, "measure");
    PyObject *measured;
    int result = 0;

    if (measure == NULL)
        return -1;
    measured = PyObject_CallFunctionObjArgs(measure, value, NULL);
    Py_DECREF(measure);
    if (measured == NULL)
        return refused(self, path);
    if (measured != Py_None)
        result = encode_measured(self, measured, slot, path) < 0 ? -1 : 1;
    Py_DECREF(measured);
    return result;
}

static int
encode_pickle(value_encoder *self, PyObject *value, uint32_t slot, const value_path *path)
{
    PyObject *write = foreign_function(self->state, FOREIGN_PICKLES, "write");
    PyObject *parts, **items;
    Py_ssize_t count, i;
    int result = -1;

    if (write == NULL)
        return -1;
    parts = PyObject_CallFunctionObjArgs(write, value, NULL);
    Py_DECREF(write);
    if (parts == NULL)
        return refused(self, path);
    count = PyTuple_Size(parts);
    items = count > 0 ? PyMem_Malloc((size_t)count * sizeof *items) : NULL;
    if (items != NULL) {
        for (i = 0; i < count; i++)
            items[i] = PyTuple_GetItem(parts, i); /* borrowed from parts */
        result = value_encode_parts(self, RBR_KIND_PICKLE, items, (size_t)count, slot, path);
        PyMem_Free(items);
    } else if (count >= 0) {
        PyErr_NoMemory();
    }
    Py_DECREF(parts);
    return result < 0 ? -1 : 1;
}

int
foreign_encode(value_encoder *self, PyObject *value, uint32_t slot, const value_path *path)
{
    int done = encode_table(self, value, slot, path);

    if (!self->pickle)
        return done;
    if (done < 0 && PyErr_ExceptionMatches(self->state->cannot_cross)) {
        PyErr_Clear();
        done = 0;
    }
    return done != 0 ? done : encode_pickle(self, value, slot, path);
}

/* ------------------------------------------------------------------------------------ decoding */

/* name(*items), of one of the two modules. */
static PyObject *
make(value_decoder *self, rbr_table value, enum foreign_module which, const char *bad)
{
    PyObject *items = value_decode_items(self, value), *read, *result = NULL;

    if (items == NULL)
        return NULL;
    read = foreign_function(self->state, which, "read");
    if (read != NULL)
        result = PyObject_Call(read, items, NULL);
    Py_XDECREF(read);
    Py_DECREF(items);
    return result != NULL ? result : value_bad(self, bad);
}

PyObject *
foreign_decode(value_decoder *self, rbr_table value, uint8_t kind)
{
    const bool copy = self->copy;
    PyObject *result;

    if (kind == RBR_KIND_PICKLE) {
        if (!self->pickle)
            return value_bad(self, "a pickle, to which both sides had not agreed");
        return make(self, value, FOREIGN_PICKLES, "not a pickle");
    }
    /* Arrow looks at offsets once to check them and again to use them: never in memory that the
     * peer can still write to. */
    self->copy = true;
    result = make(self, value, FOREIGN_TABLES, "not a table");
    self->copy = copy;
    return result;
}
