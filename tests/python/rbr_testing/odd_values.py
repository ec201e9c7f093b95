# SPDX-License-Identifier: MIT
"""Value tables that are well formed and mean nothing, each with a word of what is to be said."""

from __future__ import annotations

import random
from typing import Any

from rbr_testing.every_kind import VALUES
from rbr_testing.official import Spec
from rbr_testing.plain_values import DTYPE, KIND, SCALAR, spec_of


def of(kind: str, **fields: Any) -> Spec:
    return {"kind": KIND[kind], **fields}


def tensor(**fields: Any) -> Spec:
    """Six int16, two by three, but for what is given; None takes a field away."""
    usual = {"dtype": DTYPE["I16"], "shape": [2, 3], "itemsize": 2, "inline_data": bytes(12)}
    mixed = {**usual, **fields}
    return of("Tensor", tensor={name: item for name, item in mixed.items() if item is not None})


def record(descr: str | bytes, itemsize: int = 12) -> Spec:
    text = descr.encode() if isinstance(descr, str) else descr
    return tensor(dtype=DTYPE["Record"], shape=[1], itemsize=itemsize, descr=text)


def date(kind: str, *numbers: int, sub: int = 0, **fields: Any) -> Spec:
    return of(kind, i64s=list(numbers), sub=sub, **fields)


ONE, TEXT, LIST = spec_of(1), spec_of("a"), spec_of([])
FOLD, FIXED, KEYED = 1, 1 << 1, 2 << 1

BAD: list[tuple[str, Spec]] = [
    ("handle", of("Handle")), ("callback", of("Callback")), ("kind", of("Table")),
    ("kind", {"kind": 44}), ("kind", {"kind": 19}), ("kind", {"kind": 255}),
    ("a pickle", of("Pickle")),
    ("hash", of("Set", items=[LIST])), ("hash", of("FrozenSet", items=[ONE, LIST])),
    ("hash", of("Dict", keys=[LIST], items=[ONE])),
    ("items as keys", of("Dict", keys=[ONE, TEXT], items=[ONE])),
    ("items as keys", of("Dict", keys=[], items=[ONE])),
    ("three parts", of("Slice", items=[ONE, ONE])), ("three parts", of("Range", items=[ONE] * 4)),
    ("slice or range", of("Range", items=[ONE, ONE, spec_of(0)])),
    ("slice or range", of("Range", items=[ONE, TEXT, ONE])),
    ("UTF-8", of("Str", s=b"a\xffb")), ("UTF-8", of("Str", s=b"\xed\xa0\x80")),
    ("UTF-8", of("Str", s=b"\xc0\x80")), ("UTF-8", of("StrVec", strs=[b"a", b"\xf5"])),
    ("kind of path", of("Path", b=b"a", sub=3)), ("kind of path", of("Path", b=b"a", sub=255)),
    ("UUID", of("UUID", b=bytes(15))), ("UUID", of("UUID", b=bytes(17))),
    ("UUID", of("UUID", b=bytes(16), sub=3)),
    ("Decimal", of("Decimal", s=b"one")), ("Decimal", of("Decimal", s=b"")),
    ("Decimal", of("Decimal", s=b"\xff")), ("Decimal", of("Decimal", s=b"1E+9999999999999999999")),
    ("date", date("Date", 2026, 2, 30)), ("date", date("Date", 0, 1, 1)),
    ("date", date("Date", 2**63 - 1, 1, 1)), ("date", date("Date", 2026, 2)),
    ("date", date("Date", 2026, 2, 3, 4)), ("date", date("Date", 2026, 2, 3, sub=FOLD)),
    ("time", date("Time", 24, 0, 0, 0)), ("time", date("Time", 0, 0, 0, -1)),
    ("date", date("DateTime", 2026, 1, 1, 0, 0, 60, 0)), ("date", date("DateTime", 2026, 1, 1)),
    ("date", date("TimeDelta", 10**9, 0, 0)), ("date", date("TimeDelta", 0, 0, 2**63 - 1, sub=4)),
    ("date", date("TimeDelta", -(2**63), 0, 0)), ("date", date("Time", 1, 2, 3, 4, sub=6)),
    ("date", date("Time", 1, 2, 3, 4, sub=FIXED)), ("date", date("Time", 1, 2, 3, 4, sub=255)),
    ("time zone", date("Time", 1, 2, 3, 4, 1, 0, 0, sub=FIXED)),
    ("time zone", date("Time", 1, 2, 3, 4, 2**62, 0, 0, sub=FIXED)),
    ("time zone", date("Time", 1, 2, 3, 4, 0, 60, 0, sub=FIXED, aux=b"\xff")),
    ("ZoneInfo without key", date("Time", 1, 2, 3, 4, sub=KEYED)),
    ("time zone", date("Time", 1, 2, 3, 4, sub=KEYED, aux=b"../../etc/passwd")),
    ("time zone", date("Time", 1, 2, 3, 4, sub=KEYED, aux=b"/etc/passwd")),
    ("time zone", date("Time", 1, 2, 3, 4, sub=KEYED, aux=b"\xff")),
    ("its tensor", of("Tensor")), ("text", of("Str", tensor=tensor()["tensor"])),
    ("text", of("Bytes", tensor=tensor(dtype=DTYPE["U8"], itemsize=1)["tensor"])),
    ("element", tensor(dtype=0)), ("element", tensor(dtype=21)), ("element", tensor(dtype=255)),
    ("element", tensor(byteorder=2)), ("element", tensor(itemsize=0)),
    ("element", tensor(itemsize=3)), ("element", tensor(itemsize=2**32 - 1)),
    ("element", tensor(dtype=DTYPE["Str"], itemsize=2)),
    ("element", tensor(dtype=DTYPE["DT64"], itemsize=4)),
    ("element", tensor(dtype=DTYPE["DT64"], itemsize=8, unit=b"n]s")),
    ("element", tensor(dtype=DTYPE["TD64"], itemsize=8, unit=b"s" * 99)),
    ("element", tensor(dtype=DTYPE["BF16"], byteorder=1)),
    ("element", tensor(dtype=DTYPE["Record"])), ("element", record(b"\xff")),
    ("dimensions", tensor(shape=[1] * 65)), ("dimensions", tensor(shape=[1] * 1000)),
    ("shape", tensor(shape=[-1, 3])), ("shape", tensor(shape=[2**62, 4])),
    ("shape", tensor(shape=[2**32, 2**32])), ("shape", tensor(shape=[0, 2**62, 2])),
    ("outside", tensor(shape=[2, 4])), ("outside", tensor(inline_data=bytes(11))),
    ("outside", tensor(data_offset=1)), ("outside", tensor(data_offset=13)),
    ("outside", tensor(data_offset=2**64 - 1)), ("as many strides", tensor(strides=[2])),
    ("as many strides", tensor(strides=[2, 2, 2])), ("as many strides", tensor(strides=[2] * 70)),
    ("outside", tensor(strides=[6, -2])), ("outside", tensor(strides=[8, 2])),
    ("outside", tensor(strides=[2**63 - 1, 2])), ("outside", tensor(strides=[-(2**63), 2])),
    ("one payload", tensor(inline_data=None)),
    ("scalar with dimensions", tensor(flags=SCALAR)),
]  # fmt: skip

RECORDS = [
    "'|O'", "[('a', '|O')]", "[('a', [('b', '|O')])]", "('|O', (3,))", "[('a', '|V2147483647')]",
    "[('a', '<i4', (2147483647, 2147483647))]", "[('a', '<i4', (2147483647,))]", "[", "", "None",
    "__import__('os').abort()", "[('a', '<i4')]", "[('a', '<i4'), ('a', '<i8')]", "'<M8[s/0]'",
    "[('a', '<M8[0s]'), ('', '|V4')]", "(" * 5000, "-" * 5000 + "1", "[" * 90 + "]" * 90,
    "1+" * 3000 + "1", "'" + "x" * 5000 + "'", "[('a', '<M8[s/0]'), ('', '|V4')]", "'\\x3cM8[00s]'",
    "('<M8[s/0]', (1,))", "'datetime64[s/0]'", "'i4,M8[s/0]'", "[('a', [('b', 'm8[s/0]')])]",
    "{'names': ['a'], 'formats': ['|O'], 'offsets': [0], 'itemsize': 12}", "'i4,O,f8'",
    "-" * 65000 + "1", "1+" * 32000 + "1", "a" + "[0]" * 20000, "'''|V12'''", "f'|V12'",
    "[('a', '<i4', -1), ('b', '|V4')]", "[('a', '|S0'), ('b', '|V12', 10**9)]",
]  # fmt: skip


class Fuzzer:
    """Value tables whose fields are anything, often nearly right."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.seeds = [spec_of(value) for value in VALUES] + [spec for _, spec in BAD]

    def number(self) -> int:
        near = self.random.choice([0, 1, 2, 3, 7, 8, 16, 60, 64, 2**31, 2**32, 2**62, 2**63 - 1])
        return max(-(2**63), min(2**63 - 1, near * self.random.choice([1, 1, -1])))

    def bytes(self) -> bytes:
        return self.random.choice(
            [b"", b"a", b"\xff", b"UTC", b"1", b"ns", b"25s", bytes(16), bytes(64), b"'|O'"]
        )

    def value(self, depth: int) -> Spec:
        spec = dict(self.random.choice(self.seeds))
        for _ in range(self.random.choice([0, 1, 1, 2, 4])):
            self.change(spec, depth)
        return spec

    def change(self, spec: Spec, depth: int) -> None:
        field = self.random.choice(
            ["kind", "sub", "i", "f", "s", "b", "aux", "i64s", "f64s", "strs", "items", "keys",
             "tensor", "drop"]
        )  # fmt: skip
        few = range(self.random.randrange(5))
        if field == "drop":
            spec.pop(self.random.choice(sorted(spec) or [field]), None)
        elif field in ("kind", "sub"):
            spec[field] = self.random.choice([*range(46), 255])
        elif field in ("i", "f"):
            spec[field] = self.number()
        elif field in ("s", "b", "aux"):
            spec[field] = self.bytes()
        elif field in ("items", "keys"):
            spec[field] = [self.value(depth + 1) for _ in few] if depth < 4 else []
        elif field == "tensor":
            spec[field] = self.tensor()
        else:
            make = {"i64s": self.number, "f64s": self.number, "strs": self.bytes}[field]
            spec[field] = [make() for _ in few]

    def tensor(self) -> Spec:
        fields = {
            "dtype": self.random.randrange(23), "byteorder": self.random.randrange(3),
            "flags": self.random.randrange(16), "itemsize": self.random.choice([0, 1, 2, 4, 8, 12]),
            "shape": [self.number() for _ in range(self.random.randrange(4))],
            "strides": [self.number() for _ in range(self.random.randrange(4))],
            "inline_data": bytes(self.random.randrange(100)), "unit": self.bytes(),
            "data_offset": abs(self.number()),
            "descr": self.random.choice(RECORDS).encode(),
        }  # fmt: skip
        for name in ("strides", "data_offset", "byteorder", "unit", "descr", "inline_data"):
            if self.random.random() < 0.6:
                del fields[name]
        return fields
