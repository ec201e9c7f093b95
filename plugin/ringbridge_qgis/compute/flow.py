# SPDX-License-Identifier: MIT
"""Where water gathers: depressions filled, and how much ground drains through each cell.

Depressions are filled by the Priority-Flood of R. Barnes, C. Lehman and D. Mulla, "Priority-Flood:
An Optimal Depression-Filling and Watershed-Labeling Algorithm for Digital Elevation Models",
Computers & Geosciences 62, 2014, pages 117-127 (their second algorithm, with a plain queue for what
lies in a depression). Water flows to the steepest of eight neighbours: J. F. O'Callaghan and D. M.
Mark, "The Extraction of Drainage Networks from Digital Elevation Data", Computer Vision, Graphics,
and Image Processing 28, 1984, pages 323-344; where none is lower, as on a filled lake, the way by
which the flood came.

A cell is flooded later than the one that its water flows to. So the order of the flood, taken
backwards, is a topological one, and one pass along it adds everything up.
"""

import math
from typing import Annotated, Any, Literal, NamedTuple

import numba
import numpy as np

import ringbridge as rb
from ringbridge.compute import Choice, Ramp, Raster, RasterLayer, RasterOutput, algorithm

GROUP = "Terrain"
CELLS_IN_A_PART = 500_000  # flooded between two looks at Cancel: some 0.1 s
NOWHERE = -1  # the number of the cell that water flows to, where it leaves the model


class Flow(NamedTuple):
    """What drains through each cell, and the model without its depressions."""

    accumulation: Annotated[
        Raster, RasterOutput("Flow accumulation", style=Ramp("Blues", min=0, max=1000))
    ]
    filled: Annotated[Raster, RasterOutput("Filled elevation model", optional=True, style=Ramp())]


@algorithm("Flow accumulation", tags=("hydrology", "drainage", "catchment", "fill", "streams"))
def flow_accumulation(
    dem: Annotated[Raster, RasterLayer("Elevation model")],
    measure: Annotated[
        Literal["cells", "area"],
        Choice(
            "Measured in",
            labels=("Cells", "Area, in square units of the map"),
            help="What drains through a cell, itself included.",
        ),
    ] = "cells",
) -> Flow:
    """How much ground drains through each cell of an elevation model: streams are where it is much.

    Depressions are filled first, so that all water reaches the edge of the model or a cell without
    a value. Each cell drains to the steepest of its eight neighbours.
    """
    here = rb.current_task()
    width, height = dem.cell_size
    ground = dem.filled()
    filled, order, came_from = _flooded(ground, here)
    here.progress(fraction=0.8, text="directions of flow")
    target = np.empty(filled.size, "int64")
    _directions(filled, came_from, width, height, target)
    here.progress(fraction=0.9, text="adding up")
    cells = np.ones(filled.size, "int64")
    _add_up(order, target, cells)
    here.log(f"raised {np.count_nonzero(filled > ground)} of {len(order)} cells out of depressions")
    return Flow(_measured(dem, ground, cells, measure), _as_model(dem, filled))


def _flooded(ground: Any, here: Any) -> tuple[Any, Any, Any]:
    """The filled model, the cells in the order of the flood, and where it came from to each."""
    filled = ground.copy()
    came_from = np.full(ground.size, NOWHERE, "int64")
    reached = np.isnan(ground)
    count = int(np.count_nonzero(~reached))
    heap: Any = np.empty(count, "int64")
    queue: Any = np.empty(count, "int64")
    order: Any = np.empty(count, "int64")
    # How many: in the heap, taken from the queue, put into the queue, in the order.
    sizes: Any = np.zeros(4, "int64")
    _begin_at_edges(filled, reached, heap, sizes)
    while sizes[3] < count:
        here.progress(fraction=0.8 * sizes[3] / count, text="filling depressions")
        _flood(filled, reached, came_from, heap, queue, order, sizes, CELLS_IN_A_PART)
    return filled, order, came_from


def _measured(dem: Raster, ground: Any, cells: Any, measure: str) -> Raster:
    made = cells.reshape(ground.shape)
    if measure == "area":
        made = made * math.prod(dem.cell_size)
    out = rb.empty(ground.shape, "float32" if measure == "area" else "int32")
    out[...] = made
    out[np.isnan(ground)] = -1
    return dem.like(out, nodata=-1)


def _as_model(dem: Raster, filled: Any) -> Raster:
    out = rb.empty(filled.shape, "float32")
    out[...] = filled
    nodata = -9999.0 if dem.nodata is None else float(np.float32(dem.nodata))
    out[np.isnan(filled)] = nodata
    return dem.like(out, nodata=nodata)


# The eight neighbours, going round.
_DOWN = (-1, -1, 0, 1, 1, 1, 0, -1)
_RIGHT = (0, 1, 1, 1, 0, -1, -1, -1)


@numba.njit(cache=True)
def _begin_at_edges(filled, reached, heap, sizes):  # type: ignore[no-untyped-def]
    """What lies at the edge, or beside a cell without a value, drains there."""
    rows, columns = filled.shape
    nothing = np.isnan(filled)
    for row in range(rows):
        for column in range(columns):
            if nothing[row, column]:
                continue
            for k in range(8):
                r, c = row + _DOWN[k], column + _RIGHT[k]
                if not (0 <= r < rows and 0 <= c < columns) or nothing[r, c]:
                    reached[row, column] = True
                    _push(heap, sizes, filled, row * columns + column)
                    break


@numba.njit(cache=True)
def _flood(  # type: ignore[no-untyped-def]
    filled, reached, came_from, heap, queue, order, sizes, at_most
):
    """So many cells more: the lowest that was reached next, those in its depression before it."""
    rows, columns = filled.shape
    for _ in range(at_most):
        if sizes[1] < sizes[2]:
            cell = queue[sizes[1]]
            sizes[1] += 1
        elif sizes[0] > 0:
            cell = _pop(heap, sizes, filled)
        else:
            return
        order[sizes[3]] = cell
        sizes[3] += 1
        row, column = cell // columns, cell % columns
        level = filled[row, column]
        for k in range(8):
            r, c = row + _DOWN[k], column + _RIGHT[k]
            if not (0 <= r < rows and 0 <= c < columns) or reached[r, c]:
                continue
            reached[r, c] = True
            came_from[r * columns + c] = cell
            if filled[r, c] <= level:
                filled[r, c] = level
                queue[sizes[2]] = r * columns + c
                sizes[2] += 1
            else:
                _push(heap, sizes, filled, r * columns + c)


@numba.njit(cache=True)
def _push(heap, sizes, filled, cell):  # type: ignore[no-untyped-def]
    at = sizes[0]
    sizes[0] += 1
    heights = filled.ravel()
    while at > 0 and heights[cell] < heights[heap[(at - 1) // 2]]:
        heap[at] = heap[(at - 1) // 2]
        at = (at - 1) // 2
    heap[at] = cell


@numba.njit(cache=True)
def _pop(heap, sizes, filled):  # type: ignore[no-untyped-def]
    """The lowest."""
    lowest = heap[0]
    sizes[0] -= 1
    size = sizes[0]
    heights = filled.ravel()
    moved = heap[size]
    at, child = 0, 1
    while child < size:
        if child + 1 < size and heights[heap[child + 1]] < heights[heap[child]]:
            child += 1
        if heights[moved] <= heights[heap[child]]:
            break
        heap[at] = heap[child]
        at, child = child, 2 * child + 1
    heap[at] = moved
    return lowest


@numba.njit(parallel=True, cache=True)
def _directions(filled, came_from, width, height, target):  # type: ignore[no-untyped-def]
    """The number of the cell that each one drains to."""
    rows, columns = filled.shape
    slanted = math.hypot(width, height)
    for each in numba.prange(rows):
        row = np.intp(each)
        for column in range(columns):
            cell = row * columns + column
            target[cell] = came_from[cell]
            steepest = 0.0
            for k in range(8):
                r, c = row + _DOWN[k], column + _RIGHT[k]
                if not (0 <= r < rows and 0 <= c < columns):
                    continue
                far = height if _RIGHT[k] == 0 else (width if _DOWN[k] == 0 else slanted)
                slope = (float(filled[row, column]) - float(filled[r, c])) / far
                if slope > steepest:  # never, where one of the two is NaN
                    steepest = slope
                    target[cell] = r * columns + c


@numba.njit(cache=True)
def _add_up(order, target, amount):  # type: ignore[no-untyped-def]
    for at in range(len(order) - 1, -1, -1):
        cell = order[at]
        if target[cell] != NOWHERE:
            amount[target[cell]] += amount[cell]
