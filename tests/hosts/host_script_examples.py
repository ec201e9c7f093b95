# SPDX-License-Identifier: MIT
"""Standalone QGIS: the plugin's own algorithms on the elevation model of the Jacksboro fault."""

from __future__ import annotations

import os
import sys
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import numpy as np
import standalone
from osgeo import gdal
from qgis.core import (
    QgsFeature,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsRectangle,
    QgsVectorLayer,
)

METRES_PER_DEGREE = 111_120.0
BANDS_M = (0.0, 350.0, 500.0, 2000.0)  # low, middle and high ground

wanted = standalone.settings()


def path(name: str) -> str:
    return os.path.join(wanted["work"], name)


def layer(uri: str, rows: list[tuple[Any, list[Any]]]) -> str:
    """A memory layer of these geometries and attributes."""
    made = QgsVectorLayer(uri, "given", "memory")
    features = []
    for geometry, attributes in rows:
        feature = QgsFeature(made.fields())
        feature.setGeometry(geometry)
        feature.setAttributes(attributes)
        features.append(feature)
    made.dataProvider().addFeatures(features)
    QgsProject.instance().addMapLayer(made)
    return str(made.id())


def terrain(dem: str) -> dict[str, Any]:
    """Beside what GDAL makes of the same file."""
    source, made = gdal.Open(dem), {}
    for name in ("hillshade", "slope"):
        scaled = {"scale": METRES_PER_DEGREE}
        gdal.DEMProcessing(path(f"gdal_{name}.tif"), source, name, **scaled)
        told = standalone.run(
            f"ringbridge:{name}", DEM=dem, SCALE=METRES_PER_DEGREE, OUTPUT=path(f"{name}.tif")
        )
        ours, gdals = (
            standalone.read_raster(path(each)) for each in (f"{name}.tif", f"gdal_{name}.tif")
        )
        values = [each["values"].astype("f8") for each in (ours, gdals)]
        made[name] = {
            "error": told.get("error"),
            "dtypes": [each["dtype"] for each in (ours, gdals)],
            "nodata": [each["nodata"] for each in (ours, gdals)],
            "differ": float((values[0] != values[1]).mean()),
            "largest": float(np.abs(values[0] - values[1]).max()),
            "spread": float(np.ptp(values[0])),
        }
    return made


def water_and_sight(dem: str, heights: Any, place: tuple[float, float]) -> dict[str, Any]:
    flow = standalone.run(
        "ringbridge:flow_accumulation", DEM=dem, ACCUMULATION=path("flow.tif"), FILLED=path("f.tif")
    )
    x, y = place
    view = standalone.run(
        "ringbridge:viewshed",
        DEM=dem,
        OBSERVER=f"{x},{y} [EPSG:4326]",
        VIEWSHED=path("view.tif"),
    )
    if "error" in flow or "error" in view:
        return {"error": [flow, view]}
    cells = standalone.read_raster(flow["ACCUMULATION"])["values"]
    filled = standalone.read_raster(flow["FILLED"])["values"]
    seen = standalone.read_raster(view["VIEWSHED"])["values"]
    return {
        "most": float(cells.max()),
        "least": float(cells.min()),
        "cells": cells.size,
        "lowered": int((filled < heights).sum()),
        "seen": float((seen == seen.max()).mean()),
        "values": [float(each) for each in np.unique(seen)[:5]],
    }


def clusters() -> dict[str, Any]:
    """Five heaps of forty points, and some that belong nowhere."""
    random = np.random.default_rng(3)
    heaps = np.array([[0, 0], [5000, 0], [0, 5000], [5000, 5000], [9000, 9000]], "f8")
    xy = (heaps[:, None] + random.normal(0, 150, (5, 40, 2))).reshape(-1, 2)
    rows = [
        (QgsGeometry.fromPointXY(QgsPointXY(500_000 + x, 4_000_000 + y)), [number])
        for number, (x, y) in enumerate(xy)
    ]
    points = layer("Point?crs=EPSG:32617&field=n:integer", rows)
    told = standalone.run(
        "ringbridge:clusters_of_points",
        POINTS=points,
        CLUSTERED=path("clustered.gpkg"),
        CLUSTERS=path("clusters.gpkg"),
    )
    if "error" in told:
        return told
    made = QgsVectorLayer(told["CLUSTERED"], "clustered", "ogr")
    number = {f["n"]: f["cluster"] for f in made.getFeatures()}
    heaps_of = [{number[n] for n in range(40 * heap, 40 * heap + 40)} - {0} for heap in range(5)]
    table = QgsVectorLayer(told["CLUSTERS"], "clusters", "ogr")
    return {
        "found": told["FOUND"],
        "count": made.featureCount(),
        "crs": made.crs().authid(),
        "pure": [len(each) for each in heaps_of],
        "rows": table.featureCount(),
    }


def classified(dem: str, heights: Any, geotransform: tuple[float, ...]) -> dict[str, Any]:
    """Low, middle and high ground, learnt from squares of it."""
    random = np.random.default_rng(4)
    x, width, _, y, _, height = geotransform
    rows = []
    for row, column in random.integers(5, np.array(heights.shape) - 5, (400, 2)):
        patch = heights[row - 2 : row + 3, column - 2 : column + 3]
        kinds = np.unique(np.digitize(patch, BANDS_M))
        if len(kinds) == 1:
            left, top = x + (column - 2) * width, y + (row - 2) * height
            box = QgsRectangle(left, top + 5 * height, left + 5 * width, top)
            rows.append((QgsGeometry.fromRect(box), [("low", "middle", "high")[kinds[0] - 1]]))
    training = layer("Polygon?crs=EPSG:4326&field=kind:string", rows)
    told = standalone.run(
        "ringbridge:classify",
        RASTER=dem,
        TRAINING=training,
        CLASS_FIELD="kind",
        TREES=20,
        CLASSES=path("classes.tif"),
        CONFIDENCE=path("confidence.tif"),
        LEGEND=path("legend.gpkg"),
    )
    if "error" in told:
        return told
    legend = {
        each["value"]: each["class"]
        for each in QgsVectorLayer(told["LEGEND"], "legend", "ogr").getFeatures()
    }
    classes = standalone.read_raster(told["CLASSES"])["values"]
    names = np.array(["low", "middle", "high"])[np.digitize(heights, BANDS_M) - 1]
    said = np.vectorize(legend.get)(classes)
    return {"accuracy": told["ACCURACY"], "right": float((said == names).mean()), "legend": legend}


def main() -> None:
    with standalone.qgis():
        from ringbridge.qgis import Bridge

        heights = np.load(wanted["heights"])
        geotransform = tuple(wanted["geotransform"])
        dem = standalone.write_raster(
            path("jacksboro.tif"), heights, crs="EPSG:4326", geotransform=geotransform
        )
        bridge = Bridge(
            "ringbridge",
            "ringbridge",
            environment=wanted["environment"],
            folders=[wanted["compute"]],
        )
        bridge.register()
        row, column = np.unravel_index(heights.argmax(), heights.shape)
        x, width, _, y, _, height = geotransform
        summit = (x + (column + 0.5) * width, y + (row + 0.5) * height)
        told: dict[str, Any] = {"problems": bridge.problems}
        told["terrain"] = terrain(dem)
        told["water_and_sight"] = water_and_sight(dem, heights, summit)
        told["clusters"] = clusters()
        told["classified"] = classified(dem, heights, geotransform)
        bridge.close()
    standalone.report(told)


main()
