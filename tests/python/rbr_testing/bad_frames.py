# SPDX-License-Identifier: MIT
"""Frames with one thing wrong, and what is to be said about each.

`Anatomy` reads a right frame by the rules of the format, with no line of ours between: where its
offsets, vtables, tables, vectors and strings lie. `bends` then breaks one rule of the verifier at
one place at a time. What is expected follows from the rule and the place, never from what the
verifier said.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from rbr_testing.wire_schema import SCHEMA, generate_wire

U32_MAX = 0xFFFFFFFF


class Defect(IntEnum):
    """rbr_defect of ringbridge_flatbuf.h: the numbers are public, and stay."""

    SIZE = 1
    IDENTIFIER = 2
    OFFSET = 3
    VTABLE = 4
    TABLE = 5
    FIELD = 6
    REQUIRED = 7
    UNION = 8
    VECTOR = 9
    STRING = 10
    DEPTH = 11
    TABLES = 12
    BYTES = 13


@dataclass(frozen=True)
class Bend:
    """At byte `at` stands `data` instead; the verifier is to say `defect` at `offset`."""

    at: int
    data: bytes
    defect: Defect
    offset: int

    def applied_to(self, frame: bytes) -> bytes:
        return frame[: self.at] + self.data + frame[self.at + len(self.data) :]


@dataclass(frozen=True)
class Table:
    at: int
    vtable: int
    desc: Any  # of generate_wire
    places: dict[int, int]  # field id -> where it lies


@dataclass(frozen=True)
class Vector:
    at: int  # of its count
    element_bytes: int
    count: int
    is_string: bool


@dataclass
class Anatomy:
    """Where everything lies in a right frame."""

    frame: bytes
    slots: list[int] = field(default_factory=list)  # of the offsets, forward ones
    tables: list[Table] = field(default_factory=list)
    vectors: list[Vector] = field(default_factory=list)
    end: int = 0  # behind the last byte that means something; padding follows

    def __post_init__(self) -> None:
        self._table(0, SCHEMA.tables[SCHEMA.root])
        ends = [v.at + 4 + v.element_bytes * v.count + v.is_string for v in self.vectors]
        ends += [table.at + self.u16(table.vtable + 2) for table in self.tables]
        self.end = max(ends)

    def u16(self, at: int) -> int:
        return int(struct.unpack_from("<H", self.frame, at)[0])

    def u32(self, at: int) -> int:
        return int(struct.unpack_from("<I", self.frame, at)[0])

    def _follow(self, slot: int) -> int:
        self.slots.append(slot)
        return slot + self.u32(slot)

    def _vector(self, slot: int, element_bytes: int, is_string: bool = False) -> Vector:
        at = self._follow(slot)
        self.vectors.append(Vector(at, element_bytes, self.u32(at), is_string))
        return self.vectors[-1]

    def _table(self, slot: int, desc: Any) -> None:
        at = self._follow(slot)
        vtable = at - struct.unpack_from("<i", self.frame, at)[0]
        entries = (self.u16(vtable) - 4) // 2
        offsets = {n: self.u16(vtable + 4 + 2 * n) for n in range(entries)}
        places = {n: at + offset for n, offset in offsets.items() if offset}
        self.tables.append(Table(at, vtable, desc, places))
        for entry in desc.fields:
            if entry.id in places:
                self._field(places, desc, entry)

    def _field(self, places: dict[int, int], desc: Any, entry: Any) -> None:
        place = generate_wire.place_of(SCHEMA, desc, entry)
        at = places[entry.id]
        if place.form == "STRING":
            self._vector(at, 1, is_string=True)
        elif place.form in ("VECTOR", "STRINGS", "TABLES"):
            vector = self._vector(at, place.element_bytes)
            for slot in range(vector.at + 4, vector.at + 4 + 4 * vector.count, 4):
                if place.form == "STRINGS":
                    self._vector(slot, 1, is_string=True)
                elif place.form == "TABLES":
                    self._table(slot, SCHEMA.tables[place.child])
        elif place.form == "TABLE":
            self._table(at, SCHEMA.tables[place.child])
        elif place.form == "UNION":
            member = SCHEMA.unions[entry.type][self.frame[places[entry.id - 1]] - 1]
            self._table(at, SCHEMA.tables[member])


def _u16(value: int) -> bytes:
    return struct.pack("<H", value & 0xFFFF)


def _u32(value: int) -> bytes:
    return struct.pack("<I", value & U32_MAX)


def bends(anatomy: Anatomy) -> Iterator[Bend]:
    """Every rule 1 to 7 of the verifier, at every place of the frame where it can be broken."""
    for at in range(4, 8):
        yield Bend(at, bytes([anatomy.frame[at] ^ 0x20]), Defect.IDENTIFIER, 4)
    for slot in sorted(set(anatomy.slots)):
        yield from _bad_offsets(anatomy, slot)
    for table in anatomy.tables:
        yield from _bad_soffsets(anatomy, table)
        yield from _bad_unions(table)
    users: dict[int, list[Table]] = {}
    for table in anatomy.tables:
        users.setdefault(table.vtable, []).append(table)
    for vtable, tables in users.items():
        yield from _bad_vtables(anatomy, vtable)
        yield from _bad_fields(anatomy, tables[0])
        if len(tables) == 1:  # else: which of them is met first is the verifier's own business
            yield from _absent_fields(tables[0])
    for vector in anatomy.vectors:
        yield from _bad_vectors(anatomy, vector)


def _bad_offsets(anatomy: Anatomy, slot: int) -> Iterator[Bend]:
    """Rule 2: not 0, 4-aligned, and four bytes at the target."""
    size = len(anatomy.frame)
    good = anatomy.u32(slot)
    for value in (0, good + 1, good + 2, good - 1, size - slot, size - slot + 4, -slot, U32_MAX):
        yield Bend(slot, _u32(value), Defect.OFFSET, slot)


def _bad_soffsets(anatomy: Anatomy, table: Table) -> Iterator[Bend]:
    """Rule 3: the vtable lies inside, at an even place."""
    size = len(anatomy.frame)
    good = table.at - table.vtable
    for value in (good + 1, good - 1, table.at + 2, table.at - size, 0x7FFFFFFF, 0x80000000):
        yield Bend(table.at, _u32(value), Defect.VTABLE, table.at)


def _bad_vtables(anatomy: Anatomy, vtable: int) -> Iterator[Bend]:
    """Rule 3: at least 4 bytes, even, inside; and so for the table that it describes."""
    for value in (0, 2, anatomy.u16(vtable) + 1, 0xFFFE):
        yield Bend(vtable, _u16(value), Defect.VTABLE, vtable)
    for value in (0, 3, 0xFFFF):
        yield Bend(vtable + 2, _u16(value), Defect.TABLE, vtable + 2)


def _bad_fields(anatomy: Anatomy, table: Table) -> Iterator[Bend]:
    """Rule 4: behind the soffset, inside its table, aligned."""
    table_bytes = anatomy.u16(table.vtable + 2)
    for entry in table.desc.fields:
        if entry.id not in table.places:
            continue
        at = table.vtable + 4 + 2 * entry.id
        place = generate_wire.place_of(SCHEMA, table.desc, entry)
        wrong = [1, 2, 3, table_bytes, table_bytes - place.bytes + 1, 0xFFFF]
        if place.align > 1:
            wrong.append(anatomy.u16(at) + 1)
        for value in wrong:
            yield Bend(at, _u16(value), Defect.FIELD, at)


def _absent_fields(table: Table) -> Iterator[Bend]:
    """Rule 5: what is required is there."""
    for entry in table.desc.fields:
        if not entry.required or entry.id not in table.places:
            continue
        at = table.vtable + 4 + 2 * entry.id
        if entry.type in SCHEMA.unions:  # its type is still there: that breaks rule 5 before
            yield Bend(at, _u16(0), Defect.UNION, table.places[entry.id - 1])
            yield Bend(at - 2, bytes(4), Defect.REQUIRED, table.at)
        else:
            yield Bend(at, _u16(0), Defect.REQUIRED, table.at)


def _bad_unions(table: Table) -> Iterator[Bend]:
    """Rule 5: a value has a type, and one that we know."""
    for entry in table.desc.fields:
        if entry.type in SCHEMA.unions and entry.id in table.places:
            kind = table.places[entry.id - 1]
            yield Bend(kind, b"\0", Defect.UNION, table.places[entry.id])
            for value in (len(SCHEMA.unions[entry.type]) + 1, 255):
                yield Bend(kind, bytes([value]), Defect.UNION, kind)


def _bad_vectors(anatomy: Anatomy, vector: Vector) -> Iterator[Bend]:
    """Rules 6 and 7: the elements lie inside; a string ends with an uncounted 0."""
    first = vector.at + 4
    room = (len(anatomy.frame) - first) // vector.element_bytes
    for value in (room + 1, 0x80000000, U32_MAX):
        yield Bend(vector.at, _u32(value), Defect.VECTOR, vector.at)
    if vector.is_string:
        terminator = first + vector.count
        for wrong in (b"\1", b"\xff"):
            yield Bend(terminator, wrong, Defect.STRING, terminator)
        yield Bend(vector.at, _u32(room), Defect.STRING, first + room)
