# SPDX-License-Identifier: MIT
"""A script for Blender, FreeCAD and Python, with a window or without one: it serves, and no more.

RBR_HOSTS_SETTINGS names a file of JSON with `copy` (the folder that holds a ringbridge), `name`
(to be served as), `modules`, and `qt`: the application is a plain one that this script makes.
"""

from __future__ import annotations

import json
import os
import sys

with open(os.environ["RBR_HOSTS_SETTINGS"], encoding="utf-8") as settings_file:
    settings = json.load(settings_file)
sys.path[:0] = [settings["copy"], *settings["folders"]]

import ringbridge.host  # noqa: E402
from ringbridge.host import applications  # noqa: E402

if settings["qt"]:
    from ringbridge.qt import binding

    app = binding.module("QtWidgets").QApplication(["served"])
elif "bpy" in sys.modules:
    sys.modules["bpy"].context.preferences.view.show_splash = False

server = ringbridge.host.serve(settings["name"], modules=settings["modules"])
if settings["qt"]:
    binding.run(app)
elif not applications.current().has_loop:
    server.run(settings["limit_s"])
