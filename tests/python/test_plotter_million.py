# SPDX-License-Identifier: MIT
"""A million updates into a viewer that draws thirty a second: order, counts, memory."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from rbr_testing.plots import Heard, MakePlot

from ringbridge.plot import Plotter

pytest.importorskip("matplotlib")

UPDATES = 1_000_000
RATE = 30.0
SIDE = 100
MIB = 1 << 20
#: One thing left by each update, or one frame by each draw, would be more.
GROWTH_MAX = 2 * MIB


class Held(NamedTuple):
    """Bytes, and descriptors."""

    private: int
    shared: int
    fds: int


def held_by(pid: int) -> Held:
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    private, shared = (int(status[key].split()[0]) << 10 for key in ("RssAnon", "RssShmem"))
    return Held(private, shared, len(os.listdir(f"/proc/{pid}/fd")))


def published_bytes(plot: Plotter) -> int:
    """What the frames' memory takes of the machine."""
    publisher = plot._publisher
    ticket, memory, _, nudge = publisher.add_reader()
    try:
        return os.fstat(memory).st_blocks * 512
    finally:
        publisher.drop_reader(ticket)
        os.close(memory)
        os.close(nudge)


@pytest.mark.seconds(90)
def test_a_million_updates_are_drawn_in_order_once_and_leave_nothing_behind(
    make_plot: MakePlot,
) -> None:
    plot = make_plot("rbr_testing.plot_million:Whole", rate=RATE, environ={"MPLBACKEND": "Agg"})
    heard = Heard(plot)
    field = np.empty((SIDE, SIDE))
    held: list[tuple[Held, Held]] = []
    began, number = time.monotonic(), 0

    def update(until: int) -> None:
        nonlocal number
        while number < until:
            number += 1
            field.fill(number)
            plot.update(number, field)

    update(1)
    plot.wait()
    (viewer,) = plot.stats()["viewers"]
    for part in range(1, 11):
        update(part * UPDATES // 10)
        held.append((held_by(os.getpid()), held_by(viewer["pid"])))
    plot.wait()
    took_s = time.monotonic() - began

    assert heard.until_drawn(UPDATES) == (UPDATES, UPDATES, True)
    numbers = heard.numbers()
    assert all(earlier < later for earlier, later in zip(numbers, numbers[1:]))
    assert all((step, whole) == (number, True) for number, step, whole in heard.drawn)
    assert numbers[0] == 1 and 3 < len(numbers) < took_s * RATE + 2

    told = plot.stats()
    (counts,) = told["viewers"]
    assert (told["updates"], counts["drawn"]) == (UPDATES, len(numbers))
    assert counts["drawn"] + counts["dropped"] == UPDATES

    for who in zip(*held):  # the least: a viewer amid a draw has more
        early, late = (Held(*map(min, zip(*half))) for half in (who[:5], who[5:]))
        assert late.private - early.private < GROWTH_MAX, who
        assert late.shared - early.shared < GROWTH_MAX, who
        assert late.fds == early.fds, who
    # One that is taken, the newest, and one that is written, each with as much room again.
    assert published_bytes(plot) <= 3 * 2 * (field.nbytes + 4096)
