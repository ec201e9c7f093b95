# SPDX-License-Identifier: MIT
"""Inboxes: who takes what comes for calls that no thread blocks for, and how that can end."""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
import threading
import weakref

import pytest
from rbr_testing import pickled
from rbr_testing.eventually import LONG_S, Gate, until
from rbr_testing.fixtures import MakeWorker
from rbr_testing.loops import awaited, run

import ringbridge
from ringbridge import _core


def waits_in(thread: threading.Thread, function: str) -> bool:
    """Whether this is what the thread's Python code runs now: a call in C that it waits in."""
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is not None and frame.f_code.co_name == function


def inbox_of(module: ringbridge.RemoteModule) -> _core.Inbox:
    return _core.Inbox(module.number._target.channel, True)


# -------------------------------------------------------------------------------------- its end


def test_a_closed_inbox_says_so(tasks: ringbridge.RemoteModule) -> None:
    # take() used the memory that close() had freed.
    inbox = inbox_of(tasks)
    inbox.close()
    inbox.close()
    inbox.clear()
    inbox.arm()
    with pytest.raises(ringbridge.RingbridgeError, match="closed"):
        inbox.take(0)
    with pytest.raises(ringbridge.RingbridgeError, match="closed"):
        tasks.number.start((1,), {}, inbox=inbox)
    assert not inbox.calls
    with pytest.raises(ValueError, match="descriptor"):
        inbox.fileno()


def test_threads_that_wait_for_an_inbox_leave_when_it_is_closed(
    tasks: ringbridge.RemoteModule,
) -> None:
    # close() freed its memory under them.
    inbox = inbox_of(tasks)
    threads: list[threading.Thread] = []

    def take() -> object:
        threads.append(threading.current_thread())
        return inbox.take(LONG_S)

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(take) for _ in range(3)]
        until(lambda: len(threads) == 3 and all(waits_in(each, "take") for each in threads))
        inbox.close()
        for each in waiting:
            with pytest.raises(ringbridge.RingbridgeError, match="closed"):
                each.result(LONG_S)


def test_threads_may_take_from_one_inbox(tasks: ringbridge.RemoteModule) -> None:
    inbox = inbox_of(tasks)
    calls = {tasks.number.start((each,), {}, inbox=inbox).id: each for each in range(300)}

    def take() -> list[tuple[int, int]]:
        taken = []
        while inbox.calls:
            event = inbox.take(0.05)
            if event is not None:
                call, kind, payload = event
                assert kind == 0
                taken.append((call.id, payload))
        return taken

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        each_took = [pool.submit(take) for _ in range(3)]
        taken = [pair for each in each_took for pair in each.result(LONG_S)]
    inbox.close()
    assert sorted(taken) == sorted(calls.items())


def test_a_thread_waits_for_a_task_of_a_closed_loop_as_another_loop_comes(
    tasks: ringbridge.RemoteModule, gate: Gate
) -> None:
    # The submit on the other loop closes the inbox that the thread waits in: a crash.
    async def submit() -> ringbridge.Task:
        return tasks.pass_on.submit(gate.started, gate.release)

    loop = asyncio.new_event_loop()
    task = loop.run_until_complete(submit())
    loop.close()
    gate.entered()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(task.exception)
        until(lambda: any(waits_in(each, "_take") for each in threading.enumerate()))

        async def next_loop() -> int:
            behind = tasks.number.submit(1)
            gate.open()
            return int(await behind)

        assert run(next_loop()) == 1
        assert "event loop" in str(waiting.result(LONG_S))


# ------------------------------------------------------------------------------ interrupted takes


@pytest.fixture
def pickling(make_worker: MakeWorker) -> ringbridge.Worker:
    pickled.tries = 0
    return make_worker(pickle=True)


def test_an_answer_whose_reading_is_interrupted_is_read_again(
    pickling: ringbridge.Worker, caplog: pytest.LogCaptureFixture
) -> None:
    # It was gone, and the task never ended. A handle in it must not have been released, either.
    model = pickling.load("rbr_testing.models").Model("kept")
    task = pickling.load("rbr_testing.pickled").interrupting.submit(1, model)
    again, tries = task.result(LONG_S)
    assert (again.name, tries) == ("kept", 2)
    assert "KeyboardInterrupt" in caplog.text  # of the thread that read


def test_an_answer_whose_reading_is_interrupted_each_time_ends_its_call(
    pickling: ringbridge.Worker,
) -> None:
    task = pickling.load("rbr_testing.pickled").interrupting.submit(1000)
    assert type(task.exception(LONG_S)) is KeyboardInterrupt


def test_a_loop_reads_again_what_was_interrupted(pickling: ringbridge.Worker) -> None:
    interrupting = pickling.load("rbr_testing.pickled").interrupting

    async def submit() -> ringbridge.Task:
        return interrupting.submit(1)

    loop = asyncio.new_event_loop()
    try:
        task = loop.run_until_complete(submit())
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(awaited(task))
        both = asyncio.wait_for(awaited(task), LONG_S)
        assert loop.run_until_complete(both) == [2]
        pickled.tries = 0
        task = loop.run_until_complete(submit())
        with pytest.raises(KeyboardInterrupt):
            task.result(LONG_S)  # the loop does not run: who waits reads
        both = asyncio.wait_for(awaited(task), LONG_S)
        assert loop.run_until_complete(both) == [2]
    finally:
        loop.close()


def test_an_item_whose_reading_is_interrupted_ends_its_stream(pickling: ringbridge.Worker) -> None:
    # The one after it came in its place.
    with pickling.load("rbr_testing.pickled").interrupting_items.stream(1) as items:
        with pytest.raises(KeyboardInterrupt):
            next(items)
        assert list(items) == []


# ----------------------------------------------------------------------------- calls without one


def test_a_thread_that_waits_for_a_call_hears_that_it_was_ended(
    tasks: ringbridge.RemoteModule, gate: Gate
) -> None:
    # It waited for ever.
    call = tasks.pass_on.start((gate.started, gate.release), {})
    gate.entered()
    threads: list[threading.Thread] = []

    def take() -> object:
        threads.append(threading.current_thread())
        return call.take(None)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(take)
        until(lambda: threads and waits_in(threads[0], "take"))
        call.end()
        with pytest.raises(ValueError, match="ended"):
            waiting.result(LONG_S)
    gate.open()


def test_keyword_values_outlive_the_dict_that_encoding_clears(
    tasks: ringbridge.RemoteModule,
) -> None:
    # They were borrowed from it, and encoding runs code of the values.
    class Clears:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            kwargs.clear()
            lived.append(behind() is not None)
            raise AttributeError("no table after all")

    class Behind:
        pass

    lived: list[bool] = []
    kwargs = {"first": Clears(), "then": Behind()}
    behind = weakref.ref(kwargs["then"])
    with pytest.raises(ringbridge.CannotCross):
        tasks.number.start((), kwargs)
    assert lived == [True]
