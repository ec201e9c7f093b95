# SPDX-License-Identifier: MIT
"""Arguments that many calls have in common: which they are, and calls without them.

What is kept in a worker must be what the caller's value is: so only values that cannot change are
found by their identity (long str and bytes, arrays on the memory of bytes), and all others are
taken as they are at one moment (share(), and what a map repeats). No I/O.
"""

from __future__ import annotations

import copy
import functools
import itertools
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Union

_BYTES_MIN = 64 << 10  # less is not worth a message of its own
_FEW = frozenset({int, float, bool, type(None), complex, tuple, list, dict})

Place = Union[int, str]  # of an argument: its position or its keyword
Places = tuple[tuple[Place, "Shared"], ...]

_numbers = itertools.count(1)


class Shared:
    """A value that is sent to each worker of a pool once, however many calls have it as argument.

    Made by Pool.share(). It stays in the workers until the last reference to this is gone.
    """

    def __init__(self, value: Any, uses: int = 2) -> None:
        self.value = value
        self.number = next(_numbers)
        self.uses = uses  # one that is used only once is sent with its call

    def __repr__(self) -> str:
        return f"<ringbridge shared {type(self.value).__name__}>"


def snapshot(value: Any) -> Any:
    """The value as it is now, whatever happens to it later."""
    if _is_fixed(value):
        return value
    taken = copy.deepcopy(value)
    if _is_array(taken):
        taken.flags.writeable = False
    return taken


def taken_apart(
    function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """Of a functools.partial, what it calls and with which arguments."""
    while type(function) is functools.partial:
        args = (*function.args, *args)
        kwargs = {**function.keywords, **kwargs}
        function = function.func
    return function, args, kwargs


def plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """With what is shared in its place again."""
    if Shared not in map(type, row):
        return row
    return tuple(each.value if type(each) is Shared else each for each in row)


class Shares:
    """Finds what calls have in common, among those that have not ended yet."""

    def __init__(self) -> None:
        #: By the identity of the value, which lives as long as its entry.
        self._known: weakref.WeakValueDictionary[int, Shared] = weakref.WeakValueDictionary()

    def laid_out(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any], Places]:
        """(args, kwargs, what is not in them but shared). The places of that hold None."""
        return _laid_out(args, kwargs, self._shared)

    def _shared(self, value: Any) -> Shared | None:
        if type(value) is Shared:
            return value
        if not _is_fixed(value) or _bytes(value) < _BYTES_MIN:
            return None
        known = self._known.get(id(value))
        if known is None:
            known = self._known[id(value)] = Shared(value, uses=0)
        known.uses += 1
        return known


class Common:
    """What all calls of a map have in common, and the rows of arguments that they have not."""

    def __init__(
        self, fixed: tuple[Any, ...], kwargs: dict[str, Any], columns: tuple[Iterable[Any], ...]
    ) -> None:
        self.args, self.kwargs, self.shares = _laid_out(fixed, kwargs, _taken)
        rest = [self._column(len(fixed) + i, column) for i, column in enumerate(columns)]
        self.rows: Iterator[tuple[Any, ...]] = zip(*rest)

    def _column(self, place: int, column: Iterable[Any]) -> Iterable[Any]:
        if type(column) is not itertools.repeat:
            return column
        # Its first value is taken out and put back: it cannot be asked how many there are.
        first = list(itertools.islice(column, 1))
        shared = _taken(first[0]) if first else None
        if shared is None:
            return itertools.chain(first, column)
        self.shares = (*self.shares, (place, shared))
        return (None for _ in itertools.chain(first, column))


def _taken(value: Any) -> Shared | None:
    """Of a value that is repeated on purpose: shared as it is now, where that is worth it."""
    if type(value) is Shared:
        return value
    return Shared(snapshot(value)) if _bytes(value) >= _BYTES_MIN else None


def _laid_out(
    args: tuple[Any, ...], kwargs: dict[str, Any], shared: Callable[[Any], Shared | None]
) -> tuple[tuple[Any, ...], dict[str, Any], Places]:
    shares: list[tuple[Place, Shared]] = []
    places: tuple[tuple[Place, Any], ...] = (*enumerate(args), *kwargs.items())
    for place, value in places:
        if type(value) not in _FEW:
            found = shared(value)
            if found is not None:
                shares.append((place, found))
    if not shares:
        return args, kwargs, ()
    empty = {place: None for place, _ in shares}
    args = tuple(empty.get(place, value) for place, value in enumerate(args))
    return args, {name: empty.get(name, value) for name, value in kwargs.items()}, tuple(shares)


def _is_array(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(value) is numpy.ndarray


def _bytes(value: Any) -> int:
    """How large a value is that is a candidate; 0 for all others."""
    if type(value) is str or type(value) is bytes:
        return len(value)
    return int(value.nbytes) if _is_array(value) else 0


def _is_fixed(value: Any) -> bool:
    """Whether nobody can change it. Of arrays, a read-only flag does not say that: it can be taken
    back, and the memory may be seen through another array."""
    while _is_array(value):
        if value.flags.writeable:
            return False
        value = value.base
    return type(value) is str or type(value) is bytes
