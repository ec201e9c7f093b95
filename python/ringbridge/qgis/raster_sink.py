# SPDX-License-Identifier: MIT
"""Writes a result's arrays to a raster file, some rows at a time, by GDAL.

A format that GDAL can only copy to (PNG, JPEG) is collected in memory and written at the end. A
file that is not finished is taken away again.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

import numpy as np
from osgeo import gdal
from qgis.core import QgsProcessingException, QgsRasterFileWriter

from ringbridge.qgis.raster_source import Grid

_TYPES = {
    "uint8": gdal.GDT_Byte,
    "uint16": gdal.GDT_UInt16,
    "int16": gdal.GDT_Int16,
    "uint32": gdal.GDT_UInt32,
    "int32": gdal.GDT_Int32,
    "float32": gdal.GDT_Float32,
    "float64": gdal.GDT_Float64,
    "complex64": gdal.GDT_CFloat32,
    "complex128": gdal.GDT_CFloat64,
}
#: What has no type of GDAL's that every QGIS reads: the smallest one that holds it.
_WIDER = {"bool": "uint8", "int8": "int16", "float16": "float32", "longdouble": "float64"}
#: 64-bit integers come in GDAL 3.5, and in QGIS later: they fit here, or become floats.
_LONG = {"int64": "int32", "uint64": "uint32"}
_OPTIONS = {"GTiff": ["BIGTIFF=IF_SAFER"]}


class RasterSink:
    """One output file, made when its first rows come: they say its type.

    As a context manager it is complete at the end of the block, or gone where that failed.
    """

    def __init__(self, path: str, label: str) -> None:
        self.path = path
        self.label = label
        self._driver_name = QgsRasterFileWriter.driverForExtension(os.path.splitext(path)[1])
        self._driver = gdal.GetDriverByName(self._driver_name or "GTiff")
        if self._driver is None:
            raise QgsProcessingException(f"{label}: GDAL has no driver for {path}")
        self._dataset: Any = None
        self._dtype: Any = None
        self._has_begun = False

    @property
    def _creates(self) -> bool:
        return bool(self._driver.GetMetadataItem(gdal.DCAP_CREATE) == "YES")

    def begin(self, grid: Grid, values: np.ndarray[Any, Any], nodata: Any, bands: Any) -> None:
        """Makes the file for values of this dtype, and as many bands."""
        count = values.shape[0] if values.ndim == 3 else 1
        self._dtype = _written_as(values)
        driver = self._driver if self._creates else gdal.GetDriverByName("MEM")
        options = _OPTIONS.get(driver.ShortName, [])
        shape = (grid.columns, grid.rows, count, _TYPES[self._dtype.name])
        self._has_begun = True
        self._dataset = driver.Create(self.path, *shape, options=options)
        if self._dataset is None:
            raise QgsProcessingException(
                f"{self.label}: {self.path} cannot be made: {gdal.GetLastErrorMsg()}"
            )
        self._dataset.SetGeoTransform(list(grid.geotransform))
        self._dataset.SetProjection(grid.crs)
        for band in range(1, count + 1):
            made = self._dataset.GetRasterBand(band)
            if nodata is not None:
                made.SetNoDataValue(float(nodata))
            if len(bands) >= band:
                made.SetDescription(str(bands[band - 1]))

    def write(self, row: int, values: np.ndarray[Any, Any]) -> None:
        """Rows from `row` on, of (rows, columns) or (bands, rows, columns). Releases the GIL."""
        if values.dtype != self._dtype:
            values = _cast(values, self._dtype, self.label)
        layers = values if values.ndim == 3 else values[None]
        for band, layer in enumerate(layers, 1):
            if self._dataset.GetRasterBand(band).WriteArray(layer, 0, row) != gdal.CE_None:
                raise QgsProcessingException(
                    f"{self.label}: {self.path} cannot be written: {gdal.GetLastErrorMsg()}"
                )

    def __enter__(self) -> RasterSink:
        return self

    def __exit__(self, kind: object, *_rest: object) -> None:
        is_complete = False
        try:
            if kind is None and self._dataset is not None:
                self._finish()
            is_complete = kind is None
        finally:
            self._dataset = None
            if self._has_begun and not is_complete:
                self._remove()

    def _finish(self) -> None:
        gdal.ErrorReset()
        if not self._creates:
            self._dataset = self._driver.CreateCopy(self.path, self._dataset, strict=0)
        is_made = self._dataset is not None
        if is_made:
            self._dataset.FlushCache()
        problem = _last_failure()  # the first tells more than those that follow from it
        self._dataset = None  # what some formats write at the end may fail, too
        problem = problem or _last_failure()
        if problem or not is_made:
            raise QgsProcessingException(f"{self.label}: {self.path} cannot be written: {problem}")

    def _remove(self) -> None:
        """Also a file of which GDAL cannot read so much as what belongs to it."""
        if not os.access(self.path, os.W_OK):
            return  # one that could not be overwritten, and is as it was
        with contextlib.suppress(RuntimeError):
            self._driver.Delete(self.path)
        with contextlib.suppress(OSError):
            os.unlink(self.path)


def _last_failure() -> str:
    """What GDAL said last in this thread since ErrorReset(), where that was an error."""
    failed = gdal.GetLastErrorType() >= gdal.CE_Failure
    return str(gdal.GetLastErrorMsg()) or "GDAL does not say why" if failed else ""


def _written_as(values: np.ndarray[Any, Any]) -> np.dtype[Any]:
    name = values.dtype.name
    if name in _LONG:
        narrow: np.dtype[Any] = np.dtype(_LONG[name])
        limits = np.iinfo(narrow)
        fits = not values.size or (values.min() >= limits.min and values.max() <= limits.max)
        return narrow if fits else np.dtype("float64")
    name = _WIDER.get(name, name)
    if name not in _TYPES:
        raise QgsProcessingException(f"a raster of {values.dtype} cannot be written")
    dtype: np.dtype[Any] = np.dtype(name)
    return dtype


def _cast(values: np.ndarray[Any, Any], dtype: Any, label: str) -> np.ndarray[Any, Any]:
    """Raises where later rows do not fit the type of the first ones."""
    cast = values.astype(dtype)
    if dtype.kind in "iu" and not np.array_equal(cast, values):
        # 64-bit integers are written narrower, by what the first rows have.
        advice = "float64, or 32 bits" if values.dtype.name in _LONG else "one dtype"
        raise QgsProcessingException(
            f"{label}: values of {values.dtype} do not fit the {dtype} that its first rows had; "
            f"let the function give {advice}"
        )
    return cast
