# SPDX-License-Identifier: MIT
"""`ringbench compare`: each peer carries each message; who fails or is killed stops nobody else."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rbr_testing.ringbench import NEEDS_TWO_CPUS, find, measure, read, run

pytestmark = NEEDS_TWO_CPUS

BUILT_IN = {
    "ringbridge": "ringbridge",
    "pipe": "pipe",
    "socket": "Unix socket",
    "mq": "POSIX mq",
    "eventfd": "eventfd",
}
OPTIONAL = {
    "zeromq": "ZeroMQ",
    "nng": "nng",
    "boost": "Boost.Interprocess",
    "iceoryx": "iceoryx",
}
KINDS = ("round trip", "one way")
WAITS = ("spin", "yield", "block", "adaptive")
QUICK = ("--duration", "20ms")

#: Where something could stay behind.
PLACES = ("/dev/shm", "/dev/mqueue", "/tmp")
#: Names of ringbench, and of iceoryx, whose daemon it starts.
TRACES = ("ringbench-", "ringbridge-", "iceoryx_mgmt", "roudi", "iox-")


def traces() -> set[str]:
    return {
        f"{place}/{name}"
        for place in PLACES
        if os.path.isdir(place)
        for name in os.listdir(place)
        if name.startswith(TRACES)
    }


def wait_until(condition: Callable[[], bool], what: str, within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@pytest.fixture(scope="module")
def ringbench() -> Path:
    return find()


@pytest.fixture(autouse=True)
def nothing_stays_behind() -> Iterator[None]:
    before = traces()
    yield
    wait_until(lambda: traces() <= before, f"{traces() - before} stayed behind")


def rows_of(document: dict[str, Any]) -> dict[tuple[str, str, int], dict[str, Any]]:
    return {
        (row["name"], row["kind"], row["bytes"]): row
        for row in document["results"]
        if row["kind"] != "floor"
    }


def is_built(ringbench: Path, key: str) -> bool:
    return (ringbench.parent / f"ringbench-{key}.so").exists()


def is_usable(ringbench: Path, key: str) -> bool:
    return is_built(ringbench, key) and (key != "iceoryx" or shutil.which("iox-roudi") is not None)


def assert_whole(row: dict[str, Any]) -> None:
    assert "error" not in row, row
    assert row["trip_ns"] > 0
    assert row["messages_per_s"] > 0
    assert row["ratio"] > 0
    assert row["ours_ratio"] > 0
    assert row["samples"] > 0
    for count in ("lost", "duplicated", "reordered", "corrupt"):
        assert row[count] == 0


# ---------------------------------------------------------------------------------------- peers


@pytest.mark.parametrize("wait", WAITS)
def test_every_built_in_peer_carries_every_message(ringbench: Path, wait: str) -> None:
    document = measure(
        ringbench, "compare", "--wait", wait, "--size", "64,4000", *QUICK,
        "--peers", ",".join(BUILT_IN),
    )  # fmt: skip
    found = rows_of(document)
    for name in BUILT_IN.values():
        for size in (64, 4000):
            for kind in KINDS:
                assert_whole(found[name, kind, size])
    assert found["pipe", "one way", 64]["batch"] == 64
    assert found["POSIX mq", "one way", 64]["batch"] == 1
    first = document["results"][0]
    assert (first["name"], first["ours_ratio"]) == ("ringbridge", 1)
    floors = {row["name"] for row in document["results"] if row["kind"] == "floor"}
    assert floors == {found["pipe", kind, 64]["floor"] for kind in KINDS}


@pytest.mark.parametrize("key", OPTIONAL)
@pytest.mark.parametrize("wait", ["spin", "adaptive", "block"])
def test_every_optional_peer_that_is_here_carries_every_message(
    ringbench: Path, key: str, wait: str
) -> None:
    if not is_usable(ringbench, key):
        pytest.skip(f"{OPTIONAL[key]} is not here")
    document = measure(
        ringbench, "compare", "--wait", wait, "--size", "64,64K", *QUICK, "--peers", key
    )
    found = rows_of(document)
    for size in (64, 64 << 10):
        for kind in KINDS:
            assert_whole(found[OPTIONAL[key], kind, size])


@pytest.mark.parametrize("key", ["pipe", "socket"])
def test_odd_sizes_and_messages_beyond_any_buffer_cross_a_stream_of_bytes(
    ringbench: Path, key: str
) -> None:
    document = measure(
        ringbench, "compare", "--size", "8,13,1000001", "--ring", "64K", *QUICK, "--peers", key
    )
    for row in rows_of(document).values():
        assert_whole(row)


def test_both_sides_on_one_cpu(ringbench: Path) -> None:
    document = measure(
        ringbench, "compare", "--cpus", "same", "--size", "64", *QUICK, "--peers", "eventfd,mq"
    )
    assert document["parameters"]["wait"] == "block"
    for row in rows_of(document).values():
        assert_whole(row)


def test_a_spinning_round_trip_is_not_slower_than_a_pipes(ringbench: Path) -> None:
    found = rows_of(measure(ringbench, "compare", "--size", "64", "--peers", "pipe"))
    # Of trips timed one by one: a slice that was displaced for milliseconds says nothing.
    ours, pipes = (found[name, "round trip", 64]["p50_ns"] for name in ("ringbridge", "pipe"))
    assert ours < pipes


def test_a_module_exports_its_one_symbol(ringbench: Path) -> None:
    modules = sorted(ringbench.parent.glob("ringbench-*.so"))
    if not modules or shutil.which("nm") is None:
        pytest.skip("no module was built, or no nm (binutils) is here")
    for module in modules:
        said = subprocess.run(
            ["nm", "--dynamic", "--defined-only", module],
            capture_output=True,
            check=True,
            text=True,
        )
        assert [line.split()[-1] for line in said.stdout.splitlines()] == ["bench_peer_module"]


# --------------------------------------------------------------------------------- what is told


def test_the_list_tells_of_every_peer_and_whether_it_is_here(ringbench: Path) -> None:
    done = run(ringbench, "compare", "--peers", "list")
    assert done.returncode == 0, done.stderr
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert lines.keys() == BUILT_IN.keys() | OPTIONAL.keys()
    for key, line in lines.items():
        assert (BUILT_IN | OPTIONAL)[key] in line
        assert line.endswith("; here") or "not here" in line
        assert line.endswith("; here") == (key in BUILT_IN or is_built(ringbench, key))


def test_an_unknown_peer_is_told_of_the_known_ones(ringbench: Path) -> None:
    done = run(ringbench, "compare", "--peers", "pipe,pigeon")
    assert done.returncode == 2
    assert "'pigeon'" in done.stderr
    assert "pipe, socket, mq, eventfd, zeromq, nng, boost and iceoryx are known" in done.stderr


def test_a_peer_that_was_not_built_is_a_row_that_says_what_to_install(
    ringbench: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "ringbench"
    shutil.copy(ringbench, alone)
    document = measure(alone, "compare", "--size", "64", *QUICK, "--peers", "zeromq")
    (row,) = [row for row in document["results"] if row["name"] == "ZeroMQ"]
    assert row["error"] == "not here: install libzmq3-dev and build again"
    told = run(alone, "compare", "--size", "64", *QUICK, "--runs", "1", "--peers", "zeromq")
    assert "ZeroMQ: not here: install libzmq3-dev and build again" in told.stdout


def test_a_module_of_something_else_is_not_used(ringbench: Path, tmp_path: Path) -> None:
    alone = tmp_path / "ringbench"
    shutil.copy(ringbench, alone)
    (tmp_path / "ringbench-nng.so").write_text("not a library")
    done = run(alone, "compare", "--peers", "list")
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("nng")]
    assert "not here: " in line


def test_a_message_above_the_limit_of_a_queue_is_an_error_row(ringbench: Path) -> None:
    limit = Path("/proc/sys/fs/mqueue/msgsize_max")
    if not limit.exists():
        pytest.skip("no message queues in this kernel")
    size = int(limit.read_text()) + 8
    document = measure(
        ringbench, "compare", "--size", f"64,{size}", *QUICK, "--peers", "mq,pipe"
    )  # fmt: skip
    found = rows_of(document)
    for kind in KINDS:
        assert str(limit) in found["POSIX mq", kind, size]["error"]
        assert "trip_ns" not in found["POSIX mq", kind, size]
        assert_whole(found["POSIX mq", kind, 64])
        assert_whole(found["pipe", kind, size])


def test_a_size_beyond_all_rings_is_a_usage_error(ringbench: Path) -> None:
    done = run(ringbench, "compare", "--size", "1G")
    assert done.returncode == 2
    assert "up to 128M" in done.stderr


def test_the_table_has_a_part_for_each_kind(ringbench: Path) -> None:
    done = run(ringbench, "compare", "--size", "64", *QUICK, "--runs", "1", "--peers", "pipe")
    assert done.returncode == 0, done.stderr
    heads = [line.split("  ")[0] for line in done.stdout.splitlines() if "x ours" in line]
    assert heads == list(KINDS)


def test_a_limit_can_be_how_many_are_ahead_of_ringbridge(ringbench: Path) -> None:
    arguments = ("compare", "--size", "64", "--peers", "mq", "--runs", "1", *QUICK)
    done = run(ringbench, *arguments, "--fail-above", "behind=1")  # of one: it cannot be more
    assert done.returncode == 0, done.stderr
    done = run(ringbench, *arguments, "--fail-above", "trip=0.001")
    assert done.returncode == 4


# -------------------------------------------------------------------------------------- endings


def processes_of(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(child) for child in text.split()]


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def started(
    ringbench: Path, *arguments: str, peers: str
) -> tuple[subprocess.Popen[str], dict[str, int]]:
    """A comparison of some seconds, and the runner of each peer once it has its own child."""
    wanted = {f"rb {key}" for key in (*peers.split(","), "ringbridge", "floor")}
    process = subprocess.Popen(
        [ringbench, "compare", "--size", "64", "--runs", "1", "--peers", peers, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    found: dict[str, int] = {}

    def all_have_a_child() -> bool:
        found.update((command_of(pid), pid) for pid in processes_of(process.pid))
        return found.keys() >= wanted and all(processes_of(found[name]) for name in wanted)

    wait_until(all_have_a_child, "not all runners were started")
    return process, {name.removeprefix("rb "): pid for name, pid in found.items()}


@pytest.mark.parametrize("who", ["runner", "its child"])
def test_a_peer_that_is_killed_has_a_row_that_says_so_and_the_others_go_on(
    ringbench: Path, who: str
) -> None:
    process, runners = started(ringbench, "--duration", "1s", "--json", "-", peers="pipe,socket")
    victim = runners["pipe"]
    os.kill(victim if who == "runner" else processes_of(victim)[0], signal.SIGKILL)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    found = rows_of(read(said))
    assert found["pipe", "one way", 64]["error"]
    for kind in KINDS:
        assert_whole(found["Unix socket", kind, 64])


def test_a_peer_that_hangs_is_killed_and_the_others_go_on(ringbench: Path) -> None:
    process, runners = started(ringbench, "--duration", "1s", "--json", "-", peers="pipe,socket")
    (child,) = processes_of(runners["pipe"])
    os.kill(child, signal.SIGSTOP)
    said, errors = process.communicate(timeout=95)
    assert process.returncode == 0, errors
    found = rows_of(read(said))
    assert "no end after" in found["pipe", "one way", 64]["error"]
    assert_whole(found["Unix socket", "one way", 64])
    wait_until(lambda: not runs(child), "the stopped process outlived its runner")


def test_nobody_is_compared_without_ringbridge(ringbench: Path) -> None:
    process, runners = started(ringbench, "--duration", "1s", peers="pipe")
    os.kill(runners["ringbridge"], signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "ringbridge with 64 bytes: " in errors


@pytest.mark.parametrize("key", [*BUILT_IN, *OPTIONAL])
def test_nothing_stays_behind_when_all_is_killed(ringbench: Path, key: str) -> None:
    if key in OPTIONAL and not is_usable(ringbench, key):
        pytest.skip(f"{OPTIONAL[key]} is not here")
    process, runners = started(ringbench, "--duration", "20s", peers=key)
    everyone = [*runners.values(), *(pid for r in runners.values() for pid in processes_of(r))]
    process.kill()
    process.communicate(timeout=20)
    wait_until(lambda: not any(map(runs, everyone)), "somebody outlived ringbench")


def test_an_iceoryx_without_its_daemon_is_told_which_package_has_it(
    ringbench: Path, tmp_path: Path
) -> None:
    if not is_built(ringbench, "iceoryx") or os.path.exists("/tmp/roudi"):
        pytest.skip("iceoryx is not here, or its daemon runs")
    done = run(
        ringbench, "compare", "--size", "64", *QUICK, "--runs", "1", "--peers", "iceoryx",
        "--json", "-", environ={"PATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    errors = [row["error"] for row in json.loads(done.stdout)["results"] if "error" in row]
    assert errors
    assert all("Debian's package iceoryx" in error for error in errors)
