# SPDX-License-Identifier: MIT
"""What takes a moment and must not hold up QGIS's window: looking for environments, trying one.

A `Background` runs one function on a thread of its own, and tells the main thread how it ended.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from qgis.PyQt.QtCore import QObject, pyqtSignal

from . import environments
from . import ringbridge_loader as loader

_JOIN_S = 5.0
_CALLS = 200
START_TIMEOUT_S = 30.0
CALL_TIMEOUT_S = 20.0
_THERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "there")


class Background(QObject):
    """One run of `work`, begun at once. Made, heard and closed on the main thread.

    `done` has what the work returns, `failed` its exception; after close() neither comes. `stop`
    makes the work end early, from another thread.
    """

    done = pyqtSignal(object)
    failed = pyqtSignal(object)
    _ended = pyqtSignal()

    def __init__(
        self,
        work: Callable[[], Any],
        parent: QObject | None = None,
        stop: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(parent)
        self._work = work
        self._stop = stop
        self._result: Any = None
        self._error: Exception | None = None
        self._closed = False
        self._ended.connect(self._tell)
        self._thread = threading.Thread(target=self._run, name="ringbridge-plugin", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._work()
        except Exception as error:
            self._error = error
        if not self._closed:
            with contextlib.suppress(RuntimeError):  # its window has been deleted meanwhile
                self._ended.emit()

    def _tell(self) -> None:
        if self._closed:
            return
        self._thread.join(_JOIN_S)  # it has emitted, and has nothing else to do
        if self._error is None:
            self.done.emit(self._result)
        else:
            self.failed.emit(self._error)

    @property
    def running(self) -> bool:
        return self._thread.is_alive() and not self._closed

    def close(self) -> None:
        """Idempotent; waits some seconds at most for what cannot be stopped."""
        if self._closed:
            return
        self._closed = True
        if self._stop is not None and self._thread.is_alive():
            self._stop()
        self._thread.join(_JOIN_S)


def survey(more: Sequence[str]) -> list[environments.Environment]:
    """All environments that can be found, and what is at the places `more`, which come first."""
    return environments.look([*filter(None, more), *environments.prefixes()])


@dataclass(frozen=True)
class Tried:
    """What a worker said. `numpy`: its version, or why it cannot be imported, after `numpy_ok`."""

    python: str
    numpy: str
    numpy_ok: bool
    start_s: float
    call_us: float


class Trial:
    """Starts a worker, asks it, ends it. run() is for a Background, stop() for its end."""

    def __init__(self, prefix: str, sources: Sequence[str]) -> None:
        self._prefix = prefix
        self._sources = tuple(sources)
        self._stopped = threading.Event()
        self._worker: Any = None

    def run(self) -> Tried:
        """Raises ImportError where ringbridge cannot be loaded here, and what a worker raises."""
        loader.load(self._prefix, *self._sources, minimum=environments.MINIMUM)
        from ringbridge.worker import Worker

        began = time.perf_counter()
        self._worker = Worker(
            self._prefix,
            name="test",
            paths=[_THERE],
            wait=False,
            start_timeout=START_TIMEOUT_S,
            call_timeout=CALL_TIMEOUT_S,
        )
        try:
            if self._stopped.is_set():
                raise InterruptedError("stopped")
            there = self._worker.load("ringbridge_probe")
            start_s = time.perf_counter() - began
            told = there.told()
            numpy = told["numpy"] or told["numpy_error"]
            return Tried(told["python"], numpy, bool(told["numpy"]), start_s, _call_us(there.echo))
        finally:
            self._worker.close()

    def stop(self) -> None:
        """From another thread: a start or a call that is under way ends at once."""
        self._stopped.set()
        if self._worker is not None:
            self._worker.close()


def _call_us(echo: Callable[[Any], Any]) -> float:
    taken = []
    for number in range(_CALLS):
        began = time.perf_counter()
        echo(number)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1e6
