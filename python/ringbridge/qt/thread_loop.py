# SPDX-License-Identifier: MIT
"""ThreadLoop: what reads for a Job, by the Qt event loop of its thread alone. No asyncio.

What readers.LoopReader and Task ask of an asyncio loop: add_reader, call_soon_threadsafe and so on.
It never runs or stops: whenever Qt runs on its thread, it works.
"""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable
from typing import Any

from ringbridge.qt import binding, slot_errors
from ringbridge.qt.binding import QtCore, Signal, Slot, enum, is_alive

_READ = enum(QtCore.QSocketNotifier, "Type", "Read")
_LONGEST_MS = 2**31 - 1  # of a QTimer
_DIRECT = enum(QtCore.Qt, "ConnectionType", "DirectConnection")
_QUEUED = enum(QtCore.Qt, "ConnectionType", "QueuedConnection")


class _Post(QtCore.QObject):
    """Lets Qt carry calls from any thread to the one that made it."""

    came = Signal(object)

    def __init__(self, parent: Any) -> None:
        super().__init__(parent)
        self.came.connect(self.run, _QUEUED)

    # A slot of its own: PySide2 has one receiver for all connections to a plain function, and that
    # lives on the thread of the first.
    @Slot(object)  # type: ignore[untyped-decorator]
    def run(self, call: tuple[Callable[..., object], tuple[Any, ...]]) -> None:
        _run(*call)


def _run(function: Callable[..., object], args: tuple[Any, ...] = ()) -> None:
    """Raises nothing: PyQt ends the process for what a slot raises, also for a Ctrl-C."""
    try:
        function(*args)
    except BaseException as error:
        slot_errors.end_or_log(error, "a callback failed")


class ThreadLoop:
    """Of one thread, as long as the application object lives. `here()` gives it."""

    def __init__(self) -> None:
        self.application = QtCore.QCoreApplication.instance()
        if self.application is None:
            raise RuntimeError(
                f"there is no {binding.NAME} application yet: make a QApplication first"
            )
        if QtCore.QAbstractEventDispatcher.instance() is None:
            raise RuntimeError(
                f"Qt runs no event loop on this thread, {threading.current_thread().name}, which "
                "could carry a Job's signals: make it on the window's thread, or on a QThread"
            )
        self._thread = threading.get_ident()
        # The application's children end with it, before its event dispatcher does.
        self.is_main = self.application.thread() == QtCore.QThread.currentThread()
        self._parent = self.application if self.is_main else None
        self._post = _Post(self._parent)
        self._notifiers: dict[int, Any] = {}

    def add_reader(self, fd: int, callback: Callable[[], object]) -> None:
        """Calls it whenever the descriptor is readable."""
        notifier = QtCore.QSocketNotifier(fd, _READ, self._parent)

        def readable(*_descriptor: Any) -> None:
            _run(callback)

        notifier.activated.connect(readable)
        self._notifiers[fd] = notifier

    def remove_reader(self, fd: int) -> None:
        """Before the descriptor is closed."""
        notifier = self._notifiers.pop(fd, None)
        if notifier is not None and is_alive(notifier):
            notifier.setEnabled(False)
            notifier.deleteLater()  # we may be in a call of its

    def call_soon_threadsafe(self, function: Callable[..., object], *args: Any) -> None:
        """From any thread. RuntimeError: the application has ended."""
        if self.is_closed():
            raise RuntimeError("the Qt application has ended")
        self._post.came.emit((function, args))

    def call_later(self, seconds: float, function: Callable[[], object]) -> None:
        """Calls it once, on this thread; too early where that is more than 24 days."""
        ms = min(round(seconds * 1000), _LONGEST_MS)
        QtCore.QTimer.singleShot(ms, lambda: _run(function))

    def is_here(self) -> bool:
        """Whether the caller is on its thread."""
        return threading.get_ident() == self._thread

    def is_closed(self) -> bool:
        """Whether the application has ended."""
        return not (is_alive(self._post) and is_alive(self.application))

    def is_running(self) -> bool:
        """False: no coroutine runs on it."""
        return False


_local = threading.local()  # the thread's number in _loops
#: Not in _local itself: what that holds goes while the thread's state is taken apart, when the end
#: of a QObject would end the process.
_loops: dict[int, ThreadLoop] = {}
_numbers = itertools.count()


def here() -> ThreadLoop:
    """The one of this thread. RuntimeError: no application object, or no event loop of Qt's."""
    loop = _loops.get(getattr(_local, "number", -1))
    if loop is None or loop.is_closed():
        loop = ThreadLoop()
        number = _local.number = next(_numbers)
        _loops[number] = loop
        if not loop.is_main:
            # Emitted by the thread itself, as its last act.
            QtCore.QThread.currentThread().finished.connect(
                functools.partial(_loops.pop, number, None), _DIRECT
            )
    return loop
