# SPDX-License-Identifier: MIT
"""Vectors as GeoDataFrames and Arrow tables, and back; with pyarrow, and as if it were absent."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
gpd = pytest.importorskip("geopandas")
shapely = pytest.importorskip("shapely")

import hypothesis  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from rbr_testing.strategies import texts  # noqa: E402

from ringbridge.compute import Column, Vector, geo_frames  # noqa: E402

SHAPES = [
    *("POINT (1 2)", None, "POINT EMPTY", "POINT Z (1 2 3)", "MULTIPOINT (0 0, 1 1)"),
    *("LINESTRING (0 0, 1 1)", "POLYGON Z ((0 0 1, 1 0 1, 1 1 1, 0 0 1))", "POLYGON EMPTY"),
    "GEOMETRYCOLLECTION (POINT (0 0), LINESTRING (0 0, 1 1))",
]
SHAPES += ["POINT M (1 2 3)", "POINT ZM (1 2 3 4)"] if hasattr(shapely, "has_m") else []


@pytest.fixture(params=["with pyarrow", "without"])
def pyarrow_or_not(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "without":
        monkeypatch.setitem(sys.modules, "pyarrow", None)
    else:
        pytest.importorskip("pyarrow")


def geometry(shapes: list[str | None]) -> Column:
    made = [
        None if s is None else shapely.to_wkb(shapely.from_wkt(s), flavor="iso") for s in shapes
    ]
    return Column.of(made) if any(made) else Column("bytes", *no_bytes(len(shapes)))


def no_bytes(count: int) -> tuple[Any, Any, Any]:
    return np.zeros(0, "u1"), np.zeros(count + 1, "i8"), np.zeros(count, bool) if count else None


def every_kind(rows: int = 4) -> Vector:
    """A column of each kind that crosses, whole and with some missing."""
    valid = np.arange(rows) % 3 != 1
    made: dict[str, Any] = {}
    for size in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"):
        array = np.arange(rows).astype(size)
        if rows:
            array[-1] = np.finfo(size).max if size[0] == "f" else np.iinfo(size).max
        made[size] = array
    made["bool"] = np.arange(rows) % 2 == 0
    made["date"] = np.full(rows, "1815-06-18", "M8[D]")
    for unit in ("ms", "us", "ns"):
        made[f"at {unit}"] = np.full(rows, "1969-12-31T23:59:59.999", f"M8[{unit}]")
        made[f"for {unit}"] = np.full(rows, -1, f"m8[{unit}]")
    for name in list(made):
        made[f"{name} or none"] = Column("plain", made[name], None, valid if rows else None)
    made["text"] = Column.of(["", "é 漢", "😀\0", "a"][:rows]) if rows else no_texts()
    made["text or none"] = Column.of([None, "", "b", None][:rows]) if rows else no_texts()
    if rows:
        made["bytes"] = [b"\xff\0", None, b"", b"a"][:rows]
    crs = gpd.GeoSeries([], crs="EPSG:25832").crs.to_wkt()
    return Vector(made, geometry((["POINT (1 2)", None] * rows)[:rows]), crs)


def no_texts() -> Column:
    return Column("text", np.zeros(0, "u1"), np.zeros(1, "i8"))


def assert_same(back: Vector, vector: Vector) -> None:
    assert list(back.columns) == list(vector.columns) and back.crs == vector.crs
    for name, column in vector.columns.items():
        other = back.columns[name]
        assert (other.kind, other.values.dtype) == (column.kind, column.values.dtype), name
        assert repr(other.to_list()) == repr(column.to_list()), name
    assert (back.geometry is None) == (vector.geometry is None)
    if back.geometry is not None and vector.geometry is not None:
        assert back.geometry.to_list() == vector.geometry.to_list()


# ------------------------------------------------------------------------------------------- frames


@pytest.mark.parametrize("rows", [4, 1, 0])
def test_frames_come_back_exactly(pyarrow_or_not: None, rows: int) -> None:
    vector = every_kind(rows)
    frame = vector.to_geopandas()
    assert isinstance(frame, gpd.GeoDataFrame) and len(frame) == rows
    assert frame.geometry.name == "geometry" and frame.crs.to_epsg() == 25832
    assert_same(geo_frames.vector_of(frame), vector)


def test_every_geometry_comes_back(pyarrow_or_not: None) -> None:
    for shapes in (SHAPES, SHAPES[:2], [None, None], SHAPES[2:3]):
        vector = Vector({"n": np.arange(len(shapes))}, geometry(shapes))
        frame = vector.to_geopandas()
        told = [None if each is None else each.wkt for each in frame.geometry]
        assert told == [None if s is None else shapely.from_wkt(s).wkt for s in shapes]
        assert_same(geo_frames.vector_of(frame), vector)


def test_big_endian_geometries_are_read() -> None:
    big = Column.of([shapely.to_wkb(shapely.from_wkt(SHAPES[5]), byte_order=0)])
    assert Vector({}, big).to_geopandas().geometry[0].wkt == SHAPES[5]
    points = Column.of([shapely.to_wkb(shapely.Point(1, 2), byte_order=0), None])
    assert Vector({}, points).to_geopandas().geometry[0].wkt == "POINT (1 2)"


def test_a_table_is_a_frame_without_geometry(pyarrow_or_not: None) -> None:
    frame = Vector({"n": [1, None], "t": ["a", None]}).to_geopandas()
    assert type(frame) is pd.DataFrame and str(frame["n"].dtype) == "Int64"
    assert_same(geo_frames.vector_of(frame), Vector({"n": [1, None], "t": ["a", None]}))


def test_an_attribute_may_be_called_geometry() -> None:
    vector = Vector({"geometry": ["a"]}, geometry(["POINT (1 2)"]))
    frame = vector.to_geopandas()
    assert list(frame.columns) == ["geometry", "geometry_"]
    assert_same(geo_frames.vector_of(frame), vector)


def test_a_crs_that_nobody_knows_is_told() -> None:
    with pytest.raises(ValueError, match="pyproj does not know this CRS: nonsense"):
        Vector({}, geometry(["POINT (1 2)"]), "nonsense").to_geopandas()


@pytest.mark.parametrize(
    ("series", "dtype", "listed"),
    [
        (pd.Series([1, 2, None], dtype="UInt8"), "uint8", [1, 2, None]),
        (pd.Series([True, None], dtype="boolean"), "bool", [True, None]),
        (pd.Series([1.5, None], dtype="Float32"), "float32", [1.5, None]),
        (pd.Series([1.5, None]), "float64", [1.5, None]),
        (pd.Series(["a", None, "a"], dtype="category"), "uint8", ["a", None, "a"]),
        (pd.Series([5, None, 5], dtype="object").astype("category"), "int64", [5, None, 5]),
        (pd.Series(["a", None], dtype="string"), "uint8", ["a", None]),
        (pd.Series([None, None], dtype="string"), "uint8", [None, None]),
        (pd.Series([], dtype="string"), "uint8", []),
        (pd.Series(["a", pd.NA, None, float("nan")], dtype=object), "uint8", ["a", *[None] * 3]),
        (pd.Series([1, pd.NA], dtype=object), "int64", [1, None]),
        (pd.Series([1, float("nan")], dtype=object), "int64", [1, None]),
        (pd.Series([decimal.Decimal("1.5"), None], dtype=object), "float64", [1.5, None]),
        (
            pd.Series(pd.to_datetime(["2020-01-01T01:00+01:00", None])).astype(
                "datetime64[ms, UTC]"
            ),
            "datetime64[ms]",
            [dt.datetime(2020, 1, 1), None],
        ),
        (pd.Series([dt.date(2020, 1, 1), None]), "datetime64[D]", [dt.date(2020, 1, 1), None]),
        (pd.arrays.SparseArray([0, 0, 1]), "int64", [0, 0, 1]),
    ],
)
def test_what_pandas_has(pyarrow_or_not: None, series: Any, dtype: str, listed: list[Any]) -> None:
    column = Column.of(pd.Series(series))
    assert (str(column.values.dtype), column.to_list()) == (dtype, listed)


def test_what_pandas_has_and_cannot_cross_is_told_with_its_column() -> None:
    for values in (pd.Series([1 + 1j]), pd.Series([[1], [2]]), pd.Series([1, "a"], dtype=object)):
        with pytest.raises(TypeError, match="column 'odd': "):
            geo_frames.vector_of(pd.DataFrame({"odd": values}))


def test_an_index_that_says_something_becomes_columns() -> None:
    frame = pd.DataFrame({"n": [1, 2, 3], "t": ["a", "b", "a"]})

    def names(each: Any) -> list[str]:
        return list(geo_frames.vector_of(each).columns)

    assert names(frame) == names(frame[frame.n > 1]) == names(frame.sort_values("t")) == ["n", "t"]
    assert names(frame.set_index("t")) == ["t", "n"]
    assert names(frame.groupby("t").sum()) == ["t", "n"]
    assert names(frame.set_index(["t", "n"], append=True)) == ["level_0", "t", "n"]
    assert names(frame.set_index(pd.Index(["x", "y", "z"]))) == ["index", "n", "t"]
    assert geo_frames.vector_of(frame.set_index("t")).columns["t"].to_list() == ["a", "b", "a"]
    with pytest.raises(ValueError, match="called 'n', or a column and the index"):
        names(frame.set_index(frame.n))


def test_names_that_come_twice_are_refused() -> None:
    twice = pd.DataFrame([[1, 2]], columns=["n", "n"])
    with pytest.raises(ValueError, match="two columns are called 'n'"):
        geo_frames.vector_of(twice)
    with pytest.raises(ValueError, match="two columns are called '1'"):
        geo_frames.vector_of(pd.DataFrame([[1, 2]], columns=[1, "1"]))


def test_other_geometries_are_columns_of_wkb() -> None:
    points = gpd.GeoSeries.from_wkt(["POINT (1 2)", None], crs=4326)
    frame = gpd.GeoDataFrame({"centre": points, "shape": points.envelope}, geometry="shape")
    vector = geo_frames.vector_of(frame)
    assert vector.columns["centre"].kind == "bytes"
    assert vector.columns["centre"].to_list()[1] is None and vector.crs.startswith("GEOGCRS")


def test_no_crs_is_an_empty_text() -> None:
    assert geo_frames.vector_of(gpd.GeoDataFrame(geometry=[shapely.Point(1, 2)])).crs == ""


def test_what_is_no_vector_is_refused() -> None:
    with pytest.raises(TypeError, match="a list is no vector: give a Vector"):
        geo_frames.vector_of([1])


# -------------------------------------------------------------------------------------------- Arrow


@pytest.fixture
def pa() -> Iterator[Any]:
    yield pytest.importorskip("pyarrow")


@pytest.mark.parametrize("rows", [4, 1, 0])
def test_arrow_tables_come_back_exactly(pa: Any, rows: int) -> None:
    vector = every_kind(rows)
    table = vector.to_arrow()
    table.validate(full=True)
    field = table.schema.field("geometry")
    assert field.metadata[b"ARROW:extension:name"] == b"geoarrow.wkb"
    assert json.loads(field.metadata[b"ARROW:extension:metadata"]) == {"crs": vector.crs}
    assert_same(geo_frames.vector_of(table), vector)
    if rows:
        told = {
            name: column.to_list() for name, column in vector.columns.items() if "s" not in name
        }
        assert {name: table[name].to_pylist() for name in told} == told
        assert_same(geo_frames.vector_of(table.slice(1, 2)), vector.part(1, 3))
        assert_same(
            geo_frames.vector_of(pa.concat_tables([table.slice(0, 1), table.slice(1)])), vector
        )


def test_geopandas_reads_it(pa: Any) -> None:
    frame = gpd.GeoDataFrame.from_arrow(every_kind().to_arrow())
    assert frame.crs.to_epsg() == 25832 and frame.geometry[0].wkt == "POINT (1 2)"


def test_numbers_and_texts_lie_in_the_same_memory(pa: Any) -> None:
    vector = Vector({"n": np.arange(9), "t": ["a", "b", "c"] * 3})
    table = vector.to_arrow()
    for name, at in (("n", 1), ("t", 2)):
        mine = vector.columns[name].values
        assert table[name].chunk(0).buffers()[at].address == mine.ctypes.data
        assert geo_frames.vector_of(table).columns[name].values.ctypes.data == mine.ctypes.data


def test_what_arrow_has(pa: Any) -> None:
    day = dt.datetime(2020, 1, 1)
    cases = [
        (pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"]),
        (pa.array(["é", None], pa.string()), ["é", None]),
        (pa.array([b"a", None], pa.binary()), [b"a", None]),
        (pa.array([b"ab", None], pa.binary(2)), [b"ab", None]),
        (pa.array([decimal.Decimal("1.5"), None]), [1.5, None]),
        (pa.nulls(2), [None, None]),
        (pa.array([day], pa.date64()), [day.date()]),
        (pa.array([day], pa.timestamp("us", "Europe/Berlin")), [day]),
        (pa.array([dt.time(1), None], pa.time32("s")), [dt.timedelta(hours=1), None]),
        (pa.array([dt.time(1), None], pa.time64("us")), [dt.timedelta(hours=1), None]),
        (pa.array([True, None, False] * 7)[5:], ([True, None, False] * 7)[5:]),
        (pa.array(range(20), pa.int16())[3:5], [3, 4]),
        (pa.chunked_array([], pa.string()), []),
        (pa.chunked_array([["a"], [], [None]]), ["a", None]),
    ]
    if hasattr(pa, "string_view"):
        cases += [(pa.array(["a" * 20, None], pa.string_view()), ["a" * 20, None])]
    for array, listed in cases:
        assert Column.of(array).to_list() == listed, array.type


def test_series_of_arrows_types(pa: Any) -> None:
    """Those of bools have a dtype of numpy's as well, and were taken for pandas' own."""
    day = dt.datetime(2020, 1, 1)
    for kind, first, dtype in (
        (pa.bool_(), True, "bool"),
        (pa.int16(), 1, "int16"),
        (pa.float32(), 1.5, "float32"),
        (pa.string(), "a", "uint8"),
        (pa.date32(), day.date(), "datetime64[D]"),
        (pa.timestamp("ms", "UTC"), day, "datetime64[ms]"),
    ):
        column = Column.of(pd.Series([first, None], dtype=pd.ArrowDtype(kind)))
        assert (str(column.values.dtype), column.to_list()) == (dtype, [first, None])


def test_nested_types_are_refused_with_their_column(pa: Any) -> None:
    with pytest.raises(TypeError, match=r"column 'odd': list<.*cannot cross"):
        geo_frames.vector_of(pa.table({"odd": [[1], [2]]}))


def test_the_geometry_is_found_as_tables_say_it(pa: Any) -> None:
    wkb = shapely.to_wkb(shapely.Point(1, 2))
    for name in ("geometry", "wkb_geometry"):
        vector = geo_frames.vector_of(pa.table({"n": [1], name: [wkb]}))
        assert list(vector.columns) == ["n"] and vector.xy().tolist() == [[1.0, 2.0]]
    assert geo_frames.vector_of(pa.table({"geometry": ["a text"]})).geometry is None
    told = {"primary_column": "g", "columns": {"g": {"encoding": "WKB"}}}
    parquet = pa.table({"g": [wkb]}).replace_schema_metadata({"geo": json.dumps(told)})
    assert geo_frames.vector_of(parquet).crs == "OGC:CRS84"
    frame = gpd.GeoDataFrame({"n": [1]}, geometry=[shapely.Point(1, 2)], crs=25832)
    vector = geo_frames.vector_of(pa.table(frame.to_arrow(geometry_encoding="WKB")))
    assert vector.xy().tolist() == [[1.0, 2.0]] and "25832" in vector.crs
    with pytest.raises(TypeError, match=r"geoarrow\.point: give the geometry as geoarrow\.wkb"):
        geo_frames.vector_of(pa.table(frame.to_arrow(geometry_encoding="geoarrow")))


def test_what_gives_arrow_tables_is_taken(pa: Any) -> None:
    batch = pa.record_batch({"n": [1, None]})
    assert geo_frames.vector_of(batch).columns["n"].to_list() == [1, None]


# ------------------------------------------------------------------------------------------- random

KINDS = {
    "whole": st.integers(-(2**63), 2**63 - 1),
    "real": st.floats(allow_nan=False),
    "flag": st.booleans(),
    "text": texts,
    "blob": st.binary(max_size=9),
    "day": st.dates(),
    "moment": st.datetimes(),
    "span": st.timedeltas(dt.timedelta(-999), dt.timedelta(999)),
}


@st.composite
def vectors(draw: st.DrawFn) -> Vector:
    rows = draw(st.integers(1, 12))
    made = {}
    for name, values in KINDS.items():
        first = draw(values)  # of nothing but None a list does not say what it would be
        rest = st.lists(st.none() | values, min_size=rows - 1, max_size=rows - 1)
        made[name] = [first, *draw(rest)]
    shapes = draw(st.lists(st.sampled_from(SHAPES), min_size=rows, max_size=rows))
    return Vector(made, geometry(shapes))


@hypothesis.given(vectors())
@hypothesis.settings(deadline=None, max_examples=60)
def test_any_vector_comes_back_from_a_frame(vector: Vector) -> None:
    assert_same(geo_frames.vector_of(vector.to_geopandas()), vector)


@hypothesis.given(vectors())
@hypothesis.settings(deadline=None, max_examples=60)
def test_any_vector_comes_back_from_an_arrow_table(vector: Vector) -> None:
    pytest.importorskip("pyarrow")
    assert_same(geo_frames.vector_of(vector.to_arrow()), vector)
    cut = vector.to_arrow().slice(1)
    assert_same(geo_frames.vector_of(cut), vector.part(1, len(vector)))
