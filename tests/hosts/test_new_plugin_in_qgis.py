# SPDX-License-Identifier: MIT
"""What `ringbridge new-plugin` writes, in the real QGIS: its own tests and checks untouched, its
algorithms from the command line, and two such plugins in one process."""

from __future__ import annotations

import json
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import HERE, QGIS_PYTHON, Report, run
from rbr_testing.conda import Facts

from ringbridge.new_plugin import generate, package
from ringbridge.new_plugin.generate import Plugin

WHERE = '''
import sys

import numpy
from ringbridge.compute import algorithm


@algorithm("Where")
def where() -> str:
    """Which Python this is."""
    return f"{sys.prefix} {sys.version_info[0]}.{sys.version_info[1]} {numpy.__version__}"
'''

Environ = Callable[[Path], dict[str, str]]


@pytest.fixture
def plugin(tmp_path: Path, installed: Callable[..., list[str]]) -> Path:
    installed("qgis", QGIS_PYTHON)
    return generate.write(Plugin("terrain_tools", title="Terrain 50 %"), tmp_path / "plugins")


@pytest.mark.parametrize("verb", ["test", "check", "zip"])
def test_its_makefile_is_content_with_it_untouched(
    verb: str, plugin: Path, host_copy: Path, tmp_path: Path
) -> None:
    """With the copy for hosts, which has a build for QGIS's Python too."""
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(host_copy)}
    said = run(["make", f"PYTHON={sys.executable}", verb], environ, plugin)
    if verb == "test":
        assert "7 passed" in said  # none of them skipped
    else:
        assert "10 files" in said
    assert (plugin / "dist" / "terrain_tools-0.1.0.zip").is_file() is (verb == "zip")


def test_qgis_process_lists_and_runs_its_algorithms(
    plugin: Path, host_copy: Path, conda: Facts, environ: Environ, tmp_path: Path
) -> None:
    """As installed from its zip: at the first start, when nothing is known of its modules yet, and
    at the second."""
    with zipfile.ZipFile(package.pack(plugin, tmp_path).path) as archive:
        archive.extractall(tmp_path / "installed")
    program = shutil.which("qgis_process.bin") or "qgis_process"
    given = {
        **environ(tmp_path),
        "QGIS_PLUGINPATH": str(tmp_path / "installed"),
        "PYTHONPATH": str(host_copy),
        "RINGBRIDGE_ENV": str(conda.gis.prefix),
    }
    for name in ("processing", "terrain_tools"):
        run([program, "plugins", "enable", name], given, tmp_path)
    places = tmp_path / "places.geojson"
    places.write_text(geojson([10, None, 30]))
    scored = tmp_path / "scored.geojson"
    parameters = [f"FEATURES={places}", "FIELD=height", f"OUTPUT={scored}"]
    for _ in range(2):
        scored.unlink(missing_ok=True)
        run([program, "--json", "run", "terrain_tools:standard_score", "--", *parameters], given,
            tmp_path)  # fmt: skip
        features = json.loads(scored.read_text())["features"]
        scores = [each["properties"]["score"] for each in features]
        assert scores == [-1.0, None, 1.0]
    listed = run([program, "list"], given, tmp_path)
    assert "Terrain 50 %" in listed
    assert "terrain_tools:focal_mean" in listed and "terrain_tools:standard_score" in listed


def geojson(heights: list[float | None]) -> str:
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [x, 45]},
            "properties": {"height": height},
        }
        for x, height in enumerate(heights)
    ]
    return json.dumps({"type": "FeatureCollection", "features": features})


# -------------------------------------------------------------------------- two in one process


@pytest.fixture(scope="module")
def report(
    tmp_path_factory: pytest.TempPathFactory,
    host_copy: Path,
    conda: Facts,
    installed: Callable[..., list[str]],
    environ: Environ,
) -> Report:
    installed("qgis", QGIS_PYTHON)
    folder = tmp_path_factory.mktemp("two-plugins")
    for name in ("first_plugin", "second_plugin"):
        made = generate.write(Plugin(name), folder / "plugins")
        (made / "compute" / "place.py").write_text(WHERE)
    settings = {
        "copy": str(host_copy),
        "plugins": str(folder / "plugins"),
        "environments": [str(conda.gis.prefix), str(conda.other.prefix)],
        "work": str(folder),
        "report": str(folder / "report.json"),
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    run([QGIS_PYTHON, str(HERE / "host_script_new_plugins.py")], environ(folder), folder)
    told: Report = json.loads((folder / "report.json").read_text())
    return told


def place(installed: object) -> str:
    prefix, versions = installed.prefix, installed.versions  # type: ignore[attr-defined]
    return f"{os.path.realpath(prefix)} {installed.minor} {versions['numpy']}"  # type: ignore[attr-defined]


IDS = [
    [f"{name}:{each}" for each in ("focal_mean", "standard_score", "where")]
    for name in ("first_plugin", "second_plugin")
]
MEANS = [[2.5, 3, 4, 4.5], [4.5, 5, 6, 6.5], [6.5, 7, 8, 8.5]]


def test_two_plugins_compute_each_in_its_own_environment(report: Report, conda: Facts) -> None:
    told = report["different"]
    assert told["algorithms"] == IDS
    assert told["where"] == [place(conda.gis), place(conda.other)]
    assert told["means"] == [MEANS, MEANS]
    assert [names for _pid, _state, names in told["workers"]] == [
        ["first_plugin"],
        ["second_plugin"],
    ]


def test_unloading_one_leaves_the_other_at_work(report: Report, conda: Facts) -> None:
    after = report["different"]["after"]
    assert after["algorithms"] == [None, IDS[1]]
    assert after["where"] == place(conda.other)
    assert after["workers"] == report["different"]["workers"][1:]
    assert report["different"]["in_the_end"] == {"algorithms": [None, None], "workers": []}


def test_two_plugins_with_one_environment_share_a_worker(report: Report, conda: Facts) -> None:
    told = report["same"]
    assert told["where"] == [place(conda.other)] * 2
    assert told["means"] == [MEANS, MEANS]
    [[pid, _state, names]] = told["workers"]
    assert names == ["first_plugin", "second_plugin"]
    [[pid_after, _state, names_after]] = told["after"]["workers"]
    assert (pid_after, names_after) == (pid, ["second_plugin"])
    assert told["after"]["where"] == place(conda.other)
    assert told["in_the_end"]["workers"] == []


def test_code_that_is_changed_is_what_runs_next(report: Report, conda: Facts) -> None:
    assert report["edited"] == [place(conda.gis), f"edited: {place(conda.gis)}"]


def test_a_plugin_that_wants_a_newer_ringbridge_is_told_so(report: Report) -> None:
    there, algorithms, said = report["too_old"]
    assert (there, algorithms) == (False, None)
    assert "is loaded already" in said and "99.0 or newer is needed" in said
    assert "pip install" in said
