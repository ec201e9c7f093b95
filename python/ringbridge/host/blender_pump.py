# SPDX-License-Identifier: MIT
"""BlenderPump: a timer of Blender's, which looks for work and stays while there is some.

Blender runs timers once a pass of its window's loop, and a pass that redraws takes long: so who has
had a call waits a little for the next one, which the same client often makes at once.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from ringbridge.errors import RingbridgeError
from ringbridge.host.one_pass import drained, log

if TYPE_CHECKING:
    from ringbridge.host.main_work import MainWork

#: Between two looks while nothing is asked for, in seconds: as often as Blender's own loop turns
#: where nothing happens, so that it takes Blender no further wake-up.
IDLE_S = 0.005
#: How long one pass waits for the next call after one, in seconds, at least.
LINGER_S = 0.004
#: How long one pass may keep the window waiting, beyond the call that is running then, in seconds,
#: at least.
PASS_S = 0.03
#: A window that takes longer to draw what has changed (a large scene, no graphics card) is made to
#: wait as long as it has drawn, but no longer than this, and who has had a call waits for an eighth
#: of that: else clients would wait for its drawing nearly all the time.
PASS_MAX_S = 0.25


class BlenderPump:
    """In Blender's window. start() belongs on the main thread, stop() on any."""

    name = "blender"

    def __init__(self) -> None:
        self._work: MainWork | None = None
        self._timer = self._turn  # the one object that Blender knows it by
        self._busy = False  # in the last pass
        self._left = 0.0  # it, by time.perf_counter()

    def start(self, work: MainWork) -> None:
        """Raises RingbridgeError where there is no window, or this is another thread."""
        timers = _timers()
        if threading.current_thread() is not threading.main_thread():
            raise RingbridgeError("Blender takes a timer on its main thread only: serve() there")
        self._work = work
        if not timers.is_registered(self._timer):  # stopped on another thread just now
            timers.register(self._timer, first_interval=0.0, persistent=True)

    def stop(self) -> None:
        """Nothing runs from now on. Idempotent."""
        self._work = None
        if threading.current_thread() is threading.main_thread():  # elsewhere: at its next turn
            timers = sys.modules["bpy"].app.timers
            if timers.is_registered(self._timer):
                timers.unregister(self._timer)

    def _turn(self) -> float | None:
        """What Blender calls: in how many seconds again; None: never."""
        began = time.perf_counter()
        drew_s = min(began - self._left, PASS_MAX_S) if self._busy else 0.0
        self._busy = False
        try:
            self._pass(began + max(PASS_S, drew_s), max(LINGER_S, drew_s / 8))
        except Exception:  # Blender would drop the timer
            if self._work is not None:  # else it was closed under us: that is what stop() means
                log.exception("a pass over what waits for Blender's main thread failed")
        self._left = time.perf_counter()
        if self._work is None:
            return None
        return 0.0 if self._busy else IDLE_S

    def _pass(self, until: float, linger_s: float) -> None:
        wait_s = 0.0
        while (work := self._work) is not None and work.wait(wait_s):
            drained(work)
            self._busy, wait_s = True, linger_s
            if time.perf_counter() >= until:
                break


def _timers() -> Any:
    bpy = sys.modules.get("bpy")
    if bpy is None:
        raise RingbridgeError("this process is not Blender: serve(pump=None) finds what fits")
    if bpy.app.background:
        raise RingbridgeError(
            "under `blender -b` no timer ever fires: serve(pump='script'), and let server.run() "
            "serve at the end of your script"
        )
    return bpy.app.timers
