# SPDX-License-Identifier: MIT
"""The macro in FreeCAD's window, and in freecadcmd. The window's picture stays beside the copy of
ringbridge."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import qgis_window
from conftest import HERE, Report

PLUGIN = HERE.parents[1] / "plugin"
CALLER = [sys.executable, str(HERE / "call_host.py")]
LIMIT_S = 60


@pytest.fixture(scope="module")
def picture(host_copy: Path) -> Path:
    return host_copy.parent / "freecad-macro.png"


@pytest.fixture(scope="module")
def report(
    tmp_path_factory: pytest.TempPathFactory,
    host_copy: Path,
    picture: Path,
    installed: Callable[..., list[str]],
    walked: Callable[..., Report],
) -> Report:
    installed("freecad", "xvfb-run", "xauth")
    folder = tmp_path_factory.mktemp("freecad-macro")
    macros = folder / "macros"
    macros.mkdir()
    for each in (
        PLUGIN / "ringbridge_freecad" / "ringbridge.FCMacro",
        PLUGIN / "ringbridge_loader.py",
    ):
        shutil.copy(each, macros)
    packages = folder / "environment" / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "ringbridge").symlink_to(host_copy / "ringbridge")
    return walked(
        *("xvfb-run", "-a", "-s", qgis_window.SCREEN),
        *("freecad", "-P", str(macros), str(HERE / "host_script_freecad_macro.py")),
        screen=True,
        picture=picture,
        macro=str(macros / "ringbridge.FCMacro"),
        environment=str(folder / "environment"),
        folders=str(HERE / "served"),
        caller=CALLER,
    )


def test_it_asks_for_the_modules_and_keeps_them(report: Report) -> None:
    assert report["asked"].startswith("Modules whose functions other programs of yours may call")
    assert report["kept"] == "freecad_tools"
    assert report["served"] == ["freecad", "qt", ["freecad_tools"]]


def test_another_interpreter_makes_boxes_on_the_main_thread(report: Report, picture: Path) -> None:
    assert report["caller"] == 0
    assert report["said"]["main"]
    assert report["said"]["made"] == [f"Called{number}" for number in range(4)]
    assert report["picture"]
    assert picture.stat().st_size > qgis_window.PNG_BYTES_MIN


def test_run_again_it_serves_no_more(report: Report) -> None:
    assert report["after"] == 0
