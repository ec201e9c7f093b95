# SPDX-License-Identifier: MIT
"""The macro in FreeCAD's window, and in freecadcmd. The window's picture stays beside the copy of
ringbridge."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import qgis_window
from conftest import HERE, Report

PLUGIN = HERE.parents[1] / "plugin"
MACRO = PLUGIN / "ringbridge_freecad" / "ringbridge.FCMacro"
LOADER = PLUGIN / "ringbridge_loader.py"
CALLER = [sys.executable, str(HERE / "call_host.py")]
LIMIT_S = 60
KEPT = """import FreeCAD
kept = FreeCAD.ParamGet("User parameter:BaseApp/Preferences/Mod/ringbridge")"""


@pytest.fixture(scope="module")
def picture(host_copy: Path) -> Path:
    return host_copy.parent / "freecad-macro.png"


@pytest.fixture(scope="module")
def macros(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FreeCAD's macro folder, as a user fills it."""
    made = tmp_path_factory.mktemp("macros")
    for each in (MACRO, LOADER):
        shutil.copy(each, made)
    return made


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, host_copy: Path) -> dict[str, str]:
    """Where ringbridge is, and what is served."""
    environment = tmp_path_factory.mktemp("environment")
    packages = environment / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "ringbridge").symlink_to(host_copy / "ringbridge")
    return {"Environment": str(environment), "Folders": str(HERE / "served")}


@pytest.fixture(scope="module")
def report(
    picture: Path,
    macros: Path,
    settings: dict[str, str],
    installed: Callable[..., list[str]],
    walked: Callable[..., Report],
) -> Report:
    installed("freecad", "xvfb-run", "xauth")
    return walked(
        *("xvfb-run", "-a", "-s", qgis_window.SCREEN),
        *("freecad", "-P", str(macros), str(HERE / "host_script_freecad_macro.py")),
        screen=True,
        picture=picture,
        macro=str(macros / MACRO.name),
        environment=settings["Environment"],
        folders=settings["Folders"],
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


def test_without_a_window_it_serves_until_ctrl_c(
    tmp_path: Path,
    host_copy: Path,
    macros: Path,
    settings: dict[str, str],
    installed: Callable[..., list[str]],
    environ: Callable[[Path], dict[str, str]],
) -> None:
    program = installed("freecadcmd")
    variables = environ(tmp_path)
    first = tmp_path / "first.py"
    lines = [f"kept.SetString({name!r}, {value!r})" for name, value in settings.items()]
    first.write_text("\n".join([KEPT, *lines, "kept.SetString('Modules', 'freecad_tools')"]))
    with subprocess.Popen(
        [*program, "-P", str(macros), str(first), str(macros / MACRO.name)],
        env=variables,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        # A shell's `&` has it ignored, and so would this one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as freecad:
        try:
            address = tmp_path / "runtime" / "ringbridge" / f"freecad.{freecad.pid}.sock"
            until = time.monotonic() + LIMIT_S
            while not address.exists() and freecad.poll() is None and time.monotonic() < until:
                time.sleep(0.01)
            called = subprocess.run(
                [*CALLER, "freecad", str(freecad.pid), "freecad_tools", "add_boxes"],
                env={**os.environ, **variables, "PYTHONPATH": str(host_copy)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                timeout=LIMIT_S,
                check=True,
            )
            freecad.send_signal(signal.SIGINT)
            assert freecad.wait(LIMIT_S) == 0
        finally:
            freecad.kill()
    said = json.loads(called.stdout)
    assert said == {"main": True, "made": [f"Called{number}" for number in range(4)]}
    assert not address.exists()
