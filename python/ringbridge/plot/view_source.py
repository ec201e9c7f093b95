# SPDX-License-Identifier: MIT
"""What viewers are told of a view: where it is imported from, or its source, or that it is ready.

A class of the caller's goes as text, with what of its module it needs:

    the class's own lines    + for each global name that its code uses:
      a module               import numpy as np
      of another module      from scipy.ndimage import zoom as zoom
      of this module         its own lines, and what those use
      plain values           SIZE = (3, 4)

Looks at sources and values, and runs nothing. What is none of these is an error here, where the
caller sees it, and not a NameError in a window.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import dis
import inspect
import linecache
import sys
import textwrap
import types
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_GLOBAL_READS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_GLOBALS")
_TEXT_MAX = 1 << 20
_READY = ("line", "image", "scatter", "histogram")


class Ready(NamedTuple):
    """A view that is there already: "line", "image", "scatter" or "histogram", and its options."""

    kind: str
    options: Mapping[str, Any] = types.MappingProxyType({})


def spec_of(view: str | type | Ready) -> dict[str, Any]:
    """What is told to a viewer. Raises ValueError for a view that cannot be sent."""
    if isinstance(view, type):
        return _of_class(view)
    if isinstance(view, Ready):
        if view.kind not in _READY:
            raise ValueError(f"a ready view is one of {', '.join(_READY)}, not {view.kind!r}")
        return {"ready": view.kind, "options": dict(view.options)}
    if not isinstance(view, str):
        raise TypeError(f"view must be 'module:Class' or a class, not {type(view).__name__}")
    module, _, name = view.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), *name.split("."))):
        raise ValueError(f"view must be 'module:Class', not {view!r}")
    return {"module": module, "class": name}


def described(view: str | type | Ready) -> str:
    """For people who look at what runs."""
    if isinstance(view, type):
        return view.__name__
    return view.kind if isinstance(view, Ready) else view


def _of_class(view: type) -> dict[str, Any]:
    """Raises ValueError for a class whose source is not to be had, or that uses a global which has
    none, with what to do about it."""
    if "<locals>" in view.__qualname__ or "." in view.__qualname__:
        raise ValueError(
            f"the view {view.__qualname__} is defined inside of something else: define it at the "
            "top of its module, or give its name as 'module:Class'"
        )
    pieces: dict[str, str] = {}
    _gather(view, pieces, view.__name__)
    text = "\n\n".join(pieces.values()) + "\n"
    if len(text) > _TEXT_MAX:
        raise ValueError(f"the source of the view {view.__name__} has more than {_TEXT_MAX} bytes")
    return {"source": text, "class": view.__name__, "file": f"<view {view.__name__}>", "line": 1}


def _gather(thing: Any, pieces: dict[str, str], view: str) -> None:
    """The lines of a class or function, after those that it needs. Each once."""
    name = thing.__name__
    if name in pieces:
        return
    pieces[name] = ""  # it may need itself
    text = _source(thing, view)
    module = vars(sys.modules[thing.__module__])
    for used in sorted(_globals_of(text)):
        if used in module and used not in pieces:
            _add(used, module[used], thing.__module__, pieces, view)
    del pieces[name]  # behind what it needs
    pieces[name] = text


def _source(thing: Any, view: str) -> str:
    try:
        return textwrap.dedent(inspect.getsource(thing)).rstrip()
    except (OSError, TypeError):
        text = _source_of_cell(thing)
        if text:
            return text
        raise ValueError(
            f"the source of {thing.__name__} is not to be had, which the view {view} needs: write "
            "it into a file, and give its name as 'module:Class'"
        ) from None


def _source_of_cell(thing: Any) -> str:
    """Of a class in a notebook's cell, which is no file: inspect finds it from 3.13 on. Its methods
    know the cell."""
    codes = [each.__code__ for each in vars(thing).values() if isinstance(each, types.FunctionType)]
    for code in codes:
        lines = linecache.getlines(code.co_filename)
        with contextlib.suppress(SyntaxError):
            for node in ast.parse("".join(lines)).body:
                first, last = node.lineno, node.end_lineno or node.lineno
                if (
                    isinstance(node, ast.ClassDef)
                    and node.name == thing.__name__
                    and first <= code.co_firstlineno <= last
                ):
                    first = min([first, *(each.lineno for each in node.decorator_list)])
                    return "".join(lines[first - 1 : last]).rstrip()
    return ""


def _globals_of(text: str) -> set[str]:
    """The names that code of this text may look for in its module; annotations look for none."""
    tree = ast.parse(f"from __future__ import annotations\n{text}")
    return set(_names(compile(tree, "<view>", "exec"))) - set(dir(builtins))


def _names(code: types.CodeType) -> Iterator[str]:
    yield from (each.argval for each in dis.get_instructions(code) if each.opname in _GLOBAL_READS)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _add(name: str, value: Any, module: str, pieces: dict[str, str], view: str) -> None:
    if isinstance(value, types.ModuleType):
        pieces[name] = _import_of(name, value)
    elif isinstance(value, (type, types.FunctionType)) and value.__module__ == module:
        if value.__name__ != name:
            _gather(value, pieces, view)
            pieces[name] = f"{name} = {value.__name__}"
        else:
            _gather(value, pieces, view)
    elif _is_found_again(value):
        pieces[name] = f"from {value.__module__} import {value.__qualname__} as {name}"
    elif _is_plain(value):
        pieces[name] = f"{name} = {value!r}"
    else:
        raise ValueError(
            f"the view {view} uses {name}, of type {type(value).__name__}, which cannot be sent "
            f"with it: make it inside of the view, or give the view's name as 'module:Class'"
        )


def _import_of(name: str, module: types.ModuleType) -> str:
    parent, _, last = module.__name__.rpartition(".")
    if module.__name__ == name:
        return f"import {name}"
    if parent and name == last:
        return f"from {parent} import {name}"
    return f"import {module.__name__} as {name}"


def _is_found_again(value: Any) -> bool:
    """Whether its module gives it by its name."""
    module = sys.modules.get(getattr(value, "__module__", None) or "")
    name = getattr(value, "__qualname__", None)
    if module is None or module.__name__ == "__main__" or not isinstance(name, str):
        return False
    return name.isidentifier() and getattr(module, name, None) is value


def _is_plain(value: Any) -> bool:
    try:
        return bool(ast.literal_eval(repr(value)) == value)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return False
