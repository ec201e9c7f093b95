# SPDX-License-Identifier: MIT
"""Loops that come and go, other loops than asyncio's own, deaths, full outboxes, many calls."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import os
import resource
import signal
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest
from rbr_testing.basics import open_fds
from rbr_testing.eventually import LONG_S, Gate, until
from rbr_testing.fixtures import MakeWorker
from rbr_testing.loops import awaited, entered, run

import ringbridge

HERE = Path(__file__).resolve().parent
CREDIT = 8


# -------------------------------------------------------------------------------- loops come and go


def test_asyncio_run_again_and_again_leaves_no_descriptors(
    tasks: ringbridge.RemoteModule,
) -> None:
    async def main() -> Any:
        return await tasks.number.submit(7)

    run(main())
    gc.collect()
    before = open_fds()
    for _ in range(20):
        assert run(main()) == 7
    gc.collect()
    assert open_fds() <= before + 3  # an epoll and its eventfds, of the last loop


def test_a_loop_that_outlives_its_workers_keeps_nothing_of_them() -> None:
    async def main() -> None:
        before, channels = open_fds(), []
        for _ in range(3):
            with ringbridge.Worker(sys.executable, name="own", paths=[HERE]) as worker:
                module = worker.load("rbr_testing.duties")
                assert await module.number.submit(7) == 7
                channels.append(weakref.ref(worker._process.channel()))
            del worker, module
        await asyncio.sleep(0)  # the loop lets go of the descriptors in a turn of its own
        gc.collect()
        assert [channel() for channel in channels] == [None] * 3
        assert open_fds() <= before

    run(main())


def test_loops_in_several_threads_share_a_worker(tasks: ringbridge.RemoteModule) -> None:
    async def main(factor: int) -> list[Any]:
        return [await tasks.number.submit(each * factor) for each in range(300)]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        submitted = [pool.submit(lambda f=factor: run(main(f))) for factor in range(4)]
        blocking = [tasks.number(each) for each in range(300)]
        for factor, each in enumerate(submitted):
            assert each.result(LONG_S) == [number * factor for number in range(300)]
    assert blocking == list(range(300))


def test_a_loop_that_is_closed_with_tasks_pending_leaves_nothing_waiting(
    tasks: ringbridge.RemoteModule,
) -> None:
    async def main() -> list[Any]:
        return [tasks.pause.submit(0.2, each) for each in range(3)]

    left = run(main())
    assert left[0].result(timeout=LONG_S) == 0  # whoever waits reads, where no loop does
    assert [task.result(timeout=LONG_S) for task in left] == [0, 1, 2]
    left = run(main())

    async def next_loop() -> Any:
        return await tasks.number.submit(1)

    assert run(next_loop()) == 1
    for task in left:
        error = task.exception(timeout=LONG_S)
        assert error is None or "event loop" in str(error)


def test_debug_mode_finds_nothing(
    tasks: ringbridge.RemoteModule, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        assert await tasks.number.submit(1) == 1
        assert [each async for each in tasks.numbers.stream(20)] == list(range(20))
        assert await tasks.call.submit(_awaited_callback) == "later"
        with pytest.raises(ringbridge.CallTimeout):
            await tasks.pause.options(timeout=0.02).submit(3600)

    run(main(), debug=True)
    wrong = [each.getMessage() for each in caplog.records if "took" not in each.getMessage()]
    assert not [text for text in wrong if "slow" in text or "never" in text or "thread" in text]


async def _awaited_callback() -> str:
    await asyncio.sleep(0)
    return "later"


def test_a_loop_needs_no_helper_thread(make_worker: MakeWorker) -> None:
    module = make_worker().load("rbr_testing.duties")
    before = set(threading.enumerate())

    async def main() -> None:
        for each in range(100):
            assert await module.number.submit(each) == each
        assert [each async for each in module.numbers.stream(20)] == list(range(20))
        assert await module.call.submit(lambda: 5) == 5
        assert set(threading.enumerate()) <= before

    run(main())


@pytest.mark.parametrize("name", ["uvloop"])
def test_other_loops_work_the_same(tasks: ringbridge.RemoteModule, name: str, fifo: Path) -> None:
    uvloop = pytest.importorskip(name)

    async def main() -> None:
        got = await asyncio.gather(*(awaited(tasks.number.submit(n)) for n in range(1000)))
        assert got == list(range(1000))
        assert [each async for each in tasks.numbers.stream(100)] == list(range(100))
        assert await tasks.call.submit(_awaited_callback) == "later"
        remote = tasks.sleep_long.submit(str(fifo))
        await entered(fifo)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(remote, 0.05)
        with pytest.raises(ringbridge.CallTimeout):
            await tasks.pause.options(timeout=0.02).submit(3600)
        assert tasks.number(1) == 1

    for _ in range(2):
        loop = uvloop.new_event_loop()
        try:
            loop.run_until_complete(asyncio.wait_for(main(), LONG_S))
        finally:
            loop.close()
        os.unlink(fifo)
        os.mkfifo(fifo)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_anyio_and_trio_wait_in_their_threads(tasks: ringbridge.RemoteModule, backend: str) -> None:
    anyio = pytest.importorskip("anyio")
    pytest.importorskip(backend)

    async def main() -> None:
        task = tasks.number.submit(5) if backend == "trio" else None
        got = await anyio.to_thread.run_sync(lambda: tasks.number.submit(4).result(LONG_S))
        assert got == 4
        assert await anyio.to_thread.run_sync(tasks.number, 3) == 3
        if task is not None:
            assert await anyio.to_thread.run_sync(task.result) == 5

    anyio.run(main, backend=backend)


# -------------------------------------------------------------------------------------- bad moments


def test_the_workers_death_fails_all_that_await(make_worker: MakeWorker, fifo: Path) -> None:
    worker = make_worker()
    module = worker.load("rbr_testing.duties")

    async def main() -> list[Any]:
        first = asyncio.ensure_future(awaited(module.sleep_long.submit(str(fifo))))
        others = [asyncio.ensure_future(awaited(module.number.submit(n))) for n in range(100)]
        await entered(fifo)
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        return await asyncio.gather(first, *others, return_exceptions=True)

    errors = run(main())
    assert len(errors) == 101
    assert all(isinstance(error, ringbridge.WorkerDied) for error in errors)


def test_a_closed_worker_fails_all_that_await(make_worker: MakeWorker, fifo: Path) -> None:
    worker = make_worker()
    module = worker.load("rbr_testing.duties")

    async def main() -> Any:
        waiting = asyncio.ensure_future(awaited(module.sleep_long.submit(str(fifo))))
        await entered(fifo)
        await asyncio.get_running_loop().run_in_executor(None, worker.close)
        return (await asyncio.gather(waiting, return_exceptions=True))[0]

    assert isinstance(run(main()), ringbridge.RingbridgeError)


def test_blocking_calls_on_the_loops_thread_do_not_disturb_pending_tasks(
    tasks: ringbridge.RemoteModule,
) -> None:
    async def main() -> list[Any]:
        pending = [tasks.number.submit(each) for each in range(200)]
        assert [tasks.number(-each) for each in range(200)] == [-each for each in range(200)]
        assert pending[100].result() == 100
        return [await task for task in pending]

    assert run(main()) == list(range(200))


def test_sys_exit_in_a_callback_leaves_the_loop_usable(tasks: ringbridge.RemoteModule) -> None:
    """The loop's descriptor was not armed again."""
    loop = asyncio.new_event_loop()

    async def both(function: Any) -> tuple[Any, Any]:
        first = tasks.call.submit(function)
        second = tasks.number.submit(2)
        with contextlib.suppress(ringbridge.RemoteError):
            await first
        return await tasks.number.submit(1), await second

    try:
        waiting = loop.create_task(both(lambda: sys.exit(3)))
        with pytest.raises(SystemExit):
            loop.run_until_complete(waiting)
        assert loop.run_until_complete(asyncio.wait_for(waiting, LONG_S)) == (1, 2)
    finally:
        loop.close()


def test_a_full_outbox_is_busy_on_a_loop_and_loses_nothing(
    make_worker: MakeWorker, gate: Gate
) -> None:
    """What is released and given back passes, however full it is."""
    worker = make_worker()
    module = worker.load("rbr_testing.duties")
    models = worker.load("rbr_testing.models")
    text = "x" * 3000

    async def main() -> None:
        in_thread = asyncio.get_running_loop().run_in_executor
        model = await models.Model.submit("dropped")
        stream, made = module.noted.stream(30), 0
        assert await stream.__anext__() == 0
        while made < 1 + CREDIT:  # as many as it may be ahead
            made += len(await module.take_seen.submit())
        first, sent = module.pass_on.submit(gate.started, gate.release), []
        await in_thread(None, gate.entered)
        with pytest.raises(ringbridge.Busy, match=r"outbox.* await some first"):
            for each in range(40_000):  # 120 MB, of which 64 MiB may wait
                sent.append(module.number.submit([each, text]))
        del model
        items = [await stream.__anext__() for _ in range(CREDIT)]
        await in_thread(None, gate.open)
        await first
        assert [(await task)[0] for task in sent] == list(range(len(sent)))
        assert len(sent) > 10_000
        assert items + [each async for each in stream] == list(range(1, 30))

    run(main())
    until(lambda: models.take_gone() == ["dropped"])


@pytest.mark.seconds(200)
def test_a_hundred_thousand_calls_at_once_all_complete_in_order(make_worker: MakeWorker) -> None:
    """From a plain thread, which waits for room; two streams among them, one closed early."""
    module = make_worker().load("rbr_testing.duties")
    module.pause(0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    order: list[int] = []
    first = module.pause.submit(0.5)
    streams = [module.numbers.stream(100), module.noted.stream(100)]
    submitted = []
    for each in range(100_000):
        task = module.number.submit(each)
        task.add_done_callback(lambda done: order.append(done.result()))
        submitted.append(task)
        if each == 50_000:
            assert next(streams[1]) == 0
            streams[1].close()
    assert list(streams[0]) == list(range(100))
    assert submitted[-1].result(LONG_S) == 99_999
    assert first.result(LONG_S) is None
    until(lambda: len(order) == 100_000)
    assert order == list(range(100_000))
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{grown_mib:.0f} MiB more")
    assert grown_mib < 600  # 6 KB a task, with all that a Future is
    assert module.take_seen()[-1] == "closed"
