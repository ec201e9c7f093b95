# SPDX-License-Identifier: MIT
"""The main job on real data, from the host's side: `make demo`.

This interpreter has numpy and matplotlib, the worker's has another numpy and numba. A real
elevation model goes there in shared memory, shaded relief and a viewshed come back in shared
memory, and become build/demo/demo.png; then the way across is measured. See setup_demo.py for the
environments, terrain.py for the computations.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import far_side

import ringbridge as rb

HERE = Path(__file__).resolve().parent
OUT = HERE.parents[1] / "build" / "demo"
PICTURE = OUT / "demo.png"
RECORD = OUT / "environments.json"

EYE_M = 10.0  # a small look-out tower on the highest summit
AZIMUTH, ALTITUDE = 315.0, 45.0
LARGE_CELLS = 25_000_000  # of float32: 100 MB

#: For orientation on the map: name, latitude, longitude.
PLACES = (
    ("Jacksboro", 36.330, -84.184),
    ("LaFollette", 36.383, -84.119),
    ("Rocky Top", 36.220, -84.154),
)

SMALL_BYTES = 1024

_start = time.monotonic()


def say(text: str) -> None:
    print(f"  [{time.monotonic() - _start:6.1f} s] {text}", flush=True)


# ------------------------------------------------------------------------------------------ data


@dataclass(frozen=True)
class Model:
    """An elevation model, north up: metres, and where it lies."""

    elevation: Any
    west: float
    north: float
    step: float  # of both axes, degrees
    cell_x: float  # metres
    cell_y: float

    @property
    def extent_km(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top, as matplotlib wants it; the south-west corner is (0, 0)."""
        rows, columns = self.elevation.shape
        return 0.0, columns * self.cell_x / 1000, 0.0, rows * self.cell_y / 1000

    def cell_km(self, row: float, column: float) -> tuple[float, float]:
        """The middle of a cell, in the same kilometres."""
        rows = self.elevation.shape[0]
        return (column + 0.5) * self.cell_x / 1000, (rows - row - 0.5) * self.cell_y / 1000

    def place_km(self, latitude: float, longitude: float) -> tuple[float, float]:
        row, column = (self.north - latitude) / self.step, (longitude - self.west) / self.step
        return self.cell_km(row - 0.5, column - 0.5)


def jacksboro() -> Model:
    """The USGS model of the Jacksboro fault, Tennessee: matplotlib's sample data, 3 arc seconds.

    The first row is the northern one. The file calls the edges ymin = 36.733 and ymax = 36.446,
    which cannot both be: with 36.446 N as the *northern* edge the towns, the level of Norris Lake
    and Cross Mountain (1077 m) are where they should be, so that edge is taken, and the southern
    one is counted from it.
    """
    from matplotlib.cbook import get_sample_data

    with get_sample_data("jacksboro_fault_dem.npz") as data:
        elevation = data["elevation"]
        west, north = float(data["xmin"]), float(data["ymax"])
        dx, dy = float(data["dx"]), float(data["dy"])
    assert dx == dy, (dx, dy)
    middle = north - dy * elevation.shape[0] / 2
    per_x, per_y = metres_per_degree(middle)
    return Model(elevation, west, north, dy, dx * per_x, dy * per_y)


def metres_per_degree(latitude: float) -> tuple[float, float]:
    """Of longitude and of latitude, there: the usual series for the ellipsoid of WGS 84."""
    phi = math.radians(latitude)
    longitude = 111412.84 * math.cos(phi) - 93.5 * math.cos(3 * phi) + 0.118 * math.cos(5 * phi)
    along = 111132.92 - 559.82 * math.cos(2 * phi) + 1.175 * math.cos(4 * phi)
    return longitude, along


# ------------------------------------------------------------------------------------------- job


@dataclass
class Results:
    """What the worker made, and how long each part took here, waiting included."""

    summit: tuple[int, int]
    shade: Any
    seen: Any
    large_shape: tuple[int, int]
    seconds: dict[str, float]


def median_s(call: Callable[[], Any], times: int = 5) -> tuple[Any, float]:
    """What the call gave, and how long it took: the median of several."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        result = call()
        taken.append(time.perf_counter() - began)
    return result, statistics.median(taken)


def compute(worker: rb.Worker, model: Model) -> Results:
    terrain = worker.load("terrain")
    cell = (model.cell_x, model.cell_y)
    dem = worker.empty(model.elevation.shape, "float32")  # in shared memory: there without a copy
    dem[:] = model.elevation

    say("numba compiles in the worker (kept for the next run) ...")
    began = time.perf_counter()
    row, column = terrain.summit(dem)
    terrain.hillshade(dem, *cell)
    terrain.viewshed(dem, *cell, row, column)
    say(f"compiled and first run: {time.perf_counter() - began:.1f} s")

    seconds: dict[str, float] = {}
    shade, seconds["relief"] = median_s(
        lambda: terrain.hillshade(dem, *cell, azimuth=AZIMUTH, altitude=ALTITUDE)
    )
    seen, seconds["viewshed"] = median_s(
        lambda: terrain.viewshed(dem, *cell, row, column, height=EYE_M)
    )
    say(f"shaded relief {_ms(seconds['relief'])}, viewshed {_ms(seconds['viewshed'])}")

    shape = large_shape(dem.shape)
    finer = cell[0] * dem.shape[1] / shape[1], cell[1] * dem.shape[0] / shape[0]
    large = worker.empty(shape, "float32")
    large[:] = terrain.resampled(dem, *shape)
    result, seconds["large relief"] = median_s(lambda: terrain.hillshade(large, *finer))
    assert result.shape == shape
    say(f"shaded relief of {megabytes(large)}: {_ms(seconds['large relief'])}")
    return Results((row, column), shade, seen, shape, seconds)


def large_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """The same proportions with LARGE_CELLS cells."""
    factor = math.sqrt(LARGE_CELLS / (shape[0] * shape[1]))
    rows = round(shape[0] * factor)
    return rows, LARGE_CELLS // rows


def shares_arguments(worker: rb.Worker) -> bool:
    """True when the worker writes into the very array that the host passed."""
    array = worker.empty((2, 2), "float32")
    array[:] = 1
    worker.load("far_side").write_first(array, 2.0)
    return bool(array[0, 0] == 2.0 and array[1, 1] == 1.0)


def shares_results(worker: rb.Worker) -> bool:
    """True when the host sees what the worker writes into a result that it has given away."""
    far = worker.load("far_side")
    far.keep(SMALL_BYTES, True)
    array = far.kept(SMALL_BYTES, True)
    before = int(array[0])
    far.write_kept(SMALL_BYTES, True, before + 1)
    far.forget()
    return int(array[0]) == before + 1


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms"


def _yes(true: bool) -> str:
    return "yes" if true else "NO"


def megabytes(array: Any) -> str:
    return f"{array.nbytes / 1e6:.0f} MB"


# --------------------------------------------------------------------------------------- picture


def draw(model: Model, results: Results, caption: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np
    from matplotlib import patheffects
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    tints = LinearSegmentedColormap.from_list(
        "tints",
        ["#5f8f73", "#8fb07f", "#c4cb98", "#e3d7ac", "#cfb08a", "#b08d72", "#e9e2dc"],
    )
    low, high = float(model.elevation.min()), float(model.elevation.max())
    norm = Normalize(low, high)
    colour = tints(norm(model.elevation))[..., :3]
    # Level ground, at sin(45 degrees), keeps its colour; the rest goes towards black or white.
    light = (results.shade / math.sin(math.radians(ALTITUDE)))[..., None]
    bright = np.clip((light - 1) / 0.414, 0, 1)
    relief = colour * np.minimum(light, 1) ** 1.5
    relief += (1 - relief) * 0.6 * bright**1.2

    extent = model.extent_km
    wide, high_in, left, bottom, height = 10.0, 10.9, 0.07, 0.125, 0.79
    width = height * high_in / wide * extent[1] / extent[3]  # so that the map fills its frame
    figure = plt.figure(figsize=(wide, high_in), dpi=150)
    axes = figure.add_axes((left, bottom, width, height))
    axes.imshow(relief, extent=extent, interpolation="bicubic")

    seen = np.zeros((*results.seen.shape, 4))
    seen[..., :3] = (1.0, 0.62, 0.05)
    seen[..., 3] = 0.62 * results.seen
    axes.imshow(seen, extent=extent, interpolation="bilinear")

    halo = [patheffects.withStroke(linewidth=3, foreground="white", alpha=0.85)]
    row, column = results.summit
    x, y = model.cell_km(row, column)
    axes.plot(x, y, marker="*", markersize=20, color="#b3001b", markeredgecolor="white")
    axes.annotate(
        f"Cross Mountain\n{model.elevation[row, column]} m",
        (x, y),
        xytext=(-14, -4),
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize=11,
        fontweight="bold",
        path_effects=halo,
    )
    for name, latitude, longitude in PLACES:
        x, y = model.place_km(latitude, longitude)
        axes.plot(x, y, "o", markersize=6, color="black", markeredgecolor="white")
        axes.annotate(
            name, (x, y), xytext=(7, 5), textcoords="offset points", fontsize=11, path_effects=halo
        )
    axes.annotate(
        "N",
        (0.955, 0.965),
        xytext=(0.955, 0.895),
        xycoords="axes fraction",
        ha="center",
        va="center",
        fontsize=15,
        fontweight="bold",
        arrowprops={"arrowstyle": "-|>", "lw": 2, "color": "black"},
        path_effects=halo,
    )
    x, y = extent[1] * 0.04, extent[3] * 0.04
    axes.plot([x, x + 5], [y, y], color="white", lw=7, solid_capstyle="butt")
    axes.plot([x, x + 5], [y, y], color="black", lw=4, solid_capstyle="butt")
    axes.text(x + 2.5, y + 0.35, "5 km", ha="center", fontsize=11, path_effects=halo)

    axes.set(
        xlim=extent[:2],
        ylim=extent[2:],
        xlabel="km from the western edge",
        ylabel="km from the southern edge",
    )
    figure.text(
        left, 0.956, "What is seen from the summit of Cross Mountain", fontsize=18, weight="bold"
    )
    part = 100 * float(results.seen.mean())
    figure.text(
        left,
        0.93,
        f"Jacksboro fault, Tennessee: {part:.0f} % of the ground (orange) is in sight of a tower "
        f"of {EYE_M:.0f} m. Light from the north-west.",
        fontsize=11,
    )
    bar_axes = figure.add_axes((left + width + 0.02, bottom, 0.018, height))
    bar = figure.colorbar(plt.cm.ScalarMappable(norm, tints), cax=bar_axes)
    bar.set_label("metres above the sea")
    figure.text(left, 0.016, caption, fontsize=9, color="#444444", linespacing=1.5)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE)
    plt.close(figure)


def caption_of(model: Model, results: Results, here: dict[str, str], there: dict[str, str]) -> str:
    rows, columns = model.elevation.shape
    relief, viewshed = _ms(results.seconds["relief"]), _ms(results.seconds["viewshed"])
    return (
        f"Elevation: USGS, {rows} x {columns} cells of {model.cell_x:.1f} x {model.cell_y:.1f} m, "
        "from matplotlib's sample data. Relief after Horn 1981, viewshed after\n"
        f"Franklin and Ray 1994: {relief} and {viewshed} with numba in Python {there['Python']}, "
        f"numpy {there['numpy']}. Drawn with matplotlib in Python {here['Python']},\n"
        f"numpy {here['numpy']}. The arrays went there and came back in shared memory, through "
        "ringbridge, without being copied."
    )


# ----------------------------------------------------------------------------------------- table


def heading(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}")


def print_sides(here: dict[str, str], there: dict[str, str]) -> None:
    heading("Two interpreters")
    for side in (here, there):
        side["executable"] = os.path.relpath(side["executable"])
    width = max(len(here[key]) for key in here) + 3
    print(f"  {'':<12}{'host':<{width}}worker")
    for key in here:
        print(f"  {key:<12}{here[key]:<{width}}{there[key]}")


def print_job(model: Model, results: Results, argument: bool, result: bool) -> None:
    heading("The job")
    rows, columns = model.elevation.shape
    large = f"{results.large_shape[0]} x {results.large_shape[1]}"
    seconds = results.seconds
    size = rows * columns * 4
    lines = (
        (
            f"elevation model {rows} x {columns}, float32",
            f"{size / 1e6:.2f} MB",
            "in shared memory",
        ),
        ("shaded relief", _ms(seconds["relief"]), "there and back, computing included (medians)"),
        ("viewshed", _ms(seconds["viewshed"]), f"{rows * columns:,} lines of sight"),
        (f"shaded relief of {large}", _ms(seconds["large relief"]), "100 MB there, 100 MB back"),
        ("argument: both see the same bytes", _yes(argument), "what the worker writes is here"),
        ("result: both see the same bytes", _yes(result), "what it writes later is here too"),
    )
    for what, value, meaning in lines:
        print(f"  {what:<42}{value:>10}   {meaning}")


def print_crossing(compute_python: str) -> None:
    """What a call and an array cost, beside a pipe and a plain copy, in these two environments."""
    heading("The way across")
    sys.stdout.flush()
    what = ["--quick", "--tests", "call,argument,in-place", "--sizes", "1K,100M", "--peers", "pipe"]
    command = [sys.executable, "-m", "ringbridge.cli.main", "bench", compute_python, *what]
    subprocess.run(command, check=True)


def compute_environment() -> str:
    """The interpreter that setup_demo.py has made for the worker."""
    try:
        return str(json.loads(RECORD.read_text())["compute"])
    except FileNotFoundError:
        sys.exit("the demo's environments are missing: run `make demo` first")


def main() -> int:
    compute_python = compute_environment()
    print(f"\nringbridge {rb.__version__}: the main job on real data")
    say("loading the elevation model ...")
    model = jacksboro()
    began = time.perf_counter()
    cache = {"NUMBA_CACHE_DIR": str(OUT / "numba-cache")}
    with rb.Worker(compute_python, name="demo", paths=[HERE], environ=cache) as worker:
        say(f"worker {worker.pid} started in {_ms(time.perf_counter() - began)}")
        here, there = far_side.versions(), worker.load("far_side").versions()
        results = compute(worker, model)
        caption = caption_of(model, results, here, there)
        say("drawing ...")
        draw(model, results, caption)
        shared = shares_arguments(worker), shares_results(worker)
    say("measuring the way across ...")
    print_sides(here, there)
    print_job(model, results, *shared)
    print_crossing(compute_python)
    print(f"\nThe picture: {os.path.relpath(PICTURE)}")
    if not all(shared):
        print("An array was copied that lies in shared memory: this is a fault.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
