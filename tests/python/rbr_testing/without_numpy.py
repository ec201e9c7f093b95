# SPDX-License-Identifier: MIT
"""Run as a script: buffers and DLPack between two sides that both have no numpy.

Its arguments are folders for the worker's path; the first one holds a numpy that fails to import.
"""

from __future__ import annotations

import array
import ctypes
import mmap
import sys
from typing import Any

import ringbridge as rb
from rbr_testing.dlpack import Handmade


def buffers() -> list[tuple[Any, str]]:
    """Objects that export a buffer, with the format that the memoryview over there has."""
    mapped = mmap.mmap(-1, 4096)
    mapped[:4] = b"abcd"
    plain = [(array.array(code, [1, 2, 3]), code) for code in "bBhHiIfd"]
    return [
        *plain,
        (array.array("l", [-1, 2**62]), "q"),
        (array.array("L", [2**64 - 1]), "Q"),
        (array.array("d", range(5000)), "d"),
        (array.array("d"), "d"),
        (mapped, "B"),
        ((ctypes.c_double * 3)(1, 2, 3), "d"),
        ((ctypes.c_int16 * 2 * 3)(), "h"),
        (ctypes.c_bool(True), "?"),
        (memoryview(b"abcdef")[::-2], "B"),
        (memoryview(bytearray(range(12))).cast("h").cast("B").cast("B", (3, 4)), "B"),
        (memoryview(array.array("f", range(8)))[6:1:-2], "f"),
        (memoryview(b""), "B"),
    ]


def main() -> None:
    with rb.Worker(sys.executable, paths=sys.argv[1:]) as worker:
        module = worker.load("rbr_testing.basics")
        for value, wanted in buffers():
            sent, back = memoryview(value), module.echo({"x": value})["x"]
            assert type(back) is memoryview, value
            assert back.format == wanted, (value, back.format)
            assert (back.shape, back.readonly) == (sent.shape, sent.readonly), value
            assert back.tobytes() == sent.tobytes(), value
        tensor = module.echo(Handmade(ndim=2, shape=[2, 3], code=0, bits=16))
        assert (tensor.format, tensor.shape, tensor.readonly) == ("h", (2, 3), False)
        shared = worker.empty((2, 3), "float32")
        shared[1, 2] = 1.5
        assert module.echo(shared)[1, 2] == 1.5
        try:
            module.echo(Handmade(code=4, bits=16))
        except rb.CannotCross as error:
            assert "bfloat16 needs numpy" in str(error)
        else:
            raise AssertionError("bfloat16 arrived without numpy")
    assert "numpy" not in sys.modules


if __name__ == "__main__":
    main()
