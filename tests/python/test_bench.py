# SPDX-License-Identifier: MIT
"""`ringbridge bench`: what it writes, and that no peer can hold it up.

What it measures is not judged here: another load on this machine must not fail a test.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rbr_testing import bench_fakes

from ringbridge.bench import catalogue, gathered, measure, processes
from ringbridge.bench.gathered import Budget, Gathered
from ringbridge.bench.session import Options, Session
from ringbridge.bench.table import block_text
from ringbridge.cli.main import main

HERE = Path(__file__).resolve().parent
SMALL = ("--quick", "--rounds", "1", "--sizes", "1K,100K")
NEEDS_NUMPY = pytest.mark.skipif(
    importlib.util.find_spec("numpy") is None, reason="arrays are measured, and there is no numpy"
)


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ringbridge.cli.main", "bench", *arguments],
        capture_output=True, text=True, timeout=55, check=False, cwd=HERE, **options,
    )  # fmt: skip


def left_behind() -> list[str]:
    return [name for name in os.listdir("/dev/shm") if "rbbench" in name]


# ------------------------------------------------------------------------------------ the document

NUMBERS = {
    *("bytes", "trip_ns", "min_ns", "p50_ns", "p90_ns", "p99_ns", "p99.9_ns", "max_ns", "mean_ns"),
    *("samples", "messages_per_s", "bytes_per_s", "ratio", "budget", "cpu_ns", "peer_cpu_ns"),
    *(
        "drawn",
        "copy_ns",
        "steps_per_s",
        "lost",
        "corrupt",
        "completed",
        "started_ns",
        "rss_bytes",
        "fds",
    ),
    *("idle_cpu_ns_per_s", "peer_idle_cpu_ns_per_s", "switches_per_s", "peer_switches_per_s"),
}
TEXTS = {"name", "kind", "floor", "error", "note"}


def check_document(document: dict[str, Any]) -> None:
    assert (document["tool"], document["format"]) == ("ringbridge bench", 1)
    assert document["mode"] == "python"
    time.strptime(document["started"], "%Y-%m-%dT%H:%M:%SZ")
    machine = document["machine"]
    assert {type(machine[key]) for key in ("cpu", "kernel", "architecture", "hypervisor")} == {str}
    assert machine["python"] == sys.version.split()[0]
    assert machine["cpus"] >= 1
    ran = document["run"]
    assert ran["seconds"] > 0 and ran["steal_percent"] >= 0 and ran["involuntary_switches"] >= 0
    assert ran["noisy"] == bool(ran["noise"])
    assert len(document["parameters"]["cpus"]) == 2
    for row in document["results"]:
        check_row(row)


def check_row(row: dict[str, Any]) -> None:
    assert row["name"] and row["kind"]
    for key, value in row.items():
        if key in TEXTS:
            assert isinstance(value, str), row
        elif key == "percentiles":
            assert value == sorted(value) and value[0][0] == 0 and value[-1][0] == 100
            assert [ns for _, ns in value] == sorted(ns for _, ns in value)
        elif key != "skipped":
            assert key in NUMBERS, key
            assert value is None or isinstance(value, (int, float)), row
    if "percentiles" in row:
        figures = [row[key] for key in ("min_ns", "p50_ns", "p99_ns", "max_ns")]
        assert figures == sorted(figures) and figures[0] > 0
        assert row["trip_ns"] > 0 and row["samples"] > 0


def check_rhythm(document: dict[str, Any]) -> None:
    ticks = rows(document, "ticks")
    assert ticks.keys() == {"ringbridge, awaited", "ringbridge, callbacks", "nothing arrives"}
    for name, row in ticks.items():
        assert row["samples"] >= 25  # in half a second
        assert (row.get("bytes_per_s", 0) > 0) == name.startswith("ringbridge")
    budgets = [each["what"] for each in document["budgets"] if each["what"].startswith("ticks")]
    assert budgets == [
        f"ticks while 100 MB arrives, {load}: {figure}"
        for load in ("awaited", "callbacks")
        for figure in ("99 %", "latest")
    ]


def rows(document: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in document["results"] if row["kind"] == kind}


@NEEDS_NUMPY
def test_a_run_writes_what_the_format_says(tmp_path: Path) -> None:
    path = tmp_path / "python.json"
    tests = "call,submit,pipelined,await,argument,result,in-place,dict,rhythm,sleep,start,idle"
    done = run(*SMALL, "--tests", tests, "--peers", "pipe,shared_memory", "--json", str(path))
    assert done.returncode == 0, done.stderr
    document = json.loads(path.read_text())
    check_document(document)
    assert not [row for row in document["results"] if row.get("error") or row.get("corrupt")]
    calls = rows(document, "small call")
    assert calls["multiprocessing.Pipe"]["floor"] == "ringbridge"
    assert calls["multiprocessing.Pipe"]["ratio"] > 0
    assert calls["ringbridge"]["cpu_ns"] > 0 and calls["ringbridge"]["peer_cpu_ns"] > 0
    assert rows(document, "pipelined calls")["ringbridge"]["lost"] == 0
    assert rows(document, "submit().result()").keys() == {"ringbridge"}  # a pipe has no futures
    for kind in ("await", "sleeping await"):
        wake = rows(document, kind)
        assert wake.keys() == {"ringbridge", "call_soon_threadsafe"}
        assert wake["ringbridge"]["floor"] == "call_soon_threadsafe"
        assert wake["ringbridge"]["budget"] == 1.3
    assert rows(document, "awaits at once").keys() == {"ringbridge", "asyncio.sleep(0)"}
    check_rhythm(document)
    assert "numpy.copyto, warm" in rows(document, "array as result")
    places = [row for row in document["results"] if row["kind"].startswith("array in place")]
    assert {row["name"] for row in places} == {"ringbridge", "shared_memory + Pipe"}
    assert {row["bytes"] for row in places} == {1000, 100_000}
    assert rows(document, "sleeping call").keys() == {"ringbridge", "sem_t"}
    assert rows(document, "cold start")["ringbridge"]["started_ns"] > 0
    assert rows(document, "idle")["ringbridge"]["switches_per_s"] >= 0
    for heading in ("small call, f(1) -> 2", "array as argument, copied, 100 KB", "to ours"):
        assert heading in done.stdout
    assert not left_behind()


def test_json_on_stdout_is_all_that_is_there() -> None:
    done = run(*SMALL, "--tests", "flood", "--peers", "none", "--json", "-")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    check_document(document)
    (row,) = document["results"]
    assert (row["completed"], row["lost"], row["corrupt"]) == (1000, 0, 0)
    assert row["note"] == "submit()"
    assert done.stderr == ""  # no line that is alive where nobody looks


@NEEDS_NUMPY
def test_every_peer_that_is_installed_gives_right_answers() -> None:
    specs = [spec for spec in catalogue.PEERS.values() if spec.installed]
    keys = ",".join(spec.key for spec in specs)
    tests = ("--tests", "call,submit,pipelined,argument,result", "--sizes", "1K")
    done = run(*SMALL, *tests, "--peers", keys, "--json", "-")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    check_document(document)
    for spec in specs:
        found = [row for row in document["results"] if row["name"] == spec.title]
        assert len(found) == (5 if spec.key in ("pool", "loky") else 4)
        for row in found:
            assert row.get("corrupt", 0) == 0
            may_fail = row.get("error", "").startswith("cannot: it")
            # Appose's workers print from several threads, and some of the lines are lost.
            may_fail = may_fail or (spec.key == "appose" and row["kind"] == "pipelined calls")
            assert may_fail or "error" not in row, row
    assert not left_behind()


# ----------------------------------------------------------------------------------- bad peers


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict[str, Any]]]:
    """(class, test, ...) -> the rows of a run with that class as its only peer."""
    monkeypatch.setenv("PYTHONPATH", str(HERE))  # the runner imports it

    def rows_of(kind: type, test: str, deadline_s: float = 20.0) -> list[dict[str, Any]]:
        spec = catalogue.Spec("fake", "fake", f"rbr_testing.bench_fakes:{kind.__name__}")
        options = Options(
            sys.executable, [test], [spec], [1000], rounds=1, deadline_s=deadline_s, seed=1,
            quick=True,
        )  # fmt: skip
        session = Session(options, measure.rig_for(sys.executable))
        document = json.loads(json.dumps(measure.run(session, [])))
        check_document(document)
        assert not measure.wrong_of_ours(document, "ringbridge")
        return [row for row in document["results"] if row["name"] == "fake"]

    return rows_of


def test_a_peer_that_hangs_is_ended_at_its_deadline_and_reported(
    fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = tmp_path / "child"
    monkeypatch.setenv("FAKE_CHILD", str(child))
    began = time.monotonic()
    (row,) = fake(bench_fakes.Hangs, "flood", deadline_s=3.0)
    assert time.monotonic() - began < 40
    assert row["error"] == "no answer within 3 s"
    assert row["completed"] == bench_fakes.ANSWERED
    assert row["lost"] == 1000 - bench_fakes.ANSWERED
    for pid in child.read_text().split():
        wait_until(lambda pid=int(pid): not runs(pid), "something of the peer is still there")


def test_a_peer_that_loses_replies_is_counted(fake: Any) -> None:
    (row,) = fake(bench_fakes.Loses, "flood")
    assert row["completed"] == 900
    assert row["lost"] == 100
    assert row["corrupt"] == 3 * 2  # in each turn one that came twice, one that was another's


def test_a_future_with_another_answer_is_counted(fake: Any) -> None:
    (row,) = fake(bench_fakes.Slips, "submit")
    assert row["corrupt"] > 0
    assert row["error"].endswith("wrong results")


@NEEDS_NUMPY
def test_arrays_that_do_not_arrive_as_they_went_are_counted(fake: Any) -> None:
    (row,) = fake(bench_fakes.Lies, "argument")
    assert row["corrupt"] == 2  # looked at before and after
    assert row["error"] == "2 wrong results"


def test_a_peer_that_dies_is_reported_with_its_last_words(fake: Any) -> None:
    (row,) = fake(bench_fakes.Dies, "flood")
    assert row["error"] == "its process ended with exit code 3: something terrible"
    assert (row["completed"], row["lost"]) == (1, 999)


def test_a_peer_that_does_not_start_is_reported_in_one_line(fake: Any) -> None:
    (row,) = fake(bench_fakes.Refuses, "call")
    assert row["error"] == "ConnectionRefusedError: nobody listens"


def test_a_peer_that_is_not_installed_is_named_with_what_to_install() -> None:
    missing = catalogue.Spec("x", "X", "no.such:Peer", "rbr_no_such_module", "x-package")
    assert not missing.installed
    options = Options(sys.executable, [], [], [1000], rounds=1, deadline_s=20.0, seed=1)
    document = measure.run(Session(options, measure.rig_for(sys.executable)), [missing])
    (row,) = document["results"]
    assert row["name"] == "X"
    assert row["error"] == "not installed: pip install x-package, or 'ringbridge[bench]'"


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_nothing_runs_on_when_the_command_is_ended(ending: signal.Signals) -> None:
    command = [sys.executable, "-m", "ringbridge.cli.main", "bench", "--tests", "call"]
    with subprocess.Popen(
        [*command, "--peers", "pipe", "--rounds", "100000"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=HERE,
    ) as main_process:  # fmt: skip
        # Two runners, a worker and a child behind a pipe.
        wait_until(lambda: len(processes.descendants(main_process.pid)) >= 4, "nothing started")
        below = processes.descendants(main_process.pid)
        main_process.send_signal(ending)
        main_process.wait(30)
    for pid in below:
        wait_until(lambda pid=pid: not runs(pid), "a process outlived the command")


# -------------------------------------------------------------------------------- the command line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tests", "call,fly"], "no test 'fly'; there are call, submit, pipelined"),
        (["--peers", "pigeon"], "no peer 'pigeon'; there are pipe, pool, loky"),
        (["--sizes", "1K,lots"], "'lots' is not a number of bytes from 8 to 100G"),
        (["--sizes", "7"], "from 8 to 100G"),
        (["--rounds", "0"], "--rounds must be more than 0"),
        (["--deadline", "nan"], "--deadline must be more than 0"),
        (["/no/such/env"], "no interpreter at /no/such/env"),
    ],
)
def test_what_there_is_not_is_a_usage_error(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_help_shows_an_example_and_names_tests_and_peers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "--help"])
    assert ended.value.code == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Example: `ringbridge bench /opt/envs/gis" in out
    for name in (*catalogue.TESTS, *catalogue.PEERS):
        assert name in out


def test_strict_fails_on_a_missed_budget_and_a_wrong_answer_always_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row: dict[str, Any] = {"name": "ringbridge", "kind": "flood", "lost": 0}

    def pretend(session: Session, missing: object) -> dict[str, Any]:
        session.budgets.append(Budget("a call", "9 us", "nothing", 9.0, "<= 1 x", False))
        ran = {"seconds": 1.0, "steal_percent": 0.0, "noisy": False, "noise": ""}
        return {"results": [row], "run": ran}

    monkeypatch.setattr(measure, "run", pretend)
    assert main(["bench", "--peers", "none"]) == 0
    assert "MISSED" in capsys.readouterr().out
    assert main(["bench", "--peers", "none", "--strict"]) == 1
    row["lost"] = 3
    assert main(["bench", "--peers", "none"]) == 1
    assert "ringbridge failed: flood: 3 lost, 0 wrong" in capsys.readouterr().err


def test_a_wrong_answer_under_any_of_our_names_is_ours() -> None:
    late = {"name": "ringbridge, callbacks", "kind": "ticks", "error": "2 wrong results"}
    other = {"name": "ringbridges", "kind": "ticks", "error": "2 wrong results"}
    found = measure.wrong_of_ours({"results": [late, other]}, "ringbridge")
    assert found == ["ticks: 2 wrong results"]


# -------------------------------------------------------------------------------------- arithmetic


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(value) for value in range(1000, 0, -1)]
    found = dict(gathered.percentiles(values))
    assert (found[0.0], found[50.0], found[100.0]) == (1.0, 501.0, 1000.0)
    assert abs(found[99.0] - 990.0) <= 1
    assert gathered.percentiles([5.0])[0] == (0.0, 5.0)


def test_a_table_puts_the_error_below_the_name() -> None:
    from ringbridge.bench.session import Block

    good = gathered.timed_row("ringbridge", "small call", Gathered(trips=[700.0], each=[700.0]))
    bad = {"name": "other", "kind": "small call", "error": "no answer within 30 s"}
    text = block_text(Block("small call", [good, bad]), "ringbridge")
    assert "0.70 us" in text and "latest" not in text
    worst = block_text(Block("ticks", [good], worst=True), "ringbridge")
    assert worst.splitlines()[1].split()[:3] == ["median", "99", "%"] and "latest" in worst
    assert text.splitlines()[-1].strip() == "no answer within 30 s"
