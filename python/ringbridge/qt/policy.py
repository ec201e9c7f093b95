# SPDX-License-Identifier: MIT
"""Event loop policies whose loops run on Qt: for code that can be told of a policy and no more.

asyncio has deprecated policies in 3.14 and drops them in 3.16; loop_factory=new_event_loop does
the same without. Imported only where one is asked for.
"""

from __future__ import annotations

import asyncio.events
import asyncio.unix_events
import contextlib
from collections.abc import Iterator
from typing import Any

from ringbridge.qt.loop import QiSelectorEventLoop


def _under(module: Any, *names: str) -> Any:
    """What the module has under the first of these names, which changed with the versions."""
    for name in names:
        if name in vars(module):
            return vars(module)[name]
    raise ImportError(f"{module.__name__} has none of {', '.join(names)}: no policies any more?")


_Default: Any = _under(
    asyncio.unix_events, "_DefaultEventLoopPolicy", "_UnixDefaultEventLoopPolicy"
)
_get: Any = _under(asyncio.events, "_get_event_loop_policy", "get_event_loop_policy")
_set: Any = _under(asyncio.events, "_set_event_loop_policy", "set_event_loop_policy")


class QiSelectorEventLoopPolicy(_Default):
    """asyncio's default policy, with QiSelectorEventLoop."""

    _loop_factory = QiSelectorEventLoop


QiDefaultEventLoopPolicy = QiSelectorEventLoopPolicy


@contextlib.contextmanager
def in_force() -> Iterator[None]:
    """Within it, asyncio.run() and new_event_loop() make loops on Qt. Of the whole interpreter."""
    before = _get()
    _set(QiSelectorEventLoopPolicy())
    try:
        yield
    finally:
        _set(before)
