# SPDX-License-Identifier: MIT
"""A view as one finds it in scripts: pyplot shows, pauses and runs the loop amid everything.

For the tests of each toolkit's windows. A frame is the name of what it is to do.
"""

from __future__ import annotations

import time

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
