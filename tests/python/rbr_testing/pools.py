# SPDX-License-Identifier: MIT
"""What the tests of pools have run in workers, found there by its name."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ringbridge

STATE: list[Any] = []


class Nested:
    class Deeper:
        @staticmethod
        def double(x: Any) -> Any:
            return 2 * x

    @classmethod
    def name(cls) -> str:
        return cls.__name__


async def later(value: Any) -> Any:
    return value


later_five = functools.partial(later, 5)


def pid() -> int:
    return os.getpid()


def add(*args: Any, **kwargs: Any) -> Any:
    return sum(args) + sum(kwargs.values())


def spelled(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
    return args, kwargs


def length(value: Any, *_: Any) -> int:
    return len(value)


def place(value: Any, *_: Any) -> int:
    """Where its memory begins: the same for what was sent once."""
    import numpy

    return int(numpy.frombuffer(value, "uint8").ctypes.data)


def remember(value: Any) -> None:
    STATE.append(value)


def remembered() -> list[Any]:
    return STATE


def spoil(value: Any, *_: Any) -> str:
    """Tries to change its argument, and says what it was."""
    was = repr(value)
    for target in (value, value[0]):
        with contextlib.suppress(ValueError, TypeError):
            target[0] = 7
    return was


def fail(text: object = "failed") -> None:
    raise ValueError(text)


def die(code: int = 3, log: str | None = None) -> None:
    if log is not None:
        with open(log, "a") as file:
            file.write("x")
    os._exit(code)


def call_twice(function: Callable[[int], tuple[int, str]], number: int) -> tuple[int, str]:
    return function(function(number)[0])


def log(text: str) -> None:
    ringbridge.current_task().log(text, "WARNING")


def variable(name: str) -> str | None:
    return os.environ.get(name)


@contextlib.contextmanager
def said(fifo: str) -> Iterator[None]:
    """Tells the test that it runs; the test opens the other end."""
    with open(fifo, "w") as file:
        file.write(str(os.getpid()))
    yield


def sleep(fifo: str, seconds: float = 3600) -> str:
    with said(fifo):
        time.sleep(seconds)
    return "slept"


def sleep_in_peace(fifo: str) -> None:
    """As native code that looks at no signal."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    sleep(fifo)


def wait_for(path: str, fifo: str | None = None) -> int:
    """Until there is such a file."""
    if fifo is not None:
        with said(fifo):
            pass
    deadline = time.monotonic() + 50
    while not Path(path).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(path)
        threading.Event().wait(0.01)
    return os.getpid()


class Deadly:
    """Kills whoever unpickles it."""

    def __reduce__(self) -> Any:
        return os._exit, (5,)


class Adder:
    def __init__(self, number: int) -> None:
        self.number = number

    def add(self, other: int) -> int:
        return self.number + other


def ended(pid: int) -> bool:
    """Waits until there is no such process; False when it does not end."""
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False
