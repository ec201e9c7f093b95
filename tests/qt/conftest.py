# SPDX-License-Identifier: MIT
"""Tests of ringbridge.qt, in a process that has one Qt binding: the one that QT_API names.

`make test` runs them with each binding in its environment, offscreen; `make test-qt` in more
Pythons, with more bindings, and in windows under Xvfb.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

import ringbridge

THERE = Path(__file__).resolve().parent / "there"
BINDING = {name.lower(): name for name in ("PyQt5", "PyQt6", "PySide2", "PySide6")}[
    os.environ["QT_API"].lower()
]
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
QtCore: Any = importlib.import_module(f"{BINDING}.QtCore")
QtWidgets: Any = importlib.import_module(f"{BINDING}.QtWidgets")

_application = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["test"])
from ringbridge.qt import (  # noqa: E402  (it chooses the binding that has been imported)
    QiBaseEventLoop,
    binding,
    new_event_loop,
    using_asyncio_from_qt,
)

_application.setQuitOnLastWindowClosed(False)


def pytest_configure(config: pytest.Config) -> None:
    config.option.timeout_method = "thread"  # Qt's exec() lets no Python signal handler run


def pytest_report_header(config: pytest.Config) -> str:
    version = QtCore.qVersion()
    platform = _application.platformName()
    return f"{BINDING} on Qt {version}, {platform}, Python {sys.version.split()[0]}"


@pytest.fixture
def app() -> Any:
    """The QApplication."""
    return _application


@pytest.fixture(autouse=True)
def left_as_found(app: Any) -> Iterator[None]:
    """What a test leaves behind in the interpreter fails it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs ignore it
    before = set(threading.enumerate())
    yield
    assert asyncio._get_running_loop() is None
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.set_wakeup_fd(-1) == -1
    gc.collect()
    until = time.monotonic() + 5
    while (left := _others(before)) and time.monotonic() < until:
        time.sleep(0.01)
    assert not left


def _others(before: set[threading.Thread]) -> list[threading.Thread]:
    """Threads that the interpreter would wait for."""
    return [each for each in threading.enumerate() if each not in before and not each.daemon]


@pytest.fixture
def spin(app: Any) -> Callable[..., None]:
    """spin(until): runs Qt until `until()` is true; fails after 30 s."""

    def spin(until: Callable[[], object], seconds: float = 30) -> None:
        limit = time.monotonic() + seconds
        loop = QtCore.QEventLoop()
        ticks = QtCore.QTimer()
        ticks.timeout.connect(lambda: (until() or time.monotonic() > limit) and loop.quit())
        ticks.start(1)
        if not until():
            binding.run(loop)
        ticks.stop()
        assert until(), "it did not happen"

    return spin


@pytest.fixture(scope="session")
def worker() -> Iterator[ringbridge.Worker]:
    """For tests that leave it as it was."""
    with ringbridge.Worker(sys.executable, paths=[THERE], restart="on-crash") as worker:
        yield worker


@pytest.fixture(scope="session")
def work(worker: ringbridge.Worker) -> Any:
    """there/qt_work.py, in that worker."""
    return worker.load("qt_work")


class Told:
    """What a Job has told, in order; `end` is its last signal."""

    def __init__(self, job: Any) -> None:
        self.heard: list[tuple[Any, ...]] = []
        self.threads: set[int] = set()
        for name in ("started", "progress", "log", "item", "finished", "failed", "cancelled"):
            getattr(job, name).connect(functools.partial(self._hear, name))

    def _hear(self, name: str, *args: Any) -> None:
        self.heard.append((name, *args))
        self.threads.add(threading.get_ident())

    def names(self) -> list[str]:
        return [each[0] for each in self.heard]

    def all(self, name: str) -> list[Any]:
        return [each[1:] for each in self.heard if each[0] == name]

    @property
    def end(self) -> tuple[Any, ...] | None:
        ends = [each for each in self.heard if each[0] in ("finished", "failed", "cancelled")]
        assert len(ends) < 2, ends
        assert not ends or self.heard[-1] is ends[0]
        return ends[0] if ends else None


@pytest.fixture
def told(spin: Callable[..., None]) -> Callable[[Any], Told]:
    """told(job): what it has told when it is over."""

    def told(job: Any) -> Told:
        seen = Told(job)
        spin(lambda: seen.end)
        return seen

    return told


@pytest.fixture
def loop() -> Iterator[QiBaseEventLoop]:
    """An asyncio loop in guest mode; Qt runs where the test spins."""
    with using_asyncio_from_qt() as loop:
        yield loop


@pytest.fixture
def run() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """run(coro): to its end, in owner mode: Qt and asyncio run meanwhile."""
    loop = new_event_loop()
    yield lambda coro: loop.run_until_complete(asyncio.wait_for(coro, 30))
    loop.close()


@pytest.fixture
def sender() -> Any:
    """An object with signals."""
    from senders import Sender

    return Sender()
