# SPDX-License-Identifier: MIT
"""Async functions in a worker: each call of one is run to its end, in an event loop of its own.

An interrupt would be lost in the loop's own code, and in a task that the function has made: then
the main task, which runs the function, is cancelled.

Knows neither modules nor channels. Used by the worker's main thread only; asyncio is imported when
an async function runs.
"""

from __future__ import annotations

from ringbridge import _core
from ringbridge.errors import cancelled_by_host

TYPE_CHECKING = False  # type checkers know the name; importing typing would slow the worker's start
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from types import FrameType
    from typing import Any


def is_async(function: Callable[..., Any]) -> bool:
    """Whether a call gives a coroutine; of generators, `iterate` asks what they gave."""
    import inspect

    return inspect.iscoroutinefunction(function)


def run_to_end(function: Callable[..., Any]) -> Callable[..., Any]:
    """The async function as an ordinary one."""

    def run(*args: Any, **kwargs: Any) -> Any:
        import asyncio

        return asyncio.run(_as_main_task(function(*args, **kwargs)))

    return run


class _MainTask:
    def __init__(self, call: int, loop: Any, task: Any) -> None:
        self.call = call
        self.loop = loop
        self.task = task
        self.interrupted = False


#: Those under way, one within the other.
_main_tasks: list[_MainTask] = []


async def _as_main_task(awaitable: Awaitable[Any]) -> Any:
    import asyncio

    loop = asyncio.get_running_loop()
    this = _MainTask(_core.current_call(), loop, asyncio.current_task())
    _main_tasks.append(this)
    try:
        return await awaitable
    except asyncio.CancelledError:
        if this.interrupted:
            raise cancelled_by_host() from None
        raise
    finally:
        _main_tasks.remove(this)


def interrupt(call: int, frame: FrameType | None) -> BaseException | None:
    """What to raise in the frame, where this thread is now, such that the call ends; None: nothing
    is to be raised."""
    main = next((each for each in reversed(_main_tasks) if each.call == call), None)
    if main is None:
        return cancelled_by_host()
    import asyncio

    here = asyncio.current_task(main.loop)
    inside = here is not None and _is_within(frame, getattr(here.get_coro(), "cr_frame", None))
    if here is main.task and inside:
        return cancelled_by_host()
    main.interrupted = True
    main.task.cancel()
    if asyncio._get_running_loop() is not main.loop:
        return cancelled_by_host()  # a callback of the host's has run calls, which see no loop
    if inside:
        return asyncio.CancelledError()  # the task may be in the midst of something long
    # The loop's own code, which would lose what it does: a task's next step, for example.
    main.loop.call_soon_threadsafe(_nothing)  # it may sleep
    return None


def _is_within(frame: FrameType | None, outer: FrameType | None) -> bool:
    while frame is not None and frame is not outer:
        frame = frame.f_back
    return frame is not None


def _nothing() -> None:
    pass


def iterate(asynchronous: Any) -> Iterator[Any]:
    """What an async iterable gives, as from an ordinary one."""
    import asyncio

    loop = asyncio.new_event_loop()
    iterator = type(asynchronous).__aiter__(asynchronous)
    try:
        while True:
            try:
                item = loop.run_until_complete(_as_main_task(iterator.__anext__()))
            except StopAsyncIteration:
                return
            yield item
    finally:
        try:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                loop.run_until_complete(close())
            loop.run_until_complete(_end_of_loop())
        finally:
            loop.close()


async def _end_of_loop() -> None:
    """What asyncio.run does at its end."""
    import asyncio

    loop = asyncio.get_running_loop()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    for task in others:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            message = "unhandled exception during the end of an async generator"
            loop.call_exception_handler({"message": message, "exception": error, "task": task})
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()
