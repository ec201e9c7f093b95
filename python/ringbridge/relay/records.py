# SPDX-License-Identifier: MIT
"""What crosses a pipe to another machine: records, each with a kind and a length. No processes, no
channels, no threads.

    length: u32 little-endian | kind: u8 | three bytes of 0 | body: `length` bytes

Before its first record the far side writes PREAMBLE on a line of its own: what a login shell has
printed before that is passed over. Then

    kind      who   body
    HELLO     both  JSON: {"protocol": PROTOCOL, "version": that of its ringbridge}; the first one
    START     near  JSON: which worker is wanted (far.py)
    FACTS     far   JSON: the worker that there is now (near.py); in place of it
    FAILED    far   JSON: {"error": name of a class of errors.py, "text": ...}
    FRAME     both  u32 bytes of the frame, u64 bytes of its payloads, then the first of these bytes
    MORE      both  more of them, until all have come; one frame after the other
    CREDIT    both  u64: so many bytes more of FRAME, MORE, RUNS may be sent (`cost` of each)
    CANCEL    near  u64 id of a call, u8: 1 to interrupt it
    GOODBYE   near  the worker shall end after its call
    SIGNAL    near  u8: a signal for the worker
    RUNS      far   u64 each: the calls that the worker runs now, the outer ones first
    OUTPUT    far   u8 stream (1 stdout, 2 stderr), u64 bytes lost before these, then its bytes
    END       far   u8 1 if its end is known, u8 1 if by a signal, i32 code or signal, u32 pid

A frame is as the channels have it; behind it stand its payloads, in the order of the references in
it, each as long as its reference says. Whatever is not so, or comes from the wrong side, is a
ProtocolError, after which nothing more is read.
"""

from __future__ import annotations

import enum
import json
import struct
from typing import BinaryIO, NamedTuple

from ringbridge.errors import ProtocolError

#: Raised together with RBR_PROTO_MAJOR, and whenever what stands above changes.
PROTOCOL = 1
PREAMBLE = b"ringbridge-relay"
#: What a shell may print before the preamble.
NOISE_BYTES_MAX = 64 << 10
#: Of FRAME and MORE: what comes in between waits for no more than this.
PIECE_BYTES_MAX = 256 << 10
#: Bytes of frames that may be under way, or wait at the other end, in each direction.
WINDOW_BYTES = 8 << 20
_COST_OF_RECORD = 256  # what one takes of the receiver's memory beside its bytes

_HEADER = struct.Struct("<IB3s")
_FRAME = struct.Struct("<IQ")
_CREDIT = struct.Struct("<Q")
_CANCEL = struct.Struct("<QB")
_OUTPUT = struct.Struct("<BQ")
_END = struct.Struct("<BBiI")
_JSON_BYTES_MAX = 1 << 20
_RUNS_MAX = 16


class Side(enum.Enum):
    """Who wrote a record: the relay beside the host, or the one beside the worker."""

    NEAR = "near"
    FAR = "far"


class Kind(enum.IntEnum):
    """See the table above."""

    HELLO = 1
    START = 2
    FACTS = 3
    FAILED = 4
    FRAME = 5
    MORE = 6
    CREDIT = 7
    CANCEL = 8
    GOODBYE = 9
    SIGNAL = 10
    RUNS = 11
    OUTPUT = 12
    END = 13


#: Those that wait for credit: how many come is not bounded by anything else.
WINDOWED = (Kind.FRAME, Kind.MORE, Kind.RUNS)


class _Rule(NamedTuple):
    sides: tuple[Side, ...]
    shortest: int
    longest: int


_BOTH = (Side.NEAR, Side.FAR)
_NEAR = (Side.NEAR,)
_FAR = (Side.FAR,)
_RULES = {
    Kind.HELLO: _Rule(_BOTH, 2, 4096),
    Kind.START: _Rule(_NEAR, 2, _JSON_BYTES_MAX),
    Kind.FACTS: _Rule(_FAR, 2, _JSON_BYTES_MAX),
    Kind.FAILED: _Rule(_FAR, 2, _JSON_BYTES_MAX),
    Kind.FRAME: _Rule(_BOTH, _FRAME.size, _FRAME.size + PIECE_BYTES_MAX),
    Kind.MORE: _Rule(_BOTH, 1, PIECE_BYTES_MAX),
    Kind.CREDIT: _Rule(_BOTH, _CREDIT.size, _CREDIT.size),
    Kind.CANCEL: _Rule(_NEAR, _CANCEL.size, _CANCEL.size),
    Kind.GOODBYE: _Rule(_NEAR, 0, 0),
    Kind.SIGNAL: _Rule(_NEAR, 1, 1),
    Kind.RUNS: _Rule(_FAR, 0, _RUNS_MAX * 8),
    Kind.OUTPUT: _Rule(_FAR, _OUTPUT.size, _OUTPUT.size + (64 << 10)),
    Kind.END: _Rule(_FAR, _END.size, _END.size),
}


class Record(NamedTuple):
    """One that has been read; its length and its side are right, its body is looked at later."""

    kind: Kind
    body: bytes


class End(NamedTuple):
    """How the worker has ended; code: of its exit, or the signal's number."""

    known: bool
    signalled: bool
    code: int
    pid: int


def header(kind: Kind, length: int) -> bytes:
    """What stands before a body of this length."""
    return _HEADER.pack(length, kind, b"\0\0\0")


def read(file: BinaryIO, writer: Side) -> Record | None:
    """The next record, which that side wrote; None: the end of file, between two records.

    Raises ProtocolError, also for an end of file amid a record.
    """
    head = file.read(_HEADER.size)
    if not head:
        return None
    if len(head) < _HEADER.size:
        raise ProtocolError("the line ends amid a record")
    length, number, zeros = _HEADER.unpack(head)
    rule = _RULES.get(number)
    if rule is None or zeros != b"\0\0\0":
        raise ProtocolError(f"a record of kind {number}, which there is not")
    kind = Kind(number)
    if writer not in rule.sides:
        raise ProtocolError(f"a record {kind.name}, which the {writer.value} side must not write")
    if not rule.shortest <= length <= rule.longest:
        raise ProtocolError(f"a record {kind.name} of {length} bytes")
    body = file.read(length)
    if len(body) < length:
        raise ProtocolError("the line ends amid a record")
    return Record(kind, body)


def cost(record_bytes: int) -> int:
    """What one of WINDOWED with a body of so many bytes takes of the window."""
    return record_bytes + _COST_OF_RECORD


def skip_noise(file: BinaryIO) -> tuple[bool, bytes]:
    """Reads up to the preamble. Whether it came, and what was printed before it."""
    noise = b""
    while len(noise) < NOISE_BYTES_MAX:
        line = file.readline(NOISE_BYTES_MAX - len(noise))
        if line == PREAMBLE + b"\n":
            return True, noise
        if not line:
            break
        noise += line
    return False, noise


# ---------------------------------------------------------------------------------------- bodies


def json_body(document: dict[str, object]) -> bytes:
    return json.dumps(document).encode()


def document(record: Record) -> dict[str, object]:
    """Of a record whose body is JSON. Raises ProtocolError."""
    try:
        found = json.loads(record.body)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"a record {record.kind.name} that is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise ProtocolError(f"a record {record.kind.name} that is no JSON object")
    return found


def frame_body(frame_bytes: int, payload_bytes: int) -> bytes:
    """What stands before the first bytes of a frame."""
    return _FRAME.pack(frame_bytes, payload_bytes)


def frame(record: Record) -> tuple[int, int, bytes]:
    """Of FRAME: bytes of the frame, bytes of its payloads, the first of them."""
    frame_bytes, payload_bytes = _FRAME.unpack_from(record.body)
    return frame_bytes, payload_bytes, record.body[_FRAME.size :]


def credit_body(count: int) -> bytes:
    return _CREDIT.pack(count)


def credit(record: Record) -> int:
    """Of CREDIT. Raises ProtocolError for more than any window."""
    (count,) = _CREDIT.unpack(record.body)
    if not 0 < count <= WINDOW_BYTES:
        raise ProtocolError(f"a credit of {count} bytes")
    return int(count)


def cancel_body(call: int, hard: bool) -> bytes:
    return _CANCEL.pack(call, hard)


def cancel(record: Record) -> tuple[int, bool]:
    """Of CANCEL: the call, and whether it is to be interrupted."""
    call, hard = _CANCEL.unpack(record.body)
    return call, hard == 1


def runs_body(calls: tuple[int, ...]) -> bytes:
    return struct.pack(f"<{len(calls)}Q", *calls)


def runs(record: Record) -> tuple[int, ...]:
    """Of RUNS. Raises ProtocolError."""
    if len(record.body) % 8:
        raise ProtocolError("a record RUNS with a part of a number")
    return struct.unpack(f"<{len(record.body) // 8}Q", record.body)


def output_body(stream: int, lost: int, data: bytes) -> bytes:
    return _OUTPUT.pack(stream, lost) + data


def output(record: Record) -> tuple[int, int, bytes]:
    """Of OUTPUT: the stream, bytes lost before these, bytes. Raises ProtocolError."""
    stream, lost = _OUTPUT.unpack_from(record.body)
    if stream not in (1, 2):
        raise ProtocolError(f"output of a stream {stream}, which there is not")
    return stream, lost, record.body[_OUTPUT.size :]


def end_body(end: End) -> bytes:
    return _END.pack(*end)


def end(record: Record) -> End:
    """Of END. Raises ProtocolError."""
    known, signalled, code, pid = _END.unpack(record.body)
    if known > 1 or signalled > 1 or (signalled and not 1 <= code <= 64):
        raise ProtocolError("a record END that tells of no end")
    return End(bool(known), bool(signalled), code, pid)
