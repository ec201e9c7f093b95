# SPDX-License-Identifier: MIT
"""Functions for test_values.py, run in a worker: what a value looks like over there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

_kept: dict[str, Any] = {}


def describe(value: Any) -> dict[str, Any]:
    """Type and repr; of an array also what numpy says about its memory."""
    seen: dict[str, Any] = {"type": type(value).__name__, "repr": repr(value)[:200]}
    if hasattr(value, "strides"):
        seen["shape"] = tuple(value.shape)
        seen["strides"] = tuple(value.strides)
    if hasattr(value, "dtype"):
        seen["dtype"] = value.dtype.str
    if hasattr(value, "flags"):
        seen["writeable"] = bool(value.flags.writeable)
        seen["c"] = bool(value.flags.c_contiguous)
        seen["fortran"] = bool(value.flags.f_contiguous)
        seen["aligned"] = bool(value.flags.aligned)
        seen["base"] = type(value.base).__name__
    return seen


def fill(array: Any, number: float) -> None:
    """Writes into the caller's array, which is to see it when the memory is shared."""
    array[...] = number


def keep(name: str, value: Any) -> None:
    _kept[name] = value


def kept(name: str) -> Any:
    return _kept[name]


def drop(name: str) -> None:
    del _kept[name]


async def _ticks() -> AsyncIterator[int]:
    yield 1


class _Ready:
    def __await__(self) -> Iterator[None]:
        return iter(())


def give(what: str) -> Any:
    """Values that cannot cross, made over there."""
    if what == "object":
        return {"deep": [object()]}
    if what == "generator":
        return (number for number in range(3))
    if what == "async generator":
        return _ticks()
    if what == "awaitable":
        return _Ready()
    if what == "recursive":
        endless: list[Any] = []
        endless.append(endless)
        return endless
    raise KeyError(what)
