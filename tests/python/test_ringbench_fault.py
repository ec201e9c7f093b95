# SPDX-License-Identifier: MIT
"""ringbench fault does what it says, counts nothing wrong here, and notices what is wrong.

RBR_ROUNDS sets how many kills there are, RBR_SEED repeats them.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from rbr_testing.ringbench import NEEDS_TWO_CPUS, find, read, rows, run
from rbr_testing.rounds import count, rounds, seed

pytestmark = NEEDS_TWO_CPUS

ROUNDS = rounds(60)
POINTS = (
    *("start", "opened", "joined", "before-claim", "claimed", "committed", "cleared", "woken"),
    *("announced", "asleep", "full", "received", "holding-a-block"),
)
NAMES = {
    *("kill-worker", "kill-host", "stop", "bad-header", "bad-length", "bad-frame", "full-ring"),
    *("slow-consumer", "signals", "full-shm", "wrap-32", "wrap-64"),
    *(f"kill-{side}@{point}" for side in ("worker", "host") for point in POINTS),
}


@pytest.fixture(scope="module")
def ringbench() -> Path:
    return find()


def still_running(session: int) -> list[str]:
    """What runs in a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            text = stat.read_text()
            state, _, _, its_session = text.rpartition(")")[2].split()[:4]
            if int(its_session) == session and state not in "ZX":
                found.append(text)
    return found


def fault(
    program: Path, faults: str, rounds_each: int, *more: str, timeout_s: float = 100
) -> dict[str, dict[str, Any]]:
    """The rows of a run in which all went well, after which nothing is left."""
    before = set(os.listdir("/dev/shm"))
    arguments = ("--faults", faults, "--count", str(rounds_each), *more, "--json", "-")
    process = subprocess.Popen(
        [program, "fault", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    told, errors = process.communicate(timeout=timeout_s)
    assert (process.returncode, errors) == (0, ""), errors
    assert not still_running(process.pid)
    left = {name for name in set(os.listdir("/dev/shm")) - before if "ringbridge" in name}
    assert not left
    document = read(told)
    assert document["mode"] == "fault"
    assert document["parameters"]["count"] == rounds_each
    found = rows(document)
    for row in found.values():
        if "error" not in row:
            assert [row[key] for key in ("hangs", "leaks", "wrong")] == [0, 0, 0], row
    return found


# --------------------------------------------------------------------------------- command line


def test_list_names_each_fault_with_what_must_hold(ringbench: Path) -> None:
    done = run(ringbench, "fault", "--faults", "list")
    assert (done.returncode, done.stderr) == (0, "")
    listed, _, _ = done.stdout.partition("\n\n")
    told = dict(line.split(maxsplit=1) for line in listed.splitlines())
    assert told.keys() == NAMES
    assert all(len(what) > 20 for what in told.values())


def test_an_unknown_fault_is_refused_with_those_there_are(ringbench: Path) -> None:
    done = run(ringbench, "fault", "--faults", "stop,meteorite")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'meteorite'" in done.stderr
    for name in NAMES:
        assert f" {name}" in done.stderr


def test_a_ring_that_cannot_be_filled_soon_is_refused(ringbench: Path) -> None:
    done = run(ringbench, "fault", "--ring", "32M")
    assert done.returncode == 2
    assert "64K to 16M" in done.stderr


# ---------------------------------------------------------------------------------------- kills


@pytest.mark.seconds(60 + ROUNDS)
@pytest.mark.parametrize("victim", ["worker", "host"])
def test_a_kill_at_a_random_moment_is_noticed_and_loses_nothing(
    ringbench: Path, victim: str
) -> None:
    """A host that was killed while it joined left a name in /dev/shm; a death while somebody
    waited for the arena to grow was noticed 100 ms later."""
    name = f"kill-{victim}"
    chosen = seed()
    row = fault(
        ringbench, name, ROUNDS, "--seed", str(chosen), timeout_s=60 + ROUNDS
    )[name]  # fmt: skip
    assert row["rounds"] == row["kills"] == ROUNDS
    assert 0 < row["early"] < ROUNDS  # some while the two join, some amid calls
    assert row["messages"] > 0
    assert row["samples"] == ROUNDS
    assert row["noticed_p50_ns"] <= row["noticed_p99_ns"] <= row["noticed_max_ns"] < 5e9
    count(f"ringbench fault: kills of a {victim} at random moments", ROUNDS)


def test_a_kill_at_each_named_point_loses_nothing(ringbench: Path) -> None:
    found = fault(ringbench, "kill-*@*", 4, "--ring", "128K")
    assert found.keys() == {name for name in NAMES if "@" in name} | {"all"}
    for name, row in found.items():
        assert row["kills"] == (row["rounds"] if name != "all" else 4 * 26), row
        if name.endswith(("@committed", "@cleared", "@woken")):
            assert row["messages"] >= 4, row  # what was committed has come


def test_one_point_can_be_chosen_and_a_seed_repeats_it(ringbench: Path) -> None:
    first, again = (fault(ringbench, "kill-worker@received", 6, "--seed", "11") for _ in range(2))
    assert first.keys() == {"kill-worker@received", "all"}
    other = fault(ringbench, "kill-worker@received", 6, "--seed", "12")
    messages = [found["all"]["messages"] for found in (first, again, other)]
    assert messages[0] == messages[1] != messages[2]


# --------------------------------------------------------------------------------------- others


def test_a_stopped_side_loses_nothing(ringbench: Path) -> None:
    row = fault(ringbench, "stop", 10)["stop"]
    assert row["stops"] >= 10
    assert row["messages"] > 100


def test_whatever_is_written_into_the_ring_ends_in_order(ringbench: Path) -> None:
    found = fault(ringbench, "bad-*", 20)
    for name in ("bad-header", "bad-length", "bad-frame"):
        row = found[name]
        outcomes = ("intact", "refused", "timed_out", "peer_ended")
        assert sum(row[outcome] for outcome in outcomes) == row["rounds"] == 20, row
        assert row["writes"] > 0
        assert row["refused"] + row["peer_ended"] > 0, row


def test_full_slow_and_interrupted_sides_lose_nothing(ringbench: Path) -> None:
    found = fault(ringbench, "full-ring,slow-consumer,signals,wrap-*", 8)
    assert found["full-ring"]["full"] == 8
    assert found["full-ring"]["messages"] == 8 * 2 * 640  # each call, and its answer
    assert found["slow-consumer"]["messages"] == 8 * 2 * 150
    assert found["signals"]["interrupted"] > 0
    for name in ("wrap-32", "wrap-64"):
        assert found[name]["wraps"] == 8 * 2


def test_a_full_dev_shm_is_refused_or_does_without(ringbench: Path) -> None:
    row = fault(ringbench, "full-shm", 20)["full-shm"]
    if "error" in row:
        assert row["error"].startswith("skipped: ")
        pytest.skip(row["error"])
    assert row["messages"] > 0
    assert row["refused"] > 0


# --------------------------------------------------------------------------------- what is noticed


@pytest.mark.parametrize("broken", ["lose", "duplicate", "reorder", "corrupt"])
def test_a_broken_ring_is_wrong(broken: str) -> None:
    program = os.environ.get("RBR_RINGBENCH_BROKEN")
    if not program:
        pytest.skip("RBR_RINGBENCH_BROKEN names no ringbench on a broken ring")
    environ = {"RBR_BREAK": broken, "RBR_BREAK_EVERY": "97"}  # a process reads some hundreds
    arguments = ("--faults", "wrap-64", "--count", "20", "--seed", "5", "--json", "-")
    done = run(Path(program), "fault", *arguments, environ=environ)
    assert done.returncode == 1
    row = json.loads(done.stdout)["results"][0]
    assert row["hangs"] + row["wrong"] > 0
    assert "wrap-64, seed 5, round " in done.stderr
    assert row["error"].startswith("seed 5, round ")


def test_all_end_when_ringbench_is_killed(ringbench: Path) -> None:
    arguments = ("--faults", "stop,kill-host", "--count", "100000", "--quiet")
    process = subprocess.Popen([ringbench, "fault", *arguments], start_new_session=True)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 20
    while not children.read_text():
        assert time.monotonic() < deadline, "no host was started"
    os.kill(process.pid, signal.SIGKILL)
    process.wait(20)
    while still_running(process.pid):
        assert time.monotonic() < deadline + 20, "somebody outlived ringbench"
        time.sleep(0.01)
