# SPDX-License-Identifier: MIT
"""What each mode of ringbench measures and counts, as its JSON tells it.

Times are compared with ten times what the project allows itself: other load on this machine must
not fail a test, a real fault must.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from rbr_testing.ringbench import NEEDS_TWO_CPUS, find, measure, read, rows, run
from rbr_testing.rounds import count, rounds, seed

TEN_TIMES = 10
pytestmark = NEEDS_TWO_CPUS


@pytest.fixture(scope="module")
def ringbench() -> Path:
    return find()


# ---------------------------------------------------------------------------------------- floor


def test_floor_measures_wakes_lines_and_memcpy(ringbench: Path) -> None:
    found = rows(measure(ringbench, "floor"))
    trips = ("one cache line", "own cache lines", "sem_t", "futex", "eventfd + poll", "pipe")
    one_cpu = ("sem_t", "futex", "eventfd + poll", "pipe", "yielding")
    for name in (*trips, *(f"{name}, one CPU" for name in one_cpu)):
        assert found[name]["kind"] == "floor"
        assert found[name]["percentiles"]
    assert found["sem_t"]["floor"] == "own cache lines"
    assert found["sem_t"]["ratio"] > found["one cache line"]["ratio"]
    for name in ("clock_gettime", "system call", "sem_post, no waiter"):
        assert 0 < found[name]["trip_ns"] < 100_000
    for size in ("64 KiB", "8 MiB", "100 MB"):
        assert found[f"memcpy {size}, warm"]["bytes_per_s"] > 1e8
        assert found[f"memcpy {size}, fresh"]["bytes_per_s"] > 1e7


def test_system_calls_are_counted(ringbench: Path) -> None:
    found = rows(measure(ringbench, "floor"))
    if found["pipe"]["syscalls"] is None:
        pytest.skip("ptrace is not allowed here")
    # Two writes and two reads; spinning, none.
    assert found["pipe"]["syscalls"] == pytest.approx(4, abs=0.1)
    assert found["eventfd + poll"]["syscalls"] == pytest.approx(6, abs=0.1)
    assert found["own cache lines"]["syscalls"] < 0.1


# ----------------------------------------------------------------------------------------- call


@pytest.mark.parametrize("wait", ["spin", "yield", "block", "adaptive"])
def test_call_comes_near_the_floor(ringbench: Path, wait: str) -> None:
    document = measure(ringbench, "call", "--wait", wait)
    assert document["parameters"]["wait"] == wait
    found = rows(document)
    raw, channel = found["raw records"], found["channel"]
    assert raw["floor"] == channel["floor"] == document["results"][0]["name"]
    assert raw["cpu_ns"] > 0 and raw["peer_cpu_ns"] > 0
    if wait == "spin":
        assert channel["wakes"] == raw["wakes"] == 0
        assert raw["ratio"] <= TEN_TIMES * raw["budget"]
        assert channel["ratio"] <= TEN_TIMES * 3.5
    if wait == "block":
        assert 0 < channel["wakes"] <= 2.01
        assert channel["ratio"] <= TEN_TIMES * channel["budget"]


def test_call_carries_several_sizes(ringbench: Path) -> None:
    results = measure(ringbench, "call", "--size", "8,4K,100K")["results"]
    assert [row["bytes"] for row in results if row["name"] == "channel"] == [8, 4096, 102400]


def test_a_window_of_calls_is_one_trip(ringbench: Path) -> None:
    channel = rows(measure(ringbench, "call", "--window", "16"))["channel"]
    assert channel["messages_per_s"] == pytest.approx(16e9 / channel["trip_ns"], rel=0.01)


def test_both_sides_on_one_cpu(ringbench: Path) -> None:
    document = measure(ringbench, "call", "--cpus", "same", "--wait", "adaptive")
    first, second = document["parameters"]["cpus"]
    assert first == second
    # Who spins there keeps its peer from running: twenty times as much. In processor time, since
    # what else runs on that CPU is in the trip's.
    found = rows(document)
    own, semaphore = (
        found[name]["cpu_ns"] + found[name]["peer_cpu_ns"] for name in ("channel", "sem_t")
    )
    assert own < 10 * semaphore


@pytest.mark.parametrize("mode", ["call", "stream", "open", "floor"])
def test_the_other_side_may_be_a_thread(ringbench: Path, mode: str) -> None:
    document = measure(ringbench, mode, "--threads")
    assert document["parameters"]["threads"] is True
    assert "channel" not in rows(document)  # it joins two processes


# --------------------------------------------------------------------------------- stream, open


@pytest.mark.parametrize("wait", ["spin", "yield", "block", "adaptive"])
def test_stream_reads_every_record(ringbench: Path, wait: str) -> None:
    arguments = ("--size", "64,4K,64K", "--batch", "32", "--wait", wait)
    results = measure(ringbench, "stream", *arguments)["results"]
    streams = [row for row in results if row["name"] == "stream"]
    assert [row["bytes"] for row in streams] == [64, 4096, 65536]
    for row in streams:
        assert row["best_ns"] <= row["trip_ns"] <= row["worst_ns"]
        assert row["samples"] > 0
        assert row["lost"] == 0 and row["corrupt"] == 0
        assert row["memcpy_ratio"] > 0 and row["bare_ratio"] > 0 and row["crossing_ratio"] > 0
    small, _, large = streams
    if wait == "spin":
        # p10: the slices that other load left alone; under load the median is the load's
        assert small["p10_ns"] <= TEN_TIMES * 1e9 / small["budget_messages_per_s"]
        assert large["p10_ns"] <= TEN_TIMES * 65536e9 / large["budget_bytes_per_s"]


def test_stream_takes_counts_and_odd_sizes(ringbench: Path) -> None:
    done = run(ringbench, "stream", "--size", "8,13,100", "--batch", "7", "--count", "20K",
               "--runs", "2", "--ring", "64K")  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [line.split()[0] for line in done.stdout.splitlines() if line]
    assert lines.count("stream") == 6  # in two tables


def test_open_counts_from_the_schedule(ringbench: Path) -> None:
    arguments = ("--rate", "20K", "--burst", "4", "--duration", "300ms")
    found = rows(measure(ringbench, "open", *arguments))
    schedule, sending = found["from the schedule"], found["from the sending"]
    assert schedule["samples"] == sending["samples"] >= 4000
    assert schedule["p50_ns"] >= sending["p50_ns"]
    assert schedule["mean_ns"] > sending["mean_ns"]
    assert schedule["wanted_per_s"] == 20_000
    assert schedule["lost"] == 0


def test_open_shows_what_closed_loops_leave_out(ringbench: Path) -> None:
    # Far more than can be sent: the backlog grows, and only the schedule tells.
    arguments = ("--rate", "100M", "--duration", "200ms", "--wait", "block")
    found = rows(measure(ringbench, "open", *arguments))
    schedule, sending = found["from the schedule"], found["from the sending"]
    assert schedule["messages_per_s"] < 0.9 * schedule["wanted_per_s"]
    assert schedule["p50_ns"] > 2 * sending["p50_ns"]
    assert schedule["late_sends"] > 0


# ---------------------------------------------------------------------------------- large, soak


def test_large_arrays_cost_a_memcpy_or_nothing(ringbench: Path) -> None:
    arguments = ("--size", "64K,8M", "--wait", "adaptive")
    results = measure(ringbench, "large", *arguments)["results"]
    for size in (65536, 8 << 20):
        found = {row["name"]: row for row in results if row["bytes"] == size}
        assert found["copied"]["floor"] == "memcpy"
        assert found["in place"]["ratio"] < TEN_TIMES * found["in place"]["budget"]
        assert found["copied"]["bytes_per_s"] > 1e7
        assert found["in place, all read"]["bytes_per_s"] > 1e7
    assert found["copied"]["ratio"] < TEN_TIMES * 1.15


def test_large_says_how_much_memory_it_wants(ringbench: Path) -> None:
    done = run(ringbench, "large", "--size", "60G")
    assert done.returncode == 3
    assert "are wanted" in done.stderr and "are available" in done.stderr


@pytest.mark.timeout(0)
def test_soak_checks_every_message(ringbench: Path) -> None:
    seconds, chosen = rounds(2), seed()
    done = run(
        *(ringbench, "soak", "--duration", f"{seconds}s", "--seed", str(chosen), "--json", "-"),
        timeout_s=seconds + 100,
    )
    assert done.returncode == 0, done.stderr
    document = read(done.stdout)
    found = rows(document)
    assert document["parameters"]["seed"] == chosen
    for name in ("records in rings", "calls over a channel"):
        assert found[name]["samples"] > 100
        assert found[name]["lost"] == found[name]["corrupt"] == 0
        count(f"ringbench soak: verified {name}", int(found[name]["samples"]))
    assert found["both processes"]["fds_growth"] == 0
    assert found["both processes"]["leaks"] == 0


@pytest.mark.parametrize(
    ("broken", "counted"),
    [
        ("lose", "lost"),
        ("duplicate", "duplicated"),
        ("reorder", "reordered"),
        ("corrupt", "corrupt"),
    ],
)
def test_soak_notices_a_broken_ring(broken: str, counted: str) -> None:
    done = run_broken("soak", "--traffic", "rings", "--duration", "2s", broken=broken)
    assert done.returncode == 1, done.stderr
    row = json.loads(done.stdout)["results"][0]
    assert row[counted] > 0
    others = {"lost", "duplicated", "reordered", "corrupt"} - {counted}
    if broken == "reorder":  # what a side holds back when the run ends never comes
        assert row["lost"] <= 2
        others.remove("lost")
    assert {row[other] for other in others} == {0}


@pytest.mark.parametrize("traffic", ["rings", "calls"])
def test_soak_notices_wake_ups_that_are_forgotten(traffic: str) -> None:
    done = run_broken("soak", "--traffic", traffic, "--wait", "block", "--duration", "3s",
                      broken="forget")  # fmt: skip
    assert done.returncode == 1, done.stderr
    row = json.loads(done.stdout)["results"][0]
    assert row["late_looks"] > 0
    assert {row[other] for other in ("lost", "duplicated", "reordered", "corrupt")} == {0}


@pytest.mark.parametrize("broken", ["lose", "duplicate", "reorder", "corrupt"])
@pytest.mark.parametrize("mode", ["stream", "soak"])
def test_a_broken_ring_is_never_passed_over(mode: str, broken: str) -> None:
    arguments = ["--traffic", "calls"] if mode == "soak" else ["--size", "64"]
    done = run_broken(mode, "--duration", "1s", *arguments, broken=broken)
    assert done.returncode == 1, (done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("arguments", "every", "lost"),
    [
        pytest.param(("open", "--count", "500", "--rate", "100K"), 100, 5, id="open, some last"),
        pytest.param(("open", "--count", "500", "--rate", "100K"), 301, 1, id="open, one"),
        pytest.param(("stream", "--count", "3000", "--size", "64"), 600, 5, id="stream, some last"),
    ],
)
def test_what_is_lost_at_the_end_is_counted_and_not_waited_for(
    arguments: tuple[str, ...], every: int, lost: int
) -> None:
    done = run_broken(*arguments, "--runs", "1", broken="lose", every=every)
    assert done.returncode == 1, done.stderr
    rows = [row for row in json.loads(done.stdout)["results"] if row.get("lost") is not None]
    assert len(rows) == 1
    assert rows[0]["lost"] >= lost  # and those of the trips whose system calls are counted
    assert rows[0]["lost"] == lost or arguments[0] == "stream"


def run_broken(*arguments: str, broken: str, every: int = 997) -> Any:
    program = os.environ.get("RBR_RINGBENCH_BROKEN")
    if not program:
        pytest.skip("RBR_RINGBENCH_BROKEN names no ringbench on a broken ring")
    sound = run(Path(program), "soak", "--duration", "200ms", "--json", "-")
    read(sound.stdout)  # it is the ring that breaks it, not the build
    environ = {"RBR_BREAK": broken, "RBR_BREAK_EVERY": str(every)}
    return run(Path(program), *arguments, "--json", "-", environ=environ)


# --------------------------------------------------------------------------------------- output


def test_json_file_and_quiet(ringbench: Path, tmp_path: Path) -> None:
    path = tmp_path / "call.json"
    done = run(ringbench, "call", "--count", "2000", "--runs", "1", "--json", str(path), "--quiet")
    assert done.returncode == 0, done.stderr
    assert done.stdout == done.stderr == ""
    assert read(path.read_text())["parameters"]["count"] == 2000


def test_percentiles_are_those_that_were_asked_for(ringbench: Path) -> None:
    row = measure(ringbench, "call", "--percentiles", "10,50,99.99")["results"][0]
    assert row["p10_ns"] <= row["p50_ns"] <= row["p99.99_ns"]
    assert "p90_ns" not in row
    done = run(ringbench, "call", "--count", "500", "--runs", "1", "--percentiles", "75")
    assert " p75 " in done.stdout and " p99 " not in done.stdout


def test_table_has_ratios_costs_and_the_machine(ringbench: Path) -> None:
    done = run(ringbench, "call", "--duration", "100ms", "--runs", "1")
    assert done.returncode == 0
    first = done.stdout.splitlines()[0]
    assert "Linux" in first and "CPU 0" in first
    assert "  x own cache lines" in done.stdout
    for word in ("peer CPU", "wakes", "syscalls", "faults", "late", "lost", "corrupt", "steal"):
        assert word in done.stdout


def test_histograms_are_those_of_hdrhistogram(ringbench: Path, tmp_path: Path) -> None:
    log = pytest.importorskip("hdrh.log", reason="HdrHistogram's own reader is not here")
    histogram = pytest.importorskip("hdrh.histogram")
    path = tmp_path / "call.hlog"
    document = measure(ringbench, "call", "--hdr", str(path))
    reader = log.HistogramLogReader(str(path), histogram.HdrHistogram(1, 3_600_000_000_000, 2))
    for row in document["results"]:
        read_back = reader.get_next_interval_histogram()
        assert read_back.total_count == row["samples"]
        assert read_back.get_mean_value() == pytest.approx(row["mean_ns"], rel=1 / 64)
        rank = 100 / row["samples"]  # which of two neighbours a percentile is, is rounded otherwise
        for percent, key in ((50, "p50_ns"), (90, "p90_ns"), (99, "p99_ns")):
            least = read_back.get_value_at_percentile(percent - rank)
            most = read_back.get_value_at_percentile(percent + rank)
            assert least <= row[key] <= most
        assert read_back.get_max_value() == pytest.approx(row["max_ns"], rel=1 / 64)
    assert reader.get_next_interval_histogram() is None
    assert "Tag=raw-records-64," in path.read_text()


def test_a_limit_that_is_exceeded_is_an_exit_status(ringbench: Path) -> None:
    arguments = ("call", "--count", "500", "--runs", "1", "--quiet", "--fail-above")
    assert run(ringbench, *arguments, "p50=1h,late_looks=0,ratio=1e9").returncode == 0
    done = run(ringbench, *arguments, "p50=1ns,max=1h")
    assert done.returncode == 4
    assert "p50 of 'channel' is" in done.stderr
    assert "cache lines" not in done.stderr  # the machine is what it is
    done = run(ringbench, *arguments, "speed=1")
    assert done.returncode == 2
    assert "no row has such a figure" in done.stderr


@pytest.mark.parametrize("mode", ["call", "open"])
def test_break_above_shows_the_last_events_of_both_sides(ringbench: Path, mode: str) -> None:
    # Asleep, no message takes less than a microsecond.
    done = run(ringbench, mode, "--wait", "block", "--break-above", "1", "--duration", "300ms")
    assert done.returncode == 4
    assert "this side" in done.stderr and "the other side" in done.stderr
    events = [line.split() for line in done.stderr.splitlines()[2:-1]]
    assert {"sent", "got"} <= {event for _, event, *_ in events}
    times = [float(time) for time, *_ in events]
    assert times == sorted(times) and times[-1] == 0
