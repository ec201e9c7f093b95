# SPDX-License-Identifier: MIT
"""Values with code of their own, which runs while a worker encodes them: it may call back."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
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
