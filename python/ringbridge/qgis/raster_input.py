# SPDX-License-Identifier: MIT
"""A raster parameter of a run: its source, the bands that are wanted, and rows as they cross."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ringbridge.compute import Declaration, kinds
from ringbridge.qgis import raster_source
from ringbridge.qgis.raster_source import Described, Grid

_BYTES_AT_ONCE = 16 << 20  # read between two looks at the Cancel button


class RasterInput:
    """The bands of one raster that a function wants."""

    def __init__(self, described: Described, kind: kinds.RasterLayer, band: int | None) -> None:
        self.source = raster_source.open_source(described)
        self.is_one = kind.bands == "one"
        if (band or 1) > self.source.count:
            raise ValueError(
                f"{self.source.name} has no band {band or 1}, only {self.source.count}"
            )
        self.bands = [band or 1] if self.is_one else list(range(1, self.source.count + 1))
        self.dtype = self.source.dtype(self.bands)

    @property
    def grid(self) -> Grid:
        return self.source.grid

    @property
    def row_bytes(self) -> int:
        return int(self.grid.columns * self.dtype.itemsize * len(self.bands))

    def shape(self, rows: int) -> tuple[int, ...]:
        """Of the array for so many rows."""
        flat = (rows, self.grid.columns)
        return flat if self.is_one else (len(self.bands), *flat)

    def read(
        self, out: np.ndarray[Any, Any], first: int, step: Callable[[float], None] | None = None
    ) -> None:
        """Fills an array of shape(rows) with the rows from `first` on; tells step(fraction)."""
        layers = out[None] if self.is_one else out
        rows = layers.shape[1]
        at_once = max(_BYTES_AT_ONCE // max(self.row_bytes, 1), self.source.block_rows)
        for row in range(0, rows, at_once):
            for band, layer in zip(self.bands, layers):
                self.source.read(band, first + row, layer[row : row + at_once])
            if step is not None:
                step(min(row + at_once, rows) / rows)

    def plain(self, values: np.ndarray[Any, Any], first: int) -> dict[str, Any]:
        """As Raster.from_plain takes it: the rows from `first` on."""
        x, width, skew_x, y, skew_y, height = self.grid.geotransform
        moved = (x + first * skew_x, width, skew_x, y + first * height, skew_y, height)
        return {
            "values": values,
            "geotransform": moved,
            "crs": self.grid.crs,
            "nodata": self.source.nodata(self.bands[0]),
            "bands": [self.source.band_name(band) for band in self.bands],
        }


def inputs_of(declaration: Declaration, arguments: dict[str, Any]) -> dict[str, RasterInput]:
    """Of all raster parameters that were given, with the bands that Band parameters say."""
    made = {}
    for each in declaration.parameters:
        given = arguments.get(each.name)
        if isinstance(each.kind, kinds.RasterLayer) and given is not None:
            bands = [
                arguments[other.name]
                for other in declaration.parameters
                if isinstance(other.kind, kinds.Band) and other.kind.of == each.name
            ]
            made[each.name] = RasterInput(given, each.kind, bands[0] if bands else None)
    return made
