# SPDX-License-Identifier: MIT
"""A worker that starts in the background: Worker(wait=False)."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rbr_testing.eventually import until
from rbr_testing.fixtures import MakeWorker

import ringbridge

FAST_S = 20  # where a start that is waited for takes 50


@pytest.fixture
def held_start(tmp_path: Path) -> tuple[Path, Path]:
    """An environment whose activation waits for a line from a fifo, "go" or another; the fifo."""
    prefix, fifo = tmp_path / "held", tmp_path / "fifo"
    (prefix / "conda-meta").mkdir(parents=True)
    write_program(prefix / "bin" / "python", f"exec '{sys.executable}' \"$@\"")
    script = prefix / "etc/conda/activate.d/wait.sh"
    script.parent.mkdir(parents=True)
    script.write_text(f"read -r line < '{fifo}'; [ \"$line\" = go ] || exit 1\n")
    os.mkfifo(fifo)
    return prefix, fifo


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_it_starts_without_being_used(
    make_worker: MakeWorker, held_start: tuple[Path, Path]
) -> None:
    prefix, fifo = held_start
    worker = make_worker(prefix, wait=False)
    assert (worker.pid, worker.alive, worker.stats()) == (None, False, {})
    assert "not started" in repr(worker)
    fifo.write_text("go\n")
    until(lambda: worker.alive, "the worker's start")
    assert worker.load("operator").neg(5) == -5


def test_the_first_use_waits_for_it(make_worker: MakeWorker, held_start: tuple[Path, Path]) -> None:
    prefix, fifo = held_start
    worker = make_worker(prefix, wait=False)
    opener = threading.Timer(0.2, fifo.write_text, ["go\n"])
    opener.start()
    assert worker.load("operator").neg(5) == -5
    opener.join()


def test_what_went_wrong_is_raised_at_the_first_use(
    make_worker: MakeWorker, held_start: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    prefix, fifo = held_start
    worker = make_worker(prefix, wait=False)
    fifo.write_text("stop\n")
    with pytest.raises(ringbridge.ActivationFailed, match=r"wait\.sh ended the shell"):
        worker.load("operator")
    until(lambda: "wait.sh ended the shell" in caplog.text, "a word of it where nobody uses it")
    opener = threading.Thread(target=fifo.write_text, args=["go\n"])
    opener.start()
    assert worker.load("operator").neg(5) == -5, "the next use tries again"
    opener.join()


@pytest.mark.parametrize("when", ["activating", "meeting"])
def test_closing_does_not_wait_for_the_start(
    make_worker: MakeWorker, held_start: tuple[Path, Path], when: str, nothing_left: None
) -> None:
    """It would take the whole start_timeout, while a window is being closed."""
    prefix, fifo = held_start
    if when == "meeting":  # an interpreter that never answers
        (prefix / "etc/conda/activate.d/wait.sh").unlink()
        write_program(prefix / "bin/python", f"read -r line < '{fifo}'")
    worker = make_worker(prefix, wait=False, start_timeout=50.0)
    with fifo.open("w"):  # returns when the other end is opened: in the middle of the start
        before = time.monotonic()
        worker.close()
        assert time.monotonic() - before < FAST_S
    with pytest.raises(ringbridge.RingbridgeError, match="closed"):
        worker.load("operator")


def test_a_use_that_waits_is_told_that_it_was_closed(
    make_worker: MakeWorker, held_start: tuple[Path, Path]
) -> None:
    prefix, fifo = held_start
    worker = make_worker(prefix, wait=False, start_timeout=50.0)
    with fifo.open("w"):
        closer = threading.Timer(0.2, worker.close)
        closer.start()
        with pytest.raises(ringbridge.RingbridgeError, match="closed"):
            worker.load("operator")
        closer.join()


def test_one_that_is_dropped_while_it_starts_is_ended(
    held_start: tuple[Path, Path], nothing_left: None
) -> None:
    prefix, fifo = held_start
    worker = ringbridge.Worker(prefix, wait=False, start_timeout=50.0)
    with fifo.open("w"):
        before = time.monotonic()
        del worker
        gc.collect()
        assert time.monotonic() - before < FAST_S


def test_an_interpreter_that_ends_meanwhile_does_not_wait(held_start: tuple[Path, Path]) -> None:
    prefix, fifo = held_start
    code = f"""
import ringbridge
worker = ringbridge.Worker({str(prefix)!r}, wait=False, start_timeout=50.0)
fifo = open({str(fifo)!r}, "w")
"""
    before = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - before < FAST_S


def test_a_forked_child_is_told_and_does_not_wait_for_ever(
    make_worker: MakeWorker, held_start: tuple[Path, Path]
) -> None:
    """The lock is held by a thread that the child does not have."""
    prefix, fifo = held_start
    worker = make_worker(prefix, wait=False)
    with fifo.open("w") as opened:
        assert in_child(lambda: worker.load("operator")) == "RingbridgeError"
        opened.write("go\n")
    assert worker.load("operator").neg(5) == -5


def in_child(use: Callable[[], object]) -> str:
    """The name of what it raises in a forked child, which ends after 20 s in any case."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(20)
        try:
            use()
        except Exception as error:
            os.write(write, type(error).__name__.encode())
        os._exit(0)
    os.close(write)
    with open(read) as said:
        name = said.read()
    os.waitpid(child, 0)
    return name


def test_a_host_that_only_wants_a_worker_loads_little() -> None:
    """What a start takes is loaded with it: in the background, where that was asked for."""
    code = """
import sys
before = set(sys.modules)
import ringbridge
ringbridge.Worker
print(*sorted(set(sys.modules) - before))
"""
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    late = {"dataclasses", "inspect", "subprocess", "socket", "json", "logging", "asyncio", "numpy"}
    assert "ringbridge.worker" in loaded
    assert not late & set(loaded)
    assert "ringbridge.launch" not in loaded
