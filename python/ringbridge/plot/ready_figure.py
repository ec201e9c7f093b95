# SPDX-License-Identifier: MIT
"""What the ready views have in common: a figure with one axes, numbers, the limits of colours.

matplotlib and numpy are imported where they are used.
"""

from __future__ import annotations

from typing import Any

_NUMBERS = "biuf"
_LAYOUT = "compressed"  # constrained; and a colour bar is as high as its image


def numbers(value: Any, what: str) -> Any:
    import numpy

    array = numpy.asarray(value)
    if array.dtype.kind not in _NUMBERS:
        raise TypeError(f"{what}: numbers are drawn (bool, int, float), and this is {array.dtype}")
    return array


def floats(value: Any, what: str) -> Any:
    return numbers(value, what).astype("float64")


class ReadyView:
    """A figure with one axes.

    title, xlabel, ylabel  texts
    xlim, ylim             (low, high): fixed; else they follow the data
    grid                   bool
    figsize                (width, height) in inches
    legend                 bool: where there are names
    """

    def __init__(
        self,
        *,
        title: str = "",
        xlabel: str = "",
        ylabel: str = "",
        xlim: tuple[float, float] | None = None,
        ylim: tuple[float, float] | None = None,
        grid: bool = False,
        figsize: tuple[float, float] | None = None,
        legend: bool = True,
    ) -> None:
        from matplotlib import pyplot

        self.figure, self.axes = pyplot.subplots(figsize=figsize, layout=_LAYOUT)
        self.axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
        if xlim is not None:
            self.axes.set_xlim(xlim)
        if ylim is not None:
            self.axes.set_ylim(ylim)
        if grid:
            self.axes.grid(True, alpha=0.3)
            self.axes.set_axisbelow(True)
        self._legend = legend
        self._in_legend: list[str] = []
        self._laid_out: Any = None
        self.figure.canvas.mpl_connect("resize_event", lambda _event: self._forget_layout())

    def finish(self) -> None:
        """At the end of each draw: finds places for axes and texts, where the limits have moved.

        That takes as long as the drawing.
        """
        limits = [(each.get_xlim(), each.get_ylim()) for each in self.figure.axes]
        self.figure.set_layout_engine("none" if limits == self._laid_out else _LAYOUT)
        self._laid_out = limits

    def _forget_layout(self) -> None:
        self._laid_out = None
        self.figure.set_layout_engine(_LAYOUT)

    def show_names(self, names: list[str]) -> None:
        """A legend of those that the caller has named."""
        named = [name for name in names if name]
        if self._legend and named != self._in_legend:
            self._in_legend = named
            self.axes.legend(loc="upper right")

    def add_colour_bar(self, mappable: Any, label: str) -> Any:
        return self.figure.colorbar(mappable, ax=self.axes, label=label)


class Colours:
    """Between which values colours lie: fixed, or of each frame its least and largest."""

    def __init__(self, clim: tuple[float, float] | None) -> None:
        self._fixed = clim

    def apply(self, mappable: Any, array: Any) -> None:
        import numpy

        low_high = self._fixed
        if low_high is None:
            good = array[numpy.isfinite(array)]
            if not good.size:
                return  # nothing to go by: as before
            low, high = float(good.min()), float(good.max())
            low_high = (low, high) if low < high else (low - 0.5, high + 0.5)
        mappable.set_clim(*low_high)
