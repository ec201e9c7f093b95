# SPDX-License-Identifier: MIT
"""asyncsignal: one emission of a signal, awaited."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from conftest import QtCore, QtWidgets
from senders import Sender, connected, delete, passes, started

from ringbridge.qt import (
    asyncsignal,
    asyncsignalstream,
    binding,
    multisignal,
)

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def test_an_emission_s_arguments_are_a_tuple(sender: Sender, run: Run) -> None:
    async def main() -> None:
        for signal, args in (
            (sender.nothing, ()),
            (sender.number, (5,)),
            (sender.pair, (5, "five")),
        ):
            QtCore.QTimer.singleShot(0, lambda signal=signal, args=args: signal.emit(*args))
            assert await asyncsignal(signal) == args

    run(main())


def test_a_signal_with_a_default_argument_gives_what_the_binding_gives(run: Run) -> None:
    async def main() -> None:
        button = QtWidgets.QPushButton()
        seen: list[Any] = []
        button.clicked.connect(lambda *args: seen.append(args))
        QtCore.QTimer.singleShot(0, button.click)
        assert [await asyncsignal(button.clicked)] == seen

    run(main())


def test_it_is_connected_while_it_is_awaited_and_not_before(sender: Sender, run: Run) -> None:
    async def main() -> None:
        waits = asyncsignal(sender.number)
        assert connected(sender, "number(int)", sender.number) == 0
        task = await started(waits)
        assert connected(sender, "number(int)", sender.number) == 1
        sender.number.emit(1)
        sender.number.emit(2)
        assert await task == (1,)
        assert connected(sender, "number(int)", sender.number) == 0

    run(main())


def test_a_cancelled_wait_is_disconnected(sender: Sender, run: Run) -> None:
    async def main() -> None:
        task = await started(asyncsignal(sender.number))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert connected(sender, "number(int)", sender.number) == 0

    run(main())


@pytest.mark.parametrize("how", ["by Qt", "by Python"])
def test_a_sender_that_is_deleted_is_not_waited_for(run: Run, how: str) -> None:
    async def main() -> None:
        sender = Sender()
        task = await started(asyncsignal(sender.number))
        if how == "by Qt":
            delete(sender)
        del sender
        gc.collect()
        with pytest.raises(RuntimeError, match="was deleted"):
            await task

    run(main())


def test_a_sender_may_be_deleted_and_its_wait_cancelled_at_once(run: Run) -> None:
    # PyQt's signal holds the sender's bare address: to disconnect it crashed.
    async def main() -> None:
        for _ in range(20):
            sender = Sender()
            task = await started(asyncsignal(sender.number))
            delete(sender)
            del sender
            task.cancel()
            with pytest.raises((asyncio.CancelledError, RuntimeError)):
                await task

    run(main())


def test_the_end_of_an_object_can_be_awaited(run: Run) -> None:
    async def main() -> None:
        thing = QtCore.QObject()
        task = await started(asyncsignal(thing.destroyed))
        delete(thing)
        await task

    run(main())


@pytest.mark.parametrize("lives_there", [False, True])
def test_an_emission_on_another_thread_arrives(run: Run, lives_there: bool) -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_debug(True)  # it looks who calls it from where
        sender = Sender()
        thread = QtCore.QThread()
        if lives_there:
            sender.moveToThread(thread)
        thread.start()
        task = await started(asyncsignal(sender.number))
        emitter = threading.Thread(target=lambda: sender.number.emit(7))
        emitter.start()
        emitter.join()
        assert await task == (7,)
        thread.quit()
        thread.wait()

    run(main())


def test_a_qthread_is_awaited(run: Run) -> None:
    class Thread(QtCore.QThread):
        done = binding.Signal(object)

        def run(self) -> None:
            self.done.emit({"on": threading.get_ident()})

    async def main() -> None:
        thread = Thread()
        task = await started(asyncsignal(thread.done))
        finished = await started(asyncsignal(thread.finished))
        thread.start()
        (value,) = await task
        assert value["on"] != threading.get_ident()
        assert await finished == ()
        thread.wait()

    run(main())


def test_a_thousand_waits_leave_nothing(sender: Sender, run: Run) -> None:
    async def main() -> None:
        alive: list[weakref.ref[Any]] = []
        for number in range(1000):
            task = await started(asyncsignal(sender.number))
            alive.append(weakref.ref(task))
            if number % 2:
                sender.number.emit(number)
                assert await task == (number,)
            else:
                task.cancel()
                await asyncio.wait([task])
            del task
        assert connected(sender, "number(int)", sender.number) == 0
        await passes()
        gc.collect()
        assert not any(each() for each in alive)
        assert not sender.children()

    def takers() -> int:
        gc.collect()
        return sum(type(each).__name__ == "_Taker" for each in gc.get_objects())

    run(main())
    assert takers() == 0


def test_no_wait_keeps_the_sender_alive(run: Run) -> None:
    async def main() -> None:
        sender = Sender()
        gone = weakref.ref(sender)
        task = await started(asyncsignal(sender.number))
        stream = asyncsignalstream(sender.number)
        del sender
        gc.collect()
        assert gone() is None
        with pytest.raises(RuntimeError):
            await task
        assert [args async for args in stream] == []

    run(main())


def test_values_of_qt_may_be_used_after_the_emission(run: Run) -> None:
    # PyQt gave references to what C++ frees when the slot returns.
    async def main() -> None:
        view = QtWidgets.QTableWidget(3, 1)
        QtCore.QTimer.singleShot(0, lambda: view.selectRow(1))
        now, _before = await asyncsignal(view.selectionModel().selectionChanged)
        view.selectRow(2)
        await passes()
        assert [index.row() for index in now.indexes()] == [1]

    run(main())


def test_whatever_connects_is_a_signal(run: Run) -> None:
    class Ours:
        def __init__(self) -> None:
            self.slots: list[Any] = []

        def connect(self, slot: Any) -> None:
            self.slots.append(slot)

        def disconnect(self, slot: Any) -> None:
            self.slots.remove(slot)

    async def main() -> None:
        ours = Ours()
        task = await started(asyncsignal(ours))
        ours.slots[0]("given")
        assert await task == ("given",)
        assert not ours.slots
        with pytest.raises(AttributeError):
            await asyncsignal(7)
        with pytest.raises(AttributeError):
            await asyncsignal(multisignal({ours: 1, 7: 2}))
        assert not ours.slots

    run(main())
