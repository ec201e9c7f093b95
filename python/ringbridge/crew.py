# SPDX-License-Identifier: MIT
"""What the seats of one pool have in common: its queue, its state, what its workers are told.

Knows no Pool, so that a Pool that nobody holds any more can be shut down while its seats still
work off what was submitted.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import logging
import os
import queue
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import BrokenExecutor
from typing import Any

from ringbridge import sources, threads
from ringbridge.errors import CannotCross, RingbridgeError
from ringbridge.pickles import Carried
from ringbridge.seats import Initializer, Seat, Told, Work
from ringbridge.worker import Worker

_START_TRIES = 3  # in a row, in all seats together; 1 as long as no worker has ever started
_NAMES_MAX = 4096
_SOURCES_MAX = 256


class BrokenPool(RingbridgeError, BrokenExecutor):
    """A pool has given up: its initializer failed, or its workers do not start. The cause is what
    went wrong.
    """


class Crew:
    """See seats.Crew. Safe to use from several threads."""

    def __init__(
        self,
        name: str,
        size: int,
        make: Callable[[str], Worker],
        tellings: Tellings,
        tasks_max: int | None,
    ) -> None:
        self.tellings = tellings
        self.initializer: Initializer | None = None
        self.tasks_max = tasks_max
        self.given_up = False
        self._name = name
        self._size = size
        self._make = make
        #: Its end is a None, which every seat that sees it puts back for the next one.
        self._queue: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        #: One for each seat that waits for work. A semaphore would not let a finaliser in.
        self._idle: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._seats: list[Seat] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.RLock()  # a finaliser may submit while we hold it
        self._closed = False
        self._broken: BrokenPool | None = None
        self._tries = 0  # starts that failed since the last one that did not
        self._ever_started = False
        self._owner_pid = os.getpid()
        _crews.add(self)

    # ------------------------------------------------------------------------------- for the Pool

    @property
    def state(self) -> str:
        return "broken" if self._broken else "shut down" if self._closed else "open"

    def check_owner(self) -> None:
        """Before anything else is done: a forked child may find our locks held for ever."""
        if os.getpid() != self._owner_pid:  # its threads are not here
            raise RingbridgeError(
                f"pool {self._name!r} belongs to the process that this one was forked from: make "
                "one of its own here"
            )

    def add(self, works: Iterable[Work]) -> None:
        """Puts work into the queue, and seats a worker for it where none is idle."""
        with self._lock:
            for work in works:
                if self._broken is not None:
                    raise self._another(self._broken)
                if self._closed:
                    when = "interpreter shutdown" if _exiting else "shutdown"
                    raise RuntimeError(f"cannot schedule new futures after {when}")
                if not self._is_one_idle() and len(self._threads) < self._size:
                    self._seat_one_more()
                self._queue.put(work)

    def _is_one_idle(self) -> bool:
        try:
            self._idle.get_nowait()
        except queue.Empty:
            return False
        return True

    def _seat_one_more(self) -> None:
        index = len(self._seats) + 1
        seat, name = Seat(self, index), f"ringbridge pool {self._name}-{index}"
        self._threads.append(threads.start(seat.run, name))
        self._seats.append(seat)

    def let_go(self) -> None:
        """No more work is taken. Takes no lock: it may run in a finaliser, wherever that is."""
        self._closed = True
        self._queue.put(None)

    def close(self, cancel: bool) -> None:
        """No more work is taken; cancel: what is in the queue is cancelled."""
        with self._lock:
            self._closed = True
            waiting = self._drained() if cancel else []
            self._queue.put(None)
        for work in waiting:
            work.future.cancel()

    def cancel_all(self) -> None:
        """Takes no more work, and cancels all that there is, also what runs."""
        self.given_up = True
        self.close(cancel=True)
        for seat in self._seats:
            future = seat.current
            if future is not None:
                future.cancel()

    def join(self) -> None:
        """Waits until all seats have ended, and with them their workers."""
        for thread in list(self._threads):
            if thread is not threading.current_thread():  # a future's callback
                thread.join()
        self._threads.clear()  # there will be no more of them

    def _drained(self) -> list[Work]:
        works: list[Work] = []
        while True:
            try:
                work = self._queue.get_nowait()
            except queue.Empty:
                return works
            if work is not None:
                works.append(work)

    # ------------------------------------------------------------------------------ for the seats

    def next(self) -> Work | None:
        try:
            work = self._queue.get_nowait()
        except queue.Empty:
            self._idle.put(None)
            work = self._queue.get()
        if work is None:
            self._queue.put(None)
        return work

    def new_worker(self, index: int) -> Worker:
        return self._make(f"{self._name}-{index}")

    def started(self) -> None:
        self._tries = 0
        self._ever_started = True

    def start_failed(self, error: Exception, initializing: bool) -> Exception | None:
        with self._lock:
            if self._broken is not None:
                return self._another(self._broken)
            self._tries += 1
            if not initializing and self._ever_started and self._tries < _START_TRIES:
                return None
            what = "its initializer failed" if initializing else "its workers do not start"
            text = f"pool {self._name!r} is broken: {what}: {type(error).__name__}: {error}"
            self._broken = broken = BrokenPool(text)
            broken.__cause__ = error
            waiting = self._drained()
            self._queue.put(None)
        logging.getLogger(f"ringbridge.pool.{self._name}").error("%s", text)
        for work in waiting:
            if work.future.begins(None):
                work.future.ends(None, self._another(broken))
        return self._another(broken)

    @staticmethod
    def _another(broken: BrokenPool) -> BrokenPool:
        """The same error, for another one to raise: a traceback grows where it is raised."""
        error = BrokenPool(str(broken))
        error.__cause__ = broken.__cause__
        return error

    def retold(self, told: Told, missing: list[str], python: str) -> Told:
        return self.tellings.retell(told, missing, python)


# --------------------------------------------------------------------------- what workers are told


class Tellings:
    """Which functions have which key. The same function, with the same values, keeps it."""

    def __init__(self, pickle: bool) -> None:
        self._pickle = pickle
        self._missing: frozenset[str] = frozenset()  # modules that are not over there
        self._named: dict[tuple[str, bool], Told] = {}
        self._sent: OrderedDict[bytes, Told] = OrderedDict()
        self._lock = threading.RLock()

    def tell(self, function: sources.Named) -> Told:
        """Raises CannotCross where a function cannot be sent."""
        if isinstance(function, str):
            return self._by_name(function, function)
        name = sources.name_of(function)
        if name is not None and name[0] not in self._missing:
            return self._by_name(":".join(name), function)
        try:
            description = sources.describe(function, self._missing)
        except CannotCross:
            if not self._pickle or not callable(function):
                raise
            ref = ("carried", Carried(function))
            return Told(function, {"root": ref, "functions": [], "modules": []}, once=True)
        return self._by_source(function, description)

    def retell(self, told: Told, missing: list[str], python: str) -> Told:
        """For workers that do not find these modules: source, in the place of names."""
        if isinstance(told.function, str):
            raise ModuleNotFoundError(
                f"No module named {missing[0]!r} for {python}. Folders of your own modules go into "
                "Pool(paths=[...]); packages must be installed in that environment",
                name=missing[0],
            )
        with self._lock:
            self._missing = self._missing.union(missing)
        return self.tell(told.function)

    def _by_name(self, text: str, function: sources.Named) -> Told:
        key = (text, function is text)
        told = self._named.get(key)
        if told is None:
            with self._lock:
                if len(self._named) >= _NAMES_MAX:
                    self._named.clear()
                told = self._named.setdefault(key, Told(function, sources.describe(text)))
        return told

    def _by_source(self, function: Any, description: sources.Description) -> Told:
        written = repr(description).encode("utf-8", "surrogatepass")
        digest = hashlib.sha256(written).digest()
        with self._lock:
            told = self._sent.get(digest)
            if told is None:
                # The globals as they are now: it is sent later, when a worker needs it.
                told = self._sent[digest] = Told(function, copy.deepcopy(description))
                if len(self._sent) > _SOURCES_MAX:
                    self._sent.popitem(last=False)
            self._sent.move_to_end(digest)
            return told


# ------------------------------------------------------------------------------ the end of it all

_crews: weakref.WeakSet[Crew] = weakref.WeakSet()
_exiting = False


def _ours() -> list[Crew]:
    while True:
        with contextlib.suppress(RuntimeError):  # one was made meanwhile
            return [crew for crew in _crews if crew._owner_pid == os.getpid()]


def _at_exit() -> None:
    """What was submitted is done before the interpreter ends; Ctrl-C gives it up."""
    global _exiting
    _exiting = True
    ours = _ours()
    for crew in ours:
        crew.close(cancel=False)
    try:
        for crew in ours:
            crew.join()
    except BaseException:
        for crew in ours:
            crew.cancel_all()
        raise


# As concurrent.futures does it: atexit comes after the interpreter has waited for its threads.
threading._register_atexit(_at_exit)  # type: ignore[attr-defined]
