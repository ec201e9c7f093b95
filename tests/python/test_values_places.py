# SPDX-License-Identifier: MIT
"""Each kind of value in each place and direction, compared where it arrives; exact limits."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import pathlib
from typing import Any

import pytest
from rbr_testing import corpus
from rbr_testing.equality import identical

import ringbridge as rb

VALUE_DEPTH_MAX = 59  # values.h
HASH_SAME_MAX = 250  # value_hashes.c
NAMES = list(corpus.corpus())


@pytest.fixture(scope="module")
def there(worker: rb.Worker) -> rb.RemoteModule:
    return worker.load("rbr_testing.corpus")


@pytest.mark.parametrize("name", NAMES)
def test_value_arrives_exactly_in_every_place(there: Any, name: str) -> None:
    value = corpus.give(name)
    assert there.check(name, value) == ""
    assert there.check(name, key=value) == ""
    assert there.check(name, value, value, a=value, b=value) == ""
    assert identical(there.give(name), value)


@pytest.mark.parametrize("name", NAMES)
def test_value_comes_back_exactly_from_any_depth(echo: Any, name: str) -> None:
    value = corpus.give(name)
    for nested in ([value], (value, (value,)), {"k": value}, {1: [{2: (value,)}]}, [value] * 5):
        assert identical(echo(nested), nested)


@pytest.mark.parametrize("kind", ["ValueError", "KeyError", "LookupError"])
@pytest.mark.parametrize("name", list(corpus.plain()))
def test_plain_value_arrives_exactly_as_an_exceptions_argument(
    there: Any, name: str, kind: str
) -> None:
    with pytest.raises(LookupError if kind != "ValueError" else ValueError) as caught:
        there.raises(name, kind)
    assert type(caught.value).__name__ == kind
    assert identical(caught.value.args, (corpus.give(name), "second"))


def test_exception_with_other_arguments_arrives_with_its_text(there: Any) -> None:
    with pytest.raises(ValueError, match="second") as caught:
        there.raises("dates", "ValueError")
    assert caught.value.args == (str(ValueError(corpus.give("dates"), "second")),)


# ------------------------------------------------------------------------------------- surrogates


@pytest.mark.parametrize("surrogate", ["\ud800", "\udcff", "a\udfffb"])
def test_lone_surrogate_is_refused_with_its_place_wherever_it_is(
    echo: Any, there: Any, surrogate: str
) -> None:
    zone = dt.timezone(dt.timedelta(0), surrogate)
    for value, place in [
        (surrogate, r"args\[0\]"),
        ((1, [surrogate] * 5), r"args\[0\]\[1\]\[0\]"),
        ({"k": {surrogate: 1}}, r"args\[0\]\['k'\] \(a key\)"),
        ({1, surrogate}, r"args\[0\] \(an element\)"),
        (slice(surrogate), r"args\[0\]"),
        ([dt.time(1, tzinfo=zone)], r"args\[0\]\[0\]"),
    ]:
        with pytest.raises(rb.CannotCross, match=place):
            echo(value)
    with pytest.raises(rb.CannotCross, match="kwargs"):
        there.check("none", k=surrogate)
    with pytest.raises(rb.CannotCross, match=r"kwargs\["):  # a UnicodeEncodeError came through
        there.check("none", **{surrogate: None})


def test_surrogates_of_a_path_are_kept_where_a_file_can_have_them(echo: Any) -> None:
    assert identical(echo(pathlib.Path("\udc80\udcff")), pathlib.Path("\udc80\udcff"))
    with pytest.raises(rb.CannotCross, match=r"args\[0\]: .*path"):
        echo(pathlib.Path("\ud800"))


def test_surrogates_of_an_exceptions_text_arrive_as_backslashes(there: Any) -> None:
    with pytest.raises(ValueError, match="x") as caught:
        there.raise_text(r"x\ud800")
    assert str(caught.value) == r"x\ud800"


# ----------------------------------------------------------------------------------------- limits

WRAPPERS = {
    "list": lambda inner: [inner],
    "tuple": lambda inner: (inner,),
    "dict": lambda inner: {0: inner},
    "frozenset": lambda inner: frozenset([inner]),
}


@pytest.mark.parametrize("kind", WRAPPERS)
@pytest.mark.parametrize("leaf", [None, "s", 2**70, ...], ids=repr)
def test_depth_ends_exactly_at_the_limit(echo: Any, kind: str, leaf: Any) -> None:
    value = leaf
    for _ in range(VALUE_DEPTH_MAX):
        value = WRAPPERS[kind](value)
    assert echo(value) == value
    with pytest.raises(rb.CannotCross, match=f"nested too deeply .*{VALUE_DEPTH_MAX}"):
        echo([value])


@pytest.mark.parametrize("kind", [set, frozenset, dict.fromkeys], ids=["set", "frozenset", "dict"])
def test_values_with_one_hash_end_at_the_limit(echo: Any, kind: Any) -> None:
    numbers = [1 + k * (2**61 - 1) for k in range(HASH_SAME_MAX + 1)]
    assert len(set(map(hash, numbers))) == 1
    assert identical(echo(kind(numbers[:-1])), kind(numbers[:-1]))
    words = rf"^args\[0\]\[0\]: .* {HASH_SAME_MAX} .* the same hash"
    with pytest.raises(rb.CannotCross, match=words):
        echo([kind(numbers)])


@pytest.mark.parametrize("step", [1, -1, 10, 0.1, 2**17, 2**32, 2**59, 2**60 + 1, 1 + 1j, 1e300])
def test_numbers_that_nobody_chose_for_their_hash_are_not_refused(echo: Any, step: Any) -> None:
    numbers = [k * step for k in range(20_000)]
    assert identical(echo(set(numbers)), set(numbers))
    pairs = {(k * step, -k): None for k in range(20_000)}
    assert identical(echo(pairs), pairs)


def test_one_object_in_two_places_arrives_as_two(echo: Any, there: Any) -> None:
    one: list[Any] = [1, "x"]
    assert not there.same_object([one, one])
    back = echo((one, one))
    assert back == (one, one) and back[0] is not back[1]


# ------------------------------------------------------------------------------------- subclasses


class Plain(enum.Enum):
    ONE = 1


class Number(enum.IntEnum):
    ONE = 1


class Bits(enum.Flag):
    ONE = 1


class Moment(dt.datetime):
    pass


class Where(pathlib.PurePosixPath):
    pass


@dataclasses.dataclass
class Record:
    a: int = 1


Point = collections.namedtuple("Point", "x y")
builtin_kinds = (int, float, complex, str, bytes, bytearray, tuple, list, dict, set, frozenset)
SUBCLASSED = [type(f"My{kind.__name__}", (kind,), {})() for kind in builtin_kinds]


@pytest.mark.parametrize(
    "value",
    [*SUBCLASSED, Plain.ONE, Number.ONE, Bits.ONE, Moment(2020, 1, 1), Where("x"), Record(),
     Point(1, 2), collections.OrderedDict(), collections.defaultdict(list), collections.Counter(),
     collections.deque(), type("Mine", (), {})()],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_subclass_is_refused_rather_than_changed(echo: Any, value: Any) -> None:
    builtin = next((kind.__name__ for kind in builtin_kinds if isinstance(value, kind)), None)
    advice = rf"{builtin}\(\.\.\.\)" if builtin else "send its parts"
    name = type(value).__qualname__
    with pytest.raises(rb.CannotCross, match=rf"args\[0\]\['k'\]\[1\]: .*{name}.*{advice}"):
        echo({"k": [0, value]})
