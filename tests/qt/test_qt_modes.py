# SPDX-License-Identifier: MIT
"""The three modes of a loop on Qt: who runs whom, and how each begins and ends."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from typing import Any

import pytest
from conftest import QtCore

from ringbridge.qt import QiLoopMode, binding, new_event_loop, using_asyncio_from_qt
from ringbridge.qt import using_qt_from_asyncio as from_asyncio


def interrupt_soon() -> threading.Thread:
    """Ctrl-C in a moment; for who waits in Qt's C code by then."""

    def interrupt() -> None:
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    return thread


async def in_20_ms_from_qt() -> int:
    future = asyncio.get_running_loop().create_future()
    QtCore.QTimer.singleShot(20, lambda: future.set_result(7))
    return await future


def test_owner_mode_runs_qt_and_asyncio() -> None:
    loop = new_event_loop()
    try:
        assert loop.mode is QiLoopMode.OWNER
        assert loop.run_until_complete(in_20_ms_from_qt()) == 7
    finally:
        loop.close()


def test_asyncio_run_runs_qt_within_using_qt_from_asyncio() -> None:
    with from_asyncio():
        assert asyncio.run(in_20_ms_from_qt()) == 7


def test_guest_mode_ends_with_its_with(app: Any) -> None:
    seen = []

    async def work() -> None:
        seen.append(await in_20_ms_from_qt())
        app.quit()

    with using_asyncio_from_qt() as loop:
        task = loop.create_task(work())
        binding.run(app)
        assert task.done()
    assert seen == [7]


def test_guest_mode_can_be_entered_within_a_running_qt_loop(app: Any) -> None:
    seen = []

    def inside() -> None:
        with using_asyncio_from_qt() as loop:
            future = loop.create_task(in_20_ms_from_qt())
            inner = QtCore.QEventLoop()
            future.add_done_callback(lambda _: inner.quit())
            binding.run(inner)
            seen.append(future.result())
        app.quit()

    QtCore.QTimer.singleShot(0, inside)
    binding.run(app)
    assert seen == [7]


@pytest.mark.parametrize("when", ["in its first step", "later"])
def test_guest_mode_is_not_left_by_a_task_of_its_own(app: Any, when: str) -> None:
    # It waited for its tasks, and so for itself.
    within = using_asyncio_from_qt()
    loop = within.__enter__()
    raised: list[str] = []

    async def leave() -> None:
        if when == "later":
            await asyncio.sleep(0)
        try:
            within.__exit__(None, None, None)
        except RuntimeError as error:
            raised.append(str(error))
        app.quit()

    QtCore.QTimer.singleShot(0, lambda: loop.run_task(leave()))
    binding.run(app)
    loop.leave()
    loop.close()
    assert "was left by a task of its own loop" in raised[0]


def test_a_second_guest_on_a_thread_is_told_of_the_first() -> None:
    with using_asyncio_from_qt(), pytest.raises(RuntimeError, match="another plugin's perhaps"):
        using_asyncio_from_qt().__enter__()


def test_a_mode_cannot_be_changed_while_it_runs() -> None:
    with using_asyncio_from_qt() as loop, pytest.raises(RuntimeError, match="stop it first"):
        loop.set_mode(QiLoopMode.OWNER)


@pytest.mark.parametrize("how", ["owner", "guest", "asyncio.run"])
def test_ctrl_c_is_raised_where_the_loop_was_started(app: Any, how: str) -> None:
    interrupter = interrupt_soon()
    with pytest.raises(KeyboardInterrupt):
        if how == "owner":
            loop = new_event_loop()
            try:
                loop.run_forever()
            finally:
                loop.close()
        elif how == "guest":
            with using_asyncio_from_qt():
                binding.run(app)
        else:
            with from_asyncio():
                asyncio.run(asyncio.sleep(30))
    interrupter.join()
