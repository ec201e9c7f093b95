# SPDX-License-Identifier: MIT
"""A compute module for the tests. This docstring is what `help` shows."""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

ANSWER = 42
NAMES = ["a", "b"]
NESTED = {"one": (1, 2.5, None), "two": [b"x", True]}
NOT_PLAIN = object()
_HIDDEN = 1


def echo(value: Any) -> Any:
    """Gives back what it gets."""
    return value


def add(left: int, right: int = 2, *, scale: float = 1.0) -> float:
    return (left + right) * scale


def odd_default(value: Any = NOT_PLAIN, *rest: int, **more: str) -> bool:
    return value is NOT_PLAIN


async def later(value: Any) -> Any:
    import asyncio

    await asyncio.sleep(0)
    return value


def numbers(count: int) -> Iterator[int]:
    yield from range(count)


class Model:
    pass


add_ten = functools.partial(add, 10)


# ------------------------------------------------------------------------------------- failures


class OwnError(ValueError):
    """A class that the host does not have."""


def fail(kind: str = "ValueError", *args: Any) -> None:
    import builtins

    raise getattr(builtins, kind)(*args)


def fail_own() -> None:
    raise OwnError("mine")


def fail_with_cause() -> None:
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise RuntimeError("outer") from error


def decode_badly() -> None:
    b"\xff".decode("utf-8")


def open_missing() -> None:
    os.stat("/no/such/file")


def leave(code: object = 3) -> None:
    sys.exit(code)  # type: ignore[arg-type]


def recurse() -> None:
    recurse()


def uncrossable() -> Any:
    return {"x": threading.Lock()}


def exit_hard(code: int = 3) -> None:
    os._exit(code)


def segfault() -> None:
    import ctypes

    ctypes.string_at(0)


# ------------------------------------------------------------------------------ the process itself


def pid() -> int:
    return os.getpid()


def path() -> list[str]:
    return sys.path


def variable(name: str) -> str | None:
    return os.environ.get(name)


def working_folder() -> str:
    return os.getcwd()


def arguments() -> list[str]:
    return sys.argv


def modules() -> list[str]:
    return sorted(sys.modules)


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def allow_no_more_memory(bytes_more: int) -> None:
    import resource

    with open("/proc/self/statm") as file:
        mapped = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + bytes_more, resource.RLIM_INFINITY))


def ask_user() -> str:
    return input("your name? ")


def block_for_ever(started: str) -> None:
    """`started` is a FIFO: whoever reads it knows that this runs, without sleeping."""
    open(started, "w").close()
    while True:
        time.sleep(0.01)


def spin_for_ever(started: str) -> None:
    open(started, "w").close()
    while True:
        pass


def block_and_tidy(started: str, tidied: str) -> None:
    try:
        block_for_ever(started)
    finally:
        open(tidied, "w").close()


def ignore_signals_for_ever(started: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    block_for_ever(started)


def interrupt_self() -> str:
    os.kill(os.getpid(), signal.SIGINT)
    return "went on"


# ------------------------------------------------------------------------------------------ output


def say(text: str, stream: str = "stdout") -> None:
    print(text, file=getattr(sys, stream))


def write(data: bytes, fd: int = 1) -> None:
    """As native code does: past Python's own buffers."""
    while data:
        data = data[os.write(fd, data) :]


# ---------------------------------------------------------------------------------------- children


def square(number: int) -> int:
    return number * number


def squares(method: str, count: int) -> list[int]:
    import multiprocessing

    with multiprocessing.get_context(method).Pool(1) as pool:
        return pool.map(square, range(count))


def ringbridge_of_child(method: str) -> str:
    """Where a child process finds ringbridge."""
    import multiprocessing

    with multiprocessing.get_context(method).Pool(1) as pool:
        return pool.apply(ringbridge_file)


def ringbridge_file() -> str:
    import ringbridge

    return str(ringbridge.__file__)


def fork_and_return() -> int:
    """The child comes back from here; it must not get into the worker's loop."""
    child = os.fork()
    if child == 0:
        return 0
    os.waitpid(child, 0)
    return os.getpid()


def terminate_forked_child() -> int:
    """How a forked child ends of SIGTERM."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write_end, b"x")
        while True:
            signal.pause()
    os.read(read_end, 1)
    os.kill(child, signal.SIGTERM)
    status = os.waitpid(child, 0)[1]
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status)


def leave_grandchild() -> int:
    """A forked process that outlives this one, with all that it has open."""
    child = os.fork()
    if child == 0:
        time.sleep(30)
        os._exit(0)
    return child


def empty(shape: Any, dtype: str = "float64") -> Any:
    import ringbridge

    array = ringbridge.empty(shape, dtype)
    array[...] = 1
    return array
