# SPDX-License-Identifier: MIT
"""What turns do in an asyncio loop: awaits, and ticks while results arrive. Imports asyncio late.

A tick is a callback that is due at a fixed time, whenever the one before it really came: one that
is much too late makes those after it late as well, as frames are that a window could not draw.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle

TICK_S = 1 / 60
AHEAD = 4  # arrays that are asked for before the first of them is taken

_EACH_MAX = 2000  # they travel as JSON

_clock = time.perf_counter_ns

Submit = Callable[[], Future[Any]]
Good = Callable[[Any], bool]


class Loop:
    """A loop of this thread, which stands still between two turns."""

    def __init__(self) -> None:
        import asyncio

        self._loop = asyncio.new_event_loop()

    def awaits(
        self, call: Callable[[], Awaitable[int]], seconds: float, nap_s: float
    ) -> tuple[list[int], int]:
        """One after another, a nap before each: ns of each, and how many were not 2."""
        return self._loop.run_until_complete(_awaits(call, seconds, nap_s))

    def gather(self, call: Callable[[], Awaitable[int]], calls: int) -> tuple[int, int]:
        """All at once: ns until the last one has come, and how many were not 2."""
        return self._loop.run_until_complete(_gather(call, calls))

    def rhythm(
        self, load: str, submit: Submit, good: Good, seconds: float, least: int
    ) -> dict[str, Any]:
        """How late each tick was, in ns, while arrays arrived: that many at least, and so long.

        load: "" (nothing arrives), "awaited", or "callbacks" (on another thread).
        """
        return self._loop.run_until_complete(_rhythm(load, submit, good, seconds, least))


async def _awaits(
    call: Callable[[], Awaitable[int]], seconds: float, nap_s: float
) -> tuple[list[int], int]:
    import asyncio

    each: list[int] = []
    wrong = 0
    began = _clock()
    until = began + seconds * 1e9
    while not each or (began < until and len(each) < _EACH_MAX):
        if nap_s:
            await asyncio.sleep(nap_s)
        began = _clock()
        got = await call()
        each.append(_clock() - began)
        wrong += got != 2
    return each, wrong


async def _gather(call: Callable[[], Awaitable[int]], calls: int) -> tuple[int, int]:
    import asyncio

    began = _clock()
    answers = await asyncio.gather(*(call() for _ in range(calls)))
    return _clock() - began, calls - answers.count(2)


# --------------------------------------------------------------------------------------- rhythm


class _Ticks:
    """Sixty times a second, until stop()."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self.late_ns: list[int] = []
        self._due = loop.time() + TICK_S
        self._handle: TimerHandle = loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        # At least 1: a loop may call a little before the time.
        self.late_ns.append(max(round((self._loop.time() - self._due) * 1e9), 1))
        self._due += TICK_S
        self._handle = self._loop.call_at(self._due, self._tick)

    def stop(self) -> None:
        self._handle.cancel()


async def _rhythm(
    load: str, submit: Submit, good: Good, seconds: float, least: int
) -> dict[str, Any]:
    import asyncio

    loop = asyncio.get_running_loop()
    arrived = wrong = 0
    began = _clock()
    until = began + seconds * 1e9
    ticks = _Ticks(loop)
    if load == "awaited":
        arrived, wrong = await _awaited(submit, good, until, least)
    elif load == "callbacks":
        arrived, wrong = await loop.run_in_executor(None, _called, submit, good, until, least)
    else:
        await asyncio.sleep(seconds)
    took = _clock() - began
    ticks.stop()
    answer: dict[str, Any] = {"trips": ticks.late_ns, "each": ticks.late_ns, "wrong": wrong}
    return {**answer, "took_ns": took / arrived} if arrived else answer


async def _awaited(submit: Any, good: Good, until: float, least: int) -> tuple[int, int]:
    waiting: deque[Any] = deque()
    arrived = wrong = 0
    while arrived < least or _clock() < until:
        while len(waiting) < AHEAD:
            waiting.append(submit())
        wrong += not good(await waiting.popleft())
        arrived += 1
    for task in waiting:
        wrong += not good(await task)
    return arrived + len(waiting), wrong


def _called(submit: Submit, good: Good, until: float, least: int) -> tuple[int, int]:
    """On a thread of its own; the callbacks run on the one that reads for the tasks."""
    free = threading.Semaphore(AHEAD)
    right = 0

    def done(task: Future[Any]) -> None:
        nonlocal right
        try:
            right += good(task.result())
        finally:
            free.release()

    sent = 0
    while sent < least or _clock() < until:
        free.acquire()
        submit().add_done_callback(done)
        sent += 1
    for _ in range(AHEAD):
        free.acquire()
    return sent, sent - right
