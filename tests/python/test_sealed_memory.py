# SPDX-License-Identifier: MIT
"""F7: memory of the sealed kind, limits={"memory": "memfd"}, does not shrink under the host.

Between host and worker stands one who has a descriptor of all that they share, and tries
(rbr_testing/middleman.py). The other kind, of /dev/shm, cannot promise that: docs/reference.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rbr_testing import middleman, rounds

HERE = Path(__file__).resolve().parent
TRANSFERS = rounds.rounds(1000)
SECONDS = 60 + TRANSFERS // 20

#: (right, altered, error) of each worker; what the middleman counted
Told = tuple[list[tuple[int, int, str]], dict[str, int]]


@pytest.fixture
def meddle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], Told]:
    """Runs a host, of whose worker one does what is said; the host has to live."""
    python, report = tmp_path / "python", tmp_path / "report"
    program = HERE / "rbr_testing" / "middleman.py"
    seed = str(rounds.seed())

    def run(what: str, transfers: int) -> Told:
        settings = f"MIDDLEMAN='{what}' MIDDLEMAN_REPORT='{report}'"
        python.write_text(f'#!/bin/sh\n{settings} exec "{sys.executable}" "{program}" "$@"\n')
        python.chmod(0o755)
        monkeypatch.setenv("RBR_SEED", seed)
        command = [sys.executable, "-X", "faulthandler", "-m", "rbr_testing.sealed"]
        command += [str(python), str(transfers)]
        done = subprocess.run(command, capture_output=True, cwd=HERE, text=True, timeout=SECONDS)
        assert (done.returncode, done.stderr) == (0, ""), f"{done.returncode}\n{done.stderr}"
        lines = [line.split(" ", 2) for line in done.stdout.splitlines()[1:]]
        told = [(int(right), int(altered), error) for right, altered, error in lines]
        return told, json.loads(report.read_text())

    return run


@pytest.mark.seconds(SECONDS + 10)
@pytest.mark.timeout(SECONDS + 30)
def test_sealed_memory_is_never_resized(meddle: Callable[[str, int], Told]) -> None:
    told, counts = meddle("resize", TRANSFERS)
    assert told == [(TRANSFERS, 0, "")]
    assert set(counts) == {"EPERM"}, counts
    rounds.count("resizes of sealed memory refused", counts["EPERM"])
    rounds.count("transfers amid tries to resize their memory", TRANSFERS)


@pytest.mark.seconds(SECONDS + 10)
@pytest.mark.timeout(SECONDS + 30)
def test_pages_that_are_taken_out_end_no_host(meddle: Callable[[str, int], Told]) -> None:
    """No seal forbids that to one who may write: it is as if zeros had been written there. Small
    values are verified copies; an array may show the zeros, as after any write of the peer."""
    told, counts = meddle("punch", TRANSFERS)
    assert counts["done"] > 0
    assert sum(right for right, _, _ in told) > 0
    rounds.count("transfers amid pages taken out", sum(right + bad for right, bad, _ in told))


@pytest.mark.parametrize("name", middleman.FILES)
def test_what_is_offered_must_be_sealed_memory(
    meddle: Callable[[str, int], Told], name: str
) -> None:
    told, counts = meddle(f"swap:{name}", 1)
    assert counts == {"swapped": 1}
    assert [(right, altered) for right, altered, _ in told] == [(0, 0)]
    assert middleman.FILES[name][1] in told[0][2]
