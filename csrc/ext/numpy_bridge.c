/* SPDX-License-Identifier: MIT */
/*
 * numpy_bridge.c - the few things that we ask of numpy, without its headers.
 *
 * numpy may be absent, of any version from 1.19 on, and not imported yet: encoding looks for it in
 * sys.modules only (there is no ndarray without it), decoding an array imports it.
 *
 * Arrays are made with two functions of numpy's C interface, which stand at fixed places in the
 * table behind its capsule _ARRAY_API; they have stood there through all of 1.x and 2.x, and other
 * packages (pybind11) rely on the same places. That takes a third of the time of calling
 * numpy.ndarray(...), which is what a numpy whose ABI number we do not know gets.
 */
#include "tensor.h"

/* Places in numpy's table of C functions, and the flags that we pass. */
enum {
    API_ABI_VERSION = 0,
    API_NEW_FROM_DESCR = 94,
    API_SET_BASE_OBJECT = 282,
    FLAG_WRITEABLE = 0x0400,
};
typedef unsigned (*api_abi_version)(void);
typedef PyObject *(*api_new_from_descr)(PyTypeObject *type, PyObject *dtype, int rank,
                                        const Py_ssize_t *shape, const Py_ssize_t *strides,
                                        void *data, int flags, PyObject *like);
typedef int (*api_set_base_object)(PyObject *array, PyObject *base);

/* Types numbered from here on were registered by other packages. */
#define USER_DTYPES_FROM 256

/* --------------------------------------------------------------------------------- the bridge */

static void
bridge_free(numpy_bridge *self)
{
    int i;

    if (self == NULL)
        return;
    Py_XDECREF((PyObject *)self->ndarray);
    Py_XDECREF((PyObject *)self->memmap);
    Py_XDECREF((PyObject *)self->generic);
    Py_XDECREF(self->void_type);
    Py_XDECREF(self->dtype);
    Py_XDECREF(self->asarray);
    Py_XDECREF(self->base_name);
    Py_XDECREF(self->api_capsule);
    Py_XDECREF(self->bfloat16);
    for (i = 0; i <= RBR_DTYPE_C128; i++) {
        Py_XDECREF(self->dtypes[i][0]);
        Py_XDECREF(self->dtypes[i][1]);
    }
    PyMem_Free(self);
}

void
numpy_bridge_clear(core_state *state)
{
    numpy_bridge *numpy = state->numpy;

    state->numpy = NULL;
    bridge_free(numpy);
}

int
numpy_bridge_traverse(core_state *state, visitproc visit, void *arg)
{
    numpy_bridge *self = state->numpy;
    int i;

    if (self == NULL)
        return 0;
    Py_VISIT(self->ndarray);
    Py_VISIT(self->memmap);
    Py_VISIT(self->generic);
    Py_VISIT(self->void_type);
    Py_VISIT(self->dtype);
    Py_VISIT(self->asarray);
    Py_VISIT(self->api_capsule);
    Py_VISIT(self->bfloat16);
    for (i = 0; i <= RBR_DTYPE_C128; i++) {
        Py_VISIT(self->dtypes[i][0]);
        Py_VISIT(self->dtypes[i][1]);
    }
    return 0;
}

/* An attribute that must be a type. */
static PyTypeObject *
type_of_module(PyObject *module, const char *name)
{
    PyObject *found = PyObject_GetAttrString(module, name);

    if (found != NULL && !PyType_Check(found)) {
        PyErr_Format(PyExc_AttributeError, "numpy.%s is not a type", name);
        Py_CLEAR(found);
    }
    return (PyTypeObject *)found;
}

/* Finds the table of C functions; leaves api NULL where there is none that we know. */
static void
find_api(numpy_bridge *self)
{
    PyObject *module = PyImport_ImportModule("numpy._core._multiarray_umath"); /* from 2.0 on */
    void **api = NULL;

    if (module == NULL) {
        PyErr_Clear();
        module = PyImport_ImportModule("numpy.core._multiarray_umath");
    }
    if (module != NULL)
        self->api_capsule = PyObject_GetAttrString(module, "_ARRAY_API");
    if (self->api_capsule != NULL)
        api = PyCapsule_GetPointer(self->api_capsule, NULL);
    if (api != NULL) {
        const unsigned major = ((api_abi_version)api[API_ABI_VERSION])() >> 24;
        if (major == 1 || major == 2)
            self->api = api;
    }
    PyErr_Clear();
    Py_XDECREF(module);
}

static numpy_bridge *
bridge_make(core_state *state, PyObject *module)
{
    numpy_bridge *self = PyMem_Calloc(1, sizeof *self);

    if (self == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    if ((self->ndarray = type_of_module(module, "ndarray")) == NULL ||
        (self->memmap = type_of_module(module, "memmap")) == NULL ||
        (self->generic = type_of_module(module, "generic")) == NULL ||
        (self->void_type = PyObject_GetAttrString(module, "void")) == NULL ||
        (self->dtype = PyObject_GetAttrString(module, "dtype")) == NULL ||
        (self->asarray = PyObject_GetAttrString(module, "asarray")) == NULL ||
        (self->base_name = PyUnicode_InternFromString("base")) == NULL) {
        bridge_free(self);
        return NULL;
    }
    find_api(self);
    if (state->numpy != NULL) { /* another thread was faster */
        bridge_free(self);
        return state->numpy;
    }
    state->numpy = self;
    return self;
}

numpy_bridge *
numpy_loaded(core_state *state)
{
    PyObject *name, *module;
    numpy_bridge *self;

    if (state->numpy != NULL)
        return state->numpy;
    name = PyUnicode_FromString("numpy");
    if (name == NULL)
        return NULL;
    module = PyImport_GetModule(name);
    Py_DECREF(name);
    if (module == NULL)
        return NULL;
    self = bridge_make(state, module);
    Py_DECREF(module);
    if (self == NULL && PyErr_ExceptionMatches(PyExc_AttributeError))
        PyErr_Clear(); /* another thread is importing it just now: no array can exist yet */
    return self;
}

numpy_bridge *
numpy_needed(core_state *state)
{
    numpy_bridge *self;
    PyObject *module;

    if (state->numpy != NULL)
        return state->numpy;
    if (state->numpy_missing)
        return NULL;
    module = PyImport_ImportModule("numpy");
    if (module == NULL) {
        if (PyErr_ExceptionMatches(PyExc_ImportError)) {
            state->numpy_missing = true;
            PyErr_Clear();
        }
        return NULL;
    }
    self = bridge_make(state, module);
    Py_DECREF(module);
    return self;
}

/* -------------------------------------------------------------------------------------- dtypes */

/* An int attribute; -1 with an exception. */
static long
int_attribute(PyObject *object, const char *name)
{
    PyObject *value = PyObject_GetAttrString(object, name);
    long result = -1;

    if (value != NULL) {
        result = PyLong_AsLong(value);
        Py_DECREF(value);
    }
    return result;
}

/* Is this attribute that object? -1 with an exception. */
static int
attribute_is(PyObject *object, const char *name, PyObject *other)
{
    PyObject *value = PyObject_GetAttrString(object, name);

    if (value == NULL)
        return -1;
    Py_DECREF(value);
    return value == other;
}

/* numpy.lib.format's own way to write a dtype down, or back. */
static PyObject *
call_format(const char *function, PyObject *argument)
{
    PyObject *module = PyImport_ImportModule("numpy.lib.format"), *result;

    if (module == NULL)
        return NULL;
    result = PyObject_CallMethod(module, function, "(O)", argument);
    Py_DECREF(module);
    return result;
}

/* What the parts of a record must be, on both sides: 1 fine, 0 not, -1 exception. */
static int
is_plain_record(numpy_bridge *numpy, PyObject *dtype)
{
    int is;

    if ((is = attribute_is(dtype, "type", numpy->void_type)) != 1)
        return is;
    if ((is = attribute_is(dtype, "hasobject", Py_False)) != 1)
        return is;
    return attribute_is(dtype, "subdtype", Py_None);
}

static int
record_element(numpy_bridge *numpy, PyObject *dtype, element *out, const char **why)
{
    PyObject *descr = NULL, *back = NULL;
    const long itemsize = int_attribute(dtype, "itemsize");
    int result;

    *why = "its records hold objects, or are of a class of their own, or are empty";
    if (itemsize <= 0)
        return itemsize < 0 ? -1 : 0;
    result = is_plain_record(numpy, dtype);
    if (result != 1)
        return result;
    *out = (element){.dtype = RBR_DTYPE_RECORD, .itemsize = (uint32_t)itemsize};
    result = -1;
    *why = "numpy cannot write its record layout down; numpy.lib.recfunctions.repack_fields(...) "
           "puts its fields in order";
    descr = call_format("dtype_to_descr", dtype);
    if (descr != NULL)
        back = call_format("descr_to_dtype", descr);
    if (back != NULL)
        result = PyObject_RichCompareBool(back, dtype, Py_EQ);
    if (result < 0 && PyErr_ExceptionMatches(PyExc_ValueError)) { /* they overlap, for example */
        PyErr_Clear();
        result = 0;
    }
    if (result == 1) {
        out->descr = PyObject_Repr(descr);
        result = out->descr != NULL ? 1 : -1;
    }
    Py_XDECREF(descr);
    Py_XDECREF(back);
    return result;
}

int
numpy_element(numpy_bridge *numpy, PyObject *dtype, element *out, const char **why)
{
    const long number = int_attribute(dtype, "num");
    PyObject *code;
    const char *text;
    int result;

    *out = (element){0};
    if (number < 0)
        return -1;
    *why = "it is not one of numpy's own plain dtypes, nor bfloat16; convert it with .astype(...)";
    if (number >= USER_DTYPES_FROM)
        return bfloat16_element(dtype, out);
    code = PyObject_GetAttrString(dtype, "str");
    if (code == NULL)
        return -1;
    text = PyUnicode_AsUTF8AndSize(code, NULL);
    if (text == NULL)
        result = -1;
    else if (element_from_code(out, text))
        result = 1;
    else if (text[0] != 0 && text[1] == 'V')
        result = record_element(numpy, dtype, out, why);
    else {
        result = 0;
        if (text[0] != 0 && text[1] == 'O')
            *why = "its elements are Python objects; send a list, or convert it with .astype(...)";
        else if (text[0] != 0 && text[1] == 'f')
            *why = "it differs between machines; convert it with .astype('float64')";
        else if (text[0] != 0 && text[1] == 'c')
            *why = "it differs between machines; convert it with .astype('complex128')";
    }
    Py_DECREF(code);
    return result;
}

static PyObject *
record_dtype(numpy_bridge *numpy, const element *of)
{
    PyObject *ast, *descr = NULL, *dtype = NULL;

    if (of->descr == NULL || !descr_text_is_sound(of->descr))
        return NULL;
    ast = PyImport_ImportModule("ast");
    if (ast != NULL)
        descr = PyObject_CallMethod(ast, "literal_eval", "(O)", of->descr);
    if (descr != NULL && descr_is_sound(descr))
        dtype = call_format("descr_to_dtype", descr);
    if (dtype != NULL && (is_plain_record(numpy, dtype) != 1 ||
                          int_attribute(dtype, "itemsize") != (long)of->itemsize))
        Py_CLEAR(dtype);
    Py_XDECREF(ast);
    Py_XDECREF(descr);
    return dtype;
}

PyObject *
numpy_dtype(numpy_bridge *numpy, const element *of, bool *hostile)
{
    PyObject **cached = NULL, *code, *dtype;
    char text[64];

    if (of->dtype <= RBR_DTYPE_C128) {
        cached = &numpy->dtypes[of->dtype][of->big != 0];
        if (*cached != NULL)
            return Py_NewRef(*cached);
    }
    if (!element_to_code(of, text, sizeof text)) {
        dtype = record_dtype(numpy, of);
    } else {
        code = PyUnicode_FromString(text);
        if (code == NULL)
            return NULL;
        dtype = PyObject_CallFunctionObjArgs(numpy->dtype, code, NULL);
        Py_DECREF(code);
        if (dtype != NULL && int_attribute(dtype, "itemsize") != (long)of->itemsize)
            Py_CLEAR(dtype);
    }
    if (dtype == NULL) {
        *hostile = true;
        return NULL;
    }
    if (cached != NULL && *cached == NULL)
        *cached = Py_NewRef(dtype);
    return dtype;
}

/* -------------------------------------------------------------------------------------- arrays */

static PyObject *
tuple_of(const int64_t *numbers, int count)
{
    PyObject *tuple = PyTuple_New(count), *number;
    int i;

    for (i = 0; tuple != NULL && i < count; i++) {
        number = PyLong_FromLongLong(numbers[i]);
        if (number == NULL || PyTuple_SetItem(tuple, i, number) < 0)
            Py_CLEAR(tuple);
    }
    return tuple;
}

/* numpy.ndarray(shape, dtype, buffer, offset, strides): for a numpy whose ABI we do not know. */
static PyObject *
call_ndarray(numpy_bridge *numpy, PyObject *dtype, ArrayObject *base, const tensor *as)
{
    PyObject *shape = tuple_of(as->shape, as->rank), *strides = tuple_of(as->strides, as->rank);
    PyObject *offset = PyLong_FromLongLong(as->first - base->memory), *array = NULL;

    array_forget_layout(base); /* numpy wants the whole memory as bytes */
    if (shape != NULL && strides != NULL && offset != NULL)
        array = PyObject_CallFunctionObjArgs((PyObject *)numpy->ndarray, shape, dtype,
                                             (PyObject *)base, offset, strides, NULL);
    Py_XDECREF(shape);
    Py_XDECREF(strides);
    Py_XDECREF(offset);
    return array;
}

PyObject *
numpy_array(numpy_bridge *numpy, PyObject *dtype, ArrayObject *base, const tensor *as)
{
    PyObject *array;

    if (numpy->api == NULL)
        return call_ndarray(numpy, dtype, base, as);
    Py_INCREF(dtype); /* taken by numpy, also when it fails */
    array = ((api_new_from_descr)numpy->api[API_NEW_FROM_DESCR])(
        numpy->ndarray, dtype, as->rank, (const Py_ssize_t *)as->shape,
        (const Py_ssize_t *)as->strides, as->first, as->readonly ? 0 : FLAG_WRITEABLE, NULL);
    if (array == NULL)
        return NULL;
    Py_INCREF((PyObject *)base); /* so is this */
    if (((api_set_base_object)numpy->api[API_SET_BASE_OBJECT])(array, (PyObject *)base) < 0)
        Py_CLEAR(array);
    return array;
}

/* A tuple of ints into at most TENSOR_RANK_MAX numbers; their count, -1 with an exception. */
static int
read_numbers(PyObject *tuple, int64_t *numbers)
{
    const Py_ssize_t count = PyTuple_Check(tuple) ? PyTuple_Size(tuple) : TENSOR_RANK_MAX + 1;
    Py_ssize_t i;

    if (count > TENSOR_RANK_MAX) {
        PyErr_SetString(PyExc_ValueError, "an array's interface has no usable shape");
        return -1;
    }
    for (i = 0; i < count; i++) {
        numbers[i] = PyLong_AsLongLong(PyTuple_GetItem(tuple, i));
        if (numbers[i] == -1 && PyErr_Occurred())
            return -1;
    }
    return (int)count;
}

int
numpy_interface(PyObject *array, tensor *out)
{
    PyObject *interface = PyObject_GetAttrString(array, "__array_interface__");
    PyObject *shape, *strides, *data;
    int result = -1, count;

    if (interface == NULL)
        return -1;
    shape = PyDict_GetItemString(interface, "shape");
    strides = PyDict_GetItemString(interface, "strides");
    data = PyDict_GetItemString(interface, "data");
    if (shape == NULL || data == NULL || !PyTuple_Check(data) || PyTuple_Size(data) != 2) {
        PyErr_SetString(PyExc_ValueError, "an array's interface has no usable data");
        goto done;
    }
    out->rank = read_numbers(shape, out->shape);
    if (out->rank < 0)
        goto done;
    if (strides == NULL || strides == Py_None) {
        tensor_pack(out, false);
    } else {
        count = read_numbers(strides, out->strides);
        if (count >= 0 && count != out->rank)
            PyErr_SetString(PyExc_ValueError, "an array's interface has no usable strides");
        if (count != out->rank)
            goto done;
    }
    out->first = PyLong_AsVoidPtr(PyTuple_GetItem(data, 0));
    out->readonly = PyObject_IsTrue(PyTuple_GetItem(data, 1)) == 1;
    result = PyErr_Occurred() ? -1 : 0;
done:
    Py_DECREF(interface);
    return result;
}
