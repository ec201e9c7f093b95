# SPDX-License-Identifier: MIT
"""The example modules' hillshade and slope: GDAL's values, on blocks as on the whole."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rbr_testing import gdal_terrain
from rbr_testing.examples import hills, load, with_holes

from ringbridge.compute import Raster, declaration_of

HERE = Path(__file__).resolve().parent
GDAL_PYTHON = "/usr/bin/python3"  # the system's, which has GDAL where that is installed


@pytest.fixture(scope="module")
def terrain() -> Any:
    return load("terrain", "numba")


def computed(terrain: Any, raster: Raster, case: str) -> Any:
    """What the module makes of one of the cases."""
    what, options = gdal_terrain.CASES[case]
    more = {"scale": gdal_terrain.scale_of(raster.geotransform)}
    names = {"zFactor": "z_factor", "alg": "method", "computeEdges": "compute_edges"}
    more.update({names.get(name, name): value for name, value in options.items()})
    if what == "slope":
        unit = more.pop("slopeFormat")
        more["unit"] = "percent" if unit == "percent" else "degrees"
    return getattr(terrain, what)(raster, **more)


def model(file: Any, name: str) -> Raster:
    nodata = file[f"{name}/nodata"].item() if f"{name}/nodata" in file else None
    return Raster(file[name], tuple(file[f"{name}/grid"]), "", nodata)


REFERENCE = np.load(HERE / "reference" / "gdal_terrain.npz")


@pytest.mark.parametrize("case", gdal_terrain.CASES)
@pytest.mark.parametrize("name", gdal_terrain.names_of(REFERENCE))
def test_values_are_those_that_gdal_made(terrain: Any, name: str, case: str) -> None:
    made = computed(terrain, model(REFERENCE, name), case)
    expected = REFERENCE[f"{name}/{case}"]
    assert made.values.dtype == expected.dtype
    np.testing.assert_array_equal(made.values, expected)
    assert len(np.unique(expected)) > 9  # there is something to compare


def test_values_are_those_of_the_gdal_that_is_here(terrain: Any, tmp_path: Path) -> None:
    """All types, with and without no-data; slopes to the last bit, shades but for the rounding."""
    asked = subprocess.run([GDAL_PYTHON, "-c", "import osgeo.gdal_array"], capture_output=True)
    if asked.returncode:
        pytest.skip("the system's Python has no GDAL")
    given, results = tmp_path / "models.npz", tmp_path / "results.npz"
    np.savez(given, **gdal_terrain.models(150, 170, seed=2))
    script = HERE / "rbr_testing" / "gdal_terrain.py"
    subprocess.run([GDAL_PYTHON, str(script), str(given), str(results)], check=True, timeout=60)
    count, differing = 0, 0
    with np.load(given) as models, np.load(results) as expected:
        for name in gdal_terrain.names_of(models):
            raster = model(models, name)
            for case in gdal_terrain.CASES:
                made, theirs = computed(terrain, raster, case).values, expected[f"{name}/{case}"]
                if case.startswith("slope"):
                    np.testing.assert_array_equal(made, theirs, err_msg=f"{name}, {case}")
                    continue
                off = made != theirs
                assert not np.any(off & ((made == 0) | (theirs == 0))), f"{name}, {case}"
                assert np.abs(made.astype(int) - theirs).max() <= 1, f"{name}, {case}"
                count, differing = count + off.size, differing + np.count_nonzero(off)
    # Its estimate of 1 / sqrt() is off by 1e-7 or so, which 1e-4 of the shades could notice.
    assert differing <= 1e-4 * count, f"{differing} of {count} cells"


def test_a_flat_model_is_flat_and_in_the_light(terrain: Any) -> None:
    flat = Raster(np.full((3, 4), 7, "int16"))
    shade = terrain.hillshade(flat, altitude=30.0, compute_edges=True).values
    assert (shade == round(1 + 254 * 0.5)).all()
    assert (terrain.slope(flat, compute_edges=True).values == 0).all()
    assert terrain.slope(flat).values[1].tolist() == [-9999, 0, 0, -9999]


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (2, 2), (3, 3)])
@pytest.mark.parametrize("edges", [False, True])
def test_models_that_are_mostly_edge_work(
    terrain: Any, shape: tuple[int, int], edges: bool
) -> None:
    raster = Raster(np.arange(shape[0] * shape[1], dtype="float32").reshape(shape))
    slope = terrain.slope(raster, compute_edges=edges).values
    there = min(shape) > 1 if edges else shape == (3, 3)
    assert (slope != -9999).any() == there
    assert ((terrain.hillshade(raster, compute_edges=edges).values != 0) == (slope != -9999)).all()


def in_blocks(function: Any, raster: Raster, rows: int, columns: int, **options: Any) -> Any:
    """As a host calls it: blocks with `margin` cells more where there are any, then cut off."""
    margin = declaration_of(function).margin
    assert margin == 1
    height, width = raster.shape
    made = None
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            r, c = max(top - margin, 0), max(left - margin, 0)
            values = raster.values[r : top + rows + margin, c : left + columns + margin]
            x, w, _, y, _, h = raster.geotransform
            moved = (x + c * w, w, 0.0, y + r * h, 0.0, h)
            block = function(Raster(values, moved, "", raster.nodata), **options)
            inner = block.values[top - r :, left - c :][:rows, :columns]
            made = np.full(raster.shape, 99, block.values.dtype) if made is None else made
            made[top : top + rows, left : left + columns] = inner
    return made


@settings(deadline=None, max_examples=40)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    split=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    holes=st.sampled_from((0.0, 0.05, 0.5)),
    edges=st.booleans(),
    method=st.sampled_from(("Horn", "ZevenbergenThorne")),
    seed=st.integers(0, 99),
)
def test_blocks_together_are_the_whole(
    shape: tuple[int, int],
    split: tuple[int, int],
    holes: float,
    edges: bool,
    method: str,
    seed: int,
) -> None:
    terrain = load("terrain", "numba")
    raster = with_holes(hills(*shape, seed=seed), holes, seed)
    for function in (terrain.hillshade, terrain.slope):
        options = {"method": method, "compute_edges": edges}
        whole = function(raster, **options).values
        np.testing.assert_array_equal(in_blocks(function, raster, *split, **options), whole)


def test_a_notebook_calls_them_with_arrays(terrain: Any) -> None:
    array = hills(8, 9).values
    shade, slope = terrain.hillshade(array), terrain.slope(array, unit="percent")
    assert (type(shade), shade.dtype, shade.shape) == (np.ndarray, np.uint8, (8, 9))
    assert (type(slope), slope.dtype) == (np.ndarray, np.float32)
    lit_from = {
        a: terrain.hillshade(np.tile(np.arange(5.0), (5, 1)), azimuth=a)[2, 2] for a in (90, 270)
    }
    assert lit_from[270] > lit_from[90]  # ground that rises to the east faces west
    north = np.tile(np.arange(5.0)[:, None], (1, 5))  # its first, northern row is the lowest
    assert terrain.hillshade(north, azimuth=0)[2, 2] > terrain.hillshade(north, azimuth=180)[2, 2]
