# SPDX-License-Identifier: MIT
"""Streams in event loops: `async for`, early ends, several readers, several loops."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from rbr_testing.eventually import LONG_S, Gate
from rbr_testing.fixtures import MakeWorker
from rbr_testing.loops import run

import ringbridge
from ringbridge.stream import CREDIT

# ---------------------------------------------------------------------------------------- async for


def test_async_for_gets_the_items_in_their_order(tasks: ringbridge.RemoteModule) -> None:
    async def main() -> list[Any]:
        return [each async for each in tasks.numbers.stream(1000)]

    assert run(main()) == list(range(1000))


def test_async_streams_and_awaited_calls_mix(tasks: ringbridge.RemoteModule) -> None:
    async def read(factor: int) -> list[Any]:
        got = []
        async for each in tasks.numbers.stream(100):
            got.append(await tasks.number.submit(each * factor))
            if each % 10 == 0:
                assert tasks.number(each) == each  # blocking, on the loop's thread
        return got

    async def main() -> list[list[Any]]:
        return list(await asyncio.gather(*(read(factor) for factor in range(4))))

    assert run(main()) == [[each * factor for each in range(100)] for factor in range(4)]


def test_an_exception_comes_in_its_place_in_async_for(tasks: ringbridge.RemoteModule) -> None:
    async def main() -> list[Any]:
        got = []
        with pytest.raises(KeyError):
            async for each in tasks.then_fails.stream(20):
                got.append(each)
        return got

    assert run(main()) == list(range(20))


def test_aclose_runs_the_finally_and_interrupts_an_item(
    tasks: ringbridge.RemoteModule, fifo: Path
) -> None:
    async def main() -> None:
        async with tasks.noted.stream(100) as stream:
            async for _each in stream:
                break
        assert (await tasks.take_seen.submit())[-1] == "closed"
        stream = tasks.one_then_sleeps.stream(str(fifo))
        assert await stream.__anext__() == 1
        open(fifo).close()
        await stream.aclose()
        await stream.aclose()
        assert await tasks.take_seen.submit() == ["closed"]

    run(main())


@pytest.mark.parametrize("how", ["short", "asks", "sleeps"])
def test_aclose_ends_the_finally_of_a_parked_stream_as_an_item(
    tasks: ringbridge.RemoteModule, how: str
) -> None:
    """It was left alone for as long as it lasted, since no item was being made."""

    async def main() -> None:
        stream = tasks.ends_late.stream(how)
        for _ in range(2 * CREDIT):  # it makes an item between two calls, and is parked then
            await tasks.number.submit(0)
        await stream.aclose()
        assert await tasks.take_seen.submit() == ([] if how == "sleeps" else ["slept"])

    run(main())


def test_aclose_ends_the_wait_of_another_task(tasks: ringbridge.RemoteModule, fifo: Path) -> None:
    """Whoever waited first was forgotten, and waited for ever."""

    async def main() -> None:
        stream = tasks.one_then_sleeps.stream(str(fifo))
        assert await stream.__anext__() == 1

        async def rest() -> list[Any]:
            return [each async for each in stream]

        waiting = asyncio.ensure_future(rest())
        await asyncio.sleep(0)
        open(fifo).close()
        await stream.aclose()
        done, _ = await asyncio.wait([waiting], timeout=LONG_S)
        assert done
        error = waiting.exception()
        assert error is None or isinstance(error, ringbridge.Cancelled)

    run(main())


def test_tasks_of_a_loop_may_share_a_stream(tasks: ringbridge.RemoteModule) -> None:
    async def main() -> list[int]:
        stream = tasks.numbers.stream(500)

        async def read() -> list[int]:
            return [each async for each in stream]

        parts = await asyncio.gather(*(read() for _ in range(3)))
        return [each for part in parts for each in part]

    assert sorted(run(main())) == list(range(500))


def test_a_timeout_is_for_each_item_of_async_for(
    tasks: ringbridge.RemoteModule, fifo: Path
) -> None:
    async def main() -> None:
        stream = tasks.one_then_sleeps.options(timeout=2.0).stream(str(fifo))
        assert await stream.__anext__() == 1
        open(fifo).close()
        with pytest.raises(ringbridge.CallTimeout):
            await stream.__anext__()
        assert [each async for each in stream] == []
        assert await tasks.number.submit(1) == 1

    run(main())


@pytest.mark.parametrize("how", ["progress", "log"])
def test_what_comes_before_an_item_does_not_put_its_timeout_off_in_async_for(
    tasks: ringbridge.RemoteModule, how: str
) -> None:
    """Each event started it anew."""

    async def main() -> None:
        with pytest.raises(ringbridge.CallTimeout, match=r"made no item within .* 0.3 s"):
            await tasks.talks_first.options(timeout=0.3).stream(how, 6.0).__anext__()
        assert await tasks.number.submit(1) == 1

    run(main())


def test_an_item_that_came_while_the_loop_stood_still_is_not_late(
    tasks: ringbridge.RemoteModule, gate: Gate
) -> None:
    """From Python 3.12 on the timeout won, though the item was there."""

    async def main() -> None:
        stream = tasks.items_through.options(timeout=0.5).stream(gate.started, gate.release)
        waiting = asyncio.ensure_future(stream.__anext__())
        await asyncio.sleep(0)
        gate.entered()
        gate.open()
        assert tasks.number(1) == 1  # when this is answered the item has been sent
        time.sleep(0.6)
        assert await waiting == 1
        assert [each async for each in stream] == []

    run(main())


def test_a_cancelled_wait_loses_no_item(tasks: ringbridge.RemoteModule) -> None:
    async def main() -> list[int]:
        stream, got = tasks.noted.stream(30), []
        while True:
            waiting = asyncio.ensure_future(stream.__anext__())
            await asyncio.sleep(0)
            waiting.cancel()
            try:
                got.append(await waiting)
            except asyncio.CancelledError:
                try:
                    got.append(await stream.__anext__())
                except StopAsyncIteration:
                    return got
            except StopAsyncIteration:
                return got

    assert run(main()) == list(range(30))


def test_two_loops_in_two_threads_read_streams_of_one_worker(
    tasks: ringbridge.RemoteModule,
) -> None:
    async def main() -> list[int]:
        return [each async for each in tasks.numbers.stream(500)]

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for each in [pool.submit(lambda: run(main())) for _ in range(4)]:
            assert each.result(LONG_S) == list(range(500))


def test_the_worker_dies_amid_async_for(make_worker: MakeWorker) -> None:
    module = make_worker().load("rbr_testing.duties")

    async def main() -> list[int]:
        got = []
        with pytest.raises(ringbridge.WorkerDied):
            async for each in module.dies_after.stream(5):
                got.append(each)
        return got

    assert run(main()) == list(range(5))


@pytest.mark.parametrize("how", ["another loop", "result"])
def test_a_loop_that_is_closed_amid_async_for_ends_all_its_calls(
    tasks: ringbridge.RemoteModule, gate: Gate, how: str
) -> None:
    """The waiter of the closed loop raised in who came next, and the calls after it stayed open."""

    async def main() -> Any:
        stream = tasks.items_through.stream(gate.started, gate.release)
        waiting.append(asyncio.ensure_future(stream.__anext__()))
        await asyncio.sleep(0)
        return tasks.number.submit(1)

    waiting: list[Any] = []
    loop = asyncio.new_event_loop()
    task = loop.run_until_complete(main())
    gate.entered()
    loop.close()
    if how == "another loop":

        async def another() -> Any:
            return await tasks.number.submit(2)

        opening = threading.Thread(target=gate.open)
        opening.start()
        assert run(another()) == 2
        opening.join()
        with pytest.raises(ringbridge.RingbridgeError, match=r"loop .* was closed"):
            task.result(LONG_S)
    else:
        gate.open()
        assert task.result(LONG_S) == 1


def test_the_wrong_kind_of_loop_is_told(tasks: ringbridge.RemoteModule) -> None:
    ours = tasks.numbers.stream(3)

    async def main() -> None:
        theirs = tasks.numbers.stream(3)
        with pytest.raises(TypeError, match="iterate over it with `for`"):
            await ours.__anext__()
        with pytest.raises(TypeError, match="iterate over it with `async for`"):
            next(theirs)
        with pytest.raises(TypeError, match="aclose"):
            theirs.close()
        with pytest.raises(TypeError, match=r"close\(\)"):
            await ours.aclose()
        await theirs.aclose()

    run(main())
    assert list(ours) == [0, 1, 2]
