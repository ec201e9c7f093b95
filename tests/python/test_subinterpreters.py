# SPDX-License-Identifier: MIT
"""Subinterpreters that come and go with live channels; own GIL from Python 3.12 on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from rbr_testing.rounds import count, rounds

HERE = Path(__file__).resolve().parent


@pytest.mark.seconds(3600)
@pytest.mark.timeout(3700)
def test_fifty_subinterpreters_leave_nothing_behind(nothing_left: None) -> None:
    """In a process of its own: a crash is what this looks for."""
    number = max(50, rounds(50))
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-m", "rbr_testing.subinterpreters", str(number)],
        capture_output=True,
        text=True,
        cwd=HERE,
        timeout=60 + 5 * number,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    count("subinterpreters with live channels", number)
