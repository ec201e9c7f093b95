# SPDX-License-Identifier: MIT
"""What the applications of the tests serve."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import ringbridge as rb
from ringbridge.host import expose

ANSWER = 42
_count = 0
_seen: list[str] = []


@expose
def add(a: int, b: int = 1) -> int:
    """Adds."""
    return a + b


@expose
def count() -> int:
    """How often it was called: a number that no client may miss, or see twice."""
    global _count
    _count += 1
    return _count


@expose
def counted() -> int:
    return _count


@expose
def on_main() -> bool:
    return threading.get_ident() == threading.main_thread().ident


@expose(on="main")
def only_on_main() -> bool:
    return on_main()


@expose(on="thread")
def only_on_thread() -> bool:
    return on_main()


@expose
def hold(started: str, release: str) -> str:
    """Until the test lets go."""
    open(started, "w").close()
    open(release).close()
    return "held"


@expose
def until_cancelled(started: str) -> None:
    task = rb.current_task()
    open(started, "w").close()
    while True:
        task.check_cancelled()
        time.sleep(0.001)


@expose
def sleep_through(started: str, seconds: float) -> str:
    """Looks at no cancel; a signal would cut it short."""
    open(started, "w").close()
    time.sleep(seconds)
    return "slept"


@expose
def filled(size: int, value: int) -> Any:
    array = rb.empty((size,), "uint8")
    array[:] = value
    return array


@expose
def total(array: Any) -> int:
    return int(array.sum())


@expose
def numbers(stop: int) -> Iterator[int]:
    yield from range(stop)


@expose
async def doubled(value: int) -> int:
    return 2 * value


@expose
async def later(stop: int) -> AsyncIterator[int]:
    for value in range(stop):
        yield value


@expose
def each(function: Callable[[int], Any], stop: int) -> list[Any]:
    return [function(value) for value in range(stop)]


@expose
def steps(stop: int) -> int:
    task = rb.current_task()
    for value in range(stop):
        task.progress(value + 1, stop, f"step {value}")
    return stop


@expose
def size(text: str) -> int:
    return len(text)


@expose
def text(size: int) -> str:
    return "x" * size


@expose
def through_a_worker(name: str) -> bool:
    """Our main thread waits for a worker, which calls into us."""
    with rb.Worker(os.environ["RBR_PYTHON"], paths=[os.getcwd()]) as worker:
        there: bool = worker.load("rbr_testing.served_clients").call_on_main(name, os.getpid())
        return there


@expose
def through_a_task(name: str) -> bool:
    with rb.Worker(os.environ["RBR_PYTHON"], paths=[os.getcwd()]) as worker:
        there = worker.load("rbr_testing.served_clients").call_on_main.submit(name, os.getpid())
        return bool(there.result(30))


@expose
def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(5)


@expose
class Layer:
    """Stands for what cannot cross."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.parent: Layer | None = None
        self.sizes = [1, 2]
        self._source = "private"

    def renamed(self, name: str) -> str:
        self.name, before = name, self.name
        return before

    def child(self, name: str) -> Layer:
        made = Layer(name)
        made.parent = self
        return made

    def __del__(self) -> None:
        _seen.append(self.name)


@expose
def layers() -> list[Layer]:
    return [Layer("a"), Layer("b")]


@expose
def a_module() -> Any:
    return os


@expose
def seen() -> list[str]:
    """The layers that have gone."""
    return list(_seen)


def not_exposed() -> None:
    raise AssertionError("called")
