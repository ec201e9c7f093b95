# SPDX-License-Identifier: MIT
"""Vectors as GeoDataFrames and Arrow tables, and back; no loop of Python's over the features.

The only place that imports geopandas, shapely, pandas and pyarrow, when it is called.
"""

from __future__ import annotations

from typing import Any

from ringbridge.compute.vector import Vector


def to_geopandas(vector: Vector) -> Any:
    raise NotImplementedError


def to_arrow(vector: Vector) -> Any:
    raise NotImplementedError


def vector_of(value: Any) -> Vector:
    """From a GeoDataFrame, a DataFrame or an Arrow table; TypeError for anything else."""
    raise NotImplementedError
