# SPDX-License-Identifier: MIT
"""What can be seen of the plugin in QGIS's window, and what could be left of it."""

from __future__ import annotations

import os
import threading
from typing import Any

from qgis.core import QgsApplication
from qgis.PyQt.QtCore import QTimer
from qgis.PyQt.QtWidgets import QAction, QDockWidget, QWidget
from qgis.utils import iface


def message() -> Any:
    """The plugin's line in the message bar."""
    items = [each for each in iface.messageBar().items() if each.title() == "ringbridge"]
    return items[0] if items else None


def options_page() -> Any:
    """The page in the dialog that is open, once it is drawn."""
    pages = (each for top in QgsApplication.topLevelWidgets() for each in top.findChildren(QWidget))
    return next((p for p in pages if p.objectName() == "ringbridgeOptions" and p.isVisible()), None)


def worker_processes() -> list[int]:
    """Children of this process that are Pythons."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as file:
                after = file.read().rpartition(")")[2].split()
            with open(f"/proc/{name}/cmdline", "rb") as file:
                command = file.read()
        except OSError:
            continue
        if int(after[1]) == os.getpid() and after[0] != "Z" and b"python" in command:
            found.append(int(name))
    return found


def traces() -> dict[str, Any]:
    """All that could be left of the plugin."""
    window = iface.mainWindow()
    texts = {each.text() for each in window.findChildren(QAction)}
    named = {each.objectName() for each in window.findChildren(QWidget)}
    timers = [
        each
        for each in QgsApplication.instance().findChildren(QTimer) + window.findChildren(QTimer)
        if type(each.parent()).__module__.startswith("ringbridge")
    ]
    return {
        "docks": [d.objectName() for d in window.findChildren(QDockWidget, "ringbridgeDock")],
        "menu": [t.text() for t in iface.pluginMenu().actions() if t.text() == "ringbridge"],
        "toolbar": [
            a.toolTip() for a in iface.pluginToolBar().actions() if "ringbridge" in a.toolTip()
        ],
        "actions": sorted(texts & {"Workers", "Set up…", "Reload modules"}),
        "widgets": sorted(name for name in named if name.startswith("ringbridge")),
        "messages": message() is not None,
        "provider": QgsApplication.processingRegistry().providerById("ringbridge") is not None,
        "timers": len(timers),
        "threads": sorted(t.name for t in threading.enumerate() if t.name.startswith("ringbridge")),
        "processes": worker_processes(),
    }
