/* SPDX-License-Identifier: MIT */
/*
 * numpy_descr.c - what a peer says of a record's fields, before numpy is asked to make a dtype of it.
 *
 * numpy.lib.format writes a description as a code such as "<i4", as a list of fields (name, what[,
 * shape]), or as (what, shape). numpy reads much more than that (names of types, texts with commas,
 * dicts), and checks the numbers of a datetime's unit nowhere: "<M8[s/0]" divides by zero. So only
 * what numpy writes itself goes through. Names and shapes are numpy's to judge.
 */
#include "tensor.h"

#include <string.h>

/* Records within records: more than this are not what a person wrote. */
#define DESCR_DEPTH_MAX 32

/* A kind whose number says how large it is, and no more. */
static bool
is_sized_code(const char *code)
{
    if (code[0] == 0 || strchr("biufcSUV", code[0]) == NULL)
        return false;
    code++;
    return code[0] != 0 && code[strspn(code, "0123456789")] == 0;
}

static bool
code_is_sound(PyObject *text)
{
    const char *code = PyUnicode_AsUTF8AndSize(text, NULL);
    element dated;

    if (code == NULL) {
        PyErr_Clear(); /* a lone surrogate */
        return false;
    }
    if (code[0] != 0 && strchr("<>|", code[0]) != NULL)
        code++;
    if (is_sized_code(code))
        return true;
    return element_from_code(&dated, code) && element_unit_is_sound(dated.unit, strlen(dated.unit));
}

static bool
is_sound(PyObject *descr, int depth)
{
    Py_ssize_t i;

    if (PyUnicode_Check(descr))
        return code_is_sound(descr);
    if (depth == DESCR_DEPTH_MAX)
        return false;
    if (PyTuple_Check(descr))
        return PyTuple_Size(descr) == 2 && is_sound(PyTuple_GetItem(descr, 0), depth + 1);
    if (!PyList_Check(descr))
        return false;
    for (i = 0; i < PyList_Size(descr); i++) {
        PyObject *field = PyList_GetItem(descr, i);

        if (!PyTuple_Check(field) || PyTuple_Size(field) < 2 || PyTuple_Size(field) > 3 ||
            !is_sound(PyTuple_GetItem(field, 1), depth + 1))
            return false;
    }
    return true;
}

bool
descr_is_sound(PyObject *descr)
{
    return is_sound(descr, 0);
}
