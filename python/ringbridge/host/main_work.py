# SPDX-License-Identifier: MIT
"""MainWork: what waits for the application's main thread, and how that thread is told.

Two kinds of it: functions that other threads of this process have posted, and the calls of clients,
which stand in their lanes. Knows nothing about which application this is: a pump (pumps.py) watches
`fileno()` as its application can, and calls `drain` on the main thread.

    post(function)       a lane's client calls
          \\                  /
        readable: fileno()            pump ----> drain()      on the main thread
"""

from __future__ import annotations

import collections
import contextlib
import os
import select
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol

from ringbridge.errors import RingbridgeError

if TYPE_CHECKING:
    from collections.abc import Callable

#: How long one pass may keep the application's own loop waiting, in seconds, beyond the call that
#: is running then.
BUDGET_S = 0.004


class Lane(Protocol):
    """Calls of one client for the main thread."""

    def fileno(self) -> int:
        """Readable when there may be calls."""

    def drain(self, until: float) -> bool:
        """Runs calls until there is none, or time.perf_counter() is past `until`. True: there may
        be more, which fileno() does not tell."""


class MainWork:
    """Functions and calls that wait for the main thread. `drain` and `wait` are for that thread
    alone; all else may be used from any."""

    def __init__(self) -> None:
        self._posted: collections.deque[tuple[Future[Any], Callable[[], Any]]] = collections.deque()
        self._lanes: tuple[Lane, ...] = ()
        self._lock = threading.Lock()
        self._closed = False
        self._woken, self._wake = os.pipe()
        for end in (self._woken, self._wake):
            os.set_blocking(end, False)
        self._poll = select.epoll()
        self._poll.register(self._woken, select.EPOLLIN)

    def fileno(self) -> int:
        """Readable when `drain` has something to do; for select, poll, or a QSocketNotifier."""
        return self._poll.fileno()

    def post(self, function: Callable[[], Any]) -> Future[Any]:
        """Runs a function on the main thread, some time; its Future tells what came of it.

        Cancelling the Future before its turn takes it back. Raises RingbridgeError when closed.
        """
        future: Future[Any] = Future()
        with self._lock:
            if self._closed:
                raise RingbridgeError("this server has stopped: nothing runs on its main thread")
            self._posted.append((future, function))
        self._tell()
        return future

    def drain(self, budget_s: float = BUDGET_S) -> bool:
        """Runs what waits, for about `budget_s` seconds. True: there is more, call again soon.

        May be called while it runs: by the event loop of a dialog that a call has opened.
        """
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 4096)
        until = time.perf_counter() + budget_s
        more = True  # unless we get to the end: Ctrl-C and sys.exit() leave the others waiting
        try:
            more = self._run_posted(until)
            for lane in self._lanes:
                more = lane.drain(until) or more
        finally:
            if more:
                self._tell()  # so that who watches fileno() comes back
        return more

    def _run_posted(self, until: float) -> bool:
        while self._posted:
            try:
                future, function = self._posted.popleft()
            except IndexError:  # another drain, on top of this one
                break
            if future.set_running_or_notify_cancel():
                _run(future, function)
            if time.perf_counter() >= until:
                break
        return bool(self._posted)

    def wait(self, timeout_s: float | None) -> bool:
        """Waits until there may be something to drain. False: nothing came in time."""
        timeout = -1.0 if timeout_s is None else max(timeout_s, 0.0)
        return bool(self._poll.poll(timeout, 1))

    def add(self, lane: Lane) -> None:
        """From now on its calls are run."""
        with self._lock:
            self._lanes = (*self._lanes, lane)
        self._poll.register(lane.fileno(), select.EPOLLIN)
        self._tell()

    def remove(self, lane: Lane) -> None:
        """Before its descriptor is closed. Idempotent."""
        with self._lock:
            if lane not in self._lanes:
                return
            self._lanes = tuple(each for each in self._lanes if each is not lane)
        with contextlib.suppress(OSError):  # the descriptor is gone already
            self._poll.unregister(lane.fileno())

    def close(self) -> None:
        """What was posted and has not begun is cancelled. Idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        while self._posted:
            self._posted.popleft()[0].cancel()
        self._poll.close()
        os.close(self._wake)
        os.close(self._woken)

    def _tell(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):  # full: told already; closed: nobody
            os.write(self._wake, b"1")


def _run(future: Future[Any], function: Callable[[], Any]) -> None:
    try:
        value = function()
    except BaseException as error:
        future.set_exception(error)
        if not isinstance(error, Exception):
            raise  # Ctrl-C, sys.exit(): this thread is meant, too
    else:
        future.set_result(value)
