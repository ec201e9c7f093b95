# SPDX-License-Identifier: MIT
"""What is called over there, by ringbridge and by every peer alike. Measures nothing itself.

Imports nothing but the standard library at the top: it loads in any interpreter.
"""

from __future__ import annotations

import time
import zlib
from typing import Any

_kept: dict[tuple[int, bool], Any] = {}
_kept_dict: dict[str, Any] = {}


def increment(number: int) -> int:
    return number + 1


def byte_count(array: Any) -> int:
    """Looks at the array's head only: what a call with it takes is the crossing."""
    return int(array.nbytes)


def crc(array: Any) -> int:
    """Of every byte: whether what came is what went."""
    return zlib.crc32(memoryview(array).cast("B"))


def pattern(size: int, seed: int) -> Any:
    """An array of that many bytes, all of them touched."""
    import numpy as np

    array: Any = np.empty(size, "uint8")
    fill(array, seed)
    return array


def fill(array: Any, seed: int) -> None:
    """A block of random bytes, again and again: cheap, and no two seeds give the same."""
    import numpy as np

    block = np.random.default_rng(seed).integers(0, 256, min(array.nbytes, 65521), "uint8")
    for start in range(0, array.nbytes, len(block)):
        part = array[start : start + len(block)]
        part[:] = block[: len(part)]


def keep(size: int, seed: int, shared: bool) -> int:
    """Makes what `kept` or `kept_shared` returns, and gives its crc."""
    if shared:
        import ringbridge as rb

        array = rb.empty(size, "uint8")
        fill(array, seed)
    else:
        array = pattern(size, seed)
    _kept[size, shared] = array
    return crc(array)


def kept(size: int) -> Any:
    return _kept[size, False]


def kept_shared(size: int) -> Any:
    return _kept[size, True]


def forget() -> None:
    _kept.clear()
    _kept_dict.clear()


def make_dict(count: int, size: int, seed: int) -> dict[str, Any]:
    return {f"array {number}": pattern(size, seed + number) for number in range(count)}


def crc_dict(arrays: dict[str, Any]) -> int:
    total = 0
    for name in sorted(arrays):
        total = zlib.crc32(name.encode(), total) ^ crc(arrays[name])
    return total


def keep_dict(count: int, size: int, seed: int) -> int:
    _kept_dict.clear()
    _kept_dict.update(make_dict(count, size, seed))
    return crc_dict(_kept_dict)


def exchange(arrays: dict[str, Any]) -> dict[str, Any]:
    """Takes one dict and gives another of the same form: there and back."""
    if arrays.keys() != _kept_dict.keys():
        raise ValueError(f"the dict that came has the keys {sorted(arrays)}")
    return _kept_dict


def nap(seconds: float) -> int:
    """Sleeps, and says how long that really was, in ns: the rest of a round trip is the way."""
    began = time.perf_counter_ns()
    time.sleep(seconds)
    return time.perf_counter_ns() - began


def versions() -> dict[str, str]:
    """Of the interpreter over there; numpy is empty where it has none."""
    import platform

    try:
        import numpy as np
    except ImportError:
        return {"python": platform.python_version(), "numpy": ""}
    return {"python": platform.python_version(), "numpy": np.__version__}
