# SPDX-License-Identifier: MIT
"""Work from other threads runs on the thread of a real QApplication, in its own loop."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from conftest import BINDING, QtCore, QtWidgets

import ringbridge
from ringbridge import host
from ringbridge.errors import RingbridgeError
from ringbridge.host import applications, qt_pump
from ringbridge.host.main_work import MainWork
from ringbridge.host.pumps import Pump, pump_for
from ringbridge.host.qt_pump import QtPump
from ringbridge.qt import binding

Spin = Callable[..., None]
THIS = threading.get_ident
LIMIT_S = 30


@pytest.fixture
def work() -> Iterator[MainWork]:
    work = MainWork()
    yield work
    work.close()


@pytest.fixture
def pump(work: MainWork) -> Iterator[Pump]:
    pump = pump_for()
    pump.start(work)
    yield pump
    pump.stop()
    assert not qt_pump._living


def in_thread(function: Callable[[], Any]) -> Future[Any]:
    """What comes of it on another thread."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def turn(app: Any) -> None:
    """Qt does all that it has to do now."""
    app.sendPostedEvents()
    app.processEvents()


def test_this_process_is_known_as_a_qt_application(app: Any) -> None:
    here = applications.current()
    assert here == applications.Application("qt", QtCore.qVersion(), True)
    assert applications.document(here) is None


def test_a_function_of_another_thread_runs_on_the_applications(
    work: MainWork, pump: Pump, spin: Spin
) -> None:
    assert isinstance(pump, QtPump)

    def ask() -> list[tuple[int, int]]:
        return [work.post(lambda i=i: (i, THIS())).result(LIMIT_S) for i in range(200)]

    asked = in_thread(ask)
    spin(asked.done)
    assert asked.result() == [(i, THIS()) for i in range(200)]


def test_what_was_posted_before_the_start_runs(work: MainWork, spin: Spin) -> None:
    future = work.post(THIS)
    pump = pump_for("qt")
    pump.start(work)
    spin(future.done)
    assert future.result() == THIS()
    pump.stop()


def test_it_works_inside_of_modal_dialogs(work: MainWork, pump: Pump, spin: Spin) -> None:
    dialog = QtWidgets.QDialog()
    QtCore.QTimer.singleShot(0, lambda: binding.run(dialog))

    def ask() -> None:
        while not work.post(dialog.isVisible).result(LIMIT_S):
            time.sleep(0.001)
        work.post(dialog.accept).result(LIMIT_S)

    asked = in_thread(ask)
    spin(lambda: asked.done() and not dialog.isVisible())
    asked.result()


def test_a_function_that_opens_a_dialog_holds_up_no_other(
    work: MainWork, pump: Pump, spin: Spin
) -> None:
    dialogs = [QtWidgets.QDialog() for _ in range(3)]

    def ask() -> list[int]:
        opened = [work.post(lambda each=each: binding.run(each)) for each in dialogs]
        for number, each in reversed([*enumerate(dialogs)]):
            while not work.post(each.isVisible).result(LIMIT_S):
                time.sleep(0.001)
            work.post(lambda each=each, number=number: each.done(number)).result(LIMIT_S)
        return [each.result(LIMIT_S) for each in opened]

    asked = in_thread(ask)
    spin(asked.done)
    assert asked.result() == [0, 1, 2]


@pytest.mark.parametrize("another", [True, False])
def test_clients_are_served_while_a_call_has_a_dialog_open(spin: Spin, another: bool) -> None:
    dialog = QtWidgets.QDialog()

    def ask() -> int:
        return binding.run(dialog)

    def answer() -> bool:
        dialog.done(7)
        return THIS() == here

    here = THIS()
    with host.serve("dialogs", modules=[ask, answer]) as server:

        def from_outside() -> tuple[int, bool]:
            with (
                ringbridge.connect("dialogs", pid=server.pid) as first,
                ringbridge.connect("dialogs", pid=server.pid) as second,
            ):
                asking, others = first.load(__name__), second.load(__name__)
                answering = others if another else asking
                asked = asking.ask.submit()
                while not dialog.isVisible():
                    time.sleep(0.001)
                time.sleep(0.05)  # its loop sleeps by now
                return answering.answer(), asked.result(LIMIT_S)

        asked = in_thread(from_outside)
        spin(asked.done)
        assert asked.result() == (True, 7)


def test_the_window_goes_on_while_much_waits(work: MainWork, pump: Pump, spin: Spin) -> None:
    ticks, seen = [0], []

    def tick() -> None:
        ticks[0] += 1

    def takes_a_millisecond() -> None:
        until = time.perf_counter() + 0.001
        while time.perf_counter() < until:
            pass
        seen.append(ticks[0])

    timer = QtCore.QTimer()
    timer.timeout.connect(tick)
    timer.start(0)
    futures = [work.post(takes_a_millisecond) for _ in range(200)]
    spin(futures[-1].done)
    timer.stop()
    # A pass takes 4 ms, so that at most about five of them run between two looks of Qt's.
    assert len(set(seen)) > 20


def test_an_idle_pump_wakes_nobody(work: MainWork, pump: Pump, spin: Spin) -> None:
    future = work.post(THIS)
    spin(future.done)
    awake = [0]

    def count() -> None:
        awake[0] += 1

    dispatcher = QtCore.QAbstractEventDispatcher.instance()
    dispatcher.awake.connect(count)
    loop = QtCore.QEventLoop()
    QtCore.QTimer.singleShot(500, loop.quit)
    binding.run(loop)
    dispatcher.awake.disconnect(count)
    assert awake[0] < 20


@pytest.mark.parametrize("ends", [SystemExit(3), KeyboardInterrupt(), ValueError("an error")])
def test_no_exception_reaches_qt(
    work: MainWork, pump: Pump, spin: Spin, ends: BaseException
) -> None:
    # PyQt ends the process for one that leaves a slot.
    def raises() -> None:
        raise ends

    failed, other = work.post(raises), work.post(THIS)
    spin(other.done)
    assert failed.exception(0) is ends
    assert other.result() == THIS()


def test_started_on_another_thread_it_still_works_on_the_applications(
    work: MainWork, spin: Spin
) -> None:
    pump = pump_for()
    in_thread(lambda: pump.start(work)).result(LIMIT_S)
    future = work.post(THIS)
    spin(future.done)
    assert future.result() == THIS()
    pump.stop()
    assert not qt_pump._living


def test_stopped_on_another_thread_it_runs_nothing_any_more(app: Any, spin: Spin) -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    work = MainWork()
    pump = pump_for()
    pump.start(work)
    first = work.post(THIS)
    spin(first.done)
    in_thread(pump.stop).result(LIMIT_S)
    late = work.post(THIS)
    work.close()
    spin(lambda: not qt_pump._living)
    turn(app)
    assert late.cancelled()
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_stopped_before_it_could_begin_it_leaves_nothing(app: Any, spin: Spin) -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    work = MainWork()

    def come_and_go() -> None:
        pump = pump_for()
        pump.start(work)
        pump.stop()

    for _ in range(50):
        in_thread(come_and_go).result(LIMIT_S)
    future = work.post(THIS)
    spin(lambda: not qt_pump._living)
    turn(app)
    assert not future.done()
    work.close()
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_a_hundred_starts_and_stops_leave_nothing(app: Any, work: MainWork, spin: Spin) -> None:
    pump = pump_for()
    descriptors = len(os.listdir("/proc/self/fd"))
    for _ in range(100):
        pump.start(work)
        future = work.post(THIS)
        spin(future.done)
        pump.stop()
        pump.stop()
    turn(app)
    assert not qt_pump._living
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_a_function_may_stop_the_pump_that_runs_it(work: MainWork, spin: Spin, app: Any) -> None:
    pump = pump_for()
    pump.start(work)
    futures = [work.post(pump.stop), work.post(THIS)]
    spin(futures[0].done)
    late = work.post(THIS)
    turn(app)
    assert not late.done()
    assert not qt_pump._living


def test_without_an_application_it_says_what_to_do(
    work: MainWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QtCore.QCoreApplication, "instance", staticmethod(lambda: None))
    with pytest.raises(RingbridgeError, match=f"no {BINDING} application yet: make a QApplication"):
        QtPump().start(work)
