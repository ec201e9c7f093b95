# SPDX-License-Identifier: MIT
"""asyncsignalstream and multisignal: all emissions of a signal, and several signals as one."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from conftest import BINDING, QtCore
from senders import Sender, connected, delete, passes, started

from ringbridge.qt import (
    asyncsignal,
    asyncsignalstream,
    asyncslot,
    multisignal,
)

Run = Callable[[Coroutine[Any, Any, Any]], Any]


# ------------------------------------------------------------------------------ asyncsignalstream


def test_a_stream_gives_every_emission_since_it_was_made(sender: Sender, run: Run) -> None:
    async def main() -> None:
        async with asyncsignalstream(sender.pair) as stream:
            sender.pair.emit(1, "a")
            sender.pair.emit(2, "b")
            QtCore.QTimer.singleShot(0, lambda: sender.pair.emit(3, "c"))
            seen = []
            async for args in stream:
                seen.append(args)
                if len(seen) == 3:
                    break
        assert seen == [(1, "a"), (2, "b"), (3, "c")]
        assert connected(sender, "pair(int,QString)", sender.pair) == 0
        with pytest.raises(StopAsyncIteration):
            await stream.__anext__()

    run(main())


def test_a_stream_that_is_let_go_of_is_disconnected(sender: Sender, run: Run) -> None:
    async def main() -> None:
        sender_emits = QtCore.QTimer()
        sender_emits.timeout.connect(lambda: sender.number.emit(1))
        sender_emits.start(1)
        async for _ in asyncsignalstream(sender.number):
            break
        gc.collect()
        assert connected(sender, "number(int)", sender.number) == 0

    run(main())


def test_a_stream_drops_the_oldest_counts_them_and_says_so_once(
    sender: Sender, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with asyncsignalstream(sender.number, maxsize=3) as stream:
            for number in range(3):
                sender.number.emit(number)
            assert stream.dropped == 0
            for number in range(3, 8):
                sender.number.emit(number)
            assert stream.dropped == 5
            assert [(await stream.__anext__())[0] for _ in range(3)] == [5, 6, 7]

    with caplog.at_level(logging.WARNING, "ringbridge.qt"):
        run(main())
    (record,) = caplog.records
    assert record.name == "ringbridge.qt"
    assert "3 emissions wait" in record.getMessage()
    if BINDING != "PySide2":  # whose signals do not tell their names
        assert "number" in record.getMessage()


def test_a_stream_without_a_bound_drops_nothing(sender: Sender, run: Run) -> None:
    async def main() -> None:
        stream = asyncsignalstream(sender.number, maxsize=0)
        for number in range(10_500):
            sender.number.emit(number)
        for number in range(10_500):
            assert await stream.__anext__() == (number,)
        assert stream.dropped == 0
        await stream.aclose()

    run(main())


def test_a_stream_ends_with_its_sender(run: Run) -> None:
    async def main() -> None:
        sender = Sender()
        stream = asyncsignalstream(sender.number)
        sender.number.emit(1)
        QtCore.QTimer.singleShot(5, sender.deleteLater)
        assert [args async for args in stream] == [(1,)]

    run(main())


def test_close_ends_the_iteration_of_another_task(sender: Sender, run: Run) -> None:
    async def main() -> None:
        stream = asyncsignalstream(sender.number)

        async def collect() -> list[Any]:
            return [args async for args in stream]

        task = await started(collect())
        with pytest.raises(RuntimeError, match="another task"):
            await stream.__anext__()
        stream.close()
        stream.close()
        assert await task == []

    run(main())


def test_a_stream_takes_from_other_threads(sender: Sender, run: Run) -> None:
    async def main() -> None:
        def emit() -> None:
            for number in range(100):
                sender.number.emit(number)

        async with asyncsignalstream(sender.number) as stream:
            thread = threading.Thread(target=emit)
            thread.start()
            assert [(await stream.__anext__())[0] for _ in range(100)] == list(range(100))
            thread.join()

    run(main())


# ----------------------------------------------------------------------------------- multisignal


def test_a_multisignal_gives_the_value_and_the_arguments(sender: Sender, run: Run) -> None:
    async def main() -> None:
        both = multisignal({sender.number: "number", sender.pair: "pair"})
        task = await started(asyncsignal(both))
        sender.pair.emit(1, "one")
        assert await task == ("pair", (1, "one"))
        assert connected(sender, "number(int)", sender.number) == 0
        outer = multisignal({both: "both", sender.nothing: "nothing"})
        async with asyncsignalstream(outer) as stream:
            sender.number.emit(4)
            sender.nothing.emit()
            assert await stream.__anext__() == ("both", ("number", (4,)))
            assert await stream.__anext__() == ("nothing", ())

    run(main())


def test_a_multisignal_waits_until_its_last_sender_is_gone(run: Run) -> None:
    async def main() -> None:
        first, second = Sender(), Sender()
        both = multisignal({first.number: 1, second.number: 2})
        task = await started(asyncsignal(both))
        delete(first)
        await passes()
        assert not task.done()
        delete(second)
        with pytest.raises(RuntimeError, match="was deleted"):
            await task

    run(main())


class Receiver(QtCore.QObject):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def plain(self, tag: Any, args: tuple[Any, ...]) -> None:
        self.seen.append((tag, args, threading.get_ident()))

    @asyncslot
    async def coroutine(self, tag: Any, args: tuple[Any, ...]) -> None:
        self.seen.append((tag, args, threading.get_ident()))


@pytest.mark.parametrize("lives_there", [False, True])
def test_a_multisignal_connects_functions_methods_and_asyncslots(
    sender: Sender, run: Run, lives_there: bool
) -> None:
    async def main() -> None:
        both = multisignal({sender.number: "number", sender.pair: "pair"})
        receiver = Receiver()
        both.connect(lambda tag, args: receiver.seen.append((tag, args, threading.get_ident())))
        both.connect(receiver.plain)
        both.connect(receiver.coroutine)
        gc.collect()
        sender.number.emit(3)
        here = threading.get_ident()
        assert receiver.seen == [("number", (3,), here)] * 3
        receiver.seen.clear()
        qt_thread = QtCore.QThread()
        if lives_there:
            sender.moveToThread(qt_thread)
        qt_thread.start()
        thread = threading.Thread(target=lambda: sender.pair.emit(1, "x"))
        thread.start()
        thread.join()
        while len(receiver.seen) < 3:
            await asyncio.sleep(0.001)
        assert receiver.seen == [("pair", (1, "x"), here)] * 3
        qt_thread.quit()
        qt_thread.wait()

    run(main())


@pytest.mark.parametrize("how", ["by Qt", "by Python"])
def test_a_multisignal_does_not_keep_a_receiver_alive(sender: Sender, how: str) -> None:
    receiver = Receiver()
    seen = receiver.seen
    multisignal({sender.number: 1}).connect(receiver.plain)
    gone = weakref.ref(receiver)
    if how == "by Qt":
        delete(receiver)
    else:
        del receiver
        gc.collect()
        assert gone() is None
    sender.number.emit(1)
    assert seen == []


def test_a_multisignal_calls_a_method_where_its_object_lives(sender: Sender, run: Run) -> None:
    async def main() -> None:
        receiver = Receiver()
        thread = QtCore.QThread()
        receiver.moveToThread(thread)
        thread.start()
        multisignal({sender.number: "number"}).connect(receiver.plain)
        sender.number.emit(3)
        while not receiver.seen:
            await asyncio.sleep(0.001)
        assert receiver.seen[0][:2] == ("number", (3,))
        assert receiver.seen[0][2] != threading.get_ident()
        thread.quit()
        thread.wait()

    run(main())
