# SPDX-License-Identifier: MIT
"""Tasks of an event loop that another thread ends, and tasks that no loop of asyncio awaits."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from rbr_testing.eventually import LONG_S
from rbr_testing.fixtures import MakeWorker

import ringbridge

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


def test_a_task_that_is_awaited_outside_of_asyncio_says_what_would_be_right(
    worker: ringbridge.Worker,
) -> None:
    task = worker.load(BASICS).square.options(timeout=LONG_S).submit(3)
    waiting = task.__await__()
    if not task.done():
        with pytest.raises(RuntimeError, match="wait for its result"):
            next(waiting)
    assert task.result() == 9
