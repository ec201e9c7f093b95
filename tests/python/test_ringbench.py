# SPDX-License-Identifier: MIT
"""ringbench explains itself, says what is wrong with its options, and ends in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rbr_testing.ringbench import NEEDS_TWO_CPUS, find, run


@pytest.fixture(scope="module")
def ringbench() -> Path:
    return find()


# --------------------------------------------------------------------------------- command line


def test_help_teaches_each_mode_with_an_example(ringbench: Path) -> None:
    done = run(ringbench, "--help")
    assert done.returncode == 0
    for mode in ("floor", "call", "stream", "open", "large", "soak", "fault", "compare", "report"):
        assert f"               ringbench {mode}" in done.stdout
    for option in (
        *("cpus", "threads", "duration", "count", "runs", "size", "batch", "window", "rate"),
        *("burst", "wait", "ring", "arena", "seed", "traffic", "faults", "peers", "percentiles"),
        *("json", "hdr", "fail-above", "break-above", "quiet", "help", "version"),
    ):
        assert f" --{option}" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_no_mode_is_a_usage_error_that_shows_the_help(ringbench: Path) -> None:
    done = run(ringbench)
    assert done.returncode == 2
    assert "usage: ringbench" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["fly"], "floor, call, stream, open, large"),
        (["call", "--wait", "pray"], "spin, yield, block or adaptive"),
        (["call", "--size", "64,,4K"], "64,4K,64K"),
        (["call", "--size", "4"], "from 8 bytes"),
        (["stream", "--size", "512K"], "a quarter of the ring"),
        (["stream", "--ring", "100K"], "power of two"),
        (["stream", "--batch", "0"], "from 1 to"),
        (["floor", "--batch", "8"], "belongs to stream compare"),
        (["soak", "--threads"], "belongs to floor call stream open"),
        (["call", "--cpus", "0"], "same, cross or two CPUs"),
        (["call", "--cpus", "0,4095"], "this process may use"),
        (["call", "--cpus", "same", "--wait", "spin"], "yield, block and adaptive"),
        (["call", "--duration", "soon"], "500ms, 2s or 1m"),
        (["call", "--duration", "-1s"], "500ms, 2s or 1m"),
        (["call", "--runs", "1000"], "from 1 to 100"),
        (["call", "--count", "99999999999999999999"], "suffixes K, M, G"),
        (["call", "--window", "4000", "--size", "64K"], "smaller --window"),
        (["call", "--percentiles", "99,50"], "50,99,99.9"),
        (["call", "--percentiles", "100"], "50,99,99.9"),
        (["call", "--fail-above", "p99"], "p99=2us"),
        (["call", "--fail-above", "p99=fast"], "p99=2us"),
        (["soak", "--size", "64"], "16,16K"),
        (["soak", "--size", "8,64"], "16,16K"),
        (["soak", "--traffic", "trains"], "rings, calls or all"),
        (["open", "--size", "16", "--duration", "1ms"], "from 24 bytes on"),
        (["large", "--size", "64"], "from 1K on"),
        (["call", "--json", "/no/such/folder/x.json"], "No such file"),
        (["call", "--hdr", "/no/such/folder/x.hlog"], "No such file"),
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
@pytest.mark.parametrize("mode", ["floor", "call", "stream", "open", "large", "soak"])
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
@pytest.mark.parametrize("mode", ["floor", "call", "stream", "open", "large", "soak"])
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
    from ringbridge.cli import ringbench as command

    monkeypatch.setattr(command, "binary", lambda: tmp_path / "ringbench")
    assert command.main() == 127
    errors = capsys.readouterr().err
    assert str(tmp_path / "ringbench") in errors
    assert "built without it" in errors


def test_entry_point_becomes_the_program(ringbench: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ringbridge.cli import ringbench as command; "
        f"command.binary = lambda: Path({str(ringbench)!r}); "
        "sys.argv = ['ringbench', '--version']; sys.exit(command.main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ringbench ")
