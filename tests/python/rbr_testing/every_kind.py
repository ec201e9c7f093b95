# SPDX-License-Identifier: MIT
"""A few values of every kind that crosses, those at the edges among them."""

from __future__ import annotations

import datetime as dt
import decimal
import pathlib
import uuid
from typing import Any

import pytest

from rbr_testing.equality import NAN_WITH_PAYLOAD

PARIS = dt.timezone(dt.timedelta(hours=1, microseconds=5), "Paris, nearly")

VALUES: list[Any] = [
    None, True, False, ..., 0, -1, 2**63 - 1, -(2**63), 2**63, -(2**63) - 1, 10**400,
    0.0, -0.0, 1.5, float("inf"), NAN_WITH_PAYLOAD, complex(-0.0, NAN_WITH_PAYLOAD),
    "", "text", "na\u00efve \U0001f40d\0", b"", b"\0\xff", bytearray(b"ab"),
    [], (), {}, set(), frozenset(), [1], [1, "a", None, [2.5, (b"", {})]], (1, (2, (3, ()))),
    {"a": 1, 2: [True], (1, 2): {None: ...}}, {1, "a", None}, frozenset({(1,), frozenset()}),
    [1, 2, 3, 4], [2**63, 1, 2, 3], [0.0, -0.0, NAN_WITH_PAYLOAD, 1e300], ["", "a", "\u20ac", "a"],
    [True, False, True, False], [[1, 2, 3, 4]] * 3, ["same"] * 9, [(1, "x")] * 5,
    slice(None, 5, "x"), range(3), range(2**70, 0, -3), uuid.UUID(int=5),
    uuid.UUID(int=2**128 - 1, is_safe=uuid.SafeUUID.safe), decimal.Decimal("-1.50E+999999"),
    decimal.Decimal("sNaN123"), pathlib.Path("a/\udcff"), pathlib.PureWindowsPath("c:\\x"),
    dt.date(1, 1, 1), dt.date.max, dt.timedelta.min, dt.timedelta(1, 2, 3), dt.time.max,
    dt.time(1, 2, 3, 4, PARIS, fold=1), dt.datetime(2026, 10, 25, 2, 30, fold=1),
    dt.datetime(1999, 12, 31, 23, 59, 59, 999999, dt.timezone.utc), dt.datetime.max,
]  # fmt: skip


def arrays() -> list[Any]:
    np = pytest.importorskip("numpy")
    plain = ["?", "i1", "u1", "<i2", ">u2", "<i4", ">u4", "<i8", "<u8", "<f2", ">f4", "<f8", "<c8"]
    made = [np.arange(6).astype(code).reshape(2, 3) for code in plain]
    made[0].flags.writeable = False
    return [*made, np.zeros((0, 3)), np.zeros((1,) * 32), np.array(7.5), np.float32(-0.0)]
