# SPDX-License-Identifier: MIT
"""Async functions in a worker: each call of one is run to its end, in an event loop of its own.

Knows neither modules nor channels. Used by the worker's main thread only; asyncio is imported when
an async function runs.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers know the name; importing typing would slow the worker's start
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


def is_async(function: Callable[..., Any]) -> bool:
    """Whether a call gives a coroutine; of generators, `iterate` asks what they gave."""
    import inspect

    return inspect.iscoroutinefunction(function)


def run_to_end(function: Callable[..., Any]) -> Callable[..., Any]:
    """The async function as an ordinary one."""

    def run(*args: Any, **kwargs: Any) -> Any:
        import asyncio

        return asyncio.run(function(*args, **kwargs))

    return run


def iterate(asynchronous: Any) -> Iterator[Any]:
    """What an async iterable gives, as from an ordinary one."""
    import asyncio

    loop = asyncio.new_event_loop()
    iterator = type(asynchronous).__aiter__(asynchronous)
    try:
        while True:
            try:
                item = loop.run_until_complete(iterator.__anext__())
            except StopAsyncIteration:
                return
            yield item
    finally:
        try:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                loop.run_until_complete(close())
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()
