#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The tutorial's elevation model: the Jacksboro fault, matplotlib's sample data, as a GeoTIFF.

    /usr/bin/python3 jacksboro.py jacksboro.tif

Runs in QGIS's Python, which has GDAL. The data is that of Debian's package python-matplotlib-data,
or a file that is named behind. docs/demo/run_demo.py says how its edges are to be read.
"""

from __future__ import annotations

import sys

import numpy as np
from osgeo import gdal

DATA = "/usr/share/matplotlib/mpl-data/sample_data/jacksboro_fault_dem.npz"
CELL_M = 90


def main(target: str, source: str = DATA) -> None:
    gdal.UseExceptions()
    with np.load(source) as data:
        heights = data["elevation"].astype("float32")
        west, north = float(data["xmin"]), float(data["ymax"])
        dx, dy = float(data["dx"]), float(data["dy"])
    rows, columns = heights.shape
    made = gdal.GetDriverByName("MEM").Create("", columns, rows, 1, gdal.GDT_Float32)
    made.SetGeoTransform((west, dx, 0.0, north, 0.0, -dy))
    made.SetProjection("EPSG:4326")
    made.GetRasterBand(1).WriteArray(heights)
    gdal.Warp(
        target,
        made,
        dstSRS="EPSG:32616",
        xRes=CELL_M,
        yRes=CELL_M,
        resampleAlg="bilinear",
        dstNodata=-9999,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
