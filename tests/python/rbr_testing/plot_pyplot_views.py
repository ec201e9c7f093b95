# SPDX-License-Identifier: MIT
"""Views as one finds them in scripts: pyplot shows, pauses and runs the loop amid everything.

For the tests of each toolkit's windows. A frame is the name of what it is to do.
"""

from __future__ import annotations

import time
from typing import Any

from ringbridge.plot import emit, frame_number

AMID_S = 0.5


class Script:
    def __init__(self) -> None:
        from matplotlib import pyplot

        self.pyplot = pyplot
        self.figure, self.axes = pyplot.subplots()
        pyplot.show()

    def draw(self, what: str) -> None:
        self.axes.set_title(what)
        emit("amid", frame_number())
        getattr(self, what)()

    def show(self) -> None:
        self.pyplot.show()

    def pause(self) -> None:
        self.pyplot.pause(AMID_S)

    def flush(self) -> None:
        end = time.monotonic() + AMID_S
        while time.monotonic() < end:
            self.figure.canvas.draw()
            self.figure.canvas.flush_events()


class Lazy:
    """Its figures are pyplot's current ones, which the first draw makes."""

    def draw(self, what: str, *args: float) -> None:
        from matplotlib import pyplot

        getattr(self, what)(pyplot, *args)

    def colour(self, pyplot: Any, red: float, green: float, blue: float) -> None:
        pyplot.clf()
        pyplot.gcf().set_facecolor((red, green, blue))

    def another(self, pyplot: Any) -> None:
        pyplot.figure("another").set_facecolor("blue")
        pyplot.figure(1)

    def anew(self, pyplot: Any, red: float, green: float, blue: float) -> None:
        pyplot.close("all")
        self.colour(pyplot, red, green, blue)

    def current(self, pyplot: Any) -> None:
        emit("current", pyplot.gcf().number)

    def close_it(self, pyplot: Any) -> None:
        pyplot.close("all")

    def title(self, pyplot: Any) -> None:
        managers = [pyplot.figure(each).canvas.manager for each in pyplot.get_fignums()]
        emit("title", *[each.get_window_title() for each in managers])
