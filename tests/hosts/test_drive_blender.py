# SPDX-License-Identifier: MIT
"""The notebook of docs/how-to/drive-blender.md, in Blender's window and without one. The window's
picture is left beside the copy of ringbridge."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import application_runs
import pytest
import qgis_window
from conftest import HERE, Report
from rbr_testing import conda as conda_environments

EXAMPLES = HERE.parents[1] / "docs" / "examples"
RUN = """
import json, runpy, sys
from ringbridge import _core

notebook, picture = sys.argv[1:]
there = runpy.run_path(notebook)
if picture:
    there["tools"].screenshot(picture)
image = there["image"]
print(json.dumps({
    "in_place": [type(there[name].base) is _core.Array for name in ("vertices", "image")],
    "received": there["blender"].stats()["bytes_received"],
    "height": float(there["tools"].vertices("Waves")[:, 2].max()),
    "image": [image.shape, str(image.dtype), float(image[..., :3].std())],
}))
"""
WINDOW = (
    *("xvfb-run", "-a", "-s", qgis_window.SCREEN),
    *("blender", "--window-geometry", "0", "0", "1400", "900"),
)
BACKGROUND = ("blender", "-b")
SCRIPT = (
    *("--factory-startup", "--python-exit-code", "3"),
    *("--python-expr", "import bpy; bpy.context.preferences.view.show_splash = False"),
    *("--python", str(EXAMPLES / "serve_in_blender.py")),
)
END_S = 20


@pytest.fixture(scope="module")
def picture(host_copy: Path) -> Path:
    return host_copy.parent / "drive-blender.png"


@pytest.fixture(scope="module", params=["window", "background"])
def told(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    host_copy: Path,
    environ: Callable[[Path], dict[str, str]],
    installed: Callable[..., list[str]],
    picture: Path,
) -> Report:
    installed("blender", "xvfb-run", "xauth")
    if not conda_environments.available():
        pytest.skip("no conda environments: RBR_CONDA=build/conda, which `make test-hosts` makes")
    windowed = request.param == "window"
    folder = tmp_path_factory.mktemp("notebook")
    shown = {**environ(folder), "LIBGL_ALWAYS_SOFTWARE": "1"}
    command = (*(WINDOW if windowed else BACKGROUND), *SCRIPT, "--", str(host_copy))
    notebook = [
        *(str(conda_environments.facts().gis.python), "-c", RUN),
        *(str(EXAMPLES / "drive_blender.py"), str(picture) if windowed else ""),
    ]
    with application_runs.serving(command, "blender", folder, shown):
        said = application_runs.call(notebook, folder, {**shown, "PYTHONPATH": str(host_copy)})
    lines = said.splitlines()
    written: Report = json.loads(lines.pop())
    return {**written, "said": lines, "windowed": windowed}


def test_the_notebook_says_what_the_page_shows(told: Report) -> None:
    said = "From the notebook at 1.5 m, selected: True\n90,000 vertices, 1,080,000 bytes"
    assert told["said"][:2] == said.splitlines()


def test_vertices_and_image_come_without_a_copy(told: Report) -> None:
    assert told["in_place"] == [True, True]
    assert told["received"] < 10_000


def test_what_the_notebook_computed_is_in_blender(told: Report) -> None:
    assert 0.25 < told["height"] <= 0.3


def test_the_image_shows_something(told: Report) -> None:
    shape, dtype, spread = told["image"]
    assert (shape, dtype) == ([320, 480, 4], "float32")
    assert spread > 0.02


def test_the_window_shows_it(told: Report, picture: Path) -> None:
    if not told["windowed"]:
        pytest.skip("it has no window")
    assert picture.stat().st_size > qgis_window.PNG_BYTES_MIN


def test_without_a_window_one_ctrl_c_ends_it(
    tmp_path: Path,
    host_copy: Path,
    environ: Callable[[Path], dict[str, str]],
    installed: Callable[..., list[str]],
) -> None:
    # Blender's own handler only said "Press ^C again to kill Blender", and served on.
    installed("blender")
    command = (*BACKGROUND, *SCRIPT, "--", str(host_copy))
    shown = environ(tmp_path)
    loads = [sys.executable, "-c", "import ringbridge; ringbridge.connect().load('scene_tools')"]
    with application_runs.serving(command, "blender", tmp_path, shown) as process:
        application_runs.call(loads, tmp_path, {**shown, "PYTHONPATH": str(host_copy)})
        process.send_signal(signal.SIGINT)
        assert process.wait(END_S) == 0
    assert not list((tmp_path / "runtime" / "ringbridge").iterdir())
