# SPDX-License-Identifier: MIT
"""Workers over ssh that do not read, slow lines, both directions full: memory has a bound, nothing
hangs, and a cancel comes through."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rbr_testing import throttle
from rbr_testing.eventually import Gate, until
from rbr_testing.fixtures import MakeWorker
from rbr_testing.sshd import Sshd

import ringbridge

HERE = Path(__file__).resolve().parent
MIB = 1 << 20


def memory(pid: int, which: str) -> int:
    """Bytes of this process: RssAnon its own, RssShmem what it shares."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(which + ":"):
            return int(line.split()[1]) * 1024
    return 0


class Watch:
    """The most memory that the relays took while it looked."""

    def __init__(self, near: int | None, far: int) -> None:
        assert near is not None
        self._pids = (near, far)
        self._over = threading.Event()
        self.own = self.shared = 0  # shared: by the far one; the near one has all of the host's
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._over.wait(0.01):
            self.own = max(self.own, *(memory(pid, "RssAnon") for pid in self._pids))
            self.shared = max(self.shared, memory(self._pids[1], "RssShmem"))

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()


@pytest.mark.seconds(120)
def test_a_stopped_worker_fills_no_relay(over_ssh: MakeWorker) -> None:
    worker = over_ssh()
    there = worker.load("rbr_testing.relayed")
    pid, far = there.family()
    array = np.arange(MIB, dtype="f8")  # 8 MiB, 60 times
    results: list[int] = []

    def submit() -> None:
        tasks = [there.size_of.submit(array) for _ in range(60)]
        results.extend(task.result() for task in tasks)

    with Watch(worker.pid, far) as watch:
        os.kill(pid, signal.SIGSTOP)
        thread = threading.Thread(target=submit)
        thread.start()
        until(lambda: memory(far, "RssShmem") > 7 * MIB, "the first of them over there")
        thread.join(2.0)  # as much of it as goes
        assert thread.is_alive()
        os.kill(pid, signal.SIGCONT)
        thread.join(60)
    assert results == [MIB] * 60
    assert watch.own < 100 * MIB, watch.own >> 20
    assert watch.shared < 160 * MIB, watch.shared >> 20  # of 480 MiB


@pytest.mark.seconds(120)
def test_both_directions_full_at_once(over_ssh: MakeWorker) -> None:
    worker = over_ssh()
    echo = worker.load("rbr_testing.basics").echo
    _pid, far = worker.load("rbr_testing.relayed").family()
    wrong: list[Any] = []

    def work(number: int) -> None:
        array = np.full(512 * 1024, number, "f8")  # 4 MiB
        tasks = [echo.submit(array) for _ in range(15)]
        wrong.extend(task for task in tasks if not np.array_equal(task.result(), array))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    with Watch(worker.pid, far) as watch:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(100)
    assert not wrong and not any(thread.is_alive() for thread in threads)
    assert watch.own < 120 * MIB, watch.own >> 20


def test_a_flood_of_small_calls_to_a_busy_worker(over_ssh: MakeWorker, gate: Gate) -> None:
    worker = over_ssh()
    duties = worker.load("rbr_testing.duties")
    _pid, far = worker.load("rbr_testing.relayed").family()
    with Watch(worker.pid, far) as watch:
        held = duties.pass_on.submit(gate.started, gate.release, 5)
        gate.entered()
        tasks = [duties.number.submit(number) for number in range(30_000)]
        gate.open()
        assert [task.result() for task in tasks] == list(range(30_000))
    assert held.result() == 5
    assert watch.own < 100 * MIB, watch.own >> 20


def test_a_stream_that_is_not_read_stays_there(over_ssh: MakeWorker) -> None:
    worker = over_ssh()
    there = worker.load("rbr_testing.relayed")
    with there.pieces.stream(1000, MIB) as stream:  # 4 MiB each
        assert (next(stream) == 0).all()
        assert there.size_of("other calls go on") == 17
        assert worker.stats()["peer_blocks"] < 20
        assert (next(stream) == 1).all()


@pytest.fixture
def slow(over_ssh: MakeWorker, sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> MakeWorker:
    """Over a line of 4 MiB a second."""
    proxy = shlex.join([sys.executable, throttle.__file__, "127.0.0.1", str(sshd.port)])
    command = [*shlex.split(sshd.ssh), f"-oProxyCommand={proxy} {4 * MIB}"]
    monkeypatch.setenv("RINGBRIDGE_SSH", shlex.join(command))
    return lambda env=None, **options: over_ssh(
        env or sshd.url(), **{"start_timeout": 40.0, **options}
    )


@pytest.mark.seconds(120)
def test_a_cancel_comes_through_a_slow_line_amid_a_large_array(
    slow: MakeWorker, fifo: Path
) -> None:
    worker = slow()
    there, duties = worker.load("rbr_testing.relayed"), worker.load("rbr_testing.duties")
    running = duties.sleep_long.submit(str(fifo))
    fifo.open().close()
    large = there.size_of.submit(np.zeros(40 * MIB, "u1"))  # takes ten seconds
    running.cancel(grace=16.0)  # interrupted after a quarter of it
    with pytest.raises(ringbridge.Cancelled):
        running.result(timeout=60)
    assert not large.done()
    assert large.result(timeout=90) == 40 * MIB


@pytest.mark.seconds(120)
def test_close_does_not_wait_for_a_slow_line(slow: MakeWorker, sshd: Sshd) -> None:
    worker = slow()
    large = worker.load("rbr_testing.relayed").size_of.submit(np.zeros(200 * MIB, "u1"))
    worker.close()
    with pytest.raises(ringbridge.RingbridgeError):
        large.result(timeout=30)
    until(lambda: not sshd.sessions(), "the end of the session")
