# SPDX-License-Identifier: MIT
"""Who takes the events of calls that no thread blocks for, and hands them to their owners.

    submitted outside of a loop   Background: one thread a channel, which waits only while such
                                  calls are under way
    submitted on a loop's thread  LoopReader: the loop itself, when a descriptor is readable

An owner has `_event(call, kind, payload)`. Whoever reads calls it: so that is the thread that
progress and done callbacks run on. Imports asyncio only where a loop of it runs already.

A channel knows its readers, and nothing else does: they go with it, at its close().
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from ringbridge import threads, timers
from ringbridge._core import Call, Channel, Inbox, run_idle
from ringbridge.errors import RingbridgeError, WorkerDied
from ringbridge.event_loop import running_loop

# enum event_kind of csrc/ext/event.h
RESULT, ERROR, PROGRESS, LOG, ITEM, END, CALLBACK, NOTHING, NEWER = range(9)

_LOOK_S = 1.0  # a background reader without calls of its own stands in others' way
_TURN_S = 0.05  # of threads that take turns at reading for a closed loop
_IDLE_TURN_S = 0.002  # of an application's main thread, between two looks at its clients
_BUDGET_S = 0.001  # of one readiness callback of a loop, and the most events in it
_BUDGET_EVENTS = 64


class Cancellable(Protocol):
    """What both kinds of timer are."""

    def cancel(self) -> object: ...


class Waiter(Protocol):
    """What a thread waits for."""

    def done(self) -> bool: ...

    def _sleep(self, seconds: float) -> None:
        """Until it is done, and not longer."""


class Reader(Protocol):
    """What an owner may ask of who reads for it."""

    inbox: Inbox
    #: Whether a submit may wait for room: not on a loop's thread.
    may_wait: bool

    def expect(self) -> None:
        """A call was started into the inbox."""

    def after(self, seconds: float, function: Callable[[], object]) -> Cancellable:
        """Calls it later, on the loop's thread or on the timers'."""

    def drive(self, waiter: Waiter, timeout: float | None) -> None:
        """Waits until the waiter is done; reads on this thread, where nobody else would."""


def reader_for(channel: Channel, loop: Any) -> Reader:
    """The reader for calls that are made now, on this thread; `loop`: what runs on it, or None."""
    readers: _Readers | None = channel.readers
    if readers is None or readers.pid != os.getpid():
        with _lock:
            readers = channel.readers
            if readers is None or readers.pid != os.getpid():
                readers = channel.readers = _Readers(channel)
    return readers.background if loop is None else readers.of_loop(channel, loop)


class _Readers:
    """Those of one channel, in one process."""

    def __init__(self, channel: Channel) -> None:
        self.pid = os.getpid()
        self._of_loop: weakref.WeakKeyDictionary[Any, LoopReader] = weakref.WeakKeyDictionary()
        self.background = Background(channel)  # raises where the channel is closed

    def of_loop(self, channel: Channel, loop: Any) -> LoopReader:
        found = self._of_loop.get(loop)
        if found is None:
            with _lock:
                self._leave_closed_loops()
                found = self._of_loop[loop] = LoopReader(channel, loop)
        return found

    def _leave_closed_loops(self) -> None:
        """Calls that were under way when their loop was closed: nobody reads for them."""
        for loop, reader in list(self._of_loop.items()):
            if loop.is_closed():
                del self._of_loop[loop]
                reader.leave()

    def __del__(self) -> None:  # the channel was closed
        for loop, reader in list(self._of_loop.items()):
            with contextlib.suppress(RuntimeError):  # it is closed
                loop.call_soon_threadsafe(reader.unwatch)


_lock = threading.RLock()  # a finaliser may submit while we hold it


def _forget_lock() -> None:
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_forget_lock)


def hand_on(event: tuple[Call, int, Any]) -> None:
    """Gives an event to the owner of its call."""
    call, kind, payload = event
    call.owner._event(call, kind, payload)


def fail_all(inbox: Inbox, error: RingbridgeError) -> None:
    """The channel has ended: so have its calls."""
    raised: BaseException | None = None
    for call in list(inbox.calls.values()):
        begun = call.begun
        call.end()
        try:
            call.owner._event(call, ERROR, _another(error, call, begun))
        except BaseException as trouble:  # of a user's callback: the others shall hear of it, too
            raised = trouble
    if raised is not None:
        raise raised


def _another(error: RingbridgeError, call: Call, begun: bool) -> RingbridgeError:
    """An exception of its own for each, since each gets a traceback."""
    if isinstance(error, WorkerDied):
        first, line, output = str(error).partition("; its last output")
        had = "" if begun else ", which had not begun"
        text = f"{first}; the call was {call.title}{had}{line}{output}"
        died = WorkerDied(text, error.signal, error.exit_code)
        died.begun = begun
        another: RingbridgeError = died
    else:
        another = type(error)(*error.args)
    another.__cause__ = error.__cause__
    return another


def _read_until(
    inbox: Inbox,
    take: Callable[[float | None], tuple[Call, int, Any] | None],
    waiter: Waiter,
    timeout: float | None,
) -> None:
    """Reads on this thread, which is the one that others wait for."""
    until = None if timeout is None else time.monotonic() + timeout
    while not waiter.done():
        left = None if until is None else until - time.monotonic()
        if left is not None and left <= 0:
            return
        try:
            event = take(left)
        except RingbridgeError as error:
            fail_all(inbox, error)
            return
        if event is not None:
            hand_on(event)


class Background:
    """A thread that takes from a channel's own inbox as long as there are calls in it."""

    may_wait = True

    def __init__(self, channel: Channel) -> None:
        self.inbox = Inbox(channel)
        self._started = False
        self._idle = False
        self._work = threading.Condition(threading.Lock())
        self._pid = os.getpid()
        self.thread = 0  # that reads, or was the last one to

    def expect(self) -> None:
        if self._started and not self._idle:
            return
        with self._work:
            if not self._started:
                ours = self.inbox, weakref.ref(self)
                threads.start(_read, "ringbridge reader", *ours)
                self._started = True
            elif self._idle:
                self._idle = False
                self._work.notify()

    def wait_for_work(self) -> bool:
        """Until there is a call. False: there was none for a while; the thread ends."""
        with self._work:
            self._idle = True
            # The flag first, then the look: expect() does it the other way round.
            if not self.inbox.calls and not self._work.wait(_LOOK_S) and not self.inbox.calls:
                self._started = self._idle = False
                return False
            self._idle = False
            return True

    def after(self, seconds: float, function: Callable[[], object]) -> Cancellable:
        return timers.after(seconds, function)

    def drive(self, waiter: Waiter, timeout: float | None) -> None:
        if self._pid != os.getpid():
            raise RingbridgeError(
                "this task belongs to the process that this one was forked from: its result goes "
                "there"
            )
        if self.thread == threading.get_ident():  # a callback of another task
            _read_until(self.inbox, self.inbox.take, waiter, timeout)
        until = None if timeout is None else time.monotonic() + timeout
        while not waiter.done() and run_idle():  # an application's main thread: it serves meanwhile
            left = _IDLE_TURN_S if until is None else min(until - time.monotonic(), _IDLE_TURN_S)
            if left <= 0:
                return
            waiter._sleep(left)


def _read(inbox: Inbox, background: weakref.ref[Background]) -> None:
    owner = background()
    if owner is not None:
        owner.thread = threading.get_ident()
    del owner
    while True:
        if not inbox.calls:
            owner = background()
            if owner is None or not owner.wait_for_work():
                return
            del owner
        try:
            _read_one(inbox)
        except BaseException:  # of a user's callback, sys.exit() too: the other calls go on
            logging.getLogger("ringbridge").exception("a callback of a task failed")


def _read_one(inbox: Inbox) -> None:
    """Nothing of the event is kept: its result lives as long as the user wants."""
    try:
        event = inbox.take(_LOOK_S)
    except RingbridgeError as error:
        fail_all(inbox, error)
    else:
        if event is not None:
            hand_on(event)


class LoopReader:
    """An asyncio loop that reads for the calls that were made on it. No thread, no polling."""

    may_wait = False

    def __init__(self, channel: Channel, loop: Any) -> None:
        self.inbox = Inbox(channel, True)
        self._loop: Callable[[], Any] = weakref.ref(loop)
        self._watched = False
        self._thread = threading.get_ident()
        self._driven = threading.RLock()  # by one thread; a callback that it runs may wait, too

    def expect(self) -> None:
        self._thread = threading.get_ident()
        if not self._watched:
            self._watched = True
            self._loop().add_reader(self.inbox.fileno(), self._ready)
        self.inbox.arm()

    def _ready(self) -> None:
        """The loop's callback: takes for a while, then arms again and lets other callbacks run."""
        until = time.perf_counter() + _BUDGET_S
        self.inbox.clear()
        try:
            for _ in range(_BUDGET_EVENTS):
                event = self._take_now()
                if event is None:
                    break
                hand_on(event)
                if time.perf_counter() >= until:
                    break
        finally:  # also after the sys.exit() of a callback: the loop may run on
            self._watch_on()

    def _take(self, timeout: float | None) -> tuple[Call, int, Any] | None:
        try:
            return self.inbox.take(timeout)
        except RingbridgeError:
            raise
        except BaseException:  # Ctrl-C: the event is still there, which the descriptor does not say
            loop = self._loop()
            if loop is not None and not loop.is_closed():
                loop.call_soon_threadsafe(self._ready)
            raise

    def _take_now(self) -> tuple[Call, int, Any] | None:
        try:
            return self._take(0)
        except RingbridgeError as error:
            fail_all(self.inbox, error)
            return None

    def _watch_on(self) -> None:
        if self.inbox.calls:
            self.inbox.arm()
        elif not self.inbox.channel.alive:
            self.unwatch()

    def unwatch(self) -> None:
        """On the loop's thread, when the channel has ended: the loop lets go of the descriptor."""
        loop = self._loop()
        if self._watched and not self.inbox.calls and loop is not None and not loop.is_closed():
            self._watched = False
            loop.remove_reader(self.inbox.fileno())

    def leave(self) -> None:
        """The loop was closed: its calls fail, and nothing of them is kept."""
        text = "the event loop that this was submitted on was closed before its end"
        for call in list(self.inbox.calls.values()):
            call.cancel(False)
        fail_all(self.inbox, RingbridgeError(text))
        self.inbox.close()

    def after(self, seconds: float, function: Callable[[], object]) -> Cancellable:
        loop = self._loop()
        if loop is None or running_loop() is not loop:  # another thread's, or after its end
            return timers.after(seconds, function)
        handle: Cancellable = loop.call_later(seconds, function)
        return handle

    def drive(self, waiter: Waiter, timeout: float | None) -> None:
        """On the loop's own thread, or where the loop is closed: nobody else would read."""
        until = None if timeout is None else time.monotonic() + timeout
        while not waiter.done():
            left = _LOOK_S if until is None else min(until - time.monotonic(), _LOOK_S)
            if left <= 0:
                return
            loop = self._loop()
            closed = loop is None or loop.is_closed()
            if not closed and threading.get_ident() != self._thread:
                waiter._sleep(left)  # it reads; unless it is closed meanwhile
            elif self._driven.acquire(blocking=False):
                try:
                    _read_until(self.inbox, self._take, waiter, left)
                finally:
                    self._driven.release()
            else:  # another thread reads
                waiter._sleep(min(left, _TURN_S))
