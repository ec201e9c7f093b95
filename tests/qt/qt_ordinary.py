# SPDX-License-Identifier: MIT
"""Ordinary functions and a class, as an application has them; they know nothing of ringbridge."""

from __future__ import annotations

from collections.abc import Iterator


def double(number: int) -> int:
    return 2 * number


def numbers(count: int) -> Iterator[int]:
    yield from range(count)


class Simulation:
    """What a QThread or a Process would have been."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def run(self) -> int:
        return self.steps * 10
