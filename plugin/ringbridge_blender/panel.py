# SPDX-License-Identifier: MIT
"""What Blender shows: a panel in the 3D view's sidebar, start and stop, the preferences.

Main thread only. All that it knows of ringbridge is Serving.
"""
# No annotations from the future here: Blender reads those of its classes.

import textwrap
from typing import Any, Optional

import bpy

from .serving import Seen, Serving, Wanted

#: Between two looks at who is connected, while it serves, in seconds.
LOOK_S = 1.0
#: The sidebar as wide as Blender makes it at first, in characters.
LINE_WIDTH = 28
LINES_MAX = 12

serving = Serving()


class Shown:
    """What the panel has drawn last: it is drawn again where there is something new."""

    seen: Optional[Seen] = None
    problem = ""


class RingbridgePreferences(bpy.types.AddonPreferences):
    """What is served, and from where ringbridge is loaded."""

    bl_idname = __package__

    environment: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Environment",
        description="An environment that has ringbridge; empty: the first one that is found",
        subtype="DIR_PATH",
    )
    name: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Name",
        description="What others connect to: ringbridge.connect(name)",
        default="blender",
    )
    modules: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Modules",
        description="Modules whose functions may be called, such as: mytools scenes.*",
    )
    folders: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Folders",
        description="Where those modules are, with : between them, if Blender cannot import them",
    )
    at_start: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Serve when Blender starts",
        description="Otherwise only once Start has been pressed",
        default=False,
    )

    def draw(self, _context: Any) -> None:
        layout = self.layout
        layout.use_property_split = True
        for name in ("modules", "folders", "name", "environment", "at_start"):
            layout.prop(self, name)
        layout.label(text="Every program that you run can call what is served.", icon="INFO")


class RINGBRIDGE_OT_start(bpy.types.Operator):
    """Other Python interpreters can call the modules that the preferences name"""

    bl_idname = "ringbridge.start"
    bl_label = "Start serving"

    @classmethod
    def poll(cls, _context: Any) -> bool:
        if bpy.app.background:
            cls.poll_message_set("under -b, let a script call ringbridge.host.serve() and run()")
        return not bpy.app.background

    def execute(self, _context: Any) -> set[str]:
        if not start():
            self.report({"ERROR"}, serving.problem)
            return {"CANCELLED"}
        return {"FINISHED"}


class RINGBRIDGE_OT_stop(bpy.types.Operator):
    """Nobody can call into this Blender any more"""

    bl_idname = "ringbridge.stop"
    bl_label = "Stop serving"

    def execute(self, _context: Any) -> set[str]:
        serving.stop()
        look()
        return {"FINISHED"}


class RINGBRIDGE_PT_panel(bpy.types.Panel):
    bl_label = "ringbridge"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "ringbridge"

    def draw(self, _context: Any) -> None:
        seen = serving.seen()
        if seen is None:
            self._draw_stopped()
        else:
            self._draw_serving(seen)
        shows = self.layout.operator(
            "preferences.addon_show", text="Preferences", icon="PREFERENCES"
        )
        shows.module = __package__

    def _draw_stopped(self) -> None:
        column = self.layout.column(align=True)
        column.label(text="Not serving", icon="RADIOBUT_OFF")
        for line in _lines(serving.problem):
            row = column.row()
            row.alert = True
            row.label(text=line)
        modules = preferences().modules
        column.label(text=f"To be served: {modules}" if modules else "No modules are named yet")
        self.layout.operator(RINGBRIDGE_OT_start.bl_idname, icon="PLAY")

    def _draw_serving(self, seen: Seen) -> None:
        column = self.layout.column(align=True)
        column.label(text=f"Serving as {seen.name}", icon="RADIOBUT_ON")
        column.label(text=f"pid {seen.pid}", icon="BLANK1")
        self._draw_list("Modules", [_module(each, seen) for each in seen.modules])
        self._draw_list("Clients", list(seen.clients) or ["nobody"])
        self.layout.operator(RINGBRIDGE_OT_stop.bl_idname, icon="PAUSE")

    def _draw_list(self, title: str, lines: list[str]) -> None:
        box = self.layout.box().column(align=True)
        box.label(text=title)
        for line in lines:
            box.label(text=line, icon="DOT")


CLASSES = (RingbridgePreferences, RINGBRIDGE_OT_start, RINGBRIDGE_OT_stop, RINGBRIDGE_PT_panel)


def preferences() -> Any:
    """Those of this add-on."""
    return bpy.context.preferences.addons[__package__].preferences


def start() -> bool:
    """Serves as the preferences say. False: serving.problem says why not."""
    wanted = preferences()
    places = [bpy.path.abspath(each) for each in (wanted.environment, wanted.folders)]
    started = serving.start(Wanted(places[0], wanted.name, wanted.modules, places[1]))
    if started and not bpy.app.timers.is_registered(look):
        bpy.app.timers.register(look, first_interval=LOOK_S, persistent=True)
    _redraw()
    return started


def look() -> Optional[float]:
    """A timer: draws the panel again where something has changed. None: it does not serve."""
    seen = serving.seen()
    if (seen, serving.problem) != (Shown.seen, Shown.problem):
        _redraw()
    return LOOK_S if seen else None


def _redraw() -> None:
    Shown.seen, Shown.problem = serving.seen(), serving.problem
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()


def _lines(text: str) -> list[str]:
    """The first of a problem, in lines that fit the panel: the whole was reported."""
    lines = [part for line in text.splitlines() for part in textwrap.wrap(line, LINE_WIDTH)]
    return lines[:LINES_MAX]


def _module(name: str, seen: Seen) -> str:
    return f"{name} (loaded)" if name in seen.loaded else name


def _start_with_blender() -> None:
    if preferences().at_start:
        start()


def register() -> None:
    """The classes; and it serves soon, where the preferences say so."""
    for each in CLASSES:
        bpy.utils.register_class(each)
    if not bpy.app.background:  # there no timer fires: nobody would be answered
        bpy.app.timers.register(_start_with_blender, first_interval=0.0)


def unregister() -> None:
    """Stops serving, and leaves nothing."""
    serving.stop()
    for timer in (look, _start_with_blender):
        if bpy.app.timers.is_registered(timer):
            bpy.app.timers.unregister(timer)
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
