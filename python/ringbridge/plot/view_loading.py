# SPDX-License-Identifier: MIT
"""From what a computation says of its view to a class: imported, made of source text, ready-made.

    {"module": "views", "class": "Wave", "paths": [folder, ...]}
    {"source": text, "class": "Wave", "file": name, "line": the first line's number there}
    {"ready": "line", "options": {...}}

Source text runs in a module of its own; what the class needs of the module that it comes from has
to be in the text. No windows here.
"""

from __future__ import annotations
import __future__

import builtins
import contextlib
import difflib
import dis
import functools
import importlib
import inspect
import linecache
import os
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, ModuleType
from typing import Any

from ringbridge.errors import RingbridgeError

#: The module that source text is run in.
SOURCE_MODULE = "ringbridge_view"
READY = {"line": "Line", "image": "Image", "scatter": "Scatter", "histogram": "Histogram"}
_QT_NAMES = ("PyQt5", "PyQt6", "PySide2", "PySide6", "pyqtgraph", "qtpy")


class ViewError(RingbridgeError):
    """There is no such view, or what was named is none."""


def load(spec: Mapping[str, Any]) -> Callable[[], Any]:
    """What makes the view.

    Raises ViewError where there is no such class, and what the module raises when it is run.
    """
    if "ready" in spec:
        return _ready(_text(spec, "ready"), spec.get("options") or {})
    name = _text(spec, "class")
    if "source" in spec:
        return _of_source(spec, name)
    module = _imported(_text(spec, "module"), spec.get("paths") or [])
    return _class_in(module, name)


def wants_qt(make: Callable[[], Any]) -> bool:
    """Whether the view makes widgets of Qt's, as far as its text tells.

    Whoever does needs a QApplication before, and need not have imported Qt yet: it may be imported
    where the widget is made. What else stands in the class's module counts only where matplotlib
    may show its figures with Qt: it must, once there is a QApplication.
    """
    if any(f"{name}.QtWidgets" in sys.modules for name in _QT_NAMES):
        return True
    lines: list[str] = []
    with contextlib.suppress(OSError, TypeError, SyntaxError):
        lines = inspect.getsourcelines(make)[0]
    if _mentions(lines, *_QT_NAMES):
        return True
    maybe = os.environ.get("MPLBACKEND", "qt").lower().startswith("qt")
    return maybe and _mentions(_lines_of_module(make), *_QT_NAMES)


def wants_pyplot(make: Callable[[], Any]) -> bool:
    """Whether the view uses pyplot, as far as its module's text tells."""
    return _mentions(_lines_of_module(make), "pyplot")


def _lines_of_module(make: Callable[[], Any]) -> list[str]:
    module = sys.modules.get(getattr(make, "__module__", ""))
    file = getattr(module, "__file__", None)
    return linecache.getlines(file, vars(module)) if file else []


def _mentions(lines: list[str], *names: str) -> bool:
    return any(name in line for line in lines for name in names)


def _text(spec: Mapping[str, Any], key: str) -> str:
    value = spec.get(key)
    if not isinstance(value, str) or not value:
        raise ViewError(f"a view is described by a dict with the text {key!r}, not by {spec!r}")
    return value


# ------------------------------------------------------------------------------------ ready-made


def _ready(name: str, options: Mapping[str, Any]) -> Callable[[], Any]:
    if name not in READY:
        raise ViewError(f"there is no ready view {name!r}{_near(name, READY)}: {', '.join(READY)}")
    module = importlib.import_module("ringbridge.plot.ready_views")
    return functools.partial(getattr(module, READY[name]), **options)


# -------------------------------------------------------------------------------------- imported


def _imported(name: str, paths: list[str]) -> ModuleType:
    for path in reversed(paths):
        if path not in sys.path:
            sys.path.insert(0, path)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if name != missing and not name.startswith(f"{missing}."):
            raise  # it is there, and imports what is not
        raise ViewError(
            f"the viewer ({sys.executable}) finds no module {missing!r}; it looks in "
            f"{', '.join(each or '.' for each in sys.path)}"
        ) from None


def _class_in(module: ModuleType, name: str) -> Callable[[], Any]:
    found: Any = module
    path = module.__name__
    for part in name.split("."):
        if not hasattr(found, part):
            where = getattr(module, "__file__", None) or "no file"
            near = _near(part, getattr(found, "__dict__", {}))
            raise ViewError(f"{path} ({where}) has no {part!r}{near}")
        found, path = getattr(found, part), f"{path}.{part}"
    if not callable(found):
        raise ViewError(f"{module.__name__}.{name} is {type(found).__name__}, and no class")
    if not callable(getattr(found, "draw", None)):
        raise ViewError(f"{module.__name__}.{name} has no method draw(self, *values, **named)")
    return found  # type: ignore[no-any-return]


def _near(name: str, there: Any) -> str:
    close = difflib.get_close_matches(name, [each for each in there if not each.startswith("_")], 1)
    return f"; is it {close[0]!r}?" if close else ""


# ---------------------------------------------------------------------------------- source text


def _of_source(spec: Mapping[str, Any], name: str) -> Callable[[], Any]:
    line = spec.get("line")
    line = line if isinstance(line, int) and line > 0 else 1
    file = spec.get("file") or f"<{name}>"
    text = _text(spec, "source")
    if text[0] in " \t" and line > 1:  # of an inner class; dedent would change its texts, too
        text = "\n" * (line - 2) + f"if True:\n{text}"
    else:
        text = "\n" * (line - 1) + textwrap.dedent(text)
    # Annotations are not evaluated: their names do not come along, and nobody needs them here.
    flags = __future__.annotations.compiler_flag
    code = compile(text, file, "exec", flags, dont_inherit=True)
    _check_names(code, name, file)
    # No time of change: linecache does not look for a newer file, which may be on another machine.
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    module = ModuleType(SOURCE_MODULE)
    module.__file__ = file
    sys.modules[SOURCE_MODULE] = module
    exec(code, vars(module))
    return _class_in(module, name)


def _check_names(code: CodeType, name: str, file: str) -> None:
    parts = list(_code_and_inner(code))
    if any("IMPORT_STAR" in f"{step.opname} {step.argrepr}" for step in dis.get_instructions(code)):
        return
    known = {each for _, each in _names(code, "STORE_NAME")} | set(dir(builtins))
    known |= {each for part in parts for _, each in _names(part, "STORE_GLOBAL")}
    missing: dict[str, int] = {}
    for part in parts:
        own = {each for _, each in _names(part, "STORE_NAME")}  # of a class's body
        for line, each in _names(part, "LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"):
            if each not in known | own and not each.startswith("__"):
                missing.setdefault(each, line)
    if missing:
        listed = ", ".join(f"{each} (line {line})" for each, line in missing.items())
        raise ViewError(
            f"the class {name} of {file} uses names of its module, and those do not come along: "
            f"{listed}. Import them inside of its methods, or name the view as 'module:{name}'"
        )


def _code_and_inner(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _code_and_inner(constant)


def _names(code: CodeType, *operations: str) -> Iterator[tuple[int, str]]:
    """(line, name) of each of these steps."""
    line = code.co_firstlineno
    for step in dis.get_instructions(code):
        # Python 3.13 says in `starts_line` whether, and in `line_number` which.
        begun = getattr(step, "line_number", None) or step.starts_line
        line = begun if begun and begun is not True else line
        if step.opname in operations:
            yield line, str(step.argval)
