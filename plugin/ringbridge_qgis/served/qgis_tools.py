# SPDX-License-Identifier: MIT
"""What this QGIS lends to other interpreters, where its user has switched that on.

    qgis = ringbridge.connect("qgis").load("qgis_tools")
    qgis.add_raster(values, "slope", extent=(0, 0, 10, 10), crs="EPSG:32617")

Everything here runs on QGIS's main thread. It works in a script without a window, too, but for what
needs the map canvas. A layer is meant by its id, its name, or itself (a handle of active_layer()).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsMapLayer,
    QgsMapRendererCustomPainterJob,
    QgsMapSettings,
    QgsProcessingFeedback,
    QgsProcessingUtils,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.PyQt import sip
from qgis.PyQt.QtGui import QImage, QPainter

import ringbridge

__all__ = [
    *("layers", "layer", "active_layer", "add_raster", "add_vector", "remove_layer"),
    *("zoom_to", "canvas_image", "run_algorithm"),
]
_MARGIN = 1.05  # around what is zoomed to
_LOOK_S = 0.05  # how often it is looked whether the caller has cancelled an algorithm


def layers() -> list[dict[str, Any]]:
    """The project's layers, the uppermost first: id, name, kind, provider, source, crs, extent;
    of rasters size (columns, rows), of vectors features."""
    order = QgsProject.instance().layerTreeRoot().layerOrder()
    return [_described(each) for each in order]


def layer(which: Any) -> Any:
    """A handle on a layer: its methods are called here, `layer(id).setOpacity(0.5)`."""
    return _found(which)


def active_layer() -> Any:
    """A handle on the layer that is selected in QGIS's window; None: none is."""
    return _window().activeLayer()


def add_raster(
    raster: Any,
    name: str = "",
    *,
    extent: Sequence[float] | None = None,
    crs: str = "",
    nodata: float | None = None,
) -> str:
    """Adds a raster to the project; the new layer's id.

    `raster` is a path, or an array (rows, columns) or (bands, rows, columns), which is written to a
    temporary file. An array needs its extent (xmin, ymin, xmax, ymax) and its crs ("EPSG:32617").
    """
    if isinstance(raster, str):
        return _add(QgsRasterLayer(raster, name or Path(raster).stem), raster)
    if extent is None or not crs:
        raise ValueError("an array needs extent=(xmin, ymin, xmax, ymax) and crs='EPSG:...'")
    path = QgsProcessingUtils.generateTempFilename("raster.tif")
    _write(path, raster, extent, _crs(crs), nodata)
    return _add(QgsRasterLayer(path, name or "raster"), path)


def add_vector(source: str | Mapping[str, Any], name: str = "") -> str:
    """Adds features to the project; the new layer's id. `source` is a path, or GeoJSON: its text or
    its dict."""
    if isinstance(source, str) and not source.lstrip().startswith("{"):
        return _add(QgsVectorLayer(source, name or Path(source).stem, "ogr"), source)
    text = source if isinstance(source, str) else json.dumps(source)
    path = QgsProcessingUtils.generateTempFilename("features.geojson")
    Path(path).write_text(text, "utf-8")
    return _add(QgsVectorLayer(path, name or "features", "ogr"), "the GeoJSON")


def remove_layer(which: Any) -> None:
    """Takes a layer out of the project."""
    QgsProject.instance().removeMapLayer(_found(which).id())
    if _has_window():
        _window().mapCanvas().refresh()


def zoom_to(target: Any = None) -> None:
    """Shows a layer, an extent (xmin, ymin, xmax, ymax) in the project's CRS, or (None) all."""
    canvas = _window().mapCanvas()
    if target is None:
        canvas.zoomToFullExtent()
        return
    if isinstance(target, (list, tuple)):
        shown = QgsRectangle(*map(float, target))
    else:
        found, project = _found(target), QgsProject.instance()
        there = canvas.mapSettings().destinationCrs()
        transform = QgsCoordinateTransform(found.crs(), there, project)
        shown = transform.transformBoundingBox(found.extent())
        shown.scale(_MARGIN)
    canvas.setExtent(shown)
    canvas.refresh()


def canvas_image() -> Any:
    """What the map shows now, as an array (rows, columns, 4) of bytes: red, green, blue, opacity.

    It is drawn into memory that the caller has mapped: nothing is copied.
    """
    settings = QgsMapSettings(_window().mapCanvas().mapSettings())
    size = settings.outputSize()
    pixels = ringbridge.empty((size.height(), size.width(), 4), "uint8")
    image = QImage(
        sip.voidptr(pixels.ctypes.data),
        *(size.width(), size.height(), size.width() * 4),
        QImage.Format.Format_RGBA8888_Premultiplied,
    )
    image.fill(settings.backgroundColor())
    painter = QPainter(image)
    QgsMapRendererCustomPainterJob(settings, painter).renderSynchronously()
    painter.end()
    return pixels


def run_algorithm(algorithm: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Runs an algorithm of Processing; its results. Layers among these are added to the project,
    and told by their ids. The caller sees its progress, and may cancel it."""
    import processing  # there only once QGIS has loaded its plugins

    feedback = _Feedback()
    with feedback.cancelled_by_the_caller():
        results = processing.run(algorithm, dict(parameters or {}), feedback=feedback)
    feedback.task.check_cancelled()
    return {name: _told(value) for name, value in results.items()}


class _Feedback(QgsProcessingFeedback):
    """Tells the caller how far the algorithm is, and is cancelled when the call is."""

    def __init__(self) -> None:
        super().__init__()
        self.task = ringbridge.current_task()
        self.progressChanged.connect(self._tell)

    def _tell(self, percent: float) -> None:
        with suppress(ringbridge.Cancelled):  # what a slot raises would end QGIS
            self.task.progress(fraction=min(max(percent / 100, 0.0), 1.0))

    @contextmanager
    def cancelled_by_the_caller(self) -> Iterator[None]:
        """Cancels as soon as the caller does.

        From a thread, as QGIS does it between its window and an algorithm: progress may be told
        seconds apart, or never, where an algorithm looks at its feedback at each feature.
        """
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(_LOOK_S):
                if self.task.cancelled:
                    self.cancel()
                    return

        watcher = threading.Thread(target=watch, name="ringbridge-cancel", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()


def _described(each: Any) -> dict[str, Any]:
    extent = each.extent()
    told = {
        "id": each.id(),
        "name": each.name(),
        "kind": "other",
        "provider": each.providerType(),
        "source": each.source(),
        "crs": each.crs().authid(),
        "extent": (extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()),
    }
    if isinstance(each, QgsRasterLayer):
        return {**told, "kind": "raster", "size": (each.width(), each.height())}
    if isinstance(each, QgsVectorLayer):
        return {**told, "kind": "vector", "features": each.featureCount()}
    return told


def _told(value: Any) -> Any:
    return _add(value, "the result") if isinstance(value, QgsMapLayer) else value


def _add(made: Any, what: str) -> str:
    if not made.isValid():
        reason = made.error().summary() or "there is no such file, or it has another format"
        raise ValueError(f"QGIS cannot read {what}: {reason}")
    return str(QgsProject.instance().addMapLayer(made).id())


def _found(which: Any) -> Any:
    if isinstance(which, QgsMapLayer):
        return which
    project = QgsProject.instance()
    found = project.mapLayer(which)
    named = [found] if found is not None else project.mapLayersByName(which)
    if len(named) != 1:
        fits = f"{len(named)} layers are called" if named else "no layer has the id or the name"
        raise LookupError(f"{fits} {which!r}: layers() tells their ids")
    return named[0]


def _crs(text: str) -> QgsCoordinateReferenceSystem:
    crs = QgsCoordinateReferenceSystem(text)
    if not crs.isValid():
        raise ValueError(f"{text!r} is no CRS that QGIS knows: 'EPSG:4326', for example")
    return crs


def _write(
    path: str,
    values: Any,
    extent: Sequence[float],
    crs: QgsCoordinateReferenceSystem,
    nodata: float | None,
) -> None:
    import numpy as np
    from osgeo import gdal, gdal_array

    cells = np.asarray(values)
    cells = cells.astype("uint8") if cells.dtype == bool else cells
    bands = cells if cells.ndim == 3 else cells[None]
    kind = gdal_array.NumericTypeCodeToGDALTypeCode(cells.dtype.type)
    if bands.ndim != 3 or 0 in bands.shape or kind is None:
        raise ValueError(
            f"an array of {cells.dtype} and shape {cells.shape} is no raster: (rows, columns) or "
            "(bands, rows, columns) of numbers"
        )
    count, rows, columns = bands.shape
    x_min, y_min, x_max, y_max = map(float, extent)
    made = gdal.GetDriverByName("GTiff").Create(path, columns, rows, count, kind)
    made.SetGeoTransform(
        (x_min, (x_max - x_min) / columns, 0.0, y_max, 0.0, (y_min - y_max) / rows)
    )
    made.SetProjection(crs.toWkt(QgsCoordinateReferenceSystem.WKT_PREFERRED_GDAL))
    for number, band in enumerate(bands, 1):
        made.GetRasterBand(number).WriteArray(band)
        if nodata is not None:
            made.GetRasterBand(number).SetNoDataValue(nodata)
    made.FlushCache()


def _has_window() -> bool:
    from qgis.utils import iface

    return iface is not None


def _window() -> Any:
    if not _has_window():
        raise RuntimeError("this QGIS has no window: only a running QGIS can do that")
    from qgis.utils import iface

    return iface
