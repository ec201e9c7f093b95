/* SPDX-License-Identifier: MIT */
/*
 * compat.h - Python.h, and what differs between the versions and the limited API.
 */
#ifndef RBR_EXT_COMPAT_H
#define RBR_EXT_COMPAT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

/* The version whose C interface this file may use; the limited one's is older than the headers. */
#ifdef Py_LIMITED_API
#define RBR_API_HEX Py_LIMITED_API
#else
#define RBR_API_HEX PY_VERSION_HEX
#endif

#ifdef Py_TPFLAGS_IMMUTABLETYPE
#define RBR_TPFLAGS_IMMUTABLE Py_TPFLAGS_IMMUTABLETYPE
#else
#define RBR_TPFLAGS_IMMUTABLE 0 /* 3.9 */
#endif

#if RBR_API_HEX < 0x030A0000
static inline PyObject *
Py_NewRef(PyObject *object)
{
    Py_INCREF(object);
    return object;
}
#endif

#if RBR_API_HEX < 0x030C0000
/* Takes the current exception, normalised and with its traceback. */
static inline PyObject *
PyErr_GetRaisedException(void)
{
    PyObject *type, *value, *traceback;

    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (value != NULL && traceback != NULL)
        PyException_SetTraceback(value, traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
}
#endif

/* Filling a list or tuple that nobody else has seen; takes the reference. And an item, borrowed, of
 * an exact list whose size was just looked at. */
#ifdef Py_LIMITED_API
#define RBR_LIST_FILL(list, index, item) ((void)PyList_SetItem(list, index, item))
#define RBR_TUPLE_FILL(tuple, index, item) ((void)PyTuple_SetItem(tuple, index, item))
#define RBR_LIST_ITEM(list, index) PyList_GetItem(list, index)
#else
#define RBR_LIST_FILL(list, index, item) PyList_SET_ITEM(list, index, item)
#define RBR_TUPLE_FILL(tuple, index, item) PyTuple_SET_ITEM(tuple, index, item)
#define RBR_LIST_ITEM(list, index) PyList_GET_ITEM(list, index)
#endif

#endif
