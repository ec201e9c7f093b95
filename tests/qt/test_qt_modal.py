# SPDX-License-Identifier: MIT
"""modal: Qt loops of Qt's own, awaited, while asyncio goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from conftest import QtCore, QtWidgets

from ringbridge.qt import (
    QiBaseEventLoop,
    QiLoopMode,
    asyncslot,
    binding,
    modal,
    new_event_loop,
)

Spin = Callable[..., None]


class Dialog(QtWidgets.QDialog):
    """Notes whether it is open."""

    def __init__(self) -> None:
        super().__init__()
        self.is_open = False

    def ask(self, name: str = "") -> str:
        self.is_open = True
        try:
            return f"{name}{binding.run(self)}"
        finally:
            self.is_open = False


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def test_asyncio_goes_on_while_a_dialog_is_open(loop: QiBaseEventLoop, spin: Spin) -> None:
    dialog = Dialog()

    async def closes() -> None:
        await until(lambda: dialog.is_open)
        dialog.done(5)

    async def main() -> str:
        closer = asyncio.create_task(closes())
        answer: str = await modal(dialog.ask)(name="answer ")
        await closer
        return answer

    task = loop.create_task(main())
    spin(task.done)
    assert task.result() == "answer 5"


def test_a_dialog_opens_in_the_first_step_of_a_slot(loop: QiBaseEventLoop, spin: Spin) -> None:
    dialog = Dialog()
    answers: list[str] = []

    async def on_click() -> None:
        answers.append(await modal(dialog.ask)())

    async def closes() -> None:
        await until(lambda: dialog.is_open)
        await asyncio.sleep(0.01)
        dialog.accept()

    button = QtWidgets.QPushButton()
    button.clicked.connect(asyncslot(on_click))
    closer = loop.create_task(closes())
    button.click()
    assert not dialog.is_open  # it opens from Qt's loop: not within the click
    spin(lambda: answers)
    assert answers == ["1"]
    spin(closer.done)


def test_a_qt_loop_in_the_first_step_of_a_slot_lets_asyncio_go_on(
    loop: QiBaseEventLoop, spin: Spin
) -> None:
    # No modal(): Qt runs the slot, and asyncio is not within a turn.
    dialog = Dialog()
    answers: list[str] = []

    async def closes() -> None:
        await until(lambda: dialog.is_open)
        dialog.done(2)

    async def on_click() -> None:
        closer = asyncio.create_task(closes())
        answers.append(dialog.ask())
        await closer
        await asyncio.sleep(0)
        answers.append("after")

    asyncslot(on_click)()
    assert answers == ["2"]
    spin(lambda: len(answers) == 2)


def test_modals_nest(loop: QiBaseEventLoop, spin: Spin) -> None:
    outer, inner = Dialog(), Dialog()
    seen: list[str] = []

    async def inner_slot() -> None:
        seen.append(await modal(inner.ask)("inner "))

    async def main() -> None:
        seen.append(await modal(outer.ask)("outer "))

    async def drives() -> None:
        await until(lambda: outer.is_open)
        asyncslot(inner_slot)()
        await until(lambda: inner.is_open)
        assert outer.is_open
        inner.done(1)
        await until(lambda: seen)
        outer.done(2)

    tasks = [loop.create_task(main()), loop.create_task(drives())]
    spin(lambda: all(task.done() for task in tasks))
    assert seen == ["inner 1", "outer 2"]


def test_a_cancel_lets_the_dialog_be(loop: QiBaseEventLoop, spin: Spin) -> None:
    dialog = Dialog()

    async def main() -> None:
        await modal(dialog.ask)()

    task = loop.create_task(main())

    async def cancels() -> bool:
        await until(lambda: dialog.is_open)
        task.cancel()
        await asyncio.wait([task])
        was_open = dialog.is_open
        dialog.reject()
        return was_open

    canceller = loop.create_task(cancels())
    spin(lambda: canceller.done() and not dialog.is_open)
    assert task.cancelled()
    assert canceller.result()


def test_a_cancel_before_it_opens_keeps_it_from_opening(loop: QiBaseEventLoop, spin: Spin) -> None:
    opened: list[int] = []
    slot = asyncslot(modal(lambda: opened.append(1)))
    task = slot()
    assert task is not None
    task.cancel()
    spin(task.done)
    ticked: list[int] = []
    QtCore.QTimer.singleShot(5, lambda: ticked.append(1))
    spin(lambda: ticked)
    assert opened == []


def test_what_it_raises_is_raised(loop: QiBaseEventLoop, spin: Spin) -> None:
    def fails() -> None:
        raise ValueError("of the dialog")

    task = loop.create_task(modal(fails)())
    spin(task.done)
    with pytest.raises(ValueError, match="of the dialog"):
        task.result()


def test_what_it_raises_when_nobody_waits_any_more_is_reported(
    loop: QiBaseEventLoop, spin: Spin
) -> None:
    dialog = Dialog()

    def fails() -> None:
        dialog.ask()
        raise ValueError

    contexts: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _loop, context: contexts.append(context))
    task = loop.create_task(modal(fails)())
    spin(lambda: task.done() or _close(dialog, task))
    assert task.cancelled()
    spin(lambda: contexts)
    assert isinstance(contexts[0]["exception"], ValueError)


def _close(dialog: Dialog, task: asyncio.Task[Any]) -> None:
    """Cancels the task while the dialog is open, and closes it."""
    if not dialog.is_open and not task.cancelled():

        def close() -> None:
            if dialog.is_open:
                task.cancel()
                dialog.reject()

        QtCore.QTimer.singleShot(1, close)


def test_owner_mode_has_modal_dialogs_too() -> None:
    dialog = Dialog()

    async def closes() -> None:
        await until(lambda: dialog.is_open)
        dialog.done(3)

    async def main() -> str:
        closer = asyncio.create_task(closes())
        answer: str = await modal(dialog.ask)()
        await closer
        return answer

    loop = new_event_loop()
    assert loop.run_until_complete(main()) == "3"
    loop.close()


def test_where_qt_does_not_run_modal_says_so() -> None:
    # Code that cleans up awaited it for ever.
    loop = new_event_loop()
    loop.set_mode(QiLoopMode.NATIVE)
    with pytest.raises(RuntimeError, match="native"):
        loop.run_until_complete(modal(lambda: None)())
    loop.close()
    other = asyncio.SelectorEventLoop()
    with pytest.raises(RuntimeError, match="runs on Qt"):
        other.run_until_complete(modal(lambda: None)())
    other.close()
