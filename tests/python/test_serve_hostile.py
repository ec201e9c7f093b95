# SPDX-License-Identifier: MIT
"""Clients that lie, starve or die: their application goes on, and nothing of them stays.

What they say at the door is test_door.py's.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rbr_testing.eventually import until
from rbr_testing.served import DUTIES, TESTS, Application, application, client, said
from rbr_testing.served_hostile import unowned

import ringbridge
from ringbridge import _core, rendezvous

FRAMES = 1000
SEED = int(os.environ.get("RBR_SEED", "9"))


@pytest.fixture
def app(runtime_folder: Path) -> Iterator[Application]:
    """An application that must be as it was when the test is over."""
    with application(name="victim", clients_max=16) as there:
        first = there.connect()
        duties = first.load(DUTIES)
        assert duties.add(1) == 2
        with contextlib.suppress(ModuleNotFoundError):  # numpy starts threads
            assert duties.total(duties.filled(10, 1)) == 10
        before = held_by(there.pid)
        yield there
        assert duties.add(2) == 3
        assert first.stats()["late_looks"] == 0
        until(lambda: first.about()["clients"] == 1, "the others' end")
        until(lambda: held_by(there.pid) == before, f"what it held before: {before}")
        first.close()
        assert '"threads": []' in there.stop()


def held_by(pid: int) -> tuple[int, int, int]:
    """Descriptors, threads and mappings of shared memory."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    return (
        len(os.listdir(f"/proc/{pid}/fd")),
        len(os.listdir(f"/proc/{pid}/task")),
        maps.count("/memfd:ringbridge"),
    )


def knocked(app: Application, number: int) -> int:
    """A socket that the application takes for a lane of a new client."""
    address = rendezvous.address_of(app.name, app.pid)
    lane = {"lane": "main", "client": f"{number:032x}", "name": "liar"}
    sockets: list[socket.socket] = []

    def is_let_in() -> bool:
        with contextlib.suppress(ringbridge.HostRefused):  # those before us are still leaving
            sockets.append(rendezvous.knock(address, "lane", timeout_s=30, **lane)[1])
        return bool(sockets)

    until(is_let_in, "a place among the clients")
    return sockets[0].detach()


def hostile(*words: object) -> str:
    program = [sys.executable, "-m", "rbr_testing.served_hostile", *map(str, words)]
    done = subprocess.run(program, cwd=TESTS, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.seconds(240)
def test_a_thousand_bad_frames_end_their_own_channels_alone(app: Application, golden: Path) -> None:
    sent, ended = map(int, hostile("frames", app.name, golden, FRAMES, SEED).split())
    assert sent == ended == FRAMES


@pytest.mark.seconds(240)
def test_a_header_that_changes_while_it_is_used_harms_nobody_else(app: Application) -> None:
    hostile("scribble", app.name, 30, SEED)


def test_a_handshake_of_random_bytes_is_no_client(app: Application) -> None:
    chance = random.Random(SEED)
    for number in range(200):
        with socket.socket(fileno=knocked(app, number + 1)) as peer:
            peer.settimeout(30)
            hello = peer.recv(1 << 16)
            answer = bytearray(hello) if number % 2 else bytearray(chance.randbytes(200))
            for _ in range(chance.randrange(1, 8)):
                answer[chance.randrange(len(answer))] = chance.getrandbits(8)
            peer.send(answer)
            while peer.recv(1 << 16):  # until the application has closed it
                continue


def test_memory_that_could_shrink_is_refused(app: Application) -> None:
    dummy = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    channel = _core.Channel(knocked(app, 1), dummy.pid, -1, -1, name="liar", memory=1)
    with pytest.raises(ringbridge.RingbridgeError):
        channel.handshake(30.0)
    channel.close()
    dummy.communicate(timeout=30)


def test_rings_that_are_too_large_are_refused(app: Application) -> None:
    with pytest.raises(ringbridge.RingbridgeError):
        app.connect(limits={"ring_bytes": 64 << 20})


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_clients_that_end_or_stop_amid_arrays_leave_nothing(
    app: Application, how: signal.Signals
) -> None:
    pytest.importorskip("numpy")
    chance = random.Random(SEED)
    for _ in range(8):
        with client("arrays", app) as other:
            assert said(other) == "begun"
            time.sleep(chance.uniform(0.0, 0.2))
            other.send_signal(how)
            with app.connect(call_timeout=30) as there:
                assert there.load(DUTIES).add(1) == 2


def test_a_client_that_ends_with_its_answers_unread_leaves_nothing(app: Application) -> None:
    for _ in range(3):
        with client("flood", app) as other:
            assert said(other) == "stopped"
            with app.connect(call_timeout=30) as there:
                add = there.load(DUTIES).add
                assert [add(number) for number in range(100)] == list(range(1, 101))


def test_a_flood_while_a_call_waits_for_its_client_is_bounded(app: Application) -> None:
    """What the application reads meanwhile stands in its memory."""
    with app.connect() as there:
        duties = there.load(DUTIES)
        size = unowned(there, "size", 40)
        argument = [("abcdefgh", number) for number in range(400)]  # all of it in the frame

        def flood(_value: int) -> None:
            # Another thread's calls are not part of the one that waits for us: they stand in line.
            with concurrent.futures.ThreadPoolExecutor(1) as other:
                flooding = other.submit(lambda: [size.submit(argument) for _ in range(20_000)])
                with pytest.raises(ringbridge.WorkerDied):
                    flooding.result(40)
            until(lambda: not there.alive, "the end that the application makes of it")

        with pytest.raises(ringbridge.WorkerDied, match="closed the channel"):
            duties.each(flood, 1)
