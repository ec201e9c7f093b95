# SPDX-License-Identifier: MIT
"""Functions of the computation's that are called when something happens in a window.

On a thread of their own, one after another: neither the computation nor its viewers wait for them.
"""

from __future__ import annotations

import collections
import logging
import threading
from typing import TYPE_CHECKING, Any

from ringbridge import threads

if TYPE_CHECKING:
    from collections.abc import Callable

#: Events that wait for a handler, and their bytes; then the oldest are dropped.
WAITING_MAX = 10_000
WAITING_BYTES_MAX = 64 << 20

_logger = logging.getLogger("ringbridge.plot")


class PlotEvent:
    """What happened: its attributes are what the viewer told of it (x, y, button, key, ...)."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.__dict__.update({str(key): value for key, value in told.items()})

    def __repr__(self) -> str:
        told = ", ".join(f"{key}={value!r}" for key, value in vars(self).items())
        return f"PlotEvent({told})"

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"this event has no {name!r}; it has {', '.join(vars(self)) or 'none'}"
        )


class Handlers:
    """The functions of one plot, by event. From any thread."""

    def __init__(self, plot: str) -> None:
        self._plot = plot
        self._functions: dict[str, list[Callable[..., object]]] = {}
        self._waiting: collections.deque[tuple[str, tuple[Any, ...], int]] = collections.deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self.dropped = 0

    def add(self, event: str, function: Callable[..., object]) -> None:
        if not callable(function):
            raise TypeError(f"a handler is a function, not {type(function).__name__}")
        with self._changed:
            self._functions.setdefault(event, []).append(function)
            if self._thread is None and not self._closed:
                self._thread = threads.start(self._run, f"ringbridge events of {self._plot}")

    def tell(self, event: str, *values: Any, size: int = 0) -> None:
        """Something has happened, of that many bytes. Never waits."""
        with self._changed:
            if event not in self._functions or self._closed:
                return
            self._waiting.append((event, values, size))
            self._waiting_bytes += size
            while len(self._waiting) > WAITING_MAX or (
                len(self._waiting) > 1 and self._waiting_bytes > WAITING_BYTES_MAX
            ):
                self._waiting_bytes -= self._waiting.popleft()[2]
                self.dropped += 1
            self._changed.notify()

    def close(self) -> None:
        """What has happened is still told; the thread ends then. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if not self._waiting:
                    return
                event, values, size = self._waiting.popleft()
                self._waiting_bytes -= size
                functions = list(self._functions[event])
            for function in functions:
                try:
                    function(*values)
                except (Exception, SystemExit):  # the thread is for all of them
                    _logger.exception("a handler of %r in the plot %s failed", event, self._plot)
