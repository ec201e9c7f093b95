# SPDX-License-Identifier: MIT
"""Workers that stop, starve or lie: an error, never a crash or a wait beyond the timeout.

Each test tells what once went wrong. What needs no Python is tested in tests/c/test_hostile.c.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rbr_testing.fixtures import MakeWorker

import ringbridge
from ringbridge import _core

HERE = Path(__file__).resolve().parent

# ------------------------------------------------------------------------------ stopped workers


@pytest.fixture
def stopped(make_worker: MakeWorker) -> Iterator[tuple[int, ringbridge.RemoteModule]]:
    """A worker that is alive and does nothing: its number, and what is loaded in it."""
    worker = make_worker()
    module = worker.load("rbr_testing.faults")
    assert module.add(1, 2) == 3 and worker.pid is not None
    os.kill(worker.pid, signal.SIGSTOP)
    yield worker.pid, module
    os.kill(worker.pid, signal.SIGCONT)


def test_an_array_for_a_stopped_worker_keeps_the_calls_timeout(
    stopped: tuple[int, ringbridge.RemoteModule],
) -> None:
    """New memory waits until the worker has mapped it, and that wait had no deadline."""
    np = pytest.importorskip("numpy")
    pid, module = stopped
    array = np.arange(1 << 17)
    started = time.monotonic()
    with pytest.raises(ringbridge.CallTimeout):
        module.length.options(timeout=0.3)(array)
    assert 0.3 <= time.monotonic() - started < 10.0
    os.kill(pid, signal.SIGCONT)
    assert module.length(array) == len(array)
    assert (module.echo(array) == array).all()


def test_many_timeouts_of_a_stopped_worker_stay_short(
    stopped: tuple[int, ringbridge.RemoteModule],
) -> None:
    """Each timeout sends a cancel. When these had filled the control socket, each of them waited
    a second for room there, with the GIL: a minute and more for all of these."""
    pid, module = stopped
    add = module.add.options(timeout=0.002)
    started = time.monotonic()
    for i in range(400):
        with pytest.raises(ringbridge.CallTimeout):
            add(i, i)
    assert time.monotonic() - started < 20.0
    os.kill(pid, signal.SIGCONT)
    assert module.add(1, 2) == 3
    module.length(b"x" * (1 << 20))  # new memory: the control socket works, too


# --------------------------------------------------------------------------------- lying workers

# In a process of its own: what went wrong there was often its end.
HOST = """
import sys
import ringbridge
with ringbridge.Worker(sys.executable, name="liar", paths=[sys.argv[1]]) as worker:
    module = worker.load("rbr_testing.hostile")
    {steps}
"""


def _run_host(steps: str) -> list[str]:
    """What the steps print, line by line; they must end well."""
    script = HOST.format(steps=steps.strip().replace("\n", "\n    "))
    ended = subprocess.run(
        [sys.executable, "-c", script, str(HERE)], capture_output=True, text=True, timeout=50
    )
    assert ended.returncode == 0, f"exit code {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout.splitlines()


LIE = """
import os, signal
import numpy as np
kept = {value}
try:
    print("got", repr(module.forge.options(timeout=20)({old!r}, {new!r})))
except ringbridge.RingbridgeError as error:
    print(type(error).__name__, error)
os.kill(worker.pid, signal.SIGKILL)  # it sleeps
"""


def _told(value: str, old: bytes, new: bytes) -> str:
    return _run_host(LIE.format(value=value, old=old, new=new))[0]


def test_a_forged_answer_reaches_the_host_at_all() -> None:
    """Without this, the lies below might be refused for another reason."""
    pytest.importorskip("numpy")
    assert _told('module.echo("a lie")', b"a lie", b"trust") == "got 'trust'"
    told = _told('module.echo(np.array([7], "M8[25s]"))', b"25s", b"45s")
    assert told.startswith("got array(") and "datetime64[45s]" in told


@pytest.mark.parametrize("unit", [b"s/0", b"00s", b"0/s", b"s]x"])
def test_a_unit_that_numpy_would_divide_by_zero_with_is_refused(unit: bytes) -> None:
    """numpy computes with the numbers in a datetime's unit unseen: "s/0" ended the host with
    SIGFPE."""
    pytest.importorskip("numpy")
    told = _told('module.echo(np.array([7], "M8[25s]"))', b"25s", unit)
    assert told.startswith("ProtocolError")


@pytest.mark.parametrize("stride", [-(1 << 62), -(1 << 63), (1 << 63) - 1, 1 << 40])
def test_a_stride_that_leaves_the_payload_is_refused(stride: int) -> None:
    """Two steps of -2**62 are INT64_MIN, whose negation overflowed: undefined, found by UBSan."""
    pytest.importorskip("numpy")
    old, new = ((number).to_bytes(8, "little", signed=True) for number in (-32768, stride))
    told = _told("module.backwards()", old, new)
    assert told.startswith("ProtocolError")


WORKER = """
import sys
sys.executable = "\\u00e9" * 200
from ringbridge import serve
serve.main(int(sys.argv[1]), {})
"""


def test_a_peers_text_that_is_not_utf8_is_shown_all_the_same() -> None:
    """A path longer than our room was cut in the middle of a character: UnicodeDecodeError, and
    no worker of that environment could be started."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        child = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(theirs.fileno())], pass_fds=[theirs.fileno()]
        )
    channel = _core.Channel(
        ours.detach(), child.pid, -1, -1, name="cut", ring_bytes=0, arena_bytes=0, memory=0
    )
    try:
        channel.handshake(30.0)
        assert channel.peer["executable"].startswith("\u00e9" * 127)
        assert channel.peer["pid"] == child.pid
        channel.say_goodbye()
        assert channel.wait_end(30.0) == (True, False, 0, False)
    finally:
        channel.kill(signal.SIGKILL, False)
        channel.close()
        child.returncode = 0  # the channel has reaped it


# ------------------------------------------------------------------------------- starving hosts

NO_DESCRIPTORS = """
import os, resource
module.echo(1)
before = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, before[1]))
held = []
try:
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
try:
    print(len(module.zeros(1 << 20)))
except Exception as error:
    print(isinstance(error, MemoryError), type(error).__name__, error)
print(module.echo("alive"))
for fd in held:
    os.close(fd)
print(len(module.zeros(1 << 20)))
"""


def test_a_host_without_descriptors_refuses_new_memory_and_works_on() -> None:
    """The worker's offer arrived without its descriptor, which counted as a breach of the
    protocol: the worker was lost for good."""
    pytest.importorskip("numpy")
    refused, alive, later = _run_host(NO_DESCRIPTORS)
    assert refused.startswith("True ArenaFull") and "could not map" in refused
    assert (alive, later) == ("alive", str(1 << 20))


def test_a_frame_that_is_too_large_for_the_arena_names_the_limit(make_worker: MakeWorker) -> None:
    """An array that did not fit said by how much; a list said "the arena is full", no more."""
    module = make_worker(limits={"arena_bytes": 1 << 20}).load("rbr_testing.faults")
    with pytest.raises(ringbridge.ArenaFull, match=f"the limit is {1 << 20} bytes"):
        module.length([float(i) for i in range(200_000)])
    assert module.add(1, 2) == 3
