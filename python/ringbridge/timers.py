# SPDX-License-Identifier: MIT
"""One thread that calls functions later: deadlines and the steps of a cancel.

Knows nothing of tasks. The thread starts with the first timer and ends a while after the last; a
forked child starts one of its own.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import threading
import time
from collections.abc import Callable

from ringbridge import threads

GRACE_S = 1.0  # what a cancelled call has until its worker is killed
_LINGER_S = 1.0  # without a timer
_SWEEP_MIN = 1000  # timers, before cancelled ones among them are worth a look


class Timer:
    """A function that is called once, at `when` (of time.monotonic), unless it is cancelled."""

    __slots__ = ("function", "when")

    def __init__(self, when: float, function: Callable[[], object]) -> None:
        self.when = when
        self.function: Callable[[], object] | None = function

    def cancel(self) -> None:
        """From any thread; it lets go of the function."""
        self.function = None


class _Timers:
    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._order = itertools.count()
        self._sweep_at = _SWEEP_MIN

    def after(self, seconds: float, function: Callable[[], object]) -> Timer:
        timer = Timer(time.monotonic() + seconds, function)
        with self._changed:
            if self._thread is None:
                # May raise: then nothing has changed.
                self._thread = threads.start(self._run, "ringbridge timers")
            if len(self._heap) >= self._sweep_at:  # most were cancelled long before their time
                self._heap = [entry for entry in self._heap if entry[2].function is not None]
                heapq.heapify(self._heap)
                self._sweep_at = max(_SWEEP_MIN, 2 * len(self._heap))
            heapq.heappush(self._heap, (timer.when, next(self._order), timer))
            if self._heap[0][2] is timer:
                self._changed.notify()
        return timer

    def _run(self) -> None:
        while True:
            with self._changed:
                timer = self._next()
                if timer is None:
                    self._thread = None
                    return
            function = timer.function
            timer.function = None
            if function is not None:
                try:
                    function()
                except BaseException:  # sys.exit() too: others wait for this thread
                    logging.getLogger("ringbridge").exception("a timer failed")

    def _next(self) -> Timer | None:
        """Waits for the first one's time; None: there was none for long."""
        idle_since = time.monotonic()
        while True:
            while self._heap and self._heap[0][2].function is None:
                heapq.heappop(self._heap)
            now = time.monotonic()
            if not self._heap:
                left = idle_since + _LINGER_S - now
                if left <= 0:
                    return None
            else:
                left = self._heap[0][0] - now
                if left <= 0:
                    return heapq.heappop(self._heap)[2]
            self._changed.wait(min(left, threading.TIMEOUT_MAX))


_timers = _Timers()


def after(seconds: float, function: Callable[[], object]) -> Timer:
    """Calls the function once, in so many seconds, on the timers' thread: it must be quick.

    RuntimeError: that thread cannot be started, since the interpreter ends for example.
    """
    return _timers.after(seconds, function)


def after_unless_ending(seconds: float, function: Callable[[], object]) -> Timer | None:
    """after(), for what is of no use at the interpreter's end, where no thread can be started any
    more (from 3.12 on): None then."""
    try:
        return after(seconds, function)
    except RuntimeError:
        return None


def checked_grace(grace: float | None) -> float | None:
    """What a user gave as a grace."""
    try:
        fits = grace is None or grace >= 0
    except TypeError:
        fits = False
    if not fits:
        raise ValueError(f"grace must be seconds, 0 or more, or None, not {grace!r}")
    return grace


def _forget() -> None:
    global _timers
    _timers = _Timers()


os.register_at_fork(after_in_child=_forget)
