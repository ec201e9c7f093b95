# SPDX-License-Identifier: MIT
"""F9: descriptors run out, or arrive unasked: a clean error, none leaked, and work goes on.

The hosts run in processes of their own (rbr_testing/descriptors.py). RBR_ROUNDS tries more numbers
of stray descriptors after the handshake.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from rbr_testing import rounds
from rbr_testing.fixtures import MakeWorker

import ringbridge

HERE = Path(__file__).resolve().parent
FREE = range(13)
STRAY_MAX = 253  # SCM_MAX_FD: what one message can carry
#: After the handshake each number needs a worker of its own.
TRIED = sorted({0, 1, 2, STRAY_MAX, *range(3, STRAY_MAX, STRAY_MAX // rounds.rounds(2) or 1)})


def run(*arguments: object, seconds: float = 100) -> str:
    command = [sys.executable, "-X", "faulthandler", "-m", "rbr_testing.descriptors"]
    command += map(str, arguments)
    done = subprocess.run(command, capture_output=True, cwd=HERE, text=True, timeout=seconds)
    ended = f"{arguments}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert (done.returncode, done.stderr) == (0, ""), ended
    return done.stdout


@pytest.mark.parametrize("free", FREE)
def test_whoever_has_few_descriptors_left_gets_an_error_and_works_on(
    nothing_left: None, free: int
) -> None:
    """With one left, a channel once came up that did not watch its worker's life."""
    rounds.count("operations refused for want of descriptors", int(run("few", free)))


@pytest.mark.parametrize("few", range(4, 17))
def test_a_worker_that_may_open_few_files_starts_or_says_why_not(
    nothing_left: None, make_worker: MakeWorker, tmp_path: Path, few: int
) -> None:
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nulimit -n {few}\nexec {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    try:
        worker = make_worker(str(wrapper))
    except ringbridge.WorkerStartFailed as error:
        assert "it ended with exit code" in str(error)
        assert few < 12
    else:
        assert worker.load("rbr_testing.faults").add(1, 2) == 3
        worker.close()


def test_descriptors_that_come_with_a_greeting_are_let_go_of(nothing_left: None) -> None:
    run("stray", *range(STRAY_MAX + 1))
    rounds.count("greetings with stray descriptors", 3 * (STRAY_MAX + 1))


@pytest.mark.seconds(120 + 3 * len(TRIED))
@pytest.mark.timeout(150 + 3 * len(TRIED))
def test_descriptors_that_come_later_are_let_go_of(nothing_left: None) -> None:
    """One is closed, and that is all; more are a breach of the protocol."""
    run("later", *TRIED, seconds=100 + 3 * len(TRIED))
    rounds.count("control messages with stray descriptors", 10 * len(TRIED))
