# SPDX-License-Identifier: MIT
"""Values that run code while they are encoded (by their pickle), for test_encoding.py."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import ringbridge


class Asking:
    """Becomes what `ask` gives, which is asked when it is encoded."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        self._ask = ask

    def __reduce__(self) -> tuple[Callable[[Any], Any], tuple[Any]]:
        return _itself, (self._ask(),)


def _itself(value: Any) -> Any:
    return value


def pid() -> int:
    return os.getpid()


def number(value: int) -> int:
    return value


def result(ask: Callable[[], Any]) -> Asking:
    return Asking(ask)


def items(ask: Callable[[], Any], count: int) -> Iterator[Asking]:
    for _ in range(count):
        yield Asking(ask)


class Endless:
    """Its encoding does not end by itself; `started` is a FIFO."""

    def __init__(self, started: str) -> None:
        self._started = started

    def __reduce__(self) -> str:
        open(self._started, "w").close()
        while True:
            time.sleep(0.01)


def endless(started: str) -> Endless:
    return Endless(started)


def slow(value: int) -> Asking:
    """Half of its time it runs, half it is encoded."""

    def later() -> int:
        time.sleep(0.004)
        return value

    time.sleep(0.004)
    return Asking(later)


class TaskOf:
    """Becomes the number of the call that encodes it."""

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        return int, (ringbridge.current_task().id,)


def tasks_of_result() -> list[Any]:
    return [ringbridge.current_task().id, TaskOf()]


def tasks_of_items() -> Iterator[list[Any]]:
    for _ in range(3):
        yield [ringbridge.current_task().id, TaskOf()]


def counted(ask: Callable[[], Any], before: int, count: int) -> Iterator[Any]:
    """Numbers from 0 on; the one after `before` of them asks, and is None."""
    for each in range(count):
        yield Asking(ask) if each == before else each


def grown(ask: Callable[[], Any]) -> Iterator[Any]:
    """Small items; one asks while it stands half-way, and goes on far beyond the others' size."""
    for each in range(1000):
        yield [Asking(ask), b"x" * 100_000] if each == 3 else each


class Gone:
    """Asks when it goes."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        self._ask = ask

    def __reduce__(self) -> tuple[Callable[[Any], Any], tuple[Any]]:
        return _itself, (0,)

    def __del__(self) -> None:
        self._ask()


def going(ask: Callable[[], Any]) -> Iterator[Gone]:
    while True:
        yield Gone(ask)


class Odd:
    """An iterator whose method `close` has to be asked for, too."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        self._ask = ask
        self._made = 0

    def __iter__(self) -> Odd:
        return self

    def __next__(self) -> int:
        self._made += 1
        return self._made

    @property
    def close(self) -> Callable[[], None]:
        self._ask()
        return lambda: None


def odd(ask: Callable[[], Any]) -> Odd:
    return Odd(ask)


def call(function: Callable[[], Any], other: Callable[[], Any]) -> Any:
    """Leaves the other one to `call_other`, which is called meanwhile."""
    global _other
    _other = other
    return function()


_other: Callable[[], Any]


def call_other() -> Any:
    return _other()
