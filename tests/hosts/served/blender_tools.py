# SPDX-License-Identifier: MIT
"""What the tests serve in Blender."""

from __future__ import annotations

import threading

import bpy


def add_cubes(count: int) -> list[str]:
    """A row of cubes; the names of all objects."""
    for number in range(count):
        bpy.ops.mesh.primitive_cube_add(size=1, location=(0, 2 * number - count, 1))
        bpy.context.object.name = f"Called {number}"
    return [each.name for each in bpy.data.objects]


def is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
