# SPDX-License-Identifier: MIT
"""Which frame is drawn next: each at most once, none older after a newer, the kept ones all.

    newest   in shared memory; whoever takes gets the newest, and never what was before
    kept     through the letters, all of them, in order

    F1  A frame is drawn only if its number is larger than that of the frame drawn last.
    F2  A frame says how many of the updates up to it were kept (`parent`). The newest is drawn only
        when so many kept ones have been drawn, or were before this viewer joined: a letter may
        still be under way when its frame is in the memory already.
    F3  A kept frame stands in the memory too. It is drawn when its letter has come, and by F1 once.
    F4  A kept one that waits is drawn before the newest, which is newer, or has been overtaken.
    F5  Where no letter can come any more, the newest waits for none.

No windows and no clock: `viewer` says when. Order knows no process; Follower has the socket and the
memory of one. One thread.
"""

from __future__ import annotations

import collections
import contextlib
import os
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from ringbridge.errors import ProtocolError
from ringbridge.plot.letters import Kind, Letter, told

#: Kept frames that wait here; the others wait where they are written.
KEPT_MAX = 16
_READERS_MAX = 1 << 16


class Frame(NamedTuple):
    number: int  # of the update, from 1
    parent: int  # how many of the updates up to this one were kept
    values: tuple[Any, ...]
    named: dict[str, Any]


class Source(Protocol):
    """Where the newest frame lies: a _core.Subscriber."""

    def take(self) -> tuple[int, int, tuple[Any, ...], dict[str, Any]] | None: ...
    def arm(self) -> bool: ...
    def fileno(self) -> int: ...
    def forget(self) -> bool: ...
    def close(self) -> None: ...


class Post(Protocol):
    """Where the letters come from: a Letters."""

    def read(self) -> list[Letter]: ...


class Order:
    """The rules. `kept_before`: how many kept frames there were before this viewer joined."""

    def __init__(self, kept_before: int) -> None:
        self.drawn = 0  # the number of the frame that was given out last
        self.count = 0  # of those given out
        self.dropped = 0  # of those between the first and the last one that were not
        self._kept_drawn = kept_before
        self._kept: collections.deque[Frame] = collections.deque()
        self._kept_last = (0, kept_before)
        self._newest: Frame | None = None
        self._more_kept = True

    @property
    def waiting(self) -> int:
        """How many kept ones wait."""
        return len(self._kept)

    def add_kept(self, frame: Frame) -> None:
        """Raises ProtocolError where it is not newer than the one before."""
        number, parent = self._kept_last
        if frame.parent <= parent and not number:
            return  # from before we joined
        if frame.parent <= parent or frame.number <= number:
            raise ProtocolError("the kept frames of a plot do not come in order")
        self._kept_last = (frame.number, frame.parent)
        self._kept.append(frame)

    def add_newest(self, frame: Frame) -> None:
        if self._newest is None or frame.number > self._newest.number:
            self._newest = frame

    def no_more_kept(self) -> None:
        """None is under way."""
        self._more_kept = False

    def next(self) -> Frame | None:
        """The frame to draw now; None: nothing that could be drawn is here."""
        while self._kept:
            frame = self._kept.popleft()  # F4
            self._kept_drawn = frame.parent
            if frame.number > self.drawn:  # F1
                return self._give(frame)
        newest = self._newest
        if newest is None or (newest.parent > self._kept_drawn and self._more_kept):  # F2, F5
            return None
        self._newest = None
        return self._give(newest) if newest.number > self.drawn else None  # F1, F3

    def _give(self, frame: Frame) -> Frame:
        if self.count:
            self.dropped += frame.number - self.drawn - 1
        self.drawn = frame.number
        self.count += 1
        return frame


class Follower:
    """Reads letters and takes frames; keeps what is for itself, and hands on the others.

    subscribe  makes the source of (memory, reader, nudge); it owns both descriptors
    """

    def __init__(self, post: Post, subscribe: Callable[[int, int, int], Source]) -> None:
        self._post = post
        self._subscribe = subscribe
        self._order: Order | None = None
        self.source: Source | None = None

    @property
    def drawn(self) -> int:
        """The number of the frame that was given out last; 0: none yet."""
        return self._order.drawn if self._order else 0

    @property
    def counts(self) -> dict[str, int]:
        """Of frames: drawn, and dropped since the first that was drawn."""
        order = self._order
        return {"drawn": order.count, "dropped": order.dropped} if order else {}

    @property
    def is_full(self) -> bool:
        """Whether so many kept ones wait that no letter should be read now."""
        return self._order is not None and self._order.waiting >= KEPT_MAX

    def hear(self) -> list[Letter]:
        """What has come for the viewer: WELCOME first, then ASK and END.

        Raises EOFError when the computation has ended, ProtocolError for what cannot be.
        """
        theirs = []
        letters = collections.deque(self._post.read())
        try:
            while letters:
                letter = letters.popleft()
                if not self._is_ours(letter):
                    theirs.append(letter)
        finally:
            for letter in letters:
                _close_all(letter.fds)
        return theirs

    def _is_ours(self, letter: Letter) -> bool:
        if letter.kind is Kind.MEMORY and self._order and len(letter.fds) == 2:
            self._move(letter)
            return True
        _close_all(letter.fds)
        if letter.kind is Kind.WELCOME and self._order is None and not letter.fds:
            (welcome,) = told(letter.values, dict)[:1]
            kept = welcome.get("kept")
            if type(kept) is not int:
                raise ProtocolError("a plot's welcome does not say how many frames were kept")
            self._order = Order(kept)
            return False
        if letter.kind not in (Kind.KEPT, Kind.ASK, Kind.END) or not self._order or letter.fds:
            raise ProtocolError(f"a plot has sent {letter.kind.name} where it cannot be")
        if letter.kind is Kind.KEPT:
            self._order.add_kept(Frame(letter.number, letter.parent, letter.values, letter.named))
        return letter.kind is Kind.KEPT

    def _move(self, letter: Letter) -> None:
        """What the old memory had and was not taken comes again in the new one."""
        try:
            (reader,) = told(letter.values, int)[:1]
            if not 0 <= reader < _READERS_MAX:
                raise ProtocolError(f"a plot has given a viewer the number {reader}")
        except BaseException:
            _close_all(letter.fds)
            raise
        memory, nudge = letter.fds
        source = self._subscribe(memory, reader, nudge)
        if self.source is not None:
            self.source.close()
        self.source = source

    def next(self) -> Frame | None:
        """The frame to draw now; None: there is none."""
        if self._order is None:
            return None
        if self.source is not None and not self._order.waiting:
            taken = self.source.take()
            if taken is not None:
                self._order.add_newest(Frame(*taken))
        return self._order.next()

    def arm(self) -> bool:
        """True: nothing newer is there, and the source's descriptor tells of the next one."""
        return self.source is None or self.source.arm()

    def no_more_letters(self) -> None:
        """The computation has ended its plot, or itself."""
        if self._order is not None:
            self._order.no_more_kept()

    def close(self) -> None:
        """Lets go of the memory. Idempotent."""
        source, self.source = self.source, None
        if source is not None:
            source.close()


def _close_all(fds: tuple[int, ...]) -> None:
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)
