#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the C field tables of the wire from wire.fbs, the only truth about them.

    generate_wire.py            writes the three files below csrc/
    generate_wire.py --check    exits with 1 when they differ from what it would write

Reads the subset of the FlatBuffers language that wire.fbs uses; anything else is an error.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

SCHEMA = Path(__file__).resolve().parent / "wire.fbs"
CSRC = SCHEMA.parent.parent

# ------------------------------------------------------------------------------------- hot shapes
#
# The sets of fields that the hot paths write, as constants that a compiler can fold. Other sets
# are made at run time by rbr_shape_make, with the same layout rule.

SHAPES = [
    # (rbr_shape_<name>, table, fields)
    ("frame", "Frame", "id body_type body"),
    ("frame_parent", "Frame", "id parent body_type body"),
    ("call", "Call", "function args"),
    ("result", "Result", "value"),
    ("keyval", "KeyVal", "k v"),
    ("value_plain", "Value", "kind"),
    ("value_int", "Value", "kind i"),
    ("value_float", "Value", "kind f"),
    ("value_complex", "Value", "kind f g"),
    ("value_string", "Value", "kind s"),
    ("value_bytes", "Value", "kind b"),
    ("value_items", "Value", "kind items"),
    ("value_dict", "Value", "kind keys items"),
    ("value_i64s", "Value", "kind i64s"),
    ("value_f64s", "Value", "kind f64s"),
    ("value_strs", "Value", "kind strs"),
    ("value_tensor", "Value", "kind tensor"),
    ("tensor_arena", "Tensor", "dtype byteorder flags shape arena data_offset itemsize"),
    ("tensor_inline", "Tensor", "dtype byteorder flags shape inline_data itemsize"),
    ("blob", "Blob", "ref whole_frame"),
]

# The struct whose positions the verifier reports.
REF_STRUCT = "ArenaRef"

FIELDS_MAX = 26  # RBR_FIELDS_MAX of ringbridge_flatbuf.h

SCALARS = {
    "bool": 1, "byte": 1, "ubyte": 1, "short": 2, "ushort": 2, "int": 4, "uint": 4,
    "long": 8, "ulong": 8, "float": 4, "double": 8,
}  # fmt: skip


# ----------------------------------------------------------------------------------------- schema


@dataclass
class Enum:
    name: str
    base: str
    members: list[tuple[str, int]]


@dataclass
class Struct:
    name: str
    fields: list[tuple[str, str]]


@dataclass
class Field:
    name: str
    type: str  # of the element, for a vector
    vector: bool = False
    required: bool = False
    force_align: int = 0
    id: int = 0  # assigned by the schema's order; a union's type has the id before its value


@dataclass
class Table:
    name: str
    fields: list[Field]  # a union field stands here twice: <name>_type and <name>


@dataclass
class Schema:
    identifier: str = ""
    root: str = ""
    enums: dict[str, Enum] = field(default_factory=dict)
    structs: dict[str, Struct] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)
    unions: dict[str, list[str]] = field(default_factory=dict)


class SchemaError(Exception):
    """wire.fbs holds something that this script does not understand."""


class Parser:
    """Reads the text of a schema, token by token."""

    TOKEN = re.compile(r'\s+|//[^\n]*|("[^"\n]*"|[A-Za-z_][A-Za-z_0-9.]*|-?\d+|[{}()\[\]:;,=])')

    def __init__(self, text: str) -> None:
        self._tokens: list[str] = []
        at = 0
        while at < len(text):
            match = self.TOKEN.match(text, at)
            if match is None:
                raise SchemaError(f"unexpected character {text[at]!r} at {at}")
            if match.group(1):
                self._tokens.append(match.group(1))
            at = match.end()
        self._next = 0

    def parse(self) -> Schema:
        schema = Schema()
        while self._next < len(self._tokens):
            self._statement(schema, self._take())
        for table in schema.tables.values():
            resolve(schema, table)
        return schema

    def _take(self, wanted: str | None = None) -> str:
        if self._next == len(self._tokens):
            raise SchemaError(f"the schema ends where {wanted or 'more'} is expected")
        token = self._tokens[self._next]
        if wanted is not None and token != wanted:
            raise SchemaError(f"{wanted!r} expected, {token!r} found")
        self._next += 1
        return token

    def _peek(self) -> str:
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def _statement(self, schema: Schema, word: str) -> None:
        if word == "namespace":
            self._take()
        elif word == "file_identifier":
            schema.identifier = self._take().strip('"')
        elif word == "root_type":
            schema.root = self._take()
        elif word == "enum":
            self._enum(schema)
            return
        elif word == "union":
            self._union(schema)
            return
        elif word == "struct":
            name = self._take()
            fields = [(f.name, f.type) for f in self._fields()]
            schema.structs[name] = Struct(name, fields)
            return
        elif word == "table":
            name = self._take()
            schema.tables[name] = Table(name, self._fields())
            return
        else:
            raise SchemaError(f"statement {word!r} is not known")
        self._take(";")

    def _enum(self, schema: Schema) -> None:
        name = self._take()
        self._take(":")
        base = self._take()
        members: list[tuple[str, int]] = []
        value = 0
        self._take("{")
        while self._peek() != "}":
            member = self._take()
            if self._peek() == "=":
                self._take()
                value = int(self._take())
            members.append((member, value))
            value += 1
            if self._peek() != "}":
                self._take(",")
        self._take("}")
        schema.enums[name] = Enum(name, base, members)

    def _union(self, schema: Schema) -> None:
        name = self._take()
        members: list[str] = []
        self._take("{")
        while self._peek() != "}":
            members.append(self._take())
            if self._peek() != "}":
                self._take(",")
        self._take("}")
        schema.unions[name] = members

    def _fields(self) -> list[Field]:
        fields: list[Field] = []
        self._take("{")
        while self._peek() != "}":
            name = self._take()
            self._take(":")
            vector = self._peek() == "["
            if vector:
                self._take("[")
            entry = Field(name, self._take(), vector)
            if vector:
                self._take("]")
            if self._peek() == "(":
                self._attributes(entry)
            self._take(";")
            fields.append(entry)
        self._take("}")
        return fields

    def _attributes(self, entry: Field) -> None:
        self._take("(")
        while self._peek() != ")":
            word = self._take()
            if word == "required":
                entry.required = True
            elif word == "force_align":
                self._take(":")
                entry.force_align = int(self._take())
            else:
                raise SchemaError(f"attribute {word!r} is not known")
            if self._peek() != ")":
                self._take(",")
        self._take(")")


def resolve(schema: Schema, table: Table) -> None:
    """Gives every field its id; a union field becomes two."""
    fields: list[Field] = []
    for entry in table.fields:
        if entry.type in schema.unions:
            if entry.vector:
                raise SchemaError(f"{table.name}.{entry.name}: vectors of unions are not known")
            fields.append(Field(entry.name + "_type", "ubyte"))
        fields.append(entry)
    for number, entry in enumerate(fields):
        entry.id = number
    if len(fields) > FIELDS_MAX:
        raise SchemaError(f"{table.name} has more than {FIELDS_MAX} fields")
    if sum(entry.type in schema.unions for entry in fields) > 1:
        raise SchemaError(f"{table.name} has two unions; the verifier knows one a table")
    table.fields = fields


# ----------------------------------------------------------------------------------------- layout


@dataclass
class Place:
    """How a field lies in its table, and what it leads to."""

    form: str  # RBR_FIELD_...
    bytes: int
    align: int
    element_bytes: int = 0
    element_align: int = 0
    child: str = ""


def scalar_bytes(schema: Schema, name: str) -> int:
    """Of a scalar or an enum; 0 when it is neither."""
    if name in schema.enums:
        name = schema.enums[name].base
    return SCALARS.get(name, 0)


def struct_layout(schema: Schema, struct: Struct) -> tuple[list[int], int, int]:
    """Offsets of the fields, bytes and alignment."""
    offsets, at, align = [], 0, 1
    for name, type_name in struct.fields:
        size = scalar_bytes(schema, type_name)
        if not size:
            raise SchemaError(f"{struct.name}.{name}: structs of scalars only")
        at = (at + size - 1) // size * size
        offsets.append(at)
        at += size
        align = max(align, size)
    return offsets, (at + align - 1) // align * align, align


def place_of(schema: Schema, table: Table, entry: Field) -> Place:
    size = scalar_bytes(schema, entry.type)
    where = f"{table.name}.{entry.name}: {entry.type}"
    if entry.vector:
        if size:
            align = max(4, size, entry.force_align)
            return Place("VECTOR", 4, 4, size, align)
        if entry.type == "string":
            return Place("STRINGS", 4, 4, 4, 4)
        if entry.type in schema.tables:
            return Place("TABLES", 4, 4, 4, 4, entry.type)
        raise SchemaError(f"{where}: such vectors are not known")
    if size:
        return Place("SCALAR", size, size)
    if entry.type == "string":
        return Place("STRING", 4, 4, 1, 4)
    if entry.type in schema.tables:
        return Place("TABLE", 4, 4, 0, 0, entry.type)
    if entry.type in schema.unions:
        return Place("UNION", 4, 4)
    if entry.type in schema.structs:
        _, size, align = struct_layout(schema, schema.structs[entry.type])
        return Place("REF" if entry.type == REF_STRUCT else "SCALAR", size, align)
    raise SchemaError(f"{where} is not known")


def shape_layout(schema: Schema, table: Table, names: list[str]) -> tuple[list[int], int]:
    """The vtable of a table with these fields, and the table's alignment.

    Largest alignment first; what is small goes into the hole between the table's own 4 bytes and
    the first field of 8. rbr_shape_make does the same.
    """
    by_name = {entry.name: entry for entry in table.fields}
    chosen = sorted((by_name[name].id, place_of(schema, table, by_name[name])) for name in names)
    align = max([4] + [place.align for _, place in chosen])
    hole, end = 4, align
    hole_end = end
    vtable = [0] * (3 + chosen[-1][0])
    for step in (8, 4, 2, 1):
        for number, place in chosen:
            if place.align != step:
                continue
            at = (hole + step - 1) // step * step
            if at + place.bytes <= hole_end:
                hole = at + place.bytes
            else:
                at = end
                end += place.bytes
            vtable[2 + number] = at
    vtable[0] = 2 * len(vtable)
    vtable[1] = end
    return vtable, align


# ------------------------------------------------------------------------------------- C sources


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def upper(name: str) -> str:
    return snake(name).upper()


def head(name: str, room: str) -> list[str]:
    return [
        "/* SPDX-License-Identifier: MIT */",
        "/* Generated by csrc/schema/generate_wire.py from wire.fbs: do not edit. */",
        "/*",
        f" * {name} - {room}",
        " */",
    ]


def wrapped(words: list[str], indent: str) -> list[str]:
    """Comma-separated words in lines of at most 100 columns."""
    lines, line = [], indent
    for word in words:
        piece = word + ","
        if len(line) + len(piece) + 1 > 100 and line.strip():
            lines.append(line.rstrip())
            line = indent
        line += piece + " "
    return [*lines, line.rstrip()]


def wire_header(schema: Schema) -> str:
    out = head("ringbridge_wire.h", "the tables, fields and enums of wire.fbs, for C.")
    out[-1:] = [
        " *",
        " * Fields are named by their place in the vtable in bytes: RBR_<TABLE>__<FIELD>. The",
        " * shapes are the vtables of tables that the hot paths write (see ringbridge_flatbuf.h).",
        " */",
        "#ifndef RINGBRIDGE_WIRE_H",
        "#define RINGBRIDGE_WIRE_H",
        "",
        '#include "ringbridge_flatbuf.h"',
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        f'#define RBR_WIRE_IDENTIFIER "{schema.identifier}"',
    ]
    enums = [(e.name, e.members) for e in schema.enums.values()]
    for union, members in schema.unions.items():
        enums.append((union, [("None", 0)] + [(m, n + 1) for n, m in enumerate(members)]))
    for name, members in enums:
        out += ["", f"enum rbr_{snake(name)} {{"]
        out += [f"    RBR_{upper(name)}_{upper(m)} = {value}," for m, value in members]
        out += ["};"]
    for table in schema.tables.values():
        prefix = f"RBR_{upper(table.name)}__"
        out += ["", "enum {"]
        out += [f"    {prefix}{upper(f.name)} = {4 + 2 * f.id}," for f in table.fields]
        out += ["};"]
    out += [""]
    out += [f"extern const struct rbr_table_desc rbr_desc_{snake(t)};" for t in schema.tables]
    out += ["", "#define RBR_UNUSED __attribute__((unused))"]
    for name, table_name, fields in SHAPES:
        vtable, align = shape_layout(schema, schema.tables[table_name], fields.split())
        numbers = ", ".join(map(str, vtable))
        out += [
            "",
            f"/* {table_name}: {', '.join(fields.split())} */",
            f"static const rbr_shape rbr_shape_{name} RBR_UNUSED = {{",
            f"    {{{numbers}}}, {align},",
            "};",
        ]
    out += ["", "#undef RBR_UNUSED", "", "#ifdef __cplusplus", "}", "#endif", "#endif", ""]
    return "\n".join(out)


def tables_header(schema: Schema) -> str:
    leading = max(
        sum(place_of(schema, t, f).form in ("TABLE", "TABLES", "UNION") for f in t.fields)
        for t in schema.tables.values()
    )
    out = head("wire_tables.h", "what the verifier knows of each table. Private to csrc/core.")
    out += f"""\
#ifndef RBR_WIRE_TABLES_H
#define RBR_WIRE_TABLES_H

#include <stdint.h>

enum rbr_field_form {{
    RBR_FIELD_SCALAR = 0, /* lies in the table: a number, an enum, a bool, a struct */
    RBR_FIELD_REF,        /* the same; a struct {REF_STRUCT}, whose position is reported */
    RBR_FIELD_STRING,
    RBR_FIELD_VECTOR,  /* of scalars */
    RBR_FIELD_STRINGS, /* a vector of strings */
    RBR_FIELD_TABLE,
    RBR_FIELD_TABLES, /* a vector of tables */
    RBR_FIELD_UNION,  /* a table; which one, says the field before: 0 = none, else a member */
}};

struct rbr_field_desc {{
    uint8_t form;
    uint8_t bytes; /* in the table */
    uint8_t align; /* of these bytes */
    uint8_t element_bytes;
    uint8_t element_align; /* of a vector's first element */
    const struct rbr_table_desc *child;
}};

struct rbr_table_desc {{
    const char *name;
    const struct rbr_field_desc *fields;         /* by id */
    const struct rbr_table_desc *const *members; /* of its union: the table of type n is [n - 1] */
    uint32_t required;                           /* bit id: the field must be there */
    uint8_t field_count;
    uint8_t member_count;
    uint8_t union_id; /* of the union's value; 0: this table has none */
}};

/* How many fields of one table can lead to other tables. */
#define RBR_WIRE_BRANCHES_MAX {leading}

#endif
""".splitlines()
    return "\n".join(out) + "\n"


def table_source(schema: Schema, table: Table) -> list[str]:
    name = snake(table.name)
    out = ["", f"static const struct rbr_field_desc {name}_fields[] = {{"]
    union_id, required, members = 0, 0, "NULL"
    member_count = 0
    for entry in table.fields:
        place = place_of(schema, table, entry)
        child = f"&rbr_desc_{snake(place.child)}" if place.child else "NULL"
        numbers = f"{place.bytes}, {place.align}, {place.element_bytes}, {place.element_align}"
        out.append(f"    {{RBR_FIELD_{place.form}, {numbers}, {child}}}, /* {entry.name} */")
        if entry.required:
            required |= 1 << entry.id
        if place.form == "UNION":
            union_id, member_count = entry.id, len(schema.unions[entry.type])
            members = f"{snake(entry.type)}_members"
    numbers = f"{required:#x}u, {len(table.fields)}, {member_count}, {union_id}"
    out += ["};", f"const struct rbr_table_desc rbr_desc_{name} = {{"]
    out += [f'    "{table.name}", {name}_fields, {members}, {numbers},', "};"]
    return out


def tables_source(schema: Schema) -> str:
    out = head("wire_tables.c", "every table of wire.fbs, described for verifier and shapes.")
    out += ['#include "wire_tables.h"', "", '#include "ringbridge_wire.h"', ""]
    out += ["#include <stddef.h>"]
    struct = schema.structs[REF_STRUCT]
    offsets, size, align = struct_layout(schema, struct)
    out += ["", f'_Static_assert(sizeof(rbr_arena_ref) == {size}, "wire layout");']
    out.append(f'_Static_assert(_Alignof(rbr_arena_ref) == {align}, "wire layout");')
    for (name, _), at in zip(struct.fields, offsets):
        out.append(f'_Static_assert(offsetof(rbr_arena_ref, {name}) == {at}, "wire layout");')
    for union, members in schema.unions.items():
        out += ["", f"static const struct rbr_table_desc *const {snake(union)}_members[] = {{"]
        out += wrapped([f"&rbr_desc_{snake(m)}" for m in members], "    ")
        out += ["};"]
    for table in schema.tables.values():
        out += table_source(schema, table)
    return "\n".join(out) + "\n"


def generate(schema: Schema) -> dict[Path, str]:
    return {
        CSRC / "include" / "ringbridge_wire.h": wire_header(schema),
        CSRC / "core" / "wire_tables.h": tables_header(schema),
        CSRC / "core" / "wire_tables.c": tables_source(schema),
    }


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--check", action="store_true", help="compare, write nothing")
    check = options.parse_args().check
    try:
        files = generate(Parser(SCHEMA.read_text(encoding="utf-8")).parse())
    except SchemaError as problem:
        print(f"{SCHEMA}: {problem}", file=sys.stderr)
        return 1
    stale = 0
    for path, text in files.items():
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        if check:
            print(f"{path}: is not what wire.fbs says; run {Path(__file__).name}", file=sys.stderr)
            stale = 1
        else:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path}")
    return stale


if __name__ == "__main__":
    sys.exit(main())
