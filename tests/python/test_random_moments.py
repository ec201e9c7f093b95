# SPDX-License-Identifier: MIT
"""A host that ends, forks or is signalled, a worker that is stopped: F25, F12, F11 and F3.

Each runs in a process of its own (rbr_testing/moments.py). RBR_ROUNDS lengthens, RBR_SEED repeats.
"""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rbr_testing import rounds

HERE = Path(__file__).resolve().parent
PROGRAM = "rbr_testing.moments"
#: A child that does not end by then hangs.
HANG_S = 60
SIGNALS_MIN = 100  # fewer, and it was no storm
LATE_S = 2.0  # what a deadline of 10 ms may take here, on a machine that does other things too


def run_host(*arguments: object, seconds: float = HANG_S) -> str:
    """What the program prints; it has to end with 0, and to say nothing on stderr."""
    done = subprocess.run(
        # From 3.12 on, fork() warns wherever there are threads; that is what is tested here.
        [
            *(sys.executable, "-X", "faulthandler", "-W", "ignore::DeprecationWarning"),
            *("-m", PROGRAM, *map(str, arguments)),
        ],
        capture_output=True,
        cwd=HERE,
        text=True,
        timeout=seconds,
    )
    ended = f"{arguments}: exit code {done.returncode}\n{done.stderr}"
    assert (done.returncode, done.stderr) == (0, ""), ended
    return done.stdout


@pytest.mark.seconds(3600)
@pytest.mark.timeout(3700)
def test_an_interpreter_ends_well_at_any_moment(nothing_left: None) -> None:
    """F25: with live arrays, threads in calls, an open worker; exit code 0 and not a word."""
    seed, exits = rounds.seed(), rounds.rounds(60)
    with ThreadPoolExecutor(max_workers=2) as pool:
        for _ in pool.map(lambda n: run_host("exit", seed + n), range(exits)):
            pass
    rounds.count("exits at random moments", exits)


@pytest.mark.seconds(3600)
@pytest.mark.timeout(3700)
def test_forks_amid_calls_change_nothing_for_the_parent(nothing_left: None) -> None:
    """F12: each child is refused with an error that says why; the parent's answers stay exact."""
    seed, forks = rounds.seed(), rounds.rounds(200)
    run_host("fork", seed, forks, seconds=HANG_S + forks)
    rounds.count("forks amid calls", forks)


@pytest.mark.seconds(3600)
@pytest.mark.timeout(3700)
def test_no_message_is_lost_in_a_storm_of_signals(nothing_left: None) -> None:
    """F11: SIGALRM every 100 us, and each answer is still the right one."""
    seed, seconds = rounds.seed(), min(rounds.rounds(3), 60)
    calls, signals = map(int, run_host("storm", seed, seconds, seconds=HANG_S + seconds).split())
    assert signals > SIGNALS_MIN
    rounds.count("calls in a storm of signals", calls)
    rounds.count("signals of the storm", signals)


@pytest.mark.seconds(3600)
@pytest.mark.timeout(3700)
def test_a_worker_that_is_stopped_at_any_moment_answers_rightly_or_late(nothing_left: None) -> None:
    """F3: every answer is its call's own, whatever became of those before it."""
    seed, stops = rounds.seed(), rounds.rounds(200)
    said = run_host("stop", seed, stops, seconds=HANG_S + stops).split()
    answers, late, slowest = int(said[0]), int(said[1]), float(said[2])
    print(f"the latest timeout after {slowest * 1e3:.0f} ms")
    assert answers > 0 and late > 0
    assert slowest < LATE_S
    rounds.count("stops amid calls", stops)
    rounds.count("calls of a worker that is stopped", answers + late)


@pytest.mark.seconds(3600)
@pytest.mark.timeout(3700)
def test_ctrl_c_at_any_moment_of_a_start_leaves_nothing(nothing_left: None) -> None:
    """Between a fork and its pid there was nobody to end the child."""
    seed, starts = rounds.seed(), rounds.rounds(100)
    interrupted = int(run_host("start", seed, starts, seconds=HANG_S + starts))
    assert interrupted > 0
    rounds.count("starts that were interrupted", interrupted)
