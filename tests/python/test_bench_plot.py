# SPDX-License-Identifier: MIT
"""`ringbridge bench --tests plot`: that its rows are there. What it measures is not judged here."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from test_bench import NEEDS_NUMPY, SMALL, check_document, left_behind, rows, run

from ringbridge.bench import measure, plotted, tests_plot
from ringbridge.bench.session import Options, Session

NEEDS_MATPLOTLIB = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None,
    reason="viewers draw, and there is no matplotlib",
)
CASES = ("no viewer", "a viewer", "one stopped", "one killed", "three")

pytestmark = NEEDS_NUMPY


@NEEDS_MATPLOTLIB
def test_updates_are_measured_whatever_viewers_do_and_all_of_them_end(runtime_folder: Path) -> None:
    done = run(*SMALL, "--tests", "plot", "--peers", "none", "--json", "-")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    check_document(document)
    assert not [row for row in document["results"] if row.get("error") or row.get("corrupt")]
    ours = {f"ringbridge, {case}" for case in CASES}
    copies = {"numpy.copyto, one place", "numpy.copyto, two places"}
    others = {"multiprocessing.Queue(1)", "multiprocessing.Pipe"}
    images = rows(document, "plot of an image")
    assert images.keys() == ours | copies | others
    for row in map(images.get, ours):
        assert row["ratio"] == pytest.approx(row["trip_ns"] / row["copy_ns"], rel=0.01)
    numbers = rows(document, "plot of a number")
    assert numbers.keys() == ours | {"multiprocessing.Queue(1)"}
    for case in CASES:
        # 8 MB are more than a few bytes, on any machine.
        assert numbers[f"ringbridge, {case}"]["p50_ns"] < images[f"ringbridge, {case}"]["p50_ns"]
        looked_at = case in ("a viewer", "three")
        assert (images[f"ringbridge, {case}"].get("drawn", 0) > 0) == looked_at
    check_simulations(document)
    assert os.listdir(runtime_folder / "ringbridge") == []
    assert not left_behind()
    assert not still_running()


def still_running() -> list[str]:
    """Runners, and viewers of their plots, of a bench of ours."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            command = Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ")
            if b"rbbench-" in command and sys.prefix.encode() in command:
                found.append(command.decode())
    return found


def check_simulations(document: dict[str, Any]) -> None:
    for case in ("no viewer", "a viewer", "three"):
        found = rows(document, f"simulation, {case}")
        bare, *shown = found.values()
        assert bare["name"] == "ringbridge, no step" and "ratio" not in bare
        assert [row["floor"] for row in shown] == [bare["name"]] * 2
        for row in found.values():
            assert row["steps_per_s"] * row["trip_ns"] == pytest.approx(1e10, rel=0.01)
    assert len(rows(document, "simulation, multiprocessing.Queue(1)")) == 3
    budgets = [budget["what"] for budget in document["budgets"]]
    assert len([each for each in budgets if each.startswith("plot of")]) == 2 * len(CASES)
    assert [each for each in budgets if each.startswith("speed of")] == [
        f"speed of a simulation, a viewer, each 10th step{how}" for how in ("", ", in CPU time")
    ]


def test_without_matplotlib_nobody_looks_and_a_row_says_so(
    runtime_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tests_plot, "_DRAWING", "no_such_module")
    options = Options(
        sys.executable, ["plot"], [], [1000], rounds=1, deadline_s=20.0, seed=1, quick=True
    )
    session = Session(options, measure.rig_for(sys.executable))
    document = json.loads(json.dumps(measure.run(session, [])))
    (row,) = rows(document, "plot").values()
    assert row["error"] == "skipped: no_such_module is not installed"
    assert rows(document, "plot of a number").keys() == {"ringbridge, no viewer"}
    assert not measure.wrong_of_ours(document, "ringbridge")


def test_the_simulation_is_a_wave() -> None:
    """It neither fades nor grows, and it moves: its speed is that of real work."""
    wave = plotted.Wave()
    before = abs(wave.field).max()
    first = wave.field.copy()
    wave.steps(200)
    moved = abs(wave.field - first).max()
    assert 0.01 * before < moved < 2.5 * before
    assert abs(wave.field).max() < 1.5 * before
