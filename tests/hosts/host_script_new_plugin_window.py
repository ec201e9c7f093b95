# SPDX-License-Identifier: MIT
"""Runs in QGIS's window, by `qgis --code`: a generated plugin, from no ringbridge to its unloading.

Writes down what is seen, judges nothing. Always ends QGIS: an exception would not.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import qgis.utils
from qgis.core import QgsApplication
from qgis.PyQt.QtCore import QTimer
from qgis.PyQt.QtWidgets import (
    QAbstractButton,
    QAction,
    QDialog,
    QDockWidget,
    QInputDialog,
    QTextEdit,
)
from qgis.utils import iface

PLUGIN, TITLE = "terrain_tools", "Terrain tools"
LOOK_MS = 20
STEP_S = 40
SETTLED_S = 1.0  # what slides in has arrived, and is drawn
EXIT_CODE = 7

with open(os.environ["RBR_HOSTS_SETTINGS"], encoding="utf-8") as file:
    wanted: dict[str, Any] = json.load(file)
told: dict[str, Any] = {"failure": None, "pictures": []}


def plugin() -> Any:
    return qgis.utils.plugins[PLUGIN]


def action(text: str) -> Any:
    """In the plugin's own menu, as a user finds it."""
    for menu in iface.pluginMenu().actions():
        if menu.text() == TITLE and menu.menu() is not None:
            return next(each for each in menu.menu().actions() if each.text() == text)
    raise LookupError(text)


def messages() -> list[str]:
    return [each.text() for each in iface.messageBar().items() if each.title() == TITLE]


def more_button() -> Any:
    item = next(each for each in iface.messageBar().items() if each.title() == TITLE)
    return item.findChild(QAbstractButton)


def viewer() -> Any:
    """The window with the rest of a message."""
    found = (each for each in QgsApplication.topLevelWidgets() if each.isVisible())
    return next((each for each in found if isinstance(each, QDialog)), None)


def algorithms() -> list[str] | None:
    provider = QgsApplication.processingRegistry().providerById(PLUGIN)
    return None if provider is None else sorted(each.name() for each in provider.algorithms())


def traces() -> dict[str, Any]:
    """All that could be left of the plugin."""
    window = iface.mainWindow()
    return {
        "algorithms": algorithms(),
        "menu": [each.text() for each in iface.pluginMenu().actions() if TITLE in each.text()],
        "actions": [
            each.text() for each in window.findChildren(QAction) if "environment" in each.text()
        ],
        "docks": [each.objectName() for each in window.findChildren(QDockWidget, f"{PLUGIN}Dock")],
        "workers": [each.pid for each in own_workers()],
    }


def own_workers() -> list[Any]:
    """As the system knows them, whatever the registry thinks."""
    if "ringbridge" not in sys.modules:
        return []
    from ringbridge import running

    return [each for each in running.workers() if each.host_pid == os.getpid()]


def states() -> list[str]:
    from ringbridge.qgis.workers import workers

    return [each.state for each in workers().states()]


def settled() -> Callable[[], bool]:
    until = time.monotonic() + SETTLED_S
    return lambda: time.monotonic() > until


def picture(name: str) -> None:
    path = os.path.join(wanted["pictures"], f"{name}.png")
    if QgsApplication.primaryScreen().grabWindow(0).save(path):
        told["pictures"].append(path)


def choose(text: str) -> Callable[[], Any]:
    """Types this into the dialog that the menu opens, which has an event loop of its own."""
    QTimer.singleShot(0, action("Choose the environment…").trigger)

    def typed() -> bool:
        found = iface.mainWindow().findChildren(QInputDialog)
        dialog = next((each for each in found if each.isVisible()), None)
        if dialog is not None:
            told.setdefault("offered", []).append(dialog.comboBoxItems())
            dialog.setTextValue(text)
            dialog.accept()
        return dialog is not None

    return typed


def steps() -> Iterator[Callable[[], Any]]:
    """Each yields what has to become true before it goes on."""
    yield lambda: messages()
    yield settled()
    told["without"] = [messages(), algorithms(), "ringbridge" in sys.modules]
    picture("new-plugin-without-ringbridge")
    QTimer.singleShot(0, more_button().click)  # its window has an event loop of its own
    yield lambda: viewer() is not None
    yield settled()
    told["details"] = viewer().findChild(QTextEdit).toPlainText()
    picture("new-plugin-details")
    viewer().close()
    action("Show the workers").trigger()
    told["dock_without"] = plugin().dock is not None
    iface.messageBar().clearWidgets()
    yield choose(wanted["environment"])
    yield lambda: algorithms() == ["focal_mean", "standard_score"]
    told["chosen"] = [messages(), algorithms(), sys.modules["ringbridge"].__file__]
    with open(os.path.join(wanted["plugin"], "compute", "added.py"), "w") as added:
        added.write(wanted["added"])
    action("Read the algorithms again").trigger()
    yield lambda: "added" in (algorithms() or [])
    action("Show the workers").trigger()
    yield settled()
    told["dock"] = plugin().dock.isVisible()
    picture("new-plugin-dock")
    yield choose(wanted["nowhere"])
    yield lambda: messages()
    told["nowhere"] = messages()
    yield choose(wanted["environment"])
    yield lambda: algorithms() == ["added", "focal_mean", "standard_score"]
    action("Read the algorithms again").trigger()  # which starts a worker, and leaves it idle
    yield lambda: states() == ["idle"]
    told["before"] = traces()
    qgis.utils.unloadPlugin(PLUGIN)
    yield lambda: not traces()["workers"] and not traces()["docks"]
    told["after"] = traces()
    qgis.utils.loadPlugin(PLUGIN)
    qgis.utils.startPlugin(PLUGIN)
    told["again"] = traces()


class Steps:
    """One look every 20 ms, on the main thread: may the next step begin?"""

    def __init__(self) -> None:
        self.steps = steps()
        self.ready: Callable[[], Any] = lambda: True
        self.until = time.monotonic() + STEP_S
        self.timer = QTimer()
        self.timer.timeout.connect(self.look)
        self.timer.start(LOOK_MS)

    def look(self) -> None:
        try:
            if self.ready():
                self.ready = next(self.steps)
                self.until = time.monotonic() + STEP_S
            elif time.monotonic() > self.until:
                picture("new-plugin-stuck")
                self.end(f"waited {STEP_S} s; so far {told}; messages {messages()}")
        except StopIteration:
            self.end(None)
        except Exception:
            self.end(traceback.format_exc())

    def end(self, failure: str | None) -> None:
        self.timer.stop()
        told["failure"] = failure
        with open(wanted["report"], "w", encoding="utf-8") as file:
            json.dump(told, file)
        QgsApplication.instance().exit(EXIT_CODE)


running = Steps()
