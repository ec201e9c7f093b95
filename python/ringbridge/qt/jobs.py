# SPDX-License-Identifier: MIT
"""Job: work in a worker, as a QObject whose signals tell of it. Behind it stands job_runs."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import itertools
import logging
import os
import sys
import threading
from collections.abc import Callable, Generator
from typing import Any

from ringbridge import threads
from ringbridge.errors import Cancelled
from ringbridge.qt import binding, slot_errors, thread_loop
from ringbridge.qt.binding import QtCore, Signal, is_alive
from ringbridge.qt.job_calls import wanted
from ringbridge.qt.job_runs import Run
from ringbridge.task import Progress
from ringbridge.timers import GRACE_S, checked_grace


class Job(QtCore.QObject):
    """A call in a worker, made at once; the window goes on meanwhile.

        job = Job(terrain.hillshade, dem, parent=dialog)
        job.progress.connect(on_progress)
        job.finished.connect(add_layer)
        job.failed.connect(show_error)

    function  of a module or an object in a worker, also with options(): it is called; its
              `.stream`: each item comes by `item`. Or an ordinary function (a generator function:
              its items), sent by its name or its source text; or a class that has run(): an object
              of it is made over there, with the arguments, and run. Or a Worker's `load`: the
              module comes when the worker has started and imported it
    args, kwargs  of the function (one that is called `parent` or `worker`: in a
              functools.partial). They leave now; an ordinary function's when its process is ready
    parent    a QObject; when it is deleted, or the Job is, the call is cancelled
    worker    for ordinary functions and classes: a Worker, or an environment as Worker() takes it;
              default: an interpreter as this process has, where modules are found as here. Jobs of
              one environment run side by side, those of one Worker one after another

    Signals, all on the thread that made the Job, from its Qt event loop, and never before the
    constructor or a method has returned:

        started()                 its code runs
        progress(float, str)      how far it is, 0 to 1 (-1.0: not known), and what it does
        log(str, int)             what it logs with current_task().log(): text and level
        item(object)              what a generator yields
        finished(object)          the result; None for a generator
        failed(object)            the exception
        cancelled()               after cancel()

    One of the last three comes, once, as the last; then the Job leaves its parent. While it runs it
    is kept alive; its Worker is not. A failure is logged where nothing is connected to `failed`,
    and so is what a slot raises, for which PyQt would end the process (logger `ringbridge.qt`).

    `await job` works, too. TypeError: nothing that can be called. EnvironmentNotFound: `worker`
    names none. RuntimeError: there is no application object, no Qt event loop for this thread, or
    it is not the parent's.
    """

    started = Signal()
    progress = Signal(float, str)
    log = Signal(str, int)
    item = Signal(object)
    finished = Signal(object)
    failed = Signal(object)
    cancelled = Signal()

    def __init__(
        self, function: Any, /, *args: Any, parent: Any = None, worker: Any = None, **kwargs: Any
    ) -> None:
        call = wanted(function, args, kwargs, worker)
        loop = thread_loop.here()
        if parent is not None and parent.thread() != QtCore.QThread.currentThread():
            raise RuntimeError("a Job is made on the thread of its parent, which this is not")
        super().__init__(parent)
        _import_numpy_soon()
        number = next(_numbers)
        self._run = _running[number] = Run(call, loop, _Signals(self, number))
        # A number: when that is called, the garbage collector may have emptied what knew us.
        self.destroyed.connect(functools.partial(_leave, number))
        self._run.begin()

    def cancel(self, grace: float | None = GRACE_S) -> None:
        """Ends it, also code that runs: asks, interrupts, and after `grace` seconds replaces the
        worker (None: never), as Task.cancel(). `cancelled` comes when it has ended, unless it was
        faster. Returns at once; nothing happens where it is over."""
        checked_grace(grace)
        if not self._run.is_over:
            self._run.cancel(grace)

    def __await__(self) -> Generator[Any, None, Any]:
        """`await job` in an asyncio loop gives the result, or raises what failed, or Cancelled.
        Cancelling who awaits cancels the Job. RuntimeError: it is over."""
        if self._run.is_over:
            raise RuntimeError("this Job is over: await it, or connect to it, before that")
        future = asyncio.get_running_loop().create_future()

        def settle(set_it: Callable[[Any], object], value: Any) -> None:
            if not future.done():
                set_it(value)

        self.finished.connect(lambda result: settle(future.set_result, result))
        self.failed.connect(lambda error: settle(future.set_exception, error))
        cancelled = Cancelled("the Job was cancelled")
        self.cancelled.connect(lambda: settle(future.set_exception, cancelled))
        try:
            yield from future
        except asyncio.CancelledError:
            self.cancel()
            raise
        return future.result()

    def is_over(self) -> bool:
        """Whether its last signal has been emitted."""
        return self._run.is_over

    @property
    def dropped(self) -> int:
        """Items that never came here, since a newer one won: with options(latest=True)."""
        return self._run.dropped


class _Signals:
    """What a run tells, as signals: unless its Job has been deleted."""

    def __init__(self, job: Job, number: int) -> None:
        self._job = job
        self._number = number

    def _emit(self, name: str, *args: Any) -> None:
        if is_alive(self._job):
            with slot_errors.logged():
                getattr(self._job, name).emit(*args)

    def on_started(self) -> None:
        self._emit("started")

    def on_progress(self, progress: Progress) -> None:
        self._emit(
            "progress", -1.0 if progress.fraction is None else progress.fraction, progress.text
        )

    def on_log(self, level: int, text: str) -> None:
        self._emit("log", text, level)

    def on_item(self, item: Any) -> None:
        self._emit("item", item)

    def on_result(self, result: Any) -> None:
        self._end("finished", result)

    def on_error(self, error: BaseException) -> None:
        if is_alive(self._job) and not binding.is_connected(self._job, "failed"):
            text = "a Job failed, and nothing is connected to its signal `failed`"
            logging.getLogger("ringbridge.qt").error("%s", text, exc_info=error)
        self._end("failed", error)

    def on_cancelled(self) -> None:
        self._end("cancelled")

    def _end(self, name: str, *args: Any) -> None:
        _running.pop(self._number, None)
        self._emit(name, *args)
        if is_alive(self._job):
            self._job.setParent(None)  # which may live for long: it goes when nobody holds it


_has_numpy = False


def _import_numpy_soon() -> None:
    """The first array that comes needs it, and the window is not to wait for the import."""
    global _has_numpy
    if not _has_numpy and "numpy" not in sys.modules:
        threads.start(_import_numpy, "ringbridge numpy")
    _has_numpy = True


def _import_numpy() -> None:
    with contextlib.suppress(Exception):  # who needs it will hear why
        importlib.import_module("numpy")


#: Runs that are not over, and with them their Jobs.
_running: dict[int, Run] = {}
_numbers = itertools.count()
_pid = os.getpid()


def _leave(number: int, *_deleted: object) -> None:
    run = _running.pop(number, None)
    if run is not None:
        run.leave()


def _leave_all() -> None:
    """What still runs has nobody left to tell."""
    if os.getpid() == _pid:  # a forked child has no Qt
        for number in list(_running):
            _leave(number)


# atexit comes after the interpreter has waited for its threads: one of them may wait for our call.
threading._register_atexit(_leave_all)  # type: ignore[attr-defined]
