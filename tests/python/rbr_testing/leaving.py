# SPDX-License-Identifier: MIT
"""A thread that still waits for the host when its worker's loop has ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

NOTICES_MAX = 64


def call_back_from_a_thread(function: Any, begun: str, ended: str, result: str) -> None:
    """Returns while it waits; what it gets stands in the file `result`."""
    _leave(lambda: Path(result).write_text(str(function())), ended)
    open(begun).close()


def notify_from_a_thread(function: Any, begun: str, ended: str, result: str) -> None:
    """One more than may be under way, so that it waits."""
    sent = threading.Event()

    def run() -> None:
        for _ in range(NOTICES_MAX):
            function.notify()
        sent.set()
        try:
            function.notify()
        finally:  # should the call have ended before that one began
            Path(result).write_text("7")

    _leave(run, ended)
    open(begun).close()
    sent.wait()


def _leave(run: Callable[[], object], ended: str) -> None:
    """The FIFO is opened when the main thread is done with serve()."""

    def say() -> None:
        threading.main_thread().join()
        open(ended, "w").close()

    for each in (run, say):
        threading.Thread(target=each).start()
