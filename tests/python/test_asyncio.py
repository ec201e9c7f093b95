# SPDX-License-Identifier: MIT
"""Tasks in asyncio: awaiting, cancelling, deadlines; what other threads may do."""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from rbr_testing.eventually import LONG_S, Gate
from rbr_testing.loops import awaited, entered, run

import ringbridge

since_3_11 = pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio of Python 3.11")


# ----------------------------------------------------------------------------------------- awaiting


def test_ten_thousand_awaits_at_once(tasks: ringbridge.RemoteModule) -> None:
    async def one(each: int) -> Any:
        return await tasks.number.submit(each)

    async def main() -> list[Any]:
        return await asyncio.gather(*(one(each) for each in range(10_000)))

    assert run(main()) == list(range(10_000))


def test_a_task_is_awaited_more_than_once_and_after_its_end(
    tasks: ringbridge.RemoteModule,
) -> None:
    async def main() -> list[Any]:
        task = tasks.number.submit(5)

        async def wait() -> Any:
            return await task

        both = await asyncio.gather(wait(), wait())
        return [*both, await task, task.result(), await asyncio.wrap_future(task)]

    assert run(main()) == [5] * 5


def test_exceptions_come_out_of_await(
    tasks: ringbridge.RemoteModule, basics: ringbridge.RemoteModule
) -> None:
    async def main() -> None:
        with pytest.raises(KeyError) as caught:
            await basics.fail.submit("KeyError", "key")
        assert "in fail" in str(caught.value.__cause__)
        results = await asyncio.gather(
            awaited(basics.fail.submit("ValueError", "x")),
            awaited(tasks.number.submit(1)),
            return_exceptions=True,
        )
        assert isinstance(results[0], ValueError) and results[1] == 1

    run(main())


def test_a_task_from_outside_is_awaited_in_a_loop_and_the_other_way_round(
    tasks: ringbridge.RemoteModule,
) -> None:
    outside = tasks.pause.submit(0.05, "outside")
    got: list[Any] = []

    async def main() -> Any:
        inside = tasks.pause.submit(0.05, "inside")
        thread = threading.Thread(target=lambda: got.append(inside.result(LONG_S)))
        thread.start()
        result = await outside
        await inside
        thread.join(LONG_S)
        return result

    assert run(main()) == "outside"
    assert got == ["inside"]


def test_done_and_progress_callbacks_run_on_the_loops_thread(
    tasks: ringbridge.RemoteModule,
) -> None:
    async def main() -> str:
        heard: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        task = tasks.number.submit(1)
        task.add_done_callback(lambda _: heard.set_result(threading.current_thread().name))
        return await heard

    assert run(main()) == threading.current_thread().name


# -------------------------------------------------------------------------------- cancel, deadlines


def test_cancelling_the_asyncio_task_cancels_the_call(
    tasks: ringbridge.RemoteModule, fifo: Path
) -> None:
    pid = tasks.pid()

    async def main() -> None:
        remote = tasks.sleep_long.submit(str(fifo))
        waiting = asyncio.ensure_future(awaited(remote))
        await asyncio.sleep(0)
        await entered(fifo)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        with pytest.raises(ringbridge.Cancelled):
            await remote
        assert remote.cancelled()
        assert await tasks.number.submit(1) == 1

    run(main())
    assert tasks.pid() == pid


def test_wait_for_cancels_the_call_that_is_late(tasks: ringbridge.RemoteModule, fifo: Path) -> None:
    async def main() -> None:
        remote = tasks.sleep_long.submit(str(fifo))
        await entered(fifo)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(remote, 0.05)
        with pytest.raises(ringbridge.Cancelled):
            await remote
        assert await asyncio.wait_for(tasks.number.submit(2), LONG_S) == 2

    run(main())


@since_3_11
def test_task_groups_and_timeout_cancel_their_calls(
    tasks: ringbridge.RemoteModule, basics: ringbridge.RemoteModule, fifo: Path
) -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            all_of = [group.create_task(awaited(tasks.number.submit(n))) for n in range(50)]
        assert [each.result() for each in all_of] == list(range(50))
        remote = tasks.sleep_long.submit(str(fifo))
        await entered(fifo)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await remote
        with pytest.raises(ringbridge.Cancelled):
            await remote
        slow = tasks.pause.submit(3600)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(awaited(slow))
                group.create_task(_failing())
        except BaseExceptionGroup as error:  # noqa: F821 - of 3.11
            assert isinstance(error.exceptions[0], KeyError)
        with pytest.raises(ringbridge.Cancelled):
            await slow
        assert await tasks.number.submit(1) == 1

    run(main())


async def _failing() -> None:
    await asyncio.sleep(0)
    raise KeyError("one of them")


def test_shield_keeps_the_call(tasks: ringbridge.RemoteModule, gate: Gate) -> None:
    async def main() -> Any:
        remote = tasks.pass_on.submit(gate.started, gate.release, "kept")
        gate.entered()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(awaited(remote)), 0.01)
        gate.open()
        return await remote

    assert run(main()) == "kept"


def test_a_deadline_is_kept_in_a_loop_that_runs_and_in_one_that_waits(
    tasks: ringbridge.RemoteModule,
) -> None:
    """A loop's timers do not run while its own thread waits in result()."""

    async def main() -> None:
        with pytest.raises(ringbridge.CallTimeout):
            await tasks.pause.options(timeout=0.05).submit(3600)
        with pytest.raises(ringbridge.CallTimeout):
            tasks.pause.options(timeout=0.05).submit(3600).result()
        late = tasks.pause.submit(3600)
        assert late.cancel()
        with pytest.raises(ringbridge.Cancelled):
            late.result()  # interrupted, though the loop stands still
        assert await tasks.number.submit(1) == 1

    run(main())


def test_result_on_the_loops_thread_waits_no_longer_than_asked(
    tasks: ringbridge.RemoteModule, fifo: Path
) -> None:
    async def main() -> None:
        remote = tasks.sleep_long.submit(str(fifo))
        await entered(fifo)
        begun = time.monotonic()
        with pytest.raises((TimeoutError, concurrent.futures.TimeoutError)):
            remote.result(timeout=2.0)
        assert time.monotonic() - begun < 3.95, "it waited twice"
        remote.cancel(grace=None)
        with pytest.raises(ringbridge.Cancelled):
            await remote

    run(main())


def test_another_thread_may_cancel_what_a_loop_awaits(
    tasks: ringbridge.RemoteModule, fifo: Path
) -> None:
    """It woke the loop's futures from its own thread, which a sleeping loop does not hear."""

    async def main() -> None:
        running = tasks.sleep_long.submit(str(fifo))
        waiting = tasks.number.submit(1)
        open(fifo).close()
        loop = asyncio.get_running_loop()
        loop.call_later(0.01, threading.Thread(target=waiting.cancel).start)
        with pytest.raises(ringbridge.Cancelled):
            await waiting
        loop.call_later(0.01, threading.Thread(target=running.cancel).start)
        with pytest.raises(ringbridge.Cancelled):
            await running

    run(main(), debug=True)
