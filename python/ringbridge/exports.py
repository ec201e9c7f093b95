# SPDX-License-Identifier: MIT
"""The worker's export table: which names of a module the host sees, and under which number.

Knows modules, callables and objects, not channels: the worker's loop calls `load` when the host
asks for a module, runs what stands in `functions`, and asks the other methods about objects that
stay.

Everything is imported when it is needed: the worker's start does not wait for inspect.
"""

from __future__ import annotations

from ringbridge import coroutines

TYPE_CHECKING = False  # type checkers know the name; importing typing would slow the worker's start
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType
    from typing import Any, Optional

    Described = tuple[int, str, Optional[str], Optional[str], int]
    Loaded = tuple[int, list[Described], dict[str, Any], Optional[str]]

# enum FunctionKind of csrc/schema/wire.fbs
PLAIN, GENERATOR, COROUTINE, CLASS = range(4)

_DOC_CHARS_MAX = 32 << 10
_SIGNATURE_CHARS_MAX = 4 << 10
_VALUE_BYTES_MAX = 64 << 10


class ExportTable:
    """Modules as the host loaded them. Used by the worker's main thread only."""

    def __init__(self) -> None:
        #: Indexed by function id. An id is never given to another name.
        self.functions: list[Callable[..., Any]] = []
        self._ids: dict[tuple[str, str], int] = {}
        self._generation = 0

    def load(self, module_name: str, reload: bool) -> Loaded:
        """Imports a module: generation, functions, plain values, doc. Raises what that raised."""
        import inspect  # noqa: F401 - a failure here is told; in _export it would hide functions

        # Made now, since a signal handler must not import anything (see serve._Signals.interrupt).
        from ringbridge.errors import Cancelled  # noqa: F401

        module = _import(module_name, reload)
        described: list[Described] = []
        values: dict[str, Any] = {}
        for name, value in _public(module):
            if callable(value):
                described.extend(self._export(module_name, name, value))
            elif is_sendable(value):
                values[name] = value
        self._withdraw(module_name, {entry[1] for entry in described})
        self._generation += 1
        return self._generation, described, values, doc_of(module)

    def _export(self, module_name: str, name: str, function: Callable[..., Any]) -> list[Described]:
        try:
            kind, signature, doc = kind_of(function), signature_of(function), doc_of(function)
        except Exception:  # a proxy whose target is missing: as if it were not there
            return []
        number = self._ids.setdefault((module_name, name), len(self.functions))
        runnable = coroutines.run_to_end(function) if kind == COROUTINE else function
        if number == len(self.functions):
            self.functions.append(runnable)
        else:
            self.functions[number] = runnable
        return [(number, name, signature, doc, kind)]

    def bind(self, thing: object, name: str) -> Callable[..., Any]:
        """A method of an object that stays, as the loop calls it."""
        method: Callable[..., Any] = getattr(thing, name)
        return coroutines.run_to_end(method) if coroutines.is_async(method) else method

    def describe(self, thing: object, name: str, value: Any) -> Described | None:
        """How a method, `value`, looks; its number is 1 where every object of the type has it.

        None: it is no method.
        """
        if not callable(value) or isinstance(value, type):
            return None
        kind, signature, doc = kind_of(value), signature_of(value), doc_of(value)
        of_the_type = name not in getattr(thing, "__dict__", ())
        return int(of_the_type), name, signature, doc, kind

    def iterate(self, result: object) -> Iterator[Any]:
        """What a stream reads from: also an async generator becomes an ordinary one."""
        if hasattr(type(result), "__aiter__"):
            return coroutines.iterate(result)
        try:
            return iter(result)  # type: ignore[call-overload, no-any-return]
        except TypeError:
            raise TypeError(
                f"a stream needs a function that yields, or returns what can be iterated over, and "
                f"this one returned {type(result).__name__}"
            ) from None

    def _withdraw(self, module_name: str, kept: set[str]) -> None:
        """What a reload took away is an error when it is called, under its old number too."""
        for (module, name), number in self._ids.items():
            if module == module_name and name not in kept:
                self.functions[number] = gone(module_name, name)


def _import(name: str, reload: bool) -> ModuleType:
    import importlib
    import sys

    importlib.invalidate_caches()  # the file may have been written a moment ago
    try:
        module = sys.modules.get(name)
        if reload and module is not None:
            return importlib.reload(module)
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name.partition(".")[0]:
            raise
        raise ModuleNotFoundError(
            f"No module named {error.name!r} for {sys.executable}. Folders of your own modules go "
            "into Worker(paths=[...]), or --path DIR of `ringbridge run`; packages must be "
            "installed in that environment",
            name=error.name,
        ) from None


def _public(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Names without underscore, and those of __all__, with what they stand for."""
    listed = getattr(module, "__all__", ())
    names = {name for name in vars(module) if not name.startswith("_")}
    names.update(name for name in listed if isinstance(name, str))
    for name in sorted(names):
        try:
            value = getattr(module, name)  # not vars: modules may load names on demand
            # `from typing import Any`: callable in some versions, and never a function.
            if getattr(value, "__module__", None) == "typing":
                continue
        except Exception:  # one broken attribute must not hide the rest
            continue
        yield name, value


def kind_of(function: Callable[..., Any]) -> int:
    """PLAIN, GENERATOR, COROUTINE or CLASS."""
    import inspect

    if isinstance(function, type):
        return CLASS
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return GENERATOR
    return COROUTINE if coroutines.is_async(function) else PLAIN


def gone(module_name: str, name: str) -> Callable[..., Any]:
    """What stands under the number of a function that a reload has taken away."""

    def raising(*_args: Any, **_kwargs: Any) -> Any:
        raise AttributeError(f"module {module_name!r} has no function {name!r} any more")

    return raising


def is_sendable(value: object) -> bool:
    """Whether a module's value is shown to the host: it is plain, and not large."""
    from ringbridge.values import is_plain

    return is_plain(value, bytes_max=_VALUE_BYTES_MAX)


def doc_of(thing: object) -> str | None:
    """Its own docstring, cut where it is very long."""
    doc = getattr(thing, "__doc__", None)
    if not isinstance(doc, str):
        return None
    if not isinstance(thing, type) and doc == type(thing).__doc__:
        return None  # of functools.partial, not of this partial
    return _sendable_text(doc)[:_DOC_CHARS_MAX]


def signature_of(function: Callable[..., Any]) -> str | None:
    """Its signature as text for signatures.parse, in the host; None where there is none."""
    import inspect

    try:
        signature = inspect.signature(function)
        text = str(signature)
        if "<" in text:  # a default such as <object object at 0x7f...>
            text = str(_simplified(signature))
    except Exception:  # builtins without one, and whatever a __signature__ of its own does
        return None
    text = _sendable_text(text)
    return text if len(text) <= _SIGNATURE_CHARS_MAX else None


class _Hidden:
    def __repr__(self) -> str:
        return "..."


_HIDDEN = _Hidden()


def _simplified(signature: Any) -> Any:
    """Without annotations, and with ... for each default that is not plain."""
    empty = signature.empty
    parameters = [
        parameter.replace(
            annotation=empty,
            default=parameter.default
            if parameter.default is empty or is_sendable(parameter.default)
            else _HIDDEN,
        )
        for parameter in signature.parameters.values()
    ]
    return signature.replace(parameters=parameters, return_annotation=empty)


def _sendable_text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
