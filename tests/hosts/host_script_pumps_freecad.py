# SPDX-License-Identifier: MIT
"""A script for FreeCAD, with its window or for freecadcmd: a box, made on its main thread."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import FreeCAD

sys.path.insert(0, os.environ["RBR_HOSTS_FOLDER"])

import host_pumps

LATER_MS = 500


def make() -> dict[str, Any]:
    document = FreeCAD.newDocument("posted")
    document.addObject("Part::Box", "Posted")
    document.addObject("Part::Sphere", "Sphere").Placement.Base.z = 12
    document.recompute()
    if FreeCAD.GuiUp:
        import FreeCADGui

        FreeCADGui.activeDocument().activeView().viewIsometric()
        FreeCADGui.SendMsgToActiveView("ViewFit")
    file = f"{settings['report']}.FCStd"
    document.saveAs(file)
    return {"file": file, "objects": [each.Label for each in document.Objects]}


def later(function: Callable[[], None]) -> None:
    from PySide import QtCore

    QtCore.QTimer.singleShot(LATER_MS, function)


def end() -> None:
    from PySide import QtGui

    app = QtGui.QApplication.instance()
    if settings["picture"]:
        app.primaryScreen().grabWindow(0).save(settings["picture"])
    FreeCAD.closeDocument("posted")
    app.exit(0)


with open(os.environ["RBR_HOSTS_SETTINGS"], encoding="utf-8") as settings_file:
    settings = json.load(settings_file)
if FreeCAD.GuiUp:
    walk = host_pumps.Walk(make, later, end)
else:
    walk = host_pumps.Walk(make, None, lambda: None)
    walk.drain()
