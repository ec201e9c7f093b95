# SPDX-License-Identifier: MIT
"""What is seen from a place: lines of sight across an elevation model.

The method R3 of W. R. Franklin and C. K. Ray, "Higher isn't Necessarily Better: Visibility
Algorithms and Experiments", in Advances in GIS Research (Sixth International Symposium on Spatial
Data Handling), Edinburgh 1994, pages 751-770: a line from the eye to every cell, looked at wherever
it crosses a row or a column of cell centres, with the height interpolated between the two cells
there. Exact for such a surface, and it takes the third power of the model's width. The drop of the
ground below the horizon is the usual approximation, distance squared by twice the Earth's radius,
less what the air refracts.
"""

import math
from typing import Annotated, NamedTuple, Optional

import numba
import numpy as np

import ringbridge as rb
from ringbridge.compute import (
    Boolean,
    Classes,
    Number,
    NumberOutput,
    Point,
    Raster,
    RasterLayer,
    RasterOutput,
    algorithm,
)

GROUP = "Terrain"
HIDDEN, SEEN, NODATA = 0, 1, 255
EARTH_RADIUS_M = 6_371_000.0
STEPS_IN_A_PART = 20_000_000  # crossings looked at between two looks at Cancel: some 0.1 s


class Seen(NamedTuple):
    """What is seen: where, and how much of the ground that was looked at."""

    viewshed: Annotated[
        Raster,
        RasterOutput(
            "Viewshed", style=Classes(((HIDDEN, "hidden", "#4d4d4d"), (SEEN, "seen", "#fdae61")))
        ),
    ]
    visible: Annotated[float, NumberOutput("Part that is seen", unit="%")]


@algorithm("Viewshed", tags=("visibility", "line of sight", "observer"))
def viewshed(
    dem: Annotated[Raster, RasterLayer("Elevation model", help="With heights in metres.")],
    observer: Annotated[
        tuple[float, float], Point("Observer", of="dem", help="A place within the model.")
    ],
    observer_height: Annotated[
        float, Number("Height of the eye above the ground", min=0, max=100_000, unit="m")
    ] = 1.7,
    target_height: Annotated[
        float,
        Number(
            "Height of what is looked for above the ground",
            min=0,
            max=100_000,
            unit="m",
            help="0: the ground itself. 50: where the top of a mast of 50 m would be seen.",
        ),
    ] = 0.0,
    distance: Annotated[
        Optional[float],
        Number("Farthest distance", min=0, distance_of="dem", help="Empty: the whole model."),
    ] = None,
    curvature: Annotated[
        bool, Boolean("Curvature of the Earth", help="Far ground lies below the horizon.")
    ] = True,
    refraction: Annotated[
        float,
        Number(
            "Refraction of light",
            min=0,
            max=1,
            advanced=True,
            help="By this part of the Earth's curvature the air bends light; usually 0.13.",
        ),
    ] = 0.13,
) -> Seen:
    """Which ground is seen from a place: 1 seen, 0 hidden, 255 too far away or no data.

    The map's units are metres; ground without a height hides nothing. The work grows with the third
    power of the distance: give a farthest one on large models.
    """
    here = rb.current_task()
    row, column = (int(each) for each in dem.cell_at(*observer))
    rows, columns = dem.shape
    if not (0 <= row < rows and 0 <= column < columns) or not dem.valid()[row, column]:
        raise ValueError(f"the observer at {observer} stands on no ground of the elevation model")
    ground = dem.filled()
    width, height = dem.cell_size
    reach = math.inf if distance is None else distance
    top, bottom = _within(row, reach / height, rows)
    left, right = _within(column, reach / width, columns)
    drop = (1 - refraction) / (2 * EARTH_RADIUS_M) if curvature else 0.0
    out = rb.empty(dem.shape, "uint8")
    out[...] = NODATA
    eye = (row, column, float(ground[row, column]) + observer_height)
    area = (top, left, right - left)
    total = (bottom - top) * (right - left)
    part = max(1, STEPS_IN_A_PART // (bottom - top + right - left))
    for begin in range(0, total, part):
        here.progress(begin, total, "looking around")
        end = min(begin + part, total)
        _look(ground, (width, height), eye, target_height, reach, drop, area, begin, end, out)
    looked_at = out != NODATA
    seen = 100 * np.count_nonzero(out == SEEN) / np.count_nonzero(looked_at)
    here.log(f"{seen:.1f} % of {np.count_nonzero(looked_at)} cells are seen")
    return Seen(dem.like(out, nodata=NODATA), seen)


def _within(middle: int, reach: float, count: int) -> tuple[int, int]:
    """The rows (or columns) no farther than that: the first, and the one after the last."""
    if reach >= count:
        return 0, count
    return max(middle - int(reach), 0), min(middle + int(reach) + 1, count)


@numba.njit(parallel=True, cache=True)
def _look(  # type: ignore[no-untyped-def]
    dem, cell, eye, target, reach, drop, area, begin, end, out
):
    """The cells of the area from the number `begin` to `end`, counted row by row."""
    top, left, columns = area
    for number in numba.prange(begin, end):
        row, column = top + np.intp(number) // columns, left + np.intp(number) % columns
        rise, run = row - eye[0], column - eye[1]
        distance = math.hypot(rise * cell[1], run * cell[0])
        ground = dem[row, column]
        if distance > reach or ground != ground:
            continue
        out[row, column] = SEEN
        if distance > 0:
            slope = (ground + target - drop * distance * distance - eye[2]) / distance
            if _is_hidden(dem, eye, rise, run, distance, drop, slope):
                out[row, column] = HIDDEN


@numba.njit(cache=True)
def _is_hidden(dem, eye, rise, run, distance, drop, slope):  # type: ignore[no-untyped-def]
    """Whether ground on the way rises above the line of sight, at a crossing of a row or column.

    NaN, no ground, is never above.
    """
    rows, columns = dem.shape
    row, column = eye[0], eye[1]
    for step in range(1, abs(run)):
        t = step / abs(run)
        at = row + t * rise
        low = min(int(at), rows - 1)
        over = column + (step if run > 0 else -step)
        ground = _between(dem[low, over], dem[min(low + 1, rows - 1), over], at - low)
        far = t * distance
        if (ground - drop * far * far - eye[2]) / far > slope:
            return True
    for step in range(1, abs(rise)):
        t = step / abs(rise)
        at = column + t * run
        low = min(int(at), columns - 1)
        over = row + (step if rise > 0 else -step)
        ground = _between(dem[over, low], dem[over, min(low + 1, columns - 1)], at - low)
        far = t * distance
        if (ground - drop * far * far - eye[2]) / far > slope:
            return True
    return False


@numba.njit(cache=True)
def _between(low, high, part):  # type: ignore[no-untyped-def]
    """Interpolated; exactly on a cell only that one counts, whose neighbour may have no height."""
    return low if part == 0 else (1 - part) * low + part * high
