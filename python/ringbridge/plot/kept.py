# SPDX-License-Identifier: MIT
"""Frames of update(keep=True) on their way from the publisher to viewers, which draw them all.

Counts them: a viewer is told, when it joins, how many there were before those that it is sent.
Holds those that are kept while the launched viewer starts. On the audience's thread, unless a
method says otherwise.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ringbridge import _core


class Kept:
    def __init__(self, publisher: _core.Publisher, before: int) -> None:
        """before: how many there were already."""
        self._publisher = publisher
        self._before = before
        self._count = before
        self._hold_after = before
        self._held: collections.deque[bytes] = collections.deque()
        self._held_bytes = 0

    @property
    def waiting_bytes(self) -> int:
        """Of those that no viewer has been sent. For any thread."""
        return self._publisher.kept_bytes + self._held_bytes

    def hold_from_now(self) -> None:
        """Those of updates before this are not for the viewer that starts. For any thread."""
        self._hold_after = self._before + self._publisher.kept

    def before(self, starts: bool) -> int:
        """How many there were before those that a viewer which joins now is sent. starts: it is the
        launched one, and is sent those that are held."""
        return self._count - (len(self._held) if starts else 0)

    def take(self, hold: bool) -> bytes | None:
        """The next one, which all viewers are to be sent. hold: the launched one still starts."""
        frame = self._publisher.take_kept()
        if frame is not None:
            self._count += 1
            if hold and self._count > self._hold_after:
                self._held.append(frame)
                self._held_bytes += len(frame)
        return frame

    def held(self) -> Iterator[bytes]:
        """Those that are held; none is held after that."""
        held, self._held, self._held_bytes = self._held, collections.deque(), 0
        return iter(held)
