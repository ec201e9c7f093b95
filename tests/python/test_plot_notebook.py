# SPDX-License-Identifier: MIT
"""Plots in the cells of a real kernel: their pictures, and classes that stand in a cell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rbr_testing.kernels import Kernel, kernel, pixels
from rbr_testing.plots import MakePlot

import ringbridge

CLASS = """
import numpy as np
from matplotlib import pyplot as plt
from ringbridge.plot import Plotter

SIZE = (4, 3)

class Field:
    def __init__(self):
        self.figure, self.axes = plt.subplots(figsize=SIZE, dpi=50)
        self.image = self.axes.imshow(np.zeros((8, 8)), vmin=0, vmax=1)

    def draw(self, field):
        self.image.set_data(field)

plot = Plotter(Field)
"""

LOOP = """
import time

shown = plot.show(rate=10)
begun, steps = time.monotonic(), 0
while time.monotonic() - begun < 4:
    plot.update(np.full((8, 8), steps % 100 / 100))
    steps += 1
"""


@pytest.fixture
def notebook(runtime_folder: Path, tmp_path: Path) -> Iterator[Kernel]:
    pytest.importorskip("matplotlib")
    with kernel(tmp_path) as made:
        yield made


@pytest.mark.seconds(180)
def test_a_plot_at_the_end_of_a_cell_is_its_picture(notebook: Kernel) -> None:
    notebook.run(CLASS)  # the class stands in the cell
    (dark,) = notebook.run("plot.update(np.zeros((8, 8)))\nplot")
    (light,) = notebook.run("plot.update(np.ones((8, 8)))\nplot")
    first, second = pixels(dark), pixels(light)
    assert first.shape == second.shape and first.shape[:2] == (150, 200)
    assert not np.array_equal(first, second)
    (text,) = notebook.run("plot.close()\nplot")
    assert "image/png" not in text and "closed" in text["text/plain"]


@pytest.mark.seconds(180)
def test_the_picture_below_a_cell_changes_while_it_computes(notebook: Kernel) -> None:
    notebook.run(CLASS)
    notebook.run(LOOP)
    during = len(notebook.updates)
    assert during >= 2
    different = {pixels(each).tobytes() for each in notebook.updates}
    assert len(different) >= 2
    # The last picture is of the last frame, whenever the plot is closed.
    notebook.run("plot.update(np.full((8, 8), 0.123))\nlast = plot.picture('png')\nplot.close()")
    (value,) = notebook.run("import base64\nbase64.b64encode(last).decode()")
    last = value["text/plain"].strip("'")
    assert notebook.updates[-1]["image/png"].replace("\n", "") == last


def test_show_is_for_notebooks(make_plot: MakePlot) -> None:
    plot = make_plot(launch=False)
    with pytest.raises(ringbridge.RingbridgeError, match="no notebook here"):
        plot.show()
    with pytest.raises(ValueError, match="rate must be"):
        plot.show(rate=0)
    assert plot._repr_png_() is None
