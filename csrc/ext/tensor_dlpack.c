/* SPDX-License-Identifier: MIT */
/*
 * tensor_dlpack.c - the memory of an object that has __dlpack__ (torch, jax, cupy ...), as a tensor.
 *
 * The producer hands out a capsule with a struct. We take it at once: the capsule is renamed, so
 * that its destructor leaves the struct alone, and from then on dlpack_close calls the deleter, on
 * every path once. What the struct says is a stranger's word, and checked before it is used; that
 * the memory behind its pointer is there, only the producer can know.
 */
#include "dlpack.h"
#include "values.h"

void
dlpack_close(dlpack_held *self)
{
    PyObject *type, *value, *traceback;

    if (self->old == NULL && self->versioned == NULL)
        return;
    PyErr_Fetch(&type, &value, &traceback); /* a deleter may run Python code */
    if (self->old != NULL && self->old->deleter != NULL)
        self->old->deleter(self->old);
    if (self->versioned != NULL && self->versioned->deleter != NULL)
        self->versioned->deleter(self->versioned);
    PyErr_Restore(type, value, traceback);
    self->old = NULL;
    self->versioned = NULL;
}

/* ------------------------------------------------------------------------------------- the call */

/* What the producer's own code raised, as a refusal with the path; what is not about the value
 * (MemoryError, KeyboardInterrupt) goes through. */
static int
producer_failed(value_encoder *self, PyObject *value, const value_path *path)
{
    PyObject *type, *reason, *traceback;

    if (PyErr_ExceptionMatches(PyExc_MemoryError) || !PyErr_ExceptionMatches(PyExc_Exception))
        return -1;
    PyErr_Fetch(&type, &reason, &traceback);
    PyErr_NormalizeException(&type, &reason, &traceback);
    value_refuse(self, path, "the __dlpack__ of %R does not give its memory: %S",
                 (PyObject *)Py_TYPE(value), reason != NULL ? reason : type);
    Py_XDECREF(type);
    Py_XDECREF(reason);
    Py_XDECREF(traceback);
    return -1;
}

static bool
is_read_by_the_cpu(long device)
{
    return device == DL_CPU || device == DL_CUDA_PINNED || device == DL_ROCM_PINNED;
}

static int
refuse_device(value_encoder *self, long device, const value_path *path)
{
    return value_refuse(self, path,
                        "its memory is on a device (DLPack's type %ld), not the CPU's; send a copy "
                        "that is, such as .cpu() makes",
                        device);
}

/* __dlpack_device__() gives (type, id), before anything is exported. 0, or -1. */
static int
check_device(value_encoder *self, PyObject *value, const value_path *path)
{
    PyObject *device = PyObject_CallMethod(value, "__dlpack_device__", NULL);
    long type = -1;

    if (device == NULL)
        return producer_failed(self, value, path);
    if (PyTuple_Check(device) && PyTuple_Size(device) == 2)
        type = PyLong_AsLong(PyTuple_GetItem(device, 0));
    Py_DECREF(device);
    if (type == -1 && PyErr_Occurred())
        return producer_failed(self, value, path);
    return is_read_by_the_cpu(type) ? 0 : refuse_device(self, type, path);
}

/* __dlpack__(max_version=(1, 0)); a producer from before that keyword is called without. */
static PyObject *
call_producer(PyObject *value)
{
    PyObject *method = PyObject_GetAttrString(value, "__dlpack__"), *capsule = NULL;
    PyObject *args = PyTuple_New(0),
             *keywords = Py_BuildValue("{s(II)}", "max_version", DL_MAJOR, 0);

    if (method != NULL && args != NULL && keywords != NULL)
        capsule = PyObject_Call(method, args, keywords);
    if (capsule == NULL && method != NULL && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Clear();
        capsule = PyObject_CallFunctionObjArgs(method, NULL);
    }
    Py_XDECREF(method);
    Py_XDECREF(args);
    Py_XDECREF(keywords);
    return capsule;
}

/* Takes the struct out of its capsule. 0, or -1. */
static int
take(value_encoder *self, PyObject *capsule, dlpack_held *held, const value_path *path)
{
    dl_versioned *versioned = NULL;
    dl_managed *old = NULL;

    if (PyCapsule_IsValid(capsule, "dltensor_versioned")) {
        versioned = PyCapsule_GetPointer(capsule, "dltensor_versioned");
        if (PyCapsule_SetName(capsule, "used_dltensor_versioned") < 0)
            return -1;
    } else if (PyCapsule_IsValid(capsule, "dltensor")) {
        old = PyCapsule_GetPointer(capsule, "dltensor");
        if (PyCapsule_SetName(capsule, "used_dltensor") < 0)
            return -1;
    } else {
        return value_refuse(self, path, "its __dlpack__ gives no fresh capsule of a tensor");
    }
    held->versioned = versioned;
    held->old = old;
    if (versioned != NULL && versioned->major != DL_MAJOR)
        return value_refuse(self, path, "its __dlpack__ speaks version %u of DLPack, not %u",
                            versioned->major, DL_MAJOR);
    return 0;
}

/* ------------------------------------------------------------------------------------ the struct */

static bool
read_dtype(const dl_tensor *from, element *out)
{
    static const struct {
        uint8_t code, bits, dtype;
    } known[] = {
        {DL_BOOL, 8, RBR_DTYPE_BOOL},    {DL_INT, 8, RBR_DTYPE_I8},
        {DL_INT, 16, RBR_DTYPE_I16},     {DL_INT, 32, RBR_DTYPE_I32},
        {DL_INT, 64, RBR_DTYPE_I64},     {DL_UINT, 8, RBR_DTYPE_U8},
        {DL_UINT, 16, RBR_DTYPE_U16},    {DL_UINT, 32, RBR_DTYPE_U32},
        {DL_UINT, 64, RBR_DTYPE_U64},    {DL_FLOAT, 16, RBR_DTYPE_F16},
        {DL_FLOAT, 32, RBR_DTYPE_F32},   {DL_FLOAT, 64, RBR_DTYPE_F64},
        {DL_COMPLEX, 64, RBR_DTYPE_C64}, {DL_COMPLEX, 128, RBR_DTYPE_C128},
        {DL_BFLOAT, 16, RBR_DTYPE_BF16},
    };
    size_t i;

    for (i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].code != from->code || known[i].bits != from->bits)
            continue;
        *out = (element){.dtype = known[i].dtype, .itemsize = from->bits / 8};
        return from->lanes == 1;
    }
    return false;
}

/* Shape and strides, in bytes from here on; NULL, or what is wrong. */
static const char *
read_layout(const dl_tensor *from, tensor *out)
{
    uint64_t bytes;
    int64_t low, high;
    int i;

    if (from->ndim < 0 || from->ndim > TENSOR_RANK_MAX)
        return "it has too many dimensions (64 can cross)";
    if (from->ndim > 0 && from->shape == NULL)
        return "it has no shape";
    out->rank = from->ndim;
    for (i = 0; i < out->rank; i++)
        out->shape[i] = from->shape[i];
    if (!tensor_bytes(out, &bytes))
        return "its shape is negative or too large";
    tensor_pack(out, false);
    for (i = 0; from->strides != NULL && i < out->rank; i++)
        if (__builtin_mul_overflow(from->strides[i], (int64_t)out->of.itemsize, &out->strides[i]))
            return "its strides are too large";
    if (bytes == 0)
        return NULL;
    if (!tensor_extent(out, &low, &high))
        return "its strides are too large";
    return from->data == NULL ? "it has no memory" : NULL;
}

static int
read_struct(value_encoder *self, const dlpack_held *held, tensor *out, const value_path *path)
{
    const dl_tensor *from = held->old != NULL ? &held->old->tensor : &held->versioned->tensor;
    const char *wrong;

    if (!is_read_by_the_cpu(from->device_type))
        return refuse_device(self, from->device_type, path);
    if (!read_dtype(from, &out->of))
        return value_refuse(self, path,
                            "a tensor of DLPack's type code %d, %d bits, %d lanes cannot cross; "
                            "convert it, for example to float32",
                            from->code, from->bits, from->lanes);
    wrong = read_layout(from, out);
    if (wrong != NULL)
        return value_refuse(self, path, "a tensor (DLPack) that cannot cross: %s", wrong);
    out->first = (uint8_t *)from->data + (from->data != NULL ? from->byte_offset : 0);
    out->readonly = held->versioned != NULL && (held->versioned->flags & DL_READ_ONLY) != 0;
    return 0;
}

/* ------------------------------------------------------------------------------------------ open */

int
dlpack_open(value_encoder *self, PyObject *value, dlpack_held *held, tensor *out,
            const value_path *path)
{
    PyObject *method = PyObject_GetAttrString((PyObject *)Py_TYPE(value), "__dlpack__"), *capsule;
    int result;

    if (method == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError))
            return -1;
        PyErr_Clear();
        return 0;
    }
    Py_DECREF(method);
    if (check_device(self, value, path) < 0)
        return -1;
    capsule = call_producer(value);
    if (capsule == NULL)
        return producer_failed(self, value, path);
    result = take(self, capsule, held, path);
    Py_DECREF(capsule);
    if (result == 0)
        result = read_struct(self, held, out, path);
    return result < 0 ? -1 : 1;
}
