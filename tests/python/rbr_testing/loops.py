# SPDX-License-Identifier: MIT
"""What the tests of event loops do in them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from pathlib import Path
from typing import Any

from rbr_testing.eventually import LONG_S


def run(main: Coroutine[Any, Any, Any], **options: Any) -> Any:
    """asyncio.run with a deadline."""
    return asyncio.run(asyncio.wait_for(main, LONG_S), **options)


async def awaited(task: Awaitable[Any]) -> Any:
    """A coroutine of it, where one is asked for."""
    return await task


async def amid_a_callback(call: Any) -> None:
    """Submits a coroutine callback that never ends to `call`, which calls it; returns amid it."""
    begun = asyncio.Event()

    async def never() -> None:
        begun.set()
        await asyncio.sleep(3600)

    call.submit(never)
    await asyncio.wait_for(begun.wait(), LONG_S)


async def entered(fifo: Path) -> None:
    """Waits, as the loop goes on, until a function over there has opened the other end."""
    await asyncio.get_running_loop().run_in_executor(None, lambda: open(fifo).close())
