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

from ringbridge import _core
from ringbridge.errors import RingbridgeError

if TYPE_CHECKING:
    from collections.abc import Callable

#: How long one pass may keep the application's own loop waiting, in seconds, beyond the call that
#: is running then.
BUDGET_S = 0.004


#: Calls that run one on top of the other, each within the wait or the dialog of the one below.
DEPTH_MAX = 16
_DEEP_S = 0.005


class Lane(Protocol):
    """Calls of one client for the main thread."""

    @property
    def core(self) -> _core.Lane: ...

    def serve(self, until: float) -> bool:
        """Runs calls until there is none, or time.monotonic() is past `until`. True: there may be
        more, which its descriptor does not tell."""

    def arm(self) -> None:
        """The next call makes its descriptor readable."""


class MainWork:
    """Functions and calls that wait for the main thread. `drain` and `wait` are for that thread
    alone; all else may be used from any."""

    def __init__(self) -> None:
        self._posted: collections.deque[tuple[Future[Any], Callable[[], Any]]] = collections.deque()
        self._lanes: tuple[Lane, ...] = ()
        self._spinning: tuple[_core.Lane, ...] = ()  # what the extension knows of them
        self._lock = threading.Lock()
        self._closed = False
        self._inside = 0  # passes and waits that use the descriptors, one within the other
        self._busy_since: float | None = None
        self._told = False
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
            self._tell()  # under the lock, or it might be another's descriptor by now
        return future

    def drain(self, budget_s: float = BUDGET_S, *, linger: bool = True) -> bool:
        """Runs what waits, for about `budget_s` seconds. True: there is more, call again soon.

        May be called while it runs: by the event loop of a dialog that a call has opened.
        linger: when nothing is left it looks for about as long as a wake-up takes, since the next
        call of a client that makes several comes sooner than that.
        """
        if self._inside >= DEPTH_MAX:
            time.sleep(_DEEP_S)  # fileno() stays readable: who watches it would come back at once
        if self._inside >= DEPTH_MAX or self._closed:
            return False
        more = True  # unless we get to the end: Ctrl-C and sys.exit() leave the others waiting
        self._enter()
        try:
            until = time.monotonic() + budget_s
            more = self._pass(until)
            while linger and not more and time.monotonic() < until and _core.spin(self._spinning):
                more = self._pass(until)
            if not more:
                self._arm()
        finally:
            if more:
                self._tell()  # so that who watches fileno() comes back
            self._leave()
        return more

    def announce(self) -> None:
        """During a pass: what waits, or comes, makes fileno() readable now, and not only after it.

        For the event loop of a dialog that a call has opened, before it sleeps. Main thread only.
        """
        if self._posted:
            self._tell()
        self._arm()

    def run(self, over: Callable[[], bool], timeout_s: float | None = None) -> None:
        """Runs what comes, until `over()` is true, close() is called, or the time has passed.

        Spins for about as long as a wake-up takes before it sleeps. Ctrl-C goes through.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._enter()
        try:
            while not (self._closed or over()):
                left = -1.0 if deadline is None else deadline - time.monotonic()
                if deadline is not None and left <= 0:
                    return
                if not (self._pass(time.monotonic() + BUDGET_S) or _core.spin(self._spinning)):
                    self._arm()
                    self._poll.poll(left, 1)
        finally:
            self._tell()
            self._leave()

    def _pass(self, until: float) -> bool:
        if self._told:
            self._told = False  # before the look: who tells after it, tells again
            with contextlib.suppress(BlockingIOError):
                os.read(self._woken, 4096)
        before, self._busy_since = self._busy_since, time.monotonic()
        try:
            more = bool(self._posted) and self._run_posted(until)
            for lane in self._lanes:
                more = lane.serve(until) or more
        finally:
            self._busy_since = before
        return more

    def _arm(self) -> None:
        for lane in self._lanes:
            lane.arm()

    def _run_posted(self, until: float) -> bool:
        while self._posted:
            try:
                future, function = self._posted.popleft()
            except IndexError:  # another drain, on top of this one
                break
            if future.set_running_or_notify_cancel():
                _run(future, function)
            if time.monotonic() >= until:
                break
        return bool(self._posted)

    def wait(self, timeout_s: float | None) -> bool:
        """Waits until there may be something to drain. False: nothing came in time."""
        timeout = -1.0 if timeout_s is None else max(timeout_s, 0.0)
        return bool(self._poll.poll(timeout, 1))

    @property
    def busy_s(self) -> float:
        """For how long the present pass lasts; 0.0: there is none."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def add(self, lane: Lane) -> None:
        """From now on its calls are run."""
        with self._lock:
            if self._closed:
                raise RingbridgeError("this server has stopped")
            self._poll.register(lane.core.fileno(), select.EPOLLIN)
            self._set_lanes((*self._lanes, lane))
        self._tell()

    def remove(self, lane: Lane) -> None:
        """Before its channel is closed. Idempotent."""
        with self._lock:
            if lane not in self._lanes:
                return
            self._set_lanes(tuple(each for each in self._lanes if each is not lane))
            with contextlib.suppress(OSError, ValueError, RingbridgeError):  # it is gone already
                self._poll.unregister(lane.core.fileno())

    def _set_lanes(self, lanes: tuple[Lane, ...]) -> None:
        self._lanes = lanes
        self._spinning = tuple(lane.core for lane in lanes)

    def close(self) -> None:
        """What was posted and has not begun is cancelled. Idempotent; from any thread. Where a pass
        is under way, it lets go of the descriptors."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._set_lanes(())
        while self._posted:
            with contextlib.suppress(IndexError):  # a pass has taken the last one
                self._posted.popleft()[0].cancel()
        self._enter()
        self._tell()
        self._leave()

    def _enter(self) -> None:
        with self._lock:
            self._inside += 1

    def _leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._closed or self._inside > 0 or self._poll.closed:
                return
            self._poll.close()
            os.close(self._wake)
            os.close(self._woken)

    def _tell(self) -> None:
        self._told = True
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
