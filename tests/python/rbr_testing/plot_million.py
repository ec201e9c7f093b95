# SPDX-License-Identifier: MIT
"""A view for test_plotter_million: draws with matplotlib, and tells what each frame was."""

from __future__ import annotations

from typing import Any

from ringbridge.plot import emit, frame_number


class Whole:
    """Tells of each frame its number, the one that it shows, and whether it is all of one piece."""

    def __init__(self) -> None:
        from matplotlib import pyplot

        self.figure, axes = pyplot.subplots()
        self._axes = axes
        self._image: Any = None

    def draw(self, step: int, field: Any) -> None:
        if self._image is None:
            self._image = self._axes.imshow(field)
        self._image.set_data(field)
        self.figure.canvas.draw()
        emit("drawn", frame_number(), step, bool((field == step).all()))
