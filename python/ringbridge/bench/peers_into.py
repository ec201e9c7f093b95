# SPDX-License-Identifier: MIT
"""ringbridge into applications that run already, and what that is measured against.

Their far side is an application of this interpreter, served_app; a call goes to its main thread.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import Any, cast

import ringbridge as rb
from ringbridge.bench.peer import JOIN_S, Settings
from ringbridge.bench.peers_own import Ringbridge
from ringbridge.bench.served_app import READY


class OwnWorker(Ringbridge):
    """A worker of the interpreter that the applications have, too."""

    def start(self) -> None:
        self.worker = rb.Worker(sys.executable, name="bench")


class IntoScript(Ringbridge):
    """A script that does nothing but serve: its main thread looks for the next call."""

    kind = "script"
    worker: Any  # a Connection, which has all that is used of a Worker

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ringbridge.bench.served_app", settings.token, self.kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        if (said := self._process.stdout.readline().decode()) != READY:
            raise RuntimeError(f"the application does not serve: {said.strip()}")

    def start(self) -> None:
        self.worker = rb.connect(self.settings.token, pid=self._process.pid)

    def close(self) -> None:
        self.worker.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.communicate(timeout=JOIN_S)
        self._process.kill()
        self._process.wait()


class IntoQt(IntoScript):
    """A Qt application; its main thread sleeps in Qt's loop."""

    kind = "qt"


class QueuedSignal(IntoQt):
    """What such an application has of its own: a signal from a thread of it to its main thread,
    and one back."""

    def reported(self, seconds: float) -> list[int]:
        trips = self.worker.load("ringbridge.bench.queued_signals").trips
        return cast("list[int]", trips(seconds, self.settings.cpus[0]))
