# SPDX-License-Identifier: MIT
"""@expose: marks the functions of a module that a served application lends to others.

Only marks: a marked module works as before, and needs no server. What the marks mean to a server
is said in module_rules.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable

    Exposable = TypeVar("Exposable", bound=Callable[..., Any])

_ATTRIBUTE = "__ringbridge_exposed__"
#: Where a function runs: on the application's main thread, or on one of the server's.
THREADS = ("main", "thread")


@dataclass(frozen=True)
class Mark:
    """What @expose said."""

    on: str | None
    name: str | None


@overload
def expose(function: Exposable, /) -> Exposable: ...
@overload
def expose(
    *, on: str | None = None, name: str | None = None
) -> Callable[[Exposable], Exposable]: ...
def expose(function: Any = None, /, *, on: str | None = None, name: str | None = None) -> Any:
    """Marks a function or a class of a module: a server exposes the marked ones, and no others.

        @expose
        def add_cube(size): ...

        @expose(on="thread", name="render")
        def _render_in_background(path): ...

    `on` pins it to the application's "main" thread, or to a "thread" of the server's; without, it
    runs where the server or the caller says. `name` is what callers know it by. It stands above
    other decorators. Raises TypeError for what cannot be marked, ValueError for an unknown thread
    or an impossible name.
    """
    if on is not None and on not in THREADS:
        raise ValueError(f'on="main" or on="thread", and not {on!r}')
    if name is not None and not (isinstance(name, str) and name.isidentifier()):
        raise ValueError(f"name={name!r} cannot be a function's name")
    mark = Mark(on, name)
    if function is None:
        return lambda marked: _mark(marked, mark)
    return _mark(function, mark)


def mark_of(value: object) -> Mark | None:
    """The mark of a function or a class; a class does not inherit that of its base."""
    try:
        mark = value.__dict__.get(_ATTRIBUTE)
    except Exception:  # it has none, or is a proxy whose target is missing
        return None
    return mark if isinstance(mark, Mark) else None


def _mark(function: Any, mark: Mark) -> Any:
    if not callable(function):
        raise TypeError(f"@expose marks functions and classes, and not {type(function).__name__}")
    qualified = str(getattr(function, "__qualname__", "")).rpartition("<locals>.")[2]
    if "." in qualified:
        raise TypeError(
            f"{qualified} belongs to a class: expose the class, or a function of the module that "
            "calls it"
        )
    try:
        setattr(function, _ATTRIBUTE, mark)
    except (AttributeError, TypeError):
        raise TypeError(
            f"{function!r} cannot be marked: expose a function of your own that calls it, or name "
            "it in the module's __all__"
        ) from None
    return function
