# SPDX-License-Identifier: MIT
"""What the tests serve in FreeCAD."""

from __future__ import annotations

import sys
import threading
from typing import Any

import FreeCAD


def add_boxes(count: int) -> list[str]:
    """A row of boxes in a new document; their names."""
    document = FreeCAD.newDocument("called")
    for number in range(count):
        box = document.addObject("Part::Box", f"Called{number}")
        box.Placement.Base.x = 15 * number
    document.recompute()
    _show()
    return [each.Name for each in document.Objects]


def is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def cube(name: str) -> Any:
    document = FreeCAD.ActiveDocument or FreeCAD.newDocument("called")
    made = document.addObject("Part::Box", name)
    document.recompute()
    _show()
    return made


def _show() -> None:
    if FreeCAD.GuiUp:
        import FreeCADGui

        FreeCADGui.activeDocument().activeView().viewIsometric()
        FreeCADGui.SendMsgToActiveView("ViewFit")


def references(name: str) -> int:
    """How many hold the object."""
    return sys.getrefcount(FreeCAD.ActiveDocument.getObjectsByLabel(name)[0])


def remove(name: str) -> None:
    document = FreeCAD.ActiveDocument
    document.removeObject(document.getObjectsByLabel(name)[0].Name)


def picture(file: str) -> None:
    """Of the screen."""
    from PySide import QtGui

    app = QtGui.QApplication.instance()
    app.processEvents()
    app.primaryScreen().grabWindow(0).save(file)


def leave() -> None:
    """Ends the window, when this has been answered."""
    from PySide import QtCore, QtGui

    def close() -> None:
        for name in list(FreeCAD.listDocuments()):
            FreeCAD.closeDocument(name)
        QtGui.QApplication.instance().exit(0)

    QtCore.QTimer.singleShot(200, close)
