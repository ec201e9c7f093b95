# SPDX-License-Identifier: MIT
"""What counts as a plain value: the few kinds that every side can build again.

Looks at values only: no I/O, nothing imported. What can cross in a call is far more, and is
decided by the C extension.
"""

from __future__ import annotations

_FIXED = frozenset({type(None), bool, float, complex})
_DEPTH_MAX = 16


def plain_bytes(value: object, *, depth: int = 0) -> int | None:
    """About how many bytes a plain value takes; None when it is not plain.

    Plain are None, bool, int, float, complex, str, bytes, and tuples, lists and dicts of them: of
    exactly these types, since a subclass would arrive as something else.
    """
    if type(value) in _FIXED:
        return 8
    if type(value) is int:
        return 8 + value.bit_length() // 8
    if type(value) is bytes:
        return 8 + len(value)
    if type(value) is str:
        return _text_bytes(value)
    if depth >= _DEPTH_MAX:  # also what ends a list that holds itself
        return None
    if type(value) is dict:
        return _sum((*value, *value.values()), depth)
    if type(value) is list or type(value) is tuple:
        return _sum(tuple(value), depth)
    return None


def is_plain(value: object, *, bytes_max: int) -> bool:
    """True for a plain value of at most about bytes_max bytes."""
    size = plain_bytes(value)
    return size is not None and size <= bytes_max


def _text_bytes(text: str) -> int | None:
    try:
        return 8 + len(text.encode())
    except UnicodeEncodeError:  # lone surrogates have no UTF-8
        return None


def _sum(items: tuple[object, ...], depth: int) -> int | None:
    total = 8
    for item in items:
        size = plain_bytes(item, depth=depth + 1)
        if size is None:
            return None
        total += size
    return total
