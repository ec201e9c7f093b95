# SPDX-License-Identifier: MIT
"""Job: slots that fail, failures that nobody hears of, threads, coroutines, and what is kept."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from conftest import QtCore, Told
from qt_ordinary import Simulation

import ringbridge as rb
from ringbridge.qt import Job, QiBaseEventLoop

Ends = Callable[[Any], Told]


def test_what_a_slot_raises_is_logged_and_the_application_lives(
    work: Any, told: Ends, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)  # as in most programs

    def fails(*_args: object) -> None:
        raise ValueError("a slot")

    job = Job(work.counts.stream, 3)
    for signal_ in (job.started, job.item, job.finished):
        signal_.connect(fails)
    assert told(job).end == ("finished", None)
    assert [record.message for record in caplog.records] == ["a slot failed"] * 5
    assert "ValueError: a slot" in caplog.text


def test_nothing_of_a_job_is_kept(work: Any, told: Ends, spin: Callable[..., None]) -> None:
    job = Job(work.counts.stream, 2)
    told(job)
    known = weakref.ref(job), weakref.ref(job._run)
    del job

    def gone() -> bool:  # the look whether it has begun may still be due
        gc.collect()
        return [each() for each in known] == [None, None]

    spin(gone)


def test_a_thousand_jobs_leave_nothing(work: Any, spin: Callable[..., None], app: Any) -> None:
    def some(count: int) -> None:
        jobs = [Told(Job(work.add, number)) for number in range(count)]
        spin(lambda: all(seen.end for seen in jobs))

    some(10)
    gc.collect()
    before = len(os.listdir("/proc/self/fd")), threading.active_count(), len(app.children())
    for _ in range(10):
        some(100)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before[0]
    assert threading.active_count() <= before[1]
    assert len(app.children()) == before[2]


def test_a_job_may_belong_to_another_thread(work: Any) -> None:
    heard: list[Any] = []

    class Thread(QtCore.QThread):
        def run(self) -> None:
            job = Job(work.add, 1, 1)
            seen = Told(job)
            job.finished.connect(lambda _: self.quit())
            self.exec() if hasattr(self, "exec") else self.exec_()
            heard.append((seen.end, seen.threads == {threading.get_ident()}))

    thread = Thread()
    thread.start()
    assert thread.wait(20_000)
    assert heard == [(("finished", 2.0), True)]


def test_a_slot_that_runs_a_dialog_holds_no_other_job_up(
    work: Any, spin: Callable[..., None]
) -> None:
    ends: list[str] = []
    first, second = Job(work.add, 1), Job(work.add, 2)

    def dialog(_result: float) -> None:
        spin(lambda: "second" in ends)
        ends.append("first")

    first.finished.connect(dialog)
    second.finished.connect(lambda _result: ends.append("second"))
    time.sleep(0.05)  # both results are there, and come in one go
    spin(lambda: "first" in ends)
    assert ends == ["second", "first"]


def test_a_failure_that_nobody_hears_of_is_logged(
    work: Any, spin: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    job = Job(work.raises, "unheard")
    spin(job.is_over)
    (record,) = caplog.records
    assert record.message == "a Job failed, and nothing is connected to its signal `failed`"
    assert "ValueError: unheard" in caplog.text


def test_a_job_leaves_its_parent_at_its_end(work: Any, spin: Callable[..., None]) -> None:
    # A window that lives for long had all the Jobs that there ever were.
    parent = QtCore.QObject()
    jobs = [Job(work.add, number, parent=parent) for number in range(20)]
    assert len(parent.children()) == 20
    spin(lambda: all(job.is_over() for job in jobs))
    assert parent.children() == []


def test_a_job_needs_a_qt_loop_and_the_thread_of_its_parent(work: Any) -> None:
    raised: list[str] = []
    parent = QtCore.QObject()

    def make(**options: Any) -> None:
        try:
            Job(work.add, 1, **options)
        except RuntimeError as error:
            raised.append(str(error))

    thread = threading.Thread(target=make, name="no Qt here")
    thread.start()
    thread.join()
    assert raised == [
        "Qt runs no event loop on this thread, no Qt here, which could carry a Job's signals: make "
        "it on the window's thread, or on a QThread"
    ]

    class Thread(QtCore.QThread):
        def run(self) -> None:
            make(parent=parent)

    other = Thread()
    other.start()
    assert other.wait(20_000)
    assert raised[1:] == ["a Job is made on the thread of its parent, which this is not"]


def test_a_qobject_is_not_run_over_there() -> None:
    class Thread(QtCore.QThread):
        pass

    with pytest.raises(TypeError, match="the signals of Thread, a QObject, would reach nobody"):
        Job(Thread)


# -------------------------------------------------------------------------------------- coroutines


def test_a_job_may_be_awaited(
    work: Any, worker: rb.Worker, loop: QiBaseEventLoop, spin: Callable[..., None]
) -> None:
    async def main() -> None:
        module = await Job(worker.load, "qt_work")
        assert await Job(module.add, 1, 2) == 3.0
        assert await Job(Simulation, 2) == 20
        with pytest.raises(ValueError, match="no"):
            await Job(work.raises, "no")
        job = Job(work.steps, 100_000, 0.01)
        QtCore.QTimer.singleShot(50, job.cancel)
        with pytest.raises(rb.Cancelled):
            await job
        with pytest.raises(RuntimeError, match="over"):
            await job

    task = loop.create_task(main())
    spin(task.done)
    task.result()


def test_cancelling_who_awaits_a_job_cancels_it(
    work: Any, loop: QiBaseEventLoop, spin: Callable[..., None], told: Ends
) -> None:
    job = Job(work.steps, 100_000, 0.01)
    seen = Told(job)

    async def main() -> None:
        await asyncio.wait_for(_awaits(job), 0.1)

    task = loop.create_task(main())
    spin(task.done)
    assert isinstance(task.exception(), asyncio.TimeoutError)
    spin(lambda: seen.end)
    assert seen.end == ("cancelled",)


async def _awaits(job: Job) -> Any:
    return await job
