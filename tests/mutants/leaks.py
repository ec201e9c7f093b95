# SPDX-License-Identifier: MIT
"""Deliberate leaks of references in the extension."""

from __future__ import annotations

from mutant import Mutant

FLAT = "rbr_testing.flat"


def leak(what: str, file: str, old: str, group: str, new: str = "") -> Mutant:
    return Mutant(f"leak: {what}", f"csrc/ext/{file}.c", old, new, (FLAT, group), "extension")


LEAKS = [
    leak(
        "a call's arguments",
        "serve_loop",
        "        Py_DECREF(self->values[i]);\n",
        "values",
    ),
    leak(
        "a function's title",
        "function_type",
        "    Py_DECREF(self->title);\n    Py_DECREF(self->doc);",
        "values",
        "    Py_DECREF(self->doc);",
    ),
    leak(
        "a text of progress that is no UTF-8",
        "serve_task",
        "    Py_XDECREF(made);\n    Py_RETURN_FALSE;\n",
        "tasks",
        "    Py_RETURN_FALSE;\n",
    ),
    leak("the number in a date", "value_dates", "        Py_DECREF(number);\n", "values"),
    leak(
        "a UUID's arguments",
        "value_rare",
        "(type, args, keywords);\n    Py_XDECREF(args);\n    Py_XDECREF(keywords);\n",
        "values",
        "(type, args, keywords);\n    Py_XDECREF(args);\n",
    ),
    leak(
        "an error that is raised",
        "channel_errors",
        "    Py_XDECREF(arguments);\n    Py_XDECREF(error);\n",
        "failures",
        "    Py_XDECREF(arguments);\n",
    ),
    leak(
        "what an error is described by", "serve_answer", "    Py_XDECREF(described);\n", "failures"
    ),
    leak(
        "the memory under an array",
        "array_type",
        "    Py_DECREF((PyObject *)base);\n    return result;",
        "arrays",
        "    return result;",
    ),
    leak(
        "a block that was copied",
        "tensor_decode",
        "        rbr_block_release(self->block);\n",
        "values",
        "        (void)0;\n",
    ),
    leak(
        "the tally of a set's hashes", "value_hashes", "    PyMem_Free(self->counts);\n", "values"
    ),
    leak("a module's plain value", "load", "        Py_XDECREF(value);\n", "loads"),
    leak("a type of the module", "module", "    Py_CLEAR(state->array_type);\n", "imports"),
]
