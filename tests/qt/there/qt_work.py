# SPDX-License-Identifier: MIT
"""What the tests of ringbridge.qt have a worker do."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import ringbridge as rb


def add(a: float, b: float = 0.0) -> float:
    return a + b


def steps(count: int, seconds: float = 0.0) -> int:
    task = rb.current_task()
    for done in range(count):
        task.progress(done, count, f"step {done}")
        time.sleep(seconds)
    return count


def says(text: str) -> None:
    rb.current_task().log(text, "WARNING")


def ones(bytes_: int) -> object:
    array = rb.empty(bytes_ // 8, "float64")
    array.fill(1.0)
    return array


def raises(text: str) -> None:
    raise ValueError(text)


def dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def counts(count: int) -> Iterator[int]:
    yield from range(count)


def breaks_off(after: int) -> Iterator[int]:
    yield from range(after)
    raise ValueError("enough")


def without_end(mark: str) -> Iterator[int]:
    """Leaves a file when it is closed."""
    number = 0
    try:
        while True:
            yield number
            number += 1
            time.sleep(0.001)
    finally:
        with open(mark, "w") as file:
            file.write("closed")


def then_sleeps(count: int) -> Iterator[int]:
    yield from range(count)
    time.sleep(60)


def deaf(seconds: float) -> None:
    """Is asked and interrupted in vain."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            time.sleep(seconds)
        except BaseException:
            continue


_cancelled = 0


def until_cancelled() -> None:
    """Says so once it has begun."""
    global _cancelled
    task = rb.current_task()
    task.progress(text="begun")
    try:
        while True:
            task.check_cancelled()
            time.sleep(0.001)
    except rb.Cancelled:
        _cancelled += 1
        raise


def take_cancelled() -> int:
    """How many calls have been cancelled since it was asked."""
    global _cancelled
    count, _cancelled = _cancelled, 0
    return count


def asks(function: Callable[[int], int], count: int) -> list[int]:
    return [function(number) for number in range(count)]


def pid() -> int:
    return os.getpid()
