# SPDX-License-Identifier: MIT
"""Killing workers, and waiting for what follows."""

from __future__ import annotations

import os
import signal

import ringbridge
from rbr_testing.eventually import until


def kill(worker: ringbridge.Worker, number: int = signal.SIGKILL) -> int:
    """Kills its process, and waits until this is known here; gives the pid."""
    child = worker._process.child
    assert child is not None
    os.kill(child.pid, number)
    until(lambda: not child.channel.alive, "the death of the worker's process")
    return child.pid
