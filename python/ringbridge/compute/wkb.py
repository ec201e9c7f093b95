# SPDX-License-Identifier: MIT
"""The heads of many WKB geometries at once: what each is, and where a point lies.

Reads the two ways in which z and m are written (1001, or a flag) and both byte orders. numpy is
imported where it is used; the bytes are checked for length, and no further than asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from ringbridge.compute.column import Column

    Array = np.ndarray[Any, Any]

POINT = 1
POINT_BYTES = 21  # byte order, type, x, y
_HEAD_BYTES = 5
_XY_BYTES = 16
_Z, _M, _SRID = 0x80000000, 0x40000000, 0x20000000
_CODE = 0x0FFFFFFF


def present(geometry: Column) -> Array:
    """bool, True where a feature has a geometry. Raises ValueError for what is no WKB."""
    if geometry.offsets is None:
        raise ValueError("a geometry is WKB: a column of bytes")
    sizes = geometry.offsets[1:] - geometry.offsets[:-1]
    there: Array = sizes > 0
    if geometry.valid is not None:
        there &= geometry.valid
    if (sizes[there] < _HEAD_BYTES).any():
        raise ValueError("a geometry of less than 5 bytes is no WKB")
    return there


def codes(geometry: Column, there: Array) -> tuple[Array, Array]:
    """The type codes as they are written, of the geometries that are there; and whether each is
    little-endian."""
    import numpy as np

    assert geometry.offsets is not None
    raw = _bytes_at(geometry.values, geometry.offsets[:-1][there], _HEAD_BYTES)
    is_little = raw[:, 0] == 1
    code = np.ascontiguousarray(raw[:, 1:])
    return np.where(is_little, code.view("<u4")[:, 0], code.view(">u4")[:, 0]), is_little


def iso(code: Array) -> Array:
    """Codes as ISO writes them: 1 a point, 1001 one with z, 2001 with m, 3001 with both."""
    has_z, has_m = (code & _Z) > 0, (code & _M) > 0
    made: Array = (code & _CODE) + 1000 * has_z + 2000 * has_m
    return made


def xy(geometry: Column) -> Array:
    """Of points (n, 2), NaN where there is none. Raises ValueError for others."""
    import numpy as np

    there = present(geometry)
    made: Array = np.full((len(there), 2), np.nan)
    if not there.any():
        return made
    assert geometry.offsets is not None
    starts, ends = geometry.offsets[:-1][there], geometry.offsets[1:][there]
    code, is_little = codes(geometry, there)
    at = starts + _HEAD_BYTES + 4 * ((code & _SRID) > 0)
    if (iso(code) % 1000 != POINT).any() or (at + _XY_BYTES > ends).any():
        raise ValueError("geometries that are not points have no single coordinates")
    raw = _bytes_at(geometry.values, at, _XY_BYTES)
    made[there] = np.where(is_little[:, None], raw.view("<f8"), raw.view(">f8"))
    return made


def of_points(coordinates: Array, there: Array | None = None) -> Column:
    """Points of (n, 2); `there` says which rows have one, and None that all do."""
    import numpy as np

    from ringbridge.compute.column import Column

    count = len(coordinates)
    packed: Array = np.zeros(
        count if there is None else int(there.sum()),
        [("order", "u1"), ("type", "<u4"), ("xy", "<f8", 2)],
    )
    packed["order"], packed["type"] = 1, POINT
    packed["xy"] = coordinates if there is None else coordinates[there]
    offsets: Array = np.arange(count + 1, dtype="int64")
    if there is not None:
        np.cumsum(there, out=offsets[1:])
    return Column("bytes", packed.view("u1"), offsets * POINT_BYTES, there)


def _bytes_at(values: Array, starts: Array, count: int) -> Array:
    """(n, count): the bytes that begin at each start."""
    import numpy as np
    from numpy.lib.stride_tricks import sliding_window_view

    if not len(starts):
        return np.zeros((0, count), "uint8")
    gathered: Array = sliding_window_view(values, count)[starts]
    return gathered
