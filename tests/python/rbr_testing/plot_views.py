# SPDX-License-Identifier: MIT
"""Views for the tests of viewers. What they draw, or do instead, is told by the frames."""

from __future__ import annotations

import os
from typing import Any


class Wave:
    """A figure whose pixels are the frame's: an axes without a margin, one array cell a pixel."""

    def __init__(self) -> None:
        from matplotlib import pyplot

        self.figure = pyplot.figure(figsize=(0.4, 0.3), dpi=100)
        axes = self.figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        self.image = axes.imshow([[0.0]], interpolation="nearest", aspect="auto", clim=(0, 1))
        self.image.set_cmap("gray")

    def draw(self, array: Any) -> None:
        self.image.set_data(array)


class Recorder:
    """No window: tells of each frame, as an event `drawn`."""

    def draw(self, *values: Any, **named: Any) -> None:
        from ringbridge.plot import emit, frame_number

        emit("drawn", frame_number(), list(values), named)

    def close(self) -> None:
        print("the view was closed", flush=True)


class Several:
    """Two pyplot figures, the second with two axes; and an emit from each draw."""

    def __init__(self) -> None:
        from matplotlib import pyplot

        self.first, axes = pyplot.subplots(num="one", figsize=(4, 3))
        self.second, both = pyplot.subplots(2, 1, num="two", figsize=(2, 2))
        self.lines = [each.plot([], [])[0] for each in (axes, *both)]

    def draw(self, y: Any) -> None:
        for line in self.lines:
            line.set_data(range(len(y)), y)
            line.axes.relim()
            line.axes.autoscale_view()


class Bare:
    """A Figure() that pyplot has never seen."""

    def __init__(self) -> None:
        from matplotlib.figure import Figure

        self.figure = Figure(figsize=(3, 2))
        self.axes = self.figure.add_subplot()

    def draw(self, title: str) -> None:
        self.axes.set_title(title)


class Forgotten(Bare):
    """A figure that pyplot is to keep no more."""

    def __init__(self) -> None:
        from matplotlib import pyplot

        self.figure, self.axes = pyplot.subplots(figsize=(3, 2))
        pyplot.close(self.figure)


class Foreign:
    """A figure whose canvas wants the loop of another toolkit."""

    def __init__(self) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        class Canvas(FigureCanvasAgg):
            required_interactive_framework = "gtk4"

        self.figure = Figure()
        Canvas(self.figure)
        Canvas.new_manager(self.figure, 1)

    def draw(self) -> None:
        raise AssertionError


class BrokenInit:
    def __init__(self) -> None:
        raise ValueError("no window today")

    def draw(self) -> None:
        raise AssertionError


class BrokenDraw:
    def draw(self, value: int) -> None:
        if value == 3:
            raise ZeroDivisionError("three")


class Exits:
    def draw(self) -> None:
        raise SystemExit("gone")


class Dies:
    def draw(self) -> None:
        os.abort()


class NoDraw:
    pass


class Stuck:
    def draw(self) -> None:
        from ringbridge.plot import emit

        emit("stuck")
        while True:
            pass


class Threads:
    """emit where it is not allowed, and values that cannot cross."""

    def draw(self) -> None:
        import threading

        from ringbridge import CannotCross
        from ringbridge.plot import emit

        said: list[str] = []

        def elsewhere() -> None:
            try:
                emit("never")
            except RuntimeError as error:
                said.append(str(error))

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        try:
            emit("never", object())
        except CannotCross:
            said.append("cannot cross")
        emit("said", said)
