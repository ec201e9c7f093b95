# SPDX-License-Identifier: MIT
"""Terrain analysis with numba: the demo's computations, an ordinary module.

It knows nothing of hosts and workers. All that it takes from ringbridge is `rb.empty`, which is
`numpy.empty` outside of a worker; inside of one, a result that is built in such an array reaches
the host without being copied.

An elevation model is a float32 array of metres, rows from north to south, columns from west to
east; `cell_x` and `cell_y` are the width and the height of a cell in metres.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

import ringbridge as rb

EARTH_RADIUS_M = 6_371_000.0
REFRACTION = 0.13  # of light near the ground: it sees round the Earth's curve by this part


def hillshade(
    dem: Any, cell_x: float, cell_y: float, azimuth: float = 315.0, altitude: float = 45.0
) -> Any:
    """Shaded relief: 0 (in the dark) to 1 (facing the light), for a light at that azimuth.

    The slope is Horn's: the weighted mean of the differences across a window of 3 x 3 cells, from
    B. K. P. Horn, "Hill Shading and the Reflectance Map", Proceedings of the IEEE 69 (1), 1981,
    pages 14-47. At the edge the outermost cells are repeated. The surface is taken as matt
    (Lambert's cosine law); degrees, azimuth clockwise from north.
    """
    out = rb.empty(dem.shape, "float32")
    a, h = math.radians(azimuth), math.radians(altitude)
    light = (math.sin(a) * math.cos(h), math.cos(a) * math.cos(h), math.sin(h))
    _hillshade(dem, cell_x, cell_y, light, out)
    return out


@numba.njit(parallel=True, fastmath=True, cache=True)
def _hillshade(dem, cell_x, cell_y, light, out):  # type: ignore[no-untyped-def]
    rows, columns = dem.shape
    east, north, up = np.float32(light[0]), np.float32(light[1]), np.float32(light[2])
    per_x, per_y = np.float32(1 / (8 * cell_x)), np.float32(1 / (8 * cell_y))
    two, one, zero = np.float32(2), np.float32(1), np.float32(0)
    for row in numba.prange(rows):
        above, here, below = dem[max(row - 1, 0)], dem[row], dem[min(row + 1, rows - 1)]
        for column in range(columns):
            left, right = max(column - 1, 0), min(column + 1, columns - 1)
            to_east = above[right] + two * here[right] + below[right]
            to_west = above[left] + two * here[left] + below[left]
            to_north = above[left] + two * above[column] + above[right]
            to_south = below[left] + two * below[column] + below[right]
            p, q = (to_east - to_west) * per_x, (to_north - to_south) * per_y
            facing = (up - p * east - q * north) / np.sqrt(one + p * p + q * q)
            out[row, column] = max(zero, facing)


def viewshed(
    dem: Any, cell_x: float, cell_y: float, row: int, column: int, height: float = 2.0
) -> Any:
    """Which ground is seen from `height` metres above the cell (row, column): 1 seen, 0 hidden.

    A line of sight to every cell, looked at wherever it crosses a row or a column of the grid, with
    the elevation interpolated between the two cells there: the method R3 of W. R. Franklin and
    C. K. Ray, "Higher isn't Necessarily Better: Visibility Algorithms and Experiments", in Advances
    in GIS Research (Sixth International Symposium on Spatial Data Handling), Edinburgh 1994, pages
    751-770. Sight falls below the horizon as the Earth curves away, less what the air refracts.
    """
    rows, columns = dem.shape
    if not (0 <= row < rows and 0 <= column < columns):
        raise IndexError(f"({row}, {column}) lies outside of the {rows} x {columns} cells")
    out = rb.empty(dem.shape, "uint8")
    drop = (1 - REFRACTION) / (2 * EARTH_RADIUS_M)
    _viewshed(dem, cell_x, cell_y, row, column, height, drop, out)
    return out


@numba.njit(parallel=True, cache=True)
def _viewshed(dem, cell_x, cell_y, row, column, height, drop, out):  # type: ignore[no-untyped-def]
    rows, columns = dem.shape
    eye = dem[row, column] + height
    for r in numba.prange(rows):
        for c in range(columns):
            rise, run = r - row, c - column
            distance = math.hypot(rise * cell_y, run * cell_x)
            if distance == 0.0:
                out[r, c] = 1
                continue
            sight = (dem[r, c] - drop * distance * distance - eye) / distance
            seen = True
            # Crossings with columns, then with rows; t is the part of the way to the target.
            for step in range(1, abs(run)):
                t = step / abs(run)
                at = row + t * rise
                low = min(int(at), rows - 2)
                part = at - low
                over = column + (step if run > 0 else -step)
                ground = (1 - part) * dem[low, over] + part * dem[low + 1, over]
                far = t * distance
                if (ground - drop * far * far - eye) / far > sight:
                    seen = False
                    break
            if seen:
                for step in range(1, abs(rise)):
                    t = step / abs(rise)
                    at = column + t * run
                    low = min(int(at), columns - 2)
                    part = at - low
                    over = row + (step if rise > 0 else -step)
                    ground = (1 - part) * dem[over, low] + part * dem[over, low + 1]
                    far = t * distance
                    if (ground - drop * far * far - eye) / far > sight:
                        seen = False
                        break
            out[r, c] = 1 if seen else 0


def resampled(dem: Any, rows: int, columns: int) -> Any:
    """The model with that many cells on the same ground, interpolated between cell centres."""
    out = rb.empty((rows, columns), "float32")
    _resample(dem, out)
    return out


@numba.njit(parallel=True, cache=True)
def _resample(dem, out):  # type: ignore[no-untyped-def]
    rows, columns = dem.shape
    per_row, per_column = rows / out.shape[0], columns / out.shape[1]
    for r in numba.prange(out.shape[0]):
        y = min(max((r + 0.5) * per_row - 0.5, 0.0), rows - 1.0)
        top = min(int(y), rows - 2)
        v = y - top
        for c in range(out.shape[1]):
            x = min(max((c + 0.5) * per_column - 0.5, 0.0), columns - 1.0)
            left = min(int(x), columns - 2)
            u = x - left
            upper = (1 - u) * dem[top, left] + u * dem[top, left + 1]
            lower = (1 - u) * dem[top + 1, left] + u * dem[top + 1, left + 1]
            out[r, c] = (1 - v) * upper + v * lower


@numba.njit(cache=True)
def summit(dem):  # type: ignore[no-untyped-def]
    """Row and column of the highest cell. A compiled function is called like any other."""
    best, best_row, best_column = dem[0, 0], 0, 0
    for row in range(dem.shape[0]):
        for column in range(dem.shape[1]):
            if dem[row, column] > best:
                best, best_row, best_column = dem[row, column], row, column
    return best_row, best_column
