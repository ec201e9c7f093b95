# SPDX-License-Identifier: MIT
"""asyncslot: a coroutine function as a slot. And modal: Qt's own dialogs, awaited."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
import threading
import types
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from ringbridge.qt import binding
from ringbridge.qt.loop import QiBaseEventLoop, QiLoopMode

_ANY = 1 << 30  # arguments


def run_task(coro: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
    """run_task() of the loop that runs here: makes a task, and runs its first step at once."""
    return _loop_here(coro).run_task(coro, **options)


def _loop_here(coro: Coroutine[Any, Any, Any]) -> QiBaseEventLoop:
    loop = asyncio._get_running_loop()
    if isinstance(loop, QiBaseEventLoop):
        return loop
    if inspect.iscoroutine(coro):
        coro.close()
    title = getattr(coro, "__qualname__", "a coroutine")
    if loop is not None:
        raise RuntimeError(
            f"{title}: the event loop that runs here, a {type(loop).__name__}, is not compatible: "
            "make it with ringbridge.qt.new_event_loop"
        )
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            f"{title}: no event loop runs on this thread, {threading.current_thread().name}. To be "
            "called on another one's, a slot has to be a method of a QObject that lives there"
        )
    raise RuntimeError(
        f"{title}: no event loop runs: enclose app.exec() in `with using_asyncio_from_qt():`"
    )


def asyncslot(
    fn: Callable[..., Coroutine[Any, Any, Any]],
    *,
    task_runner: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]] = run_task,
) -> Callable[..., asyncio.Task[Any] | None]:
    """A slot that runs the coroutine function in a task; its first step at once, in the slot.

    Takes as many of the signal's arguments as fn does. Use it as a decorator, of methods too, or
    where the connection is made. A bound method gives a bound method: the connection does not keep
    the receiver alive, and asyncslot(self.method) can be disconnected by the same words. An asyncio
    loop on Qt has to run on the thread where it is called.

    Called, it gives the task, and raises nothing: bindings end the process for what a slot raises.
    What keeps the task from being made goes to sys.excepthook; what the coroutine raises, unless
    somebody awaits the task, to the loop's exception handler (default: logged); its SystemExit or
    KeyboardInterrupt ends the loop, and is raised where that was started.

    task_runner  makes the task of the coroutine; default: run_task
    """
    if isinstance(fn, (staticmethod, classmethod)):
        return type(fn)(asyncslot(fn.__func__, task_runner=task_runner))
    if isinstance(fn, types.MethodType):
        return _of_method(fn, task_runner)
    return _function(fn, task_runner, False)


def _function(fn: Callable[..., Any], task_runner: Any, is_method: bool) -> Callable[..., Any]:
    """is_method: of a receiver, which Qt may have deleted: PySide calls it then as before."""
    if isinstance(fn, type) or not callable(fn):
        raise TypeError(
            f"asyncslot() takes a coroutine function, not {fn!r}: write `@asyncslot`, without the "
            "types of arguments"
        )
    most = _arguments_most(fn)

    def run(*args: Any) -> asyncio.Task[Any] | None:
        if is_method and not binding.is_alive(args[0]):
            return None
        try:
            coro = fn(*binding.copied(args[:most]))
            if not inspect.isawaitable(coro):
                raise TypeError(f"{fn!r}, of an asyncslot, gave {coro!r}: is it no `async def`?")
            task: asyncio.Task[Any] = task_runner(coro)
        except BaseException as error:
            _report_at_once(error)
            return None
        if task.done():
            _done(task)
        else:
            _running.add(task)
            task.add_done_callback(_done)
        return task

    slot = functools.update_wrapper(binding.counted(run, most), fn)
    del slot.__wrapped__  # what Qt's bindings look at: they would see the coroutine function's own
    return slot


def _of_method(method: types.MethodType, task_runner: Any) -> types.MethodType:
    """The slots of equal methods are equal: they have the same function."""
    function = method.__func__
    kept = getattr(function, "__dict__", None)
    if kept is None or task_runner is not run_task:
        slot = _function(function, task_runner, True)
        binding.keep_with(method.__self__, slot)
    else:
        slot = kept.get(_SLOT)
        if slot is None:
            slot = kept[_SLOT] = _function(function, run_task, True)
            binding.make_known(slot, method)
    return types.MethodType(slot, method.__self__)


_SLOT = "_ringbridge_asyncslot"

#: asyncio itself knows its tasks only weakly.
_running: set[asyncio.Task[Any]] = set()


def _report_at_once(error: BaseException) -> None:
    """Of what a slot must not raise."""
    if isinstance(error, (SystemExit, KeyboardInterrupt)):
        loop = asyncio._get_running_loop()
        if not isinstance(loop, QiBaseEventLoop):
            raise error
        loop._break_off(error)
    else:
        sys.excepthook(type(error), error, error.__traceback__)


def _done(task: Any) -> None:
    _running.discard(task)
    if task._log_traceback:  # it has failed
        # By then those who await it have run.
        task.get_loop().call_soon(_report, task)


def _report(task: Any) -> None:
    if not task._log_traceback:
        return  # somebody has taken the exception
    error = task.exception()
    if isinstance(error, (SystemExit, KeyboardInterrupt)):
        return  # raised where the loop was started
    task.get_loop().call_exception_handler(
        {
            "message": f"{task.get_name()}, of an asyncslot, failed",
            "exception": error,
            "task": task,
        }
    )


def _arguments_most(fn: Callable[..., Any]) -> int:
    """How many positional arguments it can take. TypeError: it has to be given others."""
    count = 0
    try:
        parameters = inspect.signature(fn).parameters.values()
    except ValueError:  # of C: no signature
        return _ANY
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            count = _ANY
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            count += 1
        elif parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
            raise TypeError(
                f"a signal cannot give {fn!r} its keyword-only argument {parameter.name}: give it "
                "a default"
            )
    return count


def modal(fn: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """An awaitable form of a function that runs a Qt loop of its own: QMessageBox.question, exec().

    `answer = await modal(QMessageBox.question)(window, "Title", "Save?")`: called from Qt, not from
    a callback of asyncio, so that asyncio goes on while the dialog is open; also in the first step
    of an asyncslot. A cancel of who awaits does not close the dialog.
    """

    @functools.wraps(fn)
    async def call(*args: Any, **kwargs: Any) -> Any:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, QiBaseEventLoop):
            raise RuntimeError(f"modal() needs a loop that runs on Qt, not a {type(loop).__name__}")
        if loop.mode is QiLoopMode.NATIVE:
            raise RuntimeError("modal() needs Qt, which does not run in native mode")
        future: asyncio.Future[Any] = loop.create_future()

        def run() -> None:
            if future.cancelled():
                return
            try:
                result = fn(*args, **kwargs)
            except Exception as error:
                if future.cancelled():
                    raise
                future.set_exception(error)
            else:
                if not future.cancelled():
                    future.set_result(result)

        loop.exec_modal(run)
        return await future

    return call
