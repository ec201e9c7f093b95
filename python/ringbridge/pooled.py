# SPDX-License-Identifier: MIT
"""What a pool loads in its workers: runs functions that it is told about once, by a number.

A function is told about as sources.py of the host describes it: by its name, or as source text.
Values that many calls have in common are kept here under numbers, too. Knows nothing of the host's
handles. Used by the worker's main thread only; heavy modules are imported when they are needed.

    define(key, description)      keep(number, value)      (forget takes both away)
    call(key, ...)   call_with(key, places, args, kwargs)   chunk(key, places, fixed, rows, kwargs)
    run_of(key, ...)                   (of a class: what run() of an object of it gives)
"""

from __future__ import annotations

import sys

from ringbridge import coroutines

TYPE_CHECKING = False  # type checkers know the name; importing typing would slow the worker's start
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Union

    Place = tuple[Union[int, str], int]  # position or keyword, and the number of the kept value

__all__ = ["call", "call_with", "chunk", "define", "forget", "keep", "run_of"]

_functions: dict[int, Callable[..., Any]] = {}
_kept: dict[int, Any] = {}


def call(key: int, /, *args: Any, **kwargs: Any) -> Any:
    """Runs a function."""
    return _functions[key](*args, **kwargs)


def run_of(key: int, /, *args: Any, **kwargs: Any) -> Any:
    """Makes an object of a class, and runs it."""
    return _functions[key](*args, **kwargs).run()


def call_with(key: int, places: list[Place], args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Runs a function with kept values put in their places."""
    _fill(places, args, kwargs)
    return _functions[key](*args, **kwargs)


def chunk(
    key: int,
    places: list[Place],
    fixed: tuple[Any, ...],
    rows: Sequence[tuple[Any, ...]],
    kwargs: dict[str, Any],
) -> list[Any]:
    """Runs a function once for each row; places count from the first of `fixed`."""
    function = _functions[key]
    if not fixed and not kwargs and not places:
        return [function(*row) for row in rows]
    results = []
    for row in rows:
        args, keywords = [*fixed, *row], dict(kwargs)
        _fill(places, args, keywords)
        results.append(function(*args, **keywords))
    return results


# ------------------------------------------------------------------------------------ kept values


def keep(number: int, value: Any) -> None:
    """Keeps a value for later calls."""
    _kept[number] = value


def forget(keys: list[int], numbers: list[int]) -> None:
    """Lets go of functions and of kept values."""
    for key in keys:
        _functions.pop(key, None)
    for number in numbers:
        _kept.pop(number, None)


def _fill(places: list[Place], args: list[Any], kwargs: dict[str, Any]) -> None:
    for place, number in places:
        value = _fresh(_kept[number])
        if isinstance(place, int):
            args[place] = value
        else:
            kwargs[place] = value


_SAME = frozenset({type(None), bool, int, float, complex, str, bytes})


def _fresh(value: Any) -> Any:
    """The value as it came, whatever an earlier call has done to what it got."""
    kind = type(value)
    if kind in _SAME:
        return value
    if kind is list or kind is tuple or kind is set or kind is frozenset:
        return kind(map(_fresh, value))
    if kind is dict:
        return {key: _fresh(each) for key, each in value.items()}
    numpy = sys.modules.get("numpy")
    if numpy is not None and kind is numpy.ndarray and not value.flags.writeable:
        return value  # in shared memory, and the host has made it read-only
    import copy

    return copy.deepcopy(value)


# -------------------------------------------------------------------------------------- functions


def define(key: int, description: dict[str, Any]) -> list[str]:
    """Makes a function; or gives the names of modules that it takes and that are not here."""
    missing = sorted({name for name in description["modules"] if not _import(name)})
    if not missing:
        _functions[key] = _runnable(description)
    return missing


def _import(name: str) -> bool:
    """False when there is no such module; what it raises itself is raised."""
    import importlib

    if name in sys.modules:
        return True
    importlib.invalidate_caches()  # the file may have been written a moment ago
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Also when it is a package that is missing, or no package.
        if error.name is None or not (name + ".").startswith(error.name + "."):
            raise
        return False
    return True


def _runnable(description: dict[str, Any]) -> Callable[..., Any]:
    if description["functions"]:
        return _Sent(description)
    function = _found(description["root"])
    if not callable(function):
        raise TypeError(f"{':'.join(map(str, description['root'][1:]))} is no function")
    return coroutines.run_to_end(function) if coroutines.is_async(function) else function


def _found(ref: Sequence[Any]) -> Any:
    """What a reference stands for; of a function that was sent, `_Sent` knows."""
    kind = ref[0]
    if kind == "value":
        return ref[1]
    if kind == "carried":  # it was pickled, which both sides have agreed to
        return ref[1].function
    value = sys.modules[ref[1]]
    if kind == "module":
        return value
    for part in ref[2].split("."):
        if not hasattr(value, part):
            raise AttributeError(
                f"{ref[1]}:{ref[2]} is not in {sys.executable}: its module "
                f"{getattr(value, '__file__', None) or 'there'} has no {part!r}"
            )
        value = getattr(value, part)
    return value


# ------------------------------------------------------------------------- functions sent as source


class _Space:
    """The globals of all functions that came as source from one module of the host.

    What a function over here sets by `global` is its own from then on: the host's value is only
    what it began with.
    """

    def __init__(self, name: str) -> None:
        self.names: dict[str, Any] = {"__name__": name, "__builtins__": __builtins__}
        self.tokens: dict[str, str] = {}
        self.own: set[str] = set()

    def bind(self, name: str, token: str, value: Any) -> None:
        if self.tokens.get(name) == token or (name in self.own and name in self.names):
            return
        self.names[name] = value
        self.tokens[name] = token


_spaces: dict[str, _Space] = {}
_bound: _Sent | None = None  # whose globals are in their spaces


class _Sent:
    """A function that came as source, with those that it calls and the globals they see."""

    def __init__(self, description: dict[str, Any]) -> None:
        specs = description["functions"]
        spaces = [_spaces.setdefault(spec["module"], _Space(spec["module"])) for spec in specs]
        made = [_made(spec, space.names) for spec, space in zip(specs, spaces)]

        def value(ref: Sequence[Any]) -> Any:
            return made[ref[1]] if ref[0] == "function" else _found(ref)

        def token(ref: Sequence[Any]) -> str:
            return repr(specs[ref[1]]) if ref[0] == "function" else repr(ref)

        self._bindings: list[tuple[_Space, str, str, Any]] = []
        for spec, space, function in zip(specs, spaces, made):
            space.own.update(spec["stores"])
            for name, ref in spec["uses"].items():
                self._bindings.append((space, name, token(ref), value(ref)))
            if spec["defaults"] is not None:
                function.__defaults__ = tuple(value(ref) for ref in spec["defaults"])
            if spec["kwdefaults"] is not None:
                function.__kwdefaults__ = {n: value(r) for n, r in spec["kwdefaults"].items()}
            for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
                cell.cell_contents = value(spec["closure"][name])
        root = value(description["root"])
        self._root = coroutines.run_to_end(root) if coroutines.is_async(root) else root

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        global _bound
        if _bound is not self:
            _bound = None  # nobody is, should a cancel interrupt this
            for space, name, token, value in self._bindings:
                space.bind(name, token, value)
            _bound = self
        return self._root(*args, **kwargs)


def _made(spec: dict[str, Any], names: dict[str, Any]) -> Any:
    """The function of a source text. Its closure and its defaults are still empty.

    Made by a function around it, whose parameters are its free variables.
    """
    import ast

    file, free = spec["file"], sorted(spec["closure"])
    _show_lines(file, spec["text"], spec["shift"])
    statement = _parsed(spec)
    around = ast.parse(f"def _around({', '.join(free)}):\n    return _function")
    outer: Any = around.body[0]
    if isinstance(statement, ast.Expr):
        _empty_defaults(statement.value)
        outer.body[0].value = statement.value
    else:
        _empty_defaults(statement)
        # Another name, or what it calls itself by would be this one, and not the global.
        statement.name = "_function"
        outer.body.insert(0, statement)
    ast.fix_missing_locations(around)
    scratch: dict[str, Any] = {}
    exec(compile(around, file, "exec", spec["flags"], True), names, scratch)
    function = scratch["_around"](*[None] * len(free))
    function.__name__, function.__qualname__ = spec["name"], spec["qualname"]
    function.__module__ = spec["module"]
    function.__code__ = function.__code__.replace(co_name=spec["name"])
    if sys.version_info >= (3, 11):
        function.__code__ = function.__code__.replace(co_qualname=spec["qualname"])
    return function


def _parsed(spec: dict[str, Any]) -> Any:
    """Its one statement, with the line numbers of its file."""
    import ast

    try:
        statement: Any = ast.parse("\n" * spec["shift"] + spec["text"], spec["file"]).body[0]
    except SyntaxError as error:
        version = ".".join(map(str, sys.version_info[:3]))
        message = f"{error.msg} (the function {spec['name']}() was sent to Python {version})"
        raise SyntaxError(message, *error.args[1:]) from None
    # The `if` let it keep its indentation.
    return statement.body[0] if isinstance(statement, ast.If) else statement


def _empty_defaults(node: Any) -> None:
    """Their values come by themselves: the expressions are not evaluated again."""
    import ast

    nothing = ast.Constant(None)
    node.args.defaults = [nothing for _ in node.args.defaults]
    node.args.kw_defaults = [each and nothing for each in node.args.kw_defaults]


def _show_lines(file: str, text: str, shift: int) -> None:
    """Lets tracebacks show the lines of what is no file here, a notebook's cell for example."""
    import linecache
    import os

    if os.path.exists(file):
        return
    known = linecache.cache.get(file)
    lines = list(known[2]) if known is not None and len(known) == 4 else []
    new = [line + "\n" for line in text.split("\n")]
    lines += ["\n"] * (shift + len(new) - len(lines))
    lines[shift : shift + len(new)] = new
    linecache.cache[file] = (sum(map(len, lines)), None, lines, file)
