# SPDX-License-Identifier: MIT
"""The compute modules of the QGIS plugin, and the elevation model that they are tried on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ringbridge.compute import Raster, module_folder

FOLDER = Path(__file__).resolve().parents[3] / "plugin" / "ringbridge_qgis" / "compute"


def load(name: str, *needed: str) -> Any:
    """One of the modules; skips where what it needs is not installed."""
    for each in needed:
        pytest.importorskip(each)
    return module_folder.load(str(FOLDER), name)


def hills(rows: int, columns: int, seed: int = 0, cell: float = 30.0) -> Raster:
    """A model with slopes, pits, flats and noise; of whole metres, so that heights repeat."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:rows, 0:columns]
    wide, high = 3 + 10 * random.random(2)
    heights = 40 * np.sin(x / wide) * np.cos(y / high) + random.normal(0, 3, (rows, columns))
    values = np.round(300 + heights).astype("float32")
    return Raster(values, (0.0, cell, 0.0, 0.0, 0.0, -cell), "", -9999.0)


def with_holes(raster: Raster, part: float, seed: int = 0) -> Raster:
    """The same with some cells that have no value."""
    gone = np.random.default_rng(seed).random(raster.shape) < part
    return raster.like(np.where(gone, -9999.0, raster.values).astype("float32"), nodata=-9999.0)
