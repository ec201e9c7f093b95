# SPDX-License-Identifier: MIT
"""What asyncio on Qt costs stays in its order; loop_speed.py has the figures themselves.

On a busy machine single rounds are late: the best of several counts, and three times the budget.
"""

from __future__ import annotations

import pytest
from loop_speed import COMPARED, SLOT_MOST_S, compare, idle_cpu, slot_cost

ROUNDS = 5
LEEWAY = 3


@pytest.mark.parametrize("what", sorted(COMPARED))
def test_it_costs_about_what_asyncio_does(what: str) -> None:
    measure, most = COMPARED[what]
    plain, ours = compare(measure, ROUNDS, best=True)
    assert ours <= plain * most * LEEWAY


def test_a_slot_costs_microseconds() -> None:
    assert min(slot_cost() for _ in range(ROUNDS)) <= SLOT_MOST_S * LEEWAY


@pytest.mark.parametrize("mode", ["owner", "guest"])
def test_an_idle_loop_takes_no_processor_time(mode: str) -> None:
    assert min(idle_cpu(mode, 0.3) for _ in range(3)) < 0.01
