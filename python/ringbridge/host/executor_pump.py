# SPDX-License-Identifier: MIT
"""ExecutorPump: a thread of ours waits, and the application's own function runs the work.

For applications that have a documented "run this on the main thread", such as Maya's
executeInMainThreadWithResult. Knows none of them: it is handed the function.
"""

from __future__ import annotations

import os
import select
import threading
from typing import TYPE_CHECKING, Any

from ringbridge.host.one_pass import drained, log

if TYPE_CHECKING:
    from collections.abc import Callable

    from ringbridge.host.main_work import MainWork

    #: Runs a function on the main thread: before it returns, or later.
    Executor = Callable[[Callable[[], None]], Any]


class ExecutorPump:
    """start() and stop() may be called from any thread."""

    def __init__(self, executor: Executor, name: str = "executor") -> None:
        self.name = name
        self._executor = executor
        self._watch: _Watch | None = None

    def start(self, work: MainWork) -> None:
        """From now on the executor is given what waits, whenever something does."""
        self._watch = _Watch(work, self._executor)
        self._watch.start()

    def stop(self) -> None:
        """Nothing runs from now on. Idempotent. Does not wait for the thread, which may be waiting
        for this very thread; it ends as soon as the executor lets go of it."""
        if self._watch is not None:
            self._watch.end()
            self._watch = None


class _Watch(threading.Thread):
    def __init__(self, work: MainWork, executor: Executor) -> None:
        super().__init__(name="ringbridge pump", daemon=True)
        self._work: MainWork | None = work
        self._executor = executor
        self._ran = threading.Event()
        # A descriptor of our own: `work` may be closed, and its number used again, while we poll.
        self._readable = os.dup(work.fileno())
        self._ended, self._end = os.pipe()

    def end(self) -> None:
        self._work = None
        self._ran.set()
        os.close(self._end)  # which the poll sees

    def run(self) -> None:
        try:
            self._hand_over()
        except Exception:
            log.exception(
                "the application did not take a function for its main thread: calls for it wait "
                "until this server is stopped and started again"
            )
        finally:
            os.close(self._readable)
            os.close(self._ended)

    def _hand_over(self) -> None:
        poll = select.poll()
        poll.register(self._readable, select.POLLIN)
        poll.register(self._ended, select.POLLIN)
        while self._ended not in dict(poll.poll()):
            self._ran.clear()
            if self._work is None:
                return
            self._executor(self._turn)
            self._ran.wait()  # an executor that only keeps the function for later is fine, too

    def _turn(self) -> None:
        try:
            work = self._work
            if work is not None:
                drained(work)
        finally:
            self._ran.set()
