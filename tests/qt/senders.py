# SPDX-License-Identifier: MIT
"""Objects with signals, and what tests do with them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from conftest import QtCore

from ringbridge.qt import binding

_DEFERRED_DELETE = 52  # QEvent.DeferredDelete, which PySide6 wants as a number


class Sender(QtCore.QObject):
    nothing = binding.Signal()
    number = binding.Signal(int)
    pair = binding.Signal(int, str)


def delete(thing: Any) -> None:
    """Now, as C++ does it: the wrapper stays behind."""
    thing.deleteLater()
    QtCore.QCoreApplication.sendPostedEvents(thing, _DEFERRED_DELETE)
    assert not binding.is_alive(thing)


def connected(sender: Any, signature: str, bound: Any) -> int:
    """How many connections a signal has."""
    is_pyqt = binding.NAME.startswith("PyQt")
    return int(sender.receivers(bound if is_pyqt else QtCore.SIGNAL(signature)))


async def passes() -> None:
    """What is ready runs, and what Qt has to delete later is deleted."""
    await asyncio.sleep(0.01)
    QtCore.QCoreApplication.sendPostedEvents(None, _DEFERRED_DELETE)


async def started(coro: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """A task whose first step has run."""
    task = asyncio.get_running_loop().create_task(coro)
    await asyncio.sleep(0)
    return task
