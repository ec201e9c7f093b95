# SPDX-License-Identifier: MIT
"""The main thread of a QGIS application runs what other threads post, in its own loop."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import HERE, QGIS_PYTHON, Report
from host_pumps import BURST, summary


@pytest.fixture(scope="module")
def report(walked: Callable[..., Report], installed: Callable[..., list[str]]) -> Report:
    installed("qgis", QGIS_PYTHON)
    return walked(QGIS_PYTHON, str(HERE / "host_script_pumps_qgis.py"))


def test_a_function_runs_on_the_main_thread(report: Report) -> None:
    kind, version, has_loop = report["application"]
    assert (kind, version[0].isdigit(), has_loop) == ("qgis", True, True)
    assert report["pump"] == "qt"
    assert report["on_main"]
    assert report["made"]["objects"] == ["Posted"]
    assert report["document"] == [None, report["made"]["file"]]


def test_every_call_of_a_burst_is_answered(report: Report, figure: Callable[[str], None]) -> None:
    figure(f"QGIS's main thread: {summary(report)}")
    assert len(report["burst_ms"]) == BURST


def test_stop_leaves_nothing(report: Report) -> None:
    assert not report["late"]
    before, after = report["descriptors"]
    assert after == before
