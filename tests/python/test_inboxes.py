# SPDX-License-Identifier: MIT
"""Inboxes: who takes what comes for calls that no thread blocks for, and how that can end."""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
import threading

import pytest
from rbr_testing.eventually import LONG_S, Gate, until
from rbr_testing.loops import run

import ringbridge
from ringbridge import _core


def waits_in(thread: threading.Thread | None, function: str) -> bool:
    """Whether this is what the thread's Python code runs now: a call in C that it waits in."""
    frame = sys._current_frames().get(thread.ident or 0) if thread is not None else None
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
        until(lambda: any(waits_in(each, "drive") for each in threading.enumerate()))

        async def next_loop() -> int:
            behind = tasks.number.submit(1)
            gate.open()
            return int(await behind)

        assert run(next_loop()) == 1
        assert "event loop" in str(waiting.result(LONG_S))
