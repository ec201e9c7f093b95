# SPDX-License-Identifier: MIT
"""An algorithm that needs all of its layers at once: read, one call, and what it gave.

The bar gives reading and writing a tenth each of its way.
"""

from __future__ import annotations

from typing import Any

from ringbridge.compute import kinds
from ringbridge.qgis import features
from ringbridge.qgis.algorithm_run import Run
from ringbridge.qgis.raster_input import RasterInput

READ, COMPUTED = 0.1, 0.9  # of the way


def run(run: Run, arguments: dict[str, Any], inputs: dict[str, RasterInput]) -> list[Any]:
    """The function's results. `arguments` has all but rasters.

    Raises ArenaFull where a raster is larger than the memory that may be shared.
    """
    crossing = dict(arguments)
    for number, (name, each_input) in enumerate(inputs.items()):
        low, high = (READ * part / len(inputs) for part in (number, number + 1))
        crossing[name] = _raster(run, each_input, low, high)
    return run.wait(run.submit(crossing), READ, COMPUTED)


def read_layers(run: Run, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments with vector layers and lists of layers as they cross: they are never cut.

    Raises RunCancelled; ArenaFull where one is larger than the memory that may be shared.
    """
    crossing = dict(arguments)
    for each in run.declaration.parameters:
        value = arguments.get(each.name)
        if value is not None and isinstance(each.kind, kinds.Layers):
            crossing[each.name] = [_layer(run, each.kind.of, one) for one in value]
        elif value is not None and isinstance(each.kind, kinds.VectorLayer):
            crossing[each.name] = _layer(run, each.kind, value)
    return crossing


def _layer(run: Run, kind: Any, value: Any) -> dict[str, Any]:
    if isinstance(kind, kinds.RasterLayer):
        return _raster(run, RasterInput(value, kind, None), 0.0, READ)
    vector = features.read(value, progress=run.part(0.0, READ), cancelled=run.cancelled)
    run.check()
    plain: dict[str, Any] = vector.to_plain()
    return plain


def _raster(run: Run, raster: RasterInput, low: float, high: float) -> dict[str, Any]:
    values = run.empty(raster.shape(raster.grid.rows), raster.dtype)
    show = run.part(low, high)

    def step(fraction: float) -> None:
        run.check()
        show(fraction)

    raster.read(values, 0, step)
    return raster.plain(values, 0)
