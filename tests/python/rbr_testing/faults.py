# SPDX-License-Identifier: MIT
"""What a worker does in the tests of deaths, floods and full rings."""

from __future__ import annotations

import os
import resource
import sys
import time

_mine = bytearray(b"of this process")


def add(a: int, b: int) -> int:
    return a + b


def echo(value: object) -> object:
    return value


def checked(number: int, payload: bytes) -> tuple[int, int, bytes]:
    """Something that a mixed-up answer would not match."""
    return number, len(payload), payload[::-1]


def pause(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def pid() -> int:
    return os.getpid()


def say_last_words(text: str) -> None:
    sys.stderr.write(text + "\n")


def keep_a_grandchild() -> int:
    """A forked child that holds every descriptor of ours open, and outlives this call."""
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    return child


def length(value: object) -> int:
    return len(value)  # type: ignore[arg-type]


def pattern(count: int, byte: int) -> memoryview:
    """A large result."""
    return memoryview(bytes([byte]) * count)


def limit(name: str, soft: int) -> int:
    """Sets a resource limit of this process; gives what it was."""
    number = getattr(resource, name)
    before, hard = resource.getrlimit(number)
    resource.setrlimit(number, (soft, hard))
    return before


_held: list[int] = []


def hold_descriptors(free: int) -> int:
    """Takes all descriptors that this process may have but so many; gives how many are open."""
    limit("RLIMIT_NOFILE", 128)
    try:
        while True:
            _held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    for _ in range(free):
        os.close(_held.pop())
    return 128 - free


def let_go_descriptors() -> int:
    """Gives how many are open then."""
    while _held:
        os.close(_held.pop())
    limit("RLIMIT_NOFILE", 1024)
    return len(os.listdir("/proc/self/fd")) - 1
