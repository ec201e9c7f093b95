# SPDX-License-Identifier: MIT
"""Peer: one way to call functions of far_side in another process. No measuring, no deadlines.

A peer lives in a runner, a process of its own, which is killed when it takes too long: its methods
may block for as long as its library does.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

JOIN_S = 5.0

#: What is told of each answer that arrives: the value that went, and what came back.
Arrived = Callable[[int, int], None]
Thunk = Callable[[], Any]


class Unable(Exception):
    """A peer cannot do this by its nature; the text says why."""


@dataclass(frozen=True)
class Settings:
    """env: the worker's environment; token: what the names that a peer chooses must begin with.

    cpus: of this process, of the far side.
    """

    env: str
    token: str
    cpus: tuple[int, int]


class Peer:
    """start() and remote() are all that a peer must have; the rest it does its own way or not.

    `shares_memory`: has arrays in place too. `has_futures`: has submitter(). `note`: what a reader
    of its figures must know.
    """

    shares_memory = False
    has_futures = False
    note = ""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def start(self) -> None:
        """Until the far side is there, or as good as there."""
        raise NotImplementedError

    def remote(self, name: str, *args: Any) -> Any:
        """Calls that function of far_side."""
        raise NotImplementedError

    def caller(self, name: str) -> Callable[..., Any]:
        """The same as something to be called often."""
        return partial(self.remote, name)

    def call(self, number: int) -> int:
        answer: int = self.caller("increment")(number)
        return answer

    def submitter(self, name: str) -> Callable[..., Future[Any]]:
        """Starts a call of the function, and gives its future."""
        raise Unable("it has no futures")

    def awaiter(self) -> Callable[[], Awaitable[int]]:
        """What gives 2, awaited in the asyncio loop that runs on this thread."""
        raise Unable("it is not awaited")

    def stream(self, values: Iterable[int], window: int, arrived: Arrived) -> None:
        """Calls increment for each value, with so many in flight at most."""
        raise Unable("it answers one call at a time")

    def reported(self, seconds: float) -> list[int]:
        """The far side measures for so long; ns of each."""
        raise Unable("its far side measures nothing")

    def argument(self, name: str, array: Any) -> Thunk:
        """Calls the function with an ordinary array."""
        return partial(self.remote, name, array)

    def result(self, name: str, size: int) -> Thunk:
        """Calls the function, and has an ordinary array of this process afterwards."""
        return partial(self.remote, name, size)

    def shared(self, size: int) -> Any:
        """A new array in memory that both sides see, for shared_argument()."""
        raise Unable("its arrays are copied")

    def shared_argument(self, name: str, array: Any) -> Thunk:
        return self.argument(name, array)

    def keep_shared(self, size: int, seed: int) -> int:
        """The far side makes what shared_result() gives; its crc."""
        raise Unable("its arrays are copied")

    def shared_result(self, size: int) -> Thunk:
        raise Unable("its arrays are copied")

    def exchange(self, arrays: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self.remote("exchange", arrays)
        return answer

    def plotted(self, what: str, seed: int) -> tuple[Thunk, Callable[[], bool]]:
        """What shows it, and what shows it once more and looks whether it has come right.

        what  "image", "number", or which steps of a simulation are shown
        """
        raise Unable("it shows nothing")

    def copied(self) -> Thunk:
        """What copies that to two places in turn, as a publication does, and does nothing else."""
        raise Unable("it shows nothing")

    def settled(self) -> int:
        """Waits until all has been drawn; how many frames that were so far, of all viewers."""
        return 0

    def forget(self) -> None:
        """Gives back the memory that the last test took, here and there."""
        self.remote("forget")

    def close(self) -> None:
        """Ends the far side."""


def stream_futures(
    submit: Callable[[int], Future[int]], values: Iterable[int], window: int, arrived: Arrived
) -> None:
    """stream() of whatever gives futures: waits for the oldest when the window is full."""
    waiting: deque[tuple[int, Future[int]]] = deque()
    for value in values:
        if len(waiting) == window:
            first, future = waiting.popleft()
            arrived(first, future.result())
        waiting.append((value, submit(value)))
    for value, future in waiting:
        arrived(value, future.result())


def spawned(target: Callable[..., None], *args: Any) -> BaseProcess:
    """A far side in a child of this interpreter, begun anew: nothing of this process is in it."""
    import multiprocessing

    process = multiprocessing.get_context("spawn").Process(target=target, args=args, daemon=True)
    process.start()
    return process


def ended(process: BaseProcess | None) -> None:
    """Waits for a far side that has been told to end; kills it if it does not."""
    if process is None:
        return
    process.join(JOIN_S)
    with contextlib.suppress(OSError):
        if process.exitcode is None:
            process.kill()
            process.join(JOIN_S)


def answered(name: str, args: tuple[Any, ...]) -> Any:
    """What the far side of a peer without functions of its own does with a request."""
    from ringbridge.bench import far_side

    return getattr(far_side, name)(*args)
