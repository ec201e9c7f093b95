# SPDX-License-Identifier: MIT
"""How work reaches the main thread where no application is, or one that cannot be had: Maya's and
Houdini's executors are stood in for by a queue that this thread empties, as theirs do."""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from ringbridge.errors import RingbridgeError
from ringbridge.host import applications
from ringbridge.host.blender_pump import BlenderPump
from ringbridge.host.executor_pump import ExecutorPump
from ringbridge.host.main_work import MainWork
from ringbridge.host.one_pass import drained
from ringbridge.host.pumps import ScriptPump, pump_for

LIMIT_S = 30
THIS = threading.get_ident


@pytest.fixture
def work() -> Iterator[MainWork]:
    work = MainWork()
    yield work
    work.close()


class Application:
    """Runs on this thread what it was given, while the test lets it."""

    def __init__(self) -> None:
        self._given: queue.Queue[Callable[[], None]] = queue.Queue()
        self.taken = 0

    def later(self, function: Callable[[], None]) -> None:
        """As maya.utils.executeDeferred does: returns at once."""
        self.taken += 1
        self._given.put(function)

    def with_result(self, function: Callable[[], None]) -> None:
        """As executeInMainThreadWithResult does: returns when the function has run."""
        ran = threading.Event()

        def run() -> None:
            try:
                function()
            finally:
                ran.set()

        self.later(run)
        ran.wait()

    def turn_until(self, done: Callable[[], object]) -> None:
        until = time.monotonic() + LIMIT_S
        while not done():
            assert time.monotonic() < until, "it did not happen"
            try:
                self._given.get(timeout=0.01)()
            except queue.Empty:
                continue


def watchers() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "ringbridge pump"]


def wait_for_no_watcher() -> None:
    for each in watchers():
        each.join(LIMIT_S)
    assert not watchers()


@pytest.mark.parametrize("way", ["later", "with_result"])
def test_an_executor_runs_what_is_posted_on_its_thread(work: MainWork, way: str) -> None:
    application = Application()
    pump = ExecutorPump(getattr(application, way))
    pump.start(work)
    futures = [work.post(lambda i=i: (i, THIS())) for i in range(500)]  # type: ignore[misc]
    application.turn_until(lambda: all(each.done() for each in futures))
    assert [each.result() for each in futures] == [(i, THIS()) for i in range(500)]
    pump.stop()
    wait_for_no_watcher()


@pytest.mark.parametrize("way", ["later", "with_result"])
def test_the_executor_is_left_alone_while_nothing_waits(work: MainWork, way: str) -> None:
    application = Application()
    pump = ExecutorPump(getattr(application, way))
    pump.start(work)
    future = work.post(THIS)
    application.turn_until(future.done)
    before = application.taken
    assert not work.wait(0.2)
    assert application.taken == before
    pump.stop()
    wait_for_no_watcher()


def test_a_function_may_stop_the_pump_that_runs_it(work: MainWork) -> None:
    application = Application()
    pump = ExecutorPump(application.with_result)
    pump.start(work)
    future = work.post(pump.stop)
    application.turn_until(future.done)
    late = work.post(THIS)
    application.turn_until(lambda: not watchers())
    assert not late.done()


def test_stopping_while_the_executor_keeps_a_function_ends_the_thread(work: MainWork) -> None:
    application = Application()
    pump = ExecutorPump(application.later)
    before = len(os.listdir("/proc/self/fd"))
    pump.start(work)
    future = work.post(THIS)
    while not application.taken:
        time.sleep(0.001)
    pump.stop()
    pump.stop()
    wait_for_no_watcher()
    application.turn_until(application._given.empty)  # the late turn does nothing
    assert not future.done()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_pump_can_be_started_again(work: MainWork) -> None:
    application = Application()
    pump = ExecutorPump(application.with_result)
    for _ in range(3):
        pump.start(work)
        future = work.post(THIS)
        application.turn_until(future.done)
        pump.stop()
        wait_for_no_watcher()


def test_an_executor_that_fails_is_told_about(
    work: MainWork, caplog: pytest.LogCaptureFixture
) -> None:
    def closing(_function: object) -> None:
        raise RuntimeError("the application is closing")

    pump = ExecutorPump(closing)
    pump.start(work)
    future = work.post(THIS)
    wait_for_no_watcher()
    assert "did not take a function" in caplog.text
    assert "the application is closing" in caplog.text
    assert not future.done()
    pump.stop()


@pytest.mark.parametrize("ends", [SystemExit(3), KeyboardInterrupt()])
def test_a_function_that_calls_sys_exit_ends_only_itself(
    work: MainWork, caplog: pytest.LogCaptureFixture, ends: BaseException
) -> None:
    # What waited behind it was not announced any more, and stayed until the next function came.
    def leaves() -> None:
        raise ends

    left, other = work.post(leaves), work.post(THIS)
    with caplog.at_level(logging.WARNING, "ringbridge.host"):
        assert drained(work)
    assert type(left.exception(0)) is type(ends)
    assert "this application goes on" in caplog.text
    assert work.wait(0)
    assert not drained(work)
    assert other.result(0) == THIS()


def test_a_script_drains_by_itself(work: MainWork) -> None:
    pump = pump_for("script")
    pump.start(work)
    future = work.post(THIS)
    assert not future.done()
    assert work.wait(LIMIT_S)
    work.drain()
    assert future.result(0) == THIS()
    pump.stop()


# ---------------------------------------------------------------------- which one, and where we are


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """As if no application's module had been loaded."""
    for name in [*sys.modules]:
        if name.partition(".")[0] in ("PyQt5", "PyQt6", "PySide2", "PySide6", "qgis", "bpy"):
            monkeypatch.delitem(sys.modules, name)
    return monkeypatch


def module(name: str, **contents: Any) -> ModuleType:
    made = ModuleType(name)
    vars(made).update(contents)
    return made


def test_a_plain_python_is_a_script(nowhere: pytest.MonkeyPatch) -> None:
    before = {*sys.modules}
    here = applications.current()
    assert (here.kind, here.has_loop) == ("python", False)
    assert here.version == sys.version.split()[0]
    assert applications.document(here) is None
    assert isinstance(pump_for(), ScriptPump)
    assert {*sys.modules} <= before


def test_names_callables_and_pumps_of_ones_own_are_taken() -> None:
    application = Application()
    pump = pump_for(application.with_result)
    assert isinstance(pump, ExecutorPump)
    assert pump.name == "executor"
    assert pump_for(pump) is pump
    assert isinstance(pump_for("blender"), BlenderPump)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no pump 'gtk': there are qt, blender, maya, houdini"):
        pump_for("gtk")


def test_blenders_pump_says_so_outside_of_blender(
    nowhere: pytest.MonkeyPatch, work: MainWork
) -> None:
    with pytest.raises(RingbridgeError, match="not Blender"):
        pump_for("blender").start(work)


@pytest.mark.parametrize("name", ["maya", "houdini"])
def test_an_executors_application_that_is_not_here_is_named(name: str) -> None:
    with pytest.raises(RingbridgeError, match=f"not {name.capitalize()}"):
        pump_for(name)


def test_in_maya_its_executor_runs_the_work(nowhere: pytest.MonkeyPatch, work: MainWork) -> None:
    application = Application()
    about = {"version": "2026", "batch": False}
    commands = module(
        "maya.cmds",
        about=lambda **asked: about[next(iter(asked))],
        file=lambda **_: "/scenes/a.ma",
    )
    utils = module("maya.utils", executeInMainThreadWithResult=application.with_result)
    for each in (module("maya", cmds=commands, utils=utils), commands, utils):
        nowhere.setitem(sys.modules, each.__name__, each)
    here = applications.current()
    assert here == applications.Application("maya", "2026", True)
    assert applications.document(here) == "/scenes/a.ma"
    pump = pump_for()
    assert pump.name == "maya"
    pump.start(work)
    future = work.post(THIS)
    application.turn_until(future.done)
    assert future.result() == THIS()
    pump.stop()
    about["batch"] = True
    assert pump_for().name == "script"


def test_in_houdini_its_executor_runs_the_work(nowhere: pytest.MonkeyPatch, work: MainWork) -> None:
    application = Application()
    hou = module(
        "hou",
        isUIAvailable=lambda: True,
        applicationVersionString=lambda: "21.0.1",
        hipFile=SimpleNamespace(path=lambda: "/hip/a.hip"),
    )
    deferred = module("hdefereval", executeInMainThreadWithResult=application.with_result)
    for each in (hou, deferred):
        nowhere.setitem(sys.modules, each.__name__, each)
    here = applications.current()
    assert here == applications.Application("houdini", "21.0.1", True)
    assert applications.document(here) == "/hip/a.hip"
    pump = pump_for()
    assert pump.name == "houdini"
    pump.start(work)
    future = work.post(THIS)
    application.turn_until(future.done)
    pump.stop()
    wait_for_no_watcher()


def test_what_an_application_cannot_say_about_its_document_is_none(
    nowhere: pytest.MonkeyPatch,
) -> None:
    # Blender has no bpy.data.filepath while it enables add-ons; FreeCAD no ActiveDocument at first.
    app = SimpleNamespace(version_string="3.4.1", background=True)
    nowhere.setitem(sys.modules, "bpy", module("bpy", app=app, data=object()))
    here = applications.current()
    assert here == applications.Application("blender", "3.4.1", False)
    assert applications.document(here) is None
    assert pump_for().name == "script"
