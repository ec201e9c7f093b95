# SPDX-License-Identifier: MIT
"""Runs in QGIS's window, by `qgis --code`: a worker that starts in the background, asked by a
Job and by a coroutine, on QGIS's own loop; what it says is shown in the message bar. Always ends
QGIS: an exception would not.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import traceback
from typing import Any

from qgis.core import Qgis, QgsApplication
from qgis.PyQt.QtCore import QTimer
from qgis.utils import iface

sys.path.insert(0, os.environ["RBR_HOSTS_FOLDER"])
import host_checks

LOOK_MS = 10
PICTURE_AFTER = 30  # looks: the bar slides in, and the map is drawn
EXIT_CODE = 7


class Shown:
    """One look every 10 ms, on the main thread: is there an answer, is it on the screen."""

    def __init__(self) -> None:
        self.wanted = host_checks.settings()
        self.told: dict[str, Any] = {"looks": 0, "looks_before_answer": 0}
        self.answer: dict[str, Any] | None = None
        sys.path.insert(0, self.wanted["copy"])
        os.environ.update(self.wanted["inside"])
        began = time.perf_counter()
        self.worker = host_checks.worker(self.wanted, wait=False)
        self.told["made_ms"] = (time.perf_counter() - began) * 1e3
        self.told["environ"] = dict(os.environ)
        self.asyncio = contextlib.ExitStack()
        self.begin()
        self.timer = QTimer()
        self.timer.timeout.connect(self.look)
        self.timer.start(LOOK_MS)

    def begin(self) -> None:
        from ringbridge import qt
        from ringbridge.qt import binding

        self.told["binding"] = binding.NAME
        self.asyncio.enter_context(qt.using_asyncio_from_qt())
        load = qt.Job(self.worker.load, "gis_work")
        load.failed.connect(lambda error: self.end(repr(error)))
        load.finished.connect(qt.asyncslot(self.ask))

    async def ask(self, work: Any) -> None:
        from ringbridge import qt

        versions = await work.versions.submit()
        job = qt.Job(work.geodata)
        job.failed.connect(lambda error: self.end(repr(error)))
        job.finished.connect(
            lambda geodata: setattr(self, "answer", {"versions": versions, "geodata": geodata})
        )

    def look(self) -> None:
        try:
            if self.answer is not None:
                self.show()
            else:
                self.told["looks_before_answer"] += 1
        except Exception:
            self.end(traceback.format_exc())

    def show(self) -> None:
        bar = iface.messageBar()
        if not self.told["looks"]:
            self.told["worker"] = self.answer
            versions, geodata = (self.told["worker"][name] for name in ("versions", "geodata"))
            python = ".".join(map(str, versions["python"]))
            name = geodata["wkt"].split('"')[1]
            text = f"Python {python}, numpy {versions['numpy']}: EPSG:32633 is {name}"
            bar.pushMessage("ringbridge", text, Qgis.Success, 0)
        self.told["looks"] += 1
        if self.told["looks"] == PICTURE_AFTER:
            item = bar.currentItem()
            self.told["message"] = [item.title(), item.text(), item.isVisible()]
            picture = QgsApplication.primaryScreen().grabWindow(0)
            self.told["picture"] = picture.save(self.wanted["picture"])
            self.end(None)

    def end(self, failure: str | None) -> None:
        self.timer.stop()
        self.asyncio.close()
        self.worker.close()
        finish({**self.told, "failure": failure})


def finish(told: dict[str, Any]) -> None:
    with open(host_checks.settings()["report"], "w", encoding="utf-8") as file:
        json.dump(told, file)
    QgsApplication.instance().exit(EXIT_CODE)


def begin() -> None:
    global shown
    try:
        shown = Shown()
    except Exception:
        finish({"failure": traceback.format_exc()})


shown: Shown | None = None
QTimer.singleShot(0, begin)
