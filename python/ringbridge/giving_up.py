# SPDX-License-Identifier: MIT
"""Ends calls that nobody wants any more: asks, interrupts, and in the end has the worker replaced.

Each step only while the worker runs that very call. On the timers' thread: a loop whose thread
waits for the call, or which was closed, runs none.
"""

from __future__ import annotations

import contextlib
import weakref
from typing import TYPE_CHECKING

from ringbridge import timers
from ringbridge.errors import RingbridgeError

if TYPE_CHECKING:
    from ringbridge import _core

_INTERRUPT_AFTER = 0.25  # of the grace
_GRACE_OF_NONE_S = 1.0  # for the interrupt, where the worker is never killed


def give_up(call: _core.Call, grace: float | None) -> bool:
    """Asks now, interrupts later, kills in the end. True: it was never sent, and never will be."""
    if call.cancel(False):
        call.end()  # no answer will come
        return True
    first = (_GRACE_OF_NONE_S if grace is None else grace) * _INTERRUPT_AFTER
    _interrupt_later(call.channel, call.id, first)
    if grace is not None:
        kill_later(call.channel, call.id, grace)
    return False


def _interrupt_later(channel: _core.Channel, call: int, seconds: float) -> None:
    known = weakref.ref(channel)

    def interrupt() -> None:
        there = known()
        if there is not None and there.runs(call):
            with contextlib.suppress(RingbridgeError):  # it was closed
                there.cancel(call, True)

    if seconds <= 0 or timers.after_unless_ending(seconds, interrupt) is None:
        interrupt()


def kill_later(channel: _core.Channel, call: int, grace: float) -> None:
    """Has the worker replaced when it still runs the call `grace` seconds from now."""
    known = weakref.ref(channel)

    def kill() -> None:
        there = known()
        owner = there.owner() if there is not None and there.owner is not None else None
        if there is not None and owner is not None and there.runs(call):
            owner.replace("a call that was given up did not end", there)

    timers.after_unless_ending(grace, kill)  # else the worker ends with us
