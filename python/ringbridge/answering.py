# SPDX-License-Identifier: MIT
"""Runs in the host what code in a worker calls back, for calls that no thread waits for.

A blocking call and a `for` loop over a stream run their callbacks themselves, in the extension.
"""

from __future__ import annotations

import collections
import contextvars
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ringbridge import _core
from ringbridge._core import run_callback

#: In a coroutine that answers a callback: the channel, and the call that waits for it over there.
_answers: contextvars.ContextVar[tuple[_core.Channel, int] | None] = contextvars.ContextVar(
    "_answers", default=None
)


def parent_on(channel: _core.Channel) -> int:
    """The call within which this coroutine calls; 0: none, or the extension knows it."""
    answers = _answers.get()
    return answers[1] if answers is not None and answers[0] is channel else 0


_executor: ThreadPoolExecutor | None = None
_executor_lock = threading.Lock()


def _shared_executor() -> ThreadPoolExecutor:
    global _executor
    with _executor_lock:
        if _executor is None:
            _executor = ThreadPoolExecutor(32, thread_name_prefix="ringbridge callback")
        return _executor


def _forget() -> None:
    global _executor, _executor_lock
    _executor, _executor_lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)  # its threads are the parent's


class CallbackLine:
    """Runs the callbacks of one call, in their order, one after another.

    On the executor that was asked for; else on the loop's own thread, where the call was made on a
    loop; else on a thread of an executor of ours.
    """

    def __init__(self, executor: Any) -> None:
        self._executor = executor
        self._waiting: collections.deque[tuple[Any, ...]] = collections.deque()
        self._lock = threading.Lock()
        self._busy = False

    def run(self, call: _core.Call, loop: Any, payload: tuple[Any, ...]) -> None:
        if loop is not None and self._executor is None:
            _run_on_loop(call, loop, payload)
            return
        with self._lock:
            self._waiting.append((call.channel, call.id, *payload))
            if self._busy:
                return
            self._busy = True
        executor = self._executor if self._executor is not None else _shared_executor()
        try:
            executor.submit(self._run_all)
        except Exception as error:  # it takes nothing any more: the code over there hears why
            self._refuse_all(error)

    def _refuse_all(self, error: Exception) -> None:
        with self._lock:
            jobs = list(self._waiting)
            self._waiting.clear()
            self._busy = False
        for channel, call, request, *_asked in jobs:
            run_callback(channel, call, request, _raising, (error,), None)

    def _run_all(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._busy = False
                    return
                job = self._waiting.popleft()
            try:
                run_callback(*job)
            except BaseException:  # the channel has ended; or a sys.exit(), of no thread of ours
                continue


def _run_on_loop(call: _core.Call, loop: Any, payload: tuple[Any, ...]) -> None:
    import asyncio

    request, function, args, kwargs = payload
    if not asyncio.iscoroutinefunction(function):
        run_callback(call.channel, call.id, *payload)
        return

    async def run() -> None:
        _answers.set((call.channel, call.id))
        try:
            value = await function(*args, **(kwargs or {}))
        except BaseException as error:  # cancelled, too: the code over there waits for an answer
            run_callback(call.channel, call.id, request, _raising, (error,), None)
        else:
            run_callback(call.channel, call.id, request, _returning, (value,), None)

    call.channel.coroutines = True
    task = loop.create_task(run())
    _keep.add(task)
    task.add_done_callback(_keep.discard)


_keep: set[Any] = set()  # a loop holds its tasks only weakly


def _returning(value: Any) -> Any:
    return value


def _raising(error: BaseException) -> None:
    raise error
