# SPDX-License-Identifier: MIT
"""Qt's signals, awaited: one emission, or all of them; and several signals as if they were one.

What is connected to a signal is held by its connection alone. So when Qt deletes the sender, that
goes, and whoever waits is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import threading
import types
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ringbridge.qt import binding

_log = logging.getLogger("ringbridge.qt")


async def asyncsignal(signal: Any) -> tuple[Any, ...]:
    """Waits until the signal is emitted once, and gives its arguments, as a tuple.

    `await asyncsignal(button.clicked)`: connected when it is awaited, and only until it ends.
    `signal` is a bound signal, a multisignal, or anything with connect() and disconnect(). It may
    be emitted on any thread. RuntimeError: the sender was deleted before it was.
    """
    future: asyncio.Future[tuple[Any, ...]] = asyncio.get_running_loop().create_future()

    def take(args: tuple[Any, ...]) -> None:
        if not future.done():
            future.set_result(args)

    def lose() -> None:
        if not future.done():
            future.set_exception(
                RuntimeError("the sender of a signal was deleted while the signal was awaited")
            )

    connections = _Connections(signal, take, lose)
    try:
        return await future
    finally:
        connections.close()


def asyncsignalstream(signal: Any, *, maxsize: int = 10_000) -> SignalStream:
    """An asynchronous iterator over all emissions of a signal from now on: tuples of arguments.

    async with asyncsignalstream(slider.valueChanged) as values:
        async for (value,) in values:
            ...

    `async for` alone does, too; then it is disconnected when the iterator is deleted. It ends when
    the sender is deleted. `signal` as for asyncsignal. Call it on a thread where a loop runs.

    maxsize  emissions that wait to be taken; of more the oldest are dropped, counted in `dropped`,
             and the first time told to the logger "ringbridge.qt". 0: no bound.
    """
    return SignalStream(signal, maxsize)


class SignalStream:
    """What asyncsignalstream() gives. One task at a time takes from it."""

    def __init__(self, signal: Any, maxsize: int) -> None:
        self._buffer = _Buffer(repr(signal), maxsize)
        self._connections = _Connections(signal, self._buffer.put, self._buffer.end)

    @property
    def dropped(self) -> int:
        """How many emissions were not taken in time, and are lost."""
        return self._buffer.dropped

    def close(self) -> None:
        """Disconnects; the iteration ends, and what was not taken is lost."""
        self._connections.close()
        self._buffer.clear()
        self._buffer.end()

    async def aclose(self) -> None:
        """As close()."""
        self.close()

    def __aiter__(self) -> SignalStream:
        return self

    async def __anext__(self) -> tuple[Any, ...]:
        return await self._buffer.get()

    async def __aenter__(self) -> SignalStream:
        return self

    async def __aexit__(self, *_raised: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_connections"):  # the signal was none
            self._connections.close()


class _Buffer:
    """Emissions that wait to be taken."""

    def __init__(self, title: str, maxsize: int) -> None:
        self.dropped = 0
        self._title = title
        self._maxsize = maxsize
        self._items: deque[tuple[Any, ...]] = deque()
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None

    def put(self, args: tuple[Any, ...]) -> None:
        if self._ended:
            return
        if 0 < self._maxsize <= len(self._items):
            self._items.popleft()
            self._count_dropped()
        self._items.append(args)
        self._wake()

    def _count_dropped(self) -> None:
        self.dropped += 1
        if self.dropped == 1:
            _log.warning(
                "asyncsignalstream of %s: %d emissions wait to be taken; of more the oldest are "
                "dropped, which `dropped` counts",
                self._title,
                self._maxsize,
            )

    async def get(self) -> tuple[Any, ...]:
        while not self._items:
            if self._ended:
                raise StopAsyncIteration
            if self._waiter is not None:
                raise RuntimeError("another task waits for this asyncsignalstream")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._items.popleft()

    def clear(self) -> None:
        self._items.clear()

    def end(self) -> None:
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class multisignal:
    """Several signals as one: each emission comes with the value that its signal is mapped to.

    `await asyncsignal(multisignal({ok.clicked: "ok", cancel.clicked: "cancel"}))` gives
    `("ok", (False,))`. For asyncsignalstream, too.
    """

    def __init__(self, signal_map: Mapping[Any, Any]) -> None:
        self._tags = dict(signal_map)

    def connect(self, slot: Callable[[Any, tuple[Any, ...]], object]) -> None:
        """Connects slot(value, args) to each of the signals.

        It is called on this thread, or, a QObject's method, on the one where that object lives. A
        method does not keep its object alive. Connected until a sender or the object is deleted.
        """
        for signal, tag in self._tags.items():
            signal.connect(_Tagged(slot, tag))


class _Tagged:
    """What is connected for slot(tag, args)."""

    def __init__(self, slot: Callable[..., object], tag: Any) -> None:
        self._tag = tag
        self._home = _Home()
        self._slot: Callable[[], Callable[..., object] | None] = lambda: slot
        if isinstance(slot, types.MethodType):
            self._slot = weakref.WeakMethod(slot)
            if isinstance(slot.__self__, binding.QtCore.QObject):
                self._home.moveToThread(slot.__self__.thread())

    def __call__(self, *args: Any) -> None:
        self._home.called.emit(functools.partial(self._call, args))

    def _call(self, args: tuple[Any, ...]) -> None:
        slot = self._slot()
        if slot is not None and binding.is_alive(getattr(slot, "__self__", None)):
            slot(self._tag, args)


class _Home(binding.QtCore.QObject):
    """An object by which functions are called on the thread where it lives."""

    called = binding.Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.called.connect(self._call)

    # A declared slot: PyQt would call any other where it was connected.
    @binding.Slot(object)  # type: ignore[untyped-decorator]
    def _call(self, function: Callable[[], object]) -> None:
        function()


class _Connections:
    """Of one wait, to a signal or to those of a multisignal. On the thread of the loop that runs.

    take  is given the arguments, on that thread
    lose  is called there when all senders have been deleted
    """

    def __init__(
        self, signal: Any, take: Callable[[tuple[Any, ...]], None], lose: Callable[[], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        taker = _Taker(loop, take)
        self._made: list[tuple[Any, Any, weakref.ref[Any]]] = []
        try:
            for each, tags in _signals_of(signal, ()):
                slot = functools.partial(taker, tags)
                self._made.append((each, each.connect(slot), weakref.ref(slot)))
        except BaseException:
            self.close()
            raise
        self._watch: Any = weakref.ref(taker, lambda _taker: _call_on(loop, lose))

    def close(self) -> None:
        """Disconnects. Again: does nothing."""
        self._watch = None  # who disconnects is not told
        made, self._made = self._made, []
        for signal, connection, reference in made:
            slot = reference()
            if slot is not None:  # else it has gone with its sender
                binding.disconnect(signal, connection, slot)


def _signals_of(signal: Any, tags: tuple[Any, ...]) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    if isinstance(signal, multisignal):
        for each, tag in signal._tags.items():
            yield from _signals_of(each, (*tags, tag))
    else:
        yield signal, tags


class _Taker:
    """Takes what signals give, on whatever thread they do."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, take: Callable[[tuple[Any, ...]], None]
    ) -> None:
        self._loop = loop
        self._thread = threading.get_ident()
        self._take = take

    def __call__(self, tags: tuple[Any, ...], *args: Any) -> None:
        args = binding.copied(args)
        for tag in reversed(tags):
            args = (tag, args)
        if threading.get_ident() == self._thread:
            self._take(args)
        else:
            _call_on(self._loop, self._take, args)


def _call_on(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *args: Any) -> None:
    with contextlib.suppress(RuntimeError):  # it is closed: nobody waits there
        loop.call_soon_threadsafe(function, *args)
