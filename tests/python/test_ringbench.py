# SPDX-License-Identifier: MIT
"""ringbench runs, explains itself, and its figures are sane.

Times are compared with ten times what the project allows itself: other load on this machine must
not fail a test, a real fault must.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

TEN_TIMES = 10
SHORT = ("--duration", "100ms", "--runs", "1")
NEEDS_TWO_CPUS = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="two CPUs are measured, and there is one"
)


def _found() -> Path | None:
    given = os.environ.get("RINGBENCH")
    if given:
        return Path(given)
    from ringbridge.cli import bench

    return bench.binary() if bench.binary().exists() else None


@pytest.fixture(scope="module")
def ringbench() -> Path:
    found = _found()
    if found is None:
        pytest.skip("no ringbench: set RINGBENCH, or install the package with it")
    return found


def run(ringbench: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ringbench), *arguments], capture_output=True, text=True, timeout=55, check=False
    )


def measure(ringbench: Path, *arguments: str) -> dict[str, Any]:
    """Runs a mode and gives its JSON; /dev/shm must be as before."""
    before = sorted(os.listdir("/dev/shm"))
    done = run(ringbench, *arguments, *SHORT, "--json", "-")
    assert done.returncode == 0, done.stderr
    mine = [name for name in os.listdir("/dev/shm") if name not in before]
    assert not [name for name in mine if name.startswith("ringbridge-")]
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["tool"] == "ringbench"
    assert document["mode"] == arguments[0]
    assert document["machine"]["cpus"] >= 2
    assert {"cpu", "kernel", "compiler"} <= document["machine"].keys()
    assert len(set(document["parameters"]["cpus"])) == 2
    return document


def rows(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in document["results"]}


def assert_percentiles_grow(row: dict[str, Any]) -> None:
    keys = ("min_ns", "p50_ns", "p90_ns", "p99_ns", "p99.9_ns", "max_ns")
    values = [row[key] for key in keys]
    assert values == sorted(values), row
    assert row["min_ns"] <= row["mean_ns"] <= row["max_ns"]
    assert row["trip_ns"] > 0
    assert row["samples"] > 0


# --------------------------------------------------------------------------------- command line


def test_help_teaches_each_mode_with_an_example(ringbench: Path) -> None:
    done = run(ringbench, "--help")
    assert done.returncode == 0
    for example in ("ringbench floor", "ringbench call --wait", "ringbench stream --size"):
        assert example in done.stdout
    for option in ("--cpus", "--duration", "--count", "--runs", "--size", "--batch", "--json"):
        assert option in done.stdout


def test_no_mode_is_a_usage_error_that_shows_the_help(ringbench: Path) -> None:
    done = run(ringbench)
    assert done.returncode == 2
    assert "usage: ringbench" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["fly"], "floor, call and stream"),
        (["call", "--wait", "pray"], "spin, block or adaptive"),
        (["call", "--size", "64,,4K"], "64,4K,64K"),
        (["call", "--size", "4"], "from 8 to 1G"),
        (["stream", "--size", "512K"], "a quarter of the ring"),
        (["stream", "--ring", "100K"], "power of two"),
        (["stream", "--batch", "0"], "from 1 to"),
        (["floor", "--batch", "8"], "belongs to stream"),
        (["stream", "--wait", "spin"], "belongs to call"),
        (["call", "--cpus", "0"], "two different CPUs"),
        (["call", "--cpus", "0,0"], "two different CPUs"),
        (["call", "--cpus", "0,4095"], "this process may use"),
        (["call", "--duration", "soon"], "500ms, 2s or 1m"),
        (["call", "--duration", "-1s"], "500ms, 2s or 1m"),
        (["call", "--runs", "1000"], "from 1 to 100"),
        (["call", "--count", "99999999999999999999"], "suffixes K, M, G"),
        (["call", "--json", "/no/such/folder/x.json"], "No such file"),
        (["call", "more"], "--help"),
        (["call", "--fast"], "--help"),
    ],
)
def test_bad_option_says_what_is_allowed(
    ringbench: Path, arguments: list[str], allowed: str
) -> None:
    done = run(ringbench, *arguments)
    assert done.returncode == 2
    assert allowed in done.stderr
    assert done.stdout == ""


@NEEDS_TWO_CPUS
def test_one_cpu_is_a_clear_error(ringbench: Path) -> None:
    one = min(os.sched_getaffinity(0))
    done = subprocess.run(
        [sys.executable, "-c", f"import os; os.sched_setaffinity(0, [{one}]); "
         f"os.execv({str(ringbench)!r}, ['ringbench', 'call'])"],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert "one CPU only" in done.stderr


# ---------------------------------------------------------------------------------------- modes


@NEEDS_TWO_CPUS
def test_floor_measures_wakes_lines_and_memcpy(ringbench: Path) -> None:
    found = rows(measure(ringbench, "floor"))
    for name in ("one cache line", "own cache lines", "sem_t", "futex", "eventfd + poll", "pipe"):
        assert_percentiles_grow(found[name])
    for name in ("sem_t", "futex", "eventfd + poll", "pipe"):
        assert_percentiles_grow(found[f"{name}, one CPU"])
    for name in ("clock_gettime", "system call", "sem_post, no waiter"):
        assert 0 < found[name]["trip_ns"] < 100_000
    for size in ("64 KiB", "8 MiB", "100 MB"):
        assert found[f"memcpy {size}, warm"]["bytes_per_s"] > 1e8
        assert found[f"memcpy {size}, fresh"]["bytes_per_s"] > 1e7


@NEEDS_TWO_CPUS
@pytest.mark.parametrize("wait", ["spin", "block", "adaptive"])
def test_call_comes_near_the_floor(ringbench: Path, wait: str) -> None:
    document = measure(ringbench, "call", "--wait", wait)
    assert document["parameters"]["wait"] == wait
    found = rows(document)
    for row in found.values():
        assert_percentiles_grow(row)
    assert found["channel"]["late_looks"] == 0
    if wait == "spin":
        assert found["channel"]["wakes_per_call"] == 0
        assert found["raw"]["ratio"] <= TEN_TIMES * found["raw"]["budget"]
        assert found["channel"]["ratio"] <= TEN_TIMES * 3.5
    if wait == "block":
        assert found["channel"]["wakes_per_call"] <= 2.01
        assert found["channel"]["ratio"] <= TEN_TIMES * found["channel"]["budget"]


@NEEDS_TWO_CPUS
def test_call_carries_several_sizes(ringbench: Path) -> None:
    results = measure(ringbench, "call", "--size", "8,4K,100K")["results"]
    assert [row["bytes"] for row in results if row["name"] == "channel"] == [8, 4096, 102400]


@NEEDS_TWO_CPUS
def test_stream_reads_every_record(ringbench: Path) -> None:
    results = measure(ringbench, "stream", "--size", "64,4K,64K", "--batch", "32")["results"]
    assert [row["bytes"] for row in results] == [64, 4096, 65536]
    small, _, large = results
    # p10: the slices that other load left alone; under load the median is the load's
    assert small["p10_ns"] <= TEN_TIMES * 1e9 / small["budget_records_per_s"]
    assert large["p10_ns"] <= TEN_TIMES * 65536e9 / large["budget_bytes_per_s"]
    for row in results:
        assert row["best_ns"] <= row["record_ns"] <= row["worst_ns"]
        assert row["records"] > 0


@NEEDS_TWO_CPUS
def test_count_and_odd_sizes(ringbench: Path) -> None:
    done = run(ringbench, "stream", "--size", "8,13,100", "--batch", "7", "--count", "20K",
               "--runs", "2", "--ring", "64K")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "pinned to CPU" in done.stdout
    assert len(done.stdout.splitlines()) == 6


@NEEDS_TWO_CPUS
def test_json_file_and_quiet(ringbench: Path, tmp_path: Path) -> None:
    path = tmp_path / "call.json"
    done = run(ringbench, "call", "--count", "2000", "--runs", "1", "--json", str(path), "--quiet")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    document = json.loads(path.read_text())
    assert document["parameters"]["count"] == 2000


# --------------------------------------------------------------------------------------- endings


def children_of(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except FileNotFoundError:
        return []
    return [int(child) for child in text.split()]


def wait_until(condition: Any, what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@NEEDS_TWO_CPUS
@pytest.mark.parametrize("mode", ["floor", "call", "stream"])
def test_child_dies_with_its_parent(ringbench: Path, mode: str) -> None:
    parent = subprocess.Popen(
        [str(ringbench), mode, "--duration", "20s", "--quiet"], stderr=subprocess.DEVNULL
    )
    wait_until(lambda: children_of(parent.pid), "no child was started")
    (child,) = children_of(parent.pid)
    parent.kill()
    parent.wait(10)
    wait_until(lambda: not _runs(child), "the child outlived its parent")


@NEEDS_TWO_CPUS
@pytest.mark.parametrize("mode", ["floor", "call", "stream"])
def test_parent_ends_when_its_child_is_killed(ringbench: Path, mode: str) -> None:
    parent = subprocess.Popen(
        [str(ringbench), mode, "--duration", "20s", "--quiet"], stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: children_of(parent.pid), "no child was started")
    os.kill(children_of(parent.pid)[0], signal.SIGKILL)
    _, errors = parent.communicate(timeout=20)
    assert parent.returncode in (1, 3)
    assert errors.startswith("ringbench: ")


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


# ------------------------------------------------------------------------------------ entry point


def test_entry_point_says_where_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ringbridge.cli import bench

    monkeypatch.setattr(bench, "binary", lambda: tmp_path / "ringbench")
    assert bench.main() == 127
    errors = capsys.readouterr().err
    assert str(tmp_path / "ringbench") in errors
    assert "built without it" in errors


def test_entry_point_becomes_the_program(ringbench: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ringbridge.cli import bench; "
        f"bench.binary = lambda: Path({str(ringbench)!r}); "
        "sys.argv = ['ringbench', '--version']; sys.exit(bench.main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ringbench ")
