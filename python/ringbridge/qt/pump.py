# SPDX-License-Identifier: MIT
"""Pump: calls a function when a descriptor is readable or a time has come, from Qt's own loop.

No thread: Qt's poll() has the descriptor in its list. Lives on the thread that made it, and needs
an application object.
"""

from __future__ import annotations

from collections.abc import Callable

from ringbridge.qt.binding import QtCore, application, connect_bare, enum, timer_ms

_READ = enum(QtCore.QSocketNotifier, "Type", "Read")
_PRECISE = enum(QtCore.Qt, "TimerType", "PreciseTimer")


class Pump:
    """While it is on, calls `readable()` as long as the descriptor is, and `in_time()` once a time.

    RuntimeError: there is no application object.
    """

    def __init__(self, fd: int, readable: Callable[[], None], in_time: Callable[[], None]) -> None:
        application()
        # A thread that Qt did not begin cannot have notifiers before its first QEventLoop.
        QtCore.QEventLoop()
        self._notifier = QtCore.QSocketNotifier(fd, _READ)
        connect_bare(self._notifier.activated, readable)
        self._timer = QtCore.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setTimerType(_PRECISE)
        self._timer.timeout.connect(in_time)

    def wake_in(self, seconds: float) -> None:
        """The time that counts from now on, in place of what was set before."""
        self._timer.start(timer_ms(seconds))

    def listen(self, on: bool) -> None:
        """Whether the descriptor counts."""
        self._notifier.setEnabled(on)

    def stop(self) -> None:
        """No calls from now on."""
        self._notifier.setEnabled(False)
        self._timer.stop()
