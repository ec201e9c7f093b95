# SPDX-License-Identifier: MIT
"""Stream: a generator that runs in a worker, read item by item.

Made by `remote_function.stream(...)`. For `for`, whoever iterates reads by itself; for `async for`,
the event loop does. The worker stays at most CREDIT items, or 64 MiB of them, ahead; with
options(latest=True) it never waits, and each step gives the newest item there is.
"""

from __future__ import annotations

import collections
import threading
import time
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

from ringbridge import readers, timers
from ringbridge.answering import CallbackLine, answer_here
from ringbridge.errors import CallTimeout, Cancelled, RingbridgeError
from ringbridge.event_loop import running_loop
from ringbridge.giving_up import give_up
from ringbridge.task import Progress, progress_of, start
from ringbridge.timers import GRACE_S

if TYPE_CHECKING:
    from ringbridge import _core

#: Items that may be under way.
CREDIT = 8
_NONE = object()  # no item; None is one
_LOOK_S = 0.05  # whether the code of a stream that was parked runs


class Stream(Iterator[Any], AsyncIterator[Any]):
    """The items of a remote generator, as they come.

    Iterate over it once, with `for` or with `async for` (in a loop: made on the loop's thread). An
    exception arrives in its place. close() (or the end of a `with`, or dropping the stream) closes
    the generator over there, so that its `finally` runs. options(timeout=) is for each item, from
    when it is asked for, whatever else comes before it.
    """

    def __init__(
        self, function: _core.Function, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self._title: str = function._title
        timeout = function._timeout
        self._timeout: float | None = None if timeout is None else float(timeout)
        self._callbacks = CallbackLine(function._callbacks_on, at_await=True)
        self._own_executor = function._callbacks_on is not None
        self._loop = loop = running_loop()
        self._feed: _Feed | None = None
        self._progress: Progress | None = None
        self._over = False
        self._lock = threading.RLock()  # one reader at a time; a callback of its own may close it
        if loop is None:
            self._call = function.start(args, kwargs, credit=CREDIT)
        else:
            self._feed = feed = _Feed()
            _reader, self._call = start(function, args, kwargs, loop, feed, CREDIT)
        # What it calls must not know us. The call ends by itself once the generator is closed.
        self._closer = weakref.finalize(self, _close_quietly, self._call)
        self._closer.atexit = False  # type: ignore[misc]  # the worker ends, too

    @property
    def progress(self) -> Progress | None:
        """The newest word of the generator; None: it has said nothing."""
        return self._progress

    @property
    def dropped(self) -> int:
        """Items that were never seen here, since a newer one won: with options(latest=True)."""
        return self._call.dropped

    # ----------------------------------------------------------------------------------- for loops

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Any:
        if self._feed is not None:
            raise TypeError(
                "this stream was made on an event loop's thread: iterate over it with `async for`"
            )
        with self._lock:
            if self._over:
                raise StopIteration
            return self._next()

    def _next(self) -> Any:
        until = self._item_until()
        while not self._over:  # a callback that ran here may have closed it
            left = None if until is None else max(until - time.monotonic(), 0.0)
            try:
                kind, payload = self._call.take(left)
            except CallTimeout:
                raise self._timed_out() from None
            except RingbridgeError:
                self._end()
                raise
            except KeyboardInterrupt:  # as in a blocking call
                self._finish()
                give_up(self._call, GRACE_S)
                raise
            item = self._item(kind, payload)
            if item is not _NONE:
                return item
            if left == 0.0 and not self._over:  # or its log would put the end off for ever
                raise self._timed_out()
        raise StopIteration

    def _item_until(self) -> float | None:
        """When the item that somebody waits for from now on is late, whatever else comes before."""
        return None if self._timeout is None else time.monotonic() + self._timeout

    def _timed_out(self) -> CallTimeout:
        """Gives the call up; for who then raises it."""
        self._finish()
        give_up(self._call, GRACE_S)
        return CallTimeout(f"{self._title} made no item within its timeout of {self._timeout:g} s")

    def _item(self, kind: int, payload: Any) -> Any:
        """The item that an event brings, or _NONE. Raises what the generator has raised."""
        if kind == readers.NEWER:
            kind, payload = self._call.newest()
        elif kind == readers.ITEM:
            self._call.credit(1, 0)
        if kind == readers.ITEM:
            return payload
        if kind in (readers.END, readers.ERROR):
            self._end()
            if payload is not None:
                raise payload
        else:
            self._other(kind, payload)
        return _NONE

    def _other(self, kind: int, payload: Any) -> None:
        if kind == readers.PROGRESS:
            self._progress = progress_of(payload)
        elif kind == readers.CALLBACK and (self._own_executor or self._feed is not None):
            self._callbacks.run(self._call, self._loop, payload)
        else:
            answer_here(self._call, kind, payload)

    # ----------------------------------------------------------------------------- for event loops

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Any:
        feed = self._feed
        if feed is None:
            raise TypeError(
                "this stream was not made on an event loop's thread: iterate over it with `for`"
            )
        until = self._item_until()
        while not self._over:
            event = await self._fed(feed, until)
            if event is None:
                break
            item = self._item(*event)
            if item is not _NONE:
                return item
        raise StopAsyncIteration

    async def _fed(self, feed: _Feed, until: float | None) -> tuple[int, Any] | None:
        """The next event; None: another one who waits here has seen the end."""
        while not feed.events:  # a loop that stood still is late, but what came is there
            if self._over:
                return None
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                raise self._timed_out()
            await feed.wait(self._loop, left)
        return feed.events.popleft()

    # -------------------------------------------------------------------------------------- ending

    def _finish(self) -> None:
        self._over = True
        self._closer.detach()
        if self._feed is not None:
            self._feed.wake()

    def _end(self) -> None:
        self._finish()
        self._call.end()

    def close(self) -> None:
        """Closes the generator over there, and waits until its `finally` has run.

        Raises what that raised. From when its code runs, be it an item that is being made or that
        `finally`, it is asked to end, then interrupted, then killed with its worker, as
        Task.cancel does. Idempotent; from any thread, also while another one waits for an item.
        """
        if self._feed is not None:
            raise TypeError("a stream of an event loop is closed with `await stream.aclose()`")
        if self._over:
            return
        with Closing(self._call), self._lock:
            while not self._over:
                try:
                    kind, payload = self._call.take(None)
                except RingbridgeError:
                    self._end()
                    raise
                self._amid_close(kind, payload)

    async def aclose(self) -> None:
        """close(), for a stream that was made on an event loop's thread."""
        feed = self._feed
        if feed is None:
            raise TypeError("this stream is closed with close()")
        if self._over:
            return
        with Closing(self._call):
            while not self._over:
                event = await self._fed(feed, None)
                if event is None:
                    break
                self._amid_close(*event)

    def _amid_close(self, kind: int, payload: Any) -> None:
        """What still comes: items that nobody wants, and the end, which is an error or none."""
        if kind in (readers.END, readers.ERROR):
            self._end()
            if payload is not None and not isinstance(payload, Cancelled):
                raise payload
        else:
            self._other(kind, payload)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    async def __aenter__(self) -> Stream:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<ringbridge.Stream {self._title} {'over' if self._over else 'open'}>"


class _Feed:
    """What came for a stream that an event loop reads: the owner of its call."""

    def __init__(self) -> None:
        self.events: collections.deque[tuple[int, Any]] = collections.deque()
        self.waiters: list[Any] = []

    def _event(self, _call: _core.Call, kind: int, payload: Any) -> None:
        self.events.append((kind, payload))
        self.wake()

    async def wait(self, loop: Any, seconds: float | None) -> None:
        """Until something came, or so long."""
        waiter = loop.create_future()
        self.waiters.append(waiter)
        timer = None if seconds is None else loop.call_later(seconds, _wake, waiter)
        try:
            await waiter
        finally:
            if timer is not None:
                timer.cancel()

    def wake(self) -> None:
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            _wake(waiter)


def _wake(waiter: Any) -> None:
    if not (waiter.done() or waiter.get_loop().is_closed()):  # where nobody waits any more
        waiter.set_result(None)


class Closing:
    """Closes a generator over there, and while somebody waits for that, ends what lasts too long.

    The steps of a cancel begin when its code runs: a parked one may wait in line behind other
    calls, and its `finally` has all of the grace then.
    """

    def __init__(self, call: _core.Call, grace: float | None = GRACE_S) -> None:
        self._call = call
        self._grace = grace
        self._timer: timers.Timer | None = None
        self._left = False

    def __enter__(self) -> None:
        self._call.close_stream()
        self._look()

    def __exit__(self, *_error: object) -> None:
        self._left = True
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        if self._left:
            return
        if self._call.running:
            give_up(self._call, self._grace)
        else:
            self._timer = timers.after_unless_ending(_LOOK_S, self._look)


def _close_quietly(call: _core.Call) -> None:
    call.close_stream()
    if call.running:  # in the middle of an item, which nobody wants: no reason to kill anybody
        give_up(call, None)
    call.end()
