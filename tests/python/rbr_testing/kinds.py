# SPDX-License-Identifier: MIT
"""One value of every kind, small enough to send it thousands of times."""

from __future__ import annotations

from typing import Any


def values() -> dict[str, Any]:
    """Of every kind, without those at which other people's code crashes."""
    from rbr_testing.corpus import corpus

    found = {name: value for name, value in corpus().items() if name[:4] not in ("int ", "huge")}
    found |= {"long text": "\xe4" * 20_000, "long bytes": b"x" * 20_000}
    found |= {"int": 2**62, "big int": -(2**64)}
    found["buffer"] = memoryview(bytes(100))
    try:
        import numpy
    except ImportError:
        return found
    # Not dates, records and bfloat16: the getter of numpy's __array_interface__ crashes.
    return {
        **found,
        "array": numpy.arange(24.0).reshape(2, 3, 4),
        "large array": numpy.arange(10_000),
        "strided array": numpy.arange(24).reshape(4, 6)[::2, ::-1],
        "scalar": numpy.float32(1.5),
        "DLPack": _OnlyDLPack(numpy.arange(5.0)),
    }


class _OnlyDLPack:
    def __init__(self, array: Any) -> None:
        self.__dlpack__, self.__dlpack_device__ = array.__dlpack__, array.__dlpack_device__

    # Looked for on the type.
    __dlpack__: Any = None
    __dlpack_device__: Any = None
