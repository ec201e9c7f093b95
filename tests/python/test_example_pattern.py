# SPDX-License-Identifier: MIT
"""docs/examples/reaction_diffusion.py: what it computes, and that it is shown."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from rbr_testing.plots import MakePlot

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    pytest.importorskip("numba")
    pytest.importorskip("matplotlib")
    spec = importlib.util.spec_from_file_location("rd", EXAMPLES / "reaction_diffusion.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def laplacian(a: Any) -> Any:
    return sum(np.roll(a, shift, axis) for shift in (1, -1) for axis in (0, 1)) - 4 * a


def test_a_step_is_that_of_the_equations(example: ModuleType) -> None:
    random = np.random.default_rng(3)
    reaction = example.Reaction(48)
    u, v = random.random((48, 48)), random.random((48, 48))
    reaction.u[:], reaction.v[:] = u, v
    reaction.step()
    scale = example.CELL**2
    wanted_u = u + example.DU / scale * laplacian(u) - u * v**2 + reaction.feed * (1 - u)
    kill = reaction.feed + example.KILL
    wanted_v = v + example.DV / scale * laplacian(v) + u * v**2 - kill * v
    assert np.allclose(reaction.u, wanted_u, rtol=1e-13)
    assert np.allclose(reaction.v, wanted_v, rtol=1e-13)


def test_nothing_reacts_where_there_is_no_v(example: ModuleType) -> None:
    reaction = example.Reaction(32)
    reaction.u[:], reaction.v[:] = 1.0, 0.0
    for _ in range(50):
        reaction.step()
    assert np.all(reaction.u == 1.0) and np.all(reaction.v == 0.0)


def test_a_symmetric_start_stays_symmetric_and_grows(example: ModuleType) -> None:
    reaction = example.Reaction(129)
    begun = reaction.v.sum()
    for _ in range(1500):
        reaction.step()
    v = reaction.v
    for other in (v[::-1], v[:, ::-1], v.T):
        assert np.allclose(v, other, atol=1e-9)
    assert v.sum() > 1.5 * begun and v.min() >= 0 and v.max() < 1


@pytest.mark.seconds(120)
def test_it_is_drawn_while_it_computes(example: ModuleType, make_plot: MakePlot) -> None:
    plot = make_plot("pattern_view:Pattern", paths=[EXAMPLES], environ={"MPLBACKEND": "Agg"})
    reaction = example.Reaction(64)
    means = example.watch(plot, reaction, 100)
    first = plot.snapshot()
    assert means[:, 0].tolist() == [50, 100] and means[1, 1] == reaction.v.mean()
    example.watch(plot, reaction, 600)
    second = plot.snapshot()
    assert first.shape == second.shape == (460, 840, 4)
    half = first.shape[1] // 2
    assert not np.array_equal(first[:, :half], second[:, :half])  # the pattern
    assert not np.array_equal(first[:, half:], second[:, half:])  # the curve


@pytest.mark.seconds(180)
def test_the_program_runs_and_records(
    example: ModuleType, runtime_folder: Path, tmp_path: Path
) -> None:
    image = pytest.importorskip("PIL.Image")
    program = str(EXAMPLES / "reaction_diffusion.py")
    command = [sys.executable, program, "--steps", "120", "--size", "32", "--record", "r.gif"]
    environ = {key: value for key, value in os.environ.items() if not key.endswith("DISPLAY")}
    done = subprocess.run(
        command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=150
    )
    assert done.returncode == 0, done.stderr
    assert "'updates': 12" in done.stdout
    with image.open(tmp_path / "r.gif") as recorded:
        assert recorded.n_frames >= 10
