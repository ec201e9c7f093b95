# SPDX-License-Identifier: MIT
"""Features as they cross: columns of attributes, and geometries as WKB.

numpy is imported where it is used, geopandas and pyarrow in geo_frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ringbridge.compute.column import Column

if TYPE_CHECKING:
    import numpy as np

_POINT_BYTES = 21  # WKB: byte order, type, x, y
_POINT_TYPES = (1, 0x80000001, 1001)  # a point, and that with z as two standards write it


class Vector:
    """A table with a geometry for each row, or with none.

    columns   name -> Column, all of one length
    geometry  a Column of WKB, little-endian; missing where a feature has none; None for a table
    crs       WKT, or "" where it is not known
    """

    __slots__ = ("columns", "crs", "geometry")

    def __init__(
        self, columns: Mapping[str, Any], geometry: Column | None = None, crs: str = ""
    ) -> None:
        """Columns may be arrays, or lists that may have Nones. Raises ValueError where their
        lengths differ, TypeError for values that cannot cross."""
        self.columns = {name: Column.of(values) for name, values in columns.items()}
        self.geometry = geometry
        self.crs = crs
        lengths = {name: len(column) for name, column in self.columns.items()}
        if geometry is not None:
            lengths["geometry"] = len(geometry)
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns of different lengths: {lengths}")

    @classmethod
    def points(cls, xy: Any, crs: str = "", **columns: Any) -> Vector:
        """Points, of an array of (n, 2)."""
        import numpy as np

        xy = np.asarray(xy, "float64").reshape(-1, 2)
        wkb: np.ndarray[Any, Any] = np.zeros(
            len(xy), [("order", "u1"), ("type", "<u4"), ("xy", "<f8", 2)]
        )
        wkb["order"], wkb["type"], wkb["xy"] = 1, 1, xy
        offsets = np.arange(len(xy) + 1, dtype="int64") * _POINT_BYTES
        return cls(columns, Column("bytes", wkb.view("u1"), offsets), crs)

    def __len__(self) -> int:
        for column in [*self.columns.values(), *([self.geometry] if self.geometry else [])]:
            return len(column)
        return 0

    def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
        """A column as an array: texts as objects, numbers with missing ones masked."""
        return self.columns[name].to_numpy()

    def with_columns(self, **columns: Any) -> Vector:
        """The same features with more columns, or others of the same names."""
        return Vector({**self.columns, **columns}, self.geometry, self.crs)

    def xy(self) -> np.ndarray[Any, Any]:
        """The coordinates of points, (n, 2), NaN where there is none. ValueError for others."""
        import numpy as np

        if self.geometry is None or self.geometry.offsets is None:
            raise ValueError("a table has no coordinates")
        xy: np.ndarray[Any, Any] = np.full((len(self), 2), np.nan)
        starts, ends = self.geometry.offsets[:-1], self.geometry.offsets[1:]
        there = ends > starts
        if not there.any():
            return xy
        at = starts[there][:, None]
        if (ends[there] - starts[there]).min() < _POINT_BYTES:
            raise ValueError("geometries that are not points have no single coordinates")
        head = self.geometry.values[at + np.arange(1, 5)].view("<u4")
        if not np.isin(head, _POINT_TYPES).all():
            raise ValueError("geometries that are not points have no single coordinates")
        xy[there] = self.geometry.values[at + np.arange(5, _POINT_BYTES)].view("<f8")
        return xy

    def to_geopandas(self) -> Any:
        """A GeoDataFrame; a DataFrame without geometry. Needs geopandas."""
        from ringbridge.compute import geo_frames

        return geo_frames.to_geopandas(self)

    def to_arrow(self) -> Any:
        """A pyarrow.Table; geometries as a column `geometry` of geoarrow.wkb. Needs pyarrow."""
        from ringbridge.compute import geo_frames

        return geo_frames.to_arrow(self)

    def to_plain(self) -> dict[str, Any]:
        """As it crosses."""
        return {
            "columns": {name: column.to_plain() for name, column in self.columns.items()},
            "geometry": self.geometry and self.geometry.to_plain(),
            "crs": self.crs,
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Vector:
        """The reverse of to_plain."""
        columns = {name: Column.from_plain(column) for name, column in plain["columns"].items()}
        geometry = plain["geometry"] and Column.from_plain(plain["geometry"])
        return cls(columns, geometry, plain["crs"])

    def __repr__(self) -> str:
        what = "table" if self.geometry is None else "features"
        return f"<Vector {len(self)} {what}, columns {list(self.columns)}>"
