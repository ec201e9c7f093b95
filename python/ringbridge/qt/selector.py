# SPDX-License-Identifier: MIT
"""The selector of a loop that may run on Qt: it looks, and where nothing is there Qt waits instead.

    blocking   select() is the system's own: what asyncio's loops do
    asking     look() finds what is there now, for the next select() to give; that never waits

Qt waits for `fileno()`, an epoll descriptor: readable as long as anything in it is.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import selectors
import sys
from collections.abc import Mapping
from typing import Any

_ONE = (1).to_bytes(8, sys.byteorder)

Ready = list[tuple[selectors.SelectorKey, int]]


_Base: Any = selectors.EpollSelector


def _eventfd() -> int:
    flags = os.O_NONBLOCK | os.O_CLOEXEC
    fd: int
    if hasattr(os, "eventfd"):  # from Python 3.10 on
        fd = os.eventfd(0, flags)
    else:
        import ctypes

        fd = ctypes.CDLL(None).eventfd(0, flags)
        if fd < 0:
            raise OSError("no eventfd for an event loop: are there too many open files?")
    return fd


class QiSelector(_Base):
    """epoll, blocking until told to ask.

    Has an eventfd of its own for wake-ups. It is edge-triggered, so nobody has to read it: that one
    of asyncio's has come costs a socket's send(), two recv() and an exception.
    """

    asks = False

    def __init__(self) -> None:
        super().__init__()
        self._found: Ready | None = None
        # A file, not a number: a thread may write when it has been closed, and reused.
        self._event = io.FileIO(_eventfd(), "w")
        # Not by register(): select() passes over descriptors that have no key.
        self._selector.register(self._event, select.EPOLLIN | select.EPOLLET)

    def wake(self) -> None:
        """Makes the next select(), or one under way, return. From any thread."""
        with contextlib.suppress(ValueError):  # closed meanwhile
            self._event.write(_ONE)

    def close(self) -> None:
        super().close()
        self._event.close()

    def look(self) -> Ready:
        """What is ready now; for the next select(), too."""
        found: Ready = []
        keys = self._fd_to_key
        for fd, event in self._selector.poll(0, len(keys) + 1):
            key = keys.get(fd)
            if key is not None:
                # An error or a hang-up is told to both.
                events = selectors.EVENT_WRITE if event & ~select.EPOLLIN else 0
                if event & ~select.EPOLLOUT:
                    events |= selectors.EVENT_READ
                found.append((key, events & key.events))
        self._found = found
        return found

    def select(self, timeout: float | None = None) -> Ready:
        """As selectors.EpollSelector.select; while it asks, it does not wait."""
        if not self.asks:
            waited: Ready = super().select(timeout)
            return waited
        found = self.look() if self._found is None else self._found
        self._found = None
        return found


class MirroredSelector(selectors.BaseSelector):
    """Another selector, which the user gave, and an epoll of the same descriptors for Qt."""

    asks = False

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._found: Ready | None = None
        self._epoll = select.epoll()
        for key in selector.get_map().values():
            self._epoll.register(key.fd, _epoll_events(key.events))

    def fileno(self) -> int:
        """Of the epoll."""
        return self._epoll.fileno()

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = self._selector.register(fileobj, events, data)
        self._epoll.register(key.fd, _epoll_events(events))
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        key = self._selector.unregister(fileobj)
        with contextlib.suppress(OSError):  # it was closed before: the kernel has forgotten it
            self._epoll.unregister(key.fd)
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = self._selector.modify(fileobj, events, data)
        self._epoll.modify(key.fd, _epoll_events(events))
        return key

    def look(self) -> Ready:
        """As QiSelector's."""
        self._found = self._selector.select(0)
        return self._found

    def select(self, timeout: float | None = None) -> Ready:
        if not self.asks:
            return self._selector.select(timeout)
        found = self.look() if self._found is None else self._found
        self._found = None
        return found

    def close(self) -> None:
        self._epoll.close()
        self._selector.close()

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self._selector.get_key(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._selector.get_map()


def _epoll_events(events: int) -> int:
    wanted = select.EPOLLIN if events & selectors.EVENT_READ else 0
    return wanted | (select.EPOLLOUT if events & selectors.EVENT_WRITE else 0)
