# SPDX-License-Identifier: MIT
"""Runs a coroutine in one of the modes, for tests that hold in all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from conftest import QtCore

from ringbridge.qt import QiBaseEventLoop, binding, new_event_loop, using_asyncio_from_qt

Main = Callable[[], Coroutine[Any, Any, Any]]


def in_owner_mode(main: Main, make_loop: Callable[[], QiBaseEventLoop] = new_event_loop) -> Any:
    """asyncio runs Qt."""
    loop = make_loop()
    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()


def in_guest_mode(main: Main, make_loop: Callable[[], QiBaseEventLoop] = new_event_loop) -> Any:
    """Qt runs asyncio."""
    around = QtCore.QEventLoop()
    with using_asyncio_from_qt(loop_factory=make_loop) as loop:
        task: asyncio.Task[Any] = loop.create_task(main())
        task.add_done_callback(lambda _: around.quit())
        binding.run(around)
    return task.result()


BOTH = {"owner": in_owner_mode, "guest": in_guest_mode}


def qt_runs(until: asyncio.Future[Any] | None = None, ms: int = 30_000) -> None:
    """A Qt loop, until the future is done."""
    around = QtCore.QEventLoop()
    timer = QtCore.QTimer()
    timer.setSingleShot(True)
    timer.timeout.connect(around.quit)
    timer.start(ms)
    if until is not None:
        until.add_done_callback(lambda _: around.quit())
    binding.run(around)
