# SPDX-License-Identifier: MIT
"""ThreadLoop: what reads for a Job, by the Qt event loop of its thread alone. No asyncio.

What readers.LoopReader and Task ask of an asyncio loop: add_reader, call_soon_threadsafe and so on.
It never runs or stops: whenever Qt runs on its thread, it works.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import io
import itertools
import os
import threading
from collections.abc import Callable
from typing import Any

from ringbridge.qt import slot_errors
from ringbridge.qt.binding import QtCore, application, enum, is_alive, timer_ms

_READ = enum(QtCore.QSocketNotifier, "Type", "Read")
_PIPE_BYTES = 65536
_DIRECT = enum(QtCore.Qt, "ConnectionType", "DirectConnection")


def _run(function: Callable[..., object], args: tuple[Any, ...] = ()) -> None:
    """Raises nothing: PyQt ends the process for what a slot raises, also for a Ctrl-C."""
    try:
        function(*args)
    except BaseException as error:
        slot_errors.end_or_log(error, "a callback failed")


class ThreadLoop:
    """Of one thread, as long as the application object lives. `here()` gives it."""

    def __init__(self) -> None:
        self.application = application()
        if QtCore.QAbstractEventDispatcher.instance() is None:
            raise RuntimeError(
                f"Qt runs no event loop on this thread, {threading.current_thread().name}, which "
                "could carry a Job's signals: make it on the window's thread, or on a QThread"
            )
        # The application's children end with it, before its event dispatcher does.
        self.is_main = self.application.thread() == QtCore.QThread.currentThread()
        self._parent = self.application if self.is_main else None
        self._notifiers: dict[int, Any] = {}
        self._posted: collections.deque[tuple[Callable[..., object], tuple[Any, ...]]] = (
            collections.deque()
        )
        # No signal of Qt's: the interpreter's end stops threads of ours wherever they are, and must
        # not find them in C++. Files, not numbers: a thread may write when they have been closed.
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._reading, self._writing = io.FileIO(reading, "rb"), io.FileIO(writing, "wb")
        self.add_reader(reading, self._run_posted)
        self._woken = self._notifiers[reading]

    def close(self) -> None:
        """On its thread."""
        for fd in list(self._notifiers):
            self.remove_reader(fd)
        self._reading.close()
        self._writing.close()

    def _run_posted(self) -> None:
        self._reading.read(_PIPE_BYTES)  # before the look at what has come
        if self._posted:
            function, args = self._posted.popleft()
            if self._posted:  # the others also come where this one runs a dialog
                self._writing.write(b"x")
            _run(function, args)

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
        self._posted.append((function, args))
        with contextlib.suppress(ValueError):  # closed meanwhile
            self._writing.write(b"x")  # where a pipe is full, it is readable

    def call_later(self, seconds: float, function: Callable[[], object]) -> None:
        """Calls it once, on this thread; too early where that is more than 24 days."""
        QtCore.QTimer.singleShot(timer_ms(seconds), lambda: _run(function))

    def is_closed(self) -> bool:
        """Whether the application has ended."""
        return self._writing.closed or not (is_alive(self._woken) and is_alive(self.application))

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
                functools.partial(_leave, number), _DIRECT
            )
    return loop


def _leave(number: int) -> None:
    loop = _loops.pop(number, None)
    if loop is not None:
        loop.close()
