# SPDX-License-Identifier: MIT
"""QGIS's own window, on a screen that nobody sees: it goes on while a worker starts and computes.

The picture is left beside the copy of ringbridge, for whoever wants to look at it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import expected
import pytest
import qgis_window
from conftest import Host, Report
from rbr_testing.conda import Facts

LOOKS_MIN = 3  # of some dozens while the environment's libraries are loaded


@pytest.fixture(scope="module")
def qgis(host: Callable[[str], Host], host_copy: Path, installed: Callable[..., list[str]]) -> Host:
    installed(*qgis_window.NEEDED)
    made = host("qgis-window")
    made.list_in_home()
    made.settings["picture"] = str(host_copy.parent / "qgis-window.png")
    qgis_window.make_profile(made.folder)
    return made


@pytest.fixture(scope="module")
def report(qgis: Host) -> Report:
    window = qgis_window.command(qgis.folder, "host_script_qgis_window.py")
    qgis.exit_code = qgis_window.EXIT_CODE
    told = qgis.report(*window, LIBGL_ALWAYS_SOFTWARE="1")
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
    assert Path(qgis.settings["picture"]).stat().st_size > qgis_window.PNG_BYTES_MIN
