# SPDX-License-Identifier: MIT
"""What the tests of options(latest=True) stream from a worker."""

from __future__ import annotations

import ctypes
import mmap
import random
import signal
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_made = 0  # items by the stream of this process that began last
_over = True


def _begin() -> None:
    global _made, _over
    _made = 0
    _over = False


def _count() -> None:
    global _made
    _made += 1


def made() -> int:
    return _made


def is_over() -> bool:
    """Whether its generator has ended: its `finally` has run."""
    return _over


def _end() -> None:
    global _over
    _over = True


def numbers(count: int, error: bool = False) -> Iterator[int]:
    """As fast as it can; error: a ValueError after the last."""
    _begin()
    try:
        for number in range(count):
            _count()
            yield number
        if error:
            raise ValueError("after the last item")
    finally:
        _end()


def each(values: list[Any], wait: Callable[[], Any]) -> Iterator[Any]:
    """Waits before each item until the host says so."""
    for value in values:
        wait()
        yield value


def kinds(wait: Callable[[], Any]) -> Iterator[Any]:
    """Values whose payloads would lie in blocks otherwise."""
    import numpy as np

    import ringbridge

    wait()
    yield "ä" * 100_000
    wait()
    yield bytearray(b"x" * 100_000)
    wait()
    yield {"a": np.arange(10_000).reshape(100, 100)[::2, ::3], "b": [b"y" * 50_000]}
    wait()
    yield np.asfortranarray(np.arange(10_000.0).reshape(100, 100))
    wait()
    yield np.array(["2020-01-01"] * 1000, dtype="datetime64[D]")
    wait()
    ours = ringbridge.empty((300, 300), "int32")  # it lies in a block
    ours[...] = 0
    yield ours


def images(count: int, bytes_of: Callable[[int], int] | None = None) -> Iterator[Any]:
    """Arrays of 1 MB (or of what the host says) that are filled with their number."""
    import numpy as np

    _begin()
    try:
        for number in range(count):
            size = 1_000_000 if bytes_of is None else bytes_of(number)
            _count()
            yield np.full(size // 8, number, "float64")
    finally:
        _end()


def two(folder: str) -> Iterator[int]:
    """The second item waits for a file `go`."""
    yield 0
    Path(folder, "inside").touch()
    while not Path(folder, "go").exists():
        time.sleep(0.001)
    yield 1


def stuck(count: int) -> Iterator[int]:
    yield from range(count)
    signal.pause()


def count_in(path: str) -> Iterator[int]:
    """For ever; the number of items made stands in the file."""
    with Path(path).open("r+b") as file, mmap.mmap(file.fileno(), 8) as shared:
        number = 0
        while True:
            number += 1
            struct.pack_into("=Q", shared, 0, number)
            yield number


class Thing:
    pass


def things(thing: Any) -> Iterator[Any]:
    yield 1
    yield [thing]


def too_large() -> Iterator[Any]:
    import numpy as np

    yield 1
    yield np.broadcast_to(np.zeros(1), (1 << 28,))


# ------------------------------------------------------------------------------------- a bad worker

_MAGIC = b"rbrlate1"
_LINE = 128


def _buffer_with(marker: bytes) -> tuple[int, int]:
    """Where the latest-value buffer that has these bytes in an item begins and ends.

    Others may have been there before, so it is the last one that begins before the bytes."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split()
        start, end = (int(part, 16) for part in fields[0].split("-"))
        if fields[1] == "rw-s":
            content = ctypes.string_at(start, end - start)
            at = content.find(marker)
            if at >= 0:
                begin = content.rfind(_MAGIC, 0, at)
                room, readers = struct.unpack_from("=QI", content, begin + 8)
                stride = -(-(64 + room) // _LINE) * _LINE
                bytes_of = _LINE * (1 + readers) + (2 + readers) * stride
                return start + begin, start + begin + bytes_of
    raise LookupError("no buffer has this item")


def damaged(what: str) -> Iterator[bytes]:
    """One good item, which is then spoilt where it lies, for a host that comes late."""
    _begin()
    try:
        marker = b"good %d" % time.monotonic_ns()
        yield marker * 100
        address, _end_of = _buffer_with(marker)
        offer, slot = address + _LINE, address + 2 * _LINE
        (word,) = struct.unpack("=Q", ctypes.string_at(offer, 8))
        if what == "slot":
            ctypes.memmove(offer, struct.pack("=Q", word | 63), 8)
        elif what == "sequence":
            ctypes.memmove(offer, struct.pack("=Q", 3), 8)
        elif what == "size":
            ctypes.memmove(slot, struct.pack("=Q", 1 << 40), 8)
        elif what == "short":
            ctypes.memmove(slot, struct.pack("=Q", 4), 8)
        elif what == "frame":
            ctypes.memmove(slot + 64, b"\xff" * 64, 64)
        elif what == "kind":
            size = struct.unpack("=Q", ctypes.string_at(slot, 8))[0]
            frame = ctypes.string_at(slot + 64, size)
            other = frame.replace(b"\x0c", b"\x0d")  # Body: StreamItem, StreamEnd
            ctypes.memmove(slot + 64, other, size)
    finally:
        _end()


def scribbled(seconds: float, seed: int) -> Iterator[list[Any]]:
    """Items in a buffer that a thread changes at random all the while."""
    import sys

    marker = f"{seed} {time.monotonic_ns()}"
    yield [0, marker, "x" * 2000]  # as large as any that follow: the buffer stays
    address, end = _buffer_with(marker.encode())
    stop = threading.Event()

    def scribble() -> None:
        dice = random.Random(seed)
        while not stop.is_set():
            ctypes.memset(dice.randrange(address, end), dice.randrange(256), 1)

    sys.setswitchinterval(0.0001)
    thread = threading.Thread(target=scribble)
    thread.start()
    try:
        until = time.monotonic() + seconds
        number = 0
        while time.monotonic() < until:
            number += 1
            yield [number, "x" * (number % 700), {"key": (1.5, None, [number])}]
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(0.005)
