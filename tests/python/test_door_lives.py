# SPDX-License-Identifier: MIT
"""How the door of a served application opens and closes, once and again, and in a forked child."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rbr_testing.doors import ABOUT_KNOCK, Room, answers, knocked, said, visitor
from rbr_testing.eventually import until

import ringbridge
from ringbridge import rendezvous
from ringbridge.door import Door


@pytest.fixture
def address(runtime_folder: Path) -> rendezvous.Address:
    return rendezvous.address_of("map", os.getpid())


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture
def door(address: rendezvous.Address, room: Room, nothing_left: None) -> Iterator[Door]:
    made = Door(address, room)
    made.start()
    yield made
    made.stop()


def open_inodes() -> set[int]:
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one that listdir itself had open
            found.add(os.fstat(int(fd)).st_ino)
    return found


def test_stopping_takes_the_address_away_and_sends_the_waiting_away(
    door: Door, address: rendezvous.Address
) -> None:
    waiting = visitor(address)
    until(lambda: door._visitors)
    door.stop()
    assert not os.path.exists(address.path)
    assert said(waiting)["refused"] == "this server has stopped"
    assert "ringbridge door" not in {each.name for each in threading.enumerate()}
    door.stop()
    door.start()
    assert answers(address)


def test_it_may_be_stopped_on_its_own_thread(
    door: Door,
    address: rendezvous.Address,
    room: Room,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    thread = door._thread
    assert thread is not None
    monkeypatch.setattr(room, "welcome", lambda _knock, sock: (sock.close(), door.stop()))
    knocked(address)[1].close()
    thread.join(20.0)
    assert not thread.is_alive() and not os.path.exists(address.path)


def test_a_name_is_served_once_by_a_process(
    door: Door, address: rendezvous.Address, room: Room
) -> None:
    second = Door(address, room)
    with pytest.raises(ringbridge.RingbridgeError, match="this process serves as 'map' already"):
        second.start()
    second.stop()
    assert answers(address)


def test_what_an_earlier_process_with_our_pid_left_is_replaced(
    door: Door, address: rendezvous.Address
) -> None:
    door.stop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as earlier:
        earlier.bind(address.path)
    door.start()
    assert answers(address)


def test_a_forked_child_leaves_its_parents_door_alone(
    door: Door, address: rendezvous.Address
) -> None:
    waiting = visitor(address)
    until(lambda: door._visitors)
    sockets = [door._listener, *(each.sock for each in door._visitors)]
    ours = {os.fstat(each.fileno()).st_ino for each in sockets}
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            door.stop()
            os.write(told, b"%d" % len(ours & open_inodes()))
        os._exit(0)
    os.waitpid(child, 0)
    os.close(told)
    with open(ready, "rb") as report:
        assert report.read() == b"0", "its copies keep clients of a dead application waiting"
    assert len(ours & open_inodes()) == 2
    waiting.send(ABOUT_KNOCK)
    assert "ok" in said(waiting)
    assert answers(address) and os.path.exists(address.path)


def test_a_start_that_fails_leaves_nothing(
    address: rendezvous.Address, room: Room, nothing_left: None
) -> None:
    """The selector was made on the door's thread: which ended then, and nobody was told."""
    door = Door(address, room)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = socket.socket()  # the lowest number that is free; each turn allows one more
    lowest = free.fileno()
    free.close()
    for limit in range(lowest, lowest + 4):
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                door.start()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert not os.path.exists(address.path)
    door.start()
    assert answers(address)
    door.stop()
