# SPDX-License-Identifier: MIT
"""Reads a raster layer into arrays that somebody else has made, some rows at a time.

Layers of GDAL's provider are read by GDAL, which knows how to fill an array without a copy; those
of others (WCS, a virtual raster, a memory one) by their provider. `describe` is for the main
thread, where layers live; a source is opened and used on the thread that runs the algorithm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from osgeo import gdal
from qgis.core import (
    Qgis,
    QgsCoordinateReferenceSystem,
    QgsProcessingException,
    QgsRectangle,
)

_DTYPES = {
    gdal.GDT_Byte: "uint8",
    gdal.GDT_UInt16: "uint16",
    gdal.GDT_Int16: "int16",
    gdal.GDT_UInt32: "uint32",
    gdal.GDT_Int32: "int32",
    gdal.GDT_Float32: "float32",
    gdal.GDT_Float64: "float64",
    gdal.GDT_CInt16: "complex64",
    gdal.GDT_CInt32: "complex128",
    gdal.GDT_CFloat32: "complex64",
    gdal.GDT_CFloat64: "complex128",
    getattr(gdal, "GDT_Int64", -1): "int64",
    getattr(gdal, "GDT_UInt64", -2): "uint64",
    getattr(gdal, "GDT_Int8", -3): "int8",
}
_QGIS_DTYPES = {
    Qgis.Byte: "uint8",
    Qgis.UInt16: "uint16",
    Qgis.Int16: "int16",
    Qgis.UInt32: "uint32",
    Qgis.Int32: "int32",
    Qgis.Float32: "float32",
    Qgis.Float64: "float64",
}
_NOWHERE = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


@dataclass(frozen=True)
class Grid:
    """Where a raster's cells are. Two rasters fit each other where these are equal."""

    rows: int
    columns: int
    geotransform: tuple[float, ...]
    crs: str


@dataclass(frozen=True)
class Described:
    """A layer as the main thread saw it: enough to open its source on another one."""

    name: str
    path: str
    provider: Any
    crs: str


def describe(layer: Any) -> Described:
    """Of a QgsRasterLayer; on the main thread. Raises QgsProcessingException for a broken one."""
    if layer is None or not layer.isValid():
        raise QgsProcessingException("the raster layer cannot be read: its source is missing")
    is_gdal = layer.dataProvider().name() == "gdal"
    wkt = layer.crs().toWkt(QgsCoordinateReferenceSystem.WKT2_2019)
    provider = None if is_gdal else layer.dataProvider().clone()
    return Described(layer.name(), layer.source() if is_gdal else "", provider, wkt)


def open_source(described: Described) -> GdalSource | ProviderSource:
    """Raises QgsProcessingException for what is no longer there."""
    if described.provider is not None:
        return ProviderSource(described)
    return GdalSource(described)


class GdalSource:
    """A file or a connection that GDAL reads."""

    def __init__(self, described: Described) -> None:
        path, *options = described.path.split("|option:")
        self._dataset = gdal.OpenEx(path, gdal.OF_RASTER, open_options=options)
        if self._dataset is None:
            raise QgsProcessingException(
                f"{described.name}: {path} cannot be read: {gdal.GetLastErrorMsg()}"
            )
        data = self._dataset
        # GDAL's own default has the first row at the bottom; QGIS draws such a file as this.
        transform = tuple(data.GetGeoTransform(can_return_null=True) or _NOWHERE)
        self.name = described.name
        self.count: int = data.RasterCount
        self.grid = Grid(data.RasterYSize, data.RasterXSize, transform, described.crs)
        self.block_rows: int = data.GetRasterBand(1).GetBlockSize()[1]

    def dtype(self, bands: list[int]) -> Any:
        """One that holds what is in these bands."""
        found = (_DTYPES[self._dataset.GetRasterBand(band).DataType] for band in bands)
        return np.result_type(*found)

    def nodata(self, band: int) -> float | None:
        value: float | None = self._dataset.GetRasterBand(band).GetNoDataValue()
        return value

    def band_name(self, band: int) -> str:
        return self._dataset.GetRasterBand(band).GetDescription() or f"Band {band}"

    def read(self, band: int, row: int, out: np.ndarray[Any, Any]) -> None:
        """Fills `out` of (rows, columns) with the rows from `row` on. Releases the GIL."""
        rows, columns = out.shape
        made = self._dataset.GetRasterBand(band).ReadAsArray(0, row, columns, rows, buf_obj=out)
        if made is None:
            raise QgsProcessingException(
                f"{self.name}, rows {row} to {row + rows}: {gdal.GetLastErrorMsg()}"
            )


class ProviderSource:
    """What another provider than GDAL's gives, in blocks."""

    block_rows = 1

    def __init__(self, described: Described) -> None:
        self._provider = provider = described.provider
        self.name = described.name
        self.count: int = provider.bandCount()
        if not provider.capabilities() & provider.Size:
            raise QgsProcessingException(
                f"{described.name} has no cells of its own: export it as a GeoTIFF first"
            )
        extent, rows, columns = provider.extent(), provider.ySize(), provider.xSize()
        width, height = extent.width() / columns, extent.height() / rows
        transform = (extent.xMinimum(), width, 0.0, extent.yMaximum(), 0.0, -height)
        self.grid = Grid(rows, columns, transform, described.crs)

    def dtype(self, bands: list[int]) -> Any:
        """One that holds what is in these bands."""
        found = (_QGIS_DTYPES.get(self._provider.dataType(band), "float64") for band in bands)
        return np.result_type(*found)

    def nodata(self, band: int) -> float | None:
        has = self._provider.sourceHasNoDataValue(band)
        return float(self._provider.sourceNoDataValue(band)) if has else None

    def band_name(self, band: int) -> str:
        name: str = self._provider.generateBandName(band)
        return name

    def read(self, band: int, row: int, out: np.ndarray[Any, Any]) -> None:
        """Fills `out` of (rows, columns) with the rows from `row` on."""
        rows, columns = out.shape
        x, width, _, y, _, height = self.grid.geotransform
        top, bottom = y + row * height, y + (row + rows) * height
        box = QgsRectangle(x, bottom, x + columns * width, top)
        block = self._provider.block(band, box, columns, rows)
        if not block.isValid():
            raise QgsProcessingException(
                f"{self.name}, rows {row} to {row + rows}: {block.error().message()}"
            )
        dtype = _QGIS_DTYPES.get(block.dataType(), "float64")
        out[...] = np.frombuffer(bytes(block.data()), dtype).reshape(out.shape)
