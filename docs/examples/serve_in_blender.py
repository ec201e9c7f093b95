# SPDX-License-Identifier: MIT
"""Blender, served: its window, and without one.

blender    --python serve_in_blender.py -- FOLDER
blender -b --python serve_in_blender.py -- FOLDER

FOLDER is where ringbridge is. `scene_tools` is taken from beside this file.
"""

from __future__ import annotations

import os
import sys

import bpy

here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, *sys.argv[sys.argv.index("--") + 1 :]]

import ringbridge.host  # noqa: E402

server = ringbridge.host.serve("blender", modules=["scene_tools"])
if bpy.app.background:
    server.run()  # until Ctrl-C: without a window nobody else would look for calls
