# SPDX-License-Identifier: MIT
"""Allocations that fail at every point (F10): MemoryError or success, and all goes on afterwards.

Each group of operations runs in a process of its own (rbr_testing/nomemory.py, nomemory_there.py):
where it crashes, its trail says what had failed.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from rbr_testing import rounds
from rbr_testing.fixtures import MakeWorker

import ringbridge

HERE = Path(__file__).resolve().parent

#: On 3.13 an import hangs, and blocks stay that may be its own; the others are untried.
on_311 = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11) or importlib.util.find_spec("_testcapi") is None,
    reason="failing allocations are tried on CPython 3.11, with its _testcapi",
)


def run(program: str, trail: Path, *arguments: str) -> None:
    command = [sys.executable, "-X", "faulthandler", "-m", program, *arguments, str(trail)]
    done = subprocess.run(command, capture_output=True, cwd=HERE, text=True, timeout=280)
    tried = trail.read_text().strip() if trail.exists() else "before the first"
    assert done.returncode == 0, f"{tried}: exit code {done.returncode}\n{done.stderr}"
    rounds.count("allocations that failed in Python", int(done.stdout))


@on_311
@pytest.mark.seconds(300)
@pytest.mark.parametrize("group", ["values", "calls", "channel", "inboxes", "no_channel"])
def test_an_allocation_that_fails_is_an_error_and_no_more(
    group: str, tmp_path: Path, nothing_left: None
) -> None:
    run("rbr_testing.nomemory", tmp_path / "trail", group)


@on_311
@pytest.mark.seconds(300)
def test_a_worker_goes_on_after_allocations_that_failed(tmp_path: Path, nothing_left: None) -> None:
    run("rbr_testing.nomemory_there", tmp_path / "trail")


CALLBACKS = """
import sys
import _testcapi
import ringbridge

def no_more(first):
    duties.number(["x" * 1000] * 400)  # too large a buffer to be kept: the next one is a new one
    _testcapi.set_nomemory(first, first + 600)

def raises(first):
    no_more(first)
    raise KeyError(first)

def returns(first):
    no_more(first)
    return first

def outcome(call, function, first):
    try:
        return call(function, first)
    except BaseException as error:
        return error

with ringbridge.Worker(sys.executable, paths=sys.argv[1:]) as worker:
    duties = worker.load("rbr_testing.duties")
    call = duties.call.options(timeout=10)
    for function in (raises, returns):
        for first in range(30):
            got = outcome(call, function, first)
            _testcapi.remove_mem_hooks()
            assert not isinstance(got, ringbridge.CallTimeout), (function, first)
            assert duties.number(first) == first
"""


@on_311
def test_a_callback_without_memory_for_its_answer_is_answered(nothing_left: None) -> None:
    """Its caller waited for ever."""
    command = [sys.executable, "-c", CALLBACKS, str(HERE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_worker_without_memory_for_a_call_says_so_as_it_ends(
    make_worker: MakeWorker,
) -> None:
    """It used to end without a word, with exit code 0."""
    worker = make_worker()
    module = worker.load("rbr_testing.basics")
    module.echo(["x" * 1000] * 2000)  # from here on the memory that is shared is mapped
    module.allow_no_more_memory(1 << 20)
    with pytest.raises(ringbridge.WorkerDied, match="MemoryError: out of memory for a frame of"):
        module.echo(["x" * 1000] * 12_000)


SMALL = """
import sys
import ringbridge
sys.path.insert(0, sys.argv[1])
from rbr_testing.basics import allow_no_more_memory
with ringbridge.Worker(sys.executable, paths=sys.argv[1:]) as worker:
    echo = worker.load("rbr_testing.basics").echo
    echo(bytes(100_000))
    allow_no_more_memory(1 << 20)
    try:
        worker.empty(64 << 20, "uint8")
    except MemoryError as error:
        print(error)
    assert echo(1) == 1
"""


def test_a_host_that_may_map_no_more_memory_gets_a_memory_error() -> None:
    """It used to be an OSError with ENOMEM."""
    done = subprocess.run(
        [sys.executable, "-c", SMALL, str(HERE)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "bytes of shared memory" in done.stdout
