# SPDX-License-Identifier: MIT
"""The add-on in Blender's window: what it shows, serves, and leaves. The pictures stay beside the
copy of ringbridge."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import qgis_window
from conftest import HERE, Report

ADDON = HERE.parents[1] / "plugin" / "ringbridge_blender"


@pytest.fixture(scope="module")
def report(
    tmp_path_factory: pytest.TempPathFactory,
    host_copy: Path,
    installed: Callable[..., list[str]],
    walked: Callable[..., Report],
) -> Report:
    installed("blender", "xvfb-run", "xauth")
    folder = tmp_path_factory.mktemp("blender-addon")
    shutil.copytree(ADDON, folder / "scripts" / "addons" / ADDON.name)
    packages = folder / "environment" / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "ringbridge").symlink_to(host_copy / "ringbridge")
    return walked(
        *("env", f"BLENDER_USER_SCRIPTS={folder / 'scripts'}"),
        *("xvfb-run", "-a", "-s", qgis_window.SCREEN),
        *("blender", "--factory-startup", "--window-geometry", "0", "0", "1400", "900"),
        *("--python", str(HERE / "host_script_blender_addon.py")),
        screen=True,
        pictures=str(host_copy.parent),
        environment=str(folder / "environment"),
        folders=str(HERE / "served"),
        caller=[sys.executable, str(HERE / "call_host.py")],
    )


def test_start_says_what_is_missing(report: Report) -> None:
    assert "Name the modules to be served" in report["nothing_named"]


def test_start_serves_and_starting_twice_is_harmless(report: Report) -> None:
    assert (report["started"], report["again"]) == ("", "")
    assert report["served"] == ["blender", True, "blender"]


def test_another_interpreter_makes_objects_on_the_main_thread(report: Report) -> None:
    assert report["said"]["main"]
    assert [f"Called {number}" in report["said"]["made"] for number in range(4)] == [True] * 4
    assert report["caller"] == 0


def test_the_panel_shows_who_is_there_and_what_is_loaded(report: Report) -> None:
    loaded, clients = report["shown"]
    assert loaded == ["blender_tools"]
    assert len(clients) == 1
    assert all(Path(each).stat().st_size > qgis_window.PNG_BYTES_MIN for each in report["pictures"])


def test_stop_and_disabling_leave_nothing(report: Report) -> None:
    assert report["stopped"] == ""
    assert report["closed"] == [True, True]
    assert report["after"] == report["before"]
    assert report["before"]["operators"] == []


def test_enabled_again_it_serves_and_blender_ends_cleanly_meanwhile(report: Report) -> None:
    assert report["started_again"] == ""
    assert not Path(report["second"]).exists()
