# SPDX-License-Identifier: MIT
"""Waits for what another thread or process is about to do, with a deadline."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from pathlib import Path

DEADLINE_S = 20.0
_LOOK_S = 0.001


def eventually(condition: Callable[[], object], seconds: float = DEADLINE_S) -> None:
    """Until it is true; an AssertionError when it never becomes that."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
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
