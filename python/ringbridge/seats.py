# SPDX-License-Identifier: MIT
"""A seat of a pool: one thread with one worker, which it replaces when that has died.

Knows neither the Pool nor its queue: it is handed a Crew (where work comes from, and workers).
One call at a time is handed to a worker, so that a long one never holds another one back.

    work --> _result --> _renew (worker, initializer) --> _attempt: _taught, _laid_out, the call
                ^                                                                         |
                +------- the worker died before it had begun with this call <-------------+

A call is waited for on this thread, which also runs what it calls back. stop(), from the thread
that cancels, interrupts it; a timer kills the worker that is still at work for it later.
"""

from __future__ import annotations

import contextlib
import itertools
import signal
import threading
import time
import weakref
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ringbridge import readers, timers
from ringbridge.answering import answer_here
from ringbridge.errors import CallTimeout, RemoteTraceback, RingbridgeError, WorkerDied
from ringbridge.shares import Place, Places, Shared

if TYPE_CHECKING:
    from ringbridge import _core, sources
    from ringbridge.remote import RemoteModule
    from ringbridge.worker import Worker

_FUNCTIONS_MAX = 256  # that a worker keeps; the one that was not used for longest goes first
_DEATHS_MAX = 3  # of workers that had not begun with the call that they were handed

_numbers = itertools.count(1)


class Told:
    """What workers are told about a function, under one key."""

    def __init__(
        self, function: sources.Named, description: sources.Description, once: bool = False
    ) -> None:
        self.key = next(_numbers)
        self.function = function
        self.description = description
        self.once = once  # not to be kept over there after its call
        self.label = _label(function)


def _label(function: sources.Named) -> str:
    if isinstance(function, str):
        return function
    module, name = (getattr(function, each, None) for each in ("__module__", "__qualname__"))
    return f"{module}:{name}" if module and name else type(function).__qualname__


class Outcome(Protocol):
    """What a seat needs of a future."""

    def begins(self, seat: Seat | None) -> bool:
        """It runs now, and a cancel stops the seat from here on; False: it was cancelled."""

    def ends(self, result: Any, error: BaseException | None) -> None: ...
    def cancel(self) -> bool: ...


class Work(NamedTuple):
    """One call on its way; with `rows` a chunk of calls, whose arguments begin with `args`.

    shares: the values that are not in their places: (position or keyword, value).
    """

    future: Outcome
    told: Told
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    shares: Places = ()
    rows: list[tuple[Any, ...]] | None = None


class Initializer(NamedTuple):
    """What is run once in each new worker."""

    told: Told
    args: tuple[Any, ...]


class Crew(Protocol):
    """What a seat needs of its pool."""

    initializer: Initializer | None
    tasks_max: int | None
    given_up: bool  # all that there is shall be cancelled

    def next(self) -> Work | None:
        """The next work, waited for; None: there is none any more."""

    def new_worker(self, index: int) -> Worker:
        """A worker that has been started."""

    def started(self) -> None:
        """A worker is ready for work."""

    def start_failed(self, error: Exception, initializing: bool) -> Exception | None:
        """The error to give up with; None: try again."""

    def retold(self, told: Told, missing: list[str], python: str) -> Told:
        """Told again for workers that lack modules; raises where that cannot be."""


class _Known(NamedTuple):
    """A function that the worker knows, in three ways to call it (see pooled.py)."""

    call: _core.Function
    call_with: _core.Function
    chunk: _core.Function


def _without_our_frames(error: BaseException) -> BaseException:
    """Ours tell nobody anything, and would keep the arguments as long as the error lives."""
    if isinstance(error, RingbridgeError) or isinstance(error.__cause__, RemoteTraceback):
        return error.with_traceback(None)
    return error


class Seat:
    """`run` is the thread's life; `stop` comes from other threads."""

    def __init__(self, crew: Crew, index: int) -> None:
        self._crew = crew
        self._index = index
        self._worker: Worker | None = None
        self._there: RemoteModule | None = None
        self._is_ready = False  # the worker, for work
        self._tasks = 0  # calls of users that were handed to this worker
        self._functions: OrderedDict[int, _Known] = OrderedDict()
        self._values: dict[int, weakref.ref[Shared]] = {}
        self._gone: deque[int] = deque()  # numbers of values that nobody has any more
        self._old: list[int] = []  # keys of functions to forget
        self._lock = threading.Lock()
        self._current: Outcome | None = None  # under the lock: no kill shall hit the next call
        self._call: _core.Call | None = None  # of it, from when it has been sent
        self._stopped = False  # nobody wants its result any more

    @property
    def current(self) -> Outcome | None:
        """What it works on."""
        return self._current

    def run(self) -> None:
        """Works until there is no more work."""
        try:
            while True:
                work = self._crew.next()
                if work is None:
                    break
                self._run(work)
                del work  # or its arguments would live until the next call
        finally:
            self._drop_worker()

    def _run(self, work: Work) -> None:
        future = work.future
        with self._lock:
            self._current, self._stopped = future, False
        if self._crew.given_up:  # it has looked at `current` before we set it
            future.cancel()
        result, failure, begun = None, None, future.begins(self)
        try:
            if begun:
                result = self._result(work)
        except BaseException as error:
            failure = _without_our_frames(error)
        with self._lock:
            self._current = None
        self._call = None
        if begun:
            future.ends(result, failure)
        del work, future, result, failure
        if self._crew.tasks_max is not None and self._tasks >= self._crew.tasks_max:
            self._drop_worker()

    def _result(self, work: Work) -> Any:
        """What the call gives. Tried again when its worker dies before it has begun."""
        for deaths in itertools.count(1):
            if self._worker is None or not self._worker.alive:
                self._renew()
                if self._stopped:  # meanwhile
                    return None
            try:
                return self._attempt(work)
            except WorkerDied:
                begun = self._call is not None and self._call.begun
                self._drop_worker()
                if begun or deaths >= _DEATHS_MAX or self._stopped:
                    raise
            except BaseException as error:
                unanswered = self._call is not None and not self._call.ended
                if unanswered or isinstance(error, CallTimeout):
                    self._drop_worker()  # nobody waits any more for what may go on there
                raise
        raise AssertionError("count() has no end")

    # ---------------------------------------------------------------------------------- the call

    def _attempt(self, work: Work) -> Any:
        """The one place where a user's call is made: blocking, in this seat's thread."""
        self._forget()
        told, known = self._taught(work.told)
        places, args, kwargs = self._laid_out(work)
        if self._stopped:  # while a module was imported over there, for example
            return None
        self._tasks += 1
        if work.rows is not None:
            return self._answer(known.chunk, (told.key, places, args, work.rows, kwargs), {})
        if places:
            return self._answer(known.call_with, (told.key, places, list(args), kwargs), {})
        return self._answer(known.call, (told.key, *args), kwargs)

    def _answer(
        self, function: _core.Function, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        timeout = left = function._timeout
        until = None if timeout is None else time.monotonic() + timeout
        call = function.start(args, kwargs)
        with self._lock:
            self._call, stopped = call, self._stopped
        if stopped:  # before stop() could see the call
            self._interrupt(call)
        while True:
            if until is not None:
                left = max(until - time.monotonic(), 0.0)
            kind, payload = call.take(left)
            if kind == readers.RESULT:
                return payload
            if kind == readers.ERROR:
                call.end()
                raise payload
            answer_here(call, kind, payload)

    def _taught(self, told: Told) -> tuple[Told, _Known]:
        """The function as the worker knows it; it is told about it first where it does not."""
        known = self._functions.get(told.key)
        while known is None:
            assert self._there is not None and self._worker is not None
            missing = self._there.define(told.key, told.description)
            if missing:
                told = self._crew.retold(told, missing, self._worker.environment.python)
                known = self._functions.get(told.key)
                continue
            there = (self._there.call, self._there.call_with, self._there.chunk)
            known = _Known(*(each.options(label=told.label) for each in there))
            if told.once:
                self._old.append(told.key)  # to be forgotten before the next call
                return told, known
            self._functions[told.key] = known
            if len(self._functions) > _FUNCTIONS_MAX:
                self._old.append(self._functions.popitem(last=False)[0])
        self._functions.move_to_end(told.key)
        return told, known

    def _laid_out(
        self, work: Work
    ) -> tuple[list[tuple[Place, int]], tuple[Any, ...], dict[str, Any]]:
        """(places of what the worker keeps, args, kwargs): what is used once goes with them."""
        if not work.shares:
            return [], work.args, work.kwargs
        places: list[tuple[Place, int]] = []
        args, kwargs = list(work.args), dict(work.kwargs)
        for place, shared in work.shares:
            if shared.uses > 1:
                self._keep(shared)
                places.append((place, shared.number))
            elif isinstance(place, int):
                args[place] = shared.value
            else:
                kwargs[place] = shared.value
        return places, tuple(args), kwargs

    def _keep(self, shared: Shared) -> None:
        number = shared.number
        if number not in self._values:
            assert self._there is not None
            self._there.keep(number, shared.value)
            gone = self._gone
            self._values[number] = weakref.ref(shared, lambda _: gone.append(number))

    def _forget(self) -> None:
        """Lets the worker forget what is of no use any more."""
        if not self._old and not self._gone:
            return
        numbers = []
        while self._gone:
            numbers.append(self._gone.popleft())
            self._values.pop(numbers[-1], None)
        keys, self._old = self._old, []
        assert self._there is not None
        self._there.forget(keys, numbers)

    # -------------------------------------------------------------------------------- the worker

    def _renew(self) -> None:
        """Puts a new worker, which has been initialised, in the place of what there is."""
        self._drop_worker()
        while True:
            initializing = False
            try:
                self._start()
                initializing = True
                self._initialize()
            except Exception as error:
                self._drop_worker()
                given_up = self._crew.start_failed(error, initializing)
                if given_up is not None:
                    raise given_up from given_up.__cause__
            else:
                self._crew.started()
                self._is_ready = True
                return

    def _start(self) -> None:
        worker = self._crew.new_worker(self._index)
        with self._lock:  # stop() looks at it
            self._worker = worker
        self._there = worker.load("ringbridge.pooled")

    def _initialize(self) -> None:
        initializer = self._crew.initializer
        if initializer is not None and not self._crew.given_up:
            told, known = self._taught(initializer.told)
            known.call(told.key, *initializer.args)

    def _drop_worker(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            self._interrupt(call)
        with self._lock:  # a kill looks at them
            worker, self._worker = self._worker, None
            self._is_ready = False
        self._there = None  # it holds the worker
        self._functions.clear()
        self._values.clear()
        self._gone = deque()
        self._old.clear()
        self._tasks = 0
        if worker is not None:
            worker.close()

    # ------------------------------------------------------------------------------------- cancel

    def stop(self, future: Outcome, grace_s: float | None) -> None:
        """Ends the call of this future, if it is still what runs here: interrupts its code, and
        kills the worker when that has not helped within the grace time (None: never)."""
        with self._lock:
            if self._current is not future:
                return
            self._stopped, call = True, self._call
        if call is not None:
            self._interrupt(call)
        if grace_s is None:
            return
        try:
            timers.after(grace_s, lambda: self._kill(future))
        except RuntimeError:  # the interpreter ends
            self._kill(future)

    @staticmethod
    def _interrupt(call: _core.Call) -> None:
        """Also where it has not been sent yet: then it goes, and is answered without being run."""
        with contextlib.suppress(RingbridgeError):  # the channel is closed
            call.channel.cancel(call.id, True)

    def _kill(self, future: Outcome) -> None:
        """What the worker does for this future goes with it: the import of a module, too. A start
        and an initializer are for the calls to come."""
        with self._lock:
            worker = self._worker
            if self._current is not future or worker is None:
                return
            if self._is_ready or self._crew.given_up:
                with contextlib.suppress(RingbridgeError):  # it has ended, or is being closed
                    worker._process.channel().kill(signal.SIGKILL, True)
