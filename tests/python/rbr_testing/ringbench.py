# SPDX-License-Identifier: MIT
"""Runs the program ringbench, and checks what every document of it has to have."""

from __future__ import annotations

import json
import math
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

SHORT = ("--duration", "100ms")
NEEDS_TWO_CPUS = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="two CPUs are measured, and there is one"
)

#: Counts that must be 0 where nothing was broken on purpose.
MUST_BE_ZERO = ("late_looks", "lost", "duplicated", "reordered", "corrupt")


def find() -> Path:
    """The program of RINGBENCH, or the one in the installed package; without one, a skip."""
    given = os.environ.get("RINGBENCH")
    if given:
        return Path(given)
    from ringbridge.cli import ringbench as command

    if not command.binary().exists():
        pytest.skip("no ringbench: set RINGBENCH, or install the package with it")
    return command.binary()


def run(
    program: Path, *arguments: str, environ: dict[str, str] | None = None, timeout_s: float = 100
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(program), *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env={**os.environ, **(environ or {})},
    )


def measure(program: Path, mode: str, *arguments: str) -> dict[str, Any]:
    """Runs a mode for a short time and gives its JSON; /dev/shm must be as before."""
    before = sorted(os.listdir("/dev/shm"))
    runs = () if mode in ("soak", "fault") else ("--runs", "1")
    length = () if {"--count", "--duration"} & set(arguments) else SHORT
    done = run(program, mode, *arguments, *length, *runs, "--json", "-")
    assert done.returncode == 0, done.stderr
    mine = [name for name in os.listdir("/dev/shm") if name not in before]
    assert not [name for name in mine if name.startswith("ringbridge-")]
    document = read(done.stdout)
    assert document["mode"] == mode
    return document


def read(text: str) -> dict[str, Any]:
    """A document, with all that any mode's has."""
    document: dict[str, Any] = json.loads(text)
    assert document["tool"] == "ringbench"
    assert document["format"] == 1
    assert document["version"]
    assert document["started"].endswith("Z")
    machine = document["machine"]
    for key in ("cpu", "kernel", "architecture", "hypervisor", "compiler"):
        assert isinstance(machine[key], str), key
    assert machine["cpus"] >= 1
    assert machine["compiler"].startswith(("gcc ", "clang "))
    during = document["run"]
    assert during["seconds"] > 0
    assert during["steal_percent"] >= 0
    assert during["involuntary_switches"] >= 0
    assert during["noisy"] == (during["noise"] != "")
    assert len(document["parameters"]["cpus"]) == 2
    assert document["results"]
    for row in document["results"]:
        check_row(row)
    return document


def check_row(row: dict[str, Any]) -> None:
    assert row["name"] and row["kind"]
    for key in MUST_BE_ZERO:
        assert row.get(key, 0) == 0, (key, row)
    for key, value in row.items():
        if isinstance(value, float):
            assert math.isfinite(value) and value >= 0, (key, row)
    if "percentiles" in row:
        points = row["percentiles"]
        assert points == sorted(points)
        assert [value for _, value in points] == sorted(value for _, value in points)
        assert points[-1] == [100, row["max_ns"]]
        assert points[0] == [0, pytest.approx(row["min_ns"], rel=1 / 128)]
        assert row["min_ns"] <= row["p50_ns"] <= row["max_ns"]
        assert row["min_ns"] <= row["mean_ns"] <= row["max_ns"]
        assert row["samples"] > 0


def rows(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in document["results"]}
