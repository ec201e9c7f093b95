# SPDX-License-Identifier: MIT
"""Functions for a worker on another machine."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np


def checksums(arrays: list[Any]) -> list[tuple[str, tuple[int, ...], int]]:
    """What came: dtype, shape, and a number of all its bytes."""
    import zlib

    return [
        (str(each.dtype), each.shape, zlib.crc32(np.ascontiguousarray(each).view("u1")))
        for each in arrays
    ]


def made(seed: int, sizes: list[int]) -> list[Any]:
    """Random bytes; who knows the seed knows them."""
    random = np.random.default_rng(seed)
    return [random.integers(0, 256, size, dtype="u1") for size in sizes]


def pieces(count: int, size: int) -> Iterator[Any]:
    """Arrays filled with their number."""
    for number in range(count):
        yield np.full(size, number, dtype="i4")


def blocked(started: str, release: str) -> int:
    """Says that it runs, and goes on when it may: two named pipes."""
    open(started, "w").close()
    open(release).close()
    return os.getpid()


def stopped(seconds: float) -> None:
    """This process is stopped, and goes on after that."""
    if os.fork() == 0:
        time.sleep(seconds)
        os.kill(os.getppid(), signal.SIGCONT)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGSTOP)


def print_and_die(number: int) -> None:
    print("a last line on stdout")
    print("a last line on stderr", file=sys.stderr)
    os.kill(os.getpid(), number)
    time.sleep(60)


def family() -> list[int]:
    """This process and the relay that has started it."""
    return [os.getpid(), os.getppid()]


def size_of(value: Any) -> int:
    return len(value)
