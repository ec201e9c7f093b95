# SPDX-License-Identifier: MIT
"""The tasks that asyncslots make: how they run, and where their errors go."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from conftest import QtCore
from senders import Sender

from ringbridge.qt import QiBaseEventLoop, asyncslot, binding

Spin = Callable[..., None]


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """What sys.excepthook is given."""
    seen: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda _kind, error, _traceback: seen.append(error))
    return seen


async def nothing() -> None:
    pass


async def wants_one(_argument: int) -> None:
    pass


def test_without_a_loop_the_slot_says_so_and_the_program_goes_on(
    sender: Sender, reported: list[BaseException]
) -> None:
    sender.nothing.connect(asyncslot(nothing))
    sender.nothing.emit()
    (error,) = reported
    assert isinstance(error, RuntimeError)
    assert "using_asyncio_from_qt" in str(error)


def test_on_a_thread_without_a_loop_the_slot_says_what_would_help(
    loop: QiBaseEventLoop, reported: list[BaseException]
) -> None:
    thread = threading.Thread(target=asyncslot(nothing), name="foreign")
    thread.start()
    thread.join()
    (error,) = reported
    assert isinstance(error, RuntimeError)
    assert "foreign" in str(error)
    assert "method of a QObject" in str(error)


def test_a_loop_of_another_kind_is_named(reported: list[BaseException]) -> None:
    async def call() -> None:
        asyncslot(nothing)()

    other = asyncio.SelectorEventLoop()
    other.run_until_complete(call())
    other.close()
    (error,) = reported
    assert "new_event_loop" in str(error)


def test_too_few_arguments_and_no_coroutine_are_reported(
    loop: QiBaseEventLoop, sender: Sender, reported: list[BaseException]
) -> None:
    sender.nothing.connect(asyncslot(wants_one))
    slot = asyncslot(lambda: 7)  # type: ignore[arg-type,return-value]
    sender.nothing.connect(slot)
    sender.nothing.emit()
    assert [type(error) for error in reported] == [TypeError, TypeError]


@pytest.mark.parametrize("first_step", [True, False])
def test_what_a_slot_s_coroutine_raises_goes_to_the_exception_handler(
    loop: QiBaseEventLoop, sender: Sender, spin: Spin, first_step: bool
) -> None:
    async def fails() -> None:
        if not first_step:
            await asyncio.sleep(0)
        raise ValueError("of the slot")

    contexts: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _loop, context: contexts.append(context))
    sender.nothing.connect(asyncslot(fails))
    sender.nothing.emit()
    spin(lambda: contexts)
    gc.collect()
    (context,) = contexts
    assert "of the slot" in str(context["exception"])
    assert "asyncslot" in context["message"]


@pytest.mark.parametrize("first_step", [True, False])
def test_what_is_awaited_is_not_reported_too(loop: QiBaseEventLoop, first_step: bool) -> None:
    async def fails() -> None:
        if not first_step:
            await asyncio.sleep(0)
        raise ValueError

    async def main() -> None:
        with pytest.raises(ValueError):
            await asyncslot(fails)()  # type: ignore[misc]
        await asyncio.sleep(0.01)
        app.quit()

    contexts: list[Any] = []
    loop.set_exception_handler(lambda _loop, context: contexts.append(context))
    app = QtCore.QCoreApplication.instance()
    task = loop.create_task(main())
    binding.run(app)
    task.result()
    assert contexts == []


def test_the_slot_gives_its_task(loop: QiBaseEventLoop, spin: Spin) -> None:
    async def add(a: int, b: int) -> int:
        await asyncio.sleep(0)
        return a + b

    task = asyncslot(add)(1, 2)
    assert isinstance(task, asyncio.Task)
    spin(task.done)
    assert task.result() == 3


def test_a_running_task_is_kept(loop: QiBaseEventLoop, spin: Spin) -> None:
    futures: list[Any] = []

    async def waits() -> None:
        future = asyncio.get_running_loop().create_future()
        futures.append(weakref.ref(future))
        await future

    asyncslot(waits)()
    gc.collect()
    futures[0]().set_result(None)
    spin(lambda: futures[0]() is None)


def test_a_slot_of_a_task_s_step_suspends_that_task(loop: QiBaseEventLoop, spin: Spin) -> None:
    sender = Sender()
    seen: list[Any] = []

    async def inner() -> None:
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())

    async def outer() -> None:
        before = asyncio.current_task()
        sender.nothing.emit()
        assert asyncio.current_task() is before
        assert seen[0] is not before
        await asyncio.sleep(0)
        assert asyncio.current_task() is before

    sender.nothing.connect(asyncslot(inner))
    task = loop.create_task(outer())
    spin(lambda: task.done() and len(seen) == 2)
    task.result()
    assert seen[0] is seen[1]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_eager_tasks_are_as_welcome(loop: QiBaseEventLoop, sender: Sender, spin: Spin) -> None:
    seen = []

    async def slot(number: int) -> None:
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())

    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
    sender.number.connect(asyncslot(slot))
    sender.number.emit(1)
    assert len(seen) == 1
    spin(lambda: len(seen) == 2)
    assert seen[0] is seen[1]
