# SPDX-License-Identifier: MIT
"""Tasks that one thread submits and another one ends, waits for or lets go of."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest
from rbr_testing.eventually import LONG_S, Gate, collected, until
from rbr_testing.fixtures import MakeWorker

import ringbridge
from ringbridge import readers

BASICS = "rbr_testing.basics"


def test_a_cancel_of_another_thread_wakes_the_loop_that_awaits(
    make_worker: MakeWorker, tmp_path: Path
) -> None:
    # It did not: the loop went on sleeping until the next event, and there was none.
    basics = make_worker().load(BASICS)
    started = tmp_path / "started"

    async def main() -> None:
        blocking = basics.block_for_ever.submit(str(started))
        behind = basics.square.submit(3)

        async def wait() -> Any:
            asyncio.get_running_loop().call_later(
                0.05, threading.Thread(target=behind.cancel).start
            )
            return await behind

        with pytest.raises(ringbridge.Cancelled):
            await asyncio.wait_for(wait(), LONG_S)
        assert not blocking.done()

    asyncio.run(main())


def test_a_thread_that_waits_for_a_task_of_a_loop_has_it_also_when_the_loop_is_closed(
    tasks: ringbridge.RemoteModule, gate: Gate
) -> None:
    # It went on waiting for a loop that read no more.
    results: list[Any] = []

    def wait(task: ringbridge.Task) -> None:
        results.append(task.result(LONG_S))

    async def main() -> list[threading.Thread]:
        held = tasks.pass_on.submit(gate.started, gate.release, 7)
        await asyncio.get_running_loop().run_in_executor(None, gate.entered)
        threads = [threading.Thread(target=wait, args=[held]) for _ in range(3)]
        for thread in threads:
            thread.start()
        return threads

    threads = asyncio.run(main())
    gate.open()
    for thread in threads:
        thread.join(LONG_S)
    assert results == [7, 7, 7]


def test_a_callback_of_a_task_may_wait_for_another_one(tasks: ringbridge.RemoteModule) -> None:
    # The thread that reads waited for itself.
    results: list[Any] = []
    ended = threading.Event()

    def wait(_task: object) -> None:
        results.append(tasks.number.submit(2).result(LONG_S))
        ended.set()

    tasks.number.submit(1).add_done_callback(wait)
    assert ended.wait(LONG_S)
    assert results == [2]


def test_a_done_callback_that_leaves_its_thread_leaves_a_cancelled_task_whole(
    tasks: ringbridge.RemoteModule, gate: Gate
) -> None:
    # wait() and as_completed() never heard of it.
    held = tasks.pass_on.submit(gate.started, gate.release, 1)
    gate.entered()
    task = tasks.number.submit(2)
    task.add_done_callback(lambda _task: sys.exit())
    with pytest.raises(SystemExit):
        task.cancel()
    assert concurrent.futures.wait([task], LONG_S).done == {task}
    gate.open()
    assert held.result(LONG_S) == 1


def test_an_ended_task_is_let_go_of_before_the_grace_of_its_cancel_is_over(
    tasks: ringbridge.RemoteModule, gate: Gate
) -> None:
    task = tasks.pass_on.submit(gate.started, gate.release, 1)
    gate.entered()
    task.cancel(grace=3600)
    gate.open()
    with contextlib.suppress(ringbridge.Cancelled):
        task.result(LONG_S)
    ended = weakref.ref(task)
    del task
    until(lambda: collected(ended), "the end of the task")


def test_the_end_of_a_stream_is_no_result(tasks: ringbridge.RemoteModule, gate: Gate) -> None:
    """Of a worker that says such a thing."""
    task = tasks.pass_on.submit(gate.started, gate.release, 1)
    gate.entered()
    task._event(task._call, readers.END, None)
    with pytest.raises(ringbridge.ProtocolError, match="stream has ended"):
        task.result(LONG_S)
    gate.open()


def test_a_task_that_is_awaited_outside_of_asyncio_says_what_would_be_right(
    worker: ringbridge.Worker,
) -> None:
    task = worker.load(BASICS).square.options(timeout=LONG_S).submit(3)
    waiting = task.__await__()
    if not task.done():
        with pytest.raises(RuntimeError, match="wait for its result"):
            next(waiting)
    assert task.result() == 9
