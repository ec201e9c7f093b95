/* SPDX-License-Identifier: MIT */
/*
 * numpy_bfloat16.c - bfloat16, which numpy does not have: the package ml_dtypes adds it.
 *
 * Encoding looks in sys.modules only: an array of bfloat16 exists where ml_dtypes is imported.
 * Decoding imports it, and where there is none says what to install: no other dtype holds the
 * values as they are.
 */
#include "tensor.h"

/* The class ml_dtypes.bfloat16, a new reference; NULL without exception: nobody has imported it. */
static PyObject *
loaded_class(void)
{
    PyObject *name = PyUnicode_FromString("ml_dtypes"), *module, *found;

    if (name == NULL)
        return NULL;
    module = PyImport_GetModule(name);
    Py_DECREF(name);
    if (module == NULL)
        return NULL;
    found = PyObject_GetAttrString(module, "bfloat16");
    Py_DECREF(module);
    if (found == NULL && PyErr_ExceptionMatches(PyExc_AttributeError))
        PyErr_Clear(); /* being imported just now */
    return found;
}

int
bfloat16_element(PyObject *dtype, element *out)
{
    PyObject *wanted = loaded_class(), *type, *native;
    int result = 0;

    if (wanted == NULL)
        return PyErr_Occurred() ? -1 : 0;
    type = PyObject_GetAttrString(dtype, "type");
    native = PyObject_GetAttrString(dtype, "isnative");
    if (type == NULL || native == NULL)
        result = -1;
    else if (type == wanted && native == Py_True) {
        *out = (element){.dtype = RBR_DTYPE_BF16, .itemsize = BFLOAT16_BYTES};
        result = 1;
    }
    Py_DECREF(wanted);
    Py_XDECREF(type);
    Py_XDECREF(native);
    return result;
}

PyObject *
bfloat16_dtype(core_state *state, numpy_bridge *numpy)
{
    PyObject *module, *type, *dtype = NULL;

    if (numpy->bfloat16 != NULL)
        return Py_NewRef(numpy->bfloat16);
    module = PyImport_ImportModule("ml_dtypes");
    if (module == NULL) {
        if (PyErr_ExceptionMatches(PyExc_ImportError)) {
            PyErr_Clear();
            PyErr_SetString(state->cannot_cross,
                            "an array of bfloat16 needs the package ml_dtypes on the side that "
                            "gets it; install it there, or send .astype('float32')");
        }
        return NULL;
    }
    type = PyObject_GetAttrString(module, "bfloat16");
    Py_DECREF(module);
    if (type != NULL) {
        dtype = PyObject_CallFunctionObjArgs(numpy->dtype, type, NULL);
        Py_DECREF(type);
    }
    if (dtype != NULL && numpy->bfloat16 == NULL)
        numpy->bfloat16 = Py_NewRef(dtype);
    return dtype;
}
