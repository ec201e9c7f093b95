# SPDX-License-Identifier: MIT
"""A script for Blender, with its window or with -b: a cube, made on its main thread."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import bpy

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import host_pumps

LATER_S = 0.5
TURNS = 10


def make() -> dict[str, Any]:
    bpy.ops.mesh.primitive_monkey_add(size=3, location=(0, 0, 2))
    bpy.context.object.name = "Posted"
    file = f"{settings['report']}.blend"
    bpy.ops.wm.save_as_mainfile(filepath=file)
    bpy.ops.wm.open_mainfile(filepath=file)  # a timer that is not persistent ends here
    return {"file": file, "objects": [each.name for each in bpy.data.objects]}


def later(function: Callable[[], None]) -> None:
    turns = iter(range(TURNS))

    def turn() -> float | None:
        if next(turns, None) is not None:
            return LATER_S / TURNS
        function()
        return None

    bpy.app.timers.register(turn)


def end() -> None:
    if settings["picture"]:
        with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):
            bpy.ops.screen.screenshot(filepath=settings["picture"])
    bpy.ops.wm.quit_blender()


with open(os.environ["RBR_HOSTS_SETTINGS"], encoding="utf-8") as settings_file:
    settings = json.load(settings_file)
bpy.context.preferences.view.show_splash = False
walk = host_pumps.Walk(make, None if bpy.app.background else later, end)
if bpy.app.background:
    walk.drain()
