# SPDX-License-Identifier: MIT
"""One run of an algorithm, on the thread that Processing gave it: a worker, a bar, a log, a Cancel.

What is read, asked and written, and how much at a time, is in_whole's and in_strips'.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import TYPE_CHECKING, Any

import numpy as np

from ringbridge.compute import Declaration
from ringbridge.qgis.run_log import RunLog
from ringbridge.qgis.runs import Runs
from ringbridge.qgis.workers import Key, LeaseCancelled, Seat, workers

if TYPE_CHECKING:
    from ringbridge import Task

_LOOK_S = 0.05
#: From a Cancel to the end of a worker that does not hear: its run is over within a second.
_GRACE_S = 0.6


class RunCancelled(Exception):
    """The user cancelled."""


class Run:
    """What reading, computing and writing have in common."""

    def __init__(
        self, folder: str, module: str, declaration: Declaration, feedback: Any, runs: Runs
    ) -> None:
        self.declaration = declaration
        self._where = (folder, module, declaration.name)
        self._feedback = feedback
        self._runs = runs
        self._log: RunLog | None = None
        self._seat: Seat | None = None
        self._text = ""
        self._interrupted = False

    @contextlib.contextmanager
    def borrowed(self, key: Key, plugin: str, most: int) -> Iterator[Run]:
        """With a worker. Raises RunCancelled, and what starting one raises."""
        try:
            lease = workers().lease(key, plugin, self.declaration.label, most, self.cancelled)
            with lease as seat, RunLog(seat.logger) as log:
                self._seat, self._log = seat, log
                try:
                    yield self
                finally:
                    log.settle()
                    log.flush_to(self._feedback)
        except LeaseCancelled:
            raise RunCancelled from None

    def empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
        """An array that crosses without a copy. Raises ArenaFull."""
        assert self._seat is not None and self._seat.worker is not None
        made: np.ndarray[Any, Any] = self._seat.worker.empty(shape, dtype)
        return made

    def submit(self, arguments: dict[str, Any]) -> Task:
        """Asks the worker to run the function; `wait` gives the results."""
        assert self._seat is not None and self._seat.service is not None
        task: Task = self._seat.service.run.submit(*self._where, arguments)
        return task

    def wait(self, task: Task, low: float, high: float) -> list[Any]:
        """The results. The task's own progress moves the bar from `low` to `high` (of 1).

        Raises RunCancelled, and what the function raised. However it ends, the worker is free
        then.
        """
        try:
            return self._wait(task, low, high)
        finally:
            self.drop(task)

    def _wait(self, task: Task, low: float, high: float) -> list[Any]:
        asked = False
        while not task.done():
            with contextlib.suppress(futures.TimeoutError, futures.CancelledError):
                task.exception(_LOOK_S)
            if self._log is not None:
                self._log.flush_to(self._feedback)
            told = task.progress
            if told is not None:
                self.show(low + (high - low) * (told.fraction or 0.0))
                self.say(told.text or "")
            if self.cancelled() and not asked:
                asked = task.cancel(_GRACE_S)
        if task.cancelled() or (asked and task.exception() is not None):
            raise RunCancelled
        results: list[Any] = task.result()
        return results

    def drop(self, task: Task) -> None:
        """Nobody waits for it any more; the worker is free when this returns."""
        task.cancel(_GRACE_S)  # once: each one begins its steps anew
        while not task.done():
            with contextlib.suppress(futures.TimeoutError, futures.CancelledError):
                task.exception(_LOOK_S)

    def check(self) -> None:
        """Raises RunCancelled when the user cancelled: between two pieces of our own work."""
        if self.cancelled():
            raise RunCancelled

    def part(self, low: float, high: float) -> Callable[[float], None]:
        """A function that moves the bar from `low` to `high` as it is told 0 to 1."""
        return lambda fraction: self.show(low + (high - low) * fraction)

    def show(self, fraction: float) -> None:
        self._feedback.setProgress(100.0 * min(max(fraction, 0.0), 1.0))

    def say(self, text: str) -> None:
        """What is being done now, above the bar."""
        if text and text != self._text:
            self._text = text
            self._feedback.setProgressText(text)

    def cancelled(self) -> bool:
        """By the user, or since the plugin is being closed."""
        return self._interrupted or self._runs.is_over or bool(self._feedback.isCanceled())

    @contextlib.contextmanager
    def hearing_ctrl_c(self) -> Iterator[None]:
        """On the main thread, as in qgis_process: Ctrl-C cancels the run.

        Who hears it otherwise is a matter of luck: qgis_process has a handler of its own, which
        Python does not know and puts its own in the place of when a worker is started.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before if before is not None else signal.SIG_DFL)

    def _interrupt(self, _number: int, _frame: object) -> None:
        self._interrupted = True
