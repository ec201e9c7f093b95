# SPDX-License-Identifier: MIT
"""asyncio's event loop, run by Qt's.

asyncio's selector loop runs in iterations: wait for descriptors and times, run what is ready. Here
Qt waits, and a *turn* runs iterations until nothing is ready, or for a millisecond:

    mode    who runs      run_forever()                   for
    OWNER   asyncio       runs Qt, and returns at stop()  programs that begin with asyncio.run()
    GUEST   Qt            start() returns at once         programs that begin with app.exec()
    NATIVE  asyncio       is asyncio's own; no Qt         cleaning up, when Qt has ended

Code that Qt runs between turns (slots, events) is *interleaved*: it may use the loop as if it had
been called by call_soon_threadsafe. Inside a turn Qt runs only where a callback starts a Qt loop of
its own, such as QDialog.exec(): asyncio stands still until that returns. With modal(), it goes on.
"""

from __future__ import annotations

import asyncio
import enum
import math
import os
import selectors
import sys
import threading
from collections.abc import Callable
from typing import Any

from ringbridge.qt import binding
from ringbridge.qt.binding import QtCore
from ringbridge.qt.interruptions import Interruptions
from ringbridge.qt.pump import Pump
from ringbridge.qt.selector import MirroredSelector, QiSelector
from ringbridge.qt.turning import TurningLoop

_forked = False  # Qt does not survive a fork: in the child a loop is asyncio's own


def _note_fork() -> None:
    global _forked
    _forked = True


os.register_at_fork(after_in_child=_note_fork)


class QiLoopMode(enum.Enum):
    """Who runs whom. OWNER: asyncio runs Qt, as a program's asyncio.run() does. GUEST: Qt runs
    asyncio, from start() to stop(). NATIVE: asyncio runs alone, without Qt.
    """

    OWNER = "owner"
    GUEST = "guest"
    NATIVE = "native"


class QiBaseEventLoop(TurningLoop):
    """An asyncio loop that can run on Qt's event loop, on the thread that runs it.

    selector  what asyncio.SelectorEventLoop takes; default: epoll

    All that asyncio's loops do works: sockets, subprocesses, signals, add_reader, executors.
    """

    def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
        self._mode = QiLoopMode.OWNER
        self._old_pump: Any = None
        self._qt_loop: Any = None
        self._raised: BaseException | None = None
        self._is_quit = False  # broken off, by Qt or otherwise: from then on, it is cleaned up
        self._exit_code: int | None = None  # of Qt, which has cancelled the awaited task
        self._thread_id: int | None
        self._interruptions = Interruptions(self._break_off, lambda: self._turning)
        if selector is None:
            super().__init__(QiSelector())
            self._write_to_self = self._selector.wake  # asyncio's own is for any selector
        else:
            super().__init__(MirroredSelector(selector))

    # ------------------------------------------------------------------------------------- modes

    @property
    def mode(self) -> QiLoopMode:
        """How it runs."""
        return self._mode

    def set_mode(self, mode: QiLoopMode) -> None:
        """How it runs from the next start on. RuntimeError: it runs, or is closed."""
        self._check_closed()
        if self.is_running():
            raise RuntimeError("the mode of a loop that runs cannot be changed: stop it first")
        if self._stopping:
            raise RuntimeError("the mode cannot be changed while a stop() is pending")
        self._mode = QiLoopMode(mode)

    def run_forever(self) -> None:
        """Runs until stop(). In owner mode Qt runs, too; in both others this is asyncio's own.

        In owner mode, on the main thread, it is the application's exec(), with lastWindowClosed,
        and aboutToQuit at the end of each run. QCoreApplication.quit() and exit(), or closing the
        last window (see setQuitOnLastWindowClosed), do what Ctrl-C does in asyncio.run(): the
        awaited task is cancelled, once, and SystemExit with the exit code is raised when it has
        ended. Where no task is awaited, this raises it at once. What cleans up then is not ended
        by another quit.

        On other threads, and in a Qt loop that runs already, it is a QEventLoop. QThread.quit()
        cancels the awaited task, too, but raises no SystemExit; without one, this returns.

        RuntimeError: there is no application object, or a loop runs on this thread.
        """
        if self._mode is not QiLoopMode.OWNER or _forked:
            super().run_forever()
            return
        self._begin()
        try:
            is_over = self._run_qt()
        finally:
            self._qt_loop = None
            self._end()
        self.raise_broken_off()
        if not is_over:
            super().run_forever()

    def run_until_complete(self, future: Any) -> Any:
        """As asyncio's. What a quit of Qt's does to it, run_forever() says."""
        self._exit_code = None
        try:
            return super().run_until_complete(future)
        except asyncio.CancelledError:
            if self._exit_code is None:
                raise
            raise SystemExit(self._exit_code) from None

    def _run_qt(self) -> bool:
        """Until the run is over. False: Qt runs no more here, and asyncio has not ended."""
        application = QtCore.QCoreApplication.instance()
        thread = QtCore.QThread.currentThread()
        is_main = thread == application.thread()
        is_outermost = is_main and thread.loopLevel() == 0
        self._qt_loop = application if is_outermost else QtCore.QEventLoop()
        while True:
            code = binding.run(self._qt_loop)
            if not self._stopping and self._raised is None and not self._is_quit:
                self._quit(code if is_main else None)
            if self._stopping or self._raised is not None:
                return True
            if not is_outermost:
                return False  # its thread, or the application, is to end: exec() is refused

    def _quit(self, code: int | None) -> None:
        """Qt's loop was ended by somebody else. None: it was that of a thread, not the program."""
        self._is_quit = True
        task = self._awaited_task()
        if task is not None:
            if not getattr(task, "cancelling", int)():  # known from 3.11 on
                self._exit_code = code
                task.cancel()
        elif code is not None:
            self._raised = SystemExit(code)
        else:
            self._stopping = True

    def _awaited_task(self) -> asyncio.Task[Any] | None:
        """That of run_until_complete(), which stops us when it is done."""
        stop = asyncio.base_events._run_until_complete_cb  # type: ignore[attr-defined]
        for task in asyncio.all_tasks(self):
            if any(callback is stop for callback, _context in task._callbacks or ()):
                return task
        return None

    def start(self) -> None:
        """Guest mode: runs from now on, whenever Qt does, until stop(). Returns at once."""
        if self._mode is not QiLoopMode.GUEST:
            raise RuntimeError("start() is for guest mode: set_mode(QiLoopMode.GUEST) first")
        if _forked:
            raise RuntimeError("this process was forked from one with Qt: Qt does not run here")
        self._begin()

    def stop(self) -> None:
        """Ends the run after the iteration that is under way, or the next one."""
        super().stop()
        if self._is_waiting:
            self._wake()

    def leave(self) -> None:
        """Guest mode: ends the run at once. RuntimeError: from a callback; there, stop() does."""
        if self._turning:
            raise RuntimeError("leave() is for code that Qt runs; in asyncio's own, call stop()")
        if self.is_running():
            self._end()

    def close(self) -> None:
        """As asyncio's. RuntimeError: it runs."""
        super().close()
        self._old_pump = None  # here, on its thread; and it holds us

    def raise_broken_off(self) -> None:
        """Raises the SystemExit or KeyboardInterrupt that has ended the run; else does nothing."""
        error, self._raised = self._raised, None
        if error is not None:
            raise error

    def _begin(self) -> None:
        self._check_closed()
        self._raised = None
        pump = Pump(self._selector.fileno(), self._turn, self._turn_in_time)
        self._set_up()
        self._pump = pump
        self._armed = math.inf
        self._selector.asks = True
        self._interruptions.begin(self._csock.fileno())
        self._wake()

    def _end(self) -> None:
        self._is_waiting = False
        self._interruptions.end(keep_fd=bool(self._signal_handlers))
        self._selector.asks = False
        self._pump.stop()
        self._old_pump, self._pump = self._pump, None  # we may be in a call of its
        self._clean_up()

    if sys.version_info >= (3, 13):

        def _set_up(self) -> None:
            self._run_forever_setup()

        def _clean_up(self) -> None:
            self._run_forever_cleanup()

    else:

        def _set_up(self) -> None:
            """What asyncio's run_forever() does before its first iteration."""
            self._check_running()
            self._set_coroutine_origin_tracking(self._debug)
            self._thread_id = threading.get_ident()
            self._their_hooks = sys.get_asyncgen_hooks()
            sys.set_asyncgen_hooks(
                firstiter=self._asyncgen_firstiter_hook, finalizer=self._asyncgen_finalizer_hook
            )
            asyncio._set_running_loop(self)

        def _clean_up(self) -> None:
            """And after its last."""
            self._stopping = False
            self._thread_id = None
            asyncio._set_running_loop(None)
            self._set_coroutine_origin_tracking(False)
            sys.set_asyncgen_hooks(*self._their_hooks)

    def _finish(self) -> None:
        """stop() was called, and its iteration is over."""
        if self._qt_loop is not None:
            self._qt_loop.exit()
        else:
            self._end()

    def _break_off(self, error: BaseException) -> None:
        """SystemExit or KeyboardInterrupt, in a turn or in a slot: raised where the run was begun.

        In guest mode Qt's loop is asked to end, which began it, and who has started us raises it.
        """
        self._raised = error
        self._is_quit = True
        if self._qt_loop is not None:
            self._qt_loop.exit()
        else:
            self._wake()
            code = error.code if isinstance(error, SystemExit) else 1
            QtCore.QThread.currentThread().exit(code if isinstance(code, int) else 1)

    # --------------------------------------------------------------------------- what code may call

    def remove_signal_handler(self, sig: int) -> bool:
        """As asyncio's."""
        removed: bool = super().remove_signal_handler(sig)
        # asyncio lets go of the wake-up descriptor with the last handler.
        if self._pump is not None:
            self._interruptions.begin(self._csock.fileno())
        return removed

    def exec_modal(self, function: Callable[[], object]) -> None:
        """Calls the function soon, from Qt and not from a callback of this loop: it may run a Qt
        loop of its own, such as a dialog's, while this one goes on. What it raises is reported."""
        self._check_closed()
        QtCore.QTimer.singleShot(0, lambda: self._call_here(lambda: self._call_modal(function)))

    def _call_modal(self, function: Callable[[], object]) -> None:
        try:
            function()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self.call_exception_handler(
                {"message": "what exec_modal() was to call has failed", "exception": error}
            )

    def _call_here(self, function: Callable[[], object]) -> None:
        try:
            function()
        except (SystemExit, KeyboardInterrupt) as error:
            if self._turning:
                raise  # through the callbacks that have called us
            self._break_off(error)


class QiSelectorEventLoop(QiBaseEventLoop):
    """What asyncio.SelectorEventLoop is to asyncio."""


QiDefaultEventLoop = QiSelectorEventLoop


def new_event_loop() -> QiBaseEventLoop:
    """A new loop, in owner mode: what to pass as loop_factory to asyncio.run() and Runner()."""
    return QiDefaultEventLoop()
