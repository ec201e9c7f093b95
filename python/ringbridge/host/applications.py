# SPDX-License-Identifier: MIT
"""What this process is: which application, whether it has a loop to work in, what it has open.

Imports no application's module: what is not loaded already is not what this process is.
"""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_QT = ("PyQt6", "PySide6", "PyQt5", "PySide2")


@dataclass(frozen=True)
class Application:
    """`kind` is "blender", "qgis", "freecad", "maya", "houdini", "qt" or "python". `has_loop`: it
    has an event loop, or will have one, in which a pump can work."""

    kind: str
    version: str
    has_loop: bool


def current() -> Application:
    """What this process is by now; a script that makes its QApplication later is "python" before.

    Main thread only.
    """
    for look in (_blender, _qgis, _freecad, _maya, _houdini, _qt):
        found = look()
        if found is not None:
            return found
    return Application("python", platform.python_version(), False)


def document(application: Application) -> str | None:
    """The file that is open there; None: none, or one without a name yet. Main thread only."""
    look = _DOCUMENTS.get(application.kind)
    try:
        return (look() if look else None) or None
    except Exception:  # it starts, it closes: nothing is open then, and that is no error
        return None


_module: Callable[[str], Any] = sys.modules.get


def _blender() -> Application | None:
    app = getattr(_module("bpy"), "app", None)
    return app and Application("blender", app.version_string, not app.background)


def _qgis() -> Application | None:
    core = _module("qgis.core")
    if core is None or core.QgsApplication.instance() is None:
        return None
    return Application("qgis", core.Qgis.QGIS_VERSION, True)


def _freecad() -> Application | None:
    app = _module("FreeCAD")
    if not hasattr(app, "GuiUp"):
        return None
    return Application("freecad", ".".join(app.Version()[:3]), bool(app.GuiUp))


def _maya() -> Application | None:
    commands = _module("maya.cmds")
    if not hasattr(commands, "about"):  # before maya.standalone.initialize()
        return None
    return Application("maya", str(commands.about(version=True)), not commands.about(batch=True))


def _houdini() -> Application | None:
    hou = _module("hou")
    if not hasattr(hou, "isUIAvailable"):
        return None
    return Application("houdini", hou.applicationVersionString(), bool(hou.isUIAvailable()))


def _qt() -> Application | None:
    for binding in _QT:
        core = _module(f"{binding}.QtCore")
        if core is not None and core.QCoreApplication.instance() is not None:
            return Application("qt", core.qVersion(), True)
    return None


_DOCUMENTS: dict[str, Callable[[], Any]] = {
    "blender": lambda: _module("bpy").data.filepath,
    "qgis": lambda: _module("qgis.core").QgsProject.instance().fileName(),
    "freecad": lambda: _module("FreeCAD").ActiveDocument.FileName,
    "maya": lambda: _module("maya.cmds").file(query=True, sceneName=True),
    "houdini": lambda: _module("hou").hipFile.path(),
}

#: Kinds of applications that have documents.
WITH_DOCUMENT = frozenset(_DOCUMENTS)
