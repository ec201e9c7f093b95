# SPDX-License-Identifier: MIT
"""What an await is measured against: the least that a loop and another thread need.

Each has only awaiter(); nothing here has a far side.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from ringbridge.bench.peer import Peer, Settings, answered

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future


class LoopTurn(Peer):
    """A loop that only goes round once for each await."""

    def start(self) -> None:
        pass

    def remote(self, name: str, *args: Any) -> Any:
        return answered(name, args)

    def awaiter(self) -> Callable[[], Awaitable[int]]:
        import asyncio

        async def turn() -> int:
            return await asyncio.sleep(0, 2)

        return turn


class LoopWake(LoopTurn):
    """A thread on the far side's processor, woken as a worker is, which wakes the loop."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._asked = threading.Lock()  # used as a semaphore, and made of one: the fastest here is
        self._asked.acquire()
        self._thread: threading.Thread | None = None
        self._question: tuple[AbstractEventLoop, Future[int]] | None = None

    def awaiter(self) -> Callable[[], Awaitable[int]]:
        import asyncio

        if self._thread is None:
            self._thread = threading.Thread(target=self._answer, daemon=True)
            self._thread.start()

        async def wake() -> int:
            loop = asyncio.get_running_loop()
            future: Future[int] = loop.create_future()
            self._question = loop, future
            self._asked.release()
            return await future

        return wake

    def _answer(self) -> None:
        # Here and not at the start: what runs by then is moved to this side's processor.
        os.sched_setaffinity(0, {self.settings.cpus[1]})
        while self._asked.acquire() and self._question is not None:
            loop, future = self._question
            loop.call_soon_threadsafe(future.set_result, 2)

    def close(self) -> None:
        if self._thread is not None:
            self._question = None
            self._asked.release()
            self._thread.join()
