# SPDX-License-Identifier: MIT
"""Attributes of some features, as Qt has them, to a Column; and a Column to those.

What belongs to one feature is touched by map() only: a loop of Python's would take as long again as
QGIS itself. A datetime is what the clock shows, without its time zone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import compress, repeat
from typing import TYPE_CHECKING, Any

import numpy as np
from qgis.core import NULL, Qgis, QgsField
from qgis.PyQt import QtCore
from qgis.PyQt.QtCore import QByteArray, QDate, QDateTime, QTime

from ringbridge.compute import Column
from ringbridge.compute.column import pack
from ringbridge.compute.column_values import object_array

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

_DAY_0 = 2440588  # the Julian day of 1970-01-01
_DAY_MS = 86_400_000
_NOTHING = frozenset({type(None), type(NULL)})
_INT32_MIN, _INT64_MAX = -(2**31), 2**63 - 1
#: From 3.38 on, fields are of QMetaType.Type, and of nothing else from Qt 6 on.
_IS_NEW = Qgis.QGIS_VERSION_INT >= 33800
_NAMES = ("Bool", "Int", "UInt", "LongLong", "ULongLong", "Double")
_NEW_NAMES = {"String": "QString", "Date": "QDate", "Time": "QTime"}
_NEW_NAMES.update({"DateTime": "QDateTime", "ByteArray": "QByteArray"})


def _type(name: str) -> Any:
    """What QgsField calls it, by its name in QVariant."""
    if _IS_NEW:
        return getattr(QtCore.QMetaType.Type, _NEW_NAMES.get(name, name))
    return getattr(QtCore.QVariant, name)


# ---------------------------------------------------------------------------------------- from Qt


def _days(dates: list[QDate]) -> Array:
    days: Array = np.fromiter(map(QDate.toJulianDay, dates), "int64", len(dates))
    days -= _DAY_0
    return days.view("M8[D]")


def _milliseconds(times: list[QTime]) -> Array:
    since: Array = np.fromiter(map(QTime.msecsSinceStartOfDay, times), "int64", len(times))
    return since.view("m8[ms]")


def _moments(moments: list[QDateTime]) -> Array:
    moments_ms: Array = _days(list(map(QDateTime.date, moments))).astype("M8[ms]")
    moments_ms += _milliseconds(list(map(QDateTime.time, moments)))
    return moments_ms


_NUMBERS = dict(zip(_NAMES, ("bool", "int32", "uint32", "int64", "uint64", "float64")))
_TIMES: dict[str, tuple[str, Any, Any]] = {
    "Date": ("M8[D]", QDate.isNull, _days),
    "Time": ("m8[ms]", QTime.isNull, _milliseconds),
    "DateTime": ("M8[ms]", QDateTime.isNull, _moments),
}
_CONVERTERS: dict[Any, Callable[[Sequence[Any]], Column]] = {}


def column_maker(field: QgsField) -> Callable[[Sequence[Any]], Column]:
    """A function that makes a Column of some values of a field."""
    if not _CONVERTERS:
        _CONVERTERS.update({_type(n): _number_maker(dtype) for n, dtype in _NUMBERS.items()})
        _CONVERTERS.update({_type(n): _time_maker(*how) for n, how in _TIMES.items()})
        _CONVERTERS[_type("String")] = _texts
        _CONVERTERS[_type("ByteArray")] = _blobs
    return _CONVERTERS.get(field.type(), _described)


def _missing(values: Sequence[Any]) -> Array | None:
    if _NOTHING.isdisjoint(map(type, values)):
        return None
    missing: Array = np.fromiter(map(_NOTHING.__contains__, map(type, values)), bool, len(values))
    return missing


def _kept(values: Sequence[Any], is_null: Any) -> tuple[list[Any], Array]:
    """What is there; and which are not, also where a field says that they are not null."""
    found = _missing(values)
    missing: Array = np.zeros(len(values), bool) if found is None else found
    present = list(values if found is None else compress(values, ~found))
    there = ~np.fromiter(map(is_null, present), bool, len(present))
    missing[~missing] = ~there
    return list(compress(present, there)), missing


def _spread(present: Array, missing: Array | None) -> Column:
    if missing is None or not missing.any():
        return Column("plain", present)
    full: Array = np.zeros(len(missing), present.dtype)
    full[~missing] = present
    return Column("plain", full, None, ~missing)


def _number_maker(dtype: str) -> Callable[[Sequence[Any]], Column]:
    def make(values: Sequence[Any]) -> Column:
        missing = _missing(values)
        present = values if missing is None else list(compress(values, ~missing))
        return _spread(np.array(present, dtype), missing)

    return make


def _time_maker(dtype: str, is_null: Any, convert: Any) -> Callable[[Sequence[Any]], Column]:
    def make(values: Sequence[Any]) -> Column:
        present, missing = _kept(values, is_null)
        return _spread(convert(present).astype(dtype, copy=False), missing)

    return make


def _filled(values: Sequence[Any], fill: Any) -> tuple[Sequence[Any], Array | None]:
    """The values with another in the place of missing ones; and where there are some."""
    missing = _missing(values)
    if missing is None:
        return values, None
    filled: Array = np.full(len(values), fill, object)
    filled[~missing] = object_array(compress(values, ~missing))
    return filled.tolist(), ~missing


def _texts(values: Sequence[Any]) -> Column:
    texts, valid = _filled(values, "")
    # Half a character, which QString may hold, has no UTF-8.
    return pack("text", list(map(str.encode, texts, repeat("utf-8"), repeat("replace"))), valid)


def _blobs(values: Sequence[Any]) -> Column:
    # Of NULL in a file QGIS may make QByteArray(), which is null, and not the one of no bytes.
    present, missing = _kept(values, QByteArray.isNull)
    filled: Array = np.full(len(values), b"", object)
    filled[~missing] = object_array(map(bytes, present))
    return pack("bytes", filled.tolist(), ~missing if missing.any() else None)


def _described(values: Sequence[Any]) -> Column:
    """Lists and maps as JSON; what JSON does not know as its text."""
    return _texts([each if type(each) in _NOTHING else _json(each) for each in values])


def _json(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=_text_of)


def _text_of(value: Any) -> Any:
    if type(value) in _NOTHING:
        return None
    is_moment = isinstance(value, (QDate, QTime, QDateTime))
    return value.toString(QtCore.Qt.DateFormat.ISODate) if is_moment else str(value)


# ------------------------------------------------------------------------------------------ to Qt


def field_of(name: str, column: Column) -> QgsField:
    """The field that holds a column's values."""
    return QgsField(name, _type(_field_type(column)))


def _field_type(column: Column) -> str:
    if column.offsets is not None:
        return "String" if column.kind == "text" else "ByteArray"
    dtype = column.values.dtype
    if dtype.kind in "iu":
        # QGIS refuses the least number of 32 bits as too large for a field of 32 bits.
        is_small = np.can_cast(dtype, "int32") and not (column.values == _INT32_MIN).any()
        return "Int" if is_small else "LongLong"
    if dtype.kind == "M":
        return "Date" if dtype == "M8[D]" else "DateTime"
    return {"b": "Bool", "f": "Double", "m": "Time"}[dtype.kind]


def values_of(name: str, column: Column) -> list[Any]:
    """As a feature takes them, None where one is missing.

    Raises ValueError for whole numbers and times of the day that no field can hold.
    """
    if column.kind == "text":
        return column.to_list()
    valid = column.valid
    if column.kind == "bytes":
        blobs = column.to_list()
        made = list(map(QByteArray, blobs if valid is None else compress(blobs, valid)))
    else:
        made = _for_qt(name, column.values if valid is None else column.values[valid])
    if valid is None:
        return made
    filled: Array = np.full(len(column), None, object)
    filled[valid] = object_array(made)
    return list(filled)


def _for_qt(name: str, values: Array) -> Any:
    kind = values.dtype.kind
    if kind == "M":
        return _dates(values) if values.dtype == "M8[D]" else _datetimes(values)
    if kind == "m":
        since: Array = values.astype("m8[ms]").astype("int64")
        if ((since < 0) | (since >= _DAY_MS)).any():
            raise ValueError(
                f"column {name!r} has durations that are no times of a day: make numbers of them"
            )
        return list(map(QTime.fromMSecsSinceStartOfDay, since.tolist()))
    if kind == "u" and len(values) and values.max() > _INT64_MAX:
        raise ValueError(
            f"column {name!r} has whole numbers beyond 2**63 - 1, which no field holds: make "
            "floats or texts of them"
        )
    return values.tolist()


def _dates(days: Array) -> list[Any]:
    return list(map(QDate.fromJulianDay, (days.astype("int64") + _DAY_0).tolist()))


def _datetimes(moments: Array) -> list[Any]:
    days: Array = moments.astype("M8[D]")
    since = (moments.astype("M8[ms]") - days).astype("int64")
    return list(map(QDateTime, _dates(days), map(QTime.fromMSecsSinceStartOfDay, since.tolist())))
