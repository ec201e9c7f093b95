# SPDX-License-Identifier: MIT
"""A script in QGIS's Python serves by server.run(), and another interpreter drives it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import drive_expected
import pytest
from conftest import HERE, Report

SERVED = HERE.parents[1] / "plugin" / "ringbridge_qgis" / "served"


@pytest.fixture(scope="module")
def report(in_qgis: Callable[..., Report]) -> Report:
    more = {
        "folders": [str(SERVED), str(HERE / "served")],
        "driver": [sys.executable, str(HERE / "drive_host.py")],
    }
    return in_qgis("host_script_serve_script.py", lambda _folder: more)


def test_another_interpreter_drives_a_script(report: Report) -> None:
    drive_expected.check(json.loads(report["lines"][0]))


def test_what_needs_a_window_says_so(report: Report) -> None:
    assert json.loads(report["lines"][0])["zoom"].startswith("this QGIS has no window")


def test_the_script_stops_and_tells_its_client(report: Report) -> None:
    last = json.loads(report["lines"][1])
    assert last["ended"].startswith("WorkerDied: ")
    assert (last["online"], report["sockets"]) == (False, [])
