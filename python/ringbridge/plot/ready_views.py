# SPDX-License-Identifier: MIT
"""Views that are there already: lines, an image, points, a histogram; with matplotlib.

What they take is in the docstring of each `draw`, their options in that of the class and, common to
all, of ReadyView. Numbers are bool, int or float of any size; TypeError for others, ValueError for
shapes that do not fit. Where the user has zoomed, the limits stay as he has put them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ringbridge.plot.emitting import frame_number
from ringbridge.plot.ready_figure import Colours, ReadyView, floats, numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

_POINTS_AT_FIRST = 256


class _Curve:
    """Points that are added, in arrays that double."""

    def __init__(self, last: int | None) -> None:
        import numpy

        self._points = numpy.empty((2, _POINTS_AT_FIRST))
        self._begin = self._end = 0
        self._last = last

    def add(self, x: float, y: float) -> None:
        import numpy

        if self._end == self._points.shape[1]:
            kept = self._points[:, self._begin : self._end]
            self._points = numpy.empty((2, max(2 * kept.shape[1], _POINTS_AT_FIRST)))
            self._begin, self._end = 0, kept.shape[1]
            self._points[:, : self._end] = kept
        self._points[:, self._end] = x, y
        self._end += 1
        if self._last is not None:
            self._begin = max(self._begin, self._end - self._last)

    def set(self, x: Any, y: Any) -> None:
        import numpy

        self._points = numpy.array([x, y])
        self._begin, self._end = 0, len(x)

    def data(self) -> Any:
        return self._points[:, self._begin : self._end]


class Line(ReadyView):
    """Curves that grow point by point, or are replaced as a whole.

    last    int: of a curve that grows, only that many points stay
    marker  as matplotlib has them: "." or "o"
    logy    bool: a logarithmic axis
    """

    def __init__(
        self, *, last: int | None = None, marker: str = "", logy: bool = False, **options: Any
    ) -> None:
        super().__init__(**options)
        if last is not None and last < 1:
            raise ValueError(f"last is a number of points from 1 on, not {last}")
        self._last, self._marker = last, marker
        if logy:
            self.axes.set_yscale("log")
        self._curves: dict[str, tuple[_Curve, Any]] = {}

    def draw(self, *values: Any, **named: Any) -> None:
        """Each value is a curve; a named one has that name in the legend.

        number        one more point; its x is the number of the update, so that frames that were
                      dropped leave a longer step, and not a wrong place
        (x, y)        tuple of two numbers: one more point there
        (n,)          array: the whole curve; its x are 0, 1, ...
        (x, y)        tuple of two arrays (n,): the whole curve
        (n, k)        array: k whole curves, its columns
        """
        names = []
        for name, shown, x, y in _curves_in(values, named):
            names.append(shown)
            curve, line = self._curve(name, shown)
            if x.ndim == 0:
                curve.add(float(x), float(y))
            else:
                curve.set(x, y)
            line.set_data(*curve.data())
        self.show_names(names)
        self.axes.relim()
        self.axes.autoscale_view()
        self.finish()

    def _curve(self, name: str, shown: str) -> tuple[_Curve, Any]:
        if name not in self._curves:
            label = shown or "_"  # hidden from the legend
            (line,) = self.axes.plot([], [], marker=self._marker, label=label, linewidth=1.5)
            self._curves[name] = _Curve(self._last), line
        return self._curves[name]


def _curves_in(
    values: tuple[Any, ...], named: dict[str, Any]
) -> Iterator[tuple[str, str, Any, Any]]:
    """(which one, its name in the legend, x, y) of each curve; x and y are numbers or (n,)."""
    import numpy

    given = [(f"#{i}", "", value) for i, value in enumerate(values)]
    for key, shown, value in given + [(name, name, value) for name, value in named.items()]:
        what = f"curve {key}"
        if isinstance(value, tuple):
            if len(value) != 2:
                raise ValueError(f"{what}: a tuple is (x, y), and this has {len(value)} entries")
            x, y = (floats(each, what) for each in value)
            if x.shape != y.shape or x.ndim > 1:
                raise ValueError(f"{what}: x is {x.shape} and y {y.shape}; both are () or (n,)")
            yield key, shown, x, y
            continue
        y = floats(value, what)
        if y.ndim > 2:
            raise ValueError(f"{what}: y is (), (n,) or (n, k), and this is {y.shape}")
        if y.ndim == 0:
            yield key, shown, numpy.asarray(float(frame_number())), y
        elif y.ndim == 1:
            yield key, shown, numpy.arange(len(y), dtype="float64"), y
        else:
            x = numpy.arange(len(y), dtype="float64")
            for column in range(y.shape[1]):
                label = f"{shown} {column}" if shown else ""
                yield f"{key}.{column}", label, x, y[:, column]


class Image(ReadyView):
    """One array as an image.

    cmap           a colour map's name
    clim           (low, high): fixed; else each frame's least and largest
    colorbar       bool
    origin         "upper" (row 0 on top) or "lower"
    extent         (left, right, bottom, top) in data; else pixels
    interpolation  "nearest", "bilinear", ...; None: as matplotlib's settings say
    aspect         "equal" or "auto"
    label          of the colour bar
    """

    def __init__(
        self,
        *,
        cmap: str = "viridis",
        clim: tuple[float, float] | None = None,
        colorbar: bool = True,
        origin: str = "upper",
        extent: tuple[float, float, float, float] | None = None,
        interpolation: str | None = None,
        aspect: str = "equal",
        label: str = "",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._look: dict[str, Any] = {
            "cmap": cmap,
            "origin": origin,
            "interpolation": interpolation,
        }
        self._aspect, self._extent, self._label = aspect, extent, label
        self._colorbar = colorbar
        self._colours = Colours(clim)
        self._image: Any = None
        self._shape: tuple[int, ...] = ()

    def draw(self, array: Any) -> None:
        """(h, w) numbers, coloured; or (h, w, 3) or (h, w, 4), uint8 or float from 0 to 1: RGB(A).

        The shape may change from frame to frame. What is not finite stays blank.
        """
        array = numbers(array, "the image")
        coloured = array.ndim == 2
        if not array.size or not (coloured or (array.ndim == 3 and array.shape[2] in (3, 4))):
            raise ValueError(f"an image is (h, w), (h, w, 3) or (h, w, 4), and not {array.shape}")
        if array.dtype.kind == "b":
            array = array.astype("uint8")
        elif array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
            array = array.astype("float32" if array.dtype.itemsize == 2 else "float64")
        if array.ndim != len(self._shape) and self._image is not None:
            raise ValueError(
                f"the image was {self._shape} before, and {array.shape} is of another kind"
            )
        if self._image is None:
            self._begin(array, coloured)
        elif array.shape[:2] != self._shape[:2] and self._extent is None:
            height, width = array.shape[:2]
            bottom, top = -0.5, height - 0.5
            if self._look["origin"] == "upper":
                bottom, top = top, bottom
            self._image.set_extent((-0.5, width - 0.5, bottom, top))
        self._shape = array.shape
        self._image.set_data(array)
        if coloured:
            self._colours.apply(self._image, array)
        self.finish()

    def _begin(self, array: Any, coloured: bool) -> None:
        fixed = self.axes.get_autoscalex_on(), self.axes.get_autoscaley_on()
        limits = self.axes.get_xlim(), self.axes.get_ylim()
        self._image = self.axes.imshow(
            array, aspect=self._aspect, extent=self._extent, **self._look
        )
        if not fixed[0]:
            self.axes.set_xlim(limits[0])
        if not fixed[1]:
            self.axes.set_ylim(limits[1])
        if coloured and self._colorbar:
            self.add_colour_bar(self._image, self._label)


class Scatter(ReadyView):
    """Points.

    size   of a point, in points of typography squared, where a frame does not say
    alpha  0 to 1
    cmap, clim, colorbar, label  of the colours, as an image has them
    aspect  "equal" or "auto"
    """

    def __init__(
        self,
        *,
        size: float = 12.0,
        alpha: float = 0.8,
        cmap: str = "viridis",
        clim: tuple[float, float] | None = None,
        colorbar: bool = True,
        label: str = "",
        aspect: str = "auto",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._points = self.axes.scatter([], [], s=size, alpha=alpha, linewidths=0)
        self._points.set_cmap(cmap)
        self.axes.set_aspect(aspect)
        self._size, self._label, self._colorbar = size, label, colorbar
        self._colours = Colours(clim)

    def draw(self, *points: Any, c: Any = None, s: Any = None) -> None:
        """x and y, two arrays (n,); or one array (n, 2). c: (n,) numbers that become colours; s:
        one number or (n,), the sizes."""
        import numpy

        if len(points) == 2:
            x, y = (floats(each, "the points") for each in points)
            if x.shape != y.shape or x.ndim != 1:
                raise ValueError(f"x is {x.shape} and y {y.shape}; both are (n,)")
            places = numpy.column_stack([x, y])
        elif len(points) == 1:
            places = floats(points[0], "the points")
            if places.ndim != 2 or places.shape[1] != 2:
                raise ValueError(f"points are (n, 2), and not {places.shape}")
        else:
            raise ValueError(
                f"points are x and y, or one array (n, 2), and not {len(points)} values"
            )
        self._points.set_offsets(places)
        sizes = numpy.atleast_1d(floats(self._size if s is None else s, "s"))
        self._points.set_sizes(sizes)
        if c is not None:
            self._set_colours(floats(c, "c"), len(places))
        good = places[numpy.isfinite(places).all(axis=1)]
        if len(good):
            self.axes.ignore_existing_data_limits = True
            self.axes.update_datalim(good)
            self.axes.autoscale_view()
        self.finish()

    def _set_colours(self, values: Any, count: int) -> None:
        if values.shape != (count,):
            raise ValueError(f"c is (n,) for n points: ({count},), and not {values.shape}")
        self._points.set_array(values)
        self._colours.apply(self._points, values)
        if self._colorbar:
            self._colorbar = False
            self.add_colour_bar(self._points, self._label)


class Histogram(ReadyView):
    """How often values fall where.

    bins     how many, or their edges
    range    (low, high) of the bins; else each frame's least and largest
    density  bool: the area is 1
    logy     bool: a logarithmic axis
    """

    def __init__(
        self,
        *,
        bins: Any = 50,
        range: tuple[float, float] | None = None,
        density: bool = False,
        logy: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._bins, self._range, self._density = bins, range, density
        if logy:
            self.axes.set_yscale("log", nonpositive="clip")
        self._steps: dict[str, Any] = {}

    def draw(self, *values: Any, **named: Any) -> None:
        """Each value is a set: numbers of any shape. A named one has that name in the legend.
        Several share their bins. What is not finite does not count."""
        import numpy

        given = {**{f"#{i}": value for i, value in enumerate(values)}, **named}
        sets = {}
        for key, value in given.items():
            flat = floats(value, f"set {key}").ravel()
            sets[key] = flat[numpy.isfinite(flat)]
        together = numpy.concatenate([*sets.values(), numpy.empty(0)])
        edges = numpy.histogram_bin_edges(together, bins=self._bins, range=self._range)
        for key, flat in sets.items():
            density = self._density and flat.size > 0
            counts, _ = numpy.histogram(flat, bins=edges, density=density)
            if key not in self._steps:
                label = key if key in named else "_"
                alpha = 0.7 if len(sets) == 1 else 0.5
                colour = f"C{len(self._steps) % 10}"
                self._steps[key] = self.axes.stairs(
                    counts, edges, fill=True, alpha=alpha, label=label, color=colour
                )
            self._steps[key].set_data(counts, edges)
        self.show_names(list(named))
        self.axes.relim()
        self.axes.autoscale_view()
        self.finish()
