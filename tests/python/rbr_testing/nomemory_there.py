# SPDX-License-Identifier: MIT
"""Allocations that fail in the worker: a program for test_nomemory.py, and what it calls there.

python -m rbr_testing.nomemory_there TRAIL

`arm` makes the n-th allocation of the worker from then on fail, alone or with some more: while it
encodes the answer to `arm` itself, reads the call that follows, runs it, or answers it. The host
gets a MemoryError or the right answer, and the worker goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import ringbridge

#: So many calls in a row without a failure, and the last allocation has been passed.
QUIET_MAX = 25
WIDTHS = (1, 10, 100)

_not_plain = object()


def uncrossable() -> Any:
    return {"x": _not_plain}


def arm(first: int, width: int) -> None:
    import _testcapi

    _testcapi.set_nomemory(first, first + width)


def disarm() -> None:
    import _testcapi

    _testcapi.remove_mem_hooks()


def outcome_of(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        return error


def sweep(there: Any, say: Any, width: int, name: str, call: Callable[[], Any]) -> int:
    """How many allocations failed, one after another."""
    from rbr_testing.equality import identical

    usual = outcome_of(call)
    failures = quiet = first = 0
    while quiet < QUIET_MAX:
        say(f"{name}: the worker's allocation {first}, {width} of them, fails")
        outcomes = [outcome_of(partial(there.arm, first, width)), outcome_of(call)]
        there.disarm()
        failed = any(type(each) is MemoryError for each in outcomes)
        if not failed:
            same = type(outcomes[1]) is type(usual) and (
                isinstance(usual, Exception) or identical(outcomes[1], usual)
            )
            assert same, (name, first, outcomes, usual)
        failures, quiet = failures + failed, 0 if failed else quiet + 1
        first += 1
    return failures


def main(path: str) -> None:
    from rbr_testing import kinds
    from rbr_testing.nomemory import HERE, Trail

    trail = Trail(path)
    with ringbridge.Worker(sys.executable, name="nomemory", paths=[HERE]) as worker:
        there = worker.load("rbr_testing.nomemory_there")
        module = worker.load("rbr_testing.basics")
        calls = {
            name: partial(module.echo.options(copy=True), v) for name, v in kinds.values().items()
        }
        calls["keywords"] = partial(module.add, 1, right=2, scale=0.5)
        calls["ValueError"] = partial(module.fail, "ValueError", "x")
        calls["sys.exit"] = module.leave
        calls["no result"] = there.uncrossable
        failures = sum(
            sweep(there, trail.say, width, name, call)
            for width in WIDTHS
            for name, call in calls.items()
        )
        assert worker.stats()["arena_blocks"] == 0
    print(failures)


if __name__ == "__main__":
    main(*sys.argv[1:])
