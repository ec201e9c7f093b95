# SPDX-License-Identifier: MIT
"""F8: where there is no more shared memory, an error says so; never a SIGBUS.

The hosts (rbr_testing/full_memory.py) run in a mount namespace of their own, with a small tmpfs
over /dev/shm. RBR_ROUNDS sets at how many points it is full.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rbr_testing import full_memory, rounds

HERE = Path(__file__).resolve().parent
POINTS = max(3, rounds.rounds(50))
MOUNT = f'mount -t tmpfs -o size={full_memory.SIZE} none /dev/shm && exec "$@"'


def run(command: list[str], *, seconds: float = 60) -> str:
    done = subprocess.run(command, capture_output=True, cwd=HERE, text=True, timeout=seconds)
    ended = f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert (done.returncode, done.stderr) == (0, ""), ended
    return done.stdout


def host(*arguments: object) -> list[str]:
    program = [sys.executable, "-X", "faulthandler", "-m", "rbr_testing.full_memory"]
    return [*program, *map(str, arguments)]


@pytest.fixture
def small_shm() -> list[str]:
    """The start of a command that runs the rest of it with a small /dev/shm of its own."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("no unshare here (Debian: util-linux): no /dev/shm of our own")
    flags = "-m" if os.geteuid() == 0 else "-Urm"
    command = [unshare, flags, "sh", "-c", MOUNT, "sh"]
    tried = subprocess.run([*command, "true"], capture_output=True, text=True)
    if tried.returncode != 0:
        pytest.skip(f"no mount namespace may be had here: {tried.stderr.strip()}")
    return command


@pytest.mark.seconds(120 + 5 * POINTS)
@pytest.mark.timeout(240 + 10 * POINTS)
def test_a_full_dev_shm_is_an_error_that_says_what_to_do(small_shm: list[str]) -> None:
    """Where the usual step of growth did not fit, a block that would have fitted was refused."""
    told = run([*small_shm, *host("shm", POINTS)], seconds=60 + 5 * POINTS)
    refused_starts, refused_calls = map(int, told.split())
    rounds.count("points at which /dev/shm was full", POINTS)
    rounds.count("starts refused for want of shared memory", refused_starts)
    rounds.count("calls refused for want of shared memory", refused_calls)


@pytest.mark.seconds(60 + POINTS)
def test_a_full_dev_shm_is_not_noticed_where_any_memory_will_do(small_shm: list[str]) -> None:
    run([*small_shm, *host("auto", 3)])


def test_a_limit_on_file_sizes_is_an_error_that_names_it(nothing_left: None) -> None:
    """SIGXFSZ came with it, and ended a host that did not ignore that signal."""
    run(host("file-size"))
