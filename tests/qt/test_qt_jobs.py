# SPDX-License-Identifier: MIT
"""Job: what it tells, on which thread and in which order, whatever becomes of the call."""

from __future__ import annotations

import functools
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import THERE, QtCore, Told
from qt_ordinary import Simulation, double, numbers

import ringbridge as rb
from ringbridge.qt import Job, binding

Ends = Callable[[Any], Told]


# ---------------------------------------------------------------------------- functions of workers


def test_a_result_comes_on_the_thread_that_made_the_job(work: Any, told: Ends) -> None:
    seen = told(Job(work.add, 1, b=2))
    assert seen.names() == ["started", "finished"]
    assert seen.end == ("finished", 3.0)
    assert seen.threads == {threading.get_ident()}


def test_nothing_is_told_before_the_constructor_or_cancel_has_returned(work: Any) -> None:
    job = Job(work.add, 1)
    seen = Told(job)
    time.sleep(0.05)  # its result is here, and Qt has not run
    job.cancel()
    assert seen.heard == []


def test_progress_and_log_come_between_start_and_end(work: Any, told: Ends) -> None:
    seen = told(Job(work.steps, 20, 0.01))
    assert seen.names()[0] == "started"
    assert seen.end == ("finished", 20)
    assert seen.all("progress")[-1] == (19 / 20, "step 19")
    seen = told(Job(work.says, "careful"))
    assert seen.all("log") == [("careful", logging.WARNING)]


def test_an_exception_comes_as_it_is(work: Any, told: Ends) -> None:
    name, error = told(Job(work.raises, "no such band")).end or ()
    assert (name, type(error), str(error)) == ("failed", ValueError, "no such band")
    assert isinstance(error.__cause__, rb.RemoteTraceback)


def test_an_array_of_64_mb_comes_without_a_copy(work: Any, told: Ends) -> None:
    numpy = pytest.importorskip("numpy")
    result = (told(Job(work.ones, 64 << 20)).end or ())[1]
    assert result.nbytes == 64 << 20
    assert not result.flags.owndata
    assert numpy.all(result[:: 1 << 16] == 1.0)


def test_what_cannot_cross_fails(work: Any, told: Ends) -> None:
    name, error = told(Job(work.add, object())).end or ()
    assert (name, type(error)) == ("failed", rb.CannotCross)


def test_callbacks_run_on_the_jobs_thread(work: Any, told: Ends) -> None:
    threads = []

    def square(number: int) -> int:
        threads.append(threading.get_ident())
        return number * number

    assert told(Job(work.asks, square, 4)).end == ("finished", [0, 1, 4, 9])
    assert set(threads) == {threading.get_ident()}


def test_options_count(work: Any, told: Ends) -> None:
    name, error = told(Job(work.steps.options(timeout=0.1), 10_000, 0.01)).end or ()
    assert (name, type(error)) == ("failed", rb.CallTimeout)


def test_a_partial_is_taken_apart(work: Any, told: Ends) -> None:
    assert told(Job(functools.partial(work.add, b=5), 1)).end == ("finished", 6.0)
    assert told(Job(work.add.submit, 1, 1)).end == ("finished", 2.0)


def test_a_dead_worker_fails_its_job_and_the_next_one_waits_for_the_new_one(
    work: Any, told: Ends
) -> None:
    name, error = told(Job(work.dies)).end or ()
    assert (name, type(error), error.signal) == ("failed", rb.WorkerDied, signal.SIGKILL)
    assert told(Job(work.add, 1, 2)).end == ("finished", 3.0)


def test_a_job_on_a_closed_worker_fails(told: Ends) -> None:
    with rb.Worker(sys.executable, paths=[THERE]) as worker:
        add = worker.load("qt_work").add
    name, error = told(Job(add, 1)).end or ()
    assert name == "failed"
    assert isinstance(error, rb.RingbridgeError)


# ------------------------------------------------------------------------------------------ streams


def test_each_item_comes_in_order(work: Any, told: Ends) -> None:
    seen = told(Job(work.counts.stream, 1000))
    assert seen.all("item") == [(number,) for number in range(1000)]
    assert seen.end == ("finished", None)


def test_an_error_comes_after_the_items_before_it(work: Any, told: Ends) -> None:
    seen = told(Job(work.breaks_off.stream, 3))
    assert seen.all("item") == [(0,), (1,), (2,)]
    assert str((seen.end or ())[1]) == "enough"


def test_the_newest_item_wins_and_the_others_are_counted(work: Any, told: Ends) -> None:
    job = Job(work.counts.options(latest=True).stream, 5000)
    seen = Told(job)
    time.sleep(0.2)  # the window is busy
    spinning = told(job)
    items = [item for (item,) in seen.all("item")]
    assert items == sorted(set(items))
    assert items[-1] == 4999
    assert len(items) + job.dropped == 5000
    assert spinning.end == ("finished", None)


def test_a_late_item_is_a_timeout(told: Ends) -> None:
    with rb.Worker(sys.executable, paths=[THERE]) as worker:
        late = worker.load("qt_work").then_sleeps.options(timeout=0.2)
        seen = told(Job(late.stream, 3))
    assert seen.all("item") == [(0,), (1,), (2,)]
    name, error = seen.end or ()
    assert (name, type(error)) == ("failed", rb.CallTimeout)
    assert "made no item within its timeout of 0.2 s" in str(error)


def test_a_cancelled_stream_closes_its_generator(
    work: Any, spin: Callable[..., None], tmp_path: Path
) -> None:
    mark = tmp_path / "closed"
    job = Job(work.without_end.stream, str(mark))
    seen = Told(job)
    spin(lambda: len(seen.all("item")) > 3)
    job.cancel()
    heard = len(seen.all("item"))
    spin(lambda: seen.end)
    assert seen.end == ("cancelled",)
    assert len(seen.all("item")) == heard
    assert mark.read_text() == "closed"


def test_a_stream_is_cancelled_also_where_no_thread_can_be_started_any_more(
    work: Any, spin: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As at the end of an interpreter from 3.12 on."""

    def refuse(_seconds: float, _function: object) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    job = Job(work.without_end.stream, str(tmp_path / "closed"))
    seen = Told(job)
    spin(lambda: seen.all("item"))
    monkeypatch.setattr("ringbridge.timers.after", refuse)
    job.cancel()
    spin(lambda: seen.end)
    assert seen.end == ("cancelled",)


# ------------------------------------------------------------------------------------------- cancel


def test_cancel_ends_code_that_runs(work: Any, spin: Callable[..., None]) -> None:
    job = Job(work.steps, 100_000, 0.01)
    seen = Told(job)
    spin(lambda: "started" in seen.names())
    job.cancel()
    spin(lambda: seen.end)
    assert seen.end == ("cancelled",)
    assert job.is_over()
    job.cancel()  # nothing happens


def test_cancel_ends_code_that_does_not_listen_with_its_worker(
    worker: rb.Worker, work: Any, spin: Callable[..., None], told: Ends
) -> None:
    job = Job(work.deaf, 60)
    seen = Told(job)
    spin(lambda: "started" in seen.names())
    before = worker.pid
    job.cancel(grace=0.2)
    spin(lambda: seen.end)
    assert seen.end == ("cancelled",)
    assert told(Job(work.pid)).end != ("finished", before)


def test_cancel_before_it_has_begun(work: Any, spin: Callable[..., None], told: Ends) -> None:
    first, second = Job(work.steps, 100_000, 0.01), Job(work.add, 1)
    seen, waiting = Told(first), Told(second)
    spin(lambda: "started" in seen.names())
    second.cancel()
    spin(lambda: waiting.end)
    assert waiting.heard == [("cancelled",)]
    first.cancel()
    spin(lambda: seen.end)


@pytest.mark.parametrize("how", ["parent", "itself"])
def test_deleting_it_cancels_the_call(
    work: Any, spin: Callable[..., None], told: Ends, how: str
) -> None:
    parent = QtCore.QObject()
    job = Job(work.steps, 100_000, 0.01, parent=parent)
    seen = Told(job)
    spin(lambda: "started" in seen.names())
    (parent if how == "parent" else job).deleteLater()
    spin(lambda: not binding.is_alive(job))
    assert told(Job(work.add, 1, 1)).end == ("finished", 2.0)  # the worker is free
    assert seen.end is None


# ------------------------------------------------------------------- ordinary functions and classes


class Idle:
    pass


def test_an_ordinary_function_runs_in_another_process(told: Ends) -> None:
    name, pid = told(Job(os.getpid)).end or ()
    assert name == "finished"
    assert pid != os.getpid()
    assert told(Job(double, 21)).end == ("finished", 42)
    assert told(Job(lambda text: text * 2, "ab")).end == ("finished", "abab")


def test_an_ordinary_generator_functions_items_come(told: Ends) -> None:
    assert told(Job(numbers, 3)).all("item") == [(0,), (1,), (2,)]


def test_a_class_is_run(told: Ends) -> None:
    assert told(Job(Simulation, 4)).end == ("finished", 40)


def test_one_may_say_in_which_worker(worker: rb.Worker, told: Ends) -> None:
    assert told(Job(os.getpid, worker=worker)).end == ("finished", worker.pid)
    assert told(Job(double, 4, worker=sys.executable)).end == ("finished", 8)


def test_a_megabyte_an_exception_an_exit_and_a_crash(told: Ends) -> None:
    assert told(Job(lambda: b"x" * (1 << 20))).end == ("finished", b"x" * (1 << 20))
    assert type((told(Job(lambda: 1 // 0)).end or ())[1]) is ZeroDivisionError
    assert type((told(Job(sys.exit, 3)).end or ())[1]) is rb.RemoteError
    assert type((told(Job(os._exit, 3)).end or ())[1]) is rb.WorkerDied
    assert told(Job(double, 1)).end == ("finished", 2)


def test_jobs_of_ordinary_functions_run_side_by_side_and_wait_where_they_are_many(
    spin: Callable[..., None],
) -> None:
    jobs = [Told(Job(os.getpid)) for _ in range(20)]
    spin(lambda: all(seen.end for seen in jobs))
    pids = {(seen.end or ())[1] for seen in jobs}
    assert len(pids) <= len(os.sched_getaffinity(0))


def test_cancel_while_its_worker_starts(told: Ends) -> None:
    job = Job(double, 1)
    job.cancel()
    assert told(job).heard == [("cancelled",)]
    assert told(Job(double, 2)).end == ("finished", 4)


def test_a_job_that_is_cancelled_before_it_could_be_sent_takes_no_place(
    spin: Callable[..., None], told: Ends
) -> None:
    with open(os.devnull) as handle:
        jobs = [Job(lambda: handle.name) for _ in range(3 * len(os.sched_getaffinity(0)))]
        for job in jobs:
            job.cancel()
        spin(lambda: all(job.is_over() for job in jobs))
    assert told(Job(double, 2)).end == ("finished", 4)


def test_what_is_no_function_is_refused_at_once(work: Any) -> None:
    with pytest.raises(TypeError, match="runs a function or a class"):
        Job("qt_work:add")
    with pytest.raises(TypeError, match=r"run\(\), which Idle does not have"):
        Job(Idle)
    with pytest.raises(TypeError, match="with its object"):
        Job(Simulation(1).run)
    with pytest.raises(ValueError, match="grace"):
        Job(work.add, 1).cancel(grace=-1)


def test_what_cannot_be_sent_fails(told: Ends) -> None:
    handle = open(os.devnull)  # noqa: SIM115
    name, error = told(Job(lambda: handle.name)).end or ()
    handle.close()
    assert (name, type(error)) == ("failed", rb.CannotCross)
    with pytest.raises(rb.EnvironmentNotFound):
        Job(double, 1, worker="no-such-environment")
