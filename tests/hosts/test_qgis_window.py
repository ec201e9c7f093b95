# SPDX-License-Identifier: MIT
"""QGIS's own window, on a screen that nobody sees: it goes on while a worker starts and computes.

The picture is left beside the copy of ringbridge, for whoever wants to look at it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import expected
import pytest
from conftest import HERE, Host, Report
from rbr_testing.conda import Facts

EXIT_CODE = 7  # host_script_qgis_window.py's
LOOKS_MIN = 3  # of some dozens while the environment's libraries are loaded
PNG_BYTES_MIN = 20_000  # an empty screen has about 2,000

SETTINGS = """\
[PythonPlugins]
processing=false
[qgis]
checkVersion=false
askToSaveProjectChanges=false
showTips322=false
[app]
askToSaveMemoryLayers=false
[locale]
overrideFlag=true
userLocale=en_US
"""


@pytest.fixture(scope="module")
def qgis(host: Callable[[str], Host], host_copy: Path, installed: Callable[..., list[str]]) -> Host:
    installed("qgis", "xvfb-run", "xauth")
    made = host("qgis-window")
    made.list_in_home()
    made.settings["picture"] = str(host_copy.parent / "qgis-window.png")
    profile = made.folder / "profiles" / "profiles" / "default" / "QGIS"
    profile.mkdir(parents=True)
    (profile / "QGIS3.ini").write_text(SETTINGS)
    return made


@pytest.fixture(scope="module")
def report(qgis: Host) -> Report:
    screen = ("xvfb-run", "-a", "-s", "-screen 0 1400x900x24 -nolisten tcp")
    window = ("qgis", "--profiles-path", str(qgis.folder / "profiles"), "--profile", "default")
    script = ("--nologo", "--noversioncheck", "--code", str(HERE / "host_script_qgis_window.py"))
    qgis.exit_code = EXIT_CODE
    told = qgis.report(*screen, *window, *script, LIBGL_ALWAYS_SOFTWARE="1")
    assert told["failure"] is None, told["failure"]
    return told


def test_the_window_goes_on_while_a_worker_starts_and_computes(
    report: Report, figure: Callable[[str], None]
) -> None:
    assert report["binding"] == "PyQt5"  # qgis.PyQt's
    looks = report["looks_before_answer"]
    figure(f"QGIS's window: Worker(wait=False) made in {report['made_ms']:.1f} ms; {looks} looks")
    assert looks >= LOOKS_MIN


def test_the_worker_finds_its_own_data_there(report: Report, qgis: Host, conda: Facts) -> None:
    environ = report["environ"]
    assert {name: environ.get(name) for name in qgis.poison.names} == qgis.poison.all
    expected.geodata_of(report["worker"]["geodata"], conda)
    assert report["worker"]["versions"]["numpy"] == conda.gis.versions["numpy"]


def test_its_answer_is_shown_in_the_message_bar(report: Report, qgis: Host, conda: Facts) -> None:
    title, text, visible = report["message"]
    assert (title, visible) == ("ringbridge", True)
    assert text == (
        f"Python {conda.gis.versions['python']}, numpy {conda.gis.versions['numpy']}: "
        "EPSG:32633 is WGS 84 / UTM zone 33N"
    )
    assert report["picture"]
    assert Path(qgis.settings["picture"]).stat().st_size > PNG_BYTES_MIN
