# SPDX-License-Identifier: MIT
"""Streams in `for` loops: order, ends of every kind, back-pressure, timeouts."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from rbr_testing.eventually import LONG_S, Gate, collected, until
from rbr_testing.fixtures import MakeWorker

import ringbridge

CREDIT = 8


# ---------------------------------------------------------------------------------------------- for


def test_a_for_loop_gets_the_items_in_their_order(tasks: ringbridge.RemoteModule) -> None:
    stream = tasks.numbers.stream(1000)
    assert "numbers open" in repr(stream)
    assert list(stream) == list(range(1000))
    assert list(stream) == []  # once
    assert "over" in repr(stream)
    assert list(tasks.numbers.stream(0)) == []


def test_what_can_be_iterated_over_is_a_stream_too(tasks: ringbridge.RemoteModule) -> None:
    assert list(tasks.as_list.stream(30)) == list(range(30))
    assert list(tasks.later_numbers.stream(30)) == list(range(30))
    with pytest.raises(TypeError, match=r"a stream needs a function that yields.* returned int"):
        next(tasks.number.stream(1))


LEAVES_TASKS = """
import asyncio

seen = []

async def stays():
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        seen.append("cancelled")
        raise

async def fails():
    try:
        await asyncio.sleep(3600)
    finally:
        raise ValueError("at its end")

async def items(count):
    tasks = [asyncio.ensure_future(each()) for each in (stays, fails)]
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: seen.append(str(context["exception"]))
    )
    for each in range(count):
        await asyncio.sleep(0)
        yield each

def take_seen():
    taken, seen[:] = list(seen), []
    return taken
"""


def test_the_tasks_of_an_async_generator_end_with_it(
    make_worker: MakeWorker, tmp_path: Path
) -> None:
    # They stayed: "Task was destroyed but it is pending!"
    (tmp_path / "leaves_tasks.py").write_text(LEAVES_TASKS)
    module = make_worker(paths=[tmp_path]).load("leaves_tasks")
    assert list(module.items.stream(3)) == [0, 1, 2]
    assert module.take_seen() == ["cancelled", "at its end"]
    with module.items.stream(1000) as stream:
        assert next(stream) == 0
    assert module.take_seen() == ["cancelled", "at its end"]


def test_an_exception_comes_in_its_place_with_its_traceback(
    tasks: ringbridge.RemoteModule,
) -> None:
    stream, got = tasks.then_fails.stream(20), []
    with pytest.raises(KeyError, match="there") as caught:
        for each in stream:
            got.append(each)
    assert got == list(range(20))
    assert "in then_fails" in str(caught.value.__cause__)
    assert list(stream) == []


def test_an_item_that_cannot_cross_ends_the_stream_with_its_error(
    tasks: ringbridge.RemoteModule,
) -> None:
    stream = tasks.cannot_cross_at.stream(2)
    assert [next(stream), next(stream)] == [0, 1]
    with pytest.raises(ringbridge.CannotCross, match=r"item.*lock"):
        next(stream)
    assert list(stream) == []


def test_a_function_that_raises_at_once_raises_at_the_first_item(
    tasks: ringbridge.RemoteModule, basics: ringbridge.RemoteModule
) -> None:
    with pytest.raises(ValueError):
        next(basics.fail.stream())
    with pytest.raises(TypeError):
        next(tasks.numbers.stream("a"))


@pytest.mark.parametrize("how", ["close", "with", "drop", "drop while it makes one"])
def test_an_early_end_runs_the_generators_finally(tasks: ringbridge.RemoteModule, how: str) -> None:
    stream = tasks.noted.stream(100)
    if how == "with":
        with stream as opened:
            assert [next(opened), next(opened)] == [0, 1]
        assert tasks.take_seen()[-1] == "closed"
    elif how == "close":
        for each in stream:
            if each == 1:
                break
        stream.close()
        stream.close()
        assert tasks.take_seen()[-1] == "closed"
    else:
        if how == "drop":
            next(stream)
        del stream
        until(lambda: "closed" in tasks.take_seen())


def test_close_raises_what_the_finally_raises(tasks: ringbridge.RemoteModule) -> None:
    stream = tasks.fails_in_close.stream()
    assert next(stream) == 1
    with pytest.raises(ValueError, match="in finally"):
        for _ in range(3):
            stream.close() if _ == 0 else next(stream)
    stream.close()  # it is over


def test_close_interrupts_an_item_that_is_being_made(
    tasks: ringbridge.RemoteModule, fifo: Path
) -> None:
    pid = tasks.pid()
    stream = tasks.one_then_sleeps.stream(str(fifo))
    assert next(stream) == 1
    open(fifo).close()
    stream.close()
    assert tasks.take_seen() == ["closed"]
    assert tasks.pid() == pid


def parked(tasks: ringbridge.RemoteModule, how: str) -> ringbridge.Stream:
    stream = tasks.ends_late.stream(how)
    for _ in range(2 * CREDIT):  # it makes an item between two calls
        tasks.number(0)
    return stream


@pytest.mark.parametrize("how", ["short", "asks", "sleeps"])
def test_close_ends_the_finally_of_a_parked_stream_as_an_item(
    tasks: ringbridge.RemoteModule, how: str
) -> None:
    """It was left alone for as long as it lasted, since no item was being made."""
    pid, stream = tasks.pid(), parked(tasks, how)
    stream.close()
    assert tasks.take_seen() == ([] if how == "sleeps" else ["slept"])
    assert tasks.pid() == pid


def test_close_kills_a_worker_whose_parked_stream_does_not_end(make_worker: MakeWorker) -> None:
    tasks = make_worker().load("rbr_testing.duties")
    pid, stream = tasks.pid(), parked(tasks, "deaf")
    with pytest.raises(ringbridge.WorkerDied):
        stream.close()
    assert tasks.pid() != pid


@pytest.mark.parametrize("how", ["short", "sleeps"])
def test_the_grace_of_a_parked_streams_finally_begins_with_it(
    tasks: ringbridge.RemoteModule, tmp_path: Path, how: str
) -> None:
    """Not when close() was called: another call may run for long before it."""
    pid, stream, gate = tasks.pid(), parked(tasks, how), Gate(tmp_path)
    before = tasks.pass_on.submit(gate.started, gate.release, "untouched")
    gate.entered()
    opening = threading.Timer(1.2, gate.open)  # when all of the grace would be over
    opening.start()
    stream.close()
    opening.join()
    assert before.result(LONG_S) == "untouched"
    assert tasks.take_seen() == ([] if how == "sleeps" else ["slept"])
    assert tasks.pid() == pid


def test_close_ends_the_wait_of_another_thread(tasks: ringbridge.RemoteModule, fifo: Path) -> None:
    stream = tasks.one_then_sleeps.stream(str(fifo))
    assert next(stream) == 1
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: list(stream))
        open(fifo).close()
        stream.close()
        error = waiting.exception(LONG_S)
        assert error is None or isinstance(error, ringbridge.Cancelled)
    assert list(stream) == []


def test_a_stream_may_be_closed_by_its_own_callback(tasks: ringbridge.RemoteModule) -> None:
    """It waited for the lock that it held itself."""
    stream = tasks.call_in_stream.stream(lambda each: each if each < 2 else stream.close(), 10)
    got = []
    try:
        for each in stream:
            got.append(each)
    except ringbridge.Cancelled:
        pass
    assert got == [0, 1]
    assert tasks.number(1) == 1


def test_other_calls_run_between_two_items(tasks: ringbridge.RemoteModule) -> None:
    for each in tasks.numbers.stream(100):
        assert tasks.number(each) == each
        assert tasks.number.submit(-each).result(LONG_S) == -each


def test_two_streams_are_read_in_turns(tasks: ringbridge.RemoteModule) -> None:
    pairs = zip(tasks.numbers.stream(300), tasks.later_numbers.stream(300))
    assert list(pairs) == [(each, each) for each in range(300)]


def test_a_stream_within_a_stream_of_the_same_worker(tasks: ringbridge.RemoteModule) -> None:
    got = [
        (outer, inner) for outer in tasks.numbers.stream(12) for inner in tasks.numbers.stream(12)
    ]
    assert got == [(outer, inner) for outer in range(12) for inner in range(12)]


def test_several_threads_have_streams_of_their_own(tasks: ringbridge.RemoteModule) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        read = [pool.submit(lambda: list(tasks.numbers.stream(300))) for _ in range(8)]
        for each in read:
            assert each.result(LONG_S) == list(range(300))


def test_threads_may_share_a_stream(tasks: ringbridge.RemoteModule) -> None:
    stream = tasks.numbers.stream(1000)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        parts = list(pool.map(lambda _: list(stream), range(3)))
    assert sorted(each for part in parts for each in part) == list(range(1000))
    assert all(part == sorted(part) for part in parts)


# ------------------------------------------------------------------------------------ back-pressure


def test_the_generator_is_at_most_eight_items_ahead(tasks: ringbridge.RemoteModule) -> None:
    stream, made, ahead = tasks.noted.stream(200), 0, []
    for each in stream:
        for _ in range(2):  # it goes on between two calls
            made += len(tasks.take_seen())
        ahead.append(made - (each + 1))
        if each == 100:
            break
    assert max(ahead) <= CREDIT
    assert max(ahead) >= CREDIT - 1  # and it does not wait for nothing
    stream.close()


def test_the_generator_is_at_most_64_mib_ahead(tasks: ringbridge.RemoteModule) -> None:
    size = 24 << 20
    made = 0
    for taken, each in enumerate(tasks.blobs.stream(8, size), 1):
        assert len(each) == size and each[0] == taken - 1
        made += len(tasks.take_seen())
        made += len(tasks.take_seen())
        assert made - taken <= 3  # two are less than 64 MiB, and the third is made then


def test_a_consumer_that_stops_does_not_hold_other_calls_up(
    tasks: ringbridge.RemoteModule,
) -> None:
    stream = tasks.noted.stream(50)
    assert next(stream) == 0
    for each in range(2000):
        assert tasks.number(each) == each
    assert len(tasks.take_seen()) <= 1 + CREDIT
    assert list(stream) == list(range(1, 50))


def test_big_arrays_come_through_shared_memory_and_go_again(worker: ringbridge.Worker) -> None:
    numpy = pytest.importorskip("numpy")
    module = worker.load("rbr_testing.duties")
    total = 0.0
    for each, array in enumerate(module.arrays.stream(40, 500_000)):  # 4 MB each
        assert numpy.all(array == each)
        total += float(array[0])
        del array
    assert total == sum(range(40))
    until(lambda: worker.stats()["peer_blocks"] == 0 or module.number(0))


# ----------------------------------------------------------------------------------- ends, timeouts


def test_the_workers_death_ends_a_stream_after_its_items(make_worker: MakeWorker) -> None:
    module = make_worker().load("rbr_testing.duties")
    got = []
    with pytest.raises(ringbridge.WorkerDied) as caught:
        for each in module.dies_after.stream(5):
            got.append(each)
    assert got == list(range(5))
    assert caught.value.exit_code == 7


def test_a_killed_worker_ends_a_stream_that_waits(make_worker: MakeWorker, fifo: Path) -> None:
    worker = make_worker()
    stream = worker.load("rbr_testing.duties").one_then_sleeps.stream(str(fifo))
    assert next(stream) == 1
    open(fifo).close()
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(ringbridge.WorkerDied):
        next(stream)
    stream.close()


def test_a_timeout_is_for_each_item(tasks: ringbridge.RemoteModule, fifo: Path) -> None:
    pid = tasks.pid()
    stream = tasks.one_then_sleeps.options(timeout=2.0).stream(str(fifo))
    assert next(stream) == 1
    threading.Thread(target=lambda: open(fifo).close()).start()
    with pytest.raises(ringbridge.CallTimeout):
        next(stream)
    assert list(stream) == []
    assert tasks.pid() == pid
    until(lambda: tasks.take_seen() == ["closed"])
    assert len(list(tasks.numbers.options(timeout=LONG_S).stream(50))) == 50


@pytest.mark.parametrize("how", ["progress", "log"])
def test_what_comes_before_an_item_does_not_put_its_timeout_off(
    tasks: ringbridge.RemoteModule, how: str
) -> None:
    """Each event started it anew."""
    with pytest.raises(ringbridge.CallTimeout, match=r"talks_first made no item within .* 0.3 s"):
        next(tasks.talks_first.options(timeout=0.3).stream(how, 6.0))
    assert tasks.number(1) == 1


def test_an_item_that_is_there_is_not_late(tasks: ringbridge.RemoteModule) -> None:
    """After a callback that took longer than the item's timeout."""

    def slow() -> None:
        assert tasks.number(1) == 1  # when this is answered the item has been sent
        time.sleep(0.5)

    assert list(tasks.notifies_first.options(timeout=0.4).stream(slow)) == ["item"]


def test_the_item_that_a_dropped_stream_is_making_is_interrupted(
    tasks: ringbridge.RemoteModule, fifo: Path
) -> None:
    # It was asked only, and the worker slept on.
    pid = tasks.pid()
    for each in tasks.one_then_sleeps.stream(str(fifo)):
        assert each == 1
        fifo.read_text()
        break
    assert tasks.take_seen() == ["closed"]
    assert tasks.pid() == pid


def test_a_dropped_stream_is_collected(tasks: ringbridge.RemoteModule) -> None:
    import weakref

    stream = tasks.noted.stream(100)
    next(stream)
    reference, call = weakref.ref(stream), weakref.ref(stream._call)
    del stream
    until(lambda: collected(reference) and collected(call))
    until(lambda: "closed" in tasks.take_seen())


def test_progress_is_seen_in_a_stream(tasks: ringbridge.RemoteModule) -> None:
    stream = tasks.with_progress.stream(20)
    assert list(stream) == list(range(20))
    assert stream.progress is not None and stream.progress.total == 20
