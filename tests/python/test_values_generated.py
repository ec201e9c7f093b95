# SPDX-License-Identifier: MIT
"""Generated values come back exactly: from this interpreter, and from each other one there is."""

from __future__ import annotations

from typing import Any

import pytest
from rbr_testing import rounds
from rbr_testing.equality import identical

pytest.importorskip("hypothesis")
from rbr_testing import strategies

EXAMPLES = 150  # for each interpreter and kind of value


def round_trip(echoes: list[Any], strategy: Any) -> int:
    """Making a value up takes longer than sending it: each goes to every interpreter."""
    done = 0

    def each(value: Any) -> None:
        nonlocal done
        for echo in echoes:
            done += 1
            assert identical(echo(value), value)

    strategies.check(strategy, EXAMPLES, each)
    return done


@pytest.mark.seconds(3600)
@pytest.mark.timeout(3700)
@pytest.mark.parametrize("kind", ["values", "arrays", "values_and_arrays"])
def test_generated_values_come_back_exactly(
    echo: Any, make_worker: Any, other_pythons: list[str], kind: str
) -> None:
    if kind != "values":
        pytest.importorskip("numpy")
    others = [make_worker(path).load("rbr_testing.basics").echo for path in other_pythons]
    done = round_trip([echo, *others], getattr(strategies, kind)())
    rounds.count(f"generated {kind.replace('_', ' ')} sent and back", done)
