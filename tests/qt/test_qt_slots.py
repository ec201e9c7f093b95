# SPDX-License-Identifier: MIT
"""asyncslot: coroutine functions as slots, in all the ways in which bindings take slots."""

from __future__ import annotations

import asyncio
import functools
import gc
import sys
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from conftest import BINDING, QtCore, QtWidgets
from senders import Sender, delete

from ringbridge.qt import QiBaseEventLoop, asyncslot, binding, run_task

Spin = Callable[..., None]


class Receiver(QtCore.QObject):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    @asyncslot
    async def decorated(self, number: int) -> None:
        self.seen.append((number, threading.get_ident()))
        await asyncio.sleep(0)
        self.seen.append("after")

    async def plain(self, number: int) -> None:
        self.seen.append((number, threading.get_ident()))


# -------------------------------------------------------------------------------- what it takes


def test_the_first_step_runs_in_the_slot_and_the_rest_later(
    loop: QiBaseEventLoop, sender: Sender, spin: Spin
) -> None:
    seen = []

    async def slot(number: int) -> None:
        seen.append(number)
        await asyncio.sleep(0)
        seen.append("later")

    sender.number.connect(asyncslot(slot))
    sender.number.emit(7)
    assert seen == [7]
    spin(lambda: len(seen) == 2)


def make(seen: list[Any], how: str) -> Callable[..., Any]:
    async def none() -> None:
        seen.append(())

    async def one(a: int) -> None:
        seen.append((a,))

    async def defaulted(a: int, b: str = "own") -> None:
        seen.append((a, b))

    async def all_there_are(*args: Any) -> None:
        seen.append(args)

    class Callable_:
        async def __call__(self, a: int) -> None:
            seen.append((a,))

    class Static:
        @asyncslot
        @staticmethod
        async def static(a: int) -> None:
            seen.append((a,))

        @asyncslot
        @classmethod
        async def of_class(cls, a: int) -> None:
            seen.append((cls is Static, a))

        @staticmethod
        @asyncslot
        async def below(a: int) -> None:
            seen.append((a,))

    return {
        "none": asyncslot(none),
        "one": asyncslot(one),
        "defaulted": asyncslot(defaulted),
        "all": asyncslot(all_there_are),
        "partial": asyncslot(functools.partial(defaulted, 9)),
        "callable": asyncslot(Callable_()),
        "static": Static.static,
        "class": Static.of_class,
        "below": Static.below,
    }[how]


@pytest.mark.parametrize(
    ("how", "given"),
    [
        ("none", ()),
        ("one", (1,)),
        ("defaulted", (1, "x")),
        ("all", (1, "x")),
        ("partial", (9, 1)),
        ("callable", (1,)),
        ("static", (1,)),
        ("class", (True, 1)),
        ("below", (1,)),
    ],
)
def test_it_takes_as_many_arguments_as_the_function(
    loop: QiBaseEventLoop, sender: Sender, how: str, given: tuple[Any, ...]
) -> None:
    seen: list[Any] = []
    slot = make(seen, how)
    sender.pair.connect(slot)
    sender.pair.emit(1, "x")
    assert seen == [given]


def test_a_click_reaches_slots_with_and_without_an_argument(loop: QiBaseEventLoop) -> None:
    # PySide gave a slot of `*args` nothing: it took the signal's form without an argument.
    seen: list[Any] = []
    button = QtWidgets.QPushButton()
    hows = {"none": (), "one": (False,), "defaulted": (False, "own")}
    if BINDING == "PySide2":  # takes clicked() for any slot of two arguments
        del hows["defaulted"]
    for how in hows:
        button.clicked.connect(make(seen, how))
    button.click()
    assert seen == list(hows.values())


def test_what_is_no_coroutine_function_is_told(
    loop: QiBaseEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TypeError, match="write `@asyncslot`, without"):
        asyncslot(int)  # as qasync has it
    told: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda _kind, error, _traceback: told.append(error))
    assert asyncslot(print)("a plain function") is None
    assert "<built-in function print>, of an asyncslot, gave None" in str(told[0])


def test_what_a_signal_cannot_give_is_refused_at_once() -> None:
    async def slot(*, wanted: int) -> None:
        pass

    with pytest.raises(TypeError, match="wanted"):
        asyncslot(slot)
    with pytest.raises(TypeError, match="coroutine function"):
        asyncslot(7)  # type: ignore[arg-type]


@pytest.mark.parametrize("order", ["above", "below"])
@pytest.mark.parametrize(("types_", "given"), [((), ()), ((bool,), (False,))])
def test_a_declared_slot_keeps_its_signature(
    loop: QiBaseEventLoop, order: str, types_: tuple[Any, ...], given: tuple[Any, ...]
) -> None:
    async def with_none(self: Any) -> None:
        seen.append(())

    async def with_one(self: Any, checked: bool) -> None:
        seen.append((checked,))

    seen: list[Any] = []
    declare = binding.Slot(*types_, name="on_click")
    on_click = with_one if types_ else with_none
    slot = declare(asyncslot(on_click)) if order == "above" else asyncslot(declare(on_click))
    Declared = type("Declared", (QtCore.QObject,), {"on_click": slot})
    receiver = Declared()
    button = QtWidgets.QPushButton()
    button.clicked.connect(receiver.on_click)
    button.click()
    assert seen == [given]
    name = bytes(receiver.metaObject().method(receiver.metaObject().methodCount() - 1).name())
    assert name == b"on_click"


# -------------------------------------------------------------------------------------- methods


@pytest.mark.parametrize("how", ["decorated", "wrapped", "wrapped with a task runner"])
def test_a_method_does_not_keep_its_receiver_alive(
    loop: QiBaseEventLoop, sender: Sender, spin: Spin, how: str
) -> None:
    receiver = Receiver()
    if how == "decorated":
        sender.number.connect(receiver.decorated)
    elif how == "wrapped":
        sender.number.connect(asyncslot(receiver.plain))
    else:
        runner = functools.partial(run_task, allow_task_nesting=False)
        sender.number.connect(asyncslot(receiver.plain, task_runner=runner))
    gc.collect()
    # PyQt5 keeps no reference to a method's function: ours was freed, and whatever the memory
    # then held was called.
    others = [types.FunctionType((lambda *_: None).__code__, {}) for _ in range(100)]
    sender.number.emit(3)
    assert receiver.seen[0] == (3, threading.get_ident())
    del others
    spin(lambda: not asyncio.all_tasks(loop))
    gone = weakref.ref(receiver)
    del receiver
    gc.collect()
    assert gone() is None
    sender.number.emit(4)


@pytest.mark.parametrize("how", ["decorated", "wrapped"])
def test_a_receiver_that_qt_deletes_is_disconnected(
    loop: QiBaseEventLoop, sender: Sender, how: str
) -> None:
    # PySide went on to call a method that it does not find in the receiver's class.
    receiver = Receiver()
    seen = receiver.seen
    sender.number.connect(receiver.decorated if how == "decorated" else asyncslot(receiver.plain))
    delete(receiver)
    sender.number.emit(3)
    assert seen == []


def test_a_method_is_disconnected_as_it_was_connected(
    loop: QiBaseEventLoop, sender: Sender
) -> None:
    receiver = Receiver()
    sender.number.connect(asyncslot(receiver.plain))
    sender.number.connect(receiver.decorated)
    sender.number.disconnect(asyncslot(receiver.plain))
    sender.number.disconnect(receiver.decorated)
    sender.number.emit(3)
    assert receiver.seen == []


@pytest.mark.parametrize("lives_there", [False, True])
@pytest.mark.parametrize("how", ["decorated", "wrapped"])
def test_a_signal_of_another_thread_is_queued_to_the_receiver_s(
    loop: QiBaseEventLoop, sender: Sender, spin: Spin, how: str, lives_there: bool
) -> None:
    # PySide called a method that its class does not have on the thread of the sender.
    receiver = Receiver()
    slot = receiver.decorated if how == "decorated" else asyncslot(receiver.plain)
    sender.number.connect(slot)
    qt_thread = QtCore.QThread()
    if lives_there:
        sender.moveToThread(qt_thread)
    qt_thread.start()
    thread = threading.Thread(target=lambda: sender.number.emit(5))
    thread.start()
    thread.join()
    assert receiver.seen == []
    spin(lambda: receiver.seen)
    assert receiver.seen[0] == (5, threading.get_ident())
    qt_thread.quit()
    qt_thread.wait()


# ------------------------------------------------------------------------------------ arguments


def test_arguments_may_be_used_after_the_slot(loop: QiBaseEventLoop, spin: Spin) -> None:
    # PyQt gave references to what C++ frees when the slot returns.
    rows: list[int] = []

    async def selected(now: Any, _before: Any) -> None:
        await asyncio.sleep(0)
        rows.extend(index.row() for index in now.indexes())

    view = QtWidgets.QTableWidget(3, 1)
    view.selectionModel().selectionChanged.connect(asyncslot(selected))
    for row in (0, 1, 2):
        view.selectRow(row)
    spin(lambda: len(rows) == 3)
    assert rows == [0, 1, 2]


def test_what_has_an_owner_is_not_copied(loop: QiBaseEventLoop, spin: Spin) -> None:
    seen: list[Any] = []

    async def changed(item: Any, _column: int) -> None:
        await asyncio.sleep(0)
        seen.append(item)

    tree = QtWidgets.QTreeWidget()
    item = QtWidgets.QTreeWidgetItem(tree)
    tree.itemChanged.connect(asyncslot(changed))
    item.setText(0, "new")
    spin(lambda: seen)
    assert seen[0] is item
