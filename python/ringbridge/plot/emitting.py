# SPDX-License-Identifier: MIT
"""What a view's code may call while it runs in a viewer: `emit` and `frame_number`.

A process has one viewer at the most. Knows nothing of it but what is handed to `begin`.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from typing import Any


class _Here:
    """The viewer of this process."""

    send: Callable[..., None] | None = None
    thread = 0
    number = 0


def emit(name: str, *values: Any) -> None:
    """Sends an event of the view's own to the computation, as clicks are sent.

    name    what the computation listens for; "click", "key" and "close" are the viewer's own
    values  what a call may hold: numbers, text, arrays, lists and dicts of them

    For the view's code, in the viewer, on the thread that draws: RuntimeError on another one,
    CannotCross for a value that cannot cross, TypeError for a name that is no str. Never waits.
    Elsewhere it warns, and does nothing: a view can be tried without a viewer.
    """
    if not isinstance(name, str):
        raise TypeError(f"an event's name is a str, not {type(name).__name__}")
    if _Here.send is None:
        warnings.warn(f"emit({name!r}): no viewer runs in this process", stacklevel=2)
        return
    if threading.get_ident() != _Here.thread:
        raise RuntimeError("emit() is called on the thread that draws, and this is another one")
    _Here.send(name, *values)


def frame_number() -> int:
    """Of the frame that is being drawn, or was drawn last: how many updates there were up to it.

    0 before the first. It grows by more than 1 where frames were dropped. From any thread.
    """
    return _Here.number


def begin(send: Callable[..., None]) -> None:
    """This thread's events go there from now on."""
    _Here.send, _Here.thread, _Here.number = send, threading.get_ident(), 0


def set_frame_number(number: int) -> None:
    _Here.number = number


def end() -> None:
    """Nobody hears of events any more."""
    _Here.send = None
