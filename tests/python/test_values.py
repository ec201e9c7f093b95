# SPDX-License-Identifier: MIT
"""Values through a real worker: they come back exactly as they went, or are refused with a path."""

from __future__ import annotations

import array
import collections
import datetime as dt
import decimal
import enum
import gc
import math
import pathlib
import random
import struct
import uuid
import zoneinfo
from typing import Any

import pytest

import ringbridge as rb

NAN_WITH_PAYLOAD = struct.unpack("<d", struct.pack("<Q", 0x7FF8000000001234))[0]
TEXT_INLINE_BYTES_MAX = 16 << 10  # values.h
VALUE_DEPTH_MAX = 59  # values.h


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
    if isinstance(one, decimal.Decimal):
        return one.as_tuple() == other.as_tuple()
    if isinstance(one, (dt.datetime, dt.time)):
        return repr(one) == repr(other) and one.fold == other.fold
    return bool(one == other)


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


# ---------------------------------------------------------------------------------------- arrays

try:
    import numpy as np
except ImportError:
    np = None  # type: ignore[assignment]

needs_numpy = pytest.mark.skipif(np is None, reason="numpy is not installed")

CODES = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c8", "c16",
         "M8[ns]", "M8[D]", "m8[25s]", "U5", "S3"]  # fmt: skip
SHAPES = [(), (0,), (3, 0, 2), (1,), (5,), (7, 3), (3, 4, 5), (300,), (50, 70)]


def made(code: str, shape: tuple[int, ...]) -> Any:
    count = int(np.prod(shape))
    dtype = np.dtype(code)
    if dtype.kind == "U":
        return np.full(shape, "äb€", dtype)
    raw = np.random.default_rng(1).integers(0, 2, count * dtype.itemsize, dtype="u1")
    return np.frombuffer(raw.tobytes(), dtype).reshape(shape).copy()


def same_array(one: Any, other: Any) -> bool:
    return (
        type(other) is np.ndarray
        and (one.dtype, one.shape) == (other.dtype, other.shape)
        and one.tobytes() == other.tobytes()
        and one.flags.writeable == other.flags.writeable
    )


@needs_numpy
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("code", CODES)
def test_array_comes_back_exactly(echo: Any, code: str, order: str) -> None:
    for shape in SHAPES:
        whole = made(order + code if code[0] not in "?" and code[1:] != "1" else code, shape)
        views = [whole, np.asfortranarray(whole), whole.T]
        if shape:
            views += [whole[::-1], whole[..., ::2]]
        for view in views:
            assert same_array(view, echo(view)), (code, shape, view.strides)


@needs_numpy
def test_fortran_order_and_read_only_come_back(echo: Any) -> None:
    value = np.asfortranarray(np.zeros((30, 40)))
    value.flags.writeable = False
    back = echo(value)
    assert back.flags.f_contiguous and not back.flags.c_contiguous
    assert not back.flags.writeable
    with pytest.raises(ValueError, match="WRITEABLE"):
        back.flags.writeable = True


@needs_numpy
def test_array_of_another_memory_is_a_plain_array_over_there(worker_module: Any) -> None:
    seen = worker_module.describe(np.arange(6, dtype=">i4").reshape(2, 3)[:, ::2])
    assert (seen["type"], seen["dtype"], seen["shape"]) == ("ndarray", ">i4", (2, 2))
    assert seen["c"] and seen["aligned"] and seen["base"] == "Array"


@needs_numpy
def test_numpy_scalars_come_back_as_numpy_scalars(echo: Any) -> None:
    for value in [np.float64(1.5), np.float32(2), np.int8(-3), np.bool_(True), np.complex128(1j),
                  np.uint64(2**64 - 1), np.float16(1), np.datetime64("2020-01-01", "ns"),
                  np.timedelta64(5, "D"), np.str_("hä"), np.bytes_(b"ab")]:  # fmt: skip
        back = echo(value)
        assert type(back) is type(value) and back == value and back.dtype == value.dtype


@needs_numpy
def test_records_come_back(echo: Any) -> None:
    dtype = np.dtype(
        [("a", "<f8"), ("b", ">i4", (2,)), ("c", "U3"), ("n", [("x", "u1"), ("y", "f4")])]
    )
    aligned = np.dtype([("a", "u1"), ("b", "f8")], align=True)
    for each in (dtype, aligned):
        value = np.zeros((4, 5), each)
        value["a"] = np.arange(20).reshape(4, 5)
        for sent in (value, value[::2]):
            back = echo(sent)
            # Not same_array: numpy leaves the padding of an aligned record undefined.
            assert back.dtype == sent.dtype and (back == sent).all()


@needs_numpy
def test_arrays_that_cannot_cross_are_refused_with_advice(echo: Any) -> None:
    for value, advice in [
        (np.array([object()]), "object"),
        (np.zeros(3, np.longdouble), "float64"),
        (np.zeros(2, [("a", "O")]), "objects"),
        (np.ma.zeros(3), "numpy.array"),
        (np.rec.array([(1, 2.0)]), "numpy.array"),
    ]:
        with pytest.raises(rb.CannotCross, match=advice):
            echo({"x": value})


@needs_numpy
def test_shared_array_is_used_in_place_over_there(worker: Any, worker_module: Any) -> None:
    shared = worker.empty((100, 50), "float32")
    shared[...] = 0
    worker_module.fill(shared[::2, ::-1], 3.0)
    assert (shared[::2] == 3).all() and (shared[1::2] == 0).all()
    seen = worker_module.describe(shared.T[5:, ::2])
    assert (seen["shape"], seen["strides"]) == ((45, 50), (4, 400))


@needs_numpy
def test_copy_option_gives_memory_of_our_own(worker_module: Any) -> None:
    worker_module.keep("a", np.zeros(10000))
    private = worker_module.kept.options(copy=True)("a")
    private[0] = 5
    assert worker_module.kept("a")[0] == 0
    worker_module.drop("a")


@needs_numpy
def test_received_arrays_give_their_blocks_back(worker: Any, worker_module: Any) -> None:
    worker_module.keep("b", np.zeros(100000))
    got = [worker_module.kept("b") for _ in range(5)]
    assert worker.stats()["peer_blocks"] >= 5
    del got
    gc.collect()
    assert worker.stats()["peer_blocks"] == 0
    worker_module.drop("b")


@needs_numpy
def test_empty_takes_what_numpy_takes_and_refuses_the_rest(worker: Any) -> None:
    assert worker.empty(3, None).dtype == np.float64
    assert worker.empty([np.int64(2), 3], ">i2").shape == (2, 3)
    assert worker.empty((), "M8[ns]").shape == ()
    with pytest.raises(TypeError, match="object"):
        worker.empty(3, "object")
    with pytest.raises(ValueError, match="negative"):
        worker.empty(-1, "f8")
