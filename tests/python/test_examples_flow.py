# SPDX-License-Identifier: MIT
"""The example modules' flow accumulation: against a slow way to the same, and by what must hold."""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rbr_testing.examples import FOLDER, hills, load, with_holes

import ringbridge
from ringbridge.compute import Raster

AROUND = [(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if r or c]


@pytest.fixture(scope="module")
def flow() -> Any:
    return load("flow", "numba")


def neighbours(shape: tuple[int, int], row: int, column: int) -> list[tuple[int, int]]:
    around = [(row + r, column + c) for r, c in AROUND]
    return [(r, c) for r, c in around if 0 <= r < shape[0] and 0 <= c < shape[1]]


def filled_slowly(heights: Any) -> Any:
    """Water stands everywhere, and sinks until it can sink no more; NaN is where it leaves."""
    level = np.where(np.isnan(heights), np.nan, np.inf)
    cells = [each for each in np.ndindex(heights.shape) if not np.isnan(heights[each])]
    changed = True
    while changed:
        changed = False
        for cell in cells:
            beside = neighbours(heights.shape, *cell)
            at_edge = len(beside) < 8 or any(np.isnan(heights[each]) for each in beside)
            lowest = -np.inf if at_edge else min(level[each] for each in beside)
            sunk = max(heights[cell], lowest)
            if sunk < level[cell]:
                level[cell], changed = sunk, True
    return level


def accumulated_slowly(heights: Any, width: float, height: float) -> Any:
    """Where every cell has one steepest way down or lies at the edge: from the highest to the
    lowest."""
    amount = np.ones(heights.shape, int)
    for cell in sorted(np.ndindex(heights.shape), key=lambda each: -heights[each]):
        ways = {}
        for other in neighbours(heights.shape, *cell):
            far = np.hypot((other[0] - cell[0]) * height, (other[1] - cell[1]) * width)
            ways[other] = (heights[cell] - heights[other]) / far
        steepest = max(ways, key=lambda each: ways[each])
        if ways[steepest] > 0:
            amount[steepest] += amount[cell]
    return amount


@settings(deadline=None, max_examples=25)
@given(
    shape=st.tuples(st.integers(1, 14), st.integers(1, 14)),
    holes=st.sampled_from((0.0, 0.1)),
    seed=st.integers(0, 999),
)
def test_depressions_are_filled_to_where_they_overflow(
    shape: tuple[int, int], holes: float, seed: int
) -> None:
    flow = load("flow", "numba")
    raster = with_holes(hills(*shape, seed=seed), holes, seed)
    made = flow.flow_accumulation(raster).filled
    np.testing.assert_array_equal(made.filled(), filled_slowly(raster.filled()))


@settings(deadline=None, max_examples=25)
@given(
    shape=st.tuples(st.integers(2, 14), st.integers(2, 14)),
    cell=st.sampled_from(((30.0, 30.0), (30.0, 10.0))),
    seed=st.integers(0, 999),
)
def test_accumulation_is_that_of_a_slow_way(
    shape: tuple[int, int], cell: tuple[float, float], seed: int
) -> None:
    """On a slope without depressions, where no two ways down are the same."""
    flow = load("flow", "numba")
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    heights = (10 * x + 7 * y + 3 * random.random(shape)).astype("float32")
    raster = Raster(heights, (0.0, cell[0], 0.0, 0.0, 0.0, -cell[1]))
    made = flow.flow_accumulation(raster)
    np.testing.assert_array_equal(made.filled.values, heights)
    expected = accumulated_slowly(heights.astype(float), *cell)
    np.testing.assert_array_equal(made.accumulation.values, expected)


@settings(deadline=None, max_examples=40)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    holes=st.sampled_from((0.0, 0.1, 0.6)),
    seed=st.integers(0, 999),
)
def test_all_water_leaves_and_none_is_lost(shape: tuple[int, int], holes: float, seed: int) -> None:
    """Also across flats and filled depressions: what flows in and the cell itself flow on."""
    flow = load("flow", "numba")
    raster = with_holes(hills(*shape, seed=seed), holes, seed)
    heights = raster.filled()
    filled, order, came_from = flow._flooded(heights, ringbridge.current_task())
    target = np.empty(filled.size, "int64")
    flow._directions(filled, came_from, 30.0, 30.0, target)
    amount = flow.flow_accumulation(raster).accumulation.values.ravel()
    there = ~np.isnan(heights.ravel())
    assert sorted(order.tolist()) == there.nonzero()[0].tolist()
    flows = there & (target >= 0)
    assert there[target[flows]].all()
    arriving = np.bincount(target[flows], amount[flows], filled.size)
    np.testing.assert_array_equal(amount[there], 1 + arriving[there])
    assert amount[there & ~flows].sum() == there.sum()
    assert (amount[~there] == -1).all()
    level = filled.ravel()
    assert (level[target[flows]] <= level[flows]).all()


def test_water_leaves_a_lake_where_it_overflows(flow: Any) -> None:
    heights = np.full((5, 6), 9.0, "float32")
    heights[1:4, 1:4] = [[5, 5, 5], [5, 1, 5], [5, 5, 5]]
    heights[2, 4:] = [6, 2]  # the way out, to the east
    made = flow.flow_accumulation(Raster(heights))
    assert (made.filled.values[1:4, 1:4] == 6).all()
    assert made.accumulation.values[2, 5] >= 10  # the lake's nine cells, and itself
    assert made.accumulation.values[2, 4] >= 10


def test_area_is_cells_times_their_size_and_nodata_stays(flow: Any) -> None:
    raster = with_holes(hills(20, 20, cell=30.0), 0.1)
    cells = flow.flow_accumulation(raster)
    area = flow.flow_accumulation(raster, measure="area")
    gone = ~raster.valid()
    assert (area.accumulation.nodata, cells.accumulation.nodata) == (-1, -1)
    for made in (area, cells):
        assert ((made.accumulation.values == -1) == gone).all()
        assert ((made.filled.values == -9999) == gone).all()
    expected = cells.accumulation.values[~gone] * 900.0
    np.testing.assert_array_equal(area.accumulation.values[~gone], expected)


def test_a_model_without_any_value_has_no_flow(flow: Any) -> None:
    made = flow.flow_accumulation(Raster(np.full((3, 3), np.nan, "float32")))
    assert (made.accumulation.values == -1).all()


def test_a_notebook_calls_it_with_an_array(flow: Any) -> None:
    made = flow.flow_accumulation(hills(9, 9).values)
    assert type(made.accumulation) is np.ndarray
    assert made.accumulation.max() > 9


def test_a_run_in_a_worker_is_cancelled_between_its_parts(worker: ringbridge.Worker) -> None:
    """In the flood, which is one compiled function called again and again."""
    pytest.importorskip("numba")
    there = worker.load("ringbridge.compute.service")
    where = (str(FOLDER), "flow", "flow_accumulation")
    small = hills(9, 9).to_plain()
    there.run(*where, {"dem": small})  # compiled
    task = there.run.submit(*where, {"dem": hills(3000, 3000).to_plain()})
    told = []

    def cancel(progress: Any) -> None:
        told.append(progress)
        task.cancel()

    task.on_progress(cancel)
    with pytest.raises(CancelledError):
        task.result(50)
    assert told[0].text == "filling depressions"
    assert told[-1].fraction < 0.8  # it did not come to its end
    assert there.run(*where, {"dem": small})[0]["values"].shape == (9, 9)
