# SPDX-License-Identifier: MIT
"""A generated plugin in QGIS's own window, on a screen that nobody sees: from no ringbridge to its
unloading. Its pictures are left beside the copy of ringbridge, for whoever wants to look at them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
import qgis_window
from conftest import Report

from ringbridge.new_plugin import generate
from ringbridge.new_plugin.generate import Plugin

ADDED = '''
from ringbridge.compute import Raster, algorithm


@algorithm("Added", margin=0)
def added(raster: Raster) -> Raster:
    """The same."""
    return raster
'''


def environment(folder: Path, copy: Path) -> Path:
    """A venv with ringbridge and numpy, and nothing else."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    (site,) = folder.glob("lib/python3*/site-packages")
    (site / "ringbridge").symlink_to(copy / "ringbridge")
    packages = Path(numpy.__file__).parents[1]
    for name in ("numpy", "numpy.libs"):
        if (packages / name).is_dir():
            (site / name).symlink_to(packages / name)
    return folder


@pytest.fixture(scope="module")
def wanted(
    tmp_path_factory: pytest.TempPathFactory, host_copy: Path, installed: Callable[..., list[str]]
) -> dict[str, str]:
    installed(*qgis_window.NEEDED)
    folder = tmp_path_factory.mktemp("new-plugin-window")
    profile = qgis_window.make_profile(folder, "terrain_tools", "processing")
    plugin = generate.write(Plugin("terrain_tools"), profile / "python" / "plugins")
    return {
        "plugin": str(plugin),
        "environment": str(environment(folder / "environment", host_copy)),
        "nowhere": str(folder / "no such environment"),
        "added": ADDED,
        "pictures": str(host_copy.parent),
        "report": str(folder / "report.json"),
    }


@pytest.fixture(scope="module")
def report(wanted: dict[str, str], environ: Callable[[Path], dict[str, str]]) -> Report:
    folder = Path(wanted["report"]).parent
    (folder / "settings.json").write_text(json.dumps(wanted))
    script = "host_script_new_plugin_window.py"
    return qgis_window.walk(folder, script, environ(folder), Path(wanted["report"]))


def test_without_ringbridge_it_says_what_to_do_and_does_no_harm(report: Report) -> None:
    messages, algorithms, loaded = report["without"]
    assert len(messages) == 1 and not loaded and algorithms is None
    assert messages[0] == "ringbridge is not installed yet"
    details = report["details"]
    assert "ringbridge is not installed yet" in details and "-m pip install ringbridge" in details
    assert "Then: Plugins > Terrain tools > Choose the environment…" in details
    assert not report["dock_without"]


def test_an_environment_that_is_chosen_is_taken_without_a_restart(
    report: Report, wanted: dict[str, str]
) -> None:
    messages, algorithms, file = report["chosen"]
    assert messages == [] and algorithms == ["focal_mean", "standard_score"]
    assert file.startswith(wanted["environment"])
    assert report["offered"][0] == [""]  # without ringbridge nobody can look for environments
    assert report["offered"][1][0] == wanted["environment"]


def test_a_module_that_is_added_is_there_without_a_restart(report: Report) -> None:
    assert report["before"]["algorithms"] == ["added", "focal_mean", "standard_score"]


def test_an_environment_that_is_not_there_is_told(report: Report, wanted: dict[str, str]) -> None:
    assert any(wanted["nowhere"] in each for each in report["nowhere"])


def test_the_dock_is_shown(report: Report) -> None:
    assert report["dock"]
    assert len(report["pictures"]) == 3


def test_unloading_leaves_nothing_and_it_can_be_loaded_again(report: Report) -> None:
    before = report["before"]
    assert before["menu"] and before["actions"] and before["docks"] and before["workers"]
    assert report["after"] == {
        "algorithms": None,
        "menu": [],
        "actions": [],
        "docks": [],
        "workers": [],
    }
    assert report["again"]["algorithms"] == before["algorithms"]
    assert report["again"]["menu"] == before["menu"]
