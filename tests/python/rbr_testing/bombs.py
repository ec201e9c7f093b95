# SPDX-License-Identifier: MIT
"""F23: messages that are small, and would take for ever or fill the memory.

`bombs` break a limit of the verifier; they are written byte by byte, since no builder makes such.
`MINES` are well formed, and the decoder's to refuse.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from rbr_testing.bad_frames import Defect
from rbr_testing.odd_values import FIXED, KEYED, ONE, date, of, record, tensor
from rbr_testing.official import Spec
from rbr_testing.plain_values import DTYPE, KIND
from rbr_testing.wire_schema import SCHEMA

U32 = struct.Struct("<I")
VALUE = {entry.name: entry.id for entry in SCHEMA.tables["Value"].fields}
RESULT = SCHEMA.unions["Body"].index("Result") + 1
TABLES_MAX = 100_000
SLOT = b""  # of a field that points to something


class Writer:
    """A frame whose Result's value is still to be written, at `value`. Each field takes 8 bytes."""

    def __init__(self) -> None:
        self.bytes = bytearray(4) + b"RBR1"
        self.vtables: dict[tuple[int, ...], int] = {}
        self.id_at, _, body = self.table(0, {0: SLOT, 2: bytes([RESULT]), 3: SLOT})
        (self.value,) = self.table(body, {0: SLOT})

    def align(self, bytes_: int) -> int:
        self.bytes += bytes(-len(self.bytes) % bytes_)
        return len(self.bytes)

    def point(self, slot: int, at: int) -> None:
        U32.pack_into(self.bytes, slot, at - slot)

    def table(self, slot: int, fields: dict[int, bytes]) -> list[int]:
        """Where its fields lie."""
        ids = tuple(fields)
        if ids not in self.vtables:
            places = [8 + 8 * ids.index(n) if n in fields else 0 for n in range(max(ids) + 1)]
            self.vtables[ids] = self.align(8)
            self.bytes += struct.pack("<2H", 4 + 2 * len(places), 8 + 8 * len(ids))
            self.bytes += struct.pack(f"<{len(places)}H", *places)
        at = self.align(8)
        self.point(slot, at)
        self.bytes += struct.pack("<i4x", at - self.vtables[ids])
        self.bytes += b"".join(each.ljust(8, b"\0") for each in fields.values())
        return [at + 8 + 8 * n for n in range(len(ids))]

    def of_kind(self, slot: int, kind: str, *fields: str) -> list[int]:
        """A Value whose fields are all slots; where they lie."""
        slots = {VALUE[field]: SLOT for field in fields}
        return self.table(slot, {VALUE["kind"]: bytes([KIND[kind]]), **slots})[1:]

    def vector(self, slot: int, count: int, content: bytes) -> int:
        """Where its elements begin, 8-aligned."""
        self.align(8)
        self.bytes += bytes(4)
        self.point(slot, len(self.bytes))
        self.bytes += U32.pack(count) + content
        return len(self.bytes) - len(content)

    def slots(self, slot: int, count: int) -> range:
        first = self.vector(slot, count, bytes(4 * count))
        return range(first, first + 4 * count, 4)

    def point_all(self, slots: range, kind: str, *fields: str) -> list[int]:
        """All of the slots at one Value."""
        found = self.of_kind(slots[0], kind, *fields)
        at = slots[0] + U32.unpack_from(self.bytes, slots[0])[0]
        for slot in slots[1:]:
            self.point(slot, at)
        return found


@dataclass(frozen=True)
class Bomb:
    name: str
    writer: Writer
    defects: tuple[Defect, ...]  # it is one of these


def bombs() -> Iterator[Bomb]:
    for depth in (65, 100, 10_000):
        yield Bomb(f"{depth} levels", _nested(depth), (Defect.DEPTH,))
    both = (Defect.TABLES, Defect.BYTES, Defect.DEPTH)
    yield Bomb("2 ** 60 visits", _shared(60, 2), both)
    yield Bomb("1000 ** 3 visits", _shared(3, 1000), both)
    yield Bomb("1000 ** 3 visits of dicts", _shared_dicts(3, 1000), both)
    yield Bomb("2 ** 60 visits of dicts", _shared_dicts(60, 1), both)
    for count in (TABLES_MAX, 2 * TABLES_MAX):
        yield Bomb(f"{count} values", _many(count), (Defect.TABLES,))
    yield Bomb("wide vtables", _wide(), (Defect.TABLES,))
    yield Bomb("a text 100,000 times", _one_text(100_000), (Defect.BYTES,))
    yield Bomb("bytes 50,000 times", _one_payload(50_000), (Defect.BYTES,))
    for field, kind in (("b", "Bytes"), ("s", "Str"), ("i64s", "I64Vec"), ("f64s", "F64Vec"),
                        ("strs", "StrVec"), ("items", "List"), ("keys", "Dict")):  # fmt: skip
        for count in (2**29, 2**31 - 1, 2**31, 2**32 - 1):
            yield Bomb(f"{count} {field}", _claimed(kind, field, count), (Defect.VECTOR,))


def _nested(depth: int) -> Writer:
    writer = Writer()
    slot = writer.value
    for _ in range(depth):
        (items,) = writer.of_kind(slot, "Tuple", "items")
        (slot,) = writer.slots(items, 1)
    writer.of_kind(slot, "None")
    return writer


def _shared(levels: int, width: int) -> Writer:
    """width ** levels ways to the same None."""
    writer = Writer()
    (items,) = writer.of_kind(writer.value, "List", "items")
    for _ in range(levels - 1):
        (items,) = writer.point_all(writer.slots(items, width), "List", "items")
    writer.point_all(writer.slots(items, width), "None")
    return writer


def _shared_dicts(levels: int, width: int) -> Writer:
    """The same through keys and items, which are the same vectors."""
    writer = Writer()
    keys, items = writer.of_kind(writer.value, "Dict", "keys", "items")
    for level in range(levels):
        slots = writer.slots(keys, width)
        writer.point(items, slots[0] - 4)
        if level < levels - 1:
            keys, items = writer.point_all(slots, "Dict", "keys", "items")
        else:
            writer.point_all(slots, "None")
    return writer


def _many(count: int) -> Writer:
    writer = Writer()
    (items,) = writer.of_kind(writer.value, "List", "items")
    writer.point_all(writer.slots(items, count), "None")
    return writer


def _wide() -> Writer:
    """Each of 150,000 values has a vtable of 65,534 bytes, whose fields are all there."""
    writer = Writer()
    (items,) = writer.of_kind(writer.value, "List", "items")
    slots = writer.slots(items, TABLES_MAX * 3 // 2)
    vtable = writer.align(8)
    writer.bytes += struct.pack("<2H", 65534, 16) + struct.pack("<H", 8) + bytes(2 * 13)
    writer.bytes += struct.pack("<H", 8) * ((65534 - 4) // 2 - 14)
    at = writer.align(8)
    writer.bytes += struct.pack("<i4xQ", at - vtable, 0)
    for slot in slots:
        writer.point(slot, at)
    return writer


def _one_text(count: int) -> Writer:
    writer = Writer()
    (strs,) = writer.of_kind(writer.value, "StrVec", "strs")
    slots = writer.slots(strs, count)
    at = writer.vector(slots[0], 100_000, b"x" * 100_000) - 4
    writer.bytes += b"\0"
    for slot in slots:
        writer.point(slot, at)
    return writer


def _one_payload(count: int) -> Writer:
    writer = Writer()
    (items,) = writer.of_kind(writer.value, "List", "items")
    (payload,) = writer.point_all(writer.slots(items, count), "Bytes", "b")
    writer.vector(payload, 100_000, bytes(100_000))
    return writer


def _claimed(kind: str, field: str, count: int) -> Writer:
    writer = Writer()
    (slot,) = writer.of_kind(writer.value, kind, field)
    writer.vector(slot, count, bytes(64))
    return writer


#: Well formed; each with a word of what is to be said.
MINES: list[tuple[str, Spec]] = [
    ("shape", tensor(shape=[2**63 - 1] * 64)), ("shape", tensor(shape=[2**31] * 3)),
    ("shape", tensor(shape=[0] + [2**62] * 3)), ("outside", tensor(shape=[2**61])),
    ("dimensions", tensor(shape=[1] * 100_000)), ("dimensions", tensor(shape=[1] * 65)),
    ("strides", tensor(strides=[0] * 100_000)), ("outside", tensor(shape=[2**61], strides=[1])),
    ("text", of("Bytes", tensor=tensor(dtype=DTYPE["U8"], itemsize=1, shape=[2**60],
                                       strides=[0])["tensor"])),
    ("Decimal", of("Decimal", s=b"9" * 500_000 + b"x")),
    ("Decimal", of("Decimal", s=b"1E" + b"9" * 500_000)),
    ("UUID", of("UUID", b=bytes(1_000_000))), ("date", date("Date", *[1] * 100_000)),
    ("UTF-8", of("Str", s=b"x" * 1_000_000 + b"\xff")),
    ("time zone", date("Time", 1, 2, 3, 4, 0, 60, 0, sub=FIXED, aux=b"x" * 900_000 + b"\xff")),
    ("time zone", date("Time", 1, 2, 3, 4, sub=KEYED, aux=b"/x" * 50_000)),
    ("element", record("-" * 65000 + "1")), ("element", record("1+" * 32000 + "1")),
    ("element", record("(" * 65000)), ("element", record("'" + "x" * 900_000 + "'")),
    ("element", tensor(dtype=DTYPE["DT64"], itemsize=8, unit=b"9" * 900_000)),
    ("as many items as keys", of("Dict", keys=[], items=[ONE] * 1000)),
    ("three parts", of("Range", items=[ONE] * 1000)),
]  # fmt: skip
