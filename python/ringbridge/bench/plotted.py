# SPDX-License-Identifier: MIT
"""What the plot tests draw, and the simulation whose steps they count. For each side of them alike.

Imported by viewers, too. Knows no process.
"""

from __future__ import annotations

import zlib
from collections import deque
from typing import Any

IMAGE_SHAPE = (1000, 1000)
_POINTS = 500
_SIZE = 500  # of the simulated field, squared
_COUPLING = 0.2


class Canvas:
    """A figure of matplotlib's, off screen: an image, or the latest of the numbers as a line."""

    def __init__(self) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.figure = Figure()
        FigureCanvasAgg(self.figure)
        self._axes = self.figure.subplots()
        self._numbers: deque[float] = deque(maxlen=_POINTS)
        self._image: Any = None
        self._line: Any = None

    def show(self, value: Any) -> None:
        """Draws all of it."""
        if getattr(value, "ndim", 0) == 2:
            self._show_image(value)
        else:
            self._show_number(float(value))
        self.figure.canvas.draw()

    def _show_image(self, image: Any) -> None:
        if self._image is None or self._image.get_array().shape != image.shape:
            self._axes.clear()
            self._image, self._line = self._axes.imshow(image), None
        else:
            self._image.set_data(image)

    def _show_number(self, number: float) -> None:
        self._numbers.append(number)
        if self._line is None:
            self._axes.clear()
            (self._line,), self._image = self._axes.plot([]), None
        self._line.set_data(range(len(self._numbers)), self._numbers)
        self._axes.relim()
        self._axes.autoscale_view()


class View(Canvas):
    """The same as a view; tells the checksum of what it has drawn when it is asked for it."""

    def draw(self, value: Any, check: bool = False) -> None:
        self.show(value)
        if check:
            from ringbridge.plot import emit

            emit("checked", checksum(value))


def checksum(value: Any) -> int:
    """Of every byte of an array or a number."""
    import numpy as np

    return zlib.crc32(np.asarray(value).tobytes())


def new_image(seed: int) -> Any:
    """8 MB of float64."""
    import numpy as np

    return np.random.default_rng(seed).random(IMAGE_SHAPE)


class Wave:
    """A wave on a membrane, by numpy: each step goes over 2 MB of float64 eight times."""

    def __init__(self) -> None:
        import numpy as np

        x = np.linspace(0.0, 3.0 * np.pi, _SIZE)
        self.field: Any = np.sin(x)[:, None] * np.sin(2 * x)[None, :]
        self._before: Any = self.field.copy()
        self._room: Any = np.empty((_SIZE - 2, _SIZE - 2))
        self._multiply = np.multiply

    def steps(self, count: int) -> None:
        inner = (slice(1, -1), slice(1, -1))
        for _ in range(count):
            now, room = self.field, self._room
            self._multiply(now[inner], 2.0 / _COUPLING - 4.0, out=room)
            for neighbour in (now[:-2, 1:-1], now[2:, 1:-1], now[1:-1, :-2], now[1:-1, 2:]):
                room += neighbour
            room *= _COUPLING
            room -= self._before[inner]
            self._before[inner] = room
            self.field, self._before = self._before, now
