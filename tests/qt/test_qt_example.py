# SPDX-License-Identifier: MIT
"""The function plotter of the docs: driven by clicks, and closed in the middle of everything."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import BINDING, THERE, QtCore

from ringbridge.qt import binding

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
LEFT = QtCore.Qt.MouseButton.LeftButton
#: RBR_QT_CLOSES=100 for the whole run.
CLOSES = int(os.environ.get("RBR_QT_CLOSES", "8"))


@pytest.fixture
def window(app: Any, spin: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    pytest.importorskip("numpy")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import function_plotter

    window = function_plotter.Window(sys.executable)
    window.show()
    spin(window.plot_button.isEnabled)
    yield window
    window.close()
    window.deleteLater()
    spin(lambda: not binding.is_alive(window))


def click(button: Any) -> None:
    binding.module("QtTest").QTest.mouseClick(button, LEFT)


def write(field: Any, text: str) -> None:
    field.clear()
    binding.module("QtTest").QTest.keyClicks(field, text)


def test_a_curve_is_plotted(window: Any, spin: Callable[..., None]) -> None:
    write(window.function, "x * x - 0.25")
    window.samples.setValue(100)
    click(window.plot_button)
    assert not window.plot_button.isEnabled()
    spin(window.plot_button.isEnabled)
    low, high = window.plot.curve["low"], window.plot.curve["high"]
    assert min(low) == pytest.approx(-0.25, abs=1e-4)
    assert max(high) == pytest.approx(0.75, abs=1e-2)
    assert window.plot.curve["roots"] == 2
    assert window.plot.curve["integral"] == pytest.approx(2 / 3 - 0.5, abs=1e-5)
    assert "2 roots" in window.log.toPlainText()
    assert window.progress.label.text() == "Finished"
    # It is seen: what is drawn is neither white nor the frame.
    image = window.plot.grab().toImage()
    colours = {image.pixelColor(x, image.height() // 2).name() for x in range(image.width())}
    assert "#1b6ca8" in colours


def test_cancel_ends_it_and_the_next_one_works(window: Any, spin: Callable[..., None]) -> None:
    window.samples.setValue(10_000_000)
    click(window.plot_button)
    spin(lambda: window.progress.bar.value() > 0)
    click(window.progress.button)
    spin(window.plot_button.isEnabled)
    assert window.progress.label.text() == "Cancelled"
    assert window.plot.curve is None
    window.samples.setValue(10)
    click(window.plot_button)
    spin(lambda: window.plot.curve is not None)


def test_a_mistake_is_shown(window: Any, spin: Callable[..., None]) -> None:
    write(window.function, "sin(y)")
    click(window.plot_button)
    spin(window.plot_button.isEnabled)
    assert "'y' is not known here" in window.log.toPlainText()
    assert window.progress.label.text().startswith("Failed: ValueError: 'y'")


def test_without_a_worker_it_says_so(
    app: Any, spin: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import function_plotter

    monkeypatch.setattr(function_plotter, "HERE", tmp_path)
    window = function_plotter.Window(sys.executable)
    spin(lambda: window.log.toPlainText())
    assert "No module named 'curves'" in window.log.toPlainText()
    assert window.progress.label.text() == "There is no worker"
    window.close()


def processes_with(variable: str) -> list[str]:
    """The processes that have this in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if variable.encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(folder.name)
    return found


@pytest.mark.timeout(600)
def test_the_window_closes_cleanly_at_any_moment() -> None:
    pytest.importorskip("numpy")
    seen = ""
    for seed, since in zip(
        random.Random().sample(range(1 << 30), CLOSES), itertools.cycle(("ready", "shown"))
    ):
        mark = f"RBR_TEST_MARK={seed}"
        done = subprocess.run(
            [sys.executable, str(THERE / "close_at_random.py"), BINDING, str(seed), since],
            env={
                **os.environ,
                "RBR_TEST_MARK": str(seed),
                "PYTHONPATH": os.pathsep.join([str(EXAMPLES), *sys.path]),
            },
            capture_output=True,
            text=True,
            timeout=60,
        )
        said = [line for line in done.stderr.splitlines() if "propagateSizeHints" not in line]
        assert done.returncode == 0, f"seed {seed}: {done.returncode}\n{done.stderr}"
        assert not [line for line in said if "QStandardPaths" not in line], (seed, said)
        assert not processes_with(mark), (seed, done)
        seen += done.stdout
    assert "has the mark" in seen
