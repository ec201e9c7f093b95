# SPDX-License-Identifier: MIT
"""Values with code of their own, which runs while a worker encodes them: it may call back."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rbr_testing import rounds
from rbr_testing.eventually import LONG_S
from rbr_testing.fixtures import MakeWorker

import ringbridge

Far = ringbridge.RemoteModule


@pytest.fixture
def far(make_worker: MakeWorker) -> Iterator[Far]:
    yield make_worker(pickle=True).load("rbr_testing.asking")


# ------------------------------------------------------------------------------------------ nesting


def test_a_callback_of_a_results_encoding_may_call_the_worker(far: Far) -> None:
    """It nested within no call: what it asked for was never run."""
    assert far.result(lambda: far.number(7)) == 7
    assert far.result.submit(lambda: far.number(8)).result(20) == 8


def test_a_callback_of_an_items_encoding_may_call_the_worker(far: Far) -> None:
    assert list(far.items.stream(lambda: far.number(7), 5)) == [7] * 5


def test_a_callback_that_was_left_to_a_nested_call_may_call_the_worker(far: Far) -> None:
    """It nested within the call that ran, not within its own."""
    with ThreadPoolExecutor(2) as pool:
        call = far.call.options(callbacks_on=pool)
        assert call(lambda: far.call_other(), lambda: far.number(7)) == 7


# ------------------------------------------------------------------------------------- whose it is


def test_a_results_encoding_is_part_of_its_call(far: Far) -> None:
    """It was in no call's."""
    call, encoding = far.tasks_of_result()
    assert call == encoding != 0
    for call, encoding in far.tasks_of_items.stream():
        assert call == encoding != 0


def test_a_call_is_cancelled_while_its_result_is_encoded(far: Far, fifo: Path) -> None:
    """Its worker was killed, since nothing that could be interrupted seemed to run."""
    pid = far.pid()
    task = far.endless.submit(str(fifo))
    open(fifo).close()
    task.cancel(grace=4.0)
    with pytest.raises(ringbridge.Cancelled):
        task.result(LONG_S)
    assert far.pid() == pid


def test_a_call_that_is_late_while_its_result_is_encoded_is_interrupted(
    far: Far, fifo: Path
) -> None:
    pid = far.pid()
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(far.endless.options(timeout=2.0), str(fifo))
        open(fifo).close()
        with pytest.raises(ringbridge.CallTimeout):
            late.result(LONG_S)
    assert far.pid() == pid


def test_cancels_at_random_moments_of_an_encoding_lose_no_answer(far: Far) -> None:
    dice = random.Random(rounds.seed())
    pid = far.pid()
    for each in range(200):
        task = far.slow.submit(each)
        time.sleep(dice.random() / 100)
        if task._call is not None:
            task._call.cancel(True)
        with contextlib.suppress(ringbridge.Cancelled):
            assert task.result(LONG_S) == each
        assert far.number(each) == each
    assert far.pid() == pid


# ------------------------------------------------------------------------------------------ streams


@pytest.mark.parametrize("latest", [False, True])
@pytest.mark.parametrize("name", ["items", "going"])
def test_a_stream_may_be_closed_while_its_item_is_encoded(
    far: Far, name: str, latest: bool
) -> None:
    """It was freed, and the item was sent with what was left of it: the worker died."""
    pid = far.pid()
    streams: list[ringbridge.Stream] = []

    def close() -> int:
        streams[0].close()
        return 1

    for _ in range(3):
        function = getattr(far, name).options(latest=latest)
        streams[:] = [function.stream(close, 5) if name == "items" else function.stream(close)]
        with contextlib.suppress(ringbridge.Cancelled):
            list(streams[0])
        assert far.pid() == pid


def test_a_stream_may_be_closed_while_it_is_closed(far: Far) -> None:
    pid = far.pid()
    streams: list[ringbridge.Stream] = []
    streams.append(far.odd.stream(lambda: streams[0].close()))
    assert next(streams[0]) == 1
    streams[0].close()
    assert far.pid() == pid


def test_no_item_overtakes_one_whose_encoding_waits(far: Far) -> None:
    """Those behind it came before it, and it was dropped for one that had come already."""
    assert list(far.counted.stream(lambda: far.number(None), 3, 30)) == [
        None if each == 3 else each for each in range(30)
    ]


def test_a_latest_item_is_whole_though_its_encoding_waits(far: Far) -> None:
    """Those behind it were made in the slot that it stood in."""
    items = list(far.grown.options(latest=True).stream(lambda: far.number(7)))
    assert items[-1] == 999
    assert all(type(each) is int or each == [7, b"x" * 100_000] for each in items)
