# SPDX-License-Identifier: MIT
"""Where served applications are met: the folder, the addresses, who answers, who is dead."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from rbr_testing.doors import ABOUT, LANE, Room, listening
from rbr_testing.eventually import until
from rbr_testing.looked_at import WAITS, dead_pid

import ringbridge
from ringbridge import rendezvous, running_hosts
from ringbridge.door import Door

HERE = Path(__file__).resolve().parent
NOBODY = 65534

Start = Callable[..., "subprocess.Popen[str]"]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
pytestmark = pytest.mark.usefixtures("runtime_folder")


@pytest.fixture
def served() -> Iterator[Callable[..., Door]]:
    """Opens doors of this process; closes them after the test."""
    with contextlib.ExitStack() as stack:

        def opened(name: str = "map", room: Room | None = None, **options: str) -> Door:
            door = Door(rendezvous.address_of(name, os.getpid()), room or Room(), **options)
            door.start()
            stack.callback(door.stop)
            return door

        yield opened


def application(start_process: Start, *arguments: str) -> tuple[subprocess.Popen[str], int]:
    """A served process, and the pid of the child that it forked, or 0."""
    process = start_process(
        *(sys.executable, "-m", "rbr_testing.doors", *arguments), wait=False, cwd=HERE
    )
    assert process.stdout is not None
    pid, child = (int(word) for word in process.stdout.readline().split())
    assert pid == process.pid
    return process, child


# ------------------------------------------------------------------------------------ the folder


def test_the_folder_is_made_for_this_user_alone(runtime_folder: Path) -> None:
    before = os.umask(0)
    try:
        path = rendezvous.folder()
    finally:
        os.umask(before)
    assert path == str(runtime_folder / "ringbridge")
    assert os.lstat(path).st_mode & 0o777 == 0o700
    assert rendezvous.folder() == path


@pytest.mark.parametrize("value", ["", "relative/path"])
def test_without_a_runtime_folder_it_lies_in_the_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", value)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert rendezvous.folder() == str(tmp_path / f"ringbridge-{os.geteuid()}")


def test_looking_leaves_no_folder_behind(runtime_folder: Path) -> None:
    assert rendezvous.addresses() == [] and running_hosts.hosts() == []
    assert rendezvous.dead_sockets() == []
    assert os.listdir(runtime_folder) == []


def plant_link(path: Path) -> None:
    path.with_name("mine").mkdir(0o700)
    path.symlink_to("mine")


def plant_wide(path: Path) -> None:
    path.mkdir(0o700)
    path.chmod(0o750)


def plant_foreign(path: Path) -> None:
    path.mkdir(0o700)
    os.chown(path, NOBODY, NOBODY)


@pytest.mark.parametrize(
    ("plant", "reason"),
    [
        (plant_link, "it is a symbolic link: remove it"),
        (plant_wide, "its mode is 750, which lets others in: chmod it to 700"),
        (Path.touch, "it is not a folder: remove it"),
        pytest.param(plant_foreign, f"it belongs to user {NOBODY}", marks=needs_root),
    ],
)
def test_a_folder_that_is_not_ours_alone_is_used_by_nobody(
    runtime_folder: Path, plant: Callable[[Path], None], reason: str
) -> None:
    path = runtime_folder / "ringbridge"
    plant(path)
    for use in (
        rendezvous.folder,
        rendezvous.addresses,
        running_hosts.hosts,
        rendezvous.dead_sockets,
        lambda: rendezvous.address_of("map", 1),
    ):
        with pytest.raises(ringbridge.RingbridgeError, match=re.escape(reason)) as caught:
            use()
        assert str(path) in str(caught.value) and "set XDG_RUNTIME_DIR" in str(caught.value)


def test_a_runtime_folder_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nowhere/at/all")
    assert rendezvous.addresses() == []
    with pytest.raises(ringbridge.RingbridgeError, match="No such file or directory"):
        rendezvous.folder()


@pytest.mark.parametrize("name", ["a", "QGIS 3.22", "my-map_1.qgz", "x" * 60, "..", "1.2"])
def test_a_name_comes_back_as_it_went(served: Callable[..., Door], name: str) -> None:
    served(name)
    assert [(each.name, each.pid) for each in rendezvous.addresses()] == [(name, os.getpid())]


@pytest.mark.parametrize("name", ["", "x" * 61, "a/b", "../a", " a", "a ", "é", "a\n", "a\0"])
def test_a_name_that_cannot_be_one_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="1 to 60 of the characters"):
        rendezvous.address_of(name, 1)


def test_a_path_too_long_for_a_socket_says_what_to_do(
    runtime_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = 107 - len(f"{runtime_folder}//ringbridge/m.1.sock")
    fits = runtime_folder / ("x" * room)
    fits.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(fits))
    address = rendezvous.address_of("m", 1)
    assert len(address.path) == 107
    with listening(address.path):
        pass
    message = "is 2 bytes too long for a socket: .* set XDG_RUNTIME_DIR to a shorter path"
    with pytest.raises(ringbridge.RingbridgeError, match=message):
        rendezvous.address_of("map", 1)


# --------------------------------------------------------------------------------- what is there


def test_what_a_served_application_tells_is_listed(served: Callable[..., Door]) -> None:
    served("map")
    (host,) = ringbridge.hosts()
    path = rendezvous.address_of("map", os.getpid()).path
    assert host == running_hosts.RunningHost(
        name="map", pid=os.getpid(), path=path, **{**ABOUT, "modules": ("terrain", "tools")}
    )


def test_what_is_told_wrongly_counts_as_not_known(served: Callable[..., Door]) -> None:
    room = Room()
    room.told = {"application": 1, "document": [], "modules": "abc", "clients": "x", "since_s": {}}
    served("map", room)
    (host,) = running_hosts.hosts()
    assert (host.application, host.document, host.modules) == ("?", None, ())
    assert (host.clients, host.since_s, host.busy) == (0, None, None)


def test_other_files_in_the_folder_are_neither_listed_nor_removed(runtime_folder: Path) -> None:
    folder, pid = Path(rendezvous.folder()), dead_pid()
    for name in (f"plain.{pid}.sock", "map.x.sock", "map.0.sock", f".{pid}.sock", "map.sock"):
        (folder / name).touch()
    (folder / f"folder.{pid}.sock").mkdir()
    (folder / f"link.{pid}.sock").symlink_to("plain")
    for name in ("map.sock", "map.0.sock", f"a.{pid}.sockets"):
        (folder / name).unlink(missing_ok=True)
        with listening(str(folder / name)):
            pass
    before = set(os.listdir(folder))
    assert rendezvous.addresses() == []
    assert set(os.listdir(folder)) == before


def test_the_socket_of_a_killed_application_is_removed(start_process: Start) -> None:
    process, _ = application(start_process, "map")
    (address,) = rendezvous.addresses()
    assert rendezvous.dead_sockets() == []
    process.kill()
    process.wait()
    assert rendezvous.dead_sockets() == [
        rendezvous.DeadSocket(address.path, process.pid, f"process {process.pid} has ended")
    ]
    assert os.path.exists(address.path), "telling of it removes nothing"
    assert rendezvous.addresses() == []
    assert not os.path.exists(address.path)


def test_the_socket_of_an_earlier_process_with_the_same_pid_is_removed(
    start_process: Start,
) -> None:
    pid = start_process(sys.executable, "-c", WAITS).pid
    address = rendezvous.address_of("map", pid)
    with listening(address.path):
        os.utime(address.path, (0, 0))
        # It listens: an application in a container has the number of another process out here.
        assert rendezvous.addresses() == [address]
    assert rendezvous.addresses() == []
    assert not os.path.exists(address.path)


def test_a_forked_child_keeps_no_door_open(start_process: Start) -> None:
    """It has copies of the descriptors: clients of the dead application would wait for it."""
    process, child = application(start_process, "map", "fork")
    try:
        (host,) = running_hosts.hosts(20.0)
        assert (host.pid, host.application) == (process.pid, "a test")
        process.kill()
        process.wait()
        os.kill(child, 0)
        until(lambda: rendezvous.addresses() == [], "the child still holds the door")
    finally:
        os.kill(child, signal.SIGKILL)


# ------------------------------------------------------------------------------------ the knock


def test_who_is_not_there_is_told_with_who_is(served: Callable[..., Door]) -> None:
    served("other")
    address = rendezvous.address_of("map", os.getpid())
    with pytest.raises(ringbridge.HostNotFound) as caught:
        rendezvous.knock(address, "about", timeout_s=20.0)
    text = str(caught.value)
    assert f"map (pid {os.getpid()}) is not served any more" in text
    assert f"there is other (pid {os.getpid()}), in {rendezvous.folder()}" in text


def test_an_application_that_does_not_answer_is_a_timeout_and_is_listed(
    served: Callable[..., Door],
) -> None:
    address = rendezvous.address_of("stuck", os.getpid())
    served("well")
    with listening(address.path):
        with pytest.raises(ringbridge.CallTimeout, match=r"has not answered within 0.05 s"):
            rendezvous.knock(address, "about", timeout_s=0.05)
        stuck, well = running_hosts.hosts(0.5)
        assert (stuck.name, stuck.application, stuck.busy) == ("stuck", "?", "does not answer")
        assert well.name == "well"


def test_a_queue_before_the_door_ends_the_knock_in_time_or_lets_it_in() -> None:
    address = rendezvous.address_of("full", os.getpid())
    with listening(address.path, 0) as listener:
        with contextlib.ExitStack() as stack, pytest.raises(BlockingIOError):
            while True:
                waiting = stack.enter_context(socket.socket(listener.family, listener.type))
                waiting.setblocking(False)
                waiting.connect(address.path)
        with pytest.raises(ringbridge.CallTimeout):
            rendezvous.knock(address, "about", timeout_s=0.05)
        with ThreadPoolExecutor(1) as clients:
            knocking = clients.submit(rendezvous.knock, address, "about", timeout_s=20.0)
            answered = False
            while not answered:
                with listener.accept()[0] as visitor:
                    answered = visitor.recv(1000) != b""  # those of above have gone
                    if answered:
                        visitor.send(b'{"ringbridge": 1, "ok": {"here": 1}}')
            told, peer = knocking.result()
        peer.close()
        assert told == {"here": 1}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", ringbridge.HostNotFound),
        (b"{", ringbridge.ProtocolError),
        (b"[" * 100_000, ringbridge.ProtocolError),
        (b'{"ringbridge": 2, "ok": {}}', ringbridge.ProtocolError),
        (b'{"ringbridge": 1, "ok": 1}', ringbridge.ProtocolError),
        (b'{"ringbridge": 2, "refused": "too old"}', ringbridge.HostRefused),
        (b'{"ringbridge": 1, "ok": {}}' + b" " * (160 << 10), ringbridge.ProtocolError),
    ],
)
def test_an_answer_that_is_none_is_an_error(
    answer: bytes, error: type[Exception], nothing_left: None
) -> None:
    address = rendezvous.address_of("odd", os.getpid())
    with listening(address.path) as listener:

        def serve() -> None:
            with listener.accept()[0] as visitor:
                visitor.recv(1000)
                visitor.send(answer)

        server = threading.Thread(target=serve)
        server.start()
        with pytest.raises(error):
            rendezvous.knock(address, "about", timeout_s=20.0)
        server.join()
    os.unlink(address.path)


@pytest.mark.parametrize("closed", ["long before", "meanwhile"])
def test_a_reason_given_before_the_knock_was_heard_arrives(closed: str) -> None:
    """The kernel puts the error that the door was closed before the words that lie there."""
    client, door = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def refuse() -> None:
        door.send(b"the reason")
        door.close()

    class Client(socket.socket):
        def send(self, *message: Any) -> int:
            sent = super().send(*message)
            refuse()
            return sent

    if closed == "meanwhile":
        client = Client(fileno=client.detach())
    else:
        refuse()
    with client:
        assert rendezvous._ask(client, b"a knock", time.monotonic() + 20.0) == b"the reason"


@needs_root
def test_an_application_of_another_user_is_not_spoken_to(runtime_folder: Path) -> None:
    address = rendezvous.address_of("map", os.getpid())
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            listener.bind(address.path)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            listener.listen(1)  # whose listening it is, the kernel notes here
            os.write(told, b".")
            signal.pause()
        os._exit(0)
    try:
        os.read(ready, 1)
        with pytest.raises(ringbridge.HostRefused, match=f"is served by user {NOBODY}, not by you"):
            rendezvous.knock(address, "about", timeout_s=20.0)
        (host,) = running_hosts.hosts(20.0)
        assert host.application == "?" and "not by you" in str(host.busy)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(told)


def test_a_socket_that_another_process_holds_is_not_spoken_to(start_process: Start) -> None:
    process, _ = application(start_process, "map")
    (address,) = rendezvous.addresses()
    stolen = rendezvous.Address("map", os.getpid(), address.path)
    reason = f"served by process {process.pid}, not by {os.getpid()}"
    with pytest.raises(ringbridge.HostRefused, match=reason):
        rendezvous.knock(stolen, "about", timeout_s=20.0)


def test_a_knock_too_long_is_not_sent() -> None:
    address = rendezvous.Address("map", 1, "/nowhere")
    with pytest.raises(ValueError, match="at most 16384 bytes"):
        rendezvous.knock(address, "lane", timeout_s=1.0, **{**LANE, "name": "x" * (16 << 10)})
