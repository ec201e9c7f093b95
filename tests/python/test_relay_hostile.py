# SPDX-License-Identifier: MIT
"""A far side that breaks the protocol: the relay here ends, and says so; the host lives."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rbr_testing.fixtures import MakeWorker

import ringbridge
from ringbridge.relay import records

START = """
from ringbridge.relay import records
from ringbridge.relay.records import Kind, Side
send = lambda kind, body: os.write(1, records.header(kind, len(body)) + body)
reader = os.fdopen(0, "rb")
os.write(1, b"\\n" + records.PREAMBLE + b"\\n")
send(Kind.HELLO, records.json_body({"protocol": records.PROTOCOL, "version": "x"}))
for kind in (Kind.HELLO, Kind.START):
    assert records.read(reader, Side.NEAR).kind is kind
facts = {"python": "3.99.1", "abi": "cp399", "executable": "/there/python"}
send(Kind.FACTS, records.json_body(facts))
records.read(reader, Side.NEAR)  # the host's first frame
"""

HOSTILE = {
    "a frame that is none": "send(Kind.FRAME, records.frame_body(16, 0) + b'x' * 16)",
    "a frame without bytes": "send(Kind.FRAME, records.frame_body(0, 8) + b'x' * 8)",
    "a frame of 4 GiB": "send(Kind.FRAME, records.frame_body(0xFFFFFFFF, 0) + b'x')",
    "nothing after its sizes": "send(Kind.FRAME, records.frame_body(8, 0))",
    "a frame longer than it says": "send(Kind.FRAME, records.frame_body(8, 0) + b'x' * 9)",
    "MORE of no frame": "send(Kind.MORE, b'x')",
    "a frame amid another one": "send(Kind.FRAME, records.frame_body(999, 0) + b'x')\n"
    "send(Kind.FRAME, records.frame_body(999, 0) + b'x')",
    "a credit for nothing": "send(Kind.CREDIT, records.credit_body(records.WINDOW_BYTES))",
    "another HELLO": "send(Kind.HELLO, b'{}')",
    "another FACTS": "send(Kind.FACTS, b'{}')",
    "a record that only we may write": "send(Kind.CANCEL, records.cancel_body(1, True))",
    "an end that is none": "send(Kind.END, b'\\2' * 10)",
    "output of no stream": "send(Kind.OUTPUT, records.output_body(7, 0, b'x'))",
    "numbers that are none": "send(Kind.RUNS, b'x' * 9)",
    "too many numbers": "send(Kind.RUNS, b'x' * 200)",
    "random bytes": "os.write(1, os.urandom(4096))",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_host_hears_of_it_and_lives(
    over_ssh: MakeWorker, stand_in: Callable[[str], str], name: str
) -> None:
    worker = over_ssh(stand_in(START + HOSTILE[name] + "\nreader.read()"))
    assert worker.environment.python == "ssh://box//there/python"
    with pytest.raises(ringbridge.WorkerDied, match="box broke the relays' protocol"):
        worker.load("rbr_testing.basics")


def test_more_than_the_window_is_not_kept(
    over_ssh: MakeWorker, stand_in: Callable[[str], str]
) -> None:
    """The host's ring is full of progress that nobody takes, and what has no leave still comes."""
    flood = (
        f"send(Kind.FRAME, records.frame_body({1 << 29}, 0) + b'x')\n"
        "while True:\n    send(Kind.MORE, b'x' * records.PIECE_BYTES_MAX)"
    )
    worker = over_ssh(stand_in(START + flood))
    with pytest.raises(ringbridge.WorkerDied):
        worker.load("rbr_testing.basics")


def test_an_answer_of_its_own_kind_is_checked_by_the_hosts_core(
    over_ssh: MakeWorker, stand_in: Callable[[str], str]
) -> None:
    """A sound line, and an end without any answer."""
    body = records.end_body(records.End(True, False, 5, 4321))
    worker = over_ssh(stand_in(START + f"send(Kind.END, {body!r})\nreader.read()"))
    with pytest.raises(
        ringbridge.WorkerDied, match="process 4321 on box ended with exit code 5"
    ) as got:
        worker.load("rbr_testing.basics")
    assert got.value.exit_code == 5
