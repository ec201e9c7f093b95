# SPDX-License-Identifier: MIT
"""Algorithms that go wrong, each in its way, and one that does not."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Annotated

import numba

import ringbridge as rb
from ringbridge.compute import Number, Raster, algorithm


@numba.njit
def _spin(until: float) -> float:
    at = 0.0
    while at < until:
        at += 1.0
        if at > 1e15:
            at = 0.0
    return at


@algorithm("Spin", group="Tests")
def spin(dem: Raster) -> Raster:
    """Compiled code that never looks up. The file RBR_HOSTS_SPINNING is there when it runs."""
    _spin(1.0)
    if "RBR_HOSTS_SPINNING" in os.environ:
        Path(os.environ["RBR_HOSTS_SPINNING"]).touch()
    rb.current_task().progress(1, 4, "spinning")
    _spin(1e300)
    return dem


@algorithm("Crash", group="Tests")
def crash(dem: Raster) -> Raster:
    ctypes.string_at(0)
    return dem


@algorithm("Wrong", group="Tests")
def wrong(dem: Raster) -> Raster:
    raise ValueError("the cells are too large\nand more of it")


@algorithm("Another size", group="Tests", margin=1)
def another_size(dem: Raster) -> Raster:
    return Raster(dem.values[:-1])


@algorithm("Twice", group="Tests", margin=0)
def twice(dem: Raster, factor: Annotated[float, Number(min=0)] = 2.0) -> Raster:
    """Says how many rows it got, and prints."""
    rb.current_task().log(f"rows {dem.shape[0]}")
    print("printed over there", flush=True)
    return dem.like(dem.values * dem.values.dtype.type(factor), nodata=dem.nodata)


@algorithm("Box mean", group="Tests", margin="radius")
def box_mean(dem: Raster, radius: int = 2) -> Raster:
    """Of (2 radius + 1)^2 cells, fewer at the edge."""
    from scipy.ndimage import uniform_filter

    size = 2 * radius + 1
    ones = uniform_filter((dem.values * 0 + 1).astype("f8"), size, mode="constant")
    sums = uniform_filter(dem.values.astype("f8"), size, mode="constant")
    return dem.like((sums / ones).astype("float32"))


@algorithm("Box mean of all", group="Tests")
def box_mean_whole(dem: Raster, radius: int = 2) -> Raster:
    return box_mean(dem, radius)


@algorithm("Copy", group="Tests", margin=0)
def copy(dem: Raster) -> Raster:
    """No computation: what is left of a run is ours."""
    out = rb.empty(dem.shape, dem.values.dtype)
    out[:] = dem.values
    return dem.like(out)


@algorithm("Copy the whole", group="Tests")
def copy_whole(dem: Raster) -> Raster:
    return copy(dem)
