# SPDX-License-Identifier: MIT
"""What of a module is exposed, once the module itself was named.

    something in it is marked @expose     those, and the plain values of its __all__
    else it has an __all__                that
    else                                  public functions and classes that were defined there,
                                          never what it imported; and its public plain values

Looks at modules that are there: imports nothing, knows no server.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ringbridge import exports
from ringbridge.host.expose import mark_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import ModuleType

_log = logging.getLogger("ringbridge.host")
_NOTHING = object()


@dataclass(frozen=True)
class Exposed:
    """A function as callers see it."""

    name: str
    function: Callable[..., Any]
    on: str  # "main" or "thread"
    pinned: bool  # @expose said on which: a caller cannot ask for the other
    kind: int  # PLAIN, GENERATOR, COROUTINE or CLASS of exports.py
    signature: str | None  # None: it has none, as some builtins
    doc: str | None


@dataclass(frozen=True)
class ExposedModule:
    """A module as callers see it."""

    name: str
    functions: dict[str, Exposed]
    values: dict[str, Any]
    doc: str | None


def exposed_of(
    module: ModuleType, name: str, *, on: str, gone: Mapping[str, object]
) -> ExposedModule:
    """A module by the rules above. `gone` are names that its file has no more, with what they
    still stand for, since a reload keeps them. Raises ValueError where two functions have one name.
    """
    functions: dict[str, Exposed] = {}
    candidates, others = _chosen(module, gone)
    for attribute, value in candidates:
        if callable(value):
            _add(functions, exposed_function(value, attribute, on=on), name)
    values = {attribute: value for attribute, value in others if exports.is_sendable(value)}
    return ExposedModule(name, functions, values, exports.doc_of(module))


def exposed_function(function: Callable[..., Any], name: str, *, on: str) -> Exposed | None:
    """One function, under its own name; None where it cannot be looked at."""
    try:
        mark = mark_of(function)
        pinned = mark is not None and mark.on is not None
        return Exposed(
            (mark and mark.name) or name,
            function,
            (mark and mark.on) or on,
            pinned,
            exports.kind_of(function),
            exports.signature_of(function),
            exports.doc_of(function),
        )
    except Exception as error:  # a proxy whose target is missing: as if it were not there
        _log.warning("%r is not exposed: looking at it raised %r", name, error)
        return None


def joined(module: ExposedModule, functions: Iterable[Exposed]) -> ExposedModule:
    """With functions that were named one by one. Raises ValueError where two have one name."""
    both = dict(module.functions)
    for each in functions:
        _add(both, each, module.name)
    return ExposedModule(module.name, both, module.values, module.doc)


def defined_here(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """Functions and classes that the module itself defines, private ones too."""
    found = {}
    for attribute, value in list(vars(module).items()):
        try:
            if callable(value) and value.__module__ == module.__name__:
                found[attribute] = value
        except Exception:  # one broken attribute must not hide the rest
            continue
    return found


def _add(functions: dict[str, Exposed], exposed: Exposed | None, module_name: str) -> None:
    if exposed is None:
        return
    other = functions.setdefault(exposed.name, exposed)
    if other.function is not exposed.function:
        raise ValueError(
            f"two functions of module {module_name!r} are exposed as {exposed.name!r}: give one "
            "another name by @expose(name=...)"
        )


def _chosen(
    module: ModuleType, gone: Mapping[str, object]
) -> tuple[Iterable[tuple[str, Any]], Iterable[tuple[str, Any]]]:
    """Where functions are taken from, and where plain values."""
    listed = list(_listed(module))
    here = {
        attribute: function
        for attribute, function in defined_here(module).items()
        if gone.get(attribute, _NOTHING) is not function
    }
    marked = {attribute: f for attribute, f in here.items() if mark_of(f) is not None}
    if marked:
        # A decorator copies the mark: what it has made for use inside is not meant.
        named = ((a, f) for a, f in marked.items() if _is_public(a) or _own_name(f) == a)
        return named, listed
    if "__all__" in vars(module):
        return listed, listed
    public = ((attribute, f) for attribute, f in here.items() if _is_public(attribute))
    return public, [each for each in list(vars(module).items()) if _is_public(each[0])]


def _listed(module: ModuleType) -> Iterator[tuple[str, Any]]:
    for attribute in dict.fromkeys(vars(module).get("__all__", ())):
        try:
            yield attribute, getattr(module, attribute)  # not vars: it may be loaded on demand
        except Exception as error:  # one broken attribute must not hide the rest
            _log.warning("%s: %r of its __all__: %r", module.__name__, attribute, error)


def _is_public(attribute: str) -> bool:
    return not attribute.startswith("_")


def _own_name(function: object) -> object:
    return getattr(function, "__name__", None)
