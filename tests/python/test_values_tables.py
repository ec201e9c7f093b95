# SPDX-License-Identifier: MIT
"""Arrow tables, pandas and geopandas frames through a real worker: exact, or refused by name."""

from __future__ import annotations

import datetime as dt
import decimal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ringbridge as rb
from ringbridge import tables

HERE = Path(__file__).resolve().parent
MakeWorker = Callable[..., rb.Worker]


@pytest.fixture(scope="session")
def pa() -> Any:
    return pytest.importorskip("pyarrow")


@pytest.fixture(scope="session")
def pd(pa: Any) -> Any:
    return pytest.importorskip("pandas")


@pytest.fixture(scope="session")
def gpd(pd: Any) -> Any:
    return pytest.importorskip("geopandas")


# ------------------------------------------------------------------------------------------ Arrow


def arrow_columns(pa: Any) -> dict[str, Any]:
    """A column of each kind, with nulls where it has them."""
    day = dt.date(2020, 2, 29)
    return {
        "none": pa.nulls(3),
        "bool": pa.array([True, None, False]),
        "int": pa.array([1, None, -(2**63)]),
        "small": pa.array([1, 2, 255], pa.uint8()),
        "half": pa.array([1.0, 2.0, 3.0], pa.float32()).cast(pa.float16()),
        "float": pa.array([float("nan"), -0.0, None]),
        "text": pa.array(["", "é\0", None]),
        "large": pa.array(["a", "b" * 5000, None], pa.large_string()),
        "bytes": pa.array([b"\xff", b"", None]),
        "fixed": pa.array([b"ab", None, b"cd"], pa.binary(2)),
        "date": pa.array([day, None, day]),
        "time": pa.array([dt.time(1, 2, 3, 4), None, dt.time()]),
        "stamp": pa.array([1, None, 3], pa.timestamp("ns", "Europe/Berlin")),
        "span": pa.array([1, None, 3], pa.duration("ms")),
        "decimal": pa.array([decimal.Decimal("1.20"), None, decimal.Decimal("-3.00")]),
        "list": pa.array([[1, None], None, []]),
        "deep": pa.array([[["x"]], [], None]),
        "struct": pa.array([{"a": 1, "b": None}, None, {"a": 2, "b": "y"}]),
        "map": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int8())),
        "category": pa.array(["x", None, "x"]).dictionary_encode(),
    }


def test_a_table_with_a_column_of_each_kind_comes_back_equal(pa: Any, echo: Any) -> None:
    table = pa.table(arrow_columns(pa)).replace_schema_metadata({"k": "v"})
    for each in (table, table.slice(1, 1), table.slice(3), pa.concat_tables([table] * 3)):
        back = echo({"deep": [each]})["deep"][0]
        assert type(back) is pa.Table and back.schema.equals(each.schema, check_metadata=True)
        # NaN is equal to nothing, so bytes are compared where there are floats
        assert back.drop(["float"]).equals(each.drop(["float"]))
        floats = [struct.pack("d", x) for x in back["float"].to_pylist() if x is not None]
        assert floats == [struct.pack("d", x) for x in each["float"].to_pylist() if x is not None]
        back.validate(full=True)


def test_a_record_batch_comes_back_as_one(pa: Any, echo: Any) -> None:
    batch = pa.RecordBatch.from_pydict({"a": [1, 2, 3], "b": ["x", None, "z"]})
    for each in (batch, batch.slice(1), batch.slice(0, 0)):
        back = echo(each)
        assert type(back) is pa.RecordBatch and back.equals(each)
        assert back.schema.equals(each.schema)


def test_a_table_without_rows_or_columns_comes_back(pa: Any, echo: Any) -> None:
    for table in (pa.table({}), pa.table({"a": pa.array([], pa.int8())})):
        assert echo(table).equals(table)


def test_what_has_the_arrow_interface_arrives_as_a_table(pa: Any, echo: Any) -> None:
    table = pa.table({"a": [1, 2], "b": ["x", "y"]})

    class Foreign:
        def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
            return table.__arrow_c_stream__(requested_schema)

    for value in (Foreign(), table.to_reader()):
        back = echo(value)
        assert type(back) is pa.Table and back.equals(table)


def test_a_large_table_leaves_no_block_behind(pa: Any, worker: rb.Worker, echo: Any) -> None:
    """It is read as a private copy: its block has gone back when the call returns."""
    before = worker.stats()
    table = pa.table({"a": pa.array(range(200_000)), "s": ["x" * (i % 7) for i in range(200_000)]})
    back = echo(table)
    after = worker.stats()
    assert back.equals(table)
    for name in ("arena_used", "peer_blocks"):
        assert after[name] == before[name]


def test_columns_that_are_no_table_are_refused_with_advice(pa: Any, echo: Any) -> None:
    with pytest.raises(rb.CannotCross, match=r"args\[0\]\[0\].*no table.*pyarrow.table\("):
        echo([pa.chunked_array([["a"], ["b"]])])


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
        "lists": pd.DataFrame({"l": [["a"], ["b", "c"]]}),
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
        "no rows": pd.DataFrame({"a": pd.array([], dtype="float32")}),
        "no columns": pd.DataFrame(index=pd.RangeIndex(3)),
    }


NAMES = [
    *("numbers", "text", "bytes", "bools with gaps", "ints with gaps", "dates", "days"),
    *("categories", "periods", "intervals", "an index", "a range", "two indices", "two headers"),
    *("times", "truths with gaps", "lists", "numbered columns", "no rows", "no columns"),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_frame_comes_back_equal(pd: Any, echo: Any, name: str) -> None:
    frame = frames(pd)[name]
    back = echo([frame])[0]
    assert type(back) is pd.DataFrame
    pd.testing.assert_frame_equal(back, frame, check_freq=False)


def test_frames_cross_to_another_python_and_back(
    pd: Any, make_worker: MakeWorker, other_pythons: list[str]
) -> None:
    found = 0
    for python in other_pythons:
        probe = [python, "-c", "import pyarrow, pandas"]
        if subprocess.run(probe, capture_output=True).returncode != 0:
            continue
        there = make_worker(python).load("rbr_testing.basics")
        for frame in frames(pd).values():
            pd.testing.assert_frame_equal(there.echo(frame), frame, check_freq=False)
        found += 1
    if not found:
        pytest.skip("no other interpreter with pyarrow and pandas: RBR_TEST_PYTHONS")


def test_a_frame_that_would_change_is_refused_with_the_column(pd: Any, echo: Any) -> None:
    for column, text in [
        (pd.Series([1, 2], dtype=object), "column 'x' has the dtype object.*int64"),
        (pd.Series([dt.datetime(2020, 1, 1)], dtype=object), "column 'x'.*timestamp"),
        (pd.Series([True, False], dtype=object), "column 'x'.*bool"),
        (pd.Series([1, "a"], dtype=object), "Arrow cannot hold.*column x"),
        (pd.Series([1j, 2j]), "Arrow cannot hold.*column x"),
    ]:
        with pytest.raises(rb.CannotCross, match=rf"args\[0\]\['k'\]: .*{text}"):
            echo({"k": pd.DataFrame({"x": column})})
    with pytest.raises(rb.CannotCross, match="Duplicate column names"):
        echo(pd.DataFrame([[1, 2]], columns=["a", "a"]))


def test_series_and_subclasses_are_refused_with_advice(pd: Any, echo: Any) -> None:
    class Mine(pd.DataFrame):  # type: ignore[misc]
        pass

    with pytest.raises(rb.CannotCross, match=r"subclass of pandas.DataFrame.*DataFrame\(\.\.\.\)"):
        echo(Mine({"a": [1]}))
    with pytest.raises(rb.CannotCross, match=r"to_frame|to_numpy"):
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
    frame["other"] = gpd.GeoSeries(
        [LineString(), Point(0, 0), LineString([(0, 0), (1, 1)])], index=[7, 8, 9], crs="EPSG:4326"
    )
    for each in (
        frame,
        frame.set_geometry("other"),
        frame.iloc[:0],
        frame.set_crs(None, allow_override=True),
    ):
        back = echo(each)
        assert type(back) is gpd.GeoDataFrame
        assert back.geometry.name == each.geometry.name and back.crs == each.crs
        assert_geodataframe_equal(back, each)
        assert back["other"].crs == each["other"].crs


def test_a_geodataframe_without_an_active_geometry_comes_back(gpd: Any, echo: Any) -> None:
    frame = gpd.GeoDataFrame({"a": [1, 2]})
    back = echo(frame)
    assert type(back) is gpd.GeoDataFrame and list(back["a"]) == [1, 2]
    with pytest.raises(AttributeError):
        _ = back.geometry


# ------------------------------------------------------------------------ what is missing, and lies


def test_the_side_without_the_library_says_which_and_where(
    pa: Any, make_worker: MakeWorker, tmp_path: Path
) -> None:
    (tmp_path / "pyarrow.py").write_text("raise ImportError('hidden for this test')")
    there = make_worker(paths=[tmp_path, HERE]).load("rbr_testing.basics")
    with pytest.raises(rb.CannotCross, match=r"args\[0\]\['k'\]: .*needs pyarrow.*hidden for this"):
        there.echo({"k": pa.table({"a": [1]})})
    assert there.echo(1) == 1


def test_an_old_pyarrow_is_refused(pa: Any, make_worker: MakeWorker, tmp_path: Path) -> None:
    """Before 14.0.1, reading a table could run code that stood in it (CVE-2023-47248)."""
    (tmp_path / "pyarrow.py").write_text("__version__ = '14.0.0'")
    there = make_worker(paths=[tmp_path, HERE]).load("rbr_testing.basics")
    with pytest.raises(rb.CannotCross, match=r"pyarrow 14.0.0 .*too old"):
        there.echo(pa.table({"a": [1]}))


def stream(pa: Any, table: Any, compression: str | None = None) -> bytes:
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
@pytest.mark.parametrize("category", [False, True])
def test_a_compressed_stream_is_refused(pa: Any, codec: str, category: bool) -> None:
    """A few of its bytes may become gigabytes."""
    if not pa.Codec.is_available(codec):
        pytest.skip(f"this pyarrow has no {codec}")
    column = pa.array(["x" * 1000] * 1000)
    table = pa.table({"a": column.dictionary_encode() if category else column})
    assert tables.read(0, stream(pa, table)).equals(table)
    with pytest.raises(rb.ProtocolError, match="compressed"):
        tables.read(0, stream(pa, table, codec))


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


@pytest.mark.parametrize("what", [-1, 4, None, "0", True])
def test_an_unknown_kind_of_table_is_refused(pa: Any, what: Any) -> None:
    with pytest.raises(rb.ProtocolError, match="unknown kind"):
        tables.read(what, stream(pa, pa.table({"a": [1]})))


SPOILED = """
import random, sys
import pyarrow as pa
from ringbridge import errors, tables
sys.path.insert(0, sys.argv[1])
from test_values_tables import arrow_columns, stream
from rbr_testing.rounds import count, rounds, seed
random = random.Random(seed())
table = pa.table(arrow_columns(pa))
good = stream(pa, table)
tried = refused = 0
for number in range(rounds(2000)):
    bad = bytearray(good)
    if number % 4 == 0:
        del bad[random.randrange(len(bad)):]
    for _ in range(random.choice((1, 1, 2, 8))):
        if bad:
            at = random.randrange(len(bad))
            bad[at] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))
    for what in (0, 1, 2):
        tried += 1
        try:
            tables.read(what, bytes(bad))
        except (errors.ProtocolError, errors.CannotCross, MemoryError):
            refused += 1
print(tried, "spoiled tables,", refused, "refused")
count("spoiled Arrow streams", tried)
assert refused > tried // 4
"""


@pytest.mark.seconds(600)
def test_spoiled_streams_are_refused_or_read_and_never_crash(pd: Any) -> None:
    """In a process of its own: a crash is what this looks for."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", SPOILED, str(HERE)],
        capture_output=True,
        text=True,
        timeout=590,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
