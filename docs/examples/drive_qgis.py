# SPDX-License-Identifier: MIT
"""Drives a QGIS that runs already, from any Python of the same user that has ringbridge and numpy.

In QGIS: Plugins > ringbridge > Serve other programs..., and the switch. Then: python drive_qgis.py
"""

from __future__ import annotations

import numpy as np

import ringbridge

EXTENT = (8.0, 46.0, 9.5, 47.0)  # xmin, ymin, xmax, ymax
ROWS, COLUMNS = 1000, 1500
SUMMITS = ((8.3, 46.7, 900.0), (8.8, 46.3, 1400.0), (9.2, 46.65, 700.0))  # x, y, height


def fill(heights: np.ndarray) -> None:
    """Three hills."""
    y, x = np.mgrid[EXTENT[3] : EXTENT[1] : ROWS * 1j, EXTENT[0] : EXTENT[2] : COLUMNS * 1j]
    heights[:] = 0
    for summit_x, summit_y, height in SUMMITS:
        heights += height * np.exp(-((x - summit_x) ** 2 + (y - summit_y) ** 2) / 0.03)


def points() -> dict[str, object]:
    """The summits as GeoJSON."""
    features = [
        {
            "type": "Feature",
            "properties": {"height": height},
            "geometry": {"type": "Point", "coordinates": [x, y]},
        }
        for x, y, height in SUMMITS
    ]
    return {"type": "FeatureCollection", "features": features}


def main() -> None:
    with ringbridge.connect("qgis") as application:
        qgis = application.load("qgis_tools")
        heights = application.empty(
            (ROWS, COLUMNS), "float32"
        )  # in memory that QGIS reads in place
        fill(heights)
        hills = qgis.add_raster(heights, "hills", extent=EXTENT, crs="EPSG:4326")
        summits = qgis.add_vector(points(), "summits")
        around = {"INPUT": summits, "DISTANCE": 0.12, "OUTPUT": "TEMPORARY_OUTPUT"}
        rings = qgis.run_algorithm("native:buffer", around)["OUTPUT"]
        qgis.layer(rings).setOpacity(0.4)  # a handle: the method runs in QGIS
        qgis.zoom_to(hills)
        for layer in qgis.layers():
            print(layer["kind"], layer["name"], layer["crs"])
        map_seen = qgis.canvas_image()
        print("the map has", len(np.unique(map_seen[..., 0])), "shades of red")


if __name__ == "__main__":
    main()
