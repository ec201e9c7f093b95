# SPDX-License-Identifier: MIT
"""Arrow tables through a real worker: exact, or refused by name. Frames: test_values_frames.py."""

from __future__ import annotations

import datetime as dt
import decimal
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rbr_testing.fixtures import MakeWorker

import ringbridge as rb
from ringbridge import tables

HERE = Path(__file__).resolve().parent


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
