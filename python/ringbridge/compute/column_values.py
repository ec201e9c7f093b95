# SPDX-License-Identifier: MIT
"""From arrays and lists of Python's values to a Column; no loop of Python's over the values.

numpy is imported where it is used. Knows neither pandas nor pyarrow: their values that stand for
nothing are known by the names of their types.
"""

from __future__ import annotations

import contextlib
import datetime
import decimal
from itertools import repeat
from operator import attrgetter, methodcaller, ne, sub
from typing import TYPE_CHECKING, Any

from ringbridge.compute.column import Column, pack

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_NOTHING = {"NoneType", "NAType", "NaTType"}
_BITS_MAX = 64
_COARSE = {"Y": "D", "M": "D", "W": "D", "h": "s", "m": "s"}
_FINE = {"ps": "ns", "fs": "ns", "as": "ns"}
_MIDNIGHT = datetime.datetime(1970, 1, 1)


def object_array(values: Any) -> Array:
    """One object for each value of a list, also where those are lists themselves."""
    import numpy as np

    listed = list(values)
    array: Array = np.empty(len(listed), object)
    array[:] = listed
    return array


def of_numbers(array: Array, missing: Array | None = None) -> Column:
    """Of bools, ints, floats, dates and durations. Raises TypeError for other dtypes."""
    import numpy as np

    kind = array.dtype.kind
    if kind not in "biufMm":
        raise TypeError(f"a column of {array.dtype} cannot cross")
    if kind in "Mm":
        array = _with_unit(array)
        nothing = np.isnat(array)
        missing = nothing if missing is None else missing | nothing
    elif kind == "f" and array.dtype.itemsize * 8 > _BITS_MAX:
        array = array.astype("float64")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return Column("plain", array, None, _valid(missing))


def _with_unit(array: Array) -> Array:
    """Days, seconds, or the finer units that Arrow has, too; days only of dates."""
    import numpy as np

    unit, count = np.datetime_data(array.dtype)
    kind = array.dtype.kind
    if kind == "m" and unit in ("Y", "M"):
        raise TypeError("durations of months or years have no length: give them in days")
    wanted = _COARSE.get(unit) or _FINE.get(unit) or ("s" if unit == "generic" else unit)
    if kind == "m" and wanted == "D":
        wanted = "s"
    return array if (wanted, 1) == (unit, count) else array.astype(f"{kind}8[{wanted}]")


def _valid(missing: Array | None) -> Array | None:
    return None if missing is None or not missing.any() else ~missing


def of_objects(values: Array, missing: Array | None = None) -> Column:
    """Of an array of objects; `missing` are left out unseen. Raises TypeError where they are mixed,
    or cannot cross."""
    import numpy as np

    gone: Array = np.zeros(len(values), bool) if missing is None else missing.copy()
    kept, found = _kept(values, gone)
    nothing = {each for each in found if each.__name__ in _NOTHING}
    if nothing:
        gone[~gone] = np.fromiter(map(nothing.__contains__, map(type, kept)), bool, len(kept))
        kept, found = _kept(values, gone)
    if _some(found, (float, np.floating)) and not _all(found, _numbers()):
        gone[~gone] = np.fromiter(map(ne, kept, kept), bool, len(kept))  # only NaN is not itself
        kept, found = _kept(values, gone)
    for kind, types in (("text", str), ("bytes", (bytes, bytearray))):
        if found and _all(found, types):
            filled: Array = np.full(len(values), "" if kind == "text" else b"", object)
            filled[~gone] = kept
            pieces = map(str.encode, filled) if kind == "text" else filled
            return pack(kind, list(pieces), _valid(gone))
    array = _array(kept, found)
    full: Array = np.zeros(len(values), array.dtype)
    full[~gone] = array
    return of_numbers(full, gone)


def _kept(values: Array, gone: Array) -> tuple[Array, set[type]]:
    kept = values[~gone] if gone.any() else values
    return kept, set(map(type, kept))


def _all(found: set[type], types: Any) -> bool:
    return all(issubclass(each, types) for each in found)


def _some(found: set[type], types: Any) -> bool:
    return any(issubclass(each, types) for each in found)


def _numbers() -> tuple[type, ...]:
    import numpy as np

    return (int, float, decimal.Decimal, np.bool_, np.integer, np.floating)


def _array(kept: Array, found: set[type]) -> Any:
    """Of what is there: of numbers, dates or times."""
    import numpy as np

    listed = kept.tolist()
    if _all(found, (bool, np.bool_)):
        return np.array(listed, bool if found else "float64")
    if _all(found, (int, np.integer, np.bool_)):
        return _integers(listed)
    if _all(found, _numbers()):
        return np.fromiter(map(float, listed), "float64", len(listed))
    if _all(found, datetime.datetime):
        return np.array(_without_zone(listed), "datetime64[us]")
    if _all(found, datetime.date) and not _some(found, datetime.datetime):
        return np.array(listed, "datetime64[D]")
    if _all(found, datetime.time):
        moments = map(datetime.datetime.combine, repeat(_MIDNIGHT), listed, repeat(None))
        return np.array(list(map(sub, moments, repeat(_MIDNIGHT))), "timedelta64[us]")
    if _all(found, datetime.timedelta):
        return np.array(listed, "timedelta64[us]")
    if len(found) == 1 and _all(found, (np.datetime64, np.timedelta64)):
        return np.array(listed)
    names = ", ".join(sorted(each.__name__ for each in found))
    raise TypeError(f"a column of {names} cannot cross: make texts or numbers of them")


def _integers(listed: list[Any]) -> Any:
    import numpy as np

    with contextlib.suppress(OverflowError):
        return np.array(listed, "int64")
    if min(listed) >= 0 and max(listed) < 1 << _BITS_MAX:  # numpy 1 makes large ones of negatives
        return np.array(listed, "uint64")
    raise TypeError("integers of more than 64 bits cannot cross: make floats or texts of them")


def _without_zone(listed: list[Any]) -> list[Any]:
    """Datetimes of UTC that do not say so. Raises TypeError where only some say their zone."""
    zones = set(map(attrgetter("tzinfo"), listed))
    if zones == {None}:
        return listed
    if None in zones:
        raise TypeError("datetimes with a time zone and without one cannot be in one column")
    there = map(methodcaller("astimezone", datetime.timezone.utc), listed)
    return list(map(methodcaller("replace", tzinfo=None), there))
