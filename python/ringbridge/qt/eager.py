# SPDX-License-Identifier: MIT
"""run_task(): tasks whose first step runs at once, as a slot's first lines do.

A task begins with a call_soon() of its own first step. Here that call is caught on its way, and
made at once; nothing is looked for in the loop's queue, to which other threads add meanwhile.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

_Base: Any = asyncio.SelectorEventLoop  # of which we need more than its types tell


class EagerTasks(_Base):
    """The part of a loop on Qt that knows run_task(). Its call_soon() asks `_catch`."""

    _first: Coroutine[Any, Any, Any] | None = None  # whose task is being made to run now
    _first_step: asyncio.Handle | None = None

    def run_task(
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: Any = None,
        allow_task_nesting: bool = True,
    ) -> asyncio.Task[Any]:
        """Makes a task and runs its first step at once, before this returns.

        The rest runs as any task's. Within another task's step, that one is suspended meanwhile, so
        that current_task() is the new one; with allow_task_nesting=False that is a RuntimeError. On
        the loop's thread, while it runs. A task factory is used; one that makes tasks eager, too.
        """
        if asyncio._get_running_loop() is not self:
            coro.close()
            raise RuntimeError("run_task() is for the loop that runs, on its thread")
        outer = asyncio.current_task(self)
        if outer is None:
            return self._make_and_begin(coro, name, context)
        if not allow_task_nesting:
            coro.close()
            raise RuntimeError("run_task() was called in a task, and may not nest")
        asyncio.tasks._leave_task(self, outer)
        try:
            return self._make_and_begin(coro, name, context)
        finally:
            asyncio.tasks._enter_task(self, outer)

    def _make_and_begin(
        self, coro: Coroutine[Any, Any, Any], name: str | None, context: Any
    ) -> asyncio.Task[Any]:
        options = {} if context is None else {"context": context}  # known from 3.11 on
        self._first, self._first_step = coro, None
        try:
            task: asyncio.Task[Any] = self.create_task(coro, name=name, **options)
        finally:
            self._first = None
        step, self._first_step = self._first_step, None
        if step is not None:
            try:
                self._call_here(step._run)
            except BaseException:  # asyncio need not say that nobody took it
                task._log_traceback = False
                raise
        return task

    def _call_here(self, function: Callable[[], object]) -> None:
        """Calls it, from a callback or from Qt; for what must not get into a slot of Qt's."""
        raise NotImplementedError

    def _catch(
        self, callback: Callable[..., object], args: tuple[Any, ...], context: Any
    ) -> asyncio.Handle | None:
        """The handle, if this begins the task that is being made: nobody else is to call it."""
        if self._first is None or not _is_first_step(callback, self._first):
            return None
        self._first = None
        self._first_step = asyncio.Handle(callback, args, self, context)
        return self._first_step


def _is_first_step(callback: Any, coro: Coroutine[Any, Any, Any]) -> bool:
    """Whether this callback begins the task of that coroutine; an eager task has begun before."""
    task = getattr(callback, "__self__", None)
    return (
        isinstance(task, asyncio.Future)
        and getattr(task, "get_coro", lambda: None)() is coro
        and (
            not inspect.iscoroutine(coro) or inspect.getcoroutinestate(coro) == inspect.CORO_CREATED
        )
    )
