# SPDX-License-Identifier: MIT
"""Hosts for which there is no more shared memory: programs for test_full_memory.py.

python -m rbr_testing.full_memory shm POINTS   /dev/shm is full, in POINTS ways; must be a tmpfs
                                               of its own, of SIZE bytes
python -m rbr_testing.full_memory auto POINTS  the same, and nobody notices
python -m rbr_testing.full_memory file-size    no file may be large, on either side

A program that ends with code 0 saw only what was promised; it prints what it counted.
"""

from __future__ import annotations

import errno
import os
import re
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import ringbridge

HERE = Path(__file__).resolve().parent.parent
MIB = 1 << 20
SIZE = 32 * MIB
SHM = Path("/dev/shm")
FILLER = SHM / "filler"
RING_SEGMENT = 2 * MIB + (64 << 10)
SIZES = [300_000, 3 * MIB, 11 * MIB, 20 * MIB]
GROWTH = 2 * MIB + 8192  # an arena grows in such steps, if it must
LARGEST = 1 << 30  # a file size that nothing here reaches


def fill(free: int) -> None:
    """Leaves so many bytes of /dev/shm."""
    FILLER.unlink(missing_ok=True)
    room = os.statvfs(SHM)
    taken = room.f_bavail * room.f_frsize - free
    with open(FILLER, "wb") as filler:
        if taken > 0:
            os.posix_fallocate(filler.fileno(), 0, taken)


def free_bytes() -> int:
    room = os.statvfs(SHM)
    return room.f_bavail * room.f_frsize


def start(memory: str) -> ringbridge.Worker:
    return ringbridge.Worker(
        sys.executable, name="full", paths=[HERE], limits={"memory": memory}, call_timeout=60
    )


def check_refusal(error: OSError, needed: int) -> None:
    """What was wanted, which is no more than what was needed, what there is, and what to do."""
    text = str(error)
    found = re.search(r"allocate (\d+) bytes in /dev/shm \((\d+) are free; ", text)
    assert error.errno == errno.ENOSPC, text
    assert found is not None and 'limits={"memory": "memfd"}' in text, text
    wanted, free = map(int, found.groups())
    assert needed + GROWTH >= wanted > free, text
    assert free == free_bytes(), text


def attempts(
    worker: ringbridge.Worker, module: ringbridge.RemoteModule, size: int
) -> list[Callable[[], bool]]:
    """Ways to need `size` bytes of the host's memory; each says whether its answer was right."""
    array = memoryview(b"\7" * size)
    return [
        lambda: module.length(array) == size,
        lambda: module.length([array, array[::-1]]) == 2,
        lambda: bytes(module.echo(array[: size // 2])) == bytes(array[: size // 2]),
        lambda: worker.empty(size, "u1").nbytes == size,
    ]


def call_with(free: int, worker: ringbridge.Worker, module: ringbridge.RemoteModule) -> int:
    """Calls that need more and more, with so many bytes left. Gives how many were refused."""
    refused = 0
    fill(free)
    for size in SIZES:
        for attempt in attempts(worker, module, size):
            try:
                assert attempt(), size
            except OSError as error:
                check_refusal(error, size)
                refused += 1
            assert module.add(size, 1) == size + 1
        # The worker was not asked for a kind of memory, and takes what it gets.
        assert bytes(module.pattern(size, size % 251)) == bytes([size % 251]) * size
    fill(SIZE)
    assert all(attempt() for attempt in attempts(worker, module, SIZES[1]))  # there is room again
    until = time.monotonic() + 10  # an echoed array goes back after its answer
    while worker.stats()["arena_blocks"] > 0:
        assert time.monotonic() < until, "a block is never handed back"
        time.sleep(0.001)
    return refused


def start_with(free: int) -> int:
    """A start that fails exactly when the ring segment does not fit. Gives 1 when it failed."""
    fill(free)
    assert free_bytes() == free
    try:
        with start("shm") as worker:
            assert worker.load("rbr_testing.faults").add(1, 2) == 3
    except OSError as error:
        check_refusal(error, RING_SEGMENT)
        assert free < RING_SEGMENT
        return 1
    assert free >= RING_SEGMENT
    return 0


def run(memory: str, points: int) -> None:
    assert free_bytes() == SIZE, free_bytes()
    refused_starts = refused_calls = 0
    for point in range(points):
        # Closer to each other where less is left.
        free = int(SIZE * (point / max(points - 1, 1)) ** 2) & ~4095
        if memory == "shm":
            refused_starts += start_with(free)
        fill(free if memory == "auto" else SIZE)
        with start(memory) as worker:
            refused_calls += call_with(free, worker, worker.load("rbr_testing.faults"))
    fill(SIZE)
    assert free_bytes() == SIZE, "something is left in /dev/shm"
    if memory == "shm":
        assert 0 < refused_starts < points and refused_calls > 0
    else:
        assert refused_calls == 0
    print(refused_starts, refused_calls)


# ------------------------------------------------------------------------------------ file sizes


def limit(soft: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def expect_limited(attempt: Callable[[], object], soft: int) -> None:
    try:
        attempt()
    except OSError as error:
        assert error.errno == errno.EFBIG, error
        assert f"files of {soft} bytes: raise RLIMIT_FSIZE" in str(error), error
    else:
        raise AssertionError("nothing was refused")


def file_size() -> None:
    """As a host that is no Python of its own: there the signal that comes along is deadly."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    for memory in ("shm", "memfd", "auto"):
        limit(MIB)
        expect_limited(lambda memory=memory: start(memory), MIB)
        limit(LARGEST)
        with start(memory) as worker:
            module = worker.load("rbr_testing.faults")
            limit(MIB)
            expect_limited(lambda: module.length(memoryview(bytes(3 * MIB))), MIB)  # noqa: B023
            assert module.add(1, 2) == 3
            limit(LARGEST)
            assert module.length(memoryview(bytes(3 * MIB))) == 3 * MIB
            module.limit("RLIMIT_FSIZE", MIB)
            expect_limited(lambda: module.pattern(3 * MIB, 1), MIB)  # noqa: B023
            assert module.add(1, 2) == 3
            module.limit("RLIMIT_FSIZE", LARGEST)
            assert bytes(module.pattern(3 * MIB, 1)) == b"\1" * (3 * MIB)


if __name__ == "__main__":
    if sys.argv[1] == "file-size":
        file_size()
    else:
        run(sys.argv[1], int(sys.argv[2]))
