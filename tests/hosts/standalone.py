# SPDX-License-Identifier: MIT
"""QGIS without its window, with Processing and a plugin's Bridge, for scripts that its Python runs.

Judges nothing. RBR_HOSTS_SETTINGS names a file of JSON: copy (a folder with ringbridge in it),
environment and folders (a Bridge's), work (a folder for files), report (where the report goes).
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from osgeo import gdal
from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsProcessingContext,
    QgsProcessingFeedback,
)

ORIGIN = (500_000.0, 30.0, 0.0, 4_000_000.0, 0.0, -30.0)


def settings() -> dict[str, Any]:
    with open(os.environ["RBR_HOSTS_SETTINGS"], encoding="utf-8") as file:
        return json.load(file)  # type: ignore[no-any-return]


@contextmanager
def qgis() -> Iterator[Any]:
    """The application, and ringbridge importable."""
    QgsApplication.setPrefixPath("/usr", True)
    application = QgsApplication([], False, os.environ["QGIS_CUSTOM_CONFIG_PATH"])
    application.initQgis()
    sys.path.append("/usr/share/qgis/python/plugins")
    from processing.core.Processing import Processing

    Processing.initialize()
    sys.path.insert(0, settings()["copy"])
    gdal.DontUseExceptions()
    try:
        yield application
    finally:
        application.exitQgis()


class Feedback(QgsProcessingFeedback):
    """Keeps what an algorithm says."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.errors: list[str] = []
        self.texts: list[str] = []
        self.fractions: list[float] = []
        self.progressChanged.connect(self.fractions.append)

    def pushInfo(self, text: str) -> None:
        self.said.append(text)

    def pushWarning(self, text: str) -> None:
        self.said.append(text)

    def setProgressText(self, text: str) -> None:
        self.texts.append(text)

    def reportError(self, text: str, fatalError: bool = False) -> None:
        self.errors.append(text)


def run(algorithm: str, feedback: Feedback | None = None, **parameters: Any) -> dict[str, Any]:
    """What processing.run gives, or {"error": its message}; with the seconds that it took."""
    import processing
    from qgis.core import QgsProcessingException

    feedback = feedback or Feedback()
    began = time.perf_counter()
    try:
        told = processing.run(algorithm, parameters, feedback=feedback, context=context())
        told = {name: value for name, value in told.items()}
    except QgsProcessingException as error:
        told = {"error": str(error)}
    return {
        **told,
        "seconds": time.perf_counter() - began,
        "said": feedback.said,
        "errors": feedback.errors,
        "texts": feedback.texts,
        "progress": [min(feedback.fractions, default=-1.0), max(feedback.fractions, default=-1.0)],
    }


def context() -> QgsProcessingContext:
    made = QgsProcessingContext()
    from qgis.core import QgsProject

    made.setProject(QgsProject.instance())
    return made


def write_raster(
    path: str,
    values: Any,
    nodata: float | None = None,
    crs: str = "EPSG:32617",
    geotransform: tuple[float, ...] = ORIGIN,
) -> str:
    """A GeoTIFF of these values, of (rows, columns) or (bands, rows, columns)."""
    from osgeo import gdal_array

    layers = values if values.ndim == 3 else values[None]
    kind = gdal_array.NumericTypeCodeToGDALTypeCode(values.dtype.type)
    shape = (layers.shape[2], layers.shape[1], layers.shape[0])
    made = gdal.GetDriverByName("GTiff").Create(path, *shape, kind)
    made.SetGeoTransform(list(geotransform))
    made.SetProjection(QgsCoordinateReferenceSystem(crs).toWkt())
    for number, layer in enumerate(layers, 1):
        made.GetRasterBand(number).WriteArray(layer)
        if nodata is not None:
            made.GetRasterBand(number).SetNoDataValue(nodata)
    return path


def read_raster(path: str) -> dict[str, Any]:
    """Values and what places them."""
    data = gdal.Open(path)
    band = data.GetRasterBand(1)
    return {
        "values": data.ReadAsArray(),
        "dtype": gdal.GetDataTypeName(band.DataType),
        "nodata": band.GetNoDataValue(),
        "name": band.GetDescription(),
        "geotransform": list(data.GetGeoTransform()),
        "crs": data.GetProjection(),
    }


def difference(one: str, other: str) -> float:
    """The largest one between two rasters."""
    first, second = (read_raster(each)["values"].astype("f8") for each in (one, other))
    return float(np.abs(first - second).max())


def report(told: dict[str, Any]) -> None:
    with open(settings()["report"], "w", encoding="utf-8") as file:
        json.dump(told, file, default=str)
