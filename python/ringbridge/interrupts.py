# SPDX-License-Identifier: MIT
"""Ctrl-C held back while a process is being made: an exception in there would lose its pid."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_HELD = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """What Python does at SIGINT and SIGTERM is done at the end of the block instead.

    Only the main thread runs handlers; in others there is nothing to hold. The block must be
    short, and what it makes must be known to an outer `try` when it ends.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[tuple[int, FrameType | None]] = []
    before = {number: signal.getsignal(number) for number in _HELD}
    try:
        with contextlib.ExitStack() as restored:
            for number, handler in before.items():
                if callable(handler):  # not None (one of C's), SIG_DFL or SIG_IGN
                    with contextlib.suppress(ValueError):  # another interpreter than the main one
                        signal.signal(number, lambda *details: arrived.append(details))
                        restored.callback(signal.signal, number, handler)
            yield
    finally:
        for arrival, frame in arrived:
            handler = before[signal.Signals(arrival)]
            if callable(handler):
                handler(arrival, frame)
