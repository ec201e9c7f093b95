# SPDX-License-Identifier: MIT
"""What exports the buffer protocol arrives as an array; without numpy as a memoryview."""

from __future__ import annotations

import array
import ctypes
import mmap
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ringbridge as rb

HERE = Path(__file__).parent


class Pair(ctypes.Structure):
    _fields_ = [("a", ctypes.c_int), ("b", ctypes.c_double)]


class Numbers(array.array):  # type: ignore[type-arg]
    pass


class Growing(bytearray):
    pass


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (Numbers("d", [1.5, -0.0]), "f8"),
        (array.array("L", [2**64 - 1]), "u8"),
        ((ctypes.c_double * 3)(1, 2, 3), "f8"),
        ((ctypes.c_int16 * 2 * 3)(), "i2"),
        ((ctypes.c_int32.__ctype_be__ * 3)(1, 2, 3), ">i4"),
        (ctypes.c_uint64(2**64 - 1), "u8"),
        (memoryview(b"abcdef")[::-2], "u1"),
        (memoryview(b"abcdef").toreadonly(), "u1"),
        (memoryview(bytearray(24)).cast("d").cast("B").cast("h", (3, 4)), "i2"),
    ],
    ids=repr,
)
def test_buffer_arrives_as_an_array_of_its_items(echo: Any, value: Any, dtype: str) -> None:
    np = pytest.importorskip("numpy")
    back = echo([value])[0]
    assert type(back) is np.ndarray and back.dtype == dtype
    assert back.shape == memoryview(value).shape
    assert back.tobytes() == memoryview(value).tobytes()
    assert back.flags.writeable is not memoryview(value).readonly


def test_maps_of_files_arrive_as_arrays(echo: Any, tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 40)
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        back = echo(mapped)
        assert back.tobytes() == path.read_bytes() and not back.flags.writeable
        mapped.close()  # nothing of ours holds it any more
    numbers = np.memmap(path, "<u4", "r", 16, (50, 8))
    back = echo(numbers[::2])
    assert type(back) is np.ndarray and (back == numbers[::2]).all()


def test_sent_memory_is_free_again_after_the_call(echo: Any) -> None:
    value = bytearray(100_000)
    view = memoryview(value)
    echo(view)
    view.release()
    value.clear()  # a BufferError while somebody holds it


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ((Pair * 2)(), "format T"),
        (memoryview(b"ab").cast("c"), "format c"),
        (array.array("u", "ab"), "format [wu]"),
        (Growing(b"x"), r"bytearray\(\.\.\.\)"),
    ],
    ids=repr,
)
def test_buffer_of_no_plain_numbers_is_refused(echo: Any, value: Any, said: str) -> None:
    with pytest.raises(rb.CannotCross, match=rf"args\[0\]\['k'\]: .*{said}"):
        echo({"k": value})


def test_buffers_cross_where_neither_side_has_numpy(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("raise ImportError('not here')")
    paths = [str(tmp_path), str(HERE)]
    subprocess.run(
        [sys.executable, "-m", "rbr_testing.without_numpy", *paths],
        check=True,
        timeout=50,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
