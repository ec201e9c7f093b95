# SPDX-License-Identifier: MIT
"""A thousand loops begin and end, with work in each: what they took is given back."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
from collections import Counter
from typing import Any

import pytest
from conftest import QtCore
from mode_runs import BOTH

from ringbridge.qt import new_event_loop
from ringbridge.qt.pump import Pump

CYCLES = 1000
KINDS = (
    QtCore.QSocketNotifier,
    QtCore.QTimer,
    QtCore.QEventLoop,
    Pump,
    asyncio.Handle,
    asyncio.Task,
)


async def work() -> None:
    """A task that is left behind, a time that does not come, and a socket."""
    loop = asyncio.get_running_loop()
    left: asyncio.Task[Any] = loop.create_task(asyncio.Event().wait())
    loop.call_later(60, left.cancel)
    here, there = socket.socketpair()
    with here, there:
        readable = asyncio.Event()
        loop.add_reader(here, readable.set)
        there.send(b"x")
        await readable.wait()
        await asyncio.sleep(0.0001)
        loop.remove_reader(here)
    left.cancel()


def held() -> Counter[str]:
    gc.collect()
    held = Counter(type(thing).__name__ for thing in gc.get_objects() if isinstance(thing, KINDS))
    held["threads of Python"] = threading.active_count()
    held["threads"] = len(os.listdir("/proc/self/task"))
    held["descriptors"] = len(os.listdir("/proc/self/fd"))
    held["children of the application"] = len(QtCore.QCoreApplication.instance().children())
    return held


@pytest.mark.parametrize("mode", sorted(BOTH))
def test_a_thousand_loops_leave_nothing_behind(mode: str) -> None:
    for _ in range(3):
        BOTH[mode](work)
    before = held()
    for _ in range(CYCLES):
        BOTH[mode](work)
    assert not held() - before  # what other tests have left may go meanwhile


@pytest.mark.parametrize("mode", sorted(BOTH))
def test_a_hundred_threads_with_loops_leave_nothing_behind(mode: str) -> None:
    def in_thread() -> None:
        thread = threading.Thread(target=BOTH[mode], args=(work,))
        thread.start()
        thread.join()

    for _ in range(3):
        in_thread()
    before = held()
    for _ in range(100):
        in_thread()
    assert not held() - before


def test_a_loop_that_nobody_closed_is_collected_on_another_thread(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Its notifier and its timer are the main thread's: Qt warns of what is deleted elsewhere."""
    loop = new_event_loop()
    loop.run_until_complete(asyncio.sleep(0.001))
    before = held()
    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        del loop
        thread = threading.Thread(target=gc.collect)
        thread.start()
        thread.join()
    QtCore.QCoreApplication.processEvents()
    assert held()["QTimer"] == before["QTimer"] - 1
    assert "QObject" not in (told := capfd.readouterr().err) and "QSocket" not in told, told
