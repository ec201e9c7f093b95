# SPDX-License-Identifier: MIT
"""pandas and geopandas frames through a real worker: exact, or refused with the place."""

from __future__ import annotations

import datetime as dt
import decimal
import subprocess
from typing import Any

import pytest
from rbr_testing.equality import identical
from rbr_testing.fixtures import MakeWorker
from test_values_tables import stream

import ringbridge as rb
from ringbridge import tables

NAN = float("nan")


# ----------------------------------------------------------------------------------------- pandas


def frames(pd: Any) -> dict[str, Any]:
    days = pd.date_range("2020-01-01", periods=3)
    return {
        "numbers": pd.DataFrame({"a": [1, 2, 3], "b": [0.5, float("nan"), -0.0]}),
        "text": pd.DataFrame({"s": ["a", None, "é"]}),
        "bytes": pd.DataFrame({"s": [b"a", None, b"\xff"]}),
        "bools with gaps": pd.DataFrame({"b": pd.array([True, None, False], dtype="boolean")}),
        "ints with gaps": pd.DataFrame({"i": pd.array([1, None, 3], dtype="Int16")}),
        "dates": pd.DataFrame({"t": days, "z": days.tz_localize("UTC"), "d": days - days[0]}),
        "times": pd.DataFrame({"t": [dt.time(1, 2), None]}),
        "truths with gaps": pd.DataFrame({"b": pd.Series([True, None], dtype=object)}),
        "texts with NaN": pd.DataFrame({"s": pd.Series(["a", NAN, "b"], dtype=object)}),
        "texts and nothing": pd.DataFrame({"s": pd.Series(["a", None], dtype=object)}),
        "numbers as objects": pd.DataFrame({"n": pd.Series([1, 2], dtype=object)}),
        "truths": pd.DataFrame({"b": pd.Series([True, False], dtype=object)}),
        "nothing": pd.DataFrame({"s": pd.Series([None, None], dtype=object)}),
        "decimals": pd.DataFrame({"d": [decimal.Decimal("1.50"), None, decimal.Decimal("-2.25")]}),
        "days": pd.DataFrame({"d": [dt.date(2020, 1, 1), None, dt.date(2021, 1, 1)]}),
        "categories": pd.DataFrame({"c": pd.Categorical(["x", "y", "x"], ordered=True)}),
        "periods": pd.DataFrame({"p": pd.period_range("2020-01", periods=3, freq="M")}),
        "intervals": pd.DataFrame({"i": pd.interval_range(0, 3)}),
        "an index": pd.DataFrame({"a": [1, 2, 3]}, index=pd.Index(["x", "y", "z"], name="key")),
        "a range": pd.DataFrame({"a": [1, 2, 3]}, index=pd.RangeIndex(10, 16, 2)),
        "two indices": pd.DataFrame(
            {"a": [1, 2]}, index=pd.MultiIndex.from_tuples([(1, "x"), (2, "y")], names=["i", "j"])
        ),
        "two headers": pd.DataFrame(
            [[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")])
        ),
        "numbered columns": pd.DataFrame([[1, 2], [3, 4]]),
        "periods beside": pd.DataFrame({"a": [1, 2]}, index=pd.period_range("2020", periods=2)),
        "intervals beside": pd.DataFrame({"a": [1, 2]}, index=pd.interval_range(0, 2)),
        "categories beside": pd.DataFrame({"a": [1]}, index=pd.CategoricalIndex(["x"])),
        "no rows, but categories": pd.DataFrame({"c": pd.Categorical([], categories=["z", "a"])}),
        "dated columns": pd.DataFrame([[1, 2, 3]], columns=days),
        "moments by name": pd.DataFrame({"a": [1, 2, 3]}, index=days.rename("day")),
        "texts of each kind": pd.DataFrame({"s": pd.array(["a", None], dtype="string")}),
        "marked": pd.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=False),
        "no rows": pd.DataFrame({"a": pd.array([], dtype="float32")}),
        "no columns": pd.DataFrame(index=pd.RangeIndex(3)),
    }


NAMES = [
    *("numbers", "text", "bytes", "bools with gaps", "ints with gaps", "dates", "days", "times"),
    *("truths with gaps", "texts with NaN", "texts and nothing", "nothing", "decimals", "marked"),
    *("categories", "periods", "intervals", "an index", "a range", "two indices", "two headers"),
    *("numbered columns", "dated columns", "moments by name", "texts of each kind", "no columns"),
    *("no rows", "no rows, but categories", "periods beside", "intervals beside"),
    *("categories beside", "numbers as objects", "truths"),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_frame_comes_back_equal(pd: Any, echo: Any, name: str) -> None:
    frame = frames(pd)[name]
    back = echo([frame])[0]
    assert type(back) is pd.DataFrame
    pd.testing.assert_frame_equal(back, frame, check_freq=False)
    assert back.flags == frame.flags
    for position, dtype in enumerate(frame.dtypes):
        if str(dtype) == "object":
            assert identical(list(back.iloc[:, position]), list(frame.iloc[:, position]))


def test_a_frames_attributes_cross(pd: Any, echo: Any, other_pythons: list[str]) -> None:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs = {"unit": "m", "scale": [1, 2.5, None]}
    assert identical(echo(frame).attrs, frame.attrs)
    frame.attrs = {"unit": (1, 2)}
    with pytest.raises(rb.CannotCross, match="attrs that are no JSON"):
        echo(frame)


def test_frames_cross_to_another_python_and_back(
    pd: Any, make_worker: MakeWorker, other_pythons: list[str]
) -> None:
    found = 0
    for python in other_pythons:
        probe = [python, "-c", "import pyarrow, pandas"]
        if subprocess.run(probe, capture_output=True).returncode != 0:
            continue
        there = make_worker(python).load("rbr_testing.basics")
        for name, frame in frames(pd).items():
            if name in ("texts with NaN", "texts and nothing"):
                continue  # texts as objects: over there or here they may have a dtype of their own
            pd.testing.assert_frame_equal(there.echo(frame), frame, check_freq=False)
        found += 1
    if not found:
        pytest.skip("no other interpreter with pyarrow and pandas: RBR_TEST_PYTHONS")


def changing_columns(pd: Any) -> list[tuple[list[Any], str]]:
    """Objects, and a word of why they are refused."""
    moment = dt.datetime(2020, 1, 1, 5)
    zone = dt.timezone.utc
    return [
        ([1, None], "row 0 is int 1 and would arrive as float 1.0"),
        ([moment], "row 0 is datetime .* Timestamp"),
        ([1, "a"], "Conversion failed for column x"),
        ([dt.date(2020, 1, 1), moment], r"row 1 is datetime .* arrive as date"),
        (["x", b"y"], "row 0 is str 'x' .* bytes"),
        ([dt.time(1, 2, tzinfo=zone)], "row 0 is time .* time"),
        ([{"x": 1}, {"y": 2}], "row 0 is dict"),
        ([decimal.Decimal("1.5"), decimal.Decimal("2.25")], r"row 0 .*'1.5'.*'1.50'"),
        ([decimal.Decimal("NaN"), decimal.Decimal(1)], "row 0 .* NoneType"),
        ([["a"], ["b"]], "row 0 is list .* ndarray"),
        ([{1}, {2}], "row 0 is set|Could not convert"),
        ([bytearray(b"x")], "row 0 is bytearray .* bytes"),
        ([NAN, None], "row 0 is float nan .* NoneType|dtype"),
        ([pd.NA, True], "row 0 is NAType .* NoneType"),
        ([pd.NaT, dt.date(2020, 1, 1)], "row 0 is NaTType .* NoneType"),
    ]


def test_a_column_that_would_change_is_refused_with_its_row(pd: Any, echo: Any) -> None:
    for values, text in changing_columns(pd):
        frame = pd.DataFrame({"x": pd.Series(values, dtype=object)})
        with pytest.raises(rb.CannotCross, match=rf"args\[0\]\['k'\]: .*{text}"):
            echo({"k": frame})
    with pytest.raises(rb.CannotCross, match=r"Arrow cannot hold.*column x"):
        echo(pd.DataFrame({"x": [1j, 2j]}))
    with pytest.raises(rb.CannotCross, match="Duplicate column names"):
        echo(pd.DataFrame([[1, 2]], columns=["a", "a"]))


def test_labels_that_would_change_are_refused(pd: Any, echo: Any, recwarn: Any) -> None:
    two = [[1, 2]]
    for columns in ([1, "a"], [True, "x"], [1.5, "a"], [None, "a"], [pd.NA, "a"]):
        with pytest.raises(rb.CannotCross, match="labels of several types"):
            echo(pd.DataFrame(two, columns=pd.Index(columns, dtype=object)))
    with pytest.raises(rb.CannotCross, match="labels of several types"):
        echo(pd.DataFrame(two, columns=pd.MultiIndex.from_tuples([("a", 1), ("b", "x")])))
    for columns in (pd.CategoricalIndex(["a", "b"]), pd.period_range("2020", periods=2)):
        with pytest.raises(rb.CannotCross, match=r"the columns is|Arrow cannot hold"):
            echo(pd.DataFrame(two, columns=columns))
    assert not recwarn.list


def test_an_index_that_would_change_is_refused(pd: Any, echo: Any) -> None:
    for index in (
        pd.Index([1, None], dtype="Int64"),
        pd.Index([1, 2], dtype=object),
        pd.Index([1, 2], name=5),
        pd.Index([1, 2], name=("a", "b")),
        pd.Index([dt.date(2020, 1, 1), dt.datetime(2020, 1, 1, 5)]),
    ):
        with pytest.raises(rb.CannotCross, match=r"(the|an) index"):
            echo(pd.DataFrame({"a": [1, 2]}, index=index))


def test_categories_that_would_change_are_refused(pd: Any, echo: Any) -> None:
    half, quarter = decimal.Decimal("1.5"), decimal.Decimal("2.25")
    with pytest.raises(rb.CannotCross, match="the categories of column 'c'"):
        echo(pd.DataFrame({"c": pd.Categorical([half, quarter])}))
    moments = pd.date_range("2020", periods=2)
    for categories in (moments.tz_localize("UTC"), moments.to_period("D")):
        frame = pd.DataFrame({"c": pd.Categorical.from_codes([0, 1], categories)})
        try:
            back = echo(frame)
        except rb.CannotCross as error:
            assert "the categories of column 'c'" in str(error) or "Arrow cannot hold" in str(error)
        else:  # newer versions can
            pd.testing.assert_frame_equal(back, frame)


def test_a_frame_that_would_change_is_pickled_where_that_is_allowed(
    pd: Any, make_worker: MakeWorker
) -> None:
    there = make_worker(pickle=True).load("rbr_testing.basics")
    for values, _ in changing_columns(pd):
        frame = pd.DataFrame({"x": pd.Series(values, dtype=object)})
        back = there.echo(frame)
        pd.testing.assert_frame_equal(back, frame)
        assert list(map(type, back["x"])) == list(map(type, frame["x"]))


def test_series_and_subclasses_are_refused_with_advice(pd: Any, echo: Any) -> None:
    class Mine(pd.DataFrame):  # type: ignore[misc]
        pass

    with pytest.raises(rb.CannotCross, match=r"subclass of pandas.DataFrame.*DataFrame\(\.\.\.\)"):
        echo(Mine({"a": [1]}))
    with pytest.raises(
        rb.CannotCross, match=r"with \.to_numpy\(\), or as a table with \.to_frame\(\)"
    ):
        echo(pd.Series([1, 2]))


# -------------------------------------------------------------------------------------- geopandas


def test_a_geodataframe_comes_back_equal(gpd: Any, echo: Any) -> None:
    from geopandas.testing import assert_geodataframe_equal
    from shapely.geometry import LineString, Point, Polygon

    frame = gpd.GeoDataFrame(
        {"name": ["a", "b", None], "number": [1, 2, 3]},
        geometry=[Point(1, 2, 3), None, Polygon([(0, 0), (1, 0), (1, 1)])],
        crs="EPSG:3857",
        index=[7, 8, 9],
    )
    frame.attrs = {"source": "survey"}
    frame["other"] = gpd.GeoSeries(
        [LineString(), Point(0, 0), LineString([(0, 0), (1, 1)])], index=[7, 8, 9], crs="EPSG:4326"
    )
    for each in (
        frame,
        frame.set_geometry("other"),
        frame.iloc[:0],
        frame.set_crs(None, allow_override=True),
        frame.set_flags(allows_duplicate_labels=False),
    ):
        back = echo(each)
        assert type(back) is gpd.GeoDataFrame
        assert back.geometry.name == each.geometry.name and back.crs == each.crs
        assert (back.attrs, back.flags) == (each.attrs, each.flags)
        assert_geodataframe_equal(back, each)
        assert back["other"].crs == each["other"].crs


def test_a_geodataframe_without_an_active_geometry_comes_back(gpd: Any, echo: Any) -> None:
    frame = gpd.GeoDataFrame({"a": [1, 2]})
    back = echo(frame)
    assert type(back) is gpd.GeoDataFrame and list(back["a"]) == [1, 2]
    with pytest.raises(AttributeError):
        _ = back.geometry


# ------------------------------------------------------------------------------------------- size


def hollow_columns(pa: Any, count: int) -> dict[str, Any]:
    """Values that take no bytes, at the top or in a list."""
    nulls = pa.nulls(count)
    structs = pa.StructArray.from_buffers(pa.struct([]), count, [None])
    lists = pa.FixedSizeListArray.from_buffers(
        pa.list_(pa.int8(), 0), count, [None], children=[pa.array([], pa.int8())]
    )
    whole = pa.array([0, count], pa.int64())
    few = pa.array([1], pa.int8())
    columns = {
        "null": nulls,
        "struct": structs,
        "list of none": lists,
        "list": pa.LargeListArray.from_arrays(whole, nulls),
        "struct of it": pa.StructArray.from_arrays([nulls], ["x"]),
        "map": pa.MapArray.from_arrays(pa.array([0, 1], pa.int32()), ["key"], nulls.slice(0, 1)),
        "runs": pa.RunEndEncodedArray.from_arrays(pa.array([count], pa.int64()), few),
    }
    if hasattr(pa, "ListViewArray"):
        sizes = [1000] * (count // 1000)
        columns["views"] = pa.ListViewArray.from_arrays([0] * len(sizes), sizes, [0] * 1000)
    return columns


def test_a_small_frame_does_not_fill_the_memory(pa: Any, pd: Any) -> None:
    for name, column in hollow_columns(pa, 20_000).items():
        assert len(tables.read(2, stream(pa, pa.table({name: column})))) == len(column)
    for name, column in hollow_columns(pa, 2**30).items():
        if name == "map":
            continue  # as long as its keys
        sent = stream(pa, pa.table({name: column}))
        with pytest.raises(rb.CannotCross, match="that take no bytes"):
            tables.read(2, sent)
        assert tables.read(0, sent).num_rows == len(column)
