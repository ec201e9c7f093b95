# SPDX-License-Identifier: MIT
"""What comes for a call before its answer: what code in a worker calls back, and what it logs.

a blocking call                       is none of ours: the extension sees to it
a thread that takes its call's events answer_here, on that thread
a call that no thread waits for       a CallbackLine
"""

from __future__ import annotations

import collections
import contextlib
import contextvars
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ringbridge import _core, readers
from ringbridge._core import run_callback
from ringbridge.errors import RingbridgeError

#: In a coroutine that answers a callback: the channel, and the call that waits for it over there.
_answers: contextvars.ContextVar[tuple[_core.Channel, int] | None] = contextvars.ContextVar(
    "_answers", default=None
)


def parent_on(channel: _core.Channel) -> int:
    """The call within which this coroutine calls; 0: none, or the extension knows it."""
    answers = _answers.get()
    return answers[1] if answers is not None and answers[0] is channel else 0


def answer_here(call: _core.Call, kind: int, payload: Any) -> None:
    """What came for this call, where the thread that waits for it answers by itself."""
    if kind == readers.CALLBACK:
        run_callback(call.channel, call.id, *payload)
    elif kind == readers.LOG:
        from ringbridge import output

        output.hear(call.channel.name, payload)


#: Threads are started as needed: each callback may wait for a call whose callback needs one.
_ANY_DEPTH = sys.maxsize
_executor: ThreadPoolExecutor | None = None
_executor_lock = threading.Lock()


def _shared_executor() -> ThreadPoolExecutor:
    global _executor
    with _executor_lock:
        if _executor is None:
            _executor = ThreadPoolExecutor(_ANY_DEPTH, "ringbridge callback")
        return _executor


def _forget() -> None:
    global _executor, _executor_lock
    _executor, _executor_lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)  # its threads are the parent's


class CallbackLine:
    """Runs the callbacks of one call, in their order, one after another.

    On the executor that was asked for; else on the loop's own thread, where the call was made on a
    loop; else on a thread of an executor of ours.

    at_await  they are run by who awaits on the loop: a stream's; else by who reads for the loop,
              which may be a thread that waits in result()
    """

    def __init__(self, executor: Any, at_await: bool = False) -> None:
        self._executor = executor
        self._at_await = at_await
        self._waiting: collections.deque[tuple[Any, ...]] = collections.deque()
        self._lock = threading.Lock()
        self._busy = False

    def run(self, call: _core.Call, loop: Any, payload: tuple[Any, ...]) -> None:
        if loop is not None and self._executor is None:
            _run_on_loop(call, loop, payload, self._at_await)
            return
        with self._lock:
            self._waiting.append((call.channel, call.id, *payload))
            if self._busy:
                return
            self._busy = True
        executor = self._executor if self._executor is not None else _shared_executor()
        try:
            future = executor.submit(self._run_all)
        except Exception as error:  # it takes nothing any more: the code over there hears why
            self._refuse_all(error)
        else:
            if hasattr(future, "add_done_callback"):
                future.add_done_callback(self._on_done)

    def _on_done(self, future: Any) -> None:
        if future.cancelled():
            self._refuse_all(
                RuntimeError("its executor cancelled this callback before it ran: is it shut down?")
            )

    def _refuse_all(self, error: Exception) -> None:
        with self._lock:
            refused = list(self._waiting)
            self._waiting.clear()
            self._busy = False
        for channel, call, request, *_what in refused:
            with contextlib.suppress(RingbridgeError):  # the channel has ended
                run_callback(channel, call, request, _raising, (error,), None)

    def _run_all(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._busy = False
                    return
                asked = self._waiting.popleft()
            try:
                run_callback(*asked)
            except BaseException:  # the channel has ended; or a sys.exit(), of no thread of ours
                continue


def _is_free(loop: Any) -> bool:
    """Whether it runs, and what was read now was read by itself: result() does within a task."""
    from asyncio import current_task

    return loop.is_running() and current_task(loop) is None


def _run_on_loop(call: _core.Call, loop: Any, payload: tuple[Any, ...], at_await: bool) -> None:
    import asyncio

    request, function, args, kwargs = payload
    if not asyncio.iscoroutinefunction(function):
        run_callback(call.channel, call.id, *payload)
        return
    if not (at_await or _is_free(loop)):
        error = RuntimeError(
            f"{getattr(function, '__name__', function)} is a coroutine function, and its event "
            "loop cannot run it: the loop's thread waits in result(), or the loop was stopped; "
            "await the task instead, or let the callback be a plain function"
        )
        run_callback(call.channel, call.id, request, _raising, (error,), None)
        return

    async def run() -> None:
        _answers.set((call.channel, call.id))
        try:
            value = await function(*args, **(kwargs or {}))
        except BaseException as error:  # cancelled, too: the code over there waits for an answer
            with contextlib.suppress(RingbridgeError):  # it was dropped, and the channel has ended
                run_callback(call.channel, call.id, request, _raising, (error,), None)
        else:
            run_callback(call.channel, call.id, request, _returning, (value,), None)

    call.channel.coroutines = True
    task = loop.create_task(run())
    kept = _kept_by(loop)
    kept.add(task)
    task.add_done_callback(kept.discard)


def _kept_by(loop: Any) -> set[Any]:
    """What a loop shall hold, since it holds its tasks only weakly; gone with it."""
    kept: set[Any] = vars(loop).setdefault("_ringbridge_callbacks", set())
    return kept


def _returning(value: Any) -> Any:
    return value


def _raising(error: BaseException) -> None:
    raise error
