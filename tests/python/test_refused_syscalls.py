# SPDX-License-Identifier: MIT
"""F10, the system's half: each system call that we make is refused once, with each likely error.

strace does it, in rbr_testing/refused.py. RBR_ROUNDS is how many cases each of two processes takes
(10000: all that there are); RBR_SEED repeats a run.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rbr_testing import refused, rounds

HERE = Path(__file__).resolve().parent
CASES = rounds.rounds(40)
SECONDS = 200 + 3 * min(CASES, 2000)


def may_trace() -> str:
    """Why no other process may be watched; "" where one may."""
    strace = shutil.which("strace")
    if strace is None:
        return "no strace here (Debian: strace)"
    with subprocess.Popen(["sleep", "60"]) as stranger:
        tried = [strace, "-o", "/dev/null", "-p", str(stranger.pid)]
        with subprocess.Popen(tried, stderr=subprocess.PIPE, text=True) as watcher:
            assert watcher.stderr is not None
            said = watcher.stderr.readline()
            watcher.terminate()
        stranger.kill()
    return "" if "attached" in said else f"strace may not attach to a process: {said.strip()}"


def refuse(seed: int, part: int) -> tuple[int, int]:
    """How many calls were refused, and how many cases there are."""
    command = [sys.executable, "-X", "faulthandler", "-m", "rbr_testing.refused"]
    command += map(str, (seed, part, CASES))
    done = subprocess.run(command, capture_output=True, cwd=HERE, text=True, timeout=SECONDS)
    assert done.returncode == 0, f"RBR_SEED={seed}\n{done.stdout}\n{done.stderr}"
    number, cases = map(int, done.stdout.split())
    return number, cases


@pytest.mark.seconds(SECONDS + 60)
@pytest.mark.timeout(SECONDS + 120)
def test_a_refused_system_call_is_an_error_or_does_not_matter() -> None:
    """Whatever fails: no hang, no crash, no wrong answer, and nothing is left.

    Found that way: a worker that somebody traced stayed a zombie, and a watcher that could not be
    poked, or could not read its eventfd, was silently of no more use.
    """
    reason = may_trace()
    if reason:
        pytest.skip(reason)
    seed = rounds.seed()
    with ThreadPoolExecutor(max_workers=refused.PARTS) as pool:
        results = list(pool.map(refuse, [seed] * refused.PARTS, range(refused.PARTS)))
    total = sum(each for each, _ in results)
    print("cases that there are:", results[0][1])
    assert total >= min(CASES, results[0][1] // 2)  # or strace refused none
    rounds.count("system calls refused", total)
