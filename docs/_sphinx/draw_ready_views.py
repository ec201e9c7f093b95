# SPDX-License-Identifier: MIT
"""Draws docs/reference/ready-views.png: what the four ready views make of some numbers.

Run by hand when they have changed: python docs/_sphinx/draw_ready_views.py
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from ringbridge.plot.emitting import set_frame_number
from ringbridge.plot.ready_views import Histogram, Image, Line, Scatter

TARGET = Path(__file__).resolve().parents[1] / "reference" / "ready-views.png"
SIZE = (4.8, 3.6)


def line(_rng: Any) -> Any:
    view = Line(title="line", xlabel="update", ylabel="energy", grid=True, figsize=SIZE)
    for number in range(1, 301):
        set_frame_number(number)
        decay, phase = np.exp(-number / 120), number / 12
        view.draw(kinetic=decay * np.cos(phase) ** 2, potential=decay * np.sin(phase) ** 2)
    return view


def image(_rng: Any) -> Any:
    view = Image(title="image", cmap="RdBu_r", clim=(-1, 1), label="height", figsize=SIZE)
    y, x = np.mgrid[-3:3:200j, -4:4:260j]
    view.draw(np.sin(5 * np.hypot(x, y)) * np.exp(-(x**2 + y**2) / 8))
    return view


def scatter(rng: Any) -> Any:
    view = Scatter(title="scatter", aspect="equal", label="distance", grid=True, figsize=SIZE)
    points = rng.normal(size=(600, 2))
    view.draw(points, c=np.hypot(*points.T))
    return view


def histogram(rng: Any) -> Any:
    view = Histogram(title="histogram", xlabel="residual", bins=50, figsize=SIZE)
    view.draw(before=rng.normal(0, 1, 4000), after=rng.normal(0.2, 0.4, 4000))
    return view


def main() -> None:
    matplotlib.use("Agg")
    from PIL import Image as Picture

    rng = np.random.default_rng(1)
    pictures = []
    for make in (line, image, scatter, histogram):
        file = io.BytesIO()
        make(rng).figure.savefig(file, dpi=92)
        pictures.append(Picture.open(file).convert("RGB"))
    width, height = pictures[0].size
    sheet = Picture.new("RGB", (2 * width, 2 * height), "white")
    for number, picture in enumerate(pictures):
        sheet.paste(picture, (number % 2 * width, number // 2 * height))
    sheet.save(TARGET, optimize=True)


if __name__ == "__main__":
    main()
