# SPDX-License-Identifier: MIT
"""Rule 9: a frame that is well formed, and whose value is none.

The verifier lets such frames through, so these are the decoder's to refuse: with a ProtocolError
that names what is wrong. The channel stays in use, since only this one message is bad. What the
frame says of the arena is looked at before, and ends the channel.
"""

from __future__ import annotations

import signal
import struct
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rbr_testing import rounds
from rbr_testing.raw_peer import RawHost, RawWorker

import ringbridge

pytest.importorskip("flatbuffers")
from rbr_testing.every_kind import VALUES
from rbr_testing.odd_values import (
    BAD,
    KEYED,
    ONE,
    RECORDS,
    TEXT,
    Fuzzer,
    date,
    of,
    record,
    tensor,
)
from rbr_testing.official import Spec, Wire
from rbr_testing.plain_values import spec_of

FUZZ_ROUNDS = 1500


@pytest.fixture
def own_worker(raw_peer: Path) -> Iterator[RawWorker]:
    """For frames that end the channel."""
    worker = RawWorker(raw_peer)
    yield worker
    worker.close()


def received(wire: Wire, worker: RawWorker, value: Spec, **more: Any) -> Any:
    frame = wire.frame("Result", {"value": value})
    return worker.answer(frame, id_at=wire.id_at(frame), **more)


# ----------------------------------------------------------------------------------------- floods


def test_a_flood_of_progress_outlasts_neither_a_deadline_nor_ctrl_c(
    wire: Wire, own_worker: RawWorker
) -> None:
    # Nobody looked at the clock or for signals as long as something came. The text takes us longer
    # to read than it takes the peer to send, so that there is always more.
    frame = wire.frame("Progress", {"fraction": 0.5, "message": b"\xff" * 20000})
    with pytest.raises(ringbridge.CallTimeout):
        own_worker.flood(frame, id_at=wire.id_at(frame), timeout=0.3)
    own_worker.close()
    interrupt = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupt.start()  # and no other thread had a turn
            own_worker.flood(frame, id_at=wire.id_at(frame))
    finally:
        interrupt.join()
        signal.signal(signal.SIGINT, handler)


# ------------------------------------------------------------------------------------ the bad ones


@pytest.mark.parametrize("number", range(len(BAD)))
def test_a_bad_value_is_refused_by_name_and_the_channel_lives(
    wire: Wire, raw_worker: RawWorker, number: int
) -> None:
    words, spec = BAD[number]
    assert received(wire, raw_worker, ONE) == 1
    started = raw_worker.started
    for value in (spec, of("List", items=[ONE, spec]), of("Dict", keys=[TEXT], items=[spec])):
        with pytest.raises(ringbridge.ProtocolError, match=f"bad message: .*{words}"):
            received(wire, raw_worker, value)
    assert received(wire, raw_worker, ONE) == 1
    assert raw_worker.started == started


@pytest.mark.parametrize("number", range(len(RECORDS)))
def test_a_records_description_can_do_no_harm(
    wire: Wire, raw_worker: RawWorker, number: int
) -> None:
    """No object dtype (its bytes would be pointers), nothing run, nothing as large as it says. And
    no unit that numpy divides by: in a record, "<M8[s/0]" ended the host with SIGFPE."""
    pytest.importorskip("numpy")
    started = raw_worker.started if raw_worker.alive else raw_worker.started + 1
    with pytest.raises(ringbridge.ProtocolError, match="bad message: a tensor of an element"):
        received(wire, raw_worker, record(RECORDS[number]))
    assert received(wire, raw_worker, ONE) == 1
    assert raw_worker.started == started


def test_a_kind_without_its_field_is_refused(wire: Wire, raw_worker: RawWorker) -> None:
    tried = 0
    for value in VALUES:
        spec = spec_of(value)
        for field in spec.keys() - {"kind", "sub", "aux"}:
            with pytest.raises(ringbridge.ProtocolError, match=r"bad message: .*(lack|without)"):
                received(wire, raw_worker, {key: spec[key] for key in spec if key != field})
            tried += 1
    assert tried >= 50


def test_a_time_zone_that_is_not_known_here_is_no_breach(wire: Wire, raw_worker: RawWorker) -> None:
    with pytest.raises(ringbridge.CannotCross, match="is not known here; install tzdata"):
        received(wire, raw_worker, date("Time", 1, 2, 3, 4, sub=KEYED, aux=b"No/Such_Place"))
    # Whether Python looks for a key like this, or refuses it, depends on where it looks.
    with pytest.raises((ringbridge.CannotCross, ringbridge.ProtocolError), match="time zone"):
        received(wire, raw_worker, date("Time", 1, 2, 3, 4, sub=KEYED, aux=b"a\0b"))


# ------------------------------------------------------------------------------------- the arena


ARENA = {"offset": 0, "length": 0, "generation": 0, "arena": 0, "flags": 0}
MANY = bytes(range(12))


def placed(wire: Wire, spec: Spec) -> tuple[bytes, list[int]]:
    """The frame, and where its references to the arena lie."""
    frame = wire.frame("Result", {"value": spec})
    read = wire.read(frame)["body"]["value"]
    return frame, [each["tensor"]["arena"]["at"] for each in read.get("items", [read])]


def test_a_reference_to_a_block_is_followed(wire: Wire, own_worker: RawWorker) -> None:
    """Without this, the bad ones below might be refused for another reason."""
    frame, (at,) = placed(wire, tensor(arena=ARENA, inline_data=None))
    array = own_worker.answer(
        frame, id_at=wire.id_at(frame), references=[(at, 0, 0, 0, 0)], payload=MANY
    )
    assert memoryview(array).tobytes() == MANY


@pytest.mark.parametrize(
    ("offset", "length", "generation", "arena"),
    [
        (64, 0, 0, 0), (-64, 0, 0, 0), (1, 0, 0, 0), (8, 0, 0, 0), (2**40, 0, 0, 0),
        (-(2**62), 0, 0, 0), (0, 2**40, 0, 0), (0, 2**62, 0, 0), (0, -13, 0, 0), (0, 0, 1, 0),
        (0, 0, -1, 0), (0, 0, 0, 1), (0, 0, 0, 300), (0, 0, 0, -1),
    ],
)  # fmt: skip
def test_a_bad_reference_ends_the_channel_and_nothing_else(
    wire: Wire, own_worker: RawWorker, offset: int, length: int, generation: int, arena: int
) -> None:
    frame, (at,) = placed(wire, tensor(arena=ARENA, inline_data=None))
    with pytest.raises(ringbridge.ProtocolError, match=r"payload (reference|lies in arena)"):
        own_worker.answer(
            frame,
            id_at=wire.id_at(frame),
            references=[(at, offset, length, generation, arena)],
            payload=MANY,
        )
    assert not own_worker.alive
    assert received(wire, own_worker, ONE) == 1


def test_both_payloads_and_a_payload_that_is_too_short_are_refused(
    wire: Wire, raw_worker: RawWorker
) -> None:
    for spec, words in (
        (tensor(arena=ARENA), "one payload"),
        (tensor(arena=ARENA, inline_data=None, shape=[10**6, 3]), "outside"),
        (tensor(arena=ARENA, inline_data=None, data_offset=2**63), "outside"),
    ):
        frame, (at,) = placed(wire, spec)
        with pytest.raises(ringbridge.ProtocolError, match=words):
            raw_worker.answer(
                frame, id_at=wire.id_at(frame), references=[(at, 0, 0, 0, 0)], payload=MANY
            )


def test_a_block_that_two_arrays_name_is_memory_for_both(wire: Wire, own_worker: RawWorker) -> None:
    """It was sent once and goes back twice: the sender's own trouble, and no more than that."""
    one = tensor(arena=ARENA, inline_data=None)
    frame, places = placed(wire, of("Tuple", items=[one, one]))
    assert len(set(places)) == 2
    references = [(at, 0, 0, 0, 0) for at in places]
    arrays = own_worker.answer(frame, id_at=wire.id_at(frame), references=references, payload=MANY)
    assert [memoryview(array).tobytes() for array in arrays] == [MANY, MANY]
    del arrays
    own_worker.close()
    assert received(wire, own_worker, ONE) == 1


# ---------------------------------------------------------------------------- errors and requests


@pytest.mark.parametrize(
    "error",
    [
        {"type": b"\xff"},
        {"type": b""},
        {"type": b"builtins.ValueError", "code": 99},
        {"type": b"builtins.ValueError", "message": b"\xff", "traceback": b"\xfe"},
        {"type": b"builtins.KeyError", "chain": [{"type": b"\xff", "relation": 9}] * 40},
        {"type": b"builtins.ValueError", "value": BAD[0][1]},
        {"type": b"builtins.OSError", "value": ONE},
        {"type": b"builtins.SystemExit", "value": spec_of((1,))},
        {"type": b"builtins.KeyboardInterrupt"},
        {"type": b"builtins.UnicodeDecodeError", "value": spec_of((1, 2))},
    ],
    ids=str,
)
def test_an_error_that_lies_is_an_error(wire: Wire, raw_worker: RawWorker, error: Spec) -> None:
    frame = wire.frame("Error", error)
    with pytest.raises(Exception):  # noqa: B017  (which one is the peer's choice)
        raw_worker.answer(frame, id_at=wire.id_at(frame))
    assert received(wire, raw_worker, ONE) == 1


def test_what_a_module_is_said_to_hold_is_checked(wire: Wire, raw_worker: RawWorker) -> None:
    """A name that is not UTF-8 was a UnicodeDecodeError, which no caller of load expects."""
    good = {"functions": [{"id": 7, "name": b"f"}], "values": [{"k": b"x", "v": ONE}]}

    def load(body: Spec) -> Any:
        frame = wire.frame("Loaded", body)
        return raw_worker.load(frame, wire.id_at(frame))

    assert load({**good, "doc": b"d"}) == (0, [(7, "f", None, None, 0)], {"x": 1}, "d")
    started = raw_worker.started
    for bad in (
        {"functions": [{"name": b"\xff"}]},
        {"functions": [{"name": b"f", "signature": b"(\xff)"}]},
        {"functions": [{"name": b"f", "doc": b"\xff"}]},
        {"doc": b"\xff"},
        *({"values": [{"k": b"x", "v": spec}]} for _, spec in BAD),
    ):
        with pytest.raises(ringbridge.ProtocolError, match="bad message: "):
            load({**good, **bad})
    assert load({}) == (0, [], {}, None)
    assert raw_worker.started == started


def test_a_worker_refuses_bad_arguments_and_lives(wire: Wire, raw_peer: Path) -> None:
    host = RawHost(raw_peer)

    def ask(body: str, fields: Spec) -> Spec:
        frame = wire.frame(body, fields)
        return wire.read(host.ask(frame, wire.id_at(frame)))["body"]  # type: ignore[no-any-return]

    loaded = ask("Load", {"module": b"rbr_testing.basics"})
    (echo,) = (each["id"] for each in loaded["functions"] if each["name"] == b"echo")
    for _, spec in BAD:
        for given in ({"args": [spec]}, {"kwargs": [{"k": b"value", "v": spec}]}):
            answer = ask("Call", {"function": echo, **given})
            assert answer["type"].endswith(b"ProtocolError"), answer
            assert answer["message"].startswith(b"bad message: "), answer
    for call in (
        {"function": 10**6, "args": [ONE]}, {"function": echo},
        {"function": echo, "kwargs": [{"k": b"\xff", "v": ONE}]},
        {"function": echo, "kwargs": [{"k": b"value", "v": ONE}] * 2},
        {"function": echo, "args": [ONE], "label": b"\xff", "target": b"\xff", "handle": 7},
    ):  # fmt: skip
        answer = ask("Call", call)
        assert "type" in answer or answer["value"] == ONE, answer
    for module in (b"\xff", b"", b".", b"a\0b", b"no.such.module"):
        assert "type" in ask("Load", {"module": module})
    assert ask("Call", {"function": echo, "args": [ONE]}) == {"value": ONE}
    assert host.close() == 0


# -------------------------------------------------------------------------------- any field at all


@pytest.mark.seconds(3600)
@pytest.mark.timeout(3700)
def test_any_value_at_all_is_decoded_or_refused(wire: Wire, raw_worker: RawWorker) -> None:
    seed, ends = rounds.seed(), Counter[str]()
    fuzzer = Fuzzer(seed)
    assert received(wire, raw_worker, ONE) == 1
    started = raw_worker.started
    for _ in range(rounds.rounds(FUZZ_ROUNDS)):
        spec = fuzzer.value(0)
        try:
            frame = wire.frame("Result", {"value": spec})
        except (struct.error, TypeError, OverflowError):
            continue
        try:
            received_value = raw_worker.answer(frame, id_at=wire.id_at(frame), copy=len(frame) % 2)
            repr(received_value)
            ends["decoded"] += 1
        except (ringbridge.ProtocolError, ringbridge.CannotCross):
            ends["refused"] += 1
    assert raw_worker.started == started
    assert ends["decoded"] > 0 and ends["refused"] > 0
    rounds.count("odd values decoded or refused", sum(ends.values()))
    print(dict(ends), file=sys.stderr)
