# SPDX-License-Identifier: MIT
"""Processes that run out of descriptors, and peers that send some that nobody asked for.

python -m rbr_testing.descriptors few FREE    a host that may open FREE more: starts, calls, grows
python -m rbr_testing.descriptors stray N...  peers whose Hello brings N descriptors
python -m rbr_testing.descriptors later N...  peers that send N when the channel is open

A program that ends with code 0 saw only what was promised.
"""

from __future__ import annotations

import array
import errno
import logging
import os
import random
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import ringbridge
from rbr_testing import faults, rounds
from ringbridge import _core

HERE = Path(__file__).resolve().parent.parent
LARGE = 3 << 20
SHORT = ("Too many open files", "could not map")  # what an error for want of descriptors says


def start() -> ringbridge.Worker:
    return ringbridge.Worker(sys.executable, name="few", paths=[HERE], call_timeout=30)


def possessions() -> tuple[list[str], int, list[str]]:
    """Descriptors, threads, children."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    return (
        sorted(map(os.readlink, filter(os.path.islink, links))),
        threading.active_count(),
        children,
    )


def outcome(attempt: Callable[[], object]) -> str:
    """ "" when it went well, else the error's text, which must name what is short."""
    try:
        attempt()
    except (OSError, ringbridge.WorkerStartFailed, ringbridge.ArenaFull) as error:
        assert any(reason in str(error) for reason in SHORT), error
        if type(error) is OSError:
            assert error.errno == errno.EMFILE, error
        else:
            assert "ulimit -n" in str(error), error
        return str(error)
    return ""


def check_length(module: ringbridge.RemoteModule) -> None:
    assert module.length(memoryview(bytes(LARGE))) == LARGE


def check_pattern(module: ringbridge.RemoteModule) -> None:
    assert bytes(module.pattern(LARGE, 7)) == b"\7" * LARGE


def start_with(free: int) -> str:
    before = possessions()

    def attempt() -> None:
        with start() as worker:
            assert worker.load("rbr_testing.faults").add(1, 2) == 3

    faults.hold_descriptors(free)
    refused = outcome(attempt)
    faults.let_go_descriptors()
    assert possessions() == before, (before, possessions())
    return refused


def open_with(free: int) -> bool:
    """Only the channel: whether it was refused. It needs two, one of them to watch the child."""
    before = possessions()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channels: list[_core.Channel] = []

    def attempt() -> None:
        channels.append(_core.Channel(ours.detach(), child.pid, -1, -1, name="few"))

    with theirs, subprocess.Popen(["sleep", "60"]) as child:
        faults.hold_descriptors(free)
        refused = outcome(attempt)
        faults.let_go_descriptors()
        child.kill()
        for channel in channels:
            channel.close()
    assert possessions() == before, (before, possessions())
    return bool(refused)


def grow_with(free: int, check: Callable[[ringbridge.RemoteModule], None], here: bool) -> str:
    """Grows an arena while one side, this host or the worker, is short of descriptors."""
    before = possessions()
    with start() as worker:
        module = worker.load("rbr_testing.faults")
        ours, theirs = len(possessions()[0]), module.let_go_descriptors()
        side = faults if here else module
        side.hold_descriptors(free)
        refused = outcome(lambda: check(module))
        assert module.add(free, 1) == free + 1
        side.let_go_descriptors()
        check(module)
        assert len(possessions()[0]) == ours
        assert module.let_go_descriptors() == theirs
    assert possessions() == before, (before, possessions())
    return refused


def few(free: int) -> None:
    start().close()  # what a first start imports and keeps is no leak
    assert open_with(free) == (free < 2)
    refused = [bool(start_with(free))]
    for check in (check_length, check_pattern):
        for here in (True, False):
            refused.append(bool(grow_with(free, check, here)))
    # None left: everything that needs one is refused. Enough: nothing is.
    assert free > 0 or all(refused), refused
    assert free < 12 or not any(refused), refused
    print(sum(refused))


# ------------------------------------------------------------------------------ stray descriptors


def real_hello() -> bytes:
    """What a worker says first."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    code = "import sys; from ringbridge import serve; serve.main(int(sys.argv[1]), {})"
    command = [sys.executable, "-c", code, str(theirs.fileno())]
    with ours, theirs, subprocess.Popen(command, pass_fds=[theirs.fileno()]) as worker:
        hello = ours.recv(65536)
        worker.kill()
    return hello


def send_with(sender: socket.socket, message: bytes, descriptors: list[int]) -> None:
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
    while True:
        try:
            sender.sendmsg([message], [rights] if descriptors else [])
            return
        except BlockingIOError:  # the peer has yet to read the last one
            select.select([], [sender], [], 1.0)


def greet(message: bytes, count: int) -> str:
    """A host whose peer says this, with so many descriptors: the name of what it raises."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs, open(os.devnull) as stray:
        channel = _core.Channel(ours.detach(), 0, -1, -1, name="stray")
        send_with(theirs, message, [stray.fileno()] * count)
        try:
            channel.handshake(0.02)
        except ringbridge.RingbridgeError as error:
            return type(error).__name__
        finally:
            channel.close()
    raise AssertionError("the handshake went well")


def stray(counts: list[int]) -> None:
    hello = real_hello()
    rng = random.Random(rounds.seed())
    greet(hello, 0)
    before = possessions()
    for count in counts:
        # One is let go of, and the handshake goes on; nobody answers, though.
        allowed = "CallTimeout" if count < 2 else "ProtocolError"
        assert greet(hello, count) == allowed, count
        assert greet(rng.randbytes(rng.randrange(1, 300)), count) == "ProtocolError", count
        assert possessions() == before, (count, possessions())
        # With hardly any left, fewer arrive, or none.
        faults.hold_descriptors(10 + rng.randrange(13))
        greet(hello, count)
        faults.let_go_descriptors()
        assert possessions() == before, (count, possessions())


def control_socket() -> socket.socket:
    """A copy of this process's end of its only channel."""
    for name in os.listdir("/proc/self/fd"):
        link = f"/proc/self/fd/{name}"
        if os.path.islink(link) and os.readlink(link).startswith("socket:"):
            found = socket.socket(fileno=os.dup(int(name)))
            if found.type == socket.SOCK_SEQPACKET:
                return found
            found.close()
    raise LookupError("no control socket")


def hear_no_control_message() -> None:
    """From now on, a control message to this process is as one to a process that is dead."""
    with control_socket() as control:
        control.shutdown(socket.SHUT_RD)


def send_strays(message: bytes, count: int) -> int:
    """To the peer, whoever that is. Gives how many descriptors this process has open."""
    with control_socket() as control, open(os.devnull) as stray:
        send_with(control, message, [stray.fileno()] * count)
    return len(os.listdir("/proc/self/fd")) - 1


def send_later(message: bytes, count: int, here: bool) -> None:
    before = possessions()
    with start() as worker:
        module = worker.load("rbr_testing.descriptors")
        open_then = module.send_strays(message, 0), len(possessions()[0])
        until = time.monotonic() + 10
        try:
            for _ in range(5):
                assert (send_strays if here else module.send_strays)(message, count)
            # A watcher may hold one for a moment, or not have looked yet.
            while count > 1 or (module.send_strays(message, 0), len(possessions()[0])) != open_then:
                assert time.monotonic() < until, "descriptors are kept, or more than one borne with"
                module.send_strays(message, 0)
        except (ringbridge.ProtocolError, ringbridge.WorkerDied, BrokenPipeError) as error:
            assert count >= 2, error
    assert possessions() == before, (before, possessions())


def later(counts: list[int]) -> None:
    hello = real_hello()  # right, but out of place
    logging.getLogger("ringbridge").addHandler(logging.NullHandler())  # workers say why they end
    start().close()
    for count in counts:
        for here in (True, False):
            send_later(hello, count, here)


if __name__ == "__main__":
    if sys.argv[1] == "few":
        few(int(sys.argv[2]))
    elif sys.argv[1] == "later":
        later([int(each) for each in sys.argv[2:]])
    else:
        stray([int(each) for each in sys.argv[2:]])
