# SPDX-License-Identifier: MIT
"""An algorithm over rasters of any size: strip by strip, reading and writing beside the worker.

For functions that declare a margin. While the worker computes one strip, this thread writes the one
before and reads the one after; three strips are in memory, whatever the raster's size.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from ringbridge.compute import Raster
from ringbridge.qgis.algorithm_run import Run
from ringbridge.qgis.raster_input import RasterInput
from ringbridge.qgis.raster_sink import RasterSink
from ringbridge.qgis.raster_source import Grid
from ringbridge.qgis.strips import Strip, strips

if TYPE_CHECKING:
    from ringbridge import Task

_AHEAD = 2  # strips that the worker has been asked for


def run(
    run: Run,
    margin: int,
    arguments: dict[str, Any],
    inputs: dict[str, RasterInput],
    sinks: list[RasterSink | None],
) -> None:
    """Computes, and writes to the sinks (None: nobody wants that result).

    Raises ValueError where the rasters are on different grids or a result has another size.
    """
    grid = _common_grid(inputs)
    row_bytes = sum(each.row_bytes for each in inputs.values())
    block_rows = max(each.source.block_rows for each in inputs.values())
    todo = list(strips(grid.rows, row_bytes, margin, block_rows))
    asked: deque[tuple[Strip, Task]] = deque()
    done = 0
    try:
        for strip in todo:
            asked.append((strip, run.submit({**arguments, **_read(run, strip, inputs)})))
            if len(asked) >= _AHEAD:
                _write_next(run, asked, grid, sinks, done, len(todo))
                done += 1
        while asked:
            _write_next(run, asked, grid, sinks, done, len(todo))
            done += 1
    finally:
        for _, task in asked:
            run.drop(task)


def _read(run: Run, strip: Strip, inputs: dict[str, RasterInput]) -> dict[str, Any]:
    made = {}
    for name, each in inputs.items():
        values = run.empty(each.shape(strip.height), each.dtype)
        each.read(values, strip.first, lambda _fraction: run.check())
        made[name] = each.plain(values, strip.first)
    return made


def _write_next(
    run: Run,
    asked: deque[tuple[Strip, Task]],
    grid: Grid,
    sinks: list[RasterSink | None],
    done: int,
    count: int,
) -> None:
    strip, task = asked[0]
    results = run.wait(task, done / count, (done + 1) / count)
    asked.popleft()
    for sink, plain in zip(sinks, results):
        if sink is None or plain is None:
            continue
        values = _inner(run, strip, grid, Raster.from_plain(plain).values)
        if strip.row == 0:
            sink.begin(grid, values, plain["nodata"], plain["bands"])
        sink.write(strip.row, values)
    run.show((done + 1) / count)


def _inner(
    run: Run, strip: Strip, grid: Grid, values: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """Without the margin."""
    expected = (strip.height, grid.columns)
    if values.shape[-2:] != expected:
        raise ValueError(
            f"{run.declaration.label} gave {values.shape[-2:]} cells for a block of {expected}: a "
            "function with a margin gives as many as it gets"
        )
    return values[..., strip.above : strip.above + strip.rows, :]


def _common_grid(inputs: dict[str, RasterInput]) -> Grid:
    grids = {each.source.name: each.grid for each in inputs.values()}
    first, *others = grids
    for name in others:
        if grids[name] != grids[first]:
            raise ValueError(
                f"{first} and {name} have different cells or CRS: bring one to the grid of the "
                "other first (Raster > Projections > Warp)"
            )
    return grids[first]
