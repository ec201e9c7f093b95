# SPDX-License-Identifier: MIT
"""Task: a call that nobody has to wait for.

A concurrent.futures.Future, awaitable in any asyncio loop, whose cancel() reaches the code that
runs. Made by `remote_function.submit(...)`. How its events get here stands in readers.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError, Future, InvalidStateError
from concurrent.futures._base import CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED
from typing import TYPE_CHECKING, Any, NamedTuple

from ringbridge import _core, readers, timers
from ringbridge.answering import CallbackLine, parent_on
from ringbridge.errors import CallTimeout, Cancelled, ProtocolError, WorkerDied
from ringbridge.event_loop import running_loop
from ringbridge.giving_up import give_up
from ringbridge.timers import GRACE_S

if TYPE_CHECKING:
    from ringbridge.stream import Stream

_DONE = frozenset({CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED})


class Progress(NamedTuple):
    """How far a call has come, in its own words.

    fraction  0 to 1; None: not known
    done      how many of total; None: not said
    total     None: not known
    text      what it does now; may be empty
    """

    fraction: float | None
    done: int | None
    total: int | None
    text: str


def progress_of(payload: tuple[float, int, int, str | None]) -> Progress:
    """What a Progress frame says."""
    fraction, done, total, text = payload
    if total:
        fraction = min(done / total, 1.0)  # exactly; what travels is a float of 32 bits
    known = 0.0 <= fraction <= 1.0
    said = done if done or total or not known else None
    return Progress(fraction if known else None, said, total or None, text or "")


def submit(function: _core.Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Task:
    """What `function.submit(*args, **kwargs)` does."""
    task = Task(function)
    task._start(args, kwargs, running_loop())
    return task


def stream(function: _core.Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Stream:
    """What `function.stream(*args, **kwargs)` does."""
    from ringbridge.stream import Stream

    return Stream(function, args, kwargs)


def start(
    function: _core.Function,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    loop: Any,
    owner: object,
    credit: int = 0,
) -> tuple[readers.Reader, _core.Call]:
    """Starts a call into the inbox of who reads on this thread."""
    while True:
        channel = function._target.channel
        reader = readers.reader_for(channel, loop)
        try:
            call = function.start(
                args,
                kwargs,
                inbox=reader.inbox,
                may_wait=reader.may_wait,
                owner=owner,
                credit=credit,
                parent=parent_on(channel),
            )
        except LookupError:  # the worker was replaced since
            continue
        try:
            reader.expect()
        except BaseException:  # no thread can be started: nobody would read
            call.cancel(False)
            call.end()
            raise
        return reader, call


class Task(Future[Any]):
    """A call under way in a worker.

    Everything a concurrent.futures.Future has; `await task` gives the result in an asyncio loop. It
    is "running" from the moment when the worker begins it. Callbacks (add_done_callback,
    on_progress) run on the thread that reads for the task: the event loop's where it was submitted
    on one, else a background thread. What ends it from here, a cancel or a deadline, runs its done
    callbacks where it does so.
    """

    # What most tasks never set stays with the class: many thousands are made in a second.
    _call: _core.Call | None = None
    _callbacks: CallbackLine | None = None
    _awaiting: tuple[Any, ...] = ()  # futures of self._loop
    _listeners: tuple[Callable[[Progress], object], ...] = ()
    _progress: Progress | None = None
    _deadline: readers.Cancellable | None = None
    _due: float | None = None  # of time.monotonic
    _cause: BaseException | None = None  # of its being cancelled
    _asked = False

    def __init__(self, function: _core.Function) -> None:
        super().__init__()
        self._function = function

    def _start(self, args: tuple[Any, ...], kwargs: dict[str, Any], loop: Any) -> None:
        """loop: what reads for it; of asyncio, or what stands in for one. None: a thread."""
        function = self._function
        self._loop = loop
        if function._timeout is not None:
            self._due = time.monotonic() + function._timeout
        self._reader, self._call = start(function, args, kwargs, loop, self)
        if self._due is not None and not self.done():
            left = max(self._due - time.monotonic(), 0.0)
            self._deadline = self._reader.after(left, self._on_deadline)
        if self.done():  # and the reader was here before there was anything to let go of
            self._wake_up()

    # ------------------------------------------------------------------------------------- events

    def _event(self, call: _core.Call, kind: int, payload: Any) -> None:
        """Called by who reads, perhaps before start() has returned; not for users."""
        if kind == readers.RESULT:
            if self._deadline is None and not self.done():
                try:  # no `with`: this is where thousands of results a second come
                    self.set_result(payload)
                except InvalidStateError:  # cancelled at this moment
                    pass
                finally:  # a done callback may call sys.exit()
                    self._wake_up()
            else:
                self._finish(lambda: self.set_result(payload))
        elif kind == readers.ERROR:
            self._fail(payload)
        elif kind == readers.END:
            self._fail(payload or ProtocolError("a stream has ended where a result was due"))
        elif kind == readers.PROGRESS:
            self._on_progress(progress_of(payload))
        elif kind == readers.CALLBACK:
            self._run_callback(call, payload)
        elif kind == readers.LOG:
            from ringbridge import output

            output.hear(call.channel.name, payload)

    def _run_callback(self, call: _core.Call, payload: tuple[Any, ...]) -> None:
        if self._callbacks is None:
            self._callbacks = CallbackLine(self._function._callbacks_on)
        self._callbacks.run(call, self._loop, payload)

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, Cancelled) or (self._asked and isinstance(error, WorkerDied)):
            self._cause = error
            self._finish(self._become_cancelled)
        else:
            self._finish(lambda: self.set_exception(error))

    def _become_cancelled(self) -> None:
        """Both steps of Future at once: cancelled, and wait() and as_completed() told."""
        with self._condition:
            if self._state in _DONE:
                return
            self._state = CANCELLED_AND_NOTIFIED
            for waiter in self._waiters:
                waiter.add_cancelled(self)
            self._condition.notify_all()
        self._invoke_callbacks()  # type: ignore[attr-defined]

    def _finish(self, settle: Callable[[], object]) -> None:
        """The one end of a task; whatever comes later is too late. From any thread."""
        try:
            with contextlib.suppress(InvalidStateError):
                if not self.done():
                    settle()
        finally:
            self._wake_up()

    def _wake_up(self) -> None:
        self._call = None  # which knows us: what nobody holds any more shall go at once
        deadline, self._deadline = self._deadline, None
        awaiting, self._awaiting = self._awaiting, ()
        if deadline is None and not awaiting:
            return
        here = self._loop is None or running_loop() is self._loop
        if deadline is not None:
            if here:
                deadline.cancel()
            else:
                _call_soon(self._loop, deadline.cancel)
        for future in awaiting:
            if here:
                _set(future)
            else:
                _call_soon(self._loop, _set, future)

    def _on_deadline(self) -> None:
        if self.done():
            return
        timeout = self._function._timeout
        text = f"{self._function._title} did not finish within its timeout of {timeout:g} s"
        call = self._call
        self._finish(lambda: self.set_exception(CallTimeout(text)))
        if call is not None:
            give_up(call, GRACE_S)

    # ----------------------------------------------------------------------------------- progress

    @property
    def progress(self) -> Progress | None:
        """The newest word of the code over there; None: it has said nothing."""
        return self._progress

    def on_progress(self, function: Callable[[Progress], object]) -> Callable[[Progress], object]:
        """Calls it with each new Progress, on the thread that reads for this task.

        Where there is one already, it is called with that at once, on this thread. Gives the
        function back, so that it can be used as a decorator. What it raises is logged.
        """
        with self._condition:
            self._listeners = (*self._listeners, function)
        if self._progress is not None:
            _tell(function, self._progress)
        return function

    def _on_progress(self, progress: Progress) -> None:
        self._progress = progress
        for function in self._listeners:
            _tell(function, progress)

    # ------------------------------------------------------------------------------------- cancel

    def cancel(self, grace: float | None = GRACE_S) -> bool:
        """Ends the call, in three steps; False when it has ended already.

        At once it is asked to: check_cancelled() and progress() raise Cancelled over there. After
        a quarter of `grace` seconds the code is interrupted (time.sleep, Python code), and the
        worker stays as it is. After `grace` seconds a worker that still runs it is killed and
        replaced; with grace=None never. A call that has not begun is cancelled at once, and never
        does, unless in the moment that the word takes to get there. One that runs is not done until
        it has ended over there, and may still finish with its result. Calling it again takes the
        steps again: with a shorter grace, sooner.
        """
        timers.checked_grace(grace)
        call = self._call
        if self.done() or call is None:
            return self.cancelled()
        self._asked = True
        begun = call.begun  # one that begins since is interrupted at its begin
        if give_up(call, grace) or not begun:
            self._finish(self._become_cancelled)
        return True

    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self._state in _DONE  # one read: what the class below takes its lock for, too

    def running(self) -> bool:
        """Whether the worker runs it now."""
        call = self._call
        return not self.done() and call is not None and call.running

    # ------------------------------------------------------------------------------------ waiting

    def result(self, timeout: float | None = None) -> Any:
        """Waits for the result. Raises what the call raised, Cancelled, or TimeoutError."""
        left = self._wait(timeout)
        try:
            return super().result(left)
        except CancelledError:
            raise self._cancelled() from self._cause

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Waits, and gives what the call raised, or None. Raises Cancelled, or TimeoutError."""
        left = self._wait(timeout)
        try:
            return super().exception(left)
        except CancelledError:
            raise self._cancelled() from self._cause

    def _wait(self, timeout: float | None) -> float | None:
        """Reads where nobody else does. What is left of the timeout then."""
        if self.done():
            return timeout
        until = None if timeout is None else time.monotonic() + timeout
        due = self._due
        if due is not None and (until is None or due < until):
            # A loop's own timers do not run while its thread waits here.
            self._reader.drive(self, max(due - time.monotonic(), 0.0))
            if time.monotonic() >= due:
                self._on_deadline()
        left = None if until is None else max(until - time.monotonic(), 0.0)
        self._reader.drive(self, left)
        return None if until is None else max(until - time.monotonic(), 0.0)

    def _sleep(self, seconds: float) -> None:
        with self._condition:
            if not self.done():
                self._condition.wait(seconds)

    def _cancelled(self) -> Cancelled:
        return Cancelled(f"{self._function._title} was cancelled")

    def __await__(self) -> Generator[Any, None, Any]:
        if not self.done():
            loop = running_loop()
            if loop is None:
                raise RuntimeError(
                    "a task is awaited in an asyncio loop; in another one, wait for its result() "
                    "in a thread"
                )
            future = loop.create_future()
            if loop is self._loop:
                self._awaiting = (*self._awaiting, future)
                if self.done():  # since, on another thread, which may not have seen the future
                    _set(future)
            else:
                self.add_done_callback(lambda _task: _call_soon(loop, _set, future))
            try:
                yield from future
            except BaseException as error:
                from asyncio import CancelledError as Unwanted

                if isinstance(error, Unwanted):
                    self.cancel()
                raise
        return self.result()

    __iter__ = __await__  # for what awaits in the old way

    def __repr__(self) -> str:
        state = "running" if self.running() else self._state.lower().replace("_and_notified", "")
        return f"<ringbridge.Task {self._function._title} {state}>"


def _set(future: Any) -> None:
    if not future.done():
        future.set_result(None)


def _call_soon(loop: Any, function: Callable[..., object], *args: Any) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits there
        loop.call_soon_threadsafe(function, *args)


def _tell(function: Callable[[Progress], object], progress: Progress) -> None:
    try:
        function(progress)
    except Exception:
        import logging

        logging.getLogger("ringbridge").exception("a progress callback failed")
