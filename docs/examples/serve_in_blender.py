# SPDX-License-Identifier: MIT
"""Blender, served: its window, and without one.

blender    --python serve_in_blender.py -- FOLDER
blender -b --python serve_in_blender.py -- FOLDER

FOLDER is where ringbridge is. `scene_tools` is taken from beside this file.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys

import bpy

here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, *sys.argv[sys.argv.index("--") + 1 :]]

import ringbridge.host  # noqa: E402

server = ringbridge.host.serve("blender", modules=["scene_tools"])
if bpy.app.background:
    # Without a window nobody else would look for calls. Blender's own handler takes two Ctrl-C, and
    # ends it on the spot; this one ends run().
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with server, contextlib.suppress(KeyboardInterrupt):
        server.run()
