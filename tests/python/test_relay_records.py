# SPDX-License-Identifier: MIT
"""Records from another machine: every malformed one is refused, in bounded memory."""

from __future__ import annotations

import io
import json
import os
import random
import struct
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from ringbridge.errors import ProtocolError
from ringbridge.relay import records
from ringbridge.relay.line import Room, Window
from ringbridge.relay.records import End, Kind, Record, Side


def packed(kind: int, body: bytes, length: int | None = None, zeros: bytes = b"\0\0\0") -> bytes:
    return struct.pack("<IB3s", len(body) if length is None else length, kind, zeros) + body


def read(data: bytes, writer: Side) -> Record | None:
    return records.read(io.BytesIO(data), writer)


SOUND = [
    (Side.FAR, Kind.HELLO, records.json_body({"protocol": 1, "version": "1"})),
    (Side.NEAR, Kind.START, records.json_body({"environment": "x"})),
    (Side.FAR, Kind.FACTS, records.json_body({"python": "3.11"})),
    (Side.FAR, Kind.FAILED, records.json_body({"error": "X", "text": "y"})),
    (Side.NEAR, Kind.FRAME, records.frame_body(8, 1 << 40) + b"RBR1    "),
    (Side.FAR, Kind.MORE, b"x" * records.PIECE_BYTES_MAX),
    (Side.FAR, Kind.CREDIT, records.credit_body(records.WINDOW_BYTES)),
    (Side.NEAR, Kind.CANCEL, records.cancel_body(1 << 60, True)),
    (Side.NEAR, Kind.GOODBYE, b""),
    (Side.NEAR, Kind.SIGNAL, b"\x0f"),
    (Side.FAR, Kind.RUNS, records.runs_body((1, 2, 3))),
    (Side.FAR, Kind.OUTPUT, records.output_body(2, 5, b"text")),
    (Side.FAR, Kind.END, records.end_body(End(True, True, 9, 1234))),
]


@pytest.mark.parametrize(("writer", "kind", "body"), SOUND, ids=lambda each: str(each)[:20])
def test_a_sound_record_is_read_as_it_was_written(writer: Side, kind: Kind, body: bytes) -> None:
    stream = io.BytesIO(records.header(kind, len(body)) + body + b"next")
    assert records.read(stream, writer) == Record(kind, body)
    assert stream.read() == b"next"


def test_every_kind_is_among_the_sound_ones_and_says_what_it_means() -> None:
    assert {kind for _writer, kind, _body in SOUND} == set(Kind)
    found = {kind: Record(kind, body) for _writer, kind, body in SOUND}
    assert records.frame(found[Kind.FRAME]) == (8, 1 << 40, b"RBR1    ")
    assert records.credit(found[Kind.CREDIT]) == records.WINDOW_BYTES
    assert records.cancel(found[Kind.CANCEL]) == (1 << 60, True)
    assert records.runs(found[Kind.RUNS]) == (1, 2, 3)
    assert records.output(found[Kind.OUTPUT]) == (2, 5, b"text")
    assert records.end(found[Kind.END]) == End(True, True, 9, 1234)


def test_the_end_between_two_records_is_no_error() -> None:
    assert read(b"", Side.FAR) is None


MALFORMED = {
    "a part of a header": (b"\x01\0\0", Side.FAR),
    "a part of a body": (packed(Kind.MORE, b"abc", 4), Side.FAR),
    "kind 0": (packed(0, b""), Side.FAR),
    "a kind too many": (packed(max(Kind) + 1, b""), Side.FAR),
    "kind 255": (packed(255, b""), Side.NEAR),
    "bytes that must be 0": (packed(Kind.MORE, b"abc", zeros=b"\0\1\0"), Side.FAR),
    "START from the far side": (packed(Kind.START, b"{}"), Side.FAR),
    "CANCEL from the far side": (packed(Kind.CANCEL, records.cancel_body(1, False)), Side.FAR),
    "SIGNAL from the far side": (packed(Kind.SIGNAL, b"\x09"), Side.FAR),
    "END from the near side": (packed(Kind.END, b"\0" * 10), Side.NEAR),
    "OUTPUT from the near side": (packed(Kind.OUTPUT, b"\1" + b"\0" * 8), Side.NEAR),
    "FACTS from the near side": (packed(Kind.FACTS, b"{}"), Side.NEAR),
    "MORE without a byte": (packed(Kind.MORE, b""), Side.FAR),
    "MORE a byte too long": (packed(Kind.MORE, b"", records.PIECE_BYTES_MAX + 1), Side.FAR),
    "4 GiB of MORE": (packed(Kind.MORE, b"", 0xFFFFFFFF), Side.FAR),
    "FRAME without sizes": (packed(Kind.FRAME, b"\0" * 11), Side.FAR),
    "a long HELLO": (packed(Kind.HELLO, b" " * 5000), Side.FAR),
    "a long GOODBYE": (packed(Kind.GOODBYE, b"x"), Side.NEAR),
    "a short CREDIT": (packed(Kind.CREDIT, b"\0" * 7), Side.FAR),
    "a long CREDIT": (packed(Kind.CREDIT, b"\0" * 9), Side.FAR),
    "too many RUNS": (packed(Kind.RUNS, b"\0" * 136), Side.FAR),
    "a short END": (packed(Kind.END, b"\0" * 9), Side.FAR),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_record_is_refused(name: str) -> None:
    data, writer = MALFORMED[name]
    with pytest.raises(ProtocolError):
        read(data, writer)


BAD_BODIES: dict[str, tuple[Callable[[Record], Any], Kind, bytes]] = {
    "no JSON": (records.document, Kind.FACTS, b"{,}"),
    "JSON that is no object": (records.document, Kind.FACTS, b"[1]"),
    "JSON in no text": (records.document, Kind.FACTS, b"\xff\xfe\xfd"),
    "JSON of a great depth": (records.document, Kind.FACTS, b"[" * 100_000),
    "a credit of nothing": (records.credit, Kind.CREDIT, records.credit_body(0)),
    "a great credit": (records.credit, Kind.CREDIT, records.credit_body(1 << 63)),
    "a part of a number": (records.runs, Kind.RUNS, b"\0" * 9),
    "stream 3": (records.output, Kind.OUTPUT, records.output_body(3, 0, b"")),
    "an end of no kind": (records.end, Kind.END, struct.pack("<BBiI", 2, 0, 0, 1)),
    "signal 0": (records.end, Kind.END, struct.pack("<BBiI", 1, 1, 0, 1)),
    "signal 65": (records.end, Kind.END, struct.pack("<BBiI", 1, 1, 65, 1)),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_body_without_a_meaning_is_refused(name: str) -> None:
    meaning, kind, body = BAD_BODIES[name]
    with pytest.raises(ProtocolError):
        meaning(Record(kind, body))


MEANINGS = {
    Kind.HELLO: records.document,
    Kind.START: records.document,
    Kind.FACTS: records.document,
    Kind.FAILED: records.document,
    Kind.FRAME: records.frame,
    Kind.CREDIT: records.credit,
    Kind.CANCEL: records.cancel,
    Kind.RUNS: records.runs,
    Kind.OUTPUT: records.output,
    Kind.END: records.end,
}


def test_random_bytes_and_mutants_are_read_or_refused_and_nothing_else() -> None:
    seed = int.from_bytes(os.urandom(4), "little")
    print(f"seed {seed}")
    chance = random.Random(seed)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(20_000):
        writer, kind, body = chance.choice(SOUND)
        data = bytearray(packed(kind, body[:200]))
        for _ in range(chance.randrange(4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        if chance.random() < 0.3:
            del data[chance.randrange(len(data)) :]
        if chance.random() < 0.2:
            data = bytearray(chance.randbytes(chance.randrange(1, 60)))
        stream = io.BytesIO(bytes(data))
        try:
            while (record := records.read(stream, writer)) is not None:
                MEANINGS.get(record.kind, lambda each: each)(record)
            outcomes["read"] += 1
        except ProtocolError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 1000, outcomes


def test_no_memory_is_taken_for_what_is_only_announced() -> None:
    tracemalloc.start()
    try:
        for data, writer in MALFORMED.values():
            with pytest.raises(ProtocolError):
                read(data, writer)
        assert tracemalloc.get_traced_memory()[1] < 2 * records.PIECE_BYTES_MAX
    finally:
        tracemalloc.stop()


def test_what_a_shell_prints_first_is_passed_over() -> None:
    stream = io.BytesIO(b"Welcome to box!\nno newline\n" + records.PREAMBLE + b"\nrest")
    assert records.skip_noise(stream) == (True, b"Welcome to box!\nno newline\n")
    assert stream.read() == b"rest"


@pytest.mark.parametrize("noise", [b"", b"some text", b"x\n" * 100_000, b"y" * 200_000])
def test_noise_without_an_end_is_read_up_to_a_bound(noise: bytes) -> None:
    found, kept = records.skip_noise(io.BytesIO(noise))
    assert not found and len(kept) <= records.NOISE_BYTES_MAX


# -------------------------------------------------------------------------------------- windows


def test_a_window_refuses_credit_for_what_was_not_sent() -> None:
    window = Window()
    window.take(1000)
    window.grant(1000)
    with pytest.raises(ProtocolError):
        window.grant(1)


def test_room_refuses_more_than_its_window_and_gives_it_back_in_parts() -> None:
    class Kept:
        given = 0

        def send(self, kind: Kind, *parts: bytes) -> None:
            assert kind is Kind.CREDIT
            self.given += records.credit(Record(kind, b"".join(parts)))

    line = Kept()
    room = Room(line)  # type: ignore[arg-type]
    for _ in range(100):  # much more than one window, in turns
        room.came(records.WINDOW_BYTES // 4)
        room.went(records.WINDOW_BYTES // 4)
    assert line.given == 25 * records.WINDOW_BYTES
    room.came(records.WINDOW_BYTES)
    with pytest.raises(ProtocolError):
        room.came(1)


def test_what_is_wanted_is_json_that_has_no_objects_of_python() -> None:
    body = records.json_body({"environ": {"A": "é"}, "paths": ("/x",), "threads": None})
    assert json.loads(body) == {"environ": {"A": "é"}, "paths": ["/x"], "threads": None}
