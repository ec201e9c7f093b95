# SPDX-License-Identifier: MIT
"""`ringbridge bench --tests into`: that its rows are there. What it measures is not judged here."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from test_bench import SMALL, check_document, left_behind, rows, run

from ringbridge.bench import catalogue, measure
from ringbridge.bench.session import Options, Session


def test_calls_into_applications_are_measured_and_these_end(
    runtime_folder: Path,
) -> None:
    done = run(*SMALL, "--tests", "into", "--peers", "none", "--json", "-")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    check_document(document)
    assert not [row for row in document["results"] if row.get("error") and not row.get("skipped")]
    script = rows(document, "call into a script")
    assert script.keys() == {"ringbridge, into a script", "ringbridge, a worker"}
    assert script["ringbridge, into a script"]["ratio"] > 0
    connects = rows(document, "connect()")["ringbridge, into a script"]
    assert 0 < connects["started_ns"] < connects["max_ns"]
    qt = rows(document, "call into a Qt application")
    if not qt["ringbridge, into Qt"].get("skipped"):
        assert qt["ringbridge, into Qt"]["floor"] == "queued signal and back"
        assert qt["queued signal and back"]["samples"] > 1
    arrays = rows(document, "array in place, out of a script")
    assert [row["bytes"] for row in arrays.values() if not row.get("skipped")] in (
        [100_000, 1000],
        [],
    )
    assert os.listdir(runtime_folder / "ringbridge") == []
    assert not left_behind()


def test_without_qt_its_row_says_so(runtime_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "QT_BINDINGS", ("no_qt",))
    options = Options(
        sys.executable, ["into"], [], [1000], rounds=1, deadline_s=20.0, seed=1, quick=True
    )
    session = Session(options, measure.rig_for(sys.executable))
    document = json.loads(json.dumps(measure.run(session, [])))
    (row,) = rows(document, "call into a Qt application").values()
    assert row["error"] == "skipped: none of no_qt is installed"
    assert not measure.wrong_of_ours(document, "ringbridge")


def test_an_application_that_cannot_serve_says_why(
    runtime_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime_folder / "missing"))
    done = run(*SMALL, "--tests", "into", "--peers", "none")
    assert done.returncode == 1
    assert "the application does not serve: the sockets of" in done.stderr
