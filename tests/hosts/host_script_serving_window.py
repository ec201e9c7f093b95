# SPDX-License-Identifier: MIT
"""Runs in QGIS's window, by `qgis --code`: a person switches serving on, other programs drive this
QGIS, it is switched off in the middle, and the plugin is unloaded. Writes down what is seen, judges
nothing. Always ends QGIS: an exception would not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import qgis.utils
from qgis.core import QgsProject
from qgis.PyQt.QtCore import QTimer
from qgis.PyQt.QtWidgets import QScrollArea
from qgis.utils import iface

sys.path.insert(0, os.environ["RBR_HOSTS_FOLDER"])
from plugin_traces import options_page, traces
from window_steps import Step, picture, settled, told, walk, wanted

PLUGIN = "ringbridge_qgis"
BEAT_MS = 10


class Program:
    """Another interpreter; what it prints goes to a file."""

    def __init__(self, *arguments: str) -> None:
        self._file = os.path.join(wanted["work"], f"{os.path.basename(arguments[0])}.txt")
        with open(self._file, "w", encoding="utf-8") as said:
            self.process = subprocess.Popen(
                [wanted["python"], *arguments],
                env={**os.environ, "PYTHONPATH": wanted["copy"]},
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=subprocess.STDOUT,
                text=True,
            )

    @property
    def lines(self) -> list[str]:
        """What it has said."""
        with open(self._file, encoding="utf-8") as file:
            return file.read().splitlines()

    def ended(self) -> bool:
        return self.process.poll() is not None

    def said(self, count: int) -> Step:
        """True when it has said that many lines, or has ended."""
        return lambda: len(self.lines) >= count or self.ended()

    def go_on(self) -> None:
        """Answers it with a line."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()


class Beats:
    """How late a timer of the window is."""

    def __init__(self) -> None:
        self.late_ms: list[float] = []
        self._last = time.perf_counter()
        self._timer = QTimer()
        self._timer.timeout.connect(self._beat)
        self._timer.start(BEAT_MS)

    def _beat(self) -> None:
        now = time.perf_counter()
        self.late_ms.append((now - self._last) * 1e3 - BEAT_MS)
        self._last = now

    def end(self) -> list[float]:
        """The median and the worst, in ms."""
        self._timer.stop()
        late = sorted(self.late_ms) or [0.0]
        return [late[len(late) // 2], late[-1]]


def plugin() -> Any:
    return qgis.utils.plugins[PLUGIN]


def sockets() -> list[str]:
    folder = os.path.join(os.environ["XDG_RUNTIME_DIR"], "ringbridge")
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def served_modules() -> list[str]:
    return sorted({"qgis_tools", "window_tools"} & set(sys.modules))


def shown(panel: Any) -> dict[str, Any]:
    """What the panel says."""
    modules = [panel.exposed.topLevelItem(row) for row in range(panel.exposed.topLevelItemCount())]
    cells = range(panel.clients.columnCount())
    return {
        "switch": panel.switch.isChecked(),
        "state": panel.state.text(),
        "problem": panel.problem.text(),
        "modules": {
            each.text(0): [each.child(row).text(0) for row in range(each.childCount())]
            for each in modules
        },
        "clients": [
            [panel.clients.item(row, column).text() for column in cells]
            for row in range(panel.clients.rowCount())
        ],
    }


# ------------------------------------------------------------------------------------- the steps


def story() -> Iterator[Step]:
    yield from switched_on()
    yield from driven_by_the_example()
    yield from more_modules()
    yield from driven_and_switched_off()
    yield from unloaded()


def switched_on() -> Iterator[Step]:
    yield lambda: plugin()._session.bridge is not None
    told["before"] = {"sockets": sockets(), "modules": served_modules(), "traces": traces()}
    plugin().open_serving()
    panel = plugin()._dock.serving_panel
    yield panel.isVisible
    yield settled()
    told["off"] = shown(panel)
    panel.switch.click()
    yield settled()
    told["on"] = shown(panel)
    told["sockets"] = sockets()


def driven_by_the_example() -> Iterator[Step]:
    program = Program(wanted["example"])
    yield program.ended
    told["example"] = {"lines": program.lines, "code": program.process.returncode}
    iface.messageBar().clearWidgets()
    yield lambda: not iface.mapCanvas().isDrawing()
    yield settled()
    picture("drive-qgis")
    told["canvas_width_before"] = iface.mapCanvas().width()
    told["layers"] = [each.name() for each in QgsProject.instance().mapLayers().values()]


def more_modules() -> Iterator[Step]:
    QTimer.singleShot(0, plugin().open_settings)  # it has an event loop of its own
    yield lambda: options_page() is not None and options_page().panel.found is not None
    page = options_page()
    page.serve_modules.setText("qgis_tools, window_tools nobody_has_it")
    page.serve_folders.add(wanted["served"])
    yield settled()
    page.findChild(QScrollArea).ensureWidgetVisible(page.serve_folders)
    yield settled()
    picture("serving-options")
    page.apply()
    page.window().reject()
    yield settled()
    panel = plugin()._dock.serving_panel
    yield lambda: "window_tools" in shown(panel)["modules"]
    yield settled()
    told["more"] = shown(panel)
    told["canvas_width"] = iface.mapCanvas().width()


def driven_and_switched_off() -> Iterator[Step]:
    QgsProject.instance().clear()
    panel = plugin()._dock.serving_panel
    beats = Beats()
    program = Program(wanted["driver"], str(os.getpid()), "window")
    yield program.said(1)
    told["late_ms"] = beats.end()
    told["driven"] = program.lines
    panel.refresh()  # what it shows by itself may be half a second old
    told["connected"] = shown(panel)
    picture("serving-panel")
    plugin()._dock.close()
    told["looks_while_hidden"] = plugin()._dock._timer.isActive()
    plugin().open_serving()
    panel.switch.click()
    program.go_on()
    yield program.said(2)
    told["switched_off"] = {**shown(panel), "sockets": sockets(), "modules_left": served_modules()}
    told["driven"] = program.lines
    program.go_on()
    yield program.ended


def unloaded() -> Iterator[Step]:
    QgsProject.instance().clear()
    panel = plugin()._dock.serving_panel
    panel.switch.click()
    told["on_again"] = {"switch": panel.switch.isChecked(), "sockets": sockets()}
    program = Program(wanted["driver"], str(os.getpid()), "window")
    yield program.said(1)
    qgis.utils.unloadPlugin(PLUGIN)
    program.go_on()
    yield program.said(2)
    told["unloaded_under_a_client"] = json.loads(program.lines[-1])
    program.go_on()
    yield program.ended
    yield lambda: not traces()["processes"] and not traces()["threads"]
    QgsProject.instance().clear()  # QGIS 3.22 crashes where its end finds layers
    told["after"] = {
        **{"sockets": sockets(), "modules": served_modules(), "traces": traces()},
        "folders": [each for each in sys.path if each.endswith("served")],
    }


walk(story)
