# SPDX-License-Identifier: MIT
"""Vectors as GeoDataFrames and Arrow tables, and back; no loop of Python's over the features.

The only place, with arrow_columns, that imports geopandas, shapely, pandas and pyarrow, when it is
called. Frames need no pyarrow; with it, texts are faster.

What differs in a frame: whole numbers and bools of which some are missing are pandas' nullable
Int32, boolean and so on; dates are datetime64[s], since pandas has no days; a missing float and NaN
are the same. On the way back datetime64[s] that are all midnights are dates, NaN is missing, and
datetimes with a time zone become those of UTC.

An index that says something becomes columns, in front, as of reset_index(): a named one, one of
texts or dates, one of several levels. One of numbers without a name does not: filtering and sorting
leave such behind, and it says only where a row once was.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from ringbridge.compute import arrow_columns, column_values, wkb
from ringbridge.compute.column import Column, pack
from ringbridge.compute.vector import Vector

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_LITTLE_ENDIAN = 1


# ------------------------------------------------------------------------------------------- there


def to_arrow(vector: Vector) -> Any:
    """A pyarrow.Table; geometries as geoarrow.wkb in a column `geometry`. Needs pyarrow.

    Where an attribute is called so, the geometry's column gets more underscores.
    """
    import pyarrow as pa

    arrays = {name: arrow_columns.array_of(column) for name, column in vector.columns.items()}
    fields = [pa.field(name, array.type) for name, array in arrays.items()]
    if vector.geometry is not None:
        name = _geometry_name(vector)
        arrays[name] = arrow_columns.array_of(vector.geometry)
        fields.append(arrow_columns.geometry_field(name, vector.crs))
    return pa.Table.from_arrays(list(arrays.values()), schema=pa.schema(fields))


def to_geopandas(vector: Vector) -> Any:
    """A GeoDataFrame, or a DataFrame of a table. Needs geopandas, or for a table pandas.

    Raises ValueError for a CRS that pyproj does not know, shapely's error for what is no WKB.
    """
    import pandas as pd

    series = {name: _series(column) for name, column in vector.columns.items()}
    index = pd.RangeIndex(len(vector))
    frame = pd.DataFrame(series, index=index)
    if vector.geometry is None:
        return frame
    import geopandas

    shapes = geopandas.GeoSeries(_shapes(vector.geometry), index=index, crs=_crs(vector.crs))
    name = _geometry_name(vector)
    frame[name] = shapes
    return geopandas.GeoDataFrame(frame, geometry=name)


def _geometry_name(vector: Vector) -> str:
    name = "geometry"
    while name in vector.columns:
        name += "_"
    return name


def _crs(text: str) -> Any:
    import pyproj

    if not text:
        return None
    try:
        return pyproj.CRS.from_user_input(text)
    except pyproj.exceptions.CRSError as error:
        raise ValueError(f"pyproj does not know this CRS: {text[:200]}") from error


def _series(column: Column) -> Any:
    import pandas as pd

    if column.kind == "text":
        return _texts(column)
    if column.kind == "bytes":
        return pd.Series(column.to_numpy(), dtype=object)
    values, missing = column.values, None if column.valid is None else ~column.valid
    if missing is None:
        return pd.Series(values)
    if values.dtype.kind == "b":
        return pd.Series(pd.arrays.BooleanArray(values, missing))
    if values.dtype.kind in "iu":
        return pd.Series(pd.arrays.IntegerArray(values, missing))
    values = values.copy()
    values[missing] = float("nan") if values.dtype.kind == "f" else "NaT"
    return pd.Series(values)


def _texts(column: Column) -> Any:
    """Of pandas' own type for texts from pandas 3 on, before that objects."""
    import pandas as pd

    if _has_pyarrow():
        series = arrow_columns.array_of(column).to_pandas()
    else:
        series = pd.Series(column.to_numpy())
    # Objects of which none is a text do not say that they are texts.
    return (
        series.astype("string") if str(series.dtype) == "object" and series.isna().all() else series
    )


def _shapes(geometry: Column) -> Array:
    """Points are made of their coordinates, which takes a fifth of the time that WKB takes."""
    import numpy as np
    import shapely

    there = wkb.present(geometry)
    if (wkb.codes(geometry, there)[0] == wkb.POINT).all():
        xy = wkb.xy(geometry)
        if not np.isnan(xy[there]).any():
            made: Array = np.full(len(xy), None, object)
            made[there] = shapely.points(xy[there])
            return made
    shapes: Array = shapely.from_wkb(geometry.to_numpy())
    return shapes


def _has_pyarrow() -> bool:
    return importlib.util.find_spec("pyarrow") is not None


# -------------------------------------------------------------------------------------------- back


def vector_of(value: Any) -> Vector:
    """From a GeoDataFrame, a DataFrame, an Arrow table, or what gives one (__arrow_c_stream__).

    Geometries besides the active one are columns of WKB. Raises TypeError for anything else and for
    values that cannot cross, with the column; ValueError for names that come twice.
    """
    module = type(value).__module__.partition(".")[0]
    if module in ("geopandas", "pandas") and hasattr(value, "columns"):
        return _of_frame(value)
    if hasattr(value, "__arrow_c_stream__") or (module == "pyarrow" and hasattr(value, "schema")):
        return _of_table(value)
    raise TypeError(
        f"a {type(value).__name__} is no vector: give a Vector, a GeoDataFrame, a DataFrame, an "
        "Arrow table, or a dict of columns"
    )


def column_of(values: Any) -> Column:
    """From a Series, an Index, or an Arrow array."""
    if type(values).__module__.partition(".")[0] == "pyarrow":
        return arrow_columns.column_of(values)
    return _of_series(values)


def _of_table(value: Any) -> Vector:
    import pyarrow as pa

    table = value if isinstance(value, pa.Table) else pa.table(value)
    _refuse_twice(table.column_names)
    name, crs = arrow_columns.find_geometry(table.schema)
    columns = {
        each: arrow_columns.column_of(table.column(each), each) for each in table.column_names
    }
    geometry = None if name is None else columns.pop(name)
    return Vector(columns, geometry, crs if isinstance(crs, str) else _wkt(crs))


def _wkt(crs: Any) -> str:
    """Of pyproj's CRS, or of PROJJSON as a dict; "" of None."""
    if crs is None:
        return ""
    if isinstance(crs, dict):
        import pyproj

        crs = pyproj.CRS.from_user_input(crs)
    text: str = crs.to_wkt()
    return text


def _of_frame(frame: Any) -> Vector:
    active = getattr(frame, "_geometry_column_name", None)
    active = active if active in frame.columns else None
    labels = list(frame.columns)
    names = list(map(_name, labels))
    front = {} if _says_nothing(frame.index) else _levels(frame.index)
    _refuse_twice([*front, *names])
    geometry, crs = None, ""
    columns = {name: _in(name, level) for name, level in front.items()}
    for label, name in zip(labels, names):
        if active is not None and label == active:
            geometry, crs = _wkb(frame[label]), _wkt(frame.crs)
        else:
            columns[name] = _in(name, frame[label])
    return Vector(columns, geometry, crs)


def _name(label: Any) -> str:
    return "_".join(map(str, label)) if isinstance(label, tuple) else str(label)


def _says_nothing(index: Any) -> bool:
    return index.nlevels == 1 and index.name is None and index.dtype.kind in "iu"


def _levels(index: Any) -> dict[str, Any]:
    """Named as reset_index() names them."""
    if index.nlevels == 1:
        return {"index" if index.name is None else _name(index.name): index}
    names = [f"level_{i}" if n is None else _name(n) for i, n in enumerate(index.names)]
    _refuse_twice(names)
    return {name: index.get_level_values(i) for i, name in enumerate(names)}


def _refuse_twice(names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"two columns are called {twice[0]!r}, or a column and the index: rename one, or drop "
            "the index by reset_index(drop=True)"
        )


def _in(name: str, values: Any) -> Column:
    try:
        return _of_series(values)
    except TypeError as error:
        raise TypeError(f"column {name!r}: {error}") from None


def _of_series(series: Any) -> Column:
    """Of a Series or an Index."""
    import numpy as np
    import pandas as pd

    dtype = series.dtype
    if str(dtype) == "geometry":
        return _wkb(series)
    if isinstance(dtype, np.dtype) and dtype.kind in "biufMm":
        values = series.to_numpy()
        missing = np.isnan(values) if dtype.kind == "f" else None
        return _with_dates(column_values.of_numbers(values, missing))
    missing = np.asarray(series.isna())
    if getattr(dtype, "tz", None) is not None:
        moments = pd.DatetimeIndex(series).tz_convert("UTC").tz_localize(None)
        return column_values.of_numbers(moments.to_numpy(), missing)
    is_text = str(dtype).startswith(("str", "large_str"))
    if _has_pyarrow() and (is_text or hasattr(dtype, "pyarrow_dtype")):
        import pyarrow as pa

        return arrow_columns.column_of(pa.array(series, from_pandas=True))
    if hasattr(dtype, "numpy_dtype") and dtype.numpy_dtype.kind in "biuf":  # nullable
        values = series.to_numpy(dtype.numpy_dtype, na_value=0)
        return column_values.of_numbers(values, missing)
    if is_text and missing.all():  # also of no rows: what the dtype says is lost in objects
        return pack("text", [b""] * len(series), ~missing if len(series) else None)
    return column_values.of_objects(np.asarray(series.astype(object)), missing)


def _with_dates(column: Column) -> Column:
    """Days, where pandas' seconds are all midnights: so are dates there."""
    import numpy as np

    if column.values.dtype != np.dtype("M8[s]"):
        return column
    days: Array = column.values.astype("M8[D]")
    same = (days == column.values) | np.isnat(days)
    return Column("plain", days, None, column.valid) if same.all() else column


def _wkb(series: Any) -> Column:
    import numpy as np
    import shapely

    shapes = np.asarray(series.array, dtype=object)
    missing = shapely.is_missing(shapes)
    valid = ~missing if missing.any() else None
    is_plain = ~(shapely.has_z(shapes) | shapely.is_empty(shapes) | _has_m(shapes))
    if ((shapely.get_type_id(shapes) == 0) & is_plain | missing).all():
        xy: Array = np.zeros((len(shapes), 2))
        xy[~missing] = shapely.get_coordinates(shapes)
        return wkb.of_points(xy, valid)
    pieces = shapely.to_wkb(shapes, byte_order=_LITTLE_ENDIAN, flavor="iso")
    pieces[missing] = b""
    return pack("bytes", pieces.tolist(), valid)


def _has_m(shapes: Array) -> Any:
    """No shapely before 2.1 knows m."""
    import shapely

    return shapely.has_m(shapes) if hasattr(shapely, "has_m") else False
