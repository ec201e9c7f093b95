# SPDX-License-Identifier: MIT
"""Strategies of hypothesis for every kind of value that crosses; `values()` nests them all."""

from __future__ import annotations

import datetime as dt
import pathlib
import struct
import uuid
from collections.abc import Callable
from typing import Any

import hypothesis
from hypothesis import strategies as st

from rbr_testing import rounds

try:
    import numpy as np
except ImportError:
    np = None  # type: ignore[assignment]

#: Powers of two around which encodings change, and their neighbours.
edges = st.builds(
    lambda sign, bits, step: sign * (2**bits + step),
    st.sampled_from([1, -1]),
    st.sampled_from([0, 7, 8, 15, 16, 30, 31, 32, 52, 53, 60, 62, 63, 64, 65, 127, 128, 1000]),
    st.sampled_from([-1, 0, 1]),
)
integers = st.one_of(st.integers(), edges, st.integers(-(2**600), 2**600))
#: Every bit pattern of a double: NaNs with payloads, denormals, both zeros.
bit_floats = st.integers(0, 2**64 - 1).map(lambda n: struct.unpack("<d", struct.pack("<Q", n))[0])
floats = st.one_of(st.floats(), bit_floats)
complexes = st.builds(complex, floats, floats)
texts = st.text(st.characters(exclude_categories=["Cs"]))

offsets = st.timedeltas(dt.timedelta(hours=-23, minutes=-59), dt.timedelta(hours=23, minutes=59))
fixed_zones = st.one_of(
    st.just(dt.timezone.utc),
    st.builds(dt.timezone, offsets),
    st.builds(dt.timezone, offsets, texts),
)
zones = st.one_of(st.none(), fixed_zones)
folds = st.integers(0, 1)
dates = st.one_of(
    st.dates(),
    st.timedeltas(),
    st.builds(lambda t, z, f: t.replace(tzinfo=z, fold=f), st.times(), zones, folds),
    st.builds(lambda t, z, f: t.replace(tzinfo=z, fold=f), st.datetimes(), zones, folds),
)
uuids = st.builds(lambda n, s: uuid.UUID(int=n, is_safe=s), st.integers(0, 2**128 - 1),
                  st.sampled_from(uuid.SafeUUID))  # fmt: skip
paths = st.builds(
    lambda kind, parts: kind(*parts),
    st.sampled_from([pathlib.Path, pathlib.PurePosixPath, pathlib.PureWindowsPath]),
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), max_size=3
    ),
)
ranges = st.builds(range, integers, integers, integers.filter(bool))

#: Equal to themselves, so that a set of them can be compared.
hashables = st.one_of(
    st.none(), st.booleans(), integers, st.floats(allow_nan=False), texts, st.binary(), dates,
    uuids, paths, ranges, st.decimals(allow_nan=False), st.just(...),
)  # fmt: skip
scalars = st.one_of(
    hashables, floats, complexes, st.decimals(), st.binary().map(bytearray),
    st.builds(slice, st.none() | integers, st.none() | texts, st.none() | floats),
)  # fmt: skip
#: Lists of one type take a short cut.
one_type = st.one_of(
    *(st.lists(each, min_size=3, max_size=40) for each in (integers, floats, texts, st.booleans()))
)
keys = st.one_of(hashables, floats, st.tuples(hashables, hashables), st.frozensets(hashables))


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=6),
        st.lists(inner, max_size=6).map(tuple),
        st.dictionaries(keys, inner, max_size=6),
    )


def values() -> st.SearchStrategy[Any]:
    """Everything that needs no numpy, nested."""
    sets = st.one_of(st.sets(hashables, max_size=6), st.frozensets(hashables, max_size=6))
    return st.recursive(st.one_of(scalars, one_type, sets), _containers, max_leaves=20)


# ---------------------------------------------------------------------------------------- arrays

_PLAIN = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c8", "c16"]
CODES = [
    "?", *(order + code for code in _PLAIN for order in "<>"), "S5", "V3",
    "M8[ns]", "<M8[25s]", ">m8[D]", "m8", "<U3", ">U2", "i4,>f8", "(2,3)u2,U1",
]  # fmt: skip


@st.composite
def arrays(draw: st.DrawFn) -> Any:
    """ndarrays with any bits, strided any way, and the numpy scalars that they hold."""
    dtype = np.dtype(draw(st.sampled_from(CODES)))
    shape = tuple(draw(st.lists(st.integers(0, 5), max_size=4)))
    order = draw(st.permutations(range(len(shape))))
    steps = tuple(slice(None, None, draw(st.sampled_from([1, 1, -1, 2]))) for _ in shape)
    size = int(np.prod(shape, dtype=int)) * dtype.itemsize
    whole = np.frombuffer(_bits(draw, dtype, size), dtype).reshape(shape).copy()
    view = whole.transpose(order)[(*steps, ...)]
    view.flags.writeable = draw(st.booleans())
    if view.size and dtype.kind not in "SUV" and draw(st.integers(0, 3)) == 0:
        return view.flat[draw(st.integers(0, view.size - 1))]
    return view


def _bits(draw: st.DrawFn, dtype: Any, size: int) -> bytes:
    """Any bits at all, but where only some mean something: bool and text."""
    raw = draw(st.binary(min_size=size, max_size=size))
    if dtype.kind == "b":
        return bytes(byte & 1 for byte in raw)
    if dtype.kind == "U" or dtype.names:
        return bytes(size)
    return raw


def values_and_arrays() -> st.SearchStrategy[Any]:
    """The same as `values`, with arrays among the leaves; needs numpy."""
    return st.recursive(st.one_of(scalars, one_type, arrays()), _containers, max_leaves=12)


def check(strategy: Any, examples: int, one: Callable[[Any], None]) -> None:
    """Calls `one` with so many values (or RBR_ROUNDS), from RBR_SEED's or a new seed."""
    settings = hypothesis.settings(
        max_examples=rounds.rounds(examples),
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    hypothesis.seed(rounds.seed())(settings(hypothesis.given(strategy)(one)))()
