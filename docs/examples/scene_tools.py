# SPDX-License-Identifier: MIT
"""What Blender lends to a notebook: objects, the vertices of meshes, rendered images.

Runs in Blender, on its main thread. Arrays are made in shared memory (`rb.empty`) and filled there:
whoever called has them without a copy.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from typing import Any

import bpy

import ringbridge as rb
from ringbridge.host import expose


@expose
def add_cube(name: str, size: float = 2.0, location: Sequence[float] = (0, 0, 0)) -> Any:
    """A new cube. The object stays in Blender; who called holds it from afar."""
    bpy.ops.mesh.primitive_cube_add(size=size, location=location)
    bpy.context.object.name = name
    return bpy.context.object


@expose
def add_grid(name: str, points: int, size: float) -> Any:
    """A flat square of points x points vertices."""
    bpy.ops.mesh.primitive_grid_add(x_subdivisions=points - 1, y_subdivisions=points - 1, size=size)
    bpy.context.object.name = name
    return bpy.context.object


@expose
def vertices(name: str) -> Any:
    """The vertices of an object's mesh: float32, a row (x, y, z) for each."""
    mesh = bpy.data.objects[name].data
    found = rb.empty((len(mesh.vertices), 3), "float32")
    mesh.vertices.foreach_get("co", found.reshape(-1))
    return found


@expose
def move_vertices(name: str, positions: Any) -> None:
    """The reverse: the mesh takes these."""
    mesh = bpy.data.objects[name].data
    mesh.vertices.foreach_set("co", positions.reshape(-1))
    mesh.update()


@expose
def remove(name: str) -> None:
    bpy.data.objects.remove(bpy.data.objects[name])


@expose
def render(width: int, height: int, samples: int = 16) -> Any:
    """What the camera sees: float32, (height, width, RGBA); as Blender has it, from below."""
    scene = bpy.context.scene
    scene.cycles.samples, scene.cycles.use_denoising = samples, False  # some are built without
    render = scene.render
    render.engine = "CYCLES"
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    render.image_settings.file_format = "PNG"
    with tempfile.TemporaryDirectory() as folder:
        render.filepath = os.path.join(folder, "image.png")
        bpy.ops.render.render(write_still=True)
        image = bpy.data.images.load(render.filepath)
        found = rb.empty((height, width, 4), "float32")
        image.pixels.foreach_get(found.reshape(-1))
        bpy.data.images.remove(image)
    return found


@expose
def screenshot(file: str) -> None:
    """Of Blender's window, into a file of PNG."""
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):
        bpy.ops.wm.redraw_timer(type="DRAW_WIN_SWAP", iterations=1)
        bpy.ops.screen.screenshot(filepath=file)
