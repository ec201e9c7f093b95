# SPDX-License-Identifier: MIT
"""Blender's main thread runs what other threads post: in its window by a timer, under -b where the
script drains. The window's picture is left beside the copy of ringbridge."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import qgis_window
from conftest import HERE, Report, run
from host_pumps import BURST, summary

SCRIPT = str(HERE / "host_script_pumps_blender.py")
BLENDER = ("blender", "--factory-startup", "--python-exit-code", "3")

In = Callable[..., Report]


@pytest.fixture(scope="module")
def in_blender(
    tmp_path_factory: pytest.TempPathFactory,
    host_copy: Path,
    installed: Callable[..., list[str]],
    environ: Callable[[Path], dict[str, str]],
) -> In:
    def told(*command: str, picture: Path | None = None) -> Report:
        installed(*{command[0], "blender"})
        folder = tmp_path_factory.mktemp("blender-pumps")
        report = folder / "report.json"
        wanted = {
            **{"copy": str(host_copy), "report": str(report)},
            "picture": picture and str(picture),
        }
        (folder / "settings.json").write_text(json.dumps(wanted))
        said = run(command, {**environ(folder), "LIBGL_ALWAYS_SOFTWARE": "1"}, folder)
        assert report.exists(), said
        written: Report = json.loads(report.read_text())
        assert written["failure"] is None, f"{written['failure']}\n{said}"
        return written

    return told


@pytest.fixture(scope="module")
def picture(host_copy: Path) -> Path:
    return host_copy.parent / "blender-pump.png"


@pytest.fixture(scope="module")
def window(in_blender: In, installed: Callable[..., list[str]], picture: Path) -> Report:
    installed("xvfb-run", "xauth")
    picture.unlink(missing_ok=True)
    return in_blender(
        *("xvfb-run", "-a", "-s", qgis_window.SCREEN),
        *(*BLENDER, "--window-geometry", "0", "0", "1400", "900", "--python", SCRIPT),
        picture=picture,
    )


@pytest.fixture(scope="module")
def background(in_blender: In) -> Report:
    return in_blender(BLENDER[0], "-b", *BLENDER[1:], "--python", SCRIPT)


def test_a_function_runs_on_the_windows_main_thread(window: Report, picture: Path) -> None:
    kind, version, has_loop = window["application"]
    assert (kind, version[0].isdigit(), has_loop) == ("blender", True, True)
    assert window["pump"] == "blender"
    assert window["on_main"]
    assert "Posted" in window["made"]["objects"]
    assert picture.stat().st_size > qgis_window.PNG_BYTES_MIN


def test_the_pump_survives_another_file(window: Report) -> None:
    assert window["document"] == [None, window["made"]["file"]]


def test_every_call_of_a_burst_is_answered(
    window: Report, background: Report, figure: Callable[[str], None]
) -> None:
    for where, told in (("window", window), ("-b", background)):
        figure(f"Blender's main thread, {where}: {summary(told)}")
        assert len(told["burst_ms"]) == BURST


def test_stop_leaves_nothing_in_the_window(window: Report) -> None:
    assert not window["late"]
    before, after = window["descriptors"]
    assert after == before


def test_without_a_window_the_script_drains(background: Report) -> None:
    assert background["application"][::2] == ["blender", False]
    assert background["pump"] == "script"
    assert background["on_main"]
    assert "Posted" in background["made"]["objects"]
    before, after = background["descriptors"]
    assert after == before
