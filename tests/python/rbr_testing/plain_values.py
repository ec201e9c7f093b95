# SPDX-License-Identifier: MIT
"""Table Value by the book (docs/reference/wire.md): an encoder and a decoder with none of ours.

`spec_of` says which fields a value has; `value_of` makes the value of the fields. official.py turns
the one into the other's bytes.
"""

from __future__ import annotations

import ast
import datetime as dt
import decimal
import pathlib
import uuid
import zoneinfo
from collections.abc import Callable
from typing import Any

from rbr_testing.official import Spec
from rbr_testing.wire_schema import SCHEMA

KIND = dict(SCHEMA.enums["Kind"].members)
KIND_NAMES = {number: name for name, number in KIND.items()}
DTYPE = dict(SCHEMA.enums["DType"].members)
PATHS = [pathlib.PosixPath, pathlib.PurePosixPath, pathlib.PureWindowsPath]
SAFETY = [uuid.SafeUUID.unknown, uuid.SafeUUID.safe, uuid.SafeUUID.unsafe]
NAIVE, FIXED, KEYED = range(3)  # time zones, in sub from bit 1 on
WRITABLE, FORTRAN, SCALAR = 1, 2, 4  # Tensor.flags
VECTORS = {int: ("I64Vec", "i64s"), float: ("F64Vec", "f64s"), str: ("StrVec", "strs"),
           bool: ("BoolVec", "b")}  # fmt: skip
CODES = {
    "Bool": "b1", "I8": "i1", "U8": "u1", "I16": "i2", "U16": "u2", "I32": "i4", "U32": "u4",
    "I64": "i8", "U64": "u8", "F16": "f2", "F32": "f4", "F64": "f8", "C64": "c8", "C128": "c16",
}  # fmt: skip

# ------------------------------------------------------------------------------------- encoding


def spec_of(value: Any, vectors: bool = True) -> Spec:
    """`vectors`: a list of one type is one vector where it can be; else item by item."""
    name, fields = _fields_of(value, vectors)
    return {"kind": KIND[name], **fields}


def _fields_of(value: Any, vectors: bool) -> tuple[str, Spec]:
    def each(values: Any) -> list[Spec]:
        return [spec_of(item, vectors) for item in values]

    if value is None or isinstance(value, bool):
        return str(value), {}
    if value is ...:
        return "Ellipsis", {}
    if isinstance(value, int):
        if -(2**63) <= value < 2**63:
            return "Int", {"i": value}
        return "BigInt", {"b": value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)}
    if isinstance(value, float):
        return "Float", {"f": value}
    if isinstance(value, complex):
        return "Complex", {"f": value.real, "g": value.imag}
    if isinstance(value, str):
        return "Str", {"s": value.encode()}
    if isinstance(value, (bytes, bytearray)):
        return ("Bytes" if isinstance(value, bytes) else "ByteArray"), {"b": bytes(value)}
    if isinstance(value, list) and vectors and (found := _vector_of(value)):
        return found
    if isinstance(value, (list, tuple, set, frozenset)):
        names = {list: "List", tuple: "Tuple", set: "Set", frozenset: "FrozenSet"}
        return names[type(value)], {"items": each(value)}
    if isinstance(value, dict):
        return "Dict", {"keys": each(value.keys()), "items": each(value.values())}
    if isinstance(value, (slice, range)):
        name = type(value).__name__.capitalize()
        return name, {"items": each([value.start, value.stop, value.step])}
    return _rare_fields_of(value)


def _vector_of(value: list[Any]) -> tuple[str, Spec] | None:
    types = {type(item) for item in value}
    if len(types) != 1 or (one := types.pop()) not in VECTORS:
        return None
    if one is int and not all(-(2**63) <= item < 2**63 for item in value):
        return None
    name, field = VECTORS[one]
    if one is str:
        return name, {field: [item.encode() for item in value]}
    return name, {field: bytes(value) if one is bool else value}


def _rare_fields_of(value: Any) -> tuple[str, Spec]:
    if isinstance(value, uuid.UUID):
        return "UUID", {"sub": SAFETY.index(value.is_safe), "b": value.bytes}
    if isinstance(value, decimal.Decimal):
        return "Decimal", {"s": str(value).encode()}
    if isinstance(value, pathlib.PurePath):
        text = str(value).encode("utf-8", "surrogateescape")
        return "Path", {"sub": PATHS.index(type(value)), "b": text}
    if isinstance(value, dt.timedelta):
        return "TimeDelta", {"i64s": [value.days, value.seconds, value.microseconds]}
    if isinstance(value, (dt.datetime, dt.time)):
        return _timed_fields_of(value)
    if isinstance(value, dt.date):
        return "Date", {"i64s": [value.year, value.month, value.day]}
    return "Tensor", {"tensor": _tensor_of(value)}


def _timed_fields_of(value: Any) -> tuple[str, Spec]:
    dated = isinstance(value, dt.datetime)
    numbers = [value.hour, value.minute, value.second, value.microsecond]
    if dated:
        numbers = [value.year, value.month, value.day, *numbers]
    fields: Spec = {"sub": value.fold}
    zone = value.tzinfo
    if isinstance(zone, dt.timezone):
        offset, *name = zone.__getinitargs__()  # type: ignore[attr-defined]
        numbers += [offset.days, offset.seconds, offset.microseconds]
        fields["sub"] |= FIXED << 1
        if name:
            fields["aux"] = name[0].encode()
    elif zone is not None:
        fields["sub"] |= KEYED << 1
        fields["aux"] = zone.key.encode()
    return ("DateTime" if dated else "Time"), {**fields, "i64s": numbers}


def _tensor_of(value: Any) -> Spec:
    """A numpy array or scalar of a plain dtype, inline, in C order."""
    code = {code: name for name, code in CODES.items()}[value.dtype.str[1:]]
    scalar = type(value).__name__ != "ndarray"
    writable = not scalar and value.flags.writeable
    return {
        "dtype": DTYPE[code],
        "byteorder": int(value.dtype.str[0] == ">"),
        "flags": SCALAR if scalar else WRITABLE * writable,
        "shape": list(value.shape),
        "itemsize": value.dtype.itemsize,
        "inline_data": value.tobytes(),
    }


# ------------------------------------------------------------------------------------- decoding


def value_of(spec: Spec, blocks: dict[int, bytes] | None = None) -> Any:
    """`blocks`: the payloads of ArenaRefs, by where these lie in the frame."""
    name = KIND_NAMES[spec.get("kind", 0)]
    if name in SIMPLE:
        return SIMPLE[name](spec)
    if name in ("Str", "Bytes", "ByteArray"):
        return _text_of(name, spec, blocks)
    if name in ("List", "Tuple", "Set", "FrozenSet"):
        kinds = {"List": list, "Tuple": tuple, "Set": set, "FrozenSet": frozenset}
        return kinds[name](value_of(item, blocks) for item in spec["items"])
    if name == "Dict":
        pairs = zip(spec["keys"], spec["items"])
        return {value_of(key, blocks): value_of(item, blocks) for key, item in pairs}
    if name in ("Slice", "Range"):
        kind = slice if name == "Slice" else range
        return kind(*(value_of(item, blocks) for item in spec["items"]))
    assert name == "Tensor", name
    return _array_of(spec["tensor"], blocks)


def _uuid_of(spec: Spec) -> uuid.UUID:
    return uuid.UUID(bytes=spec["b"], is_safe=SAFETY[spec.get("sub", 0)])


def _path_of(spec: Spec) -> pathlib.PurePath:
    return PATHS[spec.get("sub", 0)](spec["b"].decode("utf-8", "surrogateescape"))


def _time_of(spec: Spec) -> dt.time:
    return dt.time(*spec["i64s"][:4], _zone_of(spec, 4), fold=spec.get("sub", 0) & 1)


def _datetime_of(spec: Spec) -> dt.datetime:
    return dt.datetime(*spec["i64s"][:7], _zone_of(spec, 7), fold=spec.get("sub", 0) & 1)


def _zone_of(spec: Spec, count: int) -> dt.tzinfo | None:
    zone = spec.get("sub", 0) >> 1
    if zone == NAIVE:
        return None
    if zone == KEYED:
        return zoneinfo.ZoneInfo(spec["aux"].decode())
    names = [spec["aux"].decode()] if "aux" in spec else []
    return dt.timezone(dt.timedelta(*spec["i64s"][count:]), *names)


#: Of what has no values within it, and lies in the frame.
SIMPLE: dict[str, Callable[[Spec], Any]] = {
    "None": lambda spec: None,
    "False": lambda spec: False,
    "True": lambda spec: True,
    "Ellipsis": lambda spec: ...,
    "Int": lambda spec: spec["i"],
    "BigInt": lambda spec: int.from_bytes(spec["b"], "little", signed=True),
    "Float": lambda spec: spec["f"],
    "Complex": lambda spec: complex(spec["f"], spec["g"]),
    "I64Vec": lambda spec: spec["i64s"],
    "F64Vec": lambda spec: spec["f64s"],
    "StrVec": lambda spec: [each.decode() for each in spec["strs"]],
    "BoolVec": lambda spec: [bool(each) for each in spec["b"]],
    "Decimal": lambda spec: decimal.Decimal(spec["s"].decode()),
    "Date": lambda spec: dt.date(*spec["i64s"]),
    "TimeDelta": lambda spec: dt.timedelta(*spec["i64s"]),
    "UUID": _uuid_of,
    "Path": _path_of,
    "Time": _time_of,
    "DateTime": _datetime_of,
}


def _payload_of(tensor: Spec, blocks: dict[int, bytes] | None) -> bytes:
    if "inline_data" in tensor:
        return tensor["inline_data"]  # type: ignore[no-any-return]
    assert blocks is not None
    return blocks[tensor["arena"]["at"]]


def _text_of(name: str, spec: Spec, blocks: dict[int, bytes] | None) -> Any:
    kind = {"Str": bytes.decode, "Bytes": bytes, "ByteArray": bytearray}[name]
    if "tensor" not in spec:
        return kind(spec["s" if name == "Str" else "b"])  # type: ignore[operator]
    first, size = spec["tensor"].get("data_offset", 0), spec["tensor"]["shape"][0]
    return kind(_payload_of(spec["tensor"], blocks)[first : first + size])  # type: ignore[operator]


def _dtype_of(tensor: Spec) -> Any:
    import numpy as np

    name = {number: name for name, number in DTYPE.items()}[tensor["dtype"]]
    order = ">" if tensor.get("byteorder", 0) else "<"
    if name in CODES:
        return np.dtype(order + CODES[name])
    if name in ("TD64", "DT64"):
        unit = tensor.get("unit", b"").decode()
        kind = "m" if name == "TD64" else "M"
        return np.dtype(f"{order}{kind}8[{unit}]" if unit else f"{order}{kind}8")
    if name == "Str":
        return np.dtype(f"{order}U{tensor['itemsize'] // 4}")
    if name == "Bytes":
        return np.dtype(f"S{tensor['itemsize']}")
    descr = ast.literal_eval(tensor["descr"].decode())
    return np.lib.format.descr_to_dtype(descr)


def _array_of(tensor: Spec, blocks: dict[int, bytes] | None) -> Any:
    import numpy as np

    flags, shape = tensor.get("flags", 0), tuple(tensor["shape"])
    array = np.ndarray(
        shape,
        _dtype_of(tensor),
        bytearray(_payload_of(tensor, blocks)),
        tensor.get("data_offset", 0),
        tensor.get("strides"),
        "F" if flags & FORTRAN else "C",
    )
    if flags & SCALAR:
        return array[()]
    array.flags.writeable = bool(flags & WRITABLE)
    return array
