# SPDX-License-Identifier: MIT
"""Vectors and their columns: lists and arrays to columns, WKB to coordinates, and to a worker.

Frames and Arrow tables: test_compute_frames.py.
"""

from __future__ import annotations

import datetime as dt
import decimal
import struct
from typing import Any

import pytest

np = pytest.importorskip("numpy")

from rbr_testing import vectors_there  # noqa: E402

import ringbridge  # noqa: E402
from ringbridge.compute import Column, Vector  # noqa: E402
from ringbridge.compute import column as columns  # noqa: E402

MILLION = 1_000_000
HOUR = dt.timezone(dt.timedelta(hours=1))
NAN = float("nan")


# ------------------------------------------------------------------------------------------ columns


@pytest.mark.parametrize(
    ("values", "kind", "dtype", "listed"),
    [
        ([1, None, 2], "plain", "int64", [1, None, 2]),
        ([True, None], "plain", "bool", [True, None]),
        ([2**64 - 1, 0], "plain", "uint64", [2**64 - 1, 0]),
        ([1.5, None, 2], "plain", "float64", [1.5, None, 2.0]),
        ([decimal.Decimal("1.5"), 2], "plain", "float64", [1.5, 2.0]),
        ([], "plain", "float64", []),
        ([None, None], "plain", "float64", [None, None]),
        (["é", None, "", NAN], "text", "uint8", ["é", None, "", None]),
        ([b"\0", bytearray(b"b"), None], "bytes", "uint8", [b"\0", b"b", None]),
        ([dt.date(1815, 6, 18), None], "plain", "datetime64[D]", [dt.date(1815, 6, 18), None]),
        ([dt.time(1, tzinfo=HOUR)], "plain", "timedelta64[us]", [dt.timedelta(hours=1)]),
        ([dt.timedelta(3), None], "plain", "timedelta64[us]", [dt.timedelta(3), None]),
        (np.array(["a", "bc"]), "text", "uint8", ["a", "bc"]),
        (np.array([1, 2], ">i2"), "plain", "int16", [1, 2]),
        (np.array([1.5], np.longdouble), "plain", "float64", [1.5]),
        (np.array(["2020", "NaT"], "M8[Y]"), "plain", "datetime64[D]", [dt.date(2020, 1, 1), None]),
        (np.array([1], "m8[D]"), "plain", "timedelta64[s]", [dt.timedelta(1)]),
        (np.ma.array([1, 2], mask=[0, 1]), "plain", "int64", [1, None]),
        (np.ma.array(["x", "y"], mask=[1, 0]), "text", "uint8", [None, "y"]),
    ],
)
def test_a_column_of(values: Any, kind: str, dtype: str, listed: list[Any]) -> None:
    column = Column.of(values)
    assert (column.kind, str(column.values.dtype), column.to_list()) == (kind, dtype, listed)
    assert column.values.dtype.isnative and len(column) == len(listed)


def test_datetimes_keep_their_time() -> None:
    """They were cut to days, as dates were."""
    moment = dt.datetime(2020, 1, 1, 1, 2, 3, 4)
    assert Column.of([moment, None]).to_list() == [moment, None]


def test_datetimes_with_a_zone_become_those_of_utc() -> None:
    column = Column.of([dt.datetime(2020, 1, 1, tzinfo=HOUR)])
    assert column.to_list() == [dt.datetime(2019, 12, 31, 23)]


def test_nan_among_numbers_is_a_number() -> None:
    listed = Column.of([1.0, NAN, None]).to_list()
    assert listed[0] == 1.0 and listed[1] != listed[1] and listed[2] is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1, "a"], "int, str"),
        ([2**70], "64 bits"),
        ([2**63, -1], "64 bits"),
        ([[1]], "list"),
        ([dt.date(2020, 1, 1), dt.datetime(2020, 1, 1)], "date, datetime"),
        ([dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 1, tzinfo=HOUR)], "time zone"),
        (np.zeros(2, complex), "complex"),
        (np.array([1], "m8[M]"), "months"),
    ],
)
def test_what_cannot_cross_is_refused(values: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        Column.of(values)


def test_a_column_has_one_dimension() -> None:
    with pytest.raises(ValueError, match="one dimension"):
        Column.of(np.zeros((2, 2)))


def test_columns_are_made_without_a_loop_of_pythons() -> None:
    for values in ([1, None], ["a", None], [NAN, "a"], [dt.time(1), None], [1.5, 2]):
        few, _ = vectors_there.steps_of(lambda v=values: Column.of(v * 10))  # type: ignore[misc]
        many, _ = vectors_there.steps_of(lambda v=values: Column.of(v * 10_000))  # type: ignore[misc]
        assert many < few * 1.1 + 100


@pytest.mark.parametrize("values", [["a", None, "bcd", ""], [1, 2, None, 4], [1.5] * 4])
def test_parts_joined_are_the_whole(values: list[Any]) -> None:
    whole = Column.of(values)
    parts = [whole.part(0, 1), whole.part(1, 1), whole.part(1, 3), whole.part(3, 4)]
    assert parts[2].to_list() == values[1:3]
    joined = columns.join(parts)
    assert joined.to_list() == values and joined.values.dtype == whole.values.dtype


# ---------------------------------------------------------------------------------------------- WKB


def point(order: str = "<", code: int = 1, *, xy: tuple[float, ...] = (1.0, 2.0)) -> bytes:
    srid = struct.pack(f"{order}I", 4326) if code & 0x20000000 else b""
    numbers = struct.pack(f"{order}{len(xy)}d", *xy)
    return struct.pack(f"{order}BI", order == "<", code) + srid + numbers


def test_points_of_every_kind_have_coordinates() -> None:
    kinds = [
        point(),
        point(">"),
        point(code=1001, xy=(1.0, 2.0, 3.0)),
        point(">", 0x80000001, xy=(1.0, 2.0, 3.0)),
        point(code=3001, xy=(1.0, 2.0, 3.0, 4.0)),
        point(code=0x20000001),
        point(">", 0xE0000001, xy=(1.0, 2.0, 3.0, 4.0)),
    ]
    assert Vector({}, Column.of(kinds)).xy().tolist() == [[1.0, 2.0]] * len(kinds)


def test_missing_and_empty_points_have_none() -> None:
    xy = Vector({}, Column.of([None, point(xy=(NAN, NAN)), point()])).xy()
    assert np.isnan(xy[:2]).all() and xy[2].tolist() == [1.0, 2.0]
    assert np.isnan(Vector({}, Column.of([b"", b""])).xy()).all()


def test_what_is_masked_is_not_looked_at() -> None:
    geometry = Column.of([b"no WKB at all, and long enough", point()])
    geometry.valid = np.array([False, True])
    assert Vector({}, geometry).xy()[1].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("wkb", "said"),
    [
        (struct.pack("<BIII", 1, 2, 0, 0) + bytes(32), "not points"),
        (struct.pack("<BII", 1, 3, 0), "not points"),
        (point()[:-1], "not points"),
        (point(code=0x20000001)[:-4], "not points"),
        (b"\1\1", "less than 5 bytes"),
    ],
)
def test_other_geometries_have_no_coordinates(wkb: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Vector({}, Column.of([point(), wkb])).xy()
    with pytest.raises(ValueError, match=said):
        Vector({}, Column.of([wkb])).xy()


def test_a_table_has_no_coordinates() -> None:
    with pytest.raises(ValueError, match="table"):
        Vector({"n": [1]}).xy()


def test_points_without_rows_cross() -> None:
    """The column of their geometry is false, and was sent as it is."""
    vector = Vector.points(np.zeros((0, 2)), "EPSG:4326")
    plain = vector.to_plain()
    assert set(plain["geometry"]) == {"kind", "values", "offsets", "valid"}
    back = Vector.from_plain(plain)
    assert len(back) == 0 and back.geometry is not None and back.xy().shape == (0, 2)
    assert repr(back) == "<Vector 0 features, columns []>"


# ----------------------------------------------------------------------------------------- a worker


def a_million(count: int) -> Vector:
    rng = np.random.default_rng(1)
    return Vector.points(
        rng.uniform(0, 1e6, (count, 2)),
        "EPSG:25832",
        n=np.arange(count),
        x=rng.uniform(size=count),
        text=list(map(str, range(count))),
        day=np.full(count, "2020-01-01", "M8[D]"),
        some=np.ma.array(np.arange(count, dtype="i4"), mask=np.arange(count) % 7 == 0),
    )


@pytest.mark.seconds(110)
@pytest.mark.parametrize("form", ["geopandas", "arrow"])
def test_a_million_features_cross_without_a_loop_over_them(
    worker: ringbridge.Worker, form: str
) -> None:
    """The interpreter over there takes as many steps for them as for a thousand."""
    pytest.importorskip("geopandas" if form == "geopandas" else "pyarrow")
    there = worker.load("rbr_testing.vectors_there")
    few, _ = there.there_and_back(a_million(1000).to_plain(), form)
    vector = a_million(MILLION)
    many, plain = there.there_and_back(vector.to_plain(), form)
    assert few > 100 and many < few * 1.2 + 1000, (few, many)
    back = Vector.from_plain(plain)
    assert "25832" in back.crs and list(back.columns) == list(vector.columns)
    for name, column in vector.columns.items():
        other = back.columns[name]
        valid = slice(None) if column.valid is None else column.valid
        assert other.values.dtype == column.values.dtype
        assert np.array_equal(other.values[valid], column.values[valid])
        assert (other.valid is None) == (column.valid is None)
    assert back.geometry is not None and vector.geometry is not None
    assert np.array_equal(back.geometry.values, vector.geometry.values)


def test_the_counter_of_steps_sees_a_loop() -> None:
    steps, _ = vectors_there.steps_of(lambda: [each for each in range(10_000)])
    assert steps > 10_000
