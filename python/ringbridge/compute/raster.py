# SPDX-License-Identifier: MIT
"""A raster as it crosses: an array, and what places it on the earth.

numpy is imported where it is used. Knows neither GDAL nor QGIS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

_NOWHERE = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)  # of an array alone: the first row is the northern one


class Raster:
    """Values on a grid.

    values        an array of (rows, columns), or (bands, rows, columns); any plain dtype
    geotransform  GDAL's six numbers: x of the upper left corner, cell width, rotation, y of that
                  corner, rotation, minus cell height (negative where north is up)
    crs           WKT, or "" where it is not known
    nodata        the number that stands for nothing, or None
    bands         the bands' names, or ()
    """

    __slots__ = ("bands", "crs", "geotransform", "nodata", "values")

    def __init__(
        self,
        values: np.ndarray[Any, Any],
        geotransform: tuple[float, ...] = _NOWHERE,
        crs: str = "",
        nodata: float | None = None,
        bands: tuple[str, ...] = (),
    ) -> None:
        """A masked array's mask is filled with `nodata`, or with the array's own fill value.

        Raises ValueError for another number of dimensions, TypeError for what are no numbers.
        """
        import numpy as np

        if isinstance(values, np.ma.MaskedArray):
            nodata = values.fill_value.item() if nodata is None else nodata
            values = values.filled(nodata)
        array = np.asarray(values)
        if array.dtype.kind not in "biufc":
            raise TypeError(f"a raster is of numbers, not {array.dtype}")
        if array.ndim not in (2, 3):
            raise ValueError(
                f"a raster is of (rows, columns) or (bands, rows, columns), not {array.shape}"
            )
        self.values = array
        self.geotransform = tuple(map(float, geotransform))
        if len(self.geotransform) != 6:
            raise ValueError(f"a geotransform has six numbers, not {len(self.geotransform)}")
        self.crs = crs
        self.nodata: float | None = nodata.item() if isinstance(nodata, np.generic) else nodata
        self.bands = tuple(bands)

    def like(
        self,
        values: np.ndarray[Any, Any],
        nodata: float | None = None,
        bands: tuple[str, ...] = (),
    ) -> Raster:
        """Other values on this grid. Raises ValueError where they have other rows or columns."""
        made = Raster(values, self.geotransform, self.crs, nodata, bands)
        if made.shape != self.shape:
            raise ValueError(f"values of {made.shape} do not fit a grid of {self.shape}")
        return made

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        rows, columns = self.values.shape[-2:]
        return rows, columns

    @property
    def count(self) -> int:
        """How many bands."""
        return self.values.shape[0] if self.values.ndim == 3 else 1

    @property
    def cell_size(self) -> tuple[float, float]:
        """(width, height) of a cell, both positive, in the units of the CRS."""
        _, width, skew_x, _, skew_y, height = self.geotransform
        return (width**2 + skew_y**2) ** 0.5, (skew_x**2 + height**2) ** 0.5

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(xmin, ymin, xmax, ymax)."""
        rows, columns = self.shape
        corners = [self.xy(r - 0.5, c - 0.5) for r in (0, rows) for c in (0, columns)]
        xs, ys = zip(*corners)
        return min(xs), min(ys), max(xs), max(ys)

    def xy(self, row: Any, column: Any) -> tuple[Any, Any]:
        """Where the centre of a cell is; numbers, or arrays of them."""
        x, width, skew_x, y, skew_y, height = self.geotransform
        right, down = column + 0.5, row + 0.5
        return x + right * width + down * skew_x, y + right * skew_y + down * height

    def cell_at(self, x: Any, y: Any) -> tuple[Any, Any]:
        """(row, column) of the cell that a place is in; it may lie outside. Numbers or arrays."""
        import numpy as np

        left, width, skew_x, top, skew_y, height = self.geotransform
        determinant = width * height - skew_x * skew_y
        right, down = np.subtract(x, left), np.subtract(y, top)
        column = (right * height - down * skew_x) / determinant
        row = (down * width - right * skew_y) / determinant
        return np.floor(row).astype(int)[()], np.floor(column).astype(int)[()]

    def valid(self) -> np.ndarray[Any, Any]:
        """bool, True where there is a value: neither no-data nor NaN."""
        import numpy as np

        mask: np.ndarray[Any, Any] = np.ones(self.values.shape, bool)
        if self.values.dtype.kind in "fc":
            np.logical_not(np.isnan(self.values), out=mask)
        if self.nodata is not None and self.nodata == self.nodata:
            mask &= self.values != self.nodata
        return mask

    def filled(self, fill: float = float("nan"), dtype: Any = "float32") -> np.ndarray[Any, Any]:
        """A copy of the values as `dtype`, with `fill` where there is none."""
        values: np.ndarray[Any, Any] = self.values.astype(dtype)
        values[~self.valid()] = fill
        return values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        array: np.ndarray[Any, Any] = self.values
        array = array if dtype is None else array.astype(dtype, copy=False)
        return array.copy() if copy else array

    def __repr__(self) -> str:
        what = "x".join(map(str, self.values.shape))
        return f"<Raster {what} {self.values.dtype}, cell {self.cell_size}, nodata {self.nodata}>"

    def to_plain(self) -> dict[str, Any]:
        """As it crosses."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Raster:
        """The reverse of to_plain."""
        return cls(**plain)
