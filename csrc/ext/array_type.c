/* SPDX-License-Identifier: MIT */
/*
 * array_type.c - Array: memory with shape, strides and format, exported as a buffer.
 *
 * It is what stands behind every array of ours: an ndarray has it as its base, a memoryview as its
 * obj. It holds a reference to a block of an arena, which goes back when the last view has gone,
 * or memory of its own in the same allocation:
 *
 *   +--------------+-------+---------+---------+----------------------------+
 *   | ArrayObject  | shape | strides | (align) | bytes, 64-aligned          |   block == NULL
 *   +--------------+-------+---------+---------+----------------------------+
 *
 * An Array that has been handed out never changes, so it may be exported any number of times, and
 * the pointers stay good for as long as it lives, exported or not (numpy releases its view at once
 * and keeps only a reference). It holds no objects but its type, and perhaps another Array, in whose
 * memory it lies: no need for the cycle collector.
 */
#include "tensor.h"

#include <assert.h>

void
array_forget_layout(ArrayObject *self)
{
    memcpy(self->format, "B", 2);
    self->rank = 1;
    self->itemsize = 1;
    self->first = self->memory;
    self->dims[0] = (Py_ssize_t)self->bytes;
    self->dims[1] = 1;
}

/* An Array of `bytes` at `memory`, or behind itself where that is NULL. */
static ArrayObject *
array_make(core_state *state, uint8_t *memory, uint64_t bytes, uint64_t offset, tensor *as)
{
    const uint64_t own = memory == NULL ? bytes + TENSOR_ALIGN : 0;
    const size_t dims = 2 * sizeof(Py_ssize_t) * (size_t)(as->rank > 0 ? as->rank : 1);
    ArrayObject *self;

    if (bytes > PY_SSIZE_T_MAX - 4096) {
        PyErr_NoMemory();
        return NULL;
    }
    self = PyObject_NewVar(ArrayObject, state->array_type, (Py_ssize_t)(dims + own));
    if (self == NULL)
        return NULL;
    self->block = NULL;
    self->holder = NULL;
    self->memory = memory;
    if (memory == NULL) {
        self->memory = (uint8_t *)self->dims + dims;
        self->memory += -(uintptr_t)self->memory & (TENSOR_ALIGN - 1);
    }
    self->bytes = bytes;
    self->first = as->first = self->memory + offset;
    self->readonly = as->readonly;
    if (element_to_format(&as->of, self->format, sizeof self->format)) {
        self->rank = as->rank;
        self->itemsize = as->of.itemsize;
        memcpy(self->dims, as->shape, dims / 2);
        memcpy(self->dims + as->rank, as->strides, dims / 2);
        return self;
    }
    array_forget_layout(self);
    return self;
}

ArrayObject *
array_new(core_state *state, rbr_block *block, uint64_t bytes, uint64_t offset, tensor *as)
{
    uint8_t *memory = block != NULL ? rbr_block_data(block) : NULL;
    ArrayObject *self = array_make(state, memory, bytes, offset, as);

    if (self != NULL)
        self->block = block;
    else if (block != NULL)
        rbr_block_release(block);
    return self;
}

ArrayObject *
array_within(core_state *state, ArrayObject *holder, uint64_t offset, tensor *as)
{
    ArrayObject *self = array_make(state, holder->memory, holder->bytes, offset, as);

    if (self != NULL)
        self->holder = (ArrayObject *)Py_NewRef((PyObject *)holder);
    return self;
}
static_assert(sizeof(Py_ssize_t) == sizeof(int64_t), "dims and the wire's longs are the same");

PyObject *
array_present(core_state *state, ArrayObject *base, const tensor *as, bool *hostile)
{
    numpy_bridge *numpy;
    PyObject *dtype, *result = NULL;

    if (base == NULL)
        return NULL;
    numpy = numpy_needed(state);
    if (numpy != NULL) {
        dtype = as->of.dtype == RBR_DTYPE_BF16 ? bfloat16_dtype(state, numpy)
                                               : numpy_dtype(numpy, &as->of, hostile);
        if (dtype != NULL) {
            result = numpy_array(numpy, dtype, base, as);
            Py_DECREF(dtype);
        }
    } else if (!PyErr_Occurred()) {
        if (as->of.dtype <= RBR_DTYPE_C128 || as->of.dtype == RBR_DTYPE_STR ||
            as->of.dtype == RBR_DTYPE_BYTES)
            result = PyMemoryView_FromObject((PyObject *)base);
        else
            PyErr_SetString(state->cannot_cross,
                            "an array of dates, records or bfloat16 needs numpy on the side that "
                            "gets it");
    }
    if (result == NULL && as->rank > 32 && PyErr_ExceptionMatches(PyExc_ValueError)) {
        PyErr_Clear();
        PyErr_Format(state->cannot_cross, "an array with %d dimensions: numpy here takes only 32",
                     as->rank);
    }
    Py_DECREF((PyObject *)base);
    return result;
}

/* ---------------------------------------------------------------------------------------- empty */

/* shape: an int or a sequence of ints. */
static int
read_shape(PyObject *shape, tensor *out)
{
    PyObject *items;
    Py_ssize_t count, i;
    int result = -1;

    if (PyIndex_Check(shape)) {
        out->rank = 1;
        out->shape[0] = PyNumber_AsSsize_t(shape, PyExc_OverflowError);
        return out->shape[0] == -1 && PyErr_Occurred() ? -1 : 0;
    }
    items = PySequence_Tuple(shape);
    if (items == NULL)
        return -1;
    count = PyTuple_Size(items);
    if (count > TENSOR_RANK_MAX) {
        PyErr_Format(PyExc_ValueError, "an array has at most %d dimensions", TENSOR_RANK_MAX);
        goto done;
    }
    out->rank = (int)count;
    for (i = 0; i < count; i++) {
        out->shape[i] = PyNumber_AsSsize_t(PyTuple_GetItem(items, i), PyExc_OverflowError);
        if (out->shape[i] == -1 && PyErr_Occurred())
            goto done;
    }
    result = 0;
done:
    Py_DECREF(items);
    return result;
}

static int
read_dtype(core_state *state, PyObject *dtype, element *out)
{
    numpy_bridge *numpy = numpy_needed(state);
    const char *name, *why = "";
    PyObject *made;
    int known = 0;

    if (numpy != NULL) {
        made = PyObject_CallFunctionObjArgs(numpy->dtype, dtype, NULL);
        if (made == NULL)
            return -1;
        known = numpy_element(numpy, made, out, &why);
        Py_DECREF(made);
    } else if (PyErr_Occurred()) {
        return -1;
    } else if (dtype == Py_None) {
        known = element_from_name(out, "float64");
    } else if (PyUnicode_Check(dtype)) {
        name = PyUnicode_AsUTF8AndSize(dtype, NULL);
        if (name == NULL)
            return -1;
        known = element_from_name(out, name);
        why = "not the name of a plain dtype, and numpy is not installed here";
    } else {
        why = "without numpy, a dtype is a name such as 'float32'";
    }
    if (known == 0)
        PyErr_Format(PyExc_TypeError, "no shared array of dtype %R: %s", dtype, why);
    return known == 1 ? 0 : -1;
}

PyObject *
array_empty(ChannelObject *channel, PyObject *shape, PyObject *dtype)
{
    PyObject *result = NULL;
    bool hostile = false;
    rbr_block *block;
    uint64_t bytes;
    tensor as;

    as.readonly = false;
    if (read_shape(shape, &as) < 0 || read_dtype(channel->state, dtype, &as.of) < 0)
        return NULL;
    if (!tensor_bytes(&as, &bytes)) {
        PyErr_Format(PyExc_ValueError, "no array of shape %R: negative or too large", shape);
        goto done;
    }
    tensor_pack(&as, false);
    block = channel_allocate(channel, bytes != 0 ? bytes : 1, channel_answer_deadline(channel));
    if (block == NULL)
        goto done;
    result = array_present(channel->state, array_new(channel->state, block, bytes, 0, &as), &as,
                           &hostile);
done:
    Py_XDECREF(as.of.descr);
    return result;
}

/* ----------------------------------------------------------------------------------------- type */

/* The layout as a tensor, for the questions that tensor_layout.c answers. */
static void
array_layout(ArrayObject *self, tensor *out)
{
    out->of.itemsize = (uint32_t)self->itemsize;
    out->rank = self->rank;
    memcpy(out->shape, self->dims, sizeof(int64_t) * (size_t)self->rank);
    memcpy(out->strides, self->dims + self->rank, sizeof(int64_t) * (size_t)self->rank);
}

static int
array_getbuffer(PyObject *object, Py_buffer *view, int flags)
{
    ArrayObject *self = (ArrayObject *)object;
    const bool strided = (flags & PyBUF_STRIDES) == PyBUF_STRIDES;
    const char *problem = NULL;
    bool c_order, fortran;
    uint64_t bytes = 0;
    tensor layout;

    view->obj = NULL;
    array_layout(self, &layout);
    c_order = tensor_is_packed(&layout, false);
    fortran = tensor_is_packed(&layout, true);
    if (!tensor_bytes(&layout, &bytes))
        problem = "too large";
    else if ((flags & PyBUF_WRITABLE) == PyBUF_WRITABLE && self->readonly)
        problem = "read-only";
    else if ((flags & PyBUF_C_CONTIGUOUS) == PyBUF_C_CONTIGUOUS && !c_order)
        problem = "not C-contiguous";
    else if ((flags & PyBUF_F_CONTIGUOUS) == PyBUF_F_CONTIGUOUS && !fortran)
        problem = "not Fortran-contiguous";
    else if ((flags & PyBUF_ANY_CONTIGUOUS) == PyBUF_ANY_CONTIGUOUS && !c_order && !fortran)
        problem = "not contiguous";
    else if (!strided && !c_order)
        problem = "not C-contiguous";
    if (problem != NULL) {
        PyErr_Format(PyExc_BufferError, "this Array is %s", problem);
        return -1;
    }
    view->obj = Py_NewRef(object);
    view->buf = self->first;
    view->len = (Py_ssize_t)bytes;
    view->readonly = self->readonly;
    view->itemsize = self->itemsize;
    view->format = (flags & PyBUF_FORMAT) == PyBUF_FORMAT ? self->format : NULL;
    view->ndim = self->rank;
    view->shape = (flags & PyBUF_ND) == PyBUF_ND && self->rank > 0 ? self->dims : NULL;
    view->strides = strided && self->rank > 0 ? self->dims + self->rank : NULL;
    view->suboffsets = NULL;
    view->internal = NULL;
    return 0;
}

static void
array_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    rbr_block *block = ((ArrayObject *)object)->block;

    if (block != NULL)
        rbr_block_release(block);
    Py_XDECREF((PyObject *)((ArrayObject *)object)->holder);
    PyObject_Free(object);
    Py_DECREF((PyObject *)type);
}

static PyObject *
array_repr(PyObject *object)
{
    ArrayObject *self = (ArrayObject *)object;

    return PyUnicode_FromFormat("<ringbridge Array: %zd bytes %s>", (Py_ssize_t)self->bytes,
                                self->block != NULL ? "of shared memory" : "of its own");
}

static PyObject *
array_refuse_new(PyTypeObject *Py_UNUSED(type), PyObject *Py_UNUSED(args),
                 PyObject *Py_UNUSED(kwargs))
{
    PyErr_SetString(PyExc_TypeError, "an Array is made by ringbridge.empty(...)");
    return NULL;
}

static PyType_Slot array_slots[] = {
    {Py_tp_doc, "Memory of a block with shape, strides and format: the buffer behind received "
                "arrays."},
    {Py_tp_new, array_refuse_new},
    {Py_tp_dealloc, array_dealloc},
    {Py_tp_repr, array_repr},
    {Py_bf_getbuffer, array_getbuffer},
    {0, NULL},
};

PyType_Spec array_type_spec = {
    .name = "ringbridge._core.Array",
    .basicsize = sizeof(ArrayObject),
    .itemsize = 1,
    .flags = Py_TPFLAGS_DEFAULT | RBR_TPFLAGS_IMMUTABLE,
    .slots = array_slots,
};
