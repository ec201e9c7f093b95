# SPDX-License-Identifier: MIT
"""Calls within a call that is interrupted meanwhile, for test_tasks_cancel.py."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from ringbridge import _core, current

_outer = 0
HARD = 2


def outer(function: Callable[[], Any]) -> None:
    """Its callback calls one of the others; what follows it takes for ever."""
    global _outer
    _outer = current.current_task().id
    function()
    time.sleep(3600)


def wait(started: str) -> None:
    """Says that it runs, and ends when the outer call is to be interrupted."""
    channel = current._channel
    assert channel is not None
    open(started, "w").close()
    while _core.cancelled(channel, _outer) != HARD:
        time.sleep(0.001)


class Waiting:
    def __init__(self, started: str) -> None:
        object.__setattr__(self, "started", started)

    @property
    def attribute(self) -> None:
        wait(self.started)  # type: ignore[attr-defined]

    def __setattr__(self, name: str, value: Any) -> None:
        wait(self.started)  # type: ignore[attr-defined]


def items(started: str, early: bool) -> Iterator[int]:
    """Waits before its second item, or when it is closed: between two, it has more to give."""
    try:
        yield 1
        if early:
            wait(started)
        while True:
            yield 2
    finally:
        if not early:
            wait(started)
