# SPDX-License-Identifier: MIT
"""The plugin's own algorithms in the real QGIS, on the elevation model of the Jacksboro fault."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import HERE, Report

COMPUTE = HERE.parents[1] / "plugin" / "ringbridge_qgis" / "compute"
CELLS_OF_GDALS_ESTIMATE = 1e-4  # of which GDAL's quick square root rounds to the other side
FLOAT_PRECISION = 1e-5  # of a slope in degrees, up to 90


def settings(folder: Path) -> dict[str, Any]:
    from matplotlib.cbook import get_sample_data

    # The file calls the edges ymin = 36.733 and ymax = 36.446: the towns say that the second one
    # is the northern edge, as docs/demo has it.
    with get_sample_data("jacksboro_fault_dem.npz") as data:
        np.save(folder / "heights.npy", data["elevation"])
        west, north = float(data["xmin"]), float(data["ymax"])
        cell = float(data["dx"])
    return {
        "compute": str(COMPUTE),
        "heights": str(folder / "heights.npy"),
        "geotransform": [west, cell, 0.0, north, 0.0, -cell],
    }


@pytest.fixture(scope="module")
def report(in_qgis: Callable[..., Report]) -> Report:
    for needed in ("numba", "sklearn", "geopandas", "matplotlib"):
        pytest.importorskip(needed)
    told = in_qgis("host_script_examples.py", settings)
    assert told["problems"] == []
    return told


def test_hillshade_is_gdals(report: Report, figure: Callable[[str], None]) -> None:
    """Bytes: where GDAL's estimate of a square root rounds to the other side, by one."""
    shade = report["terrain"]["hillshade"]
    assert shade["error"] is None and shade["spread"] > 100
    assert shade["dtypes"] == ["Byte", "Byte"] and shade["nodata"] == [0.0, 0.0]
    figure(f"hillshade beside GDAL's: {shade['differ']:.1e} of the cells differ, by 1")
    assert shade["differ"] < CELLS_OF_GDALS_ESTIMATE and shade["largest"] <= 1


def test_slope_is_gdals(report: Report, figure: Callable[[str], None]) -> None:
    slope = report["terrain"]["slope"]
    assert slope["error"] is None and slope["spread"] > 20
    assert slope["dtypes"] == ["Float32", "Float32"] and slope["nodata"] == [-9999.0, -9999.0]
    figure(f"slope beside GDAL's: the largest difference is {slope['largest']:.1e} degrees")
    assert slope["largest"] <= FLOAT_PRECISION


def test_water_gathers_and_the_summit_sees_far(report: Report) -> None:
    told = report["water_and_sight"]
    assert "error" not in told, told
    assert told["least"] == 1.0 and told["cells"] / 100 < told["most"] <= told["cells"]
    assert told["lowered"] == 0  # depressions are filled, nothing is dug
    assert 0.05 < told["seen"] < 0.9


def test_points_gather_in_their_heaps(report: Report) -> None:
    told = report["clusters"]
    assert "error" not in told, told
    assert (told["found"], told["rows"], told["count"]) == (5, 5, 200)
    assert told["pure"] == [1] * 5 and told["crs"] == "EPSG:32617"


def test_ground_is_classified_by_its_height(report: Report) -> None:
    told = report["classified"]
    assert "error" not in told, told
    assert sorted(told["legend"].values()) == ["high", "low", "middle"]
    assert told["accuracy"] > 95.0 and told["right"] > 0.95
