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
