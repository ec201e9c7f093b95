# SPDX-License-Identifier: MIT
"""What "comes back exactly" means, for values of every kind that crosses."""

from __future__ import annotations

import datetime as dt
import decimal
import struct
import uuid
from typing import Any

NAN_WITH_PAYLOAD = struct.unpack("<d", struct.pack("<Q", 0x7FF8000000001234))[0]


def identical(one: Any, other: Any) -> bool:
    """Equal, with the same types all the way down, NaN payloads and signs of zero included."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack("d", one) == struct.pack("d", other)
    if isinstance(one, complex):
        return identical(one.real, other.real) and identical(one.imag, other.imag)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(identical, one, other))
    if isinstance(one, dict):
        return identical(list(one.items()), list(other.items()))
    if isinstance(one, (set, frozenset)):
        return one == other and sorted(map(repr, one)) == sorted(map(repr, other))
    if isinstance(one, slice):
        return identical([one.start, one.stop, one.step], [other.start, other.stop, other.step])
    if isinstance(one, uuid.UUID):
        return one == other and one.is_safe is other.is_safe
    if isinstance(one, decimal.Decimal):
        return one.as_tuple() == other.as_tuple()
    if isinstance(one, (dt.datetime, dt.time)):
        return repr(one) == repr(other) and one.fold == other.fold
    if type(one).__module__ in ("numpy", "ml_dtypes"):
        return same_array(one, other)
    return bool(one == other)


def same_array(one: Any, other: Any) -> bool:
    """Arrays or numpy scalars with the same bytes; an array also with the same flag."""
    return (
        type(one) is type(other)
        and (one.dtype, one.shape) == (other.dtype, other.shape)
        and one.tobytes() == other.tobytes()
        and (one.shape == () or one.flags.writeable == other.flags.writeable)
    )
