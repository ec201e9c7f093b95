# SPDX-License-Identifier: MIT
"""Columns as Arrow arrays and back, over the same memory where their layouts agree.

Only bools, dates, and what is missing have another layout. Imports pyarrow when it is called.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ringbridge.compute import column_values
from ringbridge.compute.column import Column

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

#: What Arrow's temporal types are to numpy; the days of date32 take four bytes.
_TIMES = {"timestamp": "M", "duration": "m", "time32": "m", "time64": "m"}
_EXTENSION = b"ARROW:extension:name"
_METADATA = b"ARROW:extension:metadata"
_WKB_NAMES = ("geoarrow.wkb", "ogc.wkb")


def array_of(column: Column) -> Any:
    """A pyarrow.Array: texts are large_string, bytes large_binary, days date32."""
    import pyarrow as pa

    count = len(column)
    if column.offsets is not None:
        valid = None if column.valid is None else _bits(column.valid)
        made = pa.large_string() if column.kind == "text" else pa.large_binary()
        buffers = [valid, _buffer(column.offsets), _buffer(column.values)]
        return pa.Array.from_buffers(made, count, buffers)
    missing = None if column.valid is None else ~column.valid
    whole = column_values.of_numbers(column.values, missing)  # also finds NaT, and odd units
    values = whole.values
    made = pa.from_numpy_dtype(values.dtype)
    bits = None if whole.valid is None else _bits(whole.valid)
    if values.dtype.kind == "b":
        return pa.Array.from_buffers(made, count, [bits, _bits(values)])
    if made == pa.date32():
        values = values.astype("int64").astype("int32")
    return pa.Array.from_buffers(made, count, [bits, _buffer(values)])


def _bits(flags: Array) -> Any:
    import numpy as np

    return _buffer(np.packbits(flags, bitorder="little"))


def _buffer(values: Array) -> Any:
    import numpy as np
    import pyarrow as pa

    return pa.py_buffer(np.ascontiguousarray(values).view("uint8"))


def column_of(array: Any, name: str = "") -> Column:
    """From a pyarrow Array or ChunkedArray. Datetimes with a time zone become those of UTC.

    Raises TypeError for nested types.
    """
    import numpy as np
    import pyarrow as pa

    if isinstance(array, pa.ChunkedArray):
        # Made plainer before they are joined: offsets of 32 bits end at 2 GB.
        chunks = [_plainer(each, name) for each in array.chunks or [pa.nulls(0, array.type)]]
        array = chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks)
    else:
        array = _plainer(array, name)
    valid = _valid(array)
    kind = array.type
    if pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        return _packed(array, valid)
    if pa.types.is_boolean(kind):
        return Column("plain", _unpacked(array.buffers()[1], array), None, valid)
    dtype = _dtype(kind)
    stored = np.frombuffer(array.buffers()[1] or b"", "int32" if _is_short(kind) else dtype)
    values = stored[array.offset : array.offset + len(array)]
    if _is_short(kind):
        values = values.astype("int64").view(dtype)
    return Column("plain", values, None, valid)


def _plainer(array: Any, name: str) -> Any:
    """The same values as one of the types that _dtype and column_of know."""
    import pyarrow as pa

    is_a = pa.types
    if isinstance(array, pa.ExtensionArray):
        return _plainer(array.storage, name)
    kind = array.type
    if is_a.is_dictionary(kind):
        return _plainer(array.dictionary_decode(), name)
    if is_a.is_null(kind) or is_a.is_decimal(kind):
        return array.cast(pa.float64())
    if is_a.is_date64(kind):
        return array.cast(pa.date32())
    if is_a.is_fixed_size_binary(kind):
        return array.cast(pa.binary()).cast(pa.large_binary())
    if str(kind) in ("string", "string_view"):
        return array.cast(pa.large_string())
    if str(kind) in ("binary", "binary_view"):
        return array.cast(pa.large_binary())
    if (
        is_a.is_large_string(kind)
        or is_a.is_large_binary(kind)
        or (is_a.is_primitive(kind) and not is_a.is_interval(kind))
    ):
        return array
    raise TypeError(f"column {name!r}: {kind} cannot cross: make texts or numbers of it")


def _dtype(kind: Any) -> Any:
    name = str(kind).partition("[")[0]
    if name in _TIMES:
        return f"{_TIMES[name]}8[{kind.unit}]"
    return "M8[D]" if name == "date32" else kind.to_pandas_dtype()


def _is_short(kind: Any) -> bool:
    """Of four bytes, where numpy has eight; time32 too is one of those."""
    return str(kind).startswith(("date32", "time32"))


def _valid(array: Any) -> Array | None:
    return _unpacked(array.buffers()[0], array) if array.null_count else None


def _unpacked(bits: Any, array: Any) -> Array:
    import numpy as np

    first, last = array.offset, array.offset + len(array)
    start = first // 8
    packed = np.frombuffer(bits or b"", "uint8")[start : (last + 7) // 8]
    flags: Array = np.unpackbits(packed, bitorder="little").view(bool)
    return flags[first - 8 * start : last - 8 * start]


def _packed(array: Any, valid: Array | None) -> Column:
    """Only the bytes between the first offset and the last: an array may be part of another."""
    import numpy as np
    import pyarrow as pa

    _, ends, data = array.buffers()
    offsets: Array = np.zeros(1, "int64")
    if len(array):
        offsets = np.frombuffer(ends, "int64")[array.offset : array.offset + len(array) + 1]
    values = np.frombuffer(data or b"", "uint8")[offsets[0] : offsets[-1]]
    kind = "text" if pa.types.is_large_string(array.type) else "bytes"
    return Column(kind, values, offsets - offsets[0] if offsets[0] else offsets, valid)


# ------------------------------------------------------------------------------------- geometries


def geometry_field(name: str, crs: str) -> Any:
    """The field of a column of WKB, as geoarrow.wkb says it."""
    import pyarrow as pa

    metadata = {_EXTENSION: _WKB_NAMES[0], _METADATA: json.dumps({"crs": crs} if crs else {})}
    return pa.field(name, pa.large_binary(), metadata=metadata)


def find_geometry(schema: Any) -> tuple[str | None, Any]:
    """The name of the column that holds the geometry, and the CRS as the table has it; or None.

    Raises TypeError where geometries are not WKB.
    """
    for field in schema:
        extension, metadata = _extension_of(field)
        if extension in _WKB_NAMES:
            return field.name, json.loads(metadata or "{}").get("crs")
        if extension.startswith("geoarrow."):
            raise TypeError(
                f"column {field.name!r} is of {extension}: give the geometry as geoarrow.wkb, for "
                "example by GeoDataFrame.to_arrow(geometry_encoding='WKB')"
            )
    told = json.loads((schema.metadata or {}).get(b"geo", b"{}"))  # GeoParquet's
    name = told.get("primary_column")
    if name in schema.names and told["columns"][name]["encoding"] == "WKB":
        return name, told["columns"][name].get("crs", "OGC:CRS84")
    for name in ("geometry", "wkb_geometry"):
        if name in schema.names and "binary" in str(schema.field(name).type):
            return name, None
    return None, None


def _extension_of(field: Any) -> tuple[str, str]:
    kind = field.type
    if hasattr(kind, "extension_name"):
        return kind.extension_name, kind.__arrow_ext_serialize__().decode()
    metadata = field.metadata or {}
    return metadata.get(_EXTENSION, b"").decode(), metadata.get(_METADATA, b"").decode()
