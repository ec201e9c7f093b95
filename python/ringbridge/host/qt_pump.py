# SPDX-License-Identifier: MIT
"""QtPump: Qt's own loop watches the descriptor of what waits, and runs it on the application's
thread, in modal dialogs too.

Imported only where a process has Qt: importing it chooses the binding (ringbridge.qt.binding).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ringbridge.errors import RingbridgeError
from ringbridge.host.one_pass import drained
from ringbridge.qt.binding import QtCore, Signal, Slot, application, connect_bare, disconnect, enum

if TYPE_CHECKING:
    from ringbridge.host.main_work import MainWork

_READ = enum(QtCore.QSocketNotifier, "Type", "Read")


class QtPump:
    """start() and stop() may be called from any thread. Called from another than the application's,
    start() takes effect when Qt's loop turns."""

    name = "qt"

    def __init__(self) -> None:
        self._watch: _Watch | None = None

    def start(self, work: MainWork) -> None:
        """Raises RingbridgeError where there is no application object."""
        try:
            app = application()
        except RuntimeError as error:
            raise RingbridgeError(str(error)) from None
        self._watch = _Watch(work)
        self._watch.moveToThread(app.thread())
        self._watch.begins.emit()

    def stop(self) -> None:
        """Nothing runs from now on. Idempotent."""
        if self._watch is not None:
            self._watch.work = None
            self._watch.ends.emit()
            self._watch = None


#: Qt keeps no reference to what it is going to call.
_living: set[_Watch] = set()


class _Watch(QtCore.QObject):
    """Lives on the application's thread. Its signals may be emitted from any."""

    begins = Signal()
    ends = Signal()

    def __init__(self, work: MainWork) -> None:
        super().__init__()
        self.work: MainWork | None = work
        self._inside = 0  # passes, one on top of the other
        # A descriptor of our own: `work` may be closed, and its number used again, before Qt's
        # thread has taken the notifier away.
        self._fd = os.dup(work.fileno())
        self.begins.connect(self._begin)
        self.ends.connect(self._end)
        _living.add(self)

    @Slot()  # type: ignore[untyped-decorator]
    def _begin(self) -> None:
        self._notifier = QtCore.QSocketNotifier(self._fd, _READ, self)
        connect_bare(self._notifier.activated, self._turn)
        self._sleeps = QtCore.QAbstractEventDispatcher.instance().aboutToBlock
        self._connection = self._sleeps.connect(self._before_sleep)

    @Slot()  # type: ignore[untyped-decorator]
    def _end(self) -> None:
        self._notifier.setEnabled(False)
        disconnect(self._sleeps, self._connection, self._before_sleep)
        os.close(self._fd)
        _living.discard(self)
        self.deleteLater()

    def _turn(self) -> None:
        if self.work is None:
            return
        self._inside += 1
        drained(self.work)
        self._inside -= 1

    @Slot()  # type: ignore[untyped-decorator]
    def _before_sleep(self) -> None:
        if self._inside and self.work is not None:  # a call has opened a dialog, whose loop this is
            self.work.announce()
