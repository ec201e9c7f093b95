# SPDX-License-Identifier: MIT
"""Killing workers, and waiting for what follows."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import ringbridge

WAIT_S = 40.0


def until(true: Callable[[], object], what: str) -> None:
    """Waits for it; fails loudly when it does not come."""
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.002)


def kill(worker: ringbridge.Worker, number: int = signal.SIGKILL) -> int:
    """Kills its process, and waits until this is known here; gives the pid."""
    child = worker._process.child
    assert child is not None
    os.kill(child.pid, number)
    until(lambda: not child.channel.alive, "the death of the worker's process")
    return child.pid
