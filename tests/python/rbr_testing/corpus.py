# SPDX-License-Identifier: MIT
"""One value of each kind and at each edge, by name, the same on both sides.

Each side makes its own, so a value is compared where it arrives, and a fault that undoes itself on
the way back is seen.
"""

from __future__ import annotations

import datetime as dt
import decimal
import functools
import math
import pathlib
import struct
import uuid
import zoneinfo
from typing import Any

from rbr_testing.equality import NAN_WITH_PAYLOAD, identical

SIGNALLING_NAN = struct.unpack("<d", struct.pack("<Q", 0xFFF0000000000001))[0]
ODD_OFFSET = dt.timedelta(hours=-5, minutes=-17, seconds=-32, microseconds=-1)


def plain() -> dict[str, Any]:
    """Of the kinds that an exception's arguments may have, too."""
    floats = [0.0, -0.0, math.inf, -math.inf, NAN_WITH_PAYLOAD, SIGNALLING_NAN, 5e-324, 1e308]
    ints = {
        f"int {sign}2**{bits}{step:+d}": int(f"{sign}1") * (2**bits + step)
        for bits in (0, 7, 8, 15, 16, 30, 31, 32, 53, 60, 62, 63, 64, 127, 128)
        for step in (-1, 0, 1)
        for sign in "+-"
    }
    return {
        **ints,
        **{f"float {i}": number for i, number in enumerate(floats)},
        **{f"complex {i}": complex(-number, number) for i, number in enumerate(floats)},
        "none": None, "true": True, "false": False,
        "text": "x\0ä€😀\uffff", "bytes": bytes(range(256)), "no text": "", "no bytes": b"",
        "floats": floats * 2, "ints": [2**63 - 1, -(2**63), 0, -1], "bools": [True, False] * 3,
        "texts": ["", "a", "\0", "😀"], "mixed": [1, True, 1.0, "1", b"1", None, 1j],
        "tuples": ((), ((),), (1, (2, (3, [(), {}])))),
        "dicts": {"z": 1, "a": {"b": {}}, 0: (), None: [], 2.5: "f"},
    }  # fmt: skip


def others() -> dict[str, Any]:
    nan = float("nan")
    found = {
        "huge int": 10**100_000 + 1, "huge negative int": -(10**100_000),
        "bytearray": bytearray(b"\0x"), "no bytearray": bytearray(), "ellipsis": ...,
        "sets": [set(), frozenset(), {1, "1", b"1", None, (1,), frozenset([2])}],
        "tallied": [set(range(1000)), dict.fromkeys(range(-500, 500))],
        "nan keys": {nan: 1, NAN_WITH_PAYLOAD: 2}, "-0.0 key": {-0.0: 1}, "True key": {True: 1},
        "path": pathlib.Path("/a/../b"), "path of any bytes": pathlib.Path("/\udcff\udc80"),
        "ranges": [range(0), range(5, -5, -3), range(10**30)], "slices": [slice(None, -0.0, "x")],
        "decimals": [decimal.Decimal(text) for text in ("-0", "NaN7", "-sNaN", "-Infinity")],
        "uuids": [uuid.UUID(int=5, is_safe=safe) for safe in uuid.SafeUUID],
        "dates": [dt.date.min, dt.date.max, dt.datetime.min, dt.datetime.max],
        "folds": [dt.time(1, fold=1), dt.datetime(2020, 1, 1, fold=1), dt.datetime(2020, 1, 1)],
        "offsets": [dt.time(1, tzinfo=dt.timezone(ODD_OFFSET)),
                    dt.datetime(2020, 1, 1, tzinfo=dt.timezone(ODD_OFFSET, "ä\0"), fold=1),
                    dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=23, minutes=59)))],
        "deltas": [dt.timedelta.min, dt.timedelta.max, dt.timedelta(0), dt.timedelta(0, 0, -1)],
    }  # fmt: skip
    try:
        zone = zoneinfo.ZoneInfo("America/New_York")
    except zoneinfo.ZoneInfoNotFoundError:  # no time zone data here
        return found
    return {**found, "zone": [dt.datetime(2021, 11, 7, 1, 30, tzinfo=zone, fold=f) for f in (0, 1)]}


@functools.cache
def corpus() -> dict[str, Any]:
    return {**plain(), **others()}


# ---------------------------------------------------------------------------- called over there


def give(name: str) -> Any:
    return corpus()[name]


def check(name: str, *args: Any, **kwargs: Any) -> str:
    """ "" when each of these is the value of that name, at whatever depth it lies."""
    wanted = corpus()[name]
    for value in (*args, *kwargs.values()):
        if not identical(value, wanted):
            return repr(value)[:1000]
    return ""


def raises(name: str, kind: str) -> None:
    import builtins

    raise getattr(builtins, kind)(corpus()[name], "second")


def raise_text(text: str) -> None:
    """The text comes escaped: a lone surrogate has no other way to get here."""
    raise ValueError(text.encode().decode("unicode_escape"))


def same_object(pair: Any) -> bool:
    return pair[0] is pair[1]
