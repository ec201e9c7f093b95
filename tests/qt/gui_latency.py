# SPDX-License-Identifier: MIT
"""How late a window's 16 ms timer is, while Jobs return 1 GB and stream 10,000 items, and without.

    gui_latency.py BINDING [ROUNDS]

Both sides have imported numpy before. Prints the lateness in ms, idle and busy rounds by turns:
99th percentile and maximum of each.
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path
from typing import Any

import numpy  # noqa: F401  (the first array that comes would import it: 70 ms)

QtWidgets: Any = importlib.import_module(f"{sys.argv[1]}.QtWidgets")

import ringbridge as rb  # noqa: E402
from ringbridge.qt import Job, binding  # noqa: E402

QtCore: Any = binding.QtCore
THERE = Path(__file__).resolve().parent / "there"
PERIOD_S = 0.016
IDLE_S = 2.0
BYTES = 1 << 30
ITEMS = 10_000


class Ticks:
    """A timer, and by how much each of its ticks came late."""

    def __init__(self) -> None:
        self._timer = QtCore.QTimer()
        self._timer.setTimerType(QtCore.Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._last = time.perf_counter()
        self.late: list[float] = []
        self._timer.start(round(PERIOD_S * 1000))

    def _tick(self) -> None:
        now = time.perf_counter()
        self.late.append(max(now - self._last - PERIOD_S, 0.0) * 1000)
        self._last = now

    def stop(self) -> tuple[float, float]:
        """(99th percentile, maximum), ms."""
        self._timer.stop()
        late = sorted(self.late)
        return late[int(len(late) * 0.99)], late[-1]


def idle(application: Any) -> tuple[float, float]:
    ticks = Ticks()
    QtCore.QTimer.singleShot(round(IDLE_S * 1000), application.quit)
    binding.run(application)
    return ticks.stop()


def busy(application: Any, work: Any, other: Any) -> tuple[float, float]:
    """Until both Jobs have ended."""
    ends: list[Any] = []
    count = 0

    def end(result: Any) -> None:
        ends.append(result)
        if len(ends) == 2:
            application.quit()

    def item(_item: Any) -> None:
        nonlocal count
        count += 1

    ticks = Ticks()
    array, items = Job(work.ones, BYTES), Job(other.counts.stream, ITEMS)
    items.item.connect(item)
    for job in (array, items):
        job.finished.connect(end)
        job.failed.connect(end)
    binding.run(application)
    found = ticks.stop()
    sizes = [getattr(result, "nbytes", None) for result in ends]
    assert sorted(map(str, sizes)) == [str(BYTES), "None"], ends
    assert count == ITEMS
    return found


def main() -> None:
    application = QtWidgets.QApplication(sys.argv[:1])
    application.setQuitOnLastWindowClosed(False)
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with (
        rb.Worker(sys.executable, paths=[THERE]) as one,
        rb.Worker(one.environment, paths=[THERE]) as two,
    ):
        work, other = one.load("qt_work"), two.load("qt_work")
        for _ in range(rounds):
            print("idle", *(f"{each:.2f}" for each in idle(application)), flush=True)
            print("busy", *(f"{each:.2f}" for each in busy(application, work, other)), flush=True)


if __name__ == "__main__":
    main()
