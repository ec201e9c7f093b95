# SPDX-License-Identifier: MIT
"""Values that run code while they are encoded (by their pickle), for test_encoding.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


class Asking:
    """Becomes what `ask` gives, which is asked when it is encoded."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        self._ask = ask

    def __reduce__(self) -> tuple[Callable[[Any], Any], tuple[Any]]:
        return _itself, (self._ask(),)


def _itself(value: Any) -> Any:
    return value


def number(value: int) -> int:
    return value


def result(ask: Callable[[], Any]) -> Asking:
    return Asking(ask)


def items(ask: Callable[[], Any], count: int) -> Iterator[Asking]:
    for _ in range(count):
        yield Asking(ask)


def call(function: Callable[[], Any], other: Callable[[], Any]) -> Any:
    """Leaves the other one to `call_other`, which is called meanwhile."""
    global _other
    _other = other
    return function()


_other: Callable[[], Any]


def call_other() -> Any:
    return _other()
