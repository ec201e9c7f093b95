# SPDX-License-Identifier: MIT
"""A walk through QGIS's window: steps that wait for something to become true, pictures, a report.

For scripts that `qgis --code` runs. A step is a generator: it does something, then yields a
function, and goes on when that says True. RBR_HOSTS_SETTINGS names a file of JSON with `pictures`
(a folder) and `report` (a file). Always ends QGIS: an exception would not.
"""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from qgis.core import QgsApplication
from qgis.PyQt.QtCore import QTimer

LOOK_MS = 20
STEP_S = 60
SETTLED_LOOKS = 15  # what slides in has arrived, and is drawn
EXIT_CODE = 7

Step = Callable[[], Any]
wanted: dict[str, Any] = {}
told: dict[str, Any] = {"pictures": []}


def settled() -> Step:
    """True after some turns of the event loop."""
    left = iter(range(SETTLED_LOOKS))
    return lambda: next(left, None) is None


def after(seconds: float) -> Step:
    """True when so much time has gone by: where that itself is what is looked at."""
    until = time.monotonic() + seconds
    return lambda: time.monotonic() >= until


def picture(name: str) -> None:
    """Of the whole screen, under this name."""
    path = os.path.join(wanted["pictures"], f"{name}.png")
    if QgsApplication.primaryScreen().grabWindow(0).save(path):
        told["pictures"].append(path)


class Walk:
    """One look every 20 ms, on the main thread: may the next step begin."""

    def __init__(self, steps: Iterator[Step]) -> None:
        self._steps = steps
        self._condition: Step = lambda: True
        self._until = time.monotonic() + STEP_S
        self._busy = False
        self._timer = QTimer()
        self._timer.timeout.connect(self._look)
        self._timer.start(LOOK_MS)

    def _look(self) -> None:
        if self._busy:
            return  # a step turns an event loop of its own
        self._busy = True
        try:
            if self._condition():
                self._condition = next(self._steps)
                self._until = time.monotonic() + STEP_S
            elif time.monotonic() > self._until:
                picture("stuck")
                frame = self._steps.gi_yieldfrom.gi_frame  # type: ignore[attr-defined]
                self._end(f"{frame.f_code.co_name}, line {frame.f_lineno}: it never came")
        except StopIteration:
            self._end(None)
        except Exception:
            self._end(traceback.format_exc())
        self._busy = False

    def _end(self, failure: str | None) -> None:
        self._timer.stop()
        with open(wanted["report"], "w", encoding="utf-8") as file:
            json.dump({**told, "failure": failure}, file, default=str)
        QgsApplication.instance().exit(EXIT_CODE)


def walk(steps: Callable[[], Iterator[Step]]) -> None:
    """Begins when QGIS's window is there; a module's last line."""

    def begin() -> None:
        with open(os.environ["RBR_HOSTS_SETTINGS"], encoding="utf-8") as file:
            wanted.update(json.load(file))
        _walks.append(Walk(steps()))

    QTimer.singleShot(0, begin)


_walks: list[Walk] = []
