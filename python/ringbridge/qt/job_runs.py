# SPDX-License-Identifier: MIT
"""What goes on behind a Job: it gets a function to call, calls it, and tells what comes of it.

    preparing --> calling ------------------> over, which is told once
    (a thread:    (a Task or a generator's    cancel() leads there
     a worker      call, read by the thread's
     starts)       ThreadLoop)

All but the preparing runs on the thread of the Job. Nothing is told within a call from outside: Qt
carries it there.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any, Protocol

from ringbridge import readers, threads
from ringbridge._core import Call, Function
from ringbridge.answering import CallbackLine, answer_here
from ringbridge.errors import Busy, CallTimeout, Cancelled, RingbridgeError, WorkerDied
from ringbridge.giving_up import give_up
from ringbridge.qt.interpreters import Interpreter, interpreters_of
from ringbridge.qt.job_calls import Wanted
from ringbridge.qt.thread_loop import ThreadLoop
from ringbridge.stream import CREDIT, Closing
from ringbridge.task import Progress, Task, progress_of, start
from ringbridge.timers import GRACE_S

_AGAIN_S = 0.02  # until the next try, or the next look whether it has begun


class Listener(Protocol):
    """Who is told; on the thread of the Job, and raises nothing."""

    def on_started(self) -> None: ...
    def on_progress(self, progress: Progress) -> None: ...
    def on_log(self, level: int, text: str) -> None: ...
    def on_item(self, item: Any) -> None: ...
    def on_result(self, result: Any) -> None: ...
    def on_error(self, error: BaseException) -> None: ...
    def on_cancelled(self) -> None: ...


class Run:
    """Of one Job. What is not said to be called from any thread, is on the Job's."""

    def __init__(self, wanted: Wanted, loop: ThreadLoop, listener: Listener) -> None:
        self.loop = loop
        self._wanted = wanted
        self._listener: Listener | None = listener  # None: nobody listens any more
        own = not (wanted.is_remote or wanted.is_load)
        self._interpreters = interpreters_of(wanted.where) if own else None
        self._lent: Interpreter | None = None
        self._calling: _Result | _Items | None = None
        self._dropped = 0  # when it was over
        self._has_begun = False
        self.is_cancelled = False  # that was asked for
        self.is_over = False

    def begin(self) -> None:
        """Once."""
        if self._interpreters is not None:
            self._interpreters.lend(self._borrow)
        elif self._wanted.is_load:
            function, args, kwargs = self._wanted[:3]
            self._in_thread(
                lambda: function(*args, **kwargs),
                lambda module: self._end(functools.partial(Run.tell_result, result=module)),
            )
        elif self._wanted.function._target.channel.alive:
            self._call(self._wanted.function, self._wanted.args)
        else:
            self._in_thread(self._revived, self._call_taught)

    def cancel(self, grace: float | None) -> None:
        """Its end will be told soon."""
        self.is_cancelled = True
        if self._calling is not None:
            self._calling.cancel(grace)
        else:
            self.post_end(Run._tell_cancelled)

    def leave(self) -> None:
        """Nobody listens any more: cancels it, and tells nothing."""
        self._listener = None
        if not self.is_over:
            self.cancel(GRACE_S)

    @property
    def dropped(self) -> int:
        """Items that nobody saw."""
        return self._calling.dropped if isinstance(self._calling, _Items) else self._dropped

    # ---------------------------------------------------------------------------------- preparing

    def _borrow(self, interpreter: Interpreter) -> None:
        """From any thread."""
        self._lent = interpreter
        if self.is_over:  # cancelled while it waited in line
            self._give_back()
            return
        self._in_thread(lambda: interpreter.taught(self._wanted.function), self._call_taught)

    def _revived(self) -> tuple[Function, None]:
        """The function of a worker that is being replaced: that is waited for in a thread."""
        function = self._wanted.function
        channel = function._target.channel
        owner = None if channel.owner is None else channel.owner()
        if owner is not None:
            owner.revived(function._target, function._timeout)
        return function, None  # what is still wrong, the call will say

    def _call_taught(self, taught: tuple[Function, int | None]) -> None:
        function, key = taught
        self._call(function, self._wanted.args if key is None else (key, *self._wanted.args))

    def _in_thread(self, work: Callable[[], Any], then: Callable[[Any], object]) -> None:
        """What may block; then(its result), on the Job's thread."""

        def run() -> None:
            try:
                result = work()
            except BaseException as error:
                self._post(functools.partial(self._fail, error))
            else:
                self._post(lambda: then(result))

        try:
            threads.start(run, "ringbridge job")
        except RuntimeError as error:  # the interpreter ends
            self._post(functools.partial(self._fail, error))

    def _fail(self, error: BaseException) -> None:
        """Of what was prepared."""
        self._give_back()
        self._end(lambda run: run._tell_error(error))

    def _give_back(self) -> None:
        lent, self._lent = self._lent, None
        if lent is not None and self._interpreters is not None:
            self._interpreters.give_back(lent)

    # ------------------------------------------------------------------------------------ calling

    def _call(self, function: Function, args: tuple[Any, ...]) -> None:
        if self.is_over:  # cancelled meanwhile
            self._give_back()
            return
        make = _Items if self._wanted.streams else _Result
        try:
            self._calling = make(self, function, args, self._wanted.kwargs)
        except Busy:  # there is no room for its arguments now
            self.loop.call_later(_AGAIN_S, lambda: self._call(function, args))
        except Exception as error:
            self.post_end(functools.partial(Run._tell_error, error=error))
        else:
            self._post(self._look)

    def _look(self) -> None:
        """Until the worker has begun it, which no event tells."""
        if self.is_over or self._has_begun or self._calling is None:
            return
        if self._calling.has_begun:
            self.note_begin()
        else:
            self.loop.call_later(_AGAIN_S, self._look)

    def note_begin(self) -> None:
        """Its code runs, or has run."""
        if not self._has_begun:
            self._has_begun = True
            if self._listener is not None:
                self._listener.on_started()

    def on_progress(self, progress: Progress) -> None:
        """What the code says."""
        if self._listener is not None:
            self._listener.on_progress(progress)

    def on_log(self, record: tuple[int, str | None, str]) -> None:
        """What it logs: (level, logger, text)."""
        if self._listener is not None:
            self._listener.on_log(record[0], record[2])

    def on_item(self, item: Any) -> None:
        """What it yields."""
        if self._listener is not None and not self.is_cancelled:
            self._listener.on_item(item)

    # ------------------------------------------------------------------------------------- ending

    def post_end(self, tell: Callable[[Run], object]) -> None:
        """From any thread; the first one counts."""
        self._post(lambda: self._end(tell))

    def _post(self, function: Callable[[], object]) -> None:
        try:
            self.loop.call_soon_threadsafe(function)
        except RuntimeError:  # the application has ended
            self._give_back()

    def _end(self, tell: Callable[[Run], object]) -> None:
        if self.is_over:
            return
        self.is_over = True
        if self._calling is not None or not self.is_cancelled:
            self._give_back()  # else a thread still prepares it
        self._dropped = self.dropped
        self._calling = None
        tell(self)
        self._listener = None

    def _tell_cancelled(self) -> None:
        if self._listener is not None:
            self._listener.on_cancelled()

    def _tell_error(self, error: BaseException) -> None:
        if self._listener is not None:
            self._listener.on_error(error)

    def tell_result(self, result: Any) -> None:
        """As the end."""
        if self._listener is not None:
            self._listener.on_result(result)


class _Result(Task):
    """A call whose result is told."""

    def __init__(
        self, run: Run, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        super().__init__(function)
        self._run = run
        self.on_progress(run.on_progress)
        self._start(args, kwargs, run.loop)
        self.add_done_callback(self._tell)

    @property
    def has_begun(self) -> bool:
        call = self._call
        return call is not None and call.begun

    def _event(self, call: Call, kind: int, payload: Any) -> None:
        if call.begun:
            self._run.note_begin()
        if kind == readers.LOG:
            self._run.on_log(payload)
        super()._event(call, kind, payload)

    def _tell(self, _task: object) -> None:
        """On whatever thread has ended it."""
        if self.cancelled():
            self._run.post_end(Run._tell_cancelled)
            return
        error = self.exception()
        if error is not None:
            self._run.post_end(functools.partial(Run._tell_error, error=error))
        else:
            self._run.post_end(functools.partial(Run.tell_result, result=self.result()))


class _Items:
    """A call of a generator, whose items are told: the owner of its events."""

    def __init__(
        self, run: Run, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self._run = run
        self._title = function._title
        self._timeout = function._timeout
        self._callbacks = CallbackLine(function._callbacks_on)
        self._closing: Closing | None = None
        self._is_over = False
        _reader, self._call = start(function, args, kwargs, run.loop, self, CREDIT)
        self._due = 0.0
        if self._timeout is not None:
            self._due = time.monotonic() + self._timeout
            self._run.loop.call_later(self._timeout, self._look)

    @property
    def has_begun(self) -> bool:
        return self._call.begun

    @property
    def dropped(self) -> int:
        return self._call.dropped

    def _event(self, call: Call, kind: int, payload: Any) -> None:
        if call.begun:
            self._run.note_begin()
        credit = kind == readers.ITEM
        if kind == readers.NEWER:
            try:
                kind, payload = call.newest()
            except RingbridgeError as error:
                kind, payload = readers.ERROR, error
                give_up(call, GRACE_S)
        if kind in (readers.END, readers.ERROR):
            self._finish(payload)
        elif self._is_over:
            pass  # given up: nobody wants it
        elif kind == readers.ITEM:
            if self._timeout is not None:
                self._due = time.monotonic() + self._timeout
            self._run.on_item(payload)
            if credit:  # what is made ahead waits until the slots have seen this one
                call.credit(1, 0)
        elif kind == readers.PROGRESS:
            self._run.on_progress(progress_of(payload))
        elif kind == readers.CALLBACK:
            self._callbacks.run(call, self._run.loop, payload)
        else:
            if kind == readers.LOG:
                self._run.on_log(payload)
            answer_here(call, kind, payload)

    def _finish(self, error: BaseException | None) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._closing is not None:
            self._closing.__exit__()
        self._call.end()
        if isinstance(error, Cancelled) or (
            self._run.is_cancelled and isinstance(error, (WorkerDied, type(None)))
        ):
            self._run.post_end(Run._tell_cancelled)
        elif error is not None:
            self._run.post_end(functools.partial(Run._tell_error, error=error))
        else:
            self._run.post_end(functools.partial(Run.tell_result, result=None))

    def cancel(self, grace: float | None) -> None:
        if self._closing is not None:
            self._closing.__exit__()
        self._closing = Closing(self._call, grace)
        self._closing.__enter__()

    def _look(self) -> None:
        """Whether its next item is late."""
        if self._is_over or self._timeout is None:
            return
        left = self._due - time.monotonic()
        if left > 0:
            self._run.loop.call_later(left, self._look)
            return
        give_up(self._call, GRACE_S)
        text = f"{self._title} made no item within its timeout of {self._timeout:g} s"
        self._is_over = True
        self._run.post_end(functools.partial(Run._tell_error, error=CallTimeout(text)))
