# SPDX-License-Identifier: MIT
"""Frames of a later version, whose schema only appended, are read by today's code.

What is known means the same. What is new in the middle of a message is passed over; a new kind of
message, or of value, is refused by its number, and the host lives.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from rbr_testing.equality import identical
from rbr_testing.every_kind import VALUES
from rbr_testing.later_schema import ADDED_BODY, ADDED_KIND, later, with_additions
from rbr_testing.raw_peer import RawHost, RawWorker
from rbr_testing.wire_schema import SCHEMA_FILE, verdicts

import ringbridge
from ringbridge import _core

pytest.importorskip("flatbuffers")
from rbr_testing.official import LAYOUTS, Layout, Spec, Wire, meaning
from rbr_testing.plain_values import spec_of, value_of


@pytest.fixture(scope="module")
def later_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("later") / "later.fbs"
    path.write_text(later(SCHEMA_FILE.read_text(encoding="utf-8")), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def later_wire(wire: Wire, later_file: Path) -> Wire:
    flatc = shutil.which("flatc")
    assert flatc is not None  # or there were no `wire`
    text = later_file.read_text(encoding="utf-8")
    return Wire(flatc, text, later_file.parent, "rbr_later")


def test_the_later_schema_is_a_legal_one(wire: Wire, later_file: Path) -> None:
    """By flatc's own judgement; and it does find what is not."""
    for text, good in (
        (later_file.read_text(encoding="utf-8"), True),
        (
            later_file.read_text(encoding="utf-8").replace(
                "{ value:Value;", "{ x:int; value:Value;"
            ),
            False,
        ),
    ):
        later_file.with_name("judged.fbs").write_text(text, encoding="utf-8")
        command = ["flatc", "--conform", SCHEMA_FILE, "--binary", "-o", later_file.parent]
        done = subprocess.run([*command, later_file.with_name("judged.fbs")], capture_output=True)
        assert (done.returncode == 0) is good, done.stdout + done.stderr


def test_every_message_with_new_fields_means_the_same(
    wire: Wire, later_wire: Wire, wire_dump: Path, golden: Path
) -> None:
    frames = []
    for path in sorted(golden.glob("*.bin")):
        spec = wire.read(path.read_bytes())
        for layout in LAYOUTS:
            frame = later_wire.build(with_additions(spec), layout)
            assert meaning(later_wire.read(frame))["body"]["added_number"] > 0
            if not layout.defaults:
                assert meaning(wire.read(frame)) == meaning(spec)
            frames.append(frame)
    assert len(frames) >= 5 * 60
    assert set(verdicts(wire_dump, frames)) == {(0, 0)}


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_values_with_new_fields_are_the_same_objects(
    later_wire: Wire, raw_worker: RawWorker, layout: Layout
) -> None:
    for value in VALUES:
        frame = later_wire.frame("Result", with_additions({"value": spec_of(value)}), layout)
        assert identical(raw_worker.answer(frame, id_at=later_wire.id_at(frame)), value), value


def test_a_worker_understands_a_later_host(later_wire: Wire, wire: Wire, raw_peer: Path) -> None:
    host = RawHost(raw_peer)

    def ask(body: str, fields: Spec) -> Spec:
        frame = later_wire.frame(body, with_additions(fields))
        return wire.read(host.ask(frame, later_wire.id_at(frame)))["body"]  # type: ignore[no-any-return]

    loaded = ask("Load", {"module": b"rbr_testing.basics"})
    (echo,) = (each["id"] for each in loaded["functions"] if each["name"] == b"echo")
    for value in VALUES:
        answer = ask("Call", {"function": echo, "args": [spec_of(value)]})
        assert identical(value_of(answer["value"]), value), value
    refused = ask("Call", {"function": echo, "args": [{"kind": ADDED_KIND}]})
    assert b"a kind that this version does not know" in refused["message"]
    assert host.close() == 0


def test_an_error_with_new_fields_is_the_same_error(
    later_wire: Wire, raw_worker: RawWorker
) -> None:
    error = {"type": b"builtins.KeyError", "message": b"'x'", "value": spec_of(("x",))}
    frame = later_wire.frame("Error", with_additions(error))
    with pytest.raises(KeyError) as caught:
        raw_worker.answer(frame, id_at=later_wire.id_at(frame))
    assert caught.value.args == ("x",)


def test_a_new_kind_of_value_is_refused_and_the_channel_lives(
    later_wire: Wire, raw_worker: RawWorker
) -> None:
    assert raw_worker.show(1)
    started = raw_worker.started
    for value in ({"kind": ADDED_KIND}, {"kind": ADDED_KIND, "i": 1, "s": b"x"}):
        frame = later_wire.frame("Result", with_additions({"value": value}))
        with pytest.raises(ringbridge.ProtocolError, match="a kind that this version"):
            raw_worker.answer(frame, id_at=later_wire.id_at(frame))
    assert raw_worker.show(1) and raw_worker.started == started


def test_a_new_kind_of_message_is_refused_and_the_process_lives(
    later_wire: Wire, raw_worker: RawWorker
) -> None:
    frame = later_wire.frame(ADDED_BODY, {"value": spec_of(1)})
    with pytest.raises(ringbridge.ProtocolError, match=r"malformed: a union .* unknown type"):
        raw_worker.answer(frame, id_at=later_wire.id_at(frame))
    assert not raw_worker.alive
    assert raw_worker.show(1)  # with a new worker


# ----------------------------------------------------------------------------------- the handshake

FIRST_WORD = """
import sys
from ringbridge import _core
_core.Channel.join(int(sys.argv[1])).handshake(30.0)
"""
LATER_WORKER = """
import socket, sys
host = socket.socket(fileno=int(sys.argv[1]))
host.send(bytes.fromhex(sys.argv[2]))
welcome, (segment,), _, _ = socket.recv_fds(host, 65536, 1)
host.send(bytes.fromhex(sys.argv[3]))
host.recv(1)
"""


def start(script: str, *words: str) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Our end of its socket, whose other end's number is its first word."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        number = theirs.fileno()
        command = [sys.executable, "-c", script, str(number), *words]
        return ours, subprocess.Popen(command, pass_fds=[number], stderr=subprocess.DEVNULL)


def test_a_host_takes_a_later_worker(wire: Wire, later_wire: Wire) -> None:
    """As far as the handshake goes: the same major version, and more fields than we know."""
    ours, child = start(FIRST_WORD)
    with ours:
        hello = wire.read(ours.recv(65536))
    child.wait(30)
    hello["body"]["proto_minor"] = hello["body"].get("proto_minor", 0) + 1
    ready = {"arena": 0xFFFF, "state": 1}  # it has mapped the ring segment
    words = [later_wire.build(with_additions(hello)), later_wire.frame("Segment", ready)]
    ours, child = start(LATER_WORKER, *(word.hex() for word in words))
    channel = _core.Channel(ours.detach(), child.pid, -1, -1, name="later")
    try:
        channel.handshake(30.0)
        for said in ("python", "abi", "version", "executable"):
            assert channel.peer[said].encode() == hello["body"][said]
    finally:
        channel.kill(signal.SIGKILL, False)
        channel.wait_end(30.0)
        channel.close()
        child.returncode = 0  # the channel has reaped it
