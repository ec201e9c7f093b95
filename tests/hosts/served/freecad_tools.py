# SPDX-License-Identifier: MIT
"""What the tests serve in FreeCAD."""

from __future__ import annotations

import threading

import FreeCAD


def add_boxes(count: int) -> list[str]:
    """A row of boxes in a new document; their names."""
    document = FreeCAD.newDocument("called")
    for number in range(count):
        box = document.addObject("Part::Box", f"Called{number}")
        box.Placement.Base.x = 15 * number
    document.recompute()
    if FreeCAD.GuiUp:
        import FreeCADGui

        FreeCADGui.activeDocument().activeView().viewIsometric()
        FreeCADGui.SendMsgToActiveView("ViewFit")
    return [each.Name for each in document.Objects]


def is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
