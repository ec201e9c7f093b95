# SPDX-License-Identifier: MIT
"""Runs in QGIS's window: algorithms from the toolbox's dialogs, run, cancelled, crashed, timed."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from typing import Any

sys.path.insert(0, os.environ["RBR_HOSTS_FOLDER"])

import qgis.utils
from qgis.core import (
    QgsApplication,
    QgsProcessingAlgRunnerTask,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProject,
)
from qgis.PyQt.QtCore import Qt, QTimer
from qgis.PyQt.QtWidgets import QDockWidget, QPushButton, QTextEdit, QTreeView
from qgis.utils import iface
from window_steps import Step, after, picture, settled, told, walk, wanted

PLUGIN = "ringbridge_qgis"
TICK_MS = 16


def all_steps() -> Iterator[Step]:
    yield from start()
    yield from toolbox()
    yield from run_in_dialog()
    yield from cancel_in_dialog()
    yield from crash_in_dialog()
    yield from lateness()
    yield from unload()


def provider() -> Any:
    return QgsApplication.processingRegistry().providerById("ringbridge")


def start() -> Iterator[Step]:
    """Its first start in this process; what its modules declare was kept by an earlier one."""
    told["modules_before"] = [name for name in ("numpy", "ringbridge") if name in sys.modules]
    began = time.perf_counter()
    qgis.utils.loadPlugin(PLUGIN)
    loaded = time.perf_counter()
    qgis.utils.startPlugin(PLUGIN)
    ended = time.perf_counter()
    told["start"] = {
        "load_ms": (loaded - began) * 1e3,
        "start_ms": (ended - loaded) * 1e3,
        "algorithms": sorted(each.name() for each in provider().algorithms()),
        "core": "ringbridge._core" in sys.modules,
    }
    yield settled()


def toolbox() -> Iterator[Step]:
    dock = iface.mainWindow().findChild(QDockWidget, "ProcessingToolbox")
    dock.show()
    dock.raise_()
    yield settled()
    for tree in dock.findChildren(QTreeView):
        model = tree.model()
        for row in range(model.rowCount()):
            index = model.index(row, 0)
            if model.data(index, Qt.ItemDataRole.DisplayRole) == "ringbridge":
                tree.expandRecursively(index)
                tree.scrollTo(index, QTreeView.ScrollHint.PositionAtTop)
                told["in_toolbox"] = True
    yield settled()
    picture("toolbox")


def open_dialog(algorithm: str, **parameters: Any) -> Any:
    import processing

    dialog = processing.createAlgorithmDialog(f"ringbridge:{algorithm}", parameters)
    dialog.show()
    return dialog


def button(dialog: Any, *words: str) -> Any:
    found = (each for each in dialog.findChildren(QPushButton) if each.text().strip("&") in words)
    return next(found, None)


def log_of(dialog: Any) -> str:
    return "\n".join(each.toPlainText() for each in dialog.findChildren(QTextEdit))


def ended(dialog: Any) -> Step:
    """The dialog's Run button can be pressed again, or stands for a change of parameters."""
    return lambda: not button(dialog, "Cancel").isEnabled()


def run_in_dialog() -> Iterator[Step]:
    dialog = open_dialog("hillshade", DEM=wanted["dem"], OUTPUT=wanted["shade"])
    yield settled()
    picture("hillshade-dialog")
    dialog.runAlgorithm()
    yield lambda: ended(dialog)() and QgsProject.instance().mapLayers()
    yield settled()
    layers = list(QgsProject.instance().mapLayers().values())
    told["run"] = {
        "log": log_of(dialog),
        "layers": [each.name() for each in layers],
        "renderer": layers[0].renderer().type(),
    }
    picture("hillshade-log")
    dialog.close()
    iface.setActiveLayer(layers[0])
    iface.zoomToActiveLayer()
    yield settled()
    yield lambda: not iface.mapCanvas().isDrawing()
    picture("hillshade-map")


def cancel_in_dialog() -> Iterator[Step]:
    dialog = open_dialog("spin", DEM=wanted["dem"], OUTPUT="TEMPORARY_OUTPUT")
    dialog.runAlgorithm()
    yield lambda: "spinning" in log_of(dialog)
    yield after(0.3)  # by then its compiled code runs
    picture("spin-running")
    began = time.perf_counter()
    button(dialog, "Cancel").click()
    yield ended(dialog)
    told["cancel"] = {"seconds": time.perf_counter() - began, "log": log_of(dialog)}
    yield settled()
    picture("spin-cancelled")
    dialog.close()


def crash_in_dialog() -> Iterator[Step]:
    dialog = open_dialog("crash", DEM=wanted["dem"], OUTPUT="TEMPORARY_OUTPUT")
    dialog.runAlgorithm()
    yield lambda: "crashed" in log_of(dialog) and ended(dialog)()
    yield settled()
    told["crash"] = log_of(dialog)
    picture("crash-log")
    dialog.close()
    again = open_dialog("twice", DEM=wanted["dem"], OUTPUT=wanted["twice"])
    again.runAlgorithm()
    yield lambda: os.path.exists(wanted["twice"]) and ended(again)()
    told["after_crash"] = log_of(again)
    again.close()


def lateness() -> Iterator[Step]:
    """How late a timer of the window is: with nothing to do, and while a raster is computed."""
    told["lateness"] = {}
    for name, parameters in (("idle", None), ("run", {"DEM": wanted["large"]})):
        clock = Ticks()
        if parameters is None:
            yield after(3.0)
        else:
            done = in_background("hillshade", {**parameters, "OUTPUT": wanted["large_out"]})
            yield lambda done=done: done
            told["large_run"] = {"successful": done[0], "seconds": done[1]}
        told["lateness"][name] = clock.stop()


def in_background(algorithm: str, parameters: dict[str, Any]) -> list[Any]:
    """Has (successful, seconds) when it has ended."""
    found = QgsApplication.processingRegistry().algorithmById(f"ringbridge:{algorithm}").create()
    context, feedback = QgsProcessingContext(), QgsProcessingFeedback()
    task = QgsProcessingAlgRunnerTask(found, parameters, context, feedback)
    # The collector sees through a connection: what only a slot knew went away during the run.
    _kept.append((found, context, feedback, task))
    began = time.perf_counter()
    done: list[Any] = []

    def end(successful: bool, _results: Any) -> None:
        done.extend([successful, time.perf_counter() - began])

    task.executed.connect(end)
    QgsApplication.taskManager().addTask(task)
    return done


_kept: list[Any] = []


class Ticks:
    """A timer of 16 ms, which notes how late it comes."""

    def __init__(self) -> None:
        self._late_ms: list[float] = []
        self._last = time.perf_counter()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(TICK_MS)

    def _tick(self) -> None:
        now = time.perf_counter()
        self._late_ms.append((now - self._last) * 1e3 - TICK_MS)
        self._last = now

    def stop(self) -> list[float]:
        self._timer.stop()
        return self._late_ms


def unload() -> Iterator[Step]:
    qgis.utils.unloadPlugin(PLUGIN)
    yield settled()
    told["unloaded"] = provider() is None


walk(all_steps)
