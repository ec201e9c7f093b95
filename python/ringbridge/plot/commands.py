# SPDX-License-Identifier: MIT
"""What other threads have a thread do that waits in a selector, or in poll."""

from __future__ import annotations

import collections
import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Commands:
    """`do` by any thread; `obey` by the one that does them, when `fileno` is readable."""

    def __init__(self) -> None:
        self._waiting: collections.deque[Callable[[], None]] = collections.deque()
        self._woken, self._wake = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        self._over = threading.Event()

    def fileno(self) -> int:
        return self._woken.fileno()

    def wake_fileno(self) -> int:
        """A byte that is sent to it wakes the thread."""
        return self._wake.fileno()

    def do(self, command: Callable[[], None]) -> None:
        """Never waits. After `finish`, does it at once."""
        self._waiting.append(command)
        self.wake()
        if self._over.is_set():
            self._do_all()

    def wake(self) -> None:
        """Makes `fileno` readable."""
        with contextlib.suppress(BlockingIOError, OSError):  # full: it is awake; closed: it ended
            self._wake.send(b"\0")

    def obey(self) -> None:
        """Does what waits, in order."""
        with contextlib.suppress(BlockingIOError):
            self._woken.recv(4096)
        self._do_all()

    def finish(self) -> None:
        """The thread ends: does what waits; what comes from now on is done by who says it."""
        self._over.set()
        self._do_all()

    def close(self) -> None:
        """After `finish`, or in a forked child."""
        self._woken.close()
        self._wake.close()

    def _do_all(self) -> None:
        while self._waiting:
            try:
                command = self._waiting.popleft()
            except IndexError:  # each once: at the end another thread may have it
                return
            command()
