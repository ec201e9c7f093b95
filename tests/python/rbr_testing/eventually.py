# SPDX-License-Identifier: MIT
"""Waits for what another thread or process is about to do, with a deadline."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from pathlib import Path

#: For what comes soon, on a machine however slow; less than a test's alarm, which says less.
LONG_S = 40.0
_LOOK_S = 0.001


def until(condition: Callable[[], object], what: str = "what was waited for") -> None:
    """Waits until it is true; an AssertionError when it never becomes that."""
    end = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {LONG_S} s"
        time.sleep(_LOOK_S)


def collected(reference: Callable[[], object]) -> bool:
    """Whether what a weakref stands for is gone, once the garbage collector has looked."""
    gc.collect()
    return reference() is None


class Gate:
    """Holds a call over there: it runs from `entered` until `open`."""

    def __init__(self, folder: Path) -> None:
        self.started, self.release = str(folder / "in"), str(folder / "out")
        os.mkfifo(self.started)
        os.mkfifo(self.release)

    def entered(self) -> None:
        open(self.started).close()

    def open(self) -> None:
        open(self.release, "w").close()
