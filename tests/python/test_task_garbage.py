# SPDX-License-Identifier: MIT
"""What a task holds goes with its last reference, and does not wait for the garbage collector.

Results are large, and their memory is the arena's: a collector that counts objects looks rarely.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from rbr_testing.eventually import until

import ringbridge

BASICS = "rbr_testing.basics"


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def gone(reference: weakref.ref[Any]) -> None:
    # A reader on another thread may still be between the result and its end.
    until(lambda: reference() is None, "the task to be freed without the collector")


def test_a_task_whose_result_was_taken_is_freed_without_the_collector(
    worker: ringbridge.Worker,
) -> None:
    square = worker.load(BASICS).square
    for _ in range(20):  # its end may come before, in and after submit()
        task = square.submit(3)
        assert task.result() == 9
        reference = weakref.ref(task)
        del task
        gone(reference)


def test_an_awaited_task_is_freed_without_the_collector(worker: ringbridge.Worker) -> None:
    square = worker.load(BASICS).square

    async def take() -> weakref.ref[Any]:
        task = square.submit(3)
        assert await task == 9
        return weakref.ref(task)

    gone(asyncio.run(take()))


def test_a_task_with_a_timeout_is_freed_long_before_it(worker: ringbridge.Worker) -> None:
    square = worker.load(BASICS).square.options(timeout=3600)
    task = square.submit(3)
    assert task.result() == 9
    reference = weakref.ref(task)
    del task
    gone(reference)


def test_a_task_that_failed_is_freed_with_its_exception(worker: ringbridge.Worker) -> None:
    task = worker.load(BASICS).fail.submit()
    error = task.exception()
    assert isinstance(error, ValueError)
    reference = weakref.ref(task)
    del task, error
    gone(reference)
    assert sys.exc_info() == (None, None, None)
