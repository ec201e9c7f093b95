# SPDX-License-Identifier: MIT
"""The window stays alive while Jobs bring much: what gui_latency.py measures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import BINDING

P99_MS = 5.0
MORE_THAN_IDLE_MS = 5.0
TRIES = 6  # rounds: something else may have the processor in one


def test_a_timer_is_not_late_while_1_gb_and_10000_items_come() -> None:
    pytest.importorskip("numpy")
    script = Path(__file__).resolve().parent / "gui_latency.py"
    seen = []
    for _ in range(TRIES):
        done = subprocess.run(
            [sys.executable, str(script), BINDING, "1"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            timeout=60,
        )
        idle, busy = (tuple(map(float, line.split()[1:])) for line in done.stdout.splitlines())
        seen.append((idle, busy))
        if busy[0] <= P99_MS and busy[1] <= idle[1] + MORE_THAN_IDLE_MS:
            return
    raise AssertionError(f"(99th percentile, maximum) in ms, idle and busy: {seen}")
