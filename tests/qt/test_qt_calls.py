# SPDX-License-Identifier: MIT
"""Remote calls in asyncslots: awaited by a loop that runs on Qt, and by no thread of ours."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from conftest import THERE, QtCore

import ringbridge
from ringbridge.qt import asyncslot, binding, new_event_loop, using_asyncio_from_qt

InSlot = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]


@pytest.fixture(scope="module")
def worker() -> Iterator[ringbridge.Worker]:
    with ringbridge.Worker(sys.executable, name="qt", paths=[THERE]) as started:
        yield started
        assert started.stats()["late_looks"] == 0, "a wake-up was lost in one of the tests"


@pytest.fixture(scope="module")
def far(worker: ringbridge.Worker) -> ringbridge.RemoteModule:
    return worker.load("qt_work")


@pytest.fixture(params=["guest", "owner"])
def in_slot(request: pytest.FixtureRequest, app: Any) -> InSlot:
    """Runs a coroutine function as the slot of a timer, and gives its result."""

    def run(function: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        results: list[Any] = []
        timer = QtCore.QTimer()
        timer.setSingleShot(True)

        async def slot() -> None:
            try:
                results.append(await asyncio.wait_for(function(), 60))
            except BaseException as error:
                results.append(error)
            finally:
                ended()

        timer.timeout.connect(asyncslot(slot))
        timer.start(0)
        if request.param == "guest":
            ended = app.quit
            with using_asyncio_from_qt():
                binding.run(app)
        else:
            loop = new_event_loop()
            ended = loop.stop
            loop.run_forever()
            loop.close()
        (result,) = results
        if isinstance(result, BaseException):
            raise result
        return result

    return run


def test_a_call_is_awaited(in_slot: InSlot, far: ringbridge.RemoteModule) -> None:
    async def slot() -> int:
        return await far.add.submit(1, 2)  # type: ignore[no-any-return]

    assert in_slot(slot) == 3


def test_what_it_raises_is_raised_there(in_slot: InSlot, far: ringbridge.RemoteModule) -> None:
    async def slot() -> None:
        await far.raises.submit("over there")

    with pytest.raises(ValueError, match="over there"):
        in_slot(slot)


def test_progress_is_told_on_the_loop_s_thread(
    in_slot: InSlot, far: ringbridge.RemoteModule
) -> None:
    seen: list[tuple[str, int]] = []

    async def slot() -> int:
        task = far.steps.submit(5, 0.04)  # the newest is sent every 30 ms
        task.on_progress(lambda progress: seen.append((progress.text, threading.get_ident())))
        return await task  # type: ignore[no-any-return]

    assert in_slot(slot) == 5
    assert seen[-1] == ("step 4", threading.get_ident())
    assert {thread for _text, thread in seen} == {threading.get_ident()}


async def begun(task: ringbridge.Task) -> None:
    told = asyncio.get_running_loop().create_future()
    task.on_progress(lambda _progress: told.done() or told.set_result(None))
    await told


def test_a_cancel_of_who_awaits_reaches_the_code_over_there(
    in_slot: InSlot, far: ringbridge.RemoteModule
) -> None:
    async def slot() -> int:
        call = far.until_cancelled.submit()
        await begun(call)

        async def wait() -> None:
            await call

        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return await far.take_cancelled.submit()  # type: ignore[no-any-return]

    assert in_slot(slot) == 1


def test_a_stream_is_iterated_over(in_slot: InSlot, far: ringbridge.RemoteModule) -> None:
    async def slot() -> list[int]:
        return [item async for item in far.counts.stream(1000)]

    assert in_slot(slot) == list(range(1000))


def test_a_thousand_calls_are_awaited_at_once_and_no_thread_helps(
    in_slot: InSlot, far: ringbridge.RemoteModule
) -> None:
    async def slot() -> list[int]:
        before = threading.active_count()
        calls = [far.add.submit(number, 1) for number in range(1000)]
        assert threading.active_count() == before
        results: list[int] = await asyncio.gather(*calls)
        assert threading.active_count() == before
        return results

    assert in_slot(slot) == list(range(1, 1001))


def test_calls_made_from_qt_between_the_loop_s_turns_are_read(
    in_slot: InSlot, far: ringbridge.RemoteModule
) -> None:
    async def slot() -> int:
        future = asyncio.get_running_loop().create_future()

        def from_qt() -> None:
            far.add.submit(20, 3).add_done_callback(lambda call: future.set_result(call.result()))

        QtCore.QTimer.singleShot(20, from_qt)
        return await future  # type: ignore[no-any-return]

    assert in_slot(slot) == 23


def test_leaving_with_calls_in_flight_cancels_them(
    app: Any, far: ringbridge.RemoteModule, worker: ringbridge.Worker
) -> None:
    pid = worker.pid

    async def slot() -> None:
        call = far.until_cancelled.submit()
        await begun(call)
        app.quit()
        await call

    async def waits() -> None:
        await far.until_cancelled.submit()

    with using_asyncio_from_qt():
        waiting = asyncslot(slot)()
        more = [asyncslot(waits)() for _ in range(10)]
        binding.run(app)
    assert waiting is not None
    assert waiting.cancelled()
    assert all(task is not None and task.cancelled() for task in more)
    assert far.add(1, 1) == 2
    assert far.take_cancelled() >= 1  # and of the others those that had begun
    assert worker.pid == pid


def test_a_worker_s_death_is_raised_in_the_coroutines(in_slot: InSlot) -> None:
    with ringbridge.Worker(sys.executable, name="dies", paths=[THERE]) as own:
        far = own.load("qt_work")

        async def slot() -> list[Any]:
            first = far.until_cancelled.submit()
            await begun(first)
            rest = [far.add.submit(1, 1) for _ in range(10)]
            assert own.pid is not None
            os.kill(own.pid, signal.SIGKILL)
            return await asyncio.gather(first, *rest, return_exceptions=True)

        errors = in_slot(slot)
        assert [type(error) for error in errors] == [ringbridge.WorkerDied] * 11
