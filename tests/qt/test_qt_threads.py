# SPDX-License-Identifier: MIT
"""Loops on Qt beside other threads, and in forked processes."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
import time
from typing import Any

import pytest
from conftest import QtCore
from mode_runs import BOTH, in_owner_mode, qt_runs

from ringbridge.qt import binding
from ringbridge.qt import using_asyncio_from_qt as from_qt


def test_a_guest_of_another_thread_ends_that_threads_qt_by_system_exit(app: Any) -> None:
    """It ended the main thread's."""
    results: list[Any] = []

    def in_thread() -> None:
        try:
            with from_qt() as loop:
                loop.call_soon(sys.exit, 3)
                results.append(binding.run(QtCore.QEventLoop()))
        except SystemExit as error:
            results.append(error.code)

    async def main() -> None:
        await asyncio.get_running_loop().run_in_executor(None, in_thread)
        await asyncio.sleep(0.001)

    in_owner_mode(main)
    assert results == [3, 3]


def test_run_task_while_other_threads_call() -> None:
    """Where the first step was looked for in the loop's queue, another thread's call was taken."""
    with from_qt() as loop:
        end = threading.Event()
        counts = [0, 0]
        calls = [0, 0]

        def call(which: int) -> None:
            while not end.is_set():
                loop.call_soon_threadsafe(counted, which)
                calls[which] += 1
                if calls[which] % 50 == 0:
                    time.sleep(0)

        def counted(which: int) -> None:
            counts[which] += 1

        async def work(number: int) -> int:
            began.append(number)
            await asyncio.sleep(0)
            return number

        threads = [threading.Thread(target=call, args=(which,)) for which in (0, 1)]
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            for thread in threads:
                thread.start()
            for number in range(2000):
                began: list[int] = []
                task = loop.run_task(work(number))
                assert began == [number]
                if number % 10 == 0:
                    qt_runs(task)
                    assert task.result() == number
        finally:
            sys.setswitchinterval(interval)
            end.set()
            for thread in threads:
                thread.join()
        qt_runs(loop.create_task(asyncio.sleep(0)))
        assert counts == calls


@pytest.mark.parametrize("mode", sorted(BOTH))
def test_no_wake_up_of_another_thread_is_lost(mode: str) -> None:
    """A look takes a wake-up in; what it announced was looked for before, and waited for ever."""

    async def main() -> int:
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def calls() -> None:
            for _ in range(3000):
                asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(30)
            loop.call_soon_threadsafe(done.set_result, None)

        thread = threading.Thread(target=calls)
        thread.start()
        await done
        thread.join()
        return 1

    assert BOTH[mode](main) == 1


def _in_child() -> int:
    """An owner's run, in a process that was forked from one with Qt: who touches Qt fails."""
    signal.alarm(30)  # one that hangs ends, too
    for module in ("binding", "loop", "pump"):
        sys.modules[f"ringbridge.qt.{module}"].QtCore = None  # type: ignore[attr-defined]

    async def main() -> int:
        process = await asyncio.create_subprocess_exec("true")
        return await process.wait() + await asyncio.sleep(0.001, 7)

    return int(in_owner_mode(main))


@pytest.mark.parametrize("mode", sorted(BOTH))
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_does_without_qt(mode: str) -> None:
    async def main() -> int:
        await asyncio.sleep(0.001)
        pid = os.fork()
        if pid == 0:
            asyncio._set_running_loop(None)
            os._exit(_in_child())
        _, status = await asyncio.get_running_loop().run_in_executor(None, os.waitpid, pid, 0)
        return os.waitstatus_to_exitcode(status)

    assert BOTH[mode](main) == 7


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_multiprocessing_by_fork() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        with multiprocessing.get_context("fork").Pool(1) as pool:
            return await loop.run_in_executor(None, pool.apply, _in_child)

    assert in_owner_mode(main) == 7
