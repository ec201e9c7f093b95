# SPDX-License-Identifier: MIT
"""The add-on "ringbridge" for Blender: notebooks and pipelines call functions in this Blender.

serving   one server, or none      ringbridge_loader, ringbridge once that is loaded
panel     what is seen of it       Blender, serving
"""

from __future__ import annotations

from . import panel

bl_info = {
    "name": "ringbridge",
    "author": "ringbridge developers",
    "version": (0, 1, 0),
    "blender": (3, 3, 0),
    "location": "3D View > Sidebar > ringbridge",
    "description": "Other Python interpreters call functions that run in this Blender",
    "category": "Development",
}


def register() -> None:
    """Blender enables the add-on."""
    panel.register()


def unregister() -> None:
    """Blender disables the add-on: nothing is served any more."""
    panel.unregister()
