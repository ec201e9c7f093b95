/* SPDX-License-Identifier: MIT */
/*
 * numpy_descr.c - what a peer says of a record's fields, before numpy is asked to make a dtype of it.
 *
 * numpy.lib.format writes a description as a code such as "<i4", as a list of fields (name, what[,
 * shape]), or as (what, shape). numpy reads much more than that (names of types, texts with commas,
 * dicts), and checks the numbers of a datetime's unit nowhere: "<M8[s/0]" divides by zero. So only
 * what numpy writes itself goes through. Names and shapes are numpy's to judge.
 *
 * The same for the text that it comes as: Python's parser takes half a second over 64 KiB of
 * operators, and much of its stack; a description has texts, numbers and brackets.
 */
#include "tensor.h"

#include <string.h>

/* A description that is longer than this is not one that a person wrote. */
#define DESCR_BYTES_MAX (64u << 10)

/* Records within records: more than this are not what a person wrote. */
#define DESCR_DEPTH_MAX 32

/* Brackets around each other: a list and its field for each, and a shape. */
#define DESCR_BRACKETS_MAX (2 * DESCR_DEPTH_MAX + 2)

/* Behind a text that began at `at`; NULL: it has no end, or what follows joins it to another. */
static const char *
skip_text(const char *at)
{
    const char quote = *at++;

    while (*at != quote) {
        if (*at == '\\')
            at++;
        if (*at == 0)
            return NULL;
        at++;
    }
    at++;
    return *at != 0 && strchr(",)] ", *at) == NULL ? NULL : at;
}

bool
descr_text_is_sound(PyObject *text)
{
    Py_ssize_t size;
    const char *at = PyUnicode_AsUTF8AndSize(text, &size);
    int brackets = 0;

    if (at == NULL || size > DESCR_BYTES_MAX || strlen(at) != (size_t)size) {
        PyErr_Clear();
        return false;
    }
    while (*at != 0) {
        if (*at == '\'' || *at == '"') {
            at = skip_text(at);
            if (at == NULL)
                return false;
            continue;
        }
        if (strchr("[](), 0123456789", *at) == NULL)
            return false;
        brackets += (*at == '[' || *at == '(') - (*at == ']' || *at == ')');
        if (brackets > DESCR_BRACKETS_MAX)
            return false;
        at++;
    }
    return true;
}

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
