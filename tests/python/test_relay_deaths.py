# SPDX-License-Identifier: MIT
"""Whatever ends first, a worker over ssh ends with all that is its own, and the host hears why."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rbr_testing.eventually import Gate, until
from rbr_testing.fixtures import MakeWorker
from rbr_testing.sshd import Sshd, descendants, exists

import ringbridge

HERE = Path(__file__).resolve().parent


class Parties:
    """The processes of a worker over ssh; a call of it runs."""

    def __init__(self, worker: ringbridge.Worker, gate: Gate) -> None:
        there = worker.load("rbr_testing.relayed")
        self.worker, self.far = there.family()
        assert worker.pid is not None
        self.near = worker.pid
        (self.ssh,) = [pid for pid in descendants(self.near) if pid != self.near]
        self.task = there.blocked.submit(gate.started, gate.release)
        gate.entered()

    def all_gone(self) -> None:
        for pid in (self.worker, self.far, self.near, self.ssh):
            until(lambda pid=pid: not exists(pid), f"the end of process {pid}")  # type: ignore[misc]


@pytest.fixture
def parties(over_ssh: MakeWorker, gate: Gate) -> Parties:
    return Parties(over_ssh(), gate)


def died(parties: Parties) -> ringbridge.WorkerDied:
    with pytest.raises(ringbridge.WorkerDied) as caught:
        parties.task.result(timeout=30)
    parties.all_gone()
    return caught.value


def test_a_worker_killed_there_is_told_with_its_signal(parties: Parties) -> None:
    os.kill(parties.worker, signal.SIGKILL)
    error = died(parties)
    assert error.signal == signal.SIGKILL and error.exit_code is None
    assert f"process {parties.worker} on box was killed by SIGKILL" in str(error)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_its_last_words_come_with_its_death(over_ssh: MakeWorker, number: int) -> None:
    with pytest.raises(ringbridge.WorkerDied, match="a last line on stderr") as caught:
        over_ssh().load("rbr_testing.relayed").print_and_die(int(number))
    assert caught.value.signal == number


def test_its_exit_code_is_told(over_ssh: MakeWorker) -> None:
    with pytest.raises(ringbridge.WorkerDied) as caught:
        over_ssh().load("rbr_testing.basics").exit_hard(17)
    assert caught.value.exit_code == 17 and caught.value.signal is None


def test_a_lost_connection_is_told_as_one(parties: Parties, sshd: Sshd) -> None:
    sshd.kill_sessions()
    error = died(parties)
    assert "the connection to box has ended" in str(error)
    assert "closed" in str(error)  # ssh's own words


def test_ssh_killed_here_is_told_as_a_lost_connection(parties: Parties) -> None:
    os.kill(parties.ssh, signal.SIGKILL)
    assert "the connection to box has ended (ssh was killed by SIGKILL)" in str(died(parties))


def test_the_relay_here_killed(parties: Parties) -> None:
    os.kill(parties.near, signal.SIGKILL)
    assert died(parties).signal == signal.SIGKILL


def test_the_relay_there_killed(parties: Parties) -> None:
    os.kill(parties.far, signal.SIGKILL)
    assert "the connection to box has ended" in str(died(parties))


HOST = """
import os, sys, ringbridge
worker = ringbridge.Worker(sys.argv[1], paths=[sys.argv[2]])
there = worker.load("rbr_testing.relayed")
print(os.getpid(), worker.pid, *there.family(), flush=True)
there.blocked(sys.argv[3], sys.argv[4])
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_host_that_is_killed_leaves_nothing_on_either_side(
    sshd: Sshd,
    over_ssh: MakeWorker,
    gate: Gate,
    start_process: Callable[..., subprocess.Popen[str]],
    number: int,
) -> None:
    command = [sys.executable, "-c", HOST, sshd.url(), str(HERE), gate.started, gate.release]
    process = start_process(*command, wait=False)
    assert process.stdout is not None
    pids = [int(word) for word in process.stdout.readline().split()]
    pids += descendants(pids[1])
    gate.entered()
    process.send_signal(number)
    process.wait(30)
    for pid in pids:
        until(lambda pid=pid: not exists(pid), f"the end of process {pid}")  # type: ignore[misc]
    until(lambda: not sshd.sessions(), "the end of the session")


def test_ctrl_c_in_a_hosts_terminal_interrupts_the_call_and_spares_the_worker(
    sshd: Sshd,
    over_ssh: MakeWorker,
    gate: Gate,
    start_process: Callable[..., subprocess.Popen[str]],
) -> None:
    code = f"""
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    {"    ".join(HOST.splitlines(keepends=True)).strip()}
except KeyboardInterrupt:
    print("interrupted", there.family()[0], flush=True)
"""
    command = [sys.executable, "-c", code, sshd.url(), str(HERE), gate.started, gate.release]
    process = start_process(*command, wait=False)
    assert process.stdout is not None
    worker = process.stdout.readline().split()[2]
    gate.entered()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to the whole group
    assert process.stdout.readline().split() == ["interrupted", worker]
    assert process.wait(30) == 0


def test_close_leaves_nothing_on_either_side(
    nothing_left: None, sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RINGBRIDGE_SSH", sshd.ssh)
    with ringbridge.Worker(sshd.url(), paths=[HERE]) as worker:
        pids = worker.load("rbr_testing.relayed").family()
        assert worker.pid is not None
        pids += descendants(worker.pid)
    for pid in pids:
        until(lambda pid=pid: not exists(pid), f"the end of process {pid}")  # type: ignore[misc]
    until(lambda: not sshd.sessions(), "the end of the session")


def test_close_amid_a_call_ends_it(parties: Parties, sshd: Sshd, over_ssh: MakeWorker) -> None:
    worker = parties.task._call.channel.owner()
    worker.close()
    with pytest.raises(ringbridge.RingbridgeError):
        parties.task.result(timeout=30)
    parties.all_gone()


def test_a_worker_that_died_is_replaced_over_a_new_connection(
    over_ssh: MakeWorker,
) -> None:
    worker = over_ssh(restart="on-crash")
    there = worker.load("rbr_testing.relayed")
    before = there.family()
    os.kill(before[0], signal.SIGKILL)
    until(lambda: worker.restarts == 1, "its successor")
    after = there.family()
    assert not set(before) & set(after)


def test_a_lost_connection_is_replaced_too(over_ssh: MakeWorker, sshd: Sshd) -> None:
    worker = over_ssh(restart="on-crash")
    there = worker.load("rbr_testing.relayed")
    before = there.family()
    sshd.kill_sessions()
    until(lambda: worker.restarts == 1, "its successor")
    assert not set(before) & set(there.family())


def test_restart_by_hand(over_ssh: MakeWorker) -> None:
    worker = over_ssh()
    there = worker.load("rbr_testing.relayed")
    before = there.family()
    worker.restart()
    assert not set(before) & set(there.family())
    assert not any(map(exists, before[:1]))
