# SPDX-License-Identifier: MIT
"""Values through a real worker: they come back exactly as they went, or are refused with a path."""

from __future__ import annotations

import array
import collections
import datetime as dt
import decimal
import enum
import math
import pathlib
import random
import re
import uuid
import zoneinfo
from typing import Any

import pytest
from rbr_testing.equality import NAN_WITH_PAYLOAD, identical

import ringbridge as rb

TEXT_INLINE_BYTES_MAX = 16 << 10  # values.h
VALUE_DEPTH_MAX = 59  # values.h


PLAIN = [
    None, True, False, ...,
    0, 1, -1, 2**63 - 1, -(2**63), 2**63, -(2**63) - 1, 10**1000, -(10**1000),
    0.0, -0.0, 1.5, math.inf, -math.inf, NAN_WITH_PAYLOAD, 5e-324,
    1j, complex(-0.0, NAN_WITH_PAYLOAD),
    "", "a", "äöü€😀", "x\0y",
    b"", b"abc\0", bytearray(), bytearray(b"abc"),
    slice(None), slice(1, 2, 3), slice("a", None, 2.0),
    range(5), range(0, -5, -1), range(1, 10**30, 10**20),
    pathlib.Path("/tmp/x"), pathlib.PurePosixPath("a/b"), pathlib.PureWindowsPath("C:\\x"),
    pathlib.Path("/tmp/\udcff"),
    uuid.UUID("12345678123456781234567812345678"),
]  # fmt: skip

DATES = [
    dt.date(1, 1, 1), dt.date.max,
    dt.time(1, 2, 3, 4), dt.time(1, 2, fold=1),
    dt.time(3, tzinfo=dt.timezone(dt.timedelta(hours=5))),
    dt.datetime.max, dt.datetime(2020, 1, 1, fold=1),
    dt.datetime(2020, 1, 1, tzinfo=dt.timezone.utc),
    dt.datetime(2020, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=-3, microseconds=7), "name")),
    dt.timedelta.max, dt.timedelta.min, dt.timedelta(microseconds=-1),
]  # fmt: skip

DECIMALS = ["1.10", "-0E-5", "sNaN123", "-Infinity", "1" * 200, "1E+999999"]

CONTAINERS = [
    [], [1], [1, "a", None], [[1, 2], [3, 4], [5, 6], [7, 8]], [None] * 5,
    (), (1,), (1, "a", None, (2, (3,))),
    {}, {"b": 1, "a": [1, 2], 3: None, (1, 2): "t", None: 0, 1.5: 2, b"k": frozenset([1])},
    set(), {1, 2, "a"}, frozenset(), frozenset({(1, 2), "b"}),
    {"nested": [{"x": (1, [2.0, 3.0], {4: {5}})}] * 3},
]  # fmt: skip

#: Lists of one type take a short cut; these are at its edges.
ONE_TYPE = [
    [1.0, -0.0, NAN_WITH_PAYLOAD, 4.5], [1, 2, 3, 4], [2**63 - 1, -(2**63), 0, 1],
    [True, False, True, True], ["a", "", "ä", "d"],
    [1, 2, 3, 2**70], [1, 2, 3, True], [1.0, 2, 3.0, 4.0], ["a", "b", "c", "d" * 20000],
    [1, 2, 3, 4, [5.0] * 4, [2**63] * 4, "x", [2**64] * 5, 5.0],
]  # fmt: skip


@pytest.mark.parametrize("value", PLAIN + DATES + CONTAINERS + ONE_TYPE, ids=lambda v: repr(v)[:30])
def test_value_comes_back_exactly(echo: Any, value: Any) -> None:
    assert identical(echo(value), value)


@pytest.mark.parametrize("text", DECIMALS)
def test_decimal_comes_back_exactly(echo: Any, text: str) -> None:
    assert identical(echo(decimal.Decimal(text)), decimal.Decimal(text))


def test_utc_comes_back_as_the_one_utc(echo: Any) -> None:
    assert echo(dt.datetime(2020, 1, 1, tzinfo=dt.timezone.utc)).tzinfo is dt.timezone.utc


def test_zone_info_comes_back_by_its_key(echo: Any) -> None:
    try:
        berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    except zoneinfo.ZoneInfoNotFoundError:
        pytest.skip("no time zone data")
    value = dt.datetime(2020, 10, 25, 2, 30, fold=1, tzinfo=berlin)
    assert identical(echo(value), value)
    assert echo(value).utcoffset() == value.utcoffset()


@pytest.mark.parametrize("size", [TEXT_INLINE_BYTES_MAX - 1, TEXT_INLINE_BYTES_MAX,
                                  TEXT_INLINE_BYTES_MAX + 1, 3 << 20])  # fmt: skip
@pytest.mark.parametrize("kind", [str, bytes, bytearray])
def test_long_text_comes_back_exactly(echo: Any, kind: type, size: int) -> None:
    value = ("ä" * (size // 2) + "x" * (size % 2)) if kind is str else kind(b"ab" * (size // 2))
    assert identical(echo(value), value)


def test_random_values_come_back_exactly(echo: Any) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)

    def leaf() -> Any:
        number, text = chance.randrange(-(2**70), 2**70), "s" * chance.randrange(9)
        some = chance.choice([chance.choice(DATES), chance.choice(PLAIN)])
        choices = [None, True, number, chance.random(), text, bytes(chance.randrange(9)), some]
        return chance.choice(choices)

    def grow(depth: int) -> Any:
        count = chance.randrange(6)
        shape = chance.randrange(5) if depth else 0
        if shape == 1:
            return [grow(depth - 1) for _ in range(count)]
        if shape == 2:
            return tuple(grow(depth - 1) for _ in range(count))
        if shape == 3:
            return {f"k{i}": grow(depth - 1) for i in range(count)}
        if shape == 4:
            return {chance.randrange(2**66) for _ in range(count)}
        return leaf()

    for _ in range(300):
        value = grow(5)
        assert identical(echo(value), value), value


# ------------------------------------------------------------------------------------- refusals


class Colour(enum.IntEnum):
    RED = 1


class Text(str):
    pass


class Zone(dt.tzinfo):
    def utcoffset(self, _when: dt.datetime | None) -> dt.timedelta:
        return dt.timedelta(0)


Pair = collections.namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        (Colour.RED, ["args[0]", "Colour", "int(...)"]),
        ([1, {"k": Text("x")}], ["args[0][1]['k']", "Text", "str(...)"]),
        (Pair(1, 2), ["Pair", "tuple(...)"]),
        (collections.OrderedDict(), ["OrderedDict", "dict(...)"]),
        ("\ud800", ["surrogate"]),
        (["a", "b", "c", "\ud800"], ["args[0][3]", "surrogate"]),
        ({"\ud800": 1}, ["args[0] (a key)"]),
        ({1, object()}, ["args[0] (an element)", "object"]),
        ({1: {2: (3, object())}}, ["args[0][1][2][1]"]),
        (print, ["functions"]),
        (iter([]), ["list(...)"]),
        (dt.datetime(2020, 1, 1, tzinfo=Zone()), ["time zone", "zoneinfo"]),
        ([None] * 100001, ["too many"]),
        ([[None] * 60000] * 2, ["args[0][1]["]),
    ],
    ids=lambda v: repr(v)[:30],
)
def test_what_cannot_cross_is_refused_with_its_path(
    echo: Any, value: Any, parts: list[str]
) -> None:
    with pytest.raises(rb.CannotCross) as caught:
        echo(value)
    for part in parts:
        assert part in str(caught.value)
    assert echo(1) == 1


def test_a_broken_repr_does_not_hide_the_refusal(echo: Any) -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    with pytest.raises(rb.CannotCross):
        echo({1: {Broken(): 1}})


def test_depth_is_allowed_up_to_the_limit_and_refused_beyond(echo: Any) -> None:
    value: Any = array.array("d", [1.0])
    for _ in range(VALUE_DEPTH_MAX):
        value = (value,)
    echo(value)
    with pytest.raises(rb.CannotCross, match="nested too deeply"):
        echo((value,))


def test_self_reference_is_refused_as_too_deep(echo: Any) -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(rb.CannotCross, match="nested too deeply"):
        echo(endless)


@pytest.mark.parametrize("what", ["object", "recursive"])
def test_result_that_cannot_cross_is_refused_at_the_caller(worker_module: Any, what: str) -> None:
    with pytest.raises(rb.CannotCross, match="result"):
        worker_module.give(what)
    assert worker_module.describe(1)["type"] == "int"


@pytest.mark.parametrize(
    ("what", "advice"),
    [
        ("object", "arrays; a Worker's function can keep it there: .options(keep=True)"),
        ("generator", "call the function with .stream(...); a Worker's function can keep it"),
        ("async generator", "call the function with .stream(...)"),
        ("awaitable", "await it, and send what that gives"),
    ],
)
def test_the_refusal_of_a_result_says_what_to_do(
    worker_module: Any, what: str, advice: str
) -> None:
    with pytest.raises(rb.CannotCross, match=re.escape(advice)):
        worker_module.give(what)


# --------------------------------------------------------------------------------------- buffers


@pytest.mark.parametrize(
    "value",
    [
        array.array("d", range(10)),
        array.array("h", range(2000)),
        array.array("i"),
        memoryview(b"abcdef")[::2],
        memoryview(bytearray(range(12))).cast("B", (3, 4)),
    ],
    ids=repr,
)
def test_buffer_comes_back_with_its_shape_and_items(echo: Any, value: Any) -> None:
    sent, back = memoryview(value), memoryview(echo(value))
    assert back.tolist() == sent.tolist()
    assert (back.shape, back.readonly, back.itemsize) == (sent.shape, sent.readonly, sent.itemsize)
