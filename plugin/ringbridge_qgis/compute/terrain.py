# SPDX-License-Identifier: MIT
"""Shaded relief and slope of an elevation model, as GDAL's `gdaldem` computes them.

The slope is that of Horn, the weighted differences across 3 x 3 cells (B. K. P. Horn, "Hill Shading
and the Reflectance Map", Proceedings of the IEEE 69 (1), 1981, pages 14-47), or that of Zevenbergen
and Thorne, the differences between the four neighbours (L. W. Zevenbergen and C. R. Thorne,
"Quantitative Analysis of Land Surface Topography", Earth Surface Processes and Landforms 12, 1987,
pages 47-56). The light falls on a matt surface: Lambert's cosine law.

What stands in float32 here stands in float there, and sums are taken in the same order, so that
results are the same to the last bit; but on x86 GDAL's hillshade takes 1 / sqrt() of the
processor's estimate, good to seven digits, and now and then rounds to the other side.
"""

import math
from typing import Annotated, Any, Literal

import numba
import numpy as np

import ringbridge as rb
from ringbridge.compute import (
    Boolean,
    Choice,
    Grey,
    Number,
    Ramp,
    Raster,
    RasterLayer,
    RasterOutput,
    algorithm,
)

GROUP = "Terrain"
SHADE_NODATA, SLOPE_NODATA = 0, -9999.0

Model = Annotated[Raster, RasterLayer("Elevation model")]
Scale = Annotated[
    float,
    Number(
        "Horizontal units in a vertical one",
        min=1e-9,
        help="How many metres of height a unit of the map has: 1 where both are metres, 111120 for "
        "a map in degrees with heights in metres, 370400 for one with heights in feet.",
    ),
]
Method = Annotated[
    Literal["Horn", "ZevenbergenThorne"],
    Choice(
        "Slope formula",
        labels=("Horn", "Zevenbergen and Thorne"),
        advanced=True,
        help="Horn's suits rough ground, that of Zevenbergen and Thorne smooth ground.",
    ),
]
Edges = Annotated[
    bool,
    Boolean(
        "Compute at the edges",
        advanced=True,
        help="Also the outermost cells, and those beside cells without a value: what is missing "
        "is extrapolated. Without it they get no value.",
    ),
]


@algorithm("Hillshade", margin=1, tags=("relief", "shade", "gdaldem"))
def hillshade(
    dem: Model,
    azimuth: Annotated[
        float,
        Number("Azimuth of the light", min=0, max=360, unit="°", help="Clockwise from north."),
    ] = 315.0,
    altitude: Annotated[
        float,
        Number("Altitude of the light", min=0, max=90, unit="°", help="90: from overhead."),
    ] = 45.0,
    z_factor: Annotated[
        float, Number("Exaggeration of heights", min=1e-9, help="1: as they are.")
    ] = 1.0,
    scale: Scale = 1.0,
    method: Method = "Horn",
    compute_edges: Edges = False,
) -> Annotated[Raster, RasterOutput("Hillshade", style=Grey(1, 255))]:
    """Shaded relief of an elevation model: 1 in the dark to 255 facing the light; 0 is no data.

    The same values as those of gdaldem hillshade.
    """
    _, width, _, _, _, height = dem.geotransform
    factor = z_factor / scale / (8 if method == "Horn" else 2)
    level, turned = math.radians(altitude), math.radians(azimuth)
    along = 254 * math.cos(level) * factor
    light = (254 * math.sin(level), along * math.sin(turned), along * math.cos(turned), factor**2)
    # As there, square cells have a way of their own, on which sums are taken in another order.
    form = _SQUARE if method == "Horn" and width == -height else _FORMS[method]
    out = rb.empty(dem.shape, "uint8")
    _hillshade(*_values_of(dem), compute_edges, form, 1 / width, 1 / height, light, out)
    return dem.like(out, nodata=SHADE_NODATA)


@algorithm("Slope", margin=1, tags=("steepness", "gradient", "gdaldem"))
def slope(
    dem: Model,
    unit: Annotated[
        Literal["degrees", "percent"], Choice("Unit", labels=("Degrees", "Percent"))
    ] = "degrees",
    scale: Scale = 1.0,
    method: Method = "Horn",
    compute_edges: Edges = False,
) -> Annotated[Raster, RasterOutput("Slope", style=Ramp("Magma"))]:
    """How steep an elevation model is, in degrees or percent; -9999 is no data.

    The same values as those of gdaldem slope.
    """
    _, width, _, _, _, height = dem.geotransform
    out = rb.empty(dem.shape, "float32")
    _slope(
        *(*_values_of(dem), compute_edges, _FORMS[method]),
        *(width * scale, height * scale, unit == "percent", out),
    )
    return dem.like(out, nodata=SLOPE_NODATA)


# How differences across a window are taken; numbers, since compiled code compares them.
_HORN, _THORNE, _SQUARE = 0, 1, 2
_FORMS = {"Horn": _HORN, "ZevenbergenThorne": _THORNE}


def _values_of(dem: Raster) -> tuple[Any, tuple[bool, Any, Any]]:
    """The heights as float32, and what stands for nothing: (whether one does, which, beside it).

    "Beside it" is what a cell is taken for that is extrapolated to be just that.
    """
    known = dem.nodata is not None
    missing = np.float32(dem.nodata if known else 0)
    small = dem.values.dtype.kind in "iu" and dem.values.dtype.itemsize < 4
    beside = missing + 1 if small else missing * (1 + 3 * np.finfo("float32").eps)
    return np.ascontiguousarray(dem.values, "float32"), (known, missing, np.float32(beside))


@numba.njit(parallel=True, cache=True)
def _hillshade(dem, nodata, edges, form, per_x, per_y, light, out):  # type: ignore[no-untyped-def]
    rows, columns = dem.shape
    for each in numba.prange(rows):
        row = np.intp(each)  # of prange, they have no sign
        whole = _is_whole(dem, row, nodata)
        if whole:
            above, here, below, shade = dem[row - 1], dem[row], dem[row + 1], out[row, 1:]
            for k in range(columns - 2):
                window = _three(above, here, below, k)
                shade[k] = _shade(window, form, per_x, per_y, light)
        for column in range(0, columns, max(columns - 1, 1) if whole else 1):
            there, window = _window(dem, row, column, nodata, edges)
            shade_here = _shade(window, form, per_x, per_y, light)
            out[row, column] = shade_here if there else SHADE_NODATA


@numba.njit(parallel=True, cache=True)
def _slope(dem, nodata, edges, form, width, height, percent, out):  # type: ignore[no-untyped-def]
    rows, columns = dem.shape
    for each in numba.prange(rows):
        row = np.intp(each)
        whole = _is_whole(dem, row, nodata)
        if whole:
            above, here, below, steep = dem[row - 1], dem[row], dem[row + 1], out[row, 1:]
            for k in range(columns - 2):
                steep[k] = _steepness(_three(above, here, below, k), form, width, height, percent)
        for column in range(0, columns, max(columns - 1, 1) if whole else 1):
            there, window = _window(dem, row, column, nodata, edges)
            steep_here = _steepness(window, form, width, height, percent)
            out[row, column] = steep_here if there else SLOPE_NODATA


@numba.njit(cache=True)
def _shade(window, form, per_x, per_y, light):  # type: ignore[no-untyped-def]
    up, east, north, steep = light
    x, y = _differences(window, form)
    x, y = x * per_x, y * (per_x if form == _SQUARE else per_y)
    facing = (up - (y * north - x * east)) / math.sqrt(1 + steep * (x * x + y * y))
    # Rounded to float, then to a byte; what is no number is no data.
    shade = np.float32(1 + facing) if facing > 0 else np.float32(1)
    return np.uint8(SHADE_NODATA) if facing != facing else np.uint8(shade + np.float32(0.5))


@numba.njit(cache=True)
def _steepness(window, form, width, height, percent):  # type: ignore[no-untyped-def]
    x, y = _differences(window, form)
    x, y = x / width, y / height
    rise = math.sqrt(x * x + y * y) / (2 if form == _THORNE else 8)
    return np.float32(100 * rise if percent else math.atan(rise) * (180 / math.pi))


@numba.njit(cache=True)
def _differences(window, form):  # type: ignore[no-untyped-def]
    """West less east and south less north; of square cells, north less south."""
    a, b, c, d, _, f, g, h, i = window
    if form == _THORNE:
        return float(d - f), float(h - b)
    if form == _SQUARE:
        slant, other = a - i, g - c
        x, y = slant + (d - f) + (d - f) + other, slant + (b - h) + (b - h) - other
        return float(x), float(y)
    return float((a + d + d + g) - (c + f + f + i)), float((g + h + h + i) - (a + b + b + c))


@numba.njit(cache=True)
def _is_whole(dem, row, nodata):  # type: ignore[no-untyped-def]
    """Whether no cell of three rows is missing: then those inside need no look of their own."""
    if row == 0 or row == len(dem) - 1:
        return False
    if not nodata[0]:
        return True
    missing = 0
    for r in range(row - 1, row + 2):
        for value in dem[r]:
            missing += _is(value, nodata[1])
    return missing == 0


@numba.njit(cache=True)
def _three(above, here, below, k):  # type: ignore[no-untyped-def]
    return (
        above[k],
        above[k + 1],
        above[k + 2],
        here[k],
        here[k + 1],
        here[k + 2],
        below[k],
        below[k + 1],
        below[k + 2],
    )


@numba.njit(cache=True)
def _window(dem, row, column, nodata, edges):  # type: ignore[no-untyped-def]
    """Whether there is a result, and the nine cells, rows from north to south."""
    rows, columns = dem.shape
    r, c = row, column
    if 0 < r < rows - 1 and 0 < c < columns - 1:
        window = _three(dem[r - 1], dem[r], dem[r + 1], c - 1)
    elif edges and rows > 1 and columns > 1:
        if r == 0 or r == rows - 1:  # the first and the last column are repeated here
            left, right = max(c - 1, 0), min(c + 1, columns - 1)
        else:
            left, right = c - 1, c + 1
        window = (
            _cell(dem, r - 1, left, nodata),
            _cell(dem, r - 1, c, nodata),
            _cell(dem, r - 1, right, nodata),
            _cell(dem, r, left, nodata),
            dem[r, c],
            _cell(dem, r, right, nodata),
            _cell(dem, r + 1, left, nodata),
            _cell(dem, r + 1, c, nodata),
            _cell(dem, r + 1, right, nodata),
        )
    else:
        m = dem[r, c]
        return False, (m, m, m, m, m, m, m, m, m)
    if not nodata[0]:
        return True, window
    return _without_nodata(window, nodata, edges)


@numba.njit(cache=True)
def _cell(dem, row, column, nodata):  # type: ignore[no-untyped-def]
    """A cell, or one past the edge: on the line through the two inside of it."""
    rows, columns = dem.shape
    inner_row, inner_column = min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)
    near = dem[inner_row, inner_column]
    if row == inner_row and column == inner_column:
        return near
    far = dem[2 * inner_row - row, 2 * inner_column - column]
    if nodata[0] and (near == nodata[1] or far == nodata[1]):
        return nodata[1]
    beyond = np.float32(2) * near - far
    return nodata[2] if nodata[0] and beyond == nodata[1] else beyond


@numba.njit(cache=True)
def _without_nodata(window, nodata, edges):  # type: ignore[no-untyped-def]
    """As above, with the middle's value where a neighbour has none."""
    missing = nodata[1]
    a, b, c, d, middle, f, g, h, i = window
    if _is(middle, missing):
        return False, window
    whole = True
    for each in window:
        whole = whole and not _is(each, missing)
    if whole or not edges:
        return whole, window
    return True, (
        middle if _is(a, missing) else a,
        middle if _is(b, missing) else b,
        middle if _is(c, missing) else c,
        middle if _is(d, missing) else d,
        middle,
        middle if _is(f, missing) else f,
        middle if _is(g, missing) else g,
        middle if _is(h, missing) else h,
        middle if _is(i, missing) else i,
    )


@numba.njit(cache=True)
def _is(value, missing):  # type: ignore[no-untyped-def]
    """Equal; NaN may be what stands for nothing."""
    return value == missing or (missing != missing and value != value)
