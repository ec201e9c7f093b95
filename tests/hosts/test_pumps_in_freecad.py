# SPDX-License-Identifier: MIT
"""FreeCAD's main thread runs what other threads post: in its window by Qt, in freecadcmd where the
script drains. The window's picture is left beside the copy of ringbridge."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import qgis_window
from conftest import HERE, Report
from host_pumps import BURST, summary

SCRIPT = str(HERE / "host_script_pumps_freecad.py")

Walked = Callable[..., Report]


@pytest.fixture(scope="module")
def picture(host_copy: Path) -> Path:
    return host_copy.parent / "freecad-pump.png"


@pytest.fixture(scope="module")
def window(walked: Walked, installed: Callable[..., list[str]], picture: Path) -> Report:
    installed("freecad", "xvfb-run", "xauth")
    screen = ("xvfb-run", "-a", "-s", qgis_window.SCREEN)
    return walked(*screen, "freecad", SCRIPT, screen=True, picture=picture)


@pytest.fixture(scope="module")
def command_line(walked: Walked, installed: Callable[..., list[str]]) -> Report:
    return walked(*installed("freecadcmd"), SCRIPT)


def test_a_function_runs_on_the_windows_main_thread(window: Report, picture: Path) -> None:
    kind, version, has_loop = window["application"]
    assert (kind, version[0].isdigit(), has_loop) == ("freecad", True, True)
    assert window["pump"] == "qt"
    assert window["on_main"]
    assert "Posted" in window["made"]["objects"]
    assert window["document"] == [None, window["made"]["file"]]
    assert picture.stat().st_size > qgis_window.PNG_BYTES_MIN


def test_every_call_of_a_burst_is_answered(
    window: Report, command_line: Report, figure: Callable[[str], None]
) -> None:
    for where, told in (("window", window), ("freecadcmd", command_line)):
        figure(f"FreeCAD's main thread, {where}: {summary(told)}")
        assert len(told["burst_ms"]) == BURST


def test_stop_leaves_nothing_in_the_window(window: Report) -> None:
    assert not window["late"]
    before, after = window["descriptors"]
    assert after == before


def test_without_a_window_the_script_drains(command_line: Report) -> None:
    assert command_line["application"][::2] == ["freecad", False]
    assert command_line["pump"] == "script"
    assert command_line["on_main"]
    assert "Posted" in command_line["made"]["objects"]
    before, after = command_line["descriptors"]
    assert after == before
