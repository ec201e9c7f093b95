# SPDX-License-Identifier: MIT
"""JSON, as the gateway takes and gives it: within limits, and without a silent loss.

Knows values only: no HTTP, no I/O, nothing of what is served.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import sys
from types import GeneratorType
from typing import Any

from ringbridge.errors import CannotCross

#: Deeper ones are refused, both ways: Python's own limit is one that an application may have lifted
#: until the stack overflows.
DEPTH_MAX = 64
#: Of a number. Without a limit, 16 MiB of digits keep an interpreter busy for minutes.
DIGITS_MAX = 1000
#: What a result may take as JSON, about; more belongs into shared memory.
RESULT_BYTES_MAX = 64 << 20

_VALUE_BYTES = 8
_ARRAY_ITEM_BYTES = 20  # a float's digits
_INT_BITS_MAX = DIGITS_MAX * 3
_STRINGS = re.compile(rb'"[^"]*"')
_LONG_NUMBER = re.compile(rb"(?<![0-9])[0-9]{%d}" % (DIGITS_MAX + 1))  # looks at each digit once
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_BETWEEN = (ord("[") + ord("]")) // 2
_SQUARE = bytes.maketrans(b"{}", b"[]")

_INSTEAD = (
    "return plain values (None, bool, numbers, text, lists, dicts), or call through rb.connect(), "
    "which carries arrays, bytes and objects"
)


class NotJson(ValueError):
    """A request's body is none, or goes beyond the limits; the message says where."""


def parse(body: bytes) -> Any:
    """The value that a body holds. NaN and Infinity are taken, as Python's clients write them.

    Raises NotJson.
    """
    # Escaped quotes go first, so that what is left between two quotes is a string.
    outside = _STRINGS.sub(b"", body.replace(rb"\\", b"").replace(rb"\"", b""))
    if _LONG_NUMBER.search(outside):
        raise NotJson(f"a number of more than {DIGITS_MAX} digits")
    if _depth(outside.translate(_SQUARE, _NOT_BRACKETS)) > DEPTH_MAX:
        raise NotJson(f"brackets are nested deeper than {DEPTH_MAX}")
    try:
        return json.loads(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise NotJson(f"not UTF-8 at byte {error.start}") from None
    except ValueError as error:
        raise NotJson(str(error)) from None


def _depth(brackets: bytes) -> int:
    """Of square ones only: how many are open at once, at most."""
    steps = map(_BETWEEN.__sub__, brackets)  # 1 for "[", -1 for "]"
    return max(itertools.accumulate(steps), default=0)


def dump(value: Any) -> bytes:
    """What `carried` gave, or else a plain value of ours, as ASCII."""
    return json.dumps(value, allow_nan=False).encode("ascii")


def carried(value: object, *, bytes_max: int = RESULT_BYTES_MAX) -> Any:
    """The value as `dump` takes it: tuples and numpy's arrays become lists, what a generator
    yields a list, NaN and the infinities None.

    Raises CannotCross, naming the place and the type, for what JSON has no form for, and for more
    than about bytes_max bytes.
    """
    return _Carrier(bytes_max).carry(value)


class _Carrier:
    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._left = bytes_max
        self._place: list[str] = []

    def carry(self, value: Any) -> Any:
        self._spend(_VALUE_BYTES)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            self._spend(len(value))
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        if isinstance(value, int):
            if value.bit_length() > _INT_BITS_MAX:
                raise self._refusal(f"has more than {DIGITS_MAX} digits")
            return value
        return self._carry_items(value)

    def _carry_items(self, value: Any) -> Any:
        if len(self._place) >= DEPTH_MAX:
            raise self._refusal(f"is nested deeper than {DEPTH_MAX}")
        if isinstance(value, (list, tuple, GeneratorType)):
            return [self._carry_at(f"[{index}]", item) for index, item in enumerate(value)]
        if isinstance(value, dict):
            return self._carry_dict(value)
        return self._carry_of_numpy(value)

    def _carry_at(self, place: str, value: Any) -> Any:
        self._place.append(place)
        carried = self.carry(value)
        self._place.pop()
        return carried

    def _carry_dict(self, value: dict[Any, Any]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, item in value.items():
            name = key if isinstance(key, str) else self._name(key)
            if name in result:
                raise self._refusal(f"has two keys that JSON writes as {name!r}")
            self._spend(len(name))
            result[name] = self._carry_at(f"[{name!r}]", item)
        return result

    def _name(self, key: Any) -> str:
        """As Python's json writes keys: 1 as "1", True as "true"."""
        if key is None or isinstance(key, (bool, int, float)):
            return json.dumps(self.carry(key))
        raise self._refusal(f"has a key of type {_type_name(key)}, which JSON has no form for")

    def _carry_of_numpy(self, value: Any) -> Any:
        numpy = sys.modules.get("numpy")  # where nobody imported it, nothing is of it
        if numpy is not None and isinstance(value, numpy.ndarray):
            return self._carry_array(value)
        if numpy is not None and isinstance(value, numpy.generic):
            item = value.item()
            if not isinstance(item, numpy.generic):  # a longdouble stays what it is
                return self.carry(item)
        raise self._refusal(f"is of type {_type_name(value)}, which JSON has no form for")

    def _carry_array(self, array: Any) -> Any:
        if array.size * _ARRAY_ITEM_BYTES > self._left:
            raise self._too_much(f"an array of {array.size} values")
        if array.dtype.kind in "biu" and type(array).__module__ == "numpy":
            self._spend(array.size * _ARRAY_ITEM_BYTES)
            return array.tolist()
        return self.carry(array.tolist())

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise self._too_much("so much")

    def _too_much(self, what: str) -> CannotCross:
        limit = f"{self._bytes_max >> 20} MiB"
        return self._refusal(
            f"is {what}, and JSON carries about {limit}", "call through rb.connect()"
        )

    def _refusal(self, why: str, instead: str = _INSTEAD) -> CannotCross:
        return CannotCross(f"result{''.join(self._place)} {why}: {instead}")


def _type_name(value: object) -> str:
    kind = type(value)
    module = kind.__module__
    prefix = f"{module}." if isinstance(module, str) and module != "builtins" else ""
    return f"{prefix}{kind.__qualname__}"
