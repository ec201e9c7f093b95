# SPDX-License-Identifier: MIT
"""Hillshade and slope as GDAL makes them, for a comparison with the example modules.

    python3 gdal_terrain.py MODELS.npz RESULTS.npz      with a Python that has GDAL's osgeo

MODELS has for each name an elevation model `<name>`, its geotransform `<name>/grid` and where it
has one its no-data value `<name>/nodata`; RESULTS gets a `<name>/<case>` for each, and "version".

tests/python/reference/gdal_terrain.npz is the models of small_models() and what GDAL 3.6.2 on an
x86-64 made of them, all in one file: np.savez_compressed(path, **models, **results_of(models)).
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

GRIDS = {
    "square": (1000.0, 30.0, 0.0, 5000.0, 0.0, -30.0),
    "oblong": (1000.0, 30.0, 0.0, 5000.0, 0.0, -22.5),
    "degrees": (-84.4, 1 / 1200, 0.0, 36.4, 0.0, -1 / 1200),
}
#: name -> (what, GDAL's options)
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "hillshade": ("hillshade", {}),
    "hillshade edges": (
        "hillshade",
        {"azimuth": 120, "altitude": 30, "zFactor": 2, "computeEdges": True},
    ),
    "hillshade thorne": (
        "hillshade",
        {"alg": "ZevenbergenThorne", "azimuth": 10, "altitude": 60, "zFactor": 0.5},
    ),
    "slope": ("slope", {"slopeFormat": "degree"}),
    "slope edges": ("slope", {"slopeFormat": "percent", "computeEdges": True}),
    "slope thorne": (
        "slope",
        {"slopeFormat": "degree", "alg": "ZevenbergenThorne", "computeEdges": True},
    ),
}


def scale_of(grid: Any) -> float:
    """Metres in a unit of the grid."""
    return 111120.0 if grid[1] < 1 else 1.0


def models(rows: int, columns: int, seed: int) -> dict[str, Any]:
    """Hills with noise, of several types, with and without holes, on all grids."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:rows, 0:columns]
    hills = 600 + 200 * np.sin(x / 9) * np.cos(y / 7) + random.normal(0, 6, (rows, columns))
    holes = random.random((rows, columns)) < 0.02
    small = (hills / 4).astype("uint8")
    # Past the edge these are extrapolated to 255, which is no data.
    small[::3, 0], small[::3, 1], small[0, 2::4], small[1, 2::4] = 200, 145, 210, 165
    made: dict[str, Any] = {}
    for kind, values, nodata in (
        ("float32", hills.astype("float32"), None),
        ("float32 holes", np.where(holes, -9999, hills).astype("float32"), -9999.0),
        ("float32 nan", np.where(holes, np.nan, hills).astype("float32"), np.nan),
        ("float64", hills, None),
        ("int16 holes", np.where(holes, -1, hills).astype("int16"), -1),
        ("uint8", small, 255),
    ):
        for grid in GRIDS:
            made[f"{kind} {grid}"] = values
            made[f"{kind} {grid}/grid"] = GRIDS[grid]
            if nodata is not None:
                made[f"{kind} {grid}/nodata"] = nodata
    return made


def names_of(file: Any) -> list[str]:
    """Of the models in a file."""
    return [name.partition("/")[0] for name in file if name.endswith("/grid")]


def small_models() -> dict[str, Any]:
    """What the committed results were made of."""
    kinds = ("float32 holes", "int16 holes", "uint8")
    return {name: each for name, each in models(14, 17, seed=1).items() if name.startswith(kinds)}


def results_of(file: Any) -> dict[str, Any]:
    """What GDAL makes of the models in a file."""
    from osgeo import gdal, gdal_array

    gdal.UseExceptions()
    made = {"version": gdal.VersionInfo("RELEASE_NAME")}
    for name in names_of(file):
        values, grid = file[name], file[f"{name}/grid"]
        code = gdal_array.NumericTypeCodeToGDALTypeCode(values.dtype)
        rows, columns = values.shape
        source = gdal.GetDriverByName("MEM").Create("", columns, rows, 1, code)
        source.SetGeoTransform([float(each) for each in grid])
        band = source.GetRasterBand(1)
        if f"{name}/nodata" in file:
            band.SetNoDataValue(float(file[f"{name}/nodata"]))
        band.WriteArray(values)
        for case, (what, options) in CASES.items():
            done = gdal.DEMProcessing(
                "", source, what, format="MEM", scale=scale_of(grid), **options
            )
            made[f"{name}/{case}"] = done.GetRasterBand(1).ReadAsArray()
    return made


if __name__ == "__main__":
    with np.load(sys.argv[1]) as given:
        np.savez_compressed(sys.argv[2], **results_of(given))
