# SPDX-License-Identifier: MIT
"""A script in Blender's Python, for `blender -b --python-exit-code 3 --python FILE`."""

from __future__ import annotations

import os
import sys

import bpy

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import host_checks

host_checks.report({"blender": bpy.app.version_string})
