# SPDX-License-Identifier: MIT
"""Features as they cross: columns of attributes, and geometries as WKB.

numpy is imported where it is used, geopandas and pyarrow in geo_frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ringbridge.compute import wkb
from ringbridge.compute.column import Column

if TYPE_CHECKING:
    import numpy as np


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
        return cls(columns, wkb.of_points(xy), crs)

    def __len__(self) -> int:
        for column in self._all():
            return len(column)
        return 0

    def _all(self) -> list[Column]:
        """Compared with None: a geometry of no rows is false, and there all the same."""
        return [*self.columns.values(), *([] if self.geometry is None else [self.geometry])]

    def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
        """A column as an array: texts as objects, numbers with missing ones masked."""
        return self.columns[name].to_numpy()

    def with_columns(self, **columns: Any) -> Vector:
        """The same features with more columns, or others of the same names."""
        return Vector({**self.columns, **columns}, self.geometry, self.crs)

    def xy(self) -> np.ndarray[Any, Any]:
        """The coordinates of points, (n, 2), NaN where there is none. ValueError for others."""
        if self.geometry is None:
            raise ValueError("a table has no coordinates")
        return wkb.xy(self.geometry)

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
            "geometry": None if self.geometry is None else self.geometry.to_plain(),
            "crs": self.crs,
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Vector:
        """The reverse of to_plain."""
        columns = {name: Column.from_plain(column) for name, column in plain["columns"].items()}
        geometry = plain["geometry"]
        return cls(columns, geometry and Column.from_plain(geometry), plain["crs"])

    def part(self, start: int, stop: int) -> Vector:
        """The features from `start` to before `stop`; their values lie where they lay."""
        geometry = None if self.geometry is None else self.geometry.part(start, stop)
        columns = {name: column.part(start, stop) for name, column in self.columns.items()}
        return Vector(columns, geometry, self.crs)

    def __repr__(self) -> str:
        what = "table" if self.geometry is None else "features"
        return f"<Vector {len(self)} {what}, columns {list(self.columns)}>"
