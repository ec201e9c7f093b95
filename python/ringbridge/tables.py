# SPDX-License-Identifier: MIT
"""Tables: pyarrow's, pandas' and geopandas', and what else has the Arrow PyCapsule interface.

Called by the C extension. A table crosses as one Arrow IPC stream (Arrow Columnar Format 1.x),
written straight into shared memory; the other side reads a private copy of it, checks it in full,
and makes of it what it was. Nothing here is imported before a table is met.

Frames: see frames.py. What Arrow cannot hold exactly is refused, with its place.
"""

from __future__ import annotations

import struct
import sys

from ringbridge import frames
from ringbridge.errors import CannotCross, ProtocolError

TYPE_CHECKING = False  # type checkers know the name; importing typing would slow the worker's start
if TYPE_CHECKING:
    from typing import Any

# What the table was: the first item of a Value of kind Table. Only append.
_TABLE, _RECORD_BATCH, _DATA_FRAME, _GEO_DATA_FRAME = range(4)
_CLASSES = (
    ("pyarrow", "Table"),
    ("pyarrow", "RecordBatch"),
    ("pandas", "DataFrame"),
    ("geopandas", "GeoDataFrame"),
)
#: Older ones run code that stands in what they read (CVE-2023-47248).
_PYARROW_OLDEST = (14, 0, 1)
_REASON_CHARS_MAX = 1000


# --------------------------------------------------------------------------------------- writing


def measure(value: object) -> tuple[int, int, Any] | None:
    """What it was, the stream's size in bytes, and the Arrow object for `write`.

    None: not a table. Raises CannotCross for a table that cannot cross exactly.
    """
    what = _what(type(value))
    if what is None:
        return None
    name = _name_of(type(value))
    pyarrow = _needed("pyarrow", f"a {name} crosses as an Arrow table")
    try:
        arrow = _to_arrow(pyarrow, what, value)
        sink = pyarrow.MockOutputStream()
        write(arrow, sink)
    except (CannotCross, MemoryError):
        raise
    except Exception as error:
        raise CannotCross(f"a {name} that Arrow cannot hold: {_reason(error)}") from error
    return what, sink.size(), arrow


def write(arrow: Any, sink: Any) -> None:
    """Writes the stream into memory (a memoryview of the size that `measure` told) or a file."""
    pyarrow: Any = sys.modules["pyarrow"]  # imported by `measure`
    if isinstance(sink, memoryview):
        sink = pyarrow.FixedSizeBufferWriter(pyarrow.py_buffer(sink))
    # Never compressed, whatever the default becomes: `read` refuses that.
    options = pyarrow.ipc.IpcWriteOptions(compression=None)
    with pyarrow.ipc.new_stream(sink, arrow.schema, options=options) as stream:
        if type(arrow) is pyarrow.Table and not arrow.num_rows:
            arrow = _only_batch(pyarrow, arrow)  # or no categories would be written
        stream.write(arrow)


def _what(kind: type) -> int | None:
    for what, (module, name) in enumerate(_CLASSES):
        known = getattr(sys.modules.get(module), name, None)
        if kind is known:
            return what
        if isinstance(known, type) and issubclass(kind, known) and what != _DATA_FRAME:
            raise CannotCross(_subclass(kind, module, name))
    if not hasattr(kind, "__arrow_c_stream__"):
        return None
    frame = getattr(sys.modules.get("pandas"), "DataFrame", None)
    if frame is not None and issubclass(kind, frame):
        raise CannotCross(_subclass(kind, "pandas", "DataFrame"))
    return _TABLE


def _subclass(kind: type, module: str, name: str) -> str:
    return (
        f"a value of type {_name_of(kind)}, a subclass of {module}.{name}, cannot cross; convert "
        f"it with {module}.{name}(...)"
    )


def _to_arrow(pyarrow: Any, what: int, value: Any) -> Any:
    if what == _RECORD_BATCH:
        return value
    if what == _DATA_FRAME:
        return frames.from_pandas(pyarrow, value)
    if what == _GEO_DATA_FRAME:
        return frames.from_geopandas(pyarrow, value)
    return _from_stream(pyarrow, value)


def _from_stream(pyarrow: Any, value: Any) -> Any:
    if isinstance(value, pyarrow.Table):
        return value
    try:
        return pyarrow.RecordBatchReader.from_stream(value).read_all()
    except pyarrow.ArrowInvalid as error:
        advice = ".to_frame()" if hasattr(value, "to_frame") else "pyarrow.table({name: value})"
        if hasattr(value, "to_numpy"):
            advice = f".to_numpy(), or as a table with {advice}"
        raise CannotCross(
            f"a {_name_of(type(value))} is no table; convert it with {advice}"
        ) from error


# --------------------------------------------------------------------------------------- reading


def read(what: int, payload: Any) -> object:
    """Makes the table of a stream in memory that nobody else can write to.

    Raises CannotCross where a library is missing or cannot make it, ProtocolError for what is no
    such stream.
    """
    if type(what) is not int or not 0 <= what < len(_CLASSES):
        raise ProtocolError(f"bad message: a table of an unknown kind, {what!r}")
    module, name = _CLASSES[what]
    pyarrow = _needed("pyarrow", f"a {module}.{name} crosses as an Arrow table")
    library = _needed(module, f"a {module}.{name} was sent")
    if what in (_DATA_FRAME, _GEO_DATA_FRAME):
        frames.register(sys.modules["pandas"])  # before anything is read
    buffer = pyarrow.py_buffer(payload)
    try:
        table = _read_stream(pyarrow, buffer)
    except MemoryError:
        raise
    except Exception as error:
        raise ProtocolError(f"bad message: a table that Arrow refuses: {_reason(error)}") from error
    try:
        return _from_arrow(library, what, table, buffer.size)
    except MemoryError:
        raise
    except Exception as error:
        raise CannotCross(
            f"a {module}.{name} that {module} {library.__version__} in {sys.executable} cannot "
            f"make: {_reason(error)}"
        ) from error


def _read_stream(pyarrow: Any, buffer: Any) -> Any:
    for message in pyarrow.ipc.MessageReader.open_stream(buffer):
        if _is_compressed(message.metadata.to_pybytes()):
            raise ValueError("it is compressed: a few bytes might become many")
    with pyarrow.ipc.open_stream(buffer) as stream:
        table = stream.read_all()
    table.validate(full=True)
    return table


def _is_compressed(metadata: bytes) -> bool:
    """Has a batch the field `compression`? metadata: a Message of Arrow's Message.fbs, verified."""

    def field(table: int, number: int) -> int:
        vtable = table - struct.unpack_from("<i", metadata, table)[0]
        place = 4 + 2 * number
        if place >= struct.unpack_from("<H", metadata, vtable)[0]:
            return 0
        offset: int = struct.unpack_from("<H", metadata, vtable + place)[0]
        return table + offset if offset else 0

    def follow(place: int) -> int:
        target: int = place + struct.unpack_from("<I", metadata, place)[0]
        return target

    message = follow(0)
    header_type = field(message, 1)
    kind = metadata[header_type] if header_type else 0
    if kind not in (2, 3):  # DictionaryBatch, RecordBatch
        return False
    batch = follow(field(message, 2))
    if kind == 2:
        batch = follow(field(batch, 1))
    return field(batch, 3) != 0


def _from_arrow(library: Any, what: int, table: Any, stream_bytes: int) -> object:
    if what == _TABLE:
        return table
    if what == _RECORD_BATCH:
        return _only_batch(library, table)
    frames.check_size(sys.modules["pyarrow"].types, table, stream_bytes)
    if what == _DATA_FRAME:
        return frames.to_pandas(table)
    return frames.to_geopandas(library, table)


def _only_batch(pyarrow: Any, table: Any) -> Any:
    batches = table.to_batches()
    if len(batches) > 1:
        raise ValueError("it has more than one batch")
    if batches:
        return batches[0]
    empty = [
        column.chunk(0) if column.num_chunks else pyarrow.array([], column.type)
        for column in table.columns
    ]
    return pyarrow.RecordBatch.from_arrays(empty, schema=table.schema)


# ---------------------------------------------------------------------------------------- shared


def _needed(name: str, purpose: str) -> Any:
    import importlib

    try:
        module = importlib.import_module(name)
    except ImportError as error:
        raise CannotCross(
            f"{purpose}, which needs {name} on both sides; it cannot be imported in "
            f"{sys.executable}: {error}"
        ) from error
    if name == "pyarrow" and _version(module) < _PYARROW_OLDEST:
        raise CannotCross(
            f"{purpose}; pyarrow {module.__version__} in {sys.executable} is too old for that: "
            f"{'.'.join(map(str, _PYARROW_OLDEST))} is the first that does not run code which "
            "stands in what it reads"
        )
    return module


def _version(module: Any) -> tuple[int, ...]:
    numbers = []
    for part in module.__version__.split(".")[:3]:
        digits = "".join(character for character in part if character.isdigit())
        numbers.append(int(digits or 0))
    return tuple(numbers)


def _name_of(kind: type) -> str:
    return f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:_REASON_CHARS_MAX]
