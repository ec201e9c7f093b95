# SPDX-License-Identifier: MIT
"""The event loop of a viewer's window: Qt's, Tk's, or where there is no window one of our own.

    watch(fd, ready)         ready() whenever the descriptor can be read; None: not any more
    watch_room(fd, ready)    the same for writing
    call_at(when, ready)     once, at that time of time.monotonic(); the last wish counts
    call_at(None)            not at all
    run(), stop(status)      run returns the status; 0 where the toolkit's loop ended by itself

Nothing is looked at again and again: a loop sleeps until a descriptor or its timer wakes it. Ctrl-C
is such an event (`interrupts`), while a toolkit sleeps in C too. Main thread only, and `ready` must
not raise. Knows nothing of frames, letters or views.
"""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

Ready = Callable[[], None]


class Loop(Protocol):
    """See above."""

    def watch(self, fd: int, ready: Ready | None) -> None: ...
    def watch_room(self, fd: int, ready: Ready | None) -> None: ...
    def call_at(self, when: float | None, ready: Ready | None = None) -> None: ...
    def run(self) -> int: ...
    def stop(self, status: int) -> None: ...
    def close(self) -> None: ...


def loop_for(toolkit: str) -> Loop:
    """toolkit: "qt", "tk", or "" for none."""
    loops: dict[str, Callable[[], Loop]] = {"qt": QtLoop, "tk": TkLoop, "": PlainLoop}
    return loops[toolkit]()


@contextlib.contextmanager
def interrupts(loop: Loop, on_interrupt: Ready) -> Iterator[None]:
    """Meanwhile Ctrl-C is an event of the loop; the second one raises KeyboardInterrupt wherever
    Python runs, as ever. Where SIGINT is ignored, or not Python's, it stays so."""
    main = threading.get_ident() == threading.main_thread().ident
    before = signal.getsignal(signal.SIGINT)
    if not main or not callable(before):
        yield
        return
    heard = False

    def on_signal(number: int, frame: Any) -> None:
        nonlocal heard
        if heard:
            raise KeyboardInterrupt
        heard = True

    def look() -> None:
        with contextlib.suppress(BlockingIOError):
            if signal.SIGINT in ours.recv(4096):  # the numbers of the signals
                on_interrupt()

    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        fd_before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, on_signal)
        loop.watch(ours.fileno(), look)
        try:
            yield
        finally:
            loop.watch(ours.fileno(), None)
            signal.signal(signal.SIGINT, before)
            signal.set_wakeup_fd(fd_before, warn_on_full_buffer=False)


class _Watched:
    """What is to be called for which descriptor and event."""

    #: The toolkit's numbers of them.
    READ: int
    WRITE: int

    def __init__(self) -> None:
        self._wanted: dict[int, dict[int, Ready]] = {}

    def watch(self, fd: int, ready: Ready | None) -> None:
        self._set(fd, self.READ, ready)

    def watch_room(self, fd: int, ready: Ready | None) -> None:
        self._set(fd, self.WRITE, ready)

    def _set(self, fd: int, event: int, ready: Ready | None) -> None:
        wanted = self._wanted.setdefault(fd, {})
        before = sum(wanted)
        if ready is None:
            wanted.pop(event, None)
        else:
            wanted[event] = ready
        now = sum(wanted)
        if not now:
            del self._wanted[fd]
        if now != before:
            self._change(fd, before, now)

    def _change(self, fd: int, before: int, now: int) -> None:
        raise NotImplementedError

    def _happened(self, fd: int, events: int) -> None:
        for event in (self.READ, self.WRITE):
            ready = self._wanted.get(fd, {}).get(event)  # as it is by now
            if events & event and ready is not None:
                ready()

    def _forget_all(self) -> None:
        for fd in list(self._wanted):
            self.watch(fd, None)
            self.watch_room(fd, None)


class PlainLoop(_Watched):
    """Without a window."""

    READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

    def __init__(self) -> None:
        super().__init__()
        self._selector = selectors.DefaultSelector()
        self._timer: tuple[float, Ready] | None = None
        self._status: int | None = None

    def _change(self, fd: int, before: int, now: int) -> None:
        if not before:
            self._selector.register(fd, now)
        elif now:
            self._selector.modify(fd, now)
        else:
            self._selector.unregister(fd)

    def call_at(self, when: float | None, ready: Ready | None = None) -> None:
        self._timer = None if when is None or ready is None else (when, ready)

    def run(self) -> int:
        while self._status is None:
            nap = max(self._timer[0] - time.monotonic(), 0.0) if self._timer else None
            for key, events in self._selector.select(nap):
                self._happened(key.fd, events)
            if self._timer and self._timer[0] <= time.monotonic():
                (_, ready), self._timer = self._timer, None
                ready()
        return self._status

    def stop(self, status: int) -> None:
        self._status = status

    def close(self) -> None:
        self._forget_all()
        self._selector.close()


class TkLoop(_Watched):
    """All interpreters of Tcl in this thread share one loop: each figure of matplotlib is one."""

    def __init__(self) -> None:
        super().__init__()
        import tkinter

        self.READ, self.WRITE = tkinter.READABLE, tkinter.WRITABLE
        self._tk: Any = tkinter.Tcl().tk  # without a window, so that it outlives them all
        self._timer: Any = None
        self._status: int | None = None

    def _change(self, fd: int, before: int, now: int) -> None:
        if before:
            self._tk.deletefilehandler(fd)
        if now:
            self._tk.createfilehandler(fd, now, self._happened)

    def call_at(self, when: float | None, ready: Ready | None = None) -> None:
        if self._timer is not None:
            self._timer.deletetimerhandler()
            self._timer = None
        if when is not None and ready is not None:
            milliseconds = int(max(when - time.monotonic(), 0.0) * 1000) + 1
            self._timer = self._tk.createtimerhandler(milliseconds, lambda: self._fire(ready))

    def _fire(self, ready: Ready) -> None:
        self._timer = None
        ready()

    def run(self) -> int:
        while self._status is None:
            self._tk.dooneevent(0)
        return self._status

    def stop(self, status: int) -> None:
        self._status = status

    def close(self) -> None:
        self.call_at(None)
        self._forget_all()


class QtLoop:
    """In the QApplication that there is."""

    def __init__(self) -> None:
        from ringbridge.qt import binding

        self._binding = binding
        self._app = app = binding.application()
        self._notifiers: dict[tuple[int, str], Any] = {}
        self._ready: Ready | None = None
        self._timer = binding.QtCore.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setTimerType(binding.enum(binding.QtCore.Qt, "TimerType", "PreciseTimer"))
        binding.connect_bare(self._timer.timeout, self._fire)
        self._status: int | None = None
        if hasattr(app, "setQuitOnLastWindowClosed"):  # the view's windows say when it is over
            app.setQuitOnLastWindowClosed(False)

    def watch(self, fd: int, ready: Ready | None) -> None:
        self._set(fd, "Read", ready)

    def watch_room(self, fd: int, ready: Ready | None) -> None:
        self._set(fd, "Write", ready)

    def _set(self, fd: int, event: str, ready: Ready | None) -> None:
        old = self._notifiers.pop((fd, event), None)
        if old is not None:
            old.setEnabled(False)
            old.deleteLater()
        if ready is not None:
            kind = self._binding.enum(self._binding.QtCore.QSocketNotifier, "Type", event)
            notifier = self._binding.QtCore.QSocketNotifier(fd, kind)
            self._binding.connect_bare(notifier.activated, ready)
            self._notifiers[fd, event] = notifier

    def call_at(self, when: float | None, ready: Ready | None = None) -> None:
        self._ready = ready
        if when is None:
            self._timer.stop()
        else:
            self._timer.start(self._binding.timer_ms(max(when - time.monotonic(), 0.0)))

    def _fire(self) -> None:
        ready, self._ready = self._ready, None
        if ready is not None:
            ready()

    def run(self) -> int:
        if self._status is None:
            self._binding.run(self._app)
        return self._status or 0

    def stop(self, status: int) -> None:
        self._status = status
        self._app.exit()  # not quit(), which closes windows first

    def close(self) -> None:
        for fd, event in list(self._notifiers):
            self._set(fd, event, None)
        self._timer.stop()
