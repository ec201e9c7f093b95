# SPDX-License-Identifier: MIT
"""Inward, alone: what comes from the line while the channel takes nothing, or has no room."""

from __future__ import annotations

from typing import Any

import pytest

from ringbridge.errors import ArenaFull
from ringbridge.relay import passing, records
from ringbridge.relay.passing import Inward
from ringbridge.relay.records import Kind, Record


class _Channel:
    """What a passage does with a channel: whole frames in `taken`; none while `stuck`."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.stuck = False
        self.room = 1 << 30  # for the bytes of a frame with payloads
        self._frame = b""
        self._left = 0
        self._open = False

    def begin(self, frame_bytes: int, payload_bytes: int) -> None:
        assert not self._open, "a frame begins before the one before was put, or forgotten"
        self._open, self._frame, self._left = True, b"", frame_bytes + payload_bytes
        self._room = self.room if payload_bytes else 1 << 30

    def feed(self, data: bytes) -> bool:
        assert self._open
        self._frame += data
        self._left -= len(data)
        if len(self._frame) > self._room:
            raise ArenaFull("no room")
        return self._left == 0

    def put(self, _timeout_s: float) -> bool:
        if self.stuck:
            return False
        self.taken.append(self._frame)
        self._open = False
        return True

    def forget(self) -> None:
        self._open = False

    def meant(self) -> tuple[int, bool, bool, int]:
        return (7, False, False, 0)

    def refusal(self, call: int, *_: object) -> bytes:
        return b"refusal of %d" % call


class _Line:
    def send(self, *_: object) -> None:
        pass


class _Outward:
    refuse: Any = None


@pytest.fixture
def channel() -> _Channel:
    return _Channel()


@pytest.fixture
def inward(channel: _Channel) -> Inward:
    return Inward(channel, _Line(), _Outward(), lambda _: None)  # type: ignore[arg-type]


def frame(frame_bytes: int, payload_bytes: int, data: bytes) -> Record:
    return Record(Kind.FRAME, records.frame_body(frame_bytes, payload_bytes) + data)


def test_a_frame_that_nobody_takes_before_the_end_hinders_none_after_it(
    channel: _Channel, inward: Inward, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passing, "_PATIENCE_S", -1.0)
    channel.stuck = True
    inward.accept(frame(3, 0, b"one"))
    inward.accept(frame(3, 0, b"two"))
    inward.accept(None)
    inward.run()
    assert channel.taken == []


def test_a_refusal_amid_a_frame_comes_after_it(channel: _Channel, inward: Inward) -> None:
    inward.accept(frame(5, 0, b"who"))
    inward._queue.put(b"refusal of ours")
    inward.accept(Record(Kind.MORE, b"le"))
    inward.accept(None)
    inward.run()
    assert channel.taken == [b"whole", b"refusal of ours"]


def test_a_refusal_amid_a_frame_that_finds_no_room_does_not_wait_for_another(
    channel: _Channel, inward: Inward
) -> None:
    channel.room = 3
    inward.accept(frame(3, 6, b"who"))
    inward._queue.put(b"refusal of ours")
    inward.accept(Record(Kind.MORE, b"pay"))
    inward.accept(None)
    inward.run()
    assert channel.taken == [b"refusal of 7", b"refusal of ours"]
