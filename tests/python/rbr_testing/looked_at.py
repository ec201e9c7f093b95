# SPDX-License-Identifier: MIT
"""Finds processes that a test has started, as `ringbridge ps` sees them; and ones to look at."""

from __future__ import annotations

import subprocess
import sys
import time

from ringbridge import running

DEADLINE_S = 20.0

#: What a worker of an older version is told.
SETTINGS = {"paths": [], "start_timeout": 30.0, "pickle": False}

#: python -c WAITS: says when it runs, and ends with its input.
WAITS = "import sys; print(flush=True); sys.stdin.read()"

#: python -c HOST name folder: tells the pids of its worker and of the worker's forked child.
HOST = """
import sys, ringbridge
worker = ringbridge.Worker(sys.executable, name=sys.argv[1], paths=[sys.argv[2]])
child = worker.load("rbr_testing.faults").keep_a_grandchild()
print(worker.pid, child, flush=True)
sys.stdin.read()
"""


def seen(pid: int | None) -> running.RunningWorker | None:
    return next((worker for worker in running.workers() if worker.pid == pid), None)


def seen_as(pid: int | None, state: str) -> running.RunningWorker:
    """The worker, when it is in that state."""
    until = time.monotonic() + DEADLINE_S
    while time.monotonic() < until:
        worker = seen(pid)
        if worker is not None and worker.state == state:
            return worker
        time.sleep(0.002)
    raise AssertionError(f"worker {pid} is never {state}: {seen(pid)}")


def dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid
