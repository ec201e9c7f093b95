# SPDX-License-Identifier: MIT
"""What the workers of these tests run."""

from __future__ import annotations

import time
from collections.abc import Iterator

import ringbridge

_cancelled = 0


def add(a: int, b: int) -> int:
    return a + b


def tell(steps: int) -> int:
    task = ringbridge.current_task()
    for step in range(steps):
        task.progress(step, steps, f"step {step}")
        time.sleep(0.04)  # the newest is sent every 30 ms
    return steps


def until_cancelled() -> None:
    """Says so once it has begun."""
    global _cancelled
    task = ringbridge.current_task()
    task.progress(text="begun")
    try:
        while True:
            task.check_cancelled()
            time.sleep(0.001)
    except ringbridge.Cancelled:
        _cancelled += 1
        raise


def take_cancelled() -> int:
    """How many calls have been cancelled since it was asked."""
    global _cancelled
    count, _cancelled = _cancelled, 0
    return count


def count_to(end: int) -> Iterator[int]:
    yield from range(end)


def fail() -> None:
    raise ValueError("over there")
