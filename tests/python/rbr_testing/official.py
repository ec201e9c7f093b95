# SPDX-License-Identifier: MIT
"""Frames written and read by FlatBuffers' own Python runtime and the code of its own compiler.

A frame is a `Spec` here: each field that is present, by its name. Nothing of ours has a hand in the
bytes; the schema, read by generate_wire.py, only says which accessors to call.
"""

from __future__ import annotations

import importlib
import marshal
import random
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flatbuffers
from flatbuffers import number_types

from rbr_testing.wire_schema import generate_wire

Spec = dict[str, Any]
ROOT_TYPE = "Frame"
STRUCT = "ArenaRef"


@dataclass(frozen=True)
class Layout:
    """How a writer may lay the same frame out. All of it is legal, and none of it is our way."""

    seed: int = 0
    reorder: bool = False  # the fields of a table, in any order
    defaults: bool = False  # absent scalars are written, as what they are when absent
    own_vtables: bool = False  # a vtable for each table; else tables share them
    share: bool = False  # equal tables and texts are written once
    junk: bool = False  # bytes that nothing refers to, between the objects


LAYOUTS = (
    Layout(),
    Layout(reorder=True, own_vtables=True, junk=True),
    Layout(defaults=True),
    Layout(defaults=True, reorder=True, junk=True),
    Layout(share=True, reorder=True),
)


ANY_ID = 0xFFFF_FFFF_FFFF  # raw_peer puts the right one there


def camel(name: str) -> str:
    """As flatc names accessors."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def meaning(spec: Any) -> Any:
    """Without where a struct lies, which is the frame's own affair."""
    if isinstance(spec, list):
        return [meaning(each) for each in spec]
    if isinstance(spec, dict):
        return {name: meaning(each) for name, each in spec.items() if name != "at"}
    return spec


class Wire:
    """A schema with the code that flatc generates from it, in a package of its own name."""

    def __init__(self, flatc: str, text: str, directory: Path, package: str) -> None:
        self.schema = generate_wire.Parser(text).parse()
        # In its own namespace the generated package would hide ours.
        own_name = re.sub(r"(?m)^namespace [\w.]+;", f"namespace {package};", text)
        source = directory / f"{package}.fbs"
        source.write_text(own_name, encoding="utf-8")
        subprocess.run([flatc, "--python", "-o", directory, source], check=True, timeout=60)
        sys.path.insert(0, str(directory))
        try:
            self.modules = {
                name: importlib.import_module(f"{package}.{name}")
                for name in (*self.schema.tables, *self.schema.structs)
            }
        finally:
            sys.path.remove(str(directory))

    def frame(self, body: str, fields: Spec, layout: Layout = LAYOUTS[0]) -> bytes:
        number = self.schema.unions["Body"].index(body) + 1
        return self.build({"id": ANY_ID, "body_type": number, "body": fields}, layout)

    def build(self, frame: Spec, layout: Layout = LAYOUTS[0]) -> bytes:
        return _Writer(self, layout).finish(frame)

    def read(self, frame: bytes) -> Spec:
        module = self.modules[ROOT_TYPE]
        return self._table(ROOT_TYPE, module.Frame.GetRootAs(bytearray(frame), 0))

    def id_at(self, frame: bytes) -> int:
        """Where the frame's id stands."""
        table = self.modules[ROOT_TYPE].Frame.GetRootAs(bytearray(frame), 0)._tab
        return int(table.Pos + table.Offset(4))

    # ---------------------------------------------------------------------------------- reading

    def _table(self, name: str, table: Any) -> Spec:
        spec: Spec = {}
        for entry in self.schema.tables[name].fields:
            if table._tab.Offset(4 + 2 * entry.id) != 0:
                spec[entry.name] = self._field(name, entry, table, spec)
        return spec

    def _field(self, name: str, entry: Any, table: Any, before: Spec) -> Any:
        place = generate_wire.place_of(self.schema, self.schema.tables[name], entry)
        get = getattr(table, camel(entry.name))
        if place.form == "STRING":
            return get()
        if place.form == "TABLE":
            return self._table(entry.type, get())
        if place.form == "REF":
            names = [field for field, _ in self.schema.structs[entry.type].fields]
            found = get()
            numbers = {field: getattr(found, camel(field))() for field in names}
            return {**numbers, "at": found._tab.Pos}
        if place.form == "UNION":
            member = self.schema.unions[entry.type][before[f"{entry.name}_type"] - 1]
            child = getattr(self.modules[member], member)()
            child.Init(get().Bytes, get().Pos)
            return self._table(member, child)
        if place.form not in ("VECTOR", "STRINGS", "TABLES"):
            return get()
        count = getattr(table, f"{camel(entry.name)}Length")()
        if place.form == "TABLES":
            return [self._table(entry.type, get(i)) for i in range(count)]
        if place.element_bytes == 1:  # one by one takes too long
            first = table._tab.Vector(table._tab.Offset(4 + 2 * entry.id))
            return bytes(table._tab.Bytes[first : first + count])
        return [get(i) for i in range(count)]


class _Writer:
    """Builds one frame; backwards, as the official builders do: children first."""

    def __init__(self, wire: Wire, layout: Layout) -> None:
        self.wire = wire
        self.layout = layout
        self.random = random.Random(layout.seed)
        self.builder = flatbuffers.Builder(256)
        self.written: dict[tuple[str, bytes], int] = {}  # for layout.share

    def finish(self, frame: Spec) -> bytes:
        root = self._table(ROOT_TYPE, frame)
        self.builder.Finish(root, file_identifier=self.wire.schema.identifier.encode())
        return bytes(self.builder.Output())

    def _table(self, name: str, spec: Spec) -> int:
        # marshal, since of NaNs repr would not tell the bits.
        key = (name, marshal.dumps(spec, 2) if self.layout.share else b"")
        if self.layout.share and key in self.written:
            return self.written[key]
        module = self.wire.modules[name]
        fields = [
            entry for entry in self.wire.schema.tables[name].fields if self._wanted(entry, spec)
        ]
        if self.layout.reorder:
            self.random.shuffle(fields)
        children = {entry.name: self._child(name, entry, spec) for entry in fields}
        if self.layout.own_vtables:
            self.builder.vtables.clear()
        getattr(module, f"{name}Start")(self.builder)
        self.builder.ForceDefaults(True)  # presence means something: a Float 0.0 has its f
        for entry in fields:
            given = children[entry.name]
            if entry.type == STRUCT and not entry.vector:  # inline, so not before Start
                order = [
                    spec[entry.name][field] for field, _ in self.wire.schema.structs[STRUCT].fields
                ]
                given = self.wire.modules[STRUCT].CreateArenaRef(self.builder, *order)
            getattr(module, f"{name}Add{camel(entry.name)}")(self.builder, given)
        self.builder.ForceDefaults(False)
        at = int(getattr(module, f"{name}End")(self.builder))
        self.written[key] = at
        return at

    def _wanted(self, entry: Any, spec: Spec) -> bool:
        if entry.name in spec:
            return True
        plain = not entry.vector and generate_wire.scalar_bytes(self.wire.schema, entry.type) > 0
        return self.layout.defaults and plain

    def _child(self, name: str, entry: Any, spec: Spec) -> Any:
        """What Add takes: a number, or the place of what had to be written before the table."""
        value = spec.get(entry.name, 0)
        place = generate_wire.place_of(self.wire.schema, self.wire.schema.tables[name], entry)
        if place.form in ("SCALAR", "REF"):
            return value
        if self.layout.junk:
            self.builder.CreateByteVector(self.random.randbytes(self.random.randrange(1, 40)))
        if place.form == "STRING":
            return self._string(value)
        if place.form == "TABLE":
            return self._table(entry.type, value)
        if place.form == "UNION":
            member = self.wire.schema.unions[entry.type][spec[f"{entry.name}_type"] - 1]
            return self._table(member, value)
        return self._vector(name, entry, place, value)

    def _string(self, text: bytes) -> int:
        key = ("", text)
        if self.layout.share and key in self.written:
            return self.written[key]
        self.written[key] = at = int(self.builder.CreateString(text))
        return at

    def _vector(self, name: str, entry: Any, place: Any, value: Any) -> int:
        builder = self.builder
        if place.form == "TABLES":
            value = [self._table(entry.type, each) for each in value]
        elif place.form == "STRINGS":
            value = [self._string(each) for each in value]
        if entry.force_align:  # which flatc 2.0 does not do in Python
            builder.StartVector(1, len(value), entry.force_align)
        else:
            getattr(self.wire.modules[name], f"{name}Start{camel(entry.name)}Vector")(
                builder, len(value)
            )
        if place.element_bytes == 1:
            builder.head -= len(value)
            builder.Bytes[builder.head : builder.head + len(value)] = bytes(value)
            return int(builder.EndVector())
        for each in reversed(value):
            if place.form == "VECTOR":
                base = self.wire.schema.enums.get(entry.type)
                flags = {
                    "long": number_types.Int64Flags,
                    "double": number_types.Float64Flags,
                    "ulong": number_types.Uint64Flags,
                    "uint": number_types.Uint32Flags,
                }[base.base if base else entry.type]
                builder.Prepend(flags, each)
            else:
                builder.PrependUOffsetTRelative(each)
        return int(builder.EndVector())
