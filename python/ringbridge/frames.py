# SPDX-License-Identifier: MIT
"""pandas' and geopandas' frames to Arrow tables and back: exactly as they were, or not at all.

What Arrow certainly keeps is only looked at; every other frame is made again here from its table,
and compared, before it is sent. Called by tables.py.
"""

from __future__ import annotations

import datetime
import decimal
import functools
import json
import math
import sys

from ringbridge.errors import CannotCross

TYPE_CHECKING = False  # as in tables.py
if TYPE_CHECKING:
    from typing import Any

#: In the schema's metadata: which columns are geometries, and their reference systems.
_GEOMETRY_KEY = b"ringbridge.geometry"
#: What Arrow has no word for: {"attrs": {...}, "unique": true, "objects": [[0, true, true]]}. Of a
#: column of objects: its position, whether its gaps are NaN, whether all texts there are objects.
_NOTE_KEY = b"ringbridge.frame"
#: Objects that pandas makes of Arrow's columns again, as long as a column has one type of them.
_KEPT = (str, bytes, bool, datetime.date)
_KEPT_DTYPES = ("str", "boolean")
#: How many values without bytes of their own a frame may have; 8 times its bytes, if that is more.
_HOLLOW_MAX = 2**24


# ---------------------------------------------------------------------------------------- to Arrow


def from_pandas(pyarrow: Any, frame: Any) -> Any:
    """The Arrow table; CannotCross for a frame that would not come back from it as it is."""
    _check_labels(frame.columns)
    _check_names(frame.columns, frame.index)
    objects = [n for n, dtype in enumerate(frame.dtypes) if str(dtype) == "object"]
    kinds = {n: set(map(type, frame.iloc[:, n])) for n in objects}
    nan = {n for n in objects if kinds[n] == {str, float} and _gaps_are_nan(frame.iloc[:, n])}
    kinds.update((n, {str, type(None)}) for n in nan)
    old = bool(objects) and _texts_are_objects()
    note = _note(frame, [(n, n in nan, old and kinds[n] <= {str, type(None)}) for n in objects])
    table = pyarrow.Table.from_pandas(frame)
    if note:
        metadata = {**(table.schema.metadata or {}), _NOTE_KEY: json.dumps(note).encode()}
        table = table.replace_schema_metadata(metadata)
    if not _is_kept(frame, kinds):
        _compare(frame, to_pandas(table))
    return table


def from_geopandas(pyarrow: Any, frame: Any) -> Any:
    """The same. Geometries as WKB, which every version of geopandas writes and reads."""
    systems = []
    for position, dtype in enumerate(frame.dtypes):
        if str(dtype) == "geometry":
            crs = frame.iloc[:, position].crs
            systems.append((position, None if crs is None else crs.to_wkt()))
    table = from_pandas(pyarrow, _like(frame, frame.to_wkb()))
    note = {"active": _active(frame), "columns": systems}
    metadata = {**(table.schema.metadata or {}), _GEOMETRY_KEY: json.dumps(note).encode()}
    return table.replace_schema_metadata(metadata)


def _active(frame: Any) -> int | None:
    """The position of the active geometry; None: it has none."""
    try:
        name = frame.geometry.name
    except AttributeError:
        return None
    return int(frame.columns.get_loc(name))


def _check_labels(labels: Any) -> None:
    """Arrow's are texts; pandas makes of them what all of them were."""
    for level in range(labels.nlevels):
        values = labels.get_level_values(level)
        kinds = set(map(type, values))
        if len(kinds) > 1 or values.hasnans:
            names = " and ".join(sorted(kind.__name__ for kind in kinds))
            raise CannotCross(
                f"a pandas.DataFrame with column labels of several types, or none ({names}): "
                "give it labels of one type, as frame.columns.astype(str) makes them"
            )


def _check_names(*indexes: Any) -> None:
    for index in indexes:
        for name in index.names:
            if name is not None and type(name) is not str:
                raise CannotCross(
                    f"a pandas.DataFrame with an index named {name!r}: Arrow's names are texts"
                )


def _note(frame: Any, objects: list[tuple[int, bool, bool]]) -> dict[str, Any]:
    note: dict[str, Any] = {"objects": objects} if objects else {}
    if frame.attrs:
        try:
            exact = _same(json.loads(json.dumps(frame.attrs)), dict(frame.attrs))
        except (TypeError, ValueError):
            exact = False
        if not exact:
            raise CannotCross("a pandas.DataFrame with attrs that are no JSON: send them beside it")
        note["attrs"] = frame.attrs
    if not frame.flags.allows_duplicate_labels:
        note["unique"] = True
    return note


def _gaps_are_nan(column: Any) -> bool:
    """Texts with NaN where there is none, as pandas 2 reads them from a file; Arrow has None."""
    return all(math.isnan(value) for value in column if type(value) is float)


def _texts_are_objects() -> bool:
    """Before pandas 3, which has a dtype for them: texts of both kinds arrive as each has them."""
    pandas: Any = sys.modules["pandas"]
    return str(pandas.Series(["x"]).dtype) == "object"


# -------------------------------------------------------------------------------------- from Arrow


@functools.cache
def register(pandas: Any) -> None:
    """Arrow's types for periods and intervals; pandas does so when it first makes one of either."""
    pandas.array([pandas.Period(ordinal=0, freq="D")]).__arrow_array__()


def to_pandas(table: Any) -> Any:
    """The frame of a table that `from_pandas` has made, maybe that of another version."""
    frame = table.to_pandas()
    note = json.loads((table.schema.metadata or {}).get(_NOTE_KEY, b"{}"))
    for position, gaps_are_nan, as_texts in note.get("objects", ()):
        column = frame.iloc[:, position]
        is_object = str(column.dtype) == "object"
        if (gaps_are_nan and is_object) or not (is_object or as_texts):
            values = column.to_numpy(dtype=object, copy=True)
            values[column.isna().to_numpy()] = math.nan if gaps_are_nan else None
            frame.isetitem(position, type(column)(values, index=frame.index, dtype=object))
    frame.attrs = note.get("attrs", {})
    if note.get("unique"):
        frame.flags.allows_duplicate_labels = False
    return frame


def to_geopandas(geopandas: Any, table: Any) -> Any:
    note = json.loads(table.schema.metadata[_GEOMETRY_KEY])
    frame = to_pandas(table)
    names = frame.columns
    for position, crs in note["columns"]:
        series = geopandas.GeoSeries.from_wkb(frame.iloc[:, position], crs=crs)
        frame.isetitem(position, series)
    made = geopandas.GeoDataFrame(frame)
    if note["active"] is not None:
        made = made.set_geometry(names[note["active"]])
    return _like(frame, made)


def _like(frame: Any, made: Any) -> Any:
    """`made`, which geopandas has made of the frame, with what geopandas leaves out."""
    made.attrs = frame.attrs
    made.flags.allows_duplicate_labels = frame.flags.allows_duplicate_labels
    return made


def check_size(types: Any, table: Any, stream_bytes: int) -> None:
    """ValueError for a table that is small, and whose frame would not be.

    pandas gives every value bytes: a column of 2**40 nulls, some hundred bytes here, would need the
    machine's memory and more.
    """
    count = sum(_hollow(types, chunk) for column in table.columns for chunk in column.chunks)
    most = max(_HOLLOW_MAX, 8 * stream_bytes)
    if count > most:
        raise ValueError(f"{count} values that take no bytes in Arrow; {most} may be made")


def _hollow(types: Any, array: Any) -> int:
    """How many values it has, at any depth, that take none of the stream's bytes."""
    kind = array.type
    if hasattr(array, "storage"):  # an extension type
        return _hollow(types, array.storage)
    if types.is_struct(kind):
        fields = range(kind.num_fields)
        return sum(_hollow(types, array.field(i)) for i in fields) if fields else len(array)
    if types.is_map(kind):
        return _hollow(types, array.keys) + _hollow(types, array.items)
    if types.is_dictionary(kind):
        return _hollow(types, array.dictionary)
    if hasattr(array, "sizes"):  # a list view, whose lists may all be the same values
        views: int = sum(array.value_lengths().drop_null().to_pylist())
        return views * (1 + _hollow(types, array.values))
    if hasattr(array, "run_ends") or types.is_null(kind):
        return len(array)
    if types.is_fixed_size_binary(kind) and kind.byte_width == 0:
        return len(array)
    if getattr(kind, "list_size", None) == 0:
        return len(array)
    return _hollow(types, array.values) if hasattr(array, "values") else 0


# ------------------------------------------------------------------------------------------- exact


def _is_kept(frame: Any, kinds: dict[int, set[type]]) -> bool:
    """Is it made of what Arrow certainly keeps? False: perhaps not."""
    pandas: Any = sys.modules["pandas"]
    labels, index = frame.columns, frame.index
    plain = type(labels) in (pandas.Index, pandas.RangeIndex)  # a range where there are none
    if not plain or not all(type(label) is str for label in labels):
        return False
    if type(index) is not pandas.RangeIndex and not (
        type(index) in (pandas.Index, pandas.DatetimeIndex, pandas.TimedeltaIndex)
        and (_is_number(index.dtype) or set(map(type, index)) == {str})
    ):
        return False
    return all(map(_is_kept_objects, kinds.values())) and all(
        n in kinds or _is_number(dtype) or str(dtype) in _KEPT_DTYPES
        for n, dtype in enumerate(frame.dtypes)
    )


def _is_kept_objects(kinds: set[type]) -> bool:
    return any(kinds <= {kept, type(None)} for kept in _KEPT)


def _is_number(dtype: Any) -> bool:
    """Numbers and moments of numpy's, without a time zone."""
    return getattr(dtype, "kind", "") in tuple("biufmM") and type(dtype).__module__[:5] == "numpy"


def _compare(frame: Any, back: Any) -> None:
    """CannotCross where `back`, which was made of the frame's table, differs."""
    for which in ("columns", "index"):
        sent, made = getattr(frame, which), getattr(back, which)
        if list(sent.names) != list(made.names):
            raise _change(f"the {which}", f"named {list(sent.names)}", f"named {list(made.names)}")
        for level in range(sent.nlevels):
            part = f"the {which}" + (f", level {level}" if sent.nlevels > 1 else "")
            _compare_values(part, sent.get_level_values(level), made.get_level_values(level))
    for position, label in enumerate(frame.columns):
        sent, made = frame.iloc[:, position], back.iloc[:, position]
        _compare_values(f"column {label!r}", sent, made)


def _compare_values(place: str, sent: Any, made: Any) -> None:
    """Of two Series, or two Indexes."""
    if str(sent.dtype) == str(made.dtype) == "category":
        sent, made = getattr(sent, "cat", sent), getattr(made, "cat", made)
        _compare_values(f"the categories of {place}", sent.categories, made.categories)
    elif sent.dtype != made.dtype or type(sent.dtype) is not type(made.dtype):
        raise _change(place, f"of dtype {sent.dtype}", f"dtype {made.dtype}")
    elif str(sent.dtype) == "object":
        for row, (was, is_) in enumerate(zip(sent, made)):
            if not _same(was, is_):
                raise _change(f"{place}, row {row}", _shown(was), _shown(is_))
    elif not sent.equals(made):
        raise _change(place, "with its gaps", "other gaps")


def _change(place: str, was: str, becomes: str) -> CannotCross:
    return CannotCross(
        f"a pandas.DataFrame that Arrow cannot hold: {place} is {was} and would arrive as "
        f"{becomes}; give it another dtype, as .convert_dtypes() and .astype() do, send a "
        "pyarrow.Table, or start the worker with pickle=True"
    )


def _shown(value: object) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"


def _same(was: Any, is_: Any) -> bool:
    """Equal, and of equal types all the way down."""
    if was is is_:
        return True
    if type(was) is not type(is_):
        return False
    if isinstance(was, dict):
        return _same(list(was.items()), list(is_.items()))
    if isinstance(was, (list, tuple)):
        return len(was) == len(is_) and all(map(_same, was, is_))
    if isinstance(was, (float, decimal.Decimal)):
        return repr(was) == repr(is_)  # NaN, -0.0, 1.50
    if isinstance(was, (datetime.datetime, datetime.time)):
        return bool(was == is_ and was.tzinfo == is_.tzinfo and was.fold == is_.fold)
    try:
        return bool(was == is_)
    except (TypeError, ValueError):  # arrays
        return False
