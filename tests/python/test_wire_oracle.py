# SPDX-License-Identifier: MIT
"""Our frames as flatc reads them, and flatc's frames as our verifier sees them.

wire_dump (tests/c/oracle_flatbuf) writes the frames. flatc crashes on bad input, so it is shown
only what our verifier has accepted.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from rbr_testing.wire_schema import SCHEMA, SCHEMA_FILE, generate_wire

DEEPEST = 4  # as in wire_dump.c
SIGNED = {"byte", "short", "int", "long"}

FLATC = shutil.which("flatc")
pytestmark = pytest.mark.skipif(FLATC is None, reason="flatc (FlatBuffers compiler) is not here")


# --------------------------------------------------------------------------- what wire_dump writes


def number(type_name: str, n: int, style: str) -> Any:
    """The number n as wire_dump writes it into a scalar of this type, as JSON shows it."""
    if type_name in ("float", "double"):
        return n + 0.5 if style != "edge" else {"float": -0.25, "double": -1e300}[type_name]
    if type_name == "bool":
        return True
    size = generate_wire.scalar_bytes(SCHEMA, type_name)
    value = n * {8: 2**33 + 1, 4: 65537, 2: 257, 1: 1}[size]
    if style == "edge":  # all bits set
        value = -1 if type_name in SIGNED else 2 ** (8 * size) - 1
    if type_name in SCHEMA.enums:
        names = {member: name for name, member in SCHEMA.enums[type_name].members}
        return names.get(value, value)
    return value


def whole_field(entry: Any, form: str, depth: int, style: str) -> Any:
    n = entry.id + 10 * depth
    mark = f"{entry.id}.{depth}"
    if form == "SCALAR":
        return number(entry.type, n, style)
    if form == "REF":
        fields = SCHEMA.structs[entry.type].fields
        return {name: number(kind, n + k, style) for k, (name, kind) in enumerate(fields)}
    if form == "STRING":
        return "" if style == "edge" else f'na\u00efve "text" {mark}'
    if form == "TABLE":
        return whole_table(entry.type, depth + 1, style)
    if style == "edge":
        return []
    if form == "VECTOR":
        return [number(entry.type, n, style), number(entry.type, n + 1, style)]
    if form == "STRINGS":
        return [f"one {mark}", f"two {mark}"]
    child = whole_table(entry.type, depth + 1, style)
    return [child, child]


def whole_table(name: str, depth: int, style: str) -> dict[str, Any]:
    table = SCHEMA.tables[name]
    places = [(entry, generate_wire.place_of(SCHEMA, table, entry)) for entry in table.fields]
    chosen = [
        (entry, place)
        for entry, place in places
        if entry.required or (style != "least" and (not place.child or depth < DEEPEST))
    ]
    return {
        entry.name: whole_field(entry, place.form, depth, style)
        for entry, place in chosen or places[:1]
    }


def result(value: dict[str, Any]) -> dict[str, Any]:
    return {"id": 2, "parent": 1, "body_type": "Result", "body": {"value": value}}


TENSOR = {"dtype": "I8", "byteorder": 0, "flags": 4, "shape": [5], "itemsize": 1}
ARENA = {"offset": 4096, "length": 64, "generation": 9, "arena": 1, "flags": 0}
SMALLEST = -(2**63)

EXPECTED: dict[str, Any] = {
    f"{style}_{name}": {
        "id": 2**64 - 1,
        "parent": number_of_body + 1,
        "body_type": name,
        "body": whole_table(name, 2, style),
    }
    for style in ("least", "full", "edge")
    for number_of_body, name in enumerate(SCHEMA.unions["Body"])
}
EXPECTED["hot_call"] = {
    "id": 1,
    "parent": 0,
    "body_type": "Call",
    "body": {"function": 3, "args": [{"kind": "Int", "i": SMALLEST + n} for n in range(3)]},
}
EXPECTED["hot_dict"] = result(
    {
        "kind": "Dict",
        "keys": [{"kind": "Str", "s": ""}],
        "items": [{"kind": "Complex", "f": -0.25, "g": 1e300}],
    }
)
EXPECTED["hot_tensor_arena"] = result(
    {"kind": "Tensor", "tensor": {**TENSOR, "arena": ARENA, "data_offset": 16}}
)
EXPECTED["hot_tensor_inline"] = result(
    {"kind": "Tensor", "tensor": {**TENSOR, "inline_data": [1, 2, 3, 4, 255]}}
)


# ------------------------------------------------------------------------------ running the oracles


def flatc(directory: Path, *arguments: object) -> None:
    assert FLATC is not None
    done = subprocess.run(
        [FLATC, "-o", directory, *map(str, arguments)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def as_json(frame: Path, directory: Path) -> Any:
    flatc(directory, "--json", "--strict-json", "--raw-binary", SCHEMA_FILE, "--", frame)
    return json.loads((directory / f"{frame.stem}.json").read_text(encoding="utf-8"))


def verdict(wire_dump: Path, frame: Path) -> str:
    done = subprocess.run(
        [wire_dump, "--verify", frame], capture_output=True, text=True, timeout=60
    )
    return done.stdout.strip()


# ------------------------------------------------------------------------------------------ tests


def test_generated_files_are_what_the_schema_says() -> None:
    for path, text in generate_wire.generate(SCHEMA).items():
        assert path.read_text(encoding="utf-8") == text, f"{path}: run generate_wire.py"


def test_wire_dump_writes_exactly_the_frames_known_here(golden: Path) -> None:
    assert sorted(path.stem for path in golden.glob("*.bin")) == sorted(EXPECTED)
    assert len(EXPECTED) >= 60


@pytest.mark.parametrize("name", EXPECTED)
def test_flatc_reads_our_frame_as_the_values_we_wrote(
    name: str, golden: Path, tmp_path: Path
) -> None:
    assert as_json(golden / f"{name}.bin", tmp_path) == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_our_verifier_accepts_the_frame_that_flatc_writes(
    name: str, wire_dump: Path, tmp_path: Path
) -> None:
    values = without_inline_data(EXPECTED[name])
    source = tmp_path / f"{name}.json"
    source.write_text(json.dumps(values), encoding="utf-8")
    flatc(tmp_path, "--binary", SCHEMA_FILE, source)
    frame = tmp_path / f"{name}.bin"
    assert verdict(wire_dump, frame) == "OK"
    again = tmp_path / "again"
    again.mkdir()
    assert without_defaults(as_json(frame, again)) == without_defaults(values)


def without_inline_data(value: Any) -> Any:
    """flatc 2.0.8 refuses to write a vector with force_align above 32."""
    if isinstance(value, dict):
        return {k: without_inline_data(v) for k, v in value.items() if k != "inline_data"}
    return [without_inline_data(item) for item in value] if isinstance(value, list) else value


def without_defaults(value: Any) -> Any:
    """flatc leaves fields out that have their default value (all of ours are 0)."""
    if isinstance(value, dict):
        return {
            key: without_defaults(item)
            for key, item in value.items()
            if isinstance(item, (bool, str, list, dict)) or item != 0
        }
    return [without_defaults(item) for item in value] if isinstance(value, list) else value


def test_verify_verb_names_defect_and_offset(wire_dump: Path, golden: Path, tmp_path: Path) -> None:
    frame = tmp_path / "bent.bin"
    frame.write_bytes(b"\0\0\0\0" + (golden / "hot_call.bin").read_bytes()[4:])
    assert verdict(wire_dump, frame).startswith("defect 3 at 0: ")
