# SPDX-License-Identifier: MIT
"""A walk through the add-on in Blender's window: enabled, started, called into, stopped, disabled;
and once more, ended while it serves. Judges nothing; the tests read the report.

A step is a generator that yields a function, and goes on when that says True.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy

ADDON = "ringbridge_blender"
LOOK_S = 0.05
STEP_S = 30
SETTLED_LOOKS = 30

Step = Callable[[], Any]

with open(os.environ["RBR_HOSTS_SETTINGS"], encoding="utf-8") as settings_file:
    settings = json.load(settings_file)
told: dict[str, Any] = {"failure": None, "pictures": []}


def settled() -> Step:
    """True after some looks: what has changed is drawn."""
    left = iter(range(SETTLED_LOOKS))
    return lambda: next(left, None) is None


def picture(name: str) -> None:
    file = os.path.join(settings["pictures"], f"blender-addon-{name}.png")
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):
        bpy.ops.screen.screenshot(filepath=file)
    told["pictures"].append(file)


def show_sidebar() -> None:
    for area in bpy.context.window_manager.windows[0].screen.areas:
        if area.type == "VIEW_3D":
            area.spaces.active.show_region_ui = True


def press(operator: Callable[[], set[str]]) -> str:
    """What it says where it fails."""
    try:
        operator()
    except RuntimeError as error:
        return str(error)
    return ""


def state() -> dict[str, Any]:
    return {
        "path": list(sys.path),
        "classes": [name for name in dir(bpy.types) if "ringbridge" in name.lower()],
        "operators": dir(bpy.ops.ringbridge),
    }


def enable() -> Any:
    """The add-on's panel module, with the preferences that a user would fill in."""
    bpy.ops.preferences.addon_enable(module=ADDON)
    panel = sys.modules[f"{ADDON}.panel"]
    preferences = panel.preferences()
    for name in ("environment", "folders"):
        setattr(preferences, name, settings[name])
    return panel


def walk() -> Iterator[Step]:
    from ringbridge_blender import panel as before_enabling

    before_enabling.RINGBRIDGE_PT_panel.bl_category = "Item"  # the tab that is shown at first
    told["before"] = state()
    panel = enable()
    show_sidebar()
    told["nothing_named"] = press(bpy.ops.ringbridge.start)
    yield settled()
    picture("stopped")
    panel.preferences().modules = "blender_tools"
    told["started"] = press(bpy.ops.ringbridge.start)
    told["again"] = press(bpy.ops.ringbridge.start)
    server = panel.serving.server
    told["served"] = [server.name, server.pid == os.getpid(), server.pump.name]
    said = Path(f"{settings['report']}.said")
    with (
        open(said, "w", encoding="utf-8") as file,
        subprocess.Popen(
            [*settings["caller"], server.name, str(server.pid), "blender_tools", "add_cubes"],
            env={**os.environ, "PYTHONPATH": settings["copy"]},
            stdin=subprocess.PIPE,
            stdout=file,
        ) as caller,
    ):
        assert caller.stdin is not None
        yield lambda: said.read_text().endswith("\n")
        told["said"] = json.loads(said.read_text())
        yield lambda: panel.Shown.seen and panel.Shown.seen.clients
        told["shown"] = [list(panel.Shown.seen.loaded), list(panel.Shown.seen.clients)]
        yield settled()
        picture("serving")
        caller.stdin.close()
        yield lambda: caller.poll() is not None
        told["caller"] = caller.returncode
    yield lambda: not panel.Shown.seen.clients
    told["stopped"] = press(bpy.ops.ringbridge.stop)
    told["closed"] = [server.closed, panel.serving.server is None]
    bpy.ops.preferences.addon_disable(module=ADDON)
    told["after"] = state()
    panel = enable()
    panel.preferences().modules = "blender_tools"
    told["started_again"] = press(bpy.ops.ringbridge.start)
    told["second"] = panel.serving.server.address.path


def tick(steps: Iterator[Step]) -> Callable[[], float | None]:
    waits: list[tuple[Step, float]] = [(lambda: True, time.monotonic())]

    def turn() -> float | None:
        ready, since = waits[-1]
        try:
            if ready():
                waits.append((next(steps), time.monotonic()))
            elif time.monotonic() - since > STEP_S:
                raise TimeoutError(f"it did not happen, after {told}")
        except StopIteration:
            end()
            return None
        except Exception:
            told["failure"] = traceback.format_exc()
            end()
            return None
        return LOOK_S

    return turn


def end() -> None:
    with open(settings["report"], "w", encoding="utf-8") as file:
        json.dump(told, file)
    bpy.ops.wm.quit_blender()


bpy.context.preferences.view.show_splash = False
bpy.app.timers.register(tick(walk()), first_interval=1.0)
