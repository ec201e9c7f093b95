# SPDX-License-Identifier: MIT
"""A compute module for the tests of tasks, streams and callbacks."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

# What happened here, for the host to ask.
seen: list[Any] = []


def take_seen() -> list[Any]:
    """What happened since somebody last asked."""
    taken = seen[:]
    seen.clear()
    return taken


def pid() -> int:
    return os.getpid()


# ------------------------------------------------------------------------------------------ calls


def number(value: int) -> int:
    return value


def note(value: Any) -> Any:
    seen.append(value)
    return value


def pause(seconds: float, value: Any = None) -> Any:
    time.sleep(seconds)
    return value


def count_up(turns: int, value: int) -> int:
    """Pure Python that takes some time."""
    total = 0
    for each in range(turns):
        total += each
    return value


def says(value: str) -> str:
    return value + " there"


def pass_on(started: str, release: str, value: Any = None) -> Any:
    """Two FIFOs: the first says that this runs, the second lets it end."""
    open(started, "w").close()
    open(release).close()
    return value


def wait_until_cancelled(started: str, number: str) -> None:
    """Runs until the call with the number that the second FIFO gives has been cancelled here."""
    from ringbridge import _core, current

    open(started, "w").close()
    with open(number) as file:
        call = int(file.read())
    channel = current._channel
    assert channel is not None
    end = time.monotonic() + 20
    while not _core.cancelled(channel, call) and time.monotonic() < end:
        time.sleep(0.001)


def sleep_long(started: str) -> None:
    open(started, "w").close()
    time.sleep(3600)


def spin_python(started: str) -> None:
    open(started, "w").close()
    while True:
        pass


def fork_and_wait(started: str, release: str) -> int:
    """Its forked child comes back from here at once."""
    child = os.fork()
    if child == 0:
        return 0
    os.waitpid(child, 0)
    open(started, "w").close()
    open(release).close()
    return os.getpid()


def sleep_deaf(started: str) -> None:
    """Native code that no signal interrupts: nanosleep, again and again, without a bytecode."""
    import ctypes

    open(started, "w").close()
    libc = ctypes.CDLL(None)
    libc.pthread_mutex_lock.restype = ctypes.c_int
    mutex = ctypes.create_string_buffer(64)
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_lock(mutex)  # of the same thread: for ever, whatever the signals say


def log_for_ever() -> None:
    import ringbridge

    task = ringbridge.current_task()
    while True:
        task.log("x" * 2000)


# ---------------------------------------------------------------------------------------- streams


def numbers(count: int) -> Iterator[int]:
    yield from range(count)


def noted(count: int) -> Iterator[int]:
    """Says how far it is, and when it is closed."""
    try:
        for each in range(count):
            seen.append(each)
            yield each
    finally:
        seen.append("closed")


def then_fails(count: int) -> Iterator[int]:
    yield from range(count)
    raise KeyError("there")


def fails_in_close() -> Iterator[int]:
    try:
        yield 1
        yield 2
    finally:
        raise ValueError("in finally")


def blobs(count: int, size: int) -> Iterator[bytes]:
    for each in range(count):
        seen.append(each)
        yield bytes([each % 256]) * size


def arrays(count: int, size: int) -> Iterator[Any]:
    import numpy

    for each in range(count):
        yield numpy.full(size, each, "float64")


def one_then_sleeps(started: str) -> Iterator[int]:
    try:
        yield 1
        open(started, "w").close()
        time.sleep(3600)
        yield 2
    finally:
        seen.append("closed")


def items_through(started: str, release: str) -> Iterator[int]:
    """One item, made from when the first FIFO says so until the second lets it."""
    yield pass_on(started, release, 1)


def ends_late(how: str) -> Iterator[int]:
    """Its `finally` lasts."""
    try:
        while True:
            yield 1
    finally:
        if how == "short":
            time.sleep(0.06)
        elif how == "asks":
            _until_cancelled()
        elif how == "sleeps":
            sleep_long(os.devnull)
        else:
            sleep_deaf(os.devnull)
        seen.append("slept")


def _until_cancelled() -> None:
    import ringbridge

    end = time.monotonic() + 30
    while not ringbridge.current_task().cancelled:
        assert time.monotonic() < end
        time.sleep(0.001)


def dies_after(count: int) -> Iterator[int]:
    yield from range(count)
    os._exit(7)


async def later_numbers(count: int) -> AsyncIterator[int]:
    import asyncio

    try:
        for each in range(count):
            await asyncio.sleep(0)
            yield each
    finally:
        seen.append("closed")


def as_list(count: int) -> list[int]:
    return list(range(count))


def with_progress(count: int) -> Iterator[int]:
    import ringbridge

    task = ringbridge.current_task()
    for each in range(count):
        task.progress(each + 1, count)
        yield each


def talks_first(how: str, seconds: float) -> Iterator[str]:
    """Has a lot to say before its only item."""
    import ringbridge

    task = ringbridge.current_task()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if how == "progress":
            task.progress(1, 2)
        else:
            task.log("not yet")
        time.sleep(0.001)
    yield "item"


def notifies_first(function: Any) -> Iterator[str]:
    function.notify()
    yield "item"


def cannot_cross_at(bad: int) -> Iterator[Any]:
    for each in range(bad + 2):
        yield threading.Lock() if each == bad else each


# -------------------------------------------------------------------------------------- callbacks


def call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)


def call_both(first: Callable[[], Any], second: Callable[[], Any]) -> Any:
    """What the second gives, whatever the first does."""
    with contextlib.suppress(BaseException):
        first()
    return second()


def text_of(value: Any) -> str:
    return repr(value)


def call_all(functions: Any) -> list[Any]:
    if isinstance(functions, dict):
        return [function() for function in functions.values()]
    return [function() for function in functions]


def call_many(function: Callable[[int], Any], count: int) -> list[Any]:
    return [function(each) for each in range(count)]


def call_caught(function: Callable[[], Any]) -> str:
    """What a callback raised, as it looks from here."""
    try:
        function()
    except Exception as error:
        return f"{type(error).__name__}: {error}; {type(error.__cause__).__name__}"
    return "nothing"


def notify(function: Any, count: int, value: Any = None) -> Any:
    for each in range(count):
        function.notify(each)
    return value


#: How many notices notify_counted has begun to send.
_sent = 0


def sent() -> int:
    return _sent


def notify_counted(function: Any, count: int) -> None:
    global _sent
    for each in range(count):
        _sent = each + 1
        function.notify(each)


def notify_from_threads(function: Any, threads: int, count: int) -> None:
    _in_threads(threads, lambda: notify(function, count))


def call_from_threads(function: Any, threads: int, count: int) -> list[Any]:
    results: list[Any] = []
    _in_threads(threads, lambda: results.extend(call_many(function, count)))
    return sorted(results)


def _in_threads(count: int, target: Callable[[], object]) -> None:
    threads = [threading.Thread(target=target) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def keep_callback(function: Any) -> None:
    seen.append(function)


def call_kept() -> Any:
    return seen.pop()()


def notify_kept() -> None:
    seen.pop().notify()


def drop_callback(functions: list[Any], say: Any, wait: str) -> None:
    """Lets go of them, says so, and waits for the FIFO."""
    functions.clear()
    say()
    open(wait).close()


def call_in_stream(function: Any, count: int) -> Iterator[Any]:
    for each in range(count):
        yield function(each)


def countdown(function: Any, depth: int) -> list[str]:
    """Host and worker call each other, `depth` times each."""
    return [f"there {depth}", *function(depth - 1)]
