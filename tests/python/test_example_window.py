# SPDX-License-Identifier: MIT
"""docs/examples/reaction_diffusion.py in a real window on a screen, touched with the mouse."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rbr_testing.plots import HERE, MakePlot
from rbr_testing.screens import screen

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
STEPS_MAX = 200_000


@pytest.mark.seconds(180)
def test_the_pattern_is_seen_and_the_mouse_reaches_the_computation(
    make_plot: MakePlot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba")
    pytest.importorskip("PyQt6")
    image = pytest.importorskip("matplotlib.image")
    monkeypatch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
    import reaction_diffusion

    class Watched(reaction_diffusion.Reaction):
        drops: list[tuple[int, int]] = []  # noqa: RUF012

        def drop(self, row: int, column: int, radius: int = 10) -> None:
            self.drops.append((row, column))
            super().drop(row, column, radius)

    class Enough(Exception):
        pass

    picture = tmp_path / "screen.png"
    seen: list[tuple[Any, ...]] = []
    done = threading.Event()
    with screen() as display:
        environ = {"DISPLAY": display, "QT_QPA_PLATFORM": "xcb", "QT_API": "pyqt6"}
        environ.update(MPLBACKEND="QtAgg", RBR_TESTS_SCREEN_PNG=str(picture))
        plot = make_plot(
            "rbr_testing.touched_pattern:Touched", paths=[HERE, EXAMPLES], environ=environ, rate=30
        )
        plot.on("seen", lambda *told: (seen.append(told), done.set()))
        reaction = Watched(96)
        plot.update(reaction.v, step=0, means=np.zeros((0, 2)))
        plot.wait(60)

        def on_frame(_step: int) -> None:
            if done.is_set() or not plot.open:
                raise Enough

        with pytest.raises(Enough):
            reaction_diffusion.watch(plot, reaction, STEPS_MAX, on_frame)
        assert plot.open
        snapshot = plot.snapshot()
        plot.close()
    assert reaction.drops[0] == (48, 48) and (30, 20) in reaction.drops, reaction.drops
    assert reaction.feed == pytest.approx(0.06, abs=0.002)
    ((x, y, width, height),) = seen
    shot = (image.imread(picture)[..., :3] * 255).astype(int)[y : y + height, x : x + width]
    assert shot.shape == snapshot[..., :3].shape
    # What has changed since is the pattern and the curve; the rest is the same on the screen.
    same = (np.abs(shot - snapshot[..., :3]) < 16).all(axis=2)
    assert same.mean() > 0.6
    pink = (shot[..., 0] - shot[..., 1] > 60).mean()
    assert pink > 0.02, "there is no pattern on the screen"
