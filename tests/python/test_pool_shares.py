# SPDX-License-Identifier: MIT
"""Pool: arguments that many calls have in common are sent to each worker once, and never stale."""

from __future__ import annotations

import functools
import gc
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rbr_testing import pools

from ringbridge import Pool
from ringbridge.shares import Shares

TIMEOUT_S = 40
LONG = 1 << 20

MakePool = Callable[..., Pool]


def kept(pool: Pool) -> int:
    """How many values the first seat's worker keeps."""
    return len(pool._crew._seats[0]._values)


def test_a_shared_value_arrives_as_it_was_when_it_was_shared(make_pool: MakePool) -> None:
    numpy = pytest.importorskip("numpy")
    pool, array, table = make_pool(2), numpy.arange(3), {"x": [1]}
    shared, also = pool.share(array), pool.share(table)
    array[:], table["x"] = 9, [2]
    for _ in range(10):
        args, kwargs = pool.submit(pools.spelled, 0, shared, key=also).result(TIMEOUT_S)
        assert args[1].tolist() == [0, 1, 2]
        assert kwargs == {"key": {"x": [1]}}


def test_no_call_sees_what_another_has_done_to_a_shared_value(make_pool: MakePool) -> None:
    numpy = pytest.importorskip("numpy")
    pool = make_pool(1)
    for value in ([[1], 2], {0: 1}, {0: numpy.arange(2)}, numpy.arange(2), bytearray(b"ab")):
        shared = pool.share(value)
        said = [pool.submit(pools.spoil, shared).result(TIMEOUT_S) for _ in range(3)]
        assert said == [repr(value)] * 3


def test_a_shared_value_is_sent_to_a_worker_once(make_pool: MakePool) -> None:
    pool = make_pool(1)
    shared = pool.share(b"x" * LONG)
    places = {pool.submit(pools.place, shared).result(TIMEOUT_S) for _ in range(5)}
    assert len(places) == 1
    assert kept(pool) == 1


def test_a_worker_that_replaces_another_gets_it_too(make_pool: MakePool) -> None:
    pool = make_pool(1, max_tasks_per_child=2)
    shared = pool.share("x" * LONG)
    results = [pool.submit(pools.length, shared).result(TIMEOUT_S) for _ in range(5)]
    assert results == [LONG] * 5
    pool.submit(pools.die).exception(TIMEOUT_S)
    assert pool.submit(pools.length, shared).result(TIMEOUT_S) == LONG


def test_it_goes_when_nobody_has_it_any_more(make_pool: MakePool) -> None:
    pool = make_pool(1)
    shared: Any = pool.share(b"x" * LONG)
    pool.submit(pools.length, shared).result(TIMEOUT_S)
    assert kept(pool) == 1
    del shared
    gc.collect()
    pool.submit(pools.pid).result(TIMEOUT_S)
    assert kept(pool) == 0


def test_a_long_text_that_waiting_calls_have_in_common_is_kept_meanwhile(
    make_pool: MakePool, tmp_path: Path
) -> None:
    pool, data, text = make_pool(1), b"x" * LONG, "y" * LONG
    first = pool.submit(pools.wait_for, str(tmp_path / "go"))
    waiting = [pool.submit(pools.place, data) for _ in range(5)]
    waiting += [pool.submit(pools.length, text, text) for _ in range(2)]
    (tmp_path / "go").touch()
    first.result(TIMEOUT_S)
    results = [future.result(TIMEOUT_S) for future in waiting]
    assert len(set(results[:5])) == 1
    assert results[5:] == [LONG, LONG]
    del waiting, first
    gc.collect()
    pool.submit(pools.pid).result(TIMEOUT_S)
    assert kept(pool) == 0


def test_an_array_in_a_call_is_what_it_is_then(make_pool: MakePool) -> None:
    numpy = pytest.importorskip("numpy")
    pool = make_pool(1)
    array = numpy.zeros(LONG, "uint8")
    seen = array[:1]
    array.flags.writeable = False
    for i in range(4):  # read-only, and yet not the same: its memory has another door
        seen[0] = i
        assert pool.submit(pools.spelled, array).result(TIMEOUT_S)[0][0][0] == i


def test_only_what_nobody_can_change_is_found_by_its_identity() -> None:
    numpy = pytest.importorskip("numpy")
    fixed = b"x" * LONG
    array = numpy.zeros(LONG, "uint8")
    array.flags.writeable = False
    own = array.copy()
    own.flags.writeable = False
    finds = Shares()
    for value, expected in (
        (fixed, 1),
        ("x" * LONG, 1),
        (numpy.frombuffer(fixed, "uint8").reshape(2, -1), 1),
        (fixed[:100], 0),
        (own, 0),  # who owns it can make it writable
        (array[:], 0),
        (numpy.frombuffer(bytearray(fixed), "uint8"), 0),
        (bytearray(fixed), 0),
    ):
        args, _, found = finds.laid_out((1, value), {})
        assert len(found) == expected
        assert (args[1] is None) == bool(expected)


@pytest.mark.parametrize("chunksize", [1, 3])
def test_what_a_map_repeats_is_sent_once_as_it_was(make_pool: MakePool, chunksize: int) -> None:
    numpy = pytest.importorskip("numpy")
    pool, array = make_pool(1), numpy.ones(LONG, "uint8")
    found = [
        pool.map(functools.partial(pools.place, array), range(9), chunksize=chunksize),
        pool.map(pools.place, itertools.repeat(array), range(9), chunksize=chunksize),
    ]
    assert [len(set(each)) for each in found] == [1, 1]
    results = pool.map(pools.spelled, range(5), itertools.repeat(array, 4), chunksize=chunksize)
    array[:] = 7
    for number, (args, _) in enumerate(results):
        assert args[0] == number
        assert args[1].min() == args[1].max() == 1
    assert number == 3


def test_keywords_of_a_partial_are_sent_once_too(make_pool: MakePool) -> None:
    pool = make_pool(1)
    keyed = functools.partial(pools.spelled, 1, key=b"x" * LONG)
    for chunksize in (1, 2):
        for number, (args, kwargs) in enumerate(pool.map(keyed, range(4), chunksize=chunksize)):
            assert args == (1, number)
            assert len(kwargs["key"]) == LONG


def test_shared_values_may_be_among_what_a_map_goes_through(make_pool: MakePool) -> None:
    pool = make_pool(2)
    values = [pool.share(b"x" * size) for size in (1, 2, LONG)]
    for chunksize in (1, 2):
        assert list(pool.map(pools.length, values, chunksize=chunksize)) == [1, 2, LONG]


def test_a_shared_value_inside_of_another_says_where_it_is(make_pool: MakePool) -> None:
    pool = make_pool(1)
    error = pool.submit(pools.length, [pool.share(1)]).exception(TIMEOUT_S)
    assert error is not None and "args[1][0]" in str(error)
