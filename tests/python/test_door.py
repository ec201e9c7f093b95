# SPDX-License-Identifier: MIT
"""The door of a served application: who is let in, who is not, and that it stands whoever comes."""

from __future__ import annotations

import array
import contextlib
import json
import logging
import os
import random
import resource
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rbr_testing.doors import (
    ABOUT_KNOCK,
    CLIENT,
    LANE,
    Room,
    answers,
    knocked,
    refusal,
    said,
    visitor,
)
from rbr_testing.eventually import until

import ringbridge
from ringbridge import door as door_module
from ringbridge import rendezvous
from ringbridge.door import Door, Knock

NOBODY = 65534
FAR = time.monotonic() + 3600.0

pytestmark = pytest.mark.usefixtures("runtime_folder")


@pytest.fixture
def address(runtime_folder: Path) -> rendezvous.Address:
    return rendezvous.address_of("map", os.getpid())


@pytest.fixture
def room() -> Iterator[Room]:
    made = Room()
    yield made
    while not made.arrived.empty():
        made.arrived.get()[1].close()


@pytest.fixture
def opened(
    address: rendezvous.Address, room: Room, nothing_left: None
) -> Iterator[Callable[..., Door]]:
    with contextlib.ExitStack() as stack:

        def made(**options: str) -> Door:
            door = Door(address, room, **options)
            door.start()
            stack.callback(door.stop)
            return door

        yield made


def lane_knock(**fields: object) -> bytes:
    return json.dumps({"ringbridge": 1, "want": "lane", **LANE, **fields}).encode()


def test_a_client_is_welcomed_after_it_was_told_ok(
    opened: Callable[..., Door], address: rendezvous.Address, room: Room
) -> None:
    opened()
    told, ours = knocked(address, lane="thread")
    assert told == {"name": "map", "pid": os.getpid()}
    ours.send(b"the channel's first word")
    knock, theirs = room.arrived.get(timeout=20.0)
    assert knock == Knock("thread", CLIENT, "a test", os.getpid(), os.geteuid())
    assert (ours.gettimeout(), theirs.gettimeout()) == (None, None)
    assert theirs.recv(100) == b"the channel's first word"
    theirs.close()
    ours.close()


def test_only_this_user_may_open_the_socket(
    opened: Callable[..., Door], address: rendezvous.Address
) -> None:
    before = os.umask(0)
    try:
        opened()
    finally:
        os.umask(before)
    assert os.lstat(address.path).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("speaks", [True, False])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
def test_another_user_is_refused_before_a_word(
    opened: Callable[..., Door],
    address: rendezvous.Address,
    runtime_folder: Path,
    room: Room,
    speaks: bool,
) -> None:
    opened()
    for each in (runtime_folder, runtime_folder / "ringbridge", Path(address.path)):
        each.chmod(0o777)
    ended, told = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.setresuid(NOBODY, NOBODY, NOBODY)
            sock = visitor(address)
            answer = rendezvous._ask(sock, lane_knock(), FAR) if speaks else sock.recv(1000)
            os.write(told, answer)
        os._exit(0)
    os.close(told)
    with open(ended, "rb") as answers_:
        reason = json.loads(answers_.read())["refused"]
    os.waitpid(child, 0)
    assert reason == f"it serves user 0 only, and you are {NOBODY}"
    assert room.arrived.empty()


def test_a_token_is_asked_of_lanes_alone(
    opened: Callable[..., Door], address: rendezvous.Address, room: Room
) -> None:
    opened(token="sésame")
    for token in ("", "sesame", "sésam", "sésame ", "\ud800"):
        with pytest.raises(ringbridge.HostRefused, match=r"refuses: wrong token$"):
            knocked(address, token=token)
    for absent in ({}, {"token": None}, {"token": ["sésame"]}):
        with pytest.raises(ringbridge.HostRefused, match="wants a token"):
            knocked(address, **absent)
    assert room.arrived.empty()
    assert answers(address)
    knocked(address, token="sésame")[1].close()
    knock, theirs = room.arrived.get(timeout=20.0)
    theirs.close()
    assert knock.client == CLIENT


def test_the_servers_own_reason_is_told(
    opened: Callable[..., Door], address: rendezvous.Address, room: Room
) -> None:
    opened()
    room.reason = "64 clients are here already"
    with pytest.raises(ringbridge.HostRefused, match=r"map \(pid \d+\) refuses: 64 clients are"):
        knocked(address)
    assert room.arrived.empty()


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"\xff", "this is no knock of ringbridge"),
        (b"GET / HTTP/1.1\r\n\r\n", "this is no knock of ringbridge"),
        (b"[]", "this is no knock of ringbridge"),
        (b"[" * (16 << 10), "this is no knock of ringbridge"),
        (b'{"ringbridge": true, "want": "about"}', "this is no knock of ringbridge"),
        (b'{"ringbridge": 1}', "unknown want: it knows about, lane"),
        (b'{"ringbridge": 1, "want": ["about"]}', "unknown want: it knows about, lane"),
        (ABOUT_KNOCK + b" " * (16 << 10), "a knock has at most 16384 bytes"),
        (lane_knock(lane="other"), "unknown lane: it has main, thread"),
        (lane_knock(lane={}), "unknown lane: it has main, thread"),
        (lane_knock(client=CLIENT[1:]), "a client's id has 32 hexadecimal digits"),
        (lane_knock(client=CLIENT + "\n"), "a client's id has 32 hexadecimal digits"),
        (lane_knock(client=1), "a client's id has 32 hexadecimal digits"),
        (lane_knock(name=None), "a client says its name"),
        (
            b'{"ringbridge": 7, "version": "9.9", "want": "about"}',
            f"it speaks version 1 of the knock (ringbridge {ringbridge.__version__}), and you "
            "speak 7 (ringbridge 9.9): install the same ringbridge on both sides",
        ),
    ],
)
def test_what_is_no_knock_is_refused_with_the_reason(
    opened: Callable[..., Door], address: rendezvous.Address, message: bytes, reason: str
) -> None:
    opened()
    assert refusal(address, message) == reason


def test_a_thousand_malformed_knocks_leave_the_door_as_it_was(
    opened: Callable[..., Door], address: rendezvous.Address, room: Room
) -> None:
    opened()
    seed = int(os.environ.get("RBR_SEED", random.randrange(1 << 32)))
    print(f"RBR_SEED={seed}")
    generator = random.Random(seed)
    open_before = len(os.listdir("/proc/self/fd"))
    for _ in range(1000):
        message = bytearray(generator.choice([ABOUT_KNOCK, lane_knock()]))
        for _ in range(generator.randint(1, 8)):
            message[generator.randrange(len(message))] = generator.randrange(256)
        with visitor(address) as sock:
            sock.send(message[: generator.randint(1, len(message))])
            answer = json.loads(sock.recv(rendezvous.ANSWER_BYTES_MAX + 1))
            assert answer["ringbridge"] == 1 and ("ok" in answer) != ("refused" in answer)
    while not room.arrived.empty():  # a name may be malformed and still be a name
        room.arrived.get()[1].close()
    assert answers(address)
    until(lambda: len(os.listdir("/proc/self/fd")) <= open_before, "all are closed")


def test_stray_descriptors_are_closed(
    opened: Callable[..., Door], address: rendezvous.Address
) -> None:
    opened()
    read, write = os.pipe()
    fds = array.array("i", [write] * 253)  # as many as one datagram can carry
    with visitor(address) as sock:
        sock.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        os.close(write)
        assert b"refused" in sock.recv(1000)
    assert os.read(read, 1) == b"", "nobody has the other end any more"
    os.close(read)


def test_who_says_nothing_is_sent_away_and_holds_up_nobody(
    opened: Callable[..., Door], address: rendezvous.Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door_module, "KNOCK_S", 0.2)
    opened()
    silent = visitor(address)
    assert answers(address)
    assert said(silent)["refused"] == "nothing was said within 0.2 s"
    assert answers(address)


def test_when_too_many_stand_in_the_door_the_oldest_goes(
    opened: Callable[..., Door], address: rendezvous.Address
) -> None:
    opened()
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(visitor(address)) for _ in range(66)]
        for gone in silent[:2]:
            assert said(gone)["refused"] == "too many clients stand in the door"
        silent[2].send(ABOUT_KNOCK)
        assert "ok" in said(silent[2])
        silent[-1].send(ABOUT_KNOCK)
        assert "ok" in said(silent[-1])


def test_who_goes_without_a_word_leaves_nothing(
    opened: Callable[..., Door], address: rendezvous.Address
) -> None:
    door = opened()
    visitor(address).close()
    assert answers(address)
    until(lambda: not door._visitors)


@pytest.mark.parametrize("method", ["about", "refuse"])
def test_a_server_that_fails_at_a_knock_is_logged_and_the_door_stands(
    opened: Callable[..., Door],
    address: rendezvous.Address,
    room: Room,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    method: str,
) -> None:
    opened()

    def fail(*_: object) -> None:
        raise LookupError("inside")

    with monkeypatch.context() as broken:
        broken.setattr(room, method, fail)
        message = ABOUT_KNOCK if method == "about" else lane_knock()
        assert refusal(address, message) == "the server failed at it; its log says how"
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("ringbridge.host", logging.ERROR)
    assert record.exc_info is not None and "inside" in str(record.exc_info[1])
    assert answers(address)


def test_what_cannot_be_told_is_refused(
    opened: Callable[..., Door], address: rendezvous.Address, room: Room
) -> None:
    opened()
    room.told = {"modules": "x" * rendezvous.ANSWER_BYTES_MAX}
    assert "more than 163840" in refusal(address, ABOUT_KNOCK)
    fits = rendezvous.ANSWER_BYTES_MAX - len('{"ringbridge": 1, "ok": {"modules": ""}}')
    room.told = {"modules": "x" * fits}
    told, peer = rendezvous.knock(address, "about", timeout_s=20.0)
    peer.close()
    assert told == room.told


def test_a_welcome_that_fails_closes_the_socket(
    opened: Callable[..., Door],
    address: rendezvous.Address,
    room: Room,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    opened()
    monkeypatch.setattr(room, "welcome", lambda *_: 1 // 0)
    with knocked(address)[1] as sock:
        assert sock.recv(1) == b""
    assert "could not be let in" in caplog.text and "ZeroDivisionError" in caplog.text
    assert answers(address)


def test_without_free_descriptors_it_waits_and_does_not_spin(
    opened: Callable[..., Door], address: rendezvous.Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[float] = []
    accept = Door._accept

    def counted(self: Door) -> None:
        tries.append(time.monotonic())
        accept(self)

    monkeypatch.setattr(Door, "_accept", counted)
    monkeypatch.setattr(door_module, "_NO_ROOM_NAP_S", 0.05)
    opened()
    waiting = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    waiting.settimeout(20.0)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        waiting.connect(address.path)
        waiting.send(ABOUT_KNOCK)
        until(lambda: len(tries) >= 3)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert tries[2] - tries[0] >= 0.1
    assert "ok" in said(waiting)
