# SPDX-License-Identifier: MIT
"""Ctrl-C while Qt waits: Python's signal handlers run only where Python runs; Qt's poll() is C.

While a loop runs on the main thread, signals write to its self-pipe, so that it turns. The handler
of SIGINT is called through ours: what it raises between turns, where it would end in a slot of Qt's
that nobody wrote, goes to the loop; inside a turn it is raised as ever.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

_NONE = -1  # no wake-up descriptor


class Interruptions:
    """Of one loop.

    break_off   is told what the handler raised between turns
    is_turning  whether the loop runs callbacks now
    """

    def __init__(
        self, break_off: Callable[[BaseException], None], is_turning: Callable[[], bool]
    ) -> None:
        self._break_off = break_off
        self._is_turning = is_turning
        self._fd = _NONE
        self._theirs: Any = None
        self._is_pending = False  # one was told: a slot may run that does not end

    def begin(self, fd: int) -> None:
        """Called on the loop's thread, perhaps again; `fd` is written to at each signal."""
        if not _on_main_thread():
            return
        self._is_pending = False
        before = signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
        if before in (_NONE, fd):
            self._fd = fd
        else:  # another one's, who wants it
            signal.set_wakeup_fd(before)
        handler = signal.getsignal(signal.SIGINT)
        if callable(handler) and handler != self._on_interrupt:
            self._theirs = handler
            signal.signal(signal.SIGINT, self._on_interrupt)

    def end(self, keep_fd: bool) -> None:
        """Gives back what begin() took, where nobody has taken it since.

        keep_fd  asyncio has signal handlers of its own, which want the descriptor between runs, too
        """
        if not _on_main_thread():
            return
        if self._fd != _NONE and not keep_fd:
            now = signal.set_wakeup_fd(_NONE)
            if now != self._fd:
                signal.set_wakeup_fd(now)
        self._fd = _NONE
        if self._theirs is not None:
            if signal.getsignal(signal.SIGINT) == self._on_interrupt:
                signal.signal(signal.SIGINT, self._theirs)
            self._theirs = None

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._is_turning() or self._is_pending:
            self._theirs(number, frame)
            return
        try:
            self._theirs(number, frame)
        except BaseException as error:
            self._is_pending = True
            self._break_off(error)


def _on_main_thread() -> bool:
    # current_thread() would make an object for each thread of Qt's, and keep it.
    return threading.get_ident() == threading.main_thread().ident
