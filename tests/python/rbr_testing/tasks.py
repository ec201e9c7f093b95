# SPDX-License-Identifier: MIT
"""A compute module that tells how far it is, in every way that there is; for the tests."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import ringbridge
from ringbridge import _core, current

_kept: current.CurrentTask | None = None

# ------------------------------------------------------------------------------------- the call


def id_of_this_call() -> int:
    return ringbridge.current_task().id


def ids_of_this_call() -> list[int]:
    """As seen by a nested function, a generator and a thread."""

    def nested() -> int:
        return ringbridge.current_task().id

    def generated() -> Iterator[int]:
        yield ringbridge.current_task().id

    return [nested(), *generated(), in_thread(nested)]


def in_thread(function: Any) -> Any:
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(function())
        except BaseException as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    return results[0]


async def id_in_a_coroutine() -> int:
    return ringbridge.current_task().id


def id_in_a_forked_child() -> int:
    pid = os.fork()
    if pid == 0:
        task = ringbridge.current_task()
        task.progress(1, 2)
        task.check_cancelled()
        os._exit(0 if task.id == 0 else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def keep() -> None:
    global _kept
    _kept = ringbridge.current_task()


def use_kept() -> tuple[bool, bool, str]:
    """(what _core says of it, cancelled, the message of a wrong argument) of a call that ended."""
    assert _kept is not None and _kept.id not in (0, ringbridge.current_task().id)
    for _ in range(1000):
        _kept.progress(1, 2, "too late")
    _kept.check_cancelled()
    try:
        _kept.progress("1")  # type: ignore[arg-type]
    except TypeError as error:
        return _core.log(current._channel, _kept.id, 20, "x", "x"), _kept.cancelled, str(error)
    raise AssertionError("a wrong argument was taken")


# ------------------------------------------------------------------------------ progress, cancel


def tell_often(count: int) -> tuple[float, float]:
    """Seconds of a loop of `progress`, and of one of `check_cancelled`."""
    task = ringbridge.current_task()
    start = time.perf_counter()
    for i in range(count):
        task.progress(i, count, "working")
    middle = time.perf_counter()
    for _ in range(count):
        task.check_cancelled()
    return middle - start, time.perf_counter() - middle


def tell(*args: Any, **kwargs: Any) -> None:
    ringbridge.current_task().progress(*args, **kwargs)


def tell_and_hold_the_gil(fifo: str) -> None:
    """Until there is a byte in the fifo no Python code can run here."""
    import ctypes

    task = ringbridge.current_task()
    fd = os.open(fifo, os.O_RDWR)  # the reader alone would wait for a writer
    task.progress(1, 3)
    task.progress(2, 3)
    ctypes.PyDLL(None).read(fd, ctypes.create_string_buffer(1), 1)
    os.close(fd)


def tell_all(values: list[tuple[Any, ...]], fifo: str | None = None) -> None:
    """Each of them; with a fifo, each when there is a byte in it."""
    task = ringbridge.current_task()
    with open(fifo or os.devnull, "rb", buffering=0) as gate:
        for value in values:
            gate.read(1)
            task.progress(*value)


def tell_of_items(count: int) -> Iterator[int]:
    task = ringbridge.current_task()
    for i in range(count):
        task.progress(i, count)
        yield task.id


def tell_while_waiting(call_back: Any) -> None:
    """By a thread, while the call itself waits for the host, which calls something else here."""
    task, over = ringbridge.current_task(), threading.Event()

    def tell() -> None:
        count = 0
        while not over.wait(0.001):
            count += 1
            task.progress(count)

    thread = threading.Thread(target=tell)
    thread.start()
    try:
        call_back()
    finally:
        over.set()
        thread.join(30)


def tell_numbers() -> None:
    from decimal import Decimal
    from fractions import Fraction

    import numpy

    for number in (3, 2.5, True, Decimal("2.5"), Fraction(1, 3), numpy.int8(2), numpy.float32(2)):
        tell(number, numpy.int64(10))
        tell(fraction=number)
    for total in (None, 0, -1, float("inf"), float("nan"), 2**70):
        tell(1, total, "\udc80")
    tell(numpy.nan, 2**64)


def tell_in_odd_ways() -> None:
    task = ringbridge.current_task()
    for _ in range(20):
        task.progress(1, 2.5, "a lone surrogate: \udc80")
        task.log("another one: \udc81")


def wait_until_cancelled(fifo: str, how: str) -> str:
    """Tells its number through the fifo, then goes on until it is asked to end."""
    task = ringbridge.current_task()
    with open(fifo, "w") as opened:
        opened.write(str(task.id))
    step = {
        "progress": lambda: task.progress(text="still there"),
        "check": task.check_cancelled,
        "thread": lambda: _raise(in_thread(ringbridge.current_task().check_cancelled)),
        "property": lambda: None,
    }[how]
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (how == "property" and task.cancelled):
        step()
        time.sleep(0.001)
    return "saw it" if task.cancelled else "was never asked"


def _raise(result: Any) -> None:
    if isinstance(result, BaseException):
        raise result


# --------------------------------------------------------------------------------------- logging


def log(text: Any, *level: Any) -> None:
    ringbridge.current_task().log(text, *level)


def log_over_there(text: str) -> str:
    """What arrives at this process's own `logging` once the call is over."""
    import logging

    assert _kept is not None
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(name)s %(funcName)s %(levelname)s %(message)s"))
    logger = logging.getLogger(__name__)
    logger.addHandler(handler)
    try:
        _kept.log(text, "warning")
    finally:
        logger.removeHandler(handler)
    return stream.getvalue()


# ------------------------------------------------------------------------------------------ tqdm


class Recorded:
    """Stands before _core: what was told, and whether the call shall look cancelled."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, Any, str]] = []
        self.cancel = False

    def __getattr__(self, name: str) -> Any:
        return getattr(_core, name)

    def progress(self, *args: Any) -> bool:
        _core.progress(*args)
        self.told.append((args[2], args[3], args[5]))
        return self.cancel

    def cancelled(self, *args: Any) -> bool:
        return self.cancel or _core.cancelled(*args)


@contextlib.contextmanager
def recorded() -> Iterator[tuple[Recorded, io.StringIO]]:
    """What is told, and what is written to stderr."""
    recorder, drawn = Recorded(), io.StringIO()
    with contextlib.ExitStack() as stack:
        stack.callback(setattr, current, "_core", current._core)
        stack.enter_context(contextlib.redirect_stderr(drawn))
        current._core = recorder  # type: ignore[assignment]
        yield recorder, drawn


def tqdm_of(module: str) -> Any:
    import importlib

    return importlib.import_module(module).tqdm


Told = tuple[list[tuple[Any, Any, str]], str]


def loop(module: str, count: int, options: dict[str, Any]) -> Told:
    with recorded() as (recorder, drawn):
        for _ in tqdm_of(module)(range(count), **{"mininterval": 0, **options}):
            pass
    return recorder.told, drawn.getvalue()


def loop_without_total(count: int) -> Told:
    with recorded() as (recorder, drawn):
        for _ in tqdm_of("tqdm")((i for i in range(count)), mininterval=0):
            pass
    return recorder.told, drawn.getvalue()


def nested_loops() -> Told:
    tqdm = tqdm_of("tqdm")
    with recorded() as (recorder, drawn):
        for _ in tqdm(range(2), desc="sheets", mininterval=0):
            for _ in tqdm(range(3), desc="tiles", leave=False, mininterval=0):
                pass
    return recorder.told, drawn.getvalue()


def bar_with_postfix() -> Told:
    with recorded() as (recorder, drawn), tqdm_of("tqdm")(total=4, desc="fit") as bar:
        bar.update(1)
        bar.set_postfix(loss=0.5)
        bar.set_description("polish")
    return recorder.told, drawn.getvalue()


def loop_into_a_file() -> tuple[Told, str]:
    file = io.StringIO()
    return loop("tqdm", 3, {"file": file}), file.getvalue()


def loop_with_switch(on: bool) -> Told:
    current.show_tqdm(on)
    try:
        return loop("tqdm", 3, {})
    finally:
        current.show_tqdm(True)


def loop_outside_of_a_call() -> Told:
    """In the thread that sees no call: as if there were no worker."""
    with recorded() as (recorder, drawn):
        recorder.current_call = lambda: 0  # type: ignore[attr-defined]
        for _ in tqdm_of("tqdm")(range(3), mininterval=0):
            pass
    return recorder.told, drawn.getvalue()


def cancelled_loop() -> tuple[str, int, list[int]]:
    """(how it ended, after how many steps, what a loop of another thread gives then)."""
    tqdm, steps, ended = tqdm_of("tqdm"), 0, "at its end"
    with recorded() as (recorder, _):
        try:
            for steps in tqdm(range(100), mininterval=0):
                recorder.cancel = steps == 3
        except ringbridge.Cancelled as error:
            ended = str(error)
        recorder.cancel = False
        other: list[int] = in_thread(lambda: list(tqdm(range(2), mininterval=0)))
    return ended, steps, other


def cancelled_while_another_thread_refreshes() -> str:
    """As tqdm's own monitor does; nothing may be raised in there."""
    with recorded() as (recorder, _), tqdm_of("tqdm")(total=3) as bar:
        recorder.cancel = True
        return repr(in_thread(bar.refresh))


def loop_with_odd_counts() -> Told:
    class Odd(int):
        def __float__(self) -> float:
            raise TypeError("not that")

    with recorded() as (recorder, drawn), tqdm_of("tqdm")(total=3) as bar:
        bar.n = Odd(2)
        bar.refresh()
    return recorder.told, drawn.getvalue()


def loaded(name: str) -> bool:
    return name in sys.modules


def import_and_patch(names: list[str]) -> list[bool]:
    """Imports them; whether bars of each are ours to show."""
    found = []
    for name in names:
        bar = tqdm_of(name)(total=1)
        found.append(getattr(bar, "_ringbridge_shown", None) is not None)
        bar.close()
    return found
