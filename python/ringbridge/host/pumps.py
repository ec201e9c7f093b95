# SPDX-License-Identifier: MIT
"""Pumps: how what waits for the main thread gets there, in each kind of application.

MainWork.fileno() ---- a pump watches it ----> MainWork.drain(), on the main thread

qt        a QSocketNotifier in Qt's loop (qt_pump.py): Qt applications, QGIS, FreeCAD's window
blender   a timer in Blender's window (blender_pump.py)
maya, houdini, or a function of yours
          a thread that waits, and the application's executor (executor_pump.py)
script    nobody watches: server.run() or server.drain() does it. `blender -b`, freecadcmd,
          qgis_process, any script
thread    a thread of its own stands for the main thread, where that has other things to do
"""

from __future__ import annotations

import importlib
import sys
import threading
from typing import TYPE_CHECKING, Any, Protocol, Union

from ringbridge.errors import RingbridgeError
from ringbridge.host import applications
from ringbridge.host.blender_pump import BlenderPump
from ringbridge.host.executor_pump import ExecutorPump

if TYPE_CHECKING:
    from collections.abc import Callable

    from ringbridge.host.executor_pump import Executor
    from ringbridge.host.main_work import MainWork

    Choice = Union[str, "Pump", Executor, None]


_JOIN_S = 1.0


class Pump(Protocol):
    """Has drain() called on the main thread from start() to stop()."""

    @property
    def name(self) -> str: ...

    def start(self, work: MainWork) -> None:
        """On the main thread, unless the pump says more.

        RingbridgeError: it cannot be done in this application.
        """

    def stop(self) -> None:
        """drain() is not begun any more. From any thread; idempotent. After it `work` may be closed
        on the main thread."""


class ScriptPump:
    """Nothing watches: whoever serves calls server.run() or server.drain()."""

    name = "script"

    def start(self, work: MainWork) -> None:
        """Does nothing."""

    def stop(self) -> None:
        """Does nothing."""


class ThreadPump:
    """A thread of its own runs what would run on the main thread."""

    name = "thread"

    def __init__(self) -> None:
        self._stopped = True
        self._work: MainWork | None = None
        self._thread: threading.Thread | None = None

    def start(self, work: MainWork) -> None:
        """From any thread."""
        self._stopped = False
        self._work = work
        self._thread = threading.Thread(
            target=work.run, args=(lambda: self._stopped,), name="ringbridge pump", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """As Pump says; waits a second for the call that runs."""
        if self._stopped or self._work is None or self._thread is None:
            return
        self._stopped = True
        self._work.post(lambda: None)  # it looks again
        if self._thread is not threading.current_thread():
            self._thread.join(_JOIN_S)


def pump_for(choice: Choice = None) -> Pump:
    """The pump of that name; None: the one that fits this process. Main thread only.

    "qt", "blender", "maya", "houdini", "script" or "thread"; a Pump of your own, which is returned
    as it is; or a function that has another one run on the main thread, such as
    `maya.utils.executeInMainThreadWithResult`. ValueError: an unknown name. RingbridgeError: not in
    this application.
    """
    if choice is None:
        app = applications.current()
        choice = _OF_KIND.get(app.kind, "script") if app.has_loop else "script"
    if isinstance(choice, str):
        if choice not in _MAKE:
            raise ValueError(f"no pump {choice!r}: there are {', '.join(_MAKE)}")
        return _MAKE[choice]()
    if callable(choice):
        return ExecutorPump(choice)
    return choice


def _qt() -> Pump:
    if hasattr(sys.modules.get("FreeCAD"), "GuiUp"):
        importlib.import_module("PySide.QtCore")  # FreeCAD's name for the binding that it has
    try:
        module = importlib.import_module("ringbridge.host.qt_pump")
    except ImportError as error:
        raise RingbridgeError(f"no pump for Qt: {error}") from error
    pump: Pump = module.QtPump()
    return pump


def _executor(name: str, module: str, function: str) -> Pump:
    try:
        executor: Any = getattr(importlib.import_module(module), function)
    except ImportError as error:
        raise RingbridgeError(
            f"this process is not {name.capitalize()}, or has no window: {error}"
        ) from error
    return ExecutorPump(executor, name)


_MAKE: dict[str, Callable[[], Pump]] = {
    "qt": _qt,
    "blender": BlenderPump,
    "maya": lambda: _executor("maya", "maya.utils", "executeInMainThreadWithResult"),
    "houdini": lambda: _executor("houdini", "hdefereval", "executeInMainThreadWithResult"),
    "script": ScriptPump,
    "thread": ThreadPump,
}

#: Application.kind -> the pump's name.
_OF_KIND = {
    **{"qt": "qt", "qgis": "qt", "freecad": "qt"},
    **{"blender": "blender", "maya": "maya", "houdini": "houdini"},
}
