# SPDX-License-Identifier: MIT
"""Calls of a worker that nobody waits for any more, until they have ended or their grace is over.

Only the newest is kept: a worker runs one call after another, so when that one has begun those
before it have ended. One timer serves, however many calls time out meanwhile.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ringbridge._core import Channel


class GivenUp:
    """The newest of them, of one worker."""

    def __init__(self) -> None:
        self._newest: tuple[Channel, int, float, Callable[[str, Channel], None]] | None = None

    def watch(self, channel: Channel, call: int, replace: Callable[[str, Channel], None]) -> None:
        """Calls replace(reason, channel) when the grace is over and the worker still runs it."""
        from ringbridge import timers

        watched = self._newest is not None
        self._newest = channel, call, time.monotonic() + timers.GRACE_S, replace
        if not watched:
            timers.after(timers.GRACE_S, self._look)

    def _look(self) -> None:
        from ringbridge import timers

        if self._newest is None:
            return
        channel, call, until, replace = self._newest
        left = until - time.monotonic()
        if left > 0:
            timers.after(left, self._look)
            return
        self._newest = None
        if channel.peer_running == call:
            replace("a call that was given up did not end", channel)
