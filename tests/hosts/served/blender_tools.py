# SPDX-License-Identifier: MIT
"""What the tests serve in Blender."""

from __future__ import annotations

import sys
import threading
from typing import Any

import bpy


def add_cubes(count: int) -> list[str]:
    """A row of cubes; the names of all objects."""
    for number in range(count):
        bpy.ops.mesh.primitive_cube_add(size=1, location=(0, 2 * number - count, 1))
        bpy.context.object.name = f"Called {number}"
    return [each.name for each in bpy.data.objects]


def is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def cube(name: str) -> Any:
    bpy.ops.mesh.primitive_cube_add(size=3, location=(0, 0, 1.5), rotation=(0, 0, 0.4))
    bpy.context.object.name = name
    return bpy.context.object


def references(name: str) -> int:
    """How many hold the object."""
    return sys.getrefcount(bpy.data.objects[name])


def remove(name: str) -> None:
    bpy.data.objects.remove(bpy.data.objects[name])


def picture(file: str) -> None:
    """Of the window."""
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):
        bpy.ops.wm.redraw_timer(type="DRAW_WIN_SWAP", iterations=1)
        bpy.ops.screen.screenshot(filepath=file)


def leave() -> None:
    """Ends the window, when this has been answered."""
    bpy.app.timers.register(lambda: bpy.ops.wm.quit_blender() and None, first_interval=0.2)
