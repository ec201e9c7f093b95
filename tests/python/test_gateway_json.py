# SPDX-License-Identifier: MIT
"""JSON as the gateway takes and gives it: limits that hold, and nothing that is lost in silence."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import json
import math
import sys
import time
from typing import Any

import pytest
from rbr_testing import lent
from rbr_testing.http_served import LENT, called, exchanged, parsed, written

from ringbridge import CannotCross
from ringbridge.host.gateway import Gateway
from ringbridge.host.json_values import DEPTH_MAX, NotJson, carried, dump, parse

pytest_plugins = ["rbr_testing.http_fixtures"]


class Color(enum.IntEnum):
    RED = 1


Point = collections.namedtuple("Point", "x y")


# --------------------------------------------------------------------------------- what is taken


def test_plain_json_is_read_as_python_reads_it() -> None:
    for text in ('{"a": [1, -2.5e3, "\\"[{\\\\", null, true]}', "3", '"["', "[NaN]", '["\\\\"]'):
        assert repr(parse(text.encode())) == repr(json.loads(text))


@pytest.mark.parametrize(
    "text", ["", "{", '{"a"}', "[1,]", "nul", '"a', "'a'", "[1] 2", "\\", '"\n"']
)
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(NotJson):
        parse(text.encode())


def test_what_is_not_utf8_is_refused() -> None:
    with pytest.raises(NotJson, match="not UTF-8 at byte 1"):
        parse(b'"\xff"')


def test_the_depth_is_limited_before_anything_descends() -> None:
    assert parse(b"[" * DEPTH_MAX + b"]" * DEPTH_MAX)
    assert parse(b'["' + b"[" * 1000 + b'"]')  # in a text they nest nothing
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10**9)  # as some applications have it: Python would go on to the crash
    try:
        for depth in (DEPTH_MAX + 1, 200_000):
            for pair in ((b"[", b"]"), (b'{"a":', b"}"), (b"[{", b"}]"), (b'[1,"\\"",[', b"]]")):
                for end in (pair[1], b""):
                    with pytest.raises(NotJson, match="nested deeper than 64"):
                        parse(pair[0] * depth + end * depth)
    finally:
        sys.setrecursionlimit(limit)


def test_numbers_are_limited_before_they_are_computed() -> None:
    assert parse(b"9" * 1000) == int("9" * 1000)
    for text in (b"9" * 1001, b"[1, -" + b"9" * 10_000_000 + b"]", b"0." + b"1" * 2000):
        begun = time.thread_time()
        with pytest.raises(NotJson, match="more than 1000 digits"):
            parse(text)
        assert time.thread_time() - begun < 10  # int() would take minutes, where it has no limit
    assert parse(b'"' + b"9" * 5000 + b'"') == "9" * 5000


def test_a_body_full_of_brackets_is_read_in_a_moment() -> None:
    assert len(parse(b"[" + b"[]," * 1_000_000 + b"[]]")) == 1_000_001


def test_runs_of_digits_below_the_limit_are_looked_at_once() -> None:
    """The search began anew at each digit: 8 MiB took 10 s, and now a tenth of one."""
    text = b"9" * 1000 + b","
    begun = time.thread_time()
    with pytest.raises(NotJson):
        parse(text * ((8 << 20) // len(text)))
    assert time.thread_time() - begun < 4


# ---------------------------------------------------------------------------------- what is given


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        ((1, [2.5, "x"]), '[1, [2.5, "x"]]'),
        ({1: True, None: 2, 2.5: 3, False: 4}, '{"1": true, "null": 2, "2.5": 3, "false": 4}'),
        (Point(1, 2), "[1, 2]"),
        (Color.RED, "1"),
        (collections.OrderedDict(a=1), '{"a": 1}'),
        ([math.nan, math.inf, -math.inf, 0.1], "[null, null, null, 0.1]"),
        ("é\ud800", '"\\u00e9\\ud800"'),
    ],
)
def test_values_are_written_as_valid_json(value: Any, text: str) -> None:
    assert dump(carried(value)) == text.encode()


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"layers": [1, {2}]}, "result['layers'][1] is of type set"),
        (b"x", "is of type bytes"),
        (1j, "is of type complex"),
        (datetime.date(2000, 1, 1), "is of type datetime.date"),
        (decimal.Decimal(1), "is of type decimal.Decimal"),
        ([object()], "result[0] is of type object"),
        ({(1, 2): 3}, "a key of type tuple"),
        ({1: "a", "1": "b"}, "two keys that JSON writes as '1'"),
        (10**2000, "more than 1000 digits"),
        (lent, "is of type module"),
    ],
)
def test_what_json_has_no_form_for_is_named_with_its_place(value: Any, told: str) -> None:
    with pytest.raises(CannotCross) as caught:
        carried(value)
    assert told in str(caught.value)
    assert "rb.connect()" in str(caught.value)


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(CannotCross, match="nested deeper than 64"):
        carried(value)


def test_results_are_limited() -> None:
    for value in (["x" * 100] * 100, "x" * 10_000, list(range(10_000)), iter_of(10**9)):
        with pytest.raises(CannotCross, match=r"JSON carries about .*rb\.connect"):
            carried(value, bytes_max=1 << 12)


def iter_of(count: int) -> Any:
    yield from range(count)


def test_arrays_become_lists() -> None:
    np = pytest.importorskip("numpy")
    for array, expected in (
        (np.arange(6, dtype="u1").reshape(2, 3), [[0, 1, 2], [3, 4, 5]]),
        (np.array([1.5, np.nan, np.inf], "f4"), [1.5, None, None]),
        (np.array([True]), [True]),
        (np.array(7), 7),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array([{"a": 1}, None], object), [{"a": 1}, None]),
        (np.ma.array([1, 2], mask=[False, True]), [1, None]),
        (np.zeros((0, 3)), []),
    ):
        assert json.loads(dump(carried({"a": array}))) == {"a": expected}


def test_arrays_that_are_large_or_of_another_kind_are_refused() -> None:
    np = pytest.importorskip("numpy")
    for array, told in (
        (np.zeros(10_000_000, "u1"), "an array of 10000000 values"),
        (np.zeros(2, complex), r"result\[0\] is of type complex"),
        (np.zeros(2, "M8[s]"), r"result\[0\] is of type datetime"),
        (np.longdouble(1), "longdouble|float128"),
        (np.array([object()], object), r"result\[0\] is of type object"),
    ):
        with pytest.raises(CannotCross, match=told):
            carried(array)


# -------------------------------------------------------------------------------- over the gateway


def test_a_result_that_json_cannot_carry_is_an_error_and_not_a_lost_connection(
    gateway: Gateway,
) -> None:
    reply = called(gateway, "make", "{'a': object()}")
    assert (reply.status, reply.json["error"]["type"]) == (500, "ringbridge.errors.CannotCross")
    assert "result['a'] is of type object" in reply.json["error"]["message"]
    too_much = called(gateway, "make", "'x' * (65 << 20)")
    assert "rb.connect()" in too_much.json["error"]["message"]


def test_a_result_is_read_where_it_was_made(gateway: Gateway) -> None:
    """On the application's thread: another one might find it changed, or its memory gone."""
    expression = "(__import__('threading').current_thread().name for _ in range(1))"
    assert called(gateway, "make", expression).json == {"value": ["main here"]}


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"[" * 100_000, b"9" * 2000, b'{"args": NaN}']
)
def test_a_body_that_is_no_json_is_refused_with_the_reason(gateway: Gateway, body: bytes) -> None:
    reply = parsed(exchanged(gateway, written("POST", f"/call/{LENT}/add", body)))
    assert reply.status == 400, reply
