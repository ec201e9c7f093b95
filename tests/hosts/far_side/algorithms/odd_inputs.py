# SPDX-License-Identifier: MIT
"""Algorithms for inputs that are seldom met: lists of layers, parameters left empty, odd grids."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ringbridge.compute import (
    Band,
    Crs,
    Extent,
    File,
    Layers,
    NumberOutput,
    Point,
    Raster,
    RasterLayer,
    RasterOutput,
    TextOutput,
    Vector,
    VectorLayer,
    algorithm,
)

GROUP = "Tests"


@algorithm()
def count_features(
    layers: Annotated[list[Vector], Layers(of=VectorLayer())],
) -> Annotated[int, NumberOutput()]:
    """How many all of them have."""
    return sum(map(len, layers))


@algorithm(margin=1)
def cut_with_lists(
    dem: Annotated[Raster, RasterLayer()],
    rasters: Annotated[list[Raster], Layers(of=RasterLayer())],
    vectors: Annotated[list[Vector], Layers(of=VectorLayer())],
) -> Annotated[Raster, RasterOutput()]:
    """Strip by strip, with lists that are never cut."""
    return dem.like(dem.values + sum(each.values.size for each in rasters) + len(vectors[0]))


@algorithm()
def left_empty(
    dem: Annotated[Raster | None, RasterLayer()] = None,
    places: Annotated[Vector | None, VectorLayer()] = None,
    layers: Annotated[list[Vector] | None, Layers(of=VectorLayer())] = None,
    extent: Annotated[tuple[float, ...] | None, Extent()] = None,
    crs: Annotated[str | None, Crs()] = None,
    point: Annotated[tuple[float, ...] | None, Point()] = None,
    file: Annotated[Path | None, File()] = None,
) -> Annotated[str, TextOutput()]:
    """What it was given."""
    return repr([dem, places, layers, extent, crs, point, file])


@algorithm()
def one_band(
    dem: Annotated[Raster, RasterLayer()], band: Annotated[int, Band(of="dem")] = 1
) -> Annotated[Raster, RasterOutput()]:
    """The band as it is."""
    return dem
