# SPDX-License-Identifier: MIT
"""The macro in FreeCAD's window: run once it serves, run again it does not. Another interpreter
calls meanwhile. Judges nothing; the tests read the report."""

from __future__ import annotations

import json
import os
import subprocess
import time
import traceback
from pathlib import Path
from typing import Any

import FreeCAD
from PySide import QtCore, QtGui

LOOK_MS = 50
SETTLED_LOOKS = 20  # the tree has been drawn, too
LIMIT_S = 40

with open(os.environ["RBR_HOSTS_SETTINGS"], encoding="utf-8") as settings_file:
    settings = json.load(settings_file)
app = QtGui.QApplication.instance()


def run_macro() -> None:
    """As FreeCAD runs one."""
    source = Path(settings["macro"]).read_text()
    exec(compile(source, settings["macro"], "exec"), {"__name__": "__main__"})


class Walk:
    def __init__(self) -> None:
        self.told: dict[str, Any] = {"failure": None}
        self.looks = iter(range(SETTLED_LOOKS))
        self.until = time.monotonic() + LIMIT_S
        kept = FreeCAD.ParamGet("User parameter:BaseApp/Preferences/Mod/ringbridge")
        kept.SetString("Environment", settings["environment"])
        kept.SetString("Folders", settings["folders"])
        self.answer_question(kept)
        server = self.serving()[0]
        self.told["served"] = [server.name, server.pump.name, server.exposure.names()]
        self.said = Path(f"{settings['report']}.said")
        with open(self.said, "w", encoding="utf-8") as file:
            self.caller = subprocess.Popen(
                [*settings["caller"], "freecad", str(server.pid), "freecad_tools", "add_boxes"],
                env={**os.environ, "PYTHONPATH": settings["copy"]},
                stdin=subprocess.DEVNULL,
                stdout=file,
            )
        self.timer = QtCore.QTimer()
        self.timer.timeout.connect(self.look)
        self.timer.start(LOOK_MS)

    def answer_question(self, kept: Any) -> None:
        """The macro asks for the modules, the first time."""
        QtCore.QTimer.singleShot(0, self.type_modules)
        run_macro()
        self.told["kept"] = kept.GetString("Modules")

    def type_modules(self) -> None:
        dialog = app.activeModalWidget()
        if dialog is None:
            QtCore.QTimer.singleShot(LOOK_MS, self.type_modules)
            return
        self.told["asked"] = dialog.labelText()
        dialog.setTextValue(" freecad_tools ")
        dialog.accept()

    def serving(self) -> list[Any]:
        from ringbridge import host

        return host.serving()

    def look(self) -> None:
        if self.caller.poll() is None and time.monotonic() < self.until:
            return
        if next(self.looks, None) is not None:
            return
        self.timer.stop()
        self.caller.kill()
        try:
            self.told["caller"] = self.caller.wait()
            self.told["said"] = json.loads(self.said.read_text())
            self.told["picture"] = app.primaryScreen().grabWindow(0).save(settings["picture"])
            run_macro()
            self.told["after"] = len(self.serving())
            FreeCAD.closeDocument("called")
        except Exception:
            self.told["failure"] = traceback.format_exc()
        end(self.told)


def end(told: dict[str, Any]) -> None:
    with open(settings["report"], "w", encoding="utf-8") as file:
        json.dump(told, file)
    app.exit(0)


def begin() -> None:
    global walk
    try:
        walk = Walk()
    except Exception:
        end({"failure": traceback.format_exc()})


walk: Walk | None = None
QtCore.QTimer.singleShot(0, begin)
