# SPDX-License-Identifier: MIT
"""The example modules' viewshed: against lines of sight that are looked at one by one."""

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

RADIUS_M = 6_371_000.0
HIDDEN, SEEN, NODATA = 0, 1, 255


@pytest.fixture(scope="module")
def viewshed() -> Any:
    return load("viewshed", "numba").viewshed


def on_grid_lines(rise: int, run: int) -> list[float]:
    """The parts of the way to a cell at which it crosses rows and columns of cell centres."""
    steps = {k / abs(each) for each in (rise, run) for k in range(1, abs(each))}
    return sorted(steps)


def height_at(heights: Any, row: float, column: float) -> float:
    """Between the four cells around; NaN where one that counts has no value."""
    total = 0.0
    for r in (int(np.floor(row)), int(np.floor(row)) + 1):
        for c in (int(np.floor(column)), int(np.floor(column)) + 1):
            share = (1 - abs(row - r)) * (1 - abs(column - c))
            if share > 1e-12:
                total += share * heights[r, c]
    return total


def is_seen(
    raster: Raster, eye: tuple[int, int], cell: tuple[int, int], up: float, target: float, k: float
) -> bool:
    heights = raster.filled(dtype="float64")
    rise, run = cell[0] - eye[0], cell[1] - eye[1]
    width, height = raster.cell_size
    distance = np.hypot(rise * height, run * width)
    at = heights[eye] + up
    if distance == 0:
        return True

    def angle(ground: float, far: float) -> float:
        return (ground - (1 - k) * far**2 / (2 * RADIUS_M) - at) / far

    sight = angle(heights[cell] + target, distance)
    return not any(
        angle(height_at(heights, eye[0] + t * rise, eye[1] + t * run), t * distance) > sight
        for t in on_grid_lines(rise, run)
    )


@settings(deadline=None, max_examples=25)
@given(
    shape=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    eye=st.tuples(st.floats(0, 0.999), st.floats(0, 0.999)),
    up=st.sampled_from((1.7, 30.0)),
    target=st.sampled_from((0.0, 10.0)),
    holes=st.sampled_from((0.0, 0.1)),
    cell=st.sampled_from((30.0, 3000.0)),
    seed=st.integers(0, 999),
)
def test_each_cell_is_seen_where_its_line_of_sight_is_free(
    shape: tuple[int, int],
    eye: tuple[float, float],
    up: float,
    target: float,
    holes: float,
    cell: float,
    seed: int,
) -> None:
    raster = hills(*shape, seed=seed, cell=cell)
    noise = np.random.default_rng(seed).random(shape)  # else lines touch, and either is right
    raster = with_holes(raster.like((raster.values + noise).astype("float32")), holes, seed)
    row, column = int(eye[0] * shape[0]), int(eye[1] * shape[1])
    raster.values[row, column] = 310
    made = load("viewshed", "numba").viewshed(
        raster, raster.xy(row, column), observer_height=up, target_height=target
    )
    for each in np.ndindex(shape):
        expected = NODATA
        if raster.values[each] != -9999:
            expected = int(is_seen(raster, (row, column), each, up, target, 0.13))
        assert made.viewshed.values[each] == expected, each


def test_a_plain_is_seen_to_the_horizon(viewshed: Any) -> None:
    plain = Raster(np.zeros((3, 400), "float32"), (0.0, 100.0, 0.0, 0.0, 0.0, -100.0))
    eye = plain.xy(1, 0)
    horizon = np.sqrt(2 * RADIUS_M * 10 / (1 - 0.13))
    seen = viewshed(plain, eye, observer_height=10.0).viewshed.values[1] == SEEN
    assert abs(seen.sum() - 1 - horizon / 100) <= 1
    assert seen[: seen.sum()].all()
    everything = viewshed(plain, eye, observer_height=10.0, curvature=False)
    assert (everything.viewshed.values == SEEN).all()
    assert everything.visible == 100
    further = viewshed(plain, eye, observer_height=10.0, target_height=10.0).viewshed.values[1]
    assert abs((further == SEEN).sum() - 1 - 2 * horizon / 100) <= 1


def test_a_wall_hides_what_is_behind_it_and_not_what_rises_above(viewshed: Any) -> None:
    values = np.zeros((5, 9), "float32")
    values[:, 4] = 10
    values[2, 8] = 50
    made = viewshed(Raster(values), (0.5, -2.5), observer_height=2.0, curvature=False)
    seen = made.viewshed.values
    assert (seen[:, :5] == SEEN).all()
    assert (seen[:, 5:8] == HIDDEN).all()
    assert seen[2, 8] == SEEN


def test_ground_beside_a_hole_hides_as_well(viewshed: Any) -> None:
    """The height halfway to a cell without one is none; exactly on the ridge it is the ridge's."""
    values = np.zeros((4, 5), "float32")
    values[1, 2], values[2, 2] = 10, np.nan
    seen = viewshed(Raster(values), (0.5, -1.5), curvature=False).viewshed.values
    assert seen[1].tolist() == [SEEN, SEEN, SEEN, HIDDEN, HIDDEN]
    turned = viewshed(Raster(values.T), (1.5, -0.5), curvature=False).viewshed.values
    assert turned[:, 1].tolist() == [SEEN, SEEN, SEEN, HIDDEN, HIDDEN]


def test_what_is_farther_than_asked_for_is_no_data(viewshed: Any) -> None:
    raster = Raster(np.zeros((41, 51), "float32"), (0.0, 10.0, 0.0, 0.0, 0.0, -20.0))
    made = viewshed(raster, raster.xy(20, 25), distance=105.0).viewshed
    rows, columns = np.mgrid[0:41, 0:51]
    near = np.hypot((rows - 20) * 20, (columns - 25) * 10) <= 105
    assert ((made.values != NODATA) == near).all()
    assert made.nodata == NODATA


@pytest.mark.parametrize("observer", [(-1.0, -1.0), (0.5, -9.5), (1.5, -0.5)])
def test_an_observer_beside_the_ground_is_refused(viewshed: Any, observer: Any) -> None:
    raster = Raster(np.array([[1.0, np.nan], [1, 1]], "float32"))
    with pytest.raises(ValueError, match="stands on no ground"):
        viewshed(raster, observer)


def test_a_run_in_a_worker_is_cancelled_between_its_parts(worker: ringbridge.Worker) -> None:
    pytest.importorskip("numba")
    there = worker.load("ringbridge.compute.service")
    where = (str(FOLDER), "viewshed", "viewshed")
    small, flat = hills(9, 9), Raster(np.zeros((2000, 2000), "float32"))
    there.run(*where, {"dem": small.to_plain(), "observer": small.xy(4, 4)})  # compiled
    arguments = {"observer": flat.xy(999, 999), "observer_height": 9e4, "curvature": False}
    task = there.run.submit(*where, {"dem": flat.to_plain(), **arguments})
    told = []

    def cancel(progress: Any) -> None:
        told.append(progress)
        task.cancel()

    task.on_progress(cancel)
    with pytest.raises(CancelledError):
        task.result(50)
    assert told[0].text == "looking around"
    assert told[-1].fraction < 1
