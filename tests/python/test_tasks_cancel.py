# SPDX-License-Identifier: MIT
"""Ending tasks: the states of cancel, random moments, what ignores signals, deadlines."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import random
import threading
import time
from pathlib import Path

import pytest
from rbr_testing import rounds
from rbr_testing.eventually import LONG_S, Gate, until
from rbr_testing.fixtures import MakeWorker

import ringbridge

# ------------------------------------------------------------------------------------------- cancel


def test_a_task_that_has_not_begun_is_cancelled_at_once_and_never_runs(
    tasks: ringbridge.RemoteModule, gate: Gate
) -> None:
    first = tasks.wait_until_cancelled.submit(gate.started, gate.release)
    gate.entered()
    second = tasks.note.submit("second")
    third = tasks.note.submit("third")
    call = second._call.id
    assert second.cancel()
    assert second.cancelled() and second.done() and not second.running()
    with pytest.raises(ringbridge.Cancelled, match=r"note was cancelled"):
        second.result()
    with pytest.raises(concurrent.futures.CancelledError):
        second.exception()
    assert second.cancel()  # as of the standard library
    Path(gate.release).write_text(str(call))  # the word of a cancel takes a moment to get there
    assert third.result(LONG_S) == "third"
    assert first.result(LONG_S) is None
    assert tasks.take_seen() == ["third"]


def test_a_running_task_is_interrupted_and_its_worker_stays(make_worker: MakeWorker) -> None:
    module = make_worker().load("rbr_testing.duties")
    pid = module.pid()
    for name in ("sleep_long", "spin_python"):
        fifo = f"/tmp/{os.getpid()}.{name}"
        os.mkfifo(fifo)
        try:
            task = getattr(module, name).submit(fifo)
            open(fifo).close()
        finally:
            os.unlink(fifo)
        until(task.running)
        assert task.cancel(grace=4.0)
        assert not task.done()  # it is asked; what it answers is the end
        with pytest.raises(ringbridge.Cancelled):
            task.result(timeout=LONG_S)
        assert task.cancelled() and not task.running()
        assert module.pid() == pid


def test_a_cancel_when_no_thread_can_be_started_any_more_interrupts_at_once(
    make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As at the end of an interpreter from 3.12 on."""

    def refuse(_seconds: float, _function: object) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr("ringbridge.timers.after", refuse)
    module = make_worker().load("rbr_testing.duties")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    task = module.sleep_long.submit(str(fifo))
    fifo.read_bytes()  # it runs
    assert task.cancel(grace=60)
    with pytest.raises(ringbridge.Cancelled):
        task.result(LONG_S / 2)


def test_without_a_grace_a_task_is_interrupted_and_nobody_is_killed(
    tasks: ringbridge.RemoteModule, fifo: Path
) -> None:
    pid = tasks.pid()
    task = tasks.sleep_long.submit(str(fifo))
    open(fifo).close()
    assert task.cancel(grace=None)
    with pytest.raises(ringbridge.Cancelled):
        task.result(timeout=LONG_S)
    assert tasks.pid() == pid


ASYNC_AND_LONG = """
import asyncio, os, time

def entered(started):
    open(started, "w").close()

async def blocks(started):
    entered(started)
    time.sleep(3600)

async def spins(started):
    entered(started)
    while True:
        await asyncio.sleep(0)

async def waits(started):
    entered(started)
    await asyncio.sleep(3600)

async def in_main(which, started):
    await globals()[which](started)

async def in_task(which, started):
    tasks = [asyncio.ensure_future(globals()[which](started))]
    await asyncio.sleep(3600)

async def in_gathered(which, started):
    await asyncio.gather(asyncio.sleep(3600), globals()[which](started))

async def in_items(which, started):
    yield 1
    await in_task(which, started)

async def in_callback(callback, started):
    async def calls():
        callback(started)
        await asyncio.sleep(3600)
    task = asyncio.ensure_future(calls())
    await asyncio.sleep(3600)

def pid():
    return os.getpid()
"""


@pytest.mark.parametrize("which", ["blocks", "spins", "waits"])
@pytest.mark.parametrize("where", ["in_main", "in_task", "in_gathered", "in_items"])
def test_an_async_function_is_interrupted_whatever_of_it_runs(
    make_worker: MakeWorker, tmp_path: Path, fifo: Path, where: str, which: str
) -> None:
    # In a task that it had made the interrupt ended that task, and the function went on.
    (tmp_path / "async_and_long.py").write_text(ASYNC_AND_LONG)
    module = make_worker(paths=[tmp_path]).load("async_and_long")
    pid = module.pid()
    if where == "in_items":
        stream = module.in_items.stream(which, str(fifo))
        assert next(stream) == 1
        open(fifo).close()
        stream.close()
    else:
        task = getattr(module, where).submit(which, str(fifo))
        open(fifo).close()
        assert task.cancel(grace=None)
        with pytest.raises(ringbridge.Cancelled):
            task.result(timeout=LONG_S)
    assert module.pid() == pid


def test_an_async_function_is_interrupted_while_a_task_of_it_waits_for_a_callback(
    make_worker: MakeWorker, tmp_path: Path, fifo: Path
) -> None:
    (tmp_path / "async_and_long.py").write_text(ASYNC_AND_LONG)
    module = make_worker(paths=[tmp_path]).load("async_and_long")
    pid = module.pid()
    submitted = threading.Event()

    def callback(_started: str) -> None:
        assert submitted.wait(LONG_S)
        task.cancel(grace=None)
        assert module.pid() == pid  # it runs on top of what was interrupted

    task = module.in_callback.submit(callback, str(fifo))
    submitted.set()
    with pytest.raises(ringbridge.Cancelled):
        task.result(timeout=LONG_S)
    assert module.pid() == pid


def test_a_second_cancel_with_a_shorter_grace_is_heard(
    tasks: ringbridge.RemoteModule, fifo: Path
) -> None:
    task = tasks.sleep_long.submit(str(fifo))
    open(fifo).close()
    assert task.cancel(grace=3600)
    assert not task.done()
    assert task.cancel(grace=4)
    with pytest.raises(ringbridge.Cancelled):
        task.result(timeout=LONG_S)


def test_numba_code_without_the_gil_is_interrupted(
    worker: ringbridge.Worker, tasks: ringbridge.RemoteModule, fifo: Path
) -> None:
    pytest.importorskip("numba")
    pid = tasks.pid()
    task = worker.load("rbr_testing.compiled").spin.submit(str(fifo), 10_000_000)
    open(fifo).close()
    assert task.cancel(grace=None)
    with pytest.raises(ringbridge.Cancelled):
        task.result(timeout=LONG_S)
    assert tasks.pid() == pid


def test_numba_code_that_does_not_come_back_is_killed_and_the_worker_replaced(
    make_worker: MakeWorker, fifo: Path
) -> None:
    pytest.importorskip("numba")
    worker = make_worker()
    module = worker.load("rbr_testing.duties")
    pid = module.pid()
    task = worker.load("rbr_testing.compiled").spin.submit(str(fifo), 10**15)
    open(fifo).close()
    assert task.cancel(grace=0.4)
    with pytest.raises((ringbridge.Cancelled, ringbridge.WorkerDied)):
        task.result(timeout=LONG_S)
    assert module.pid() != pid


def test_native_code_that_ignores_signals_is_killed_and_the_worker_replaced(
    make_worker: MakeWorker, fifo: Path
) -> None:
    worker = make_worker()
    module = worker.load("rbr_testing.duties")
    pid = module.pid()
    task = module.sleep_deaf.submit(str(fifo))
    open(fifo).close()
    assert task.cancel(grace=0.2)
    with pytest.raises((ringbridge.Cancelled, ringbridge.WorkerDied)):
        task.result(timeout=LONG_S)
    assert module.number(1) == 1
    assert module.pid() != pid


def test_a_task_whose_callback_calls_the_worker_is_cancelled_like_any_that_runs(
    make_worker: MakeWorker, fifo: Path
) -> None:
    # It was taken for one that had not begun: done at once, and never ended over there.
    worker = make_worker()
    module = worker.load("rbr_testing.duties")
    pid = module.pid()
    outer = module.call.submit(lambda: module.sleep_deaf(str(fifo)))
    open(fifo).close()
    assert outer.running()
    assert outer.cancel(grace=0.4)
    assert not outer.done()
    with pytest.raises(ringbridge.Cancelled) as caught:
        outer.result(timeout=LONG_S)
    assert isinstance(caught.value.__cause__, ringbridge.WorkerDied)
    assert module.pid() != pid


@pytest.mark.parametrize("how", ["call", "read", "set", "item", "close"])
def test_an_interrupt_of_a_call_that_waits_comes_after_what_runs_on_top_of_it(
    worker: ringbridge.Worker, fifo: Path, how: str
) -> None:
    """While an attribute was read or a stream closed it was lost, and the worker killed for it."""
    there = worker.load("rbr_testing.amid")
    waiting = there.Waiting(str(fifo))
    streams: list[ringbridge.Stream] = []
    pid = worker.pid

    def nested() -> None:
        if how == "call":
            there.wait(str(fifo))
        elif how == "read":
            assert waiting.attribute is None
        elif how == "set":
            waiting.attribute = 1
        else:
            streams.append(there.items.stream(str(fifo), how == "item"))
            assert next(streams[0]) == 1
            next(streams[0]) if how == "item" else streams[0].close()

    task = there.outer.submit(nested)
    open(fifo).close()
    assert task.cancel(grace=None)
    with pytest.raises(ringbridge.Cancelled):
        task.result(LONG_S)
    assert worker.pid == pid


def test_a_bad_grace_is_refused(tasks: ringbridge.RemoteModule) -> None:
    task = tasks.pause.submit(0.0)
    for grace in (-1, float("nan"), "x"):
        with pytest.raises(ValueError, match="grace must be seconds"):
            task.cancel(grace=grace)  # type: ignore[arg-type]
    assert task.result(LONG_S) is None


@pytest.mark.seconds(120)
def test_a_thousand_cancels_at_random_moments_disturb_no_other_call(
    tasks: ringbridge.RemoteModule,
) -> None:
    """Each call returns a number of its own, so that another's result would be noticed."""
    dice = random.Random(rounds.seed())
    pid = tasks.pid()
    ended = {"result": 0, "cancelled": 0}
    functions = [
        lambda n: tasks.count_up.submit(dice.randrange(20_000), n),
        lambda n: tasks.pause.submit(dice.random() / 500, n),
        lambda n: tasks.number.submit(n),
    ]
    for each in range(1000):
        task, other = dice.choice(functions)(each), tasks.number.submit(-each)
        end = time.perf_counter() + dice.random() / 500
        while time.perf_counter() < end:
            pass
        if each % 4 == 0:  # a slow machine cancels them all before they begin
            tasks.number(0)
        call = task._call
        if call is not None and dice.random() < 0.5:
            call.cancel(True)  # interrupted at once, as at the end of a grace
        task.cancel(grace=None)  # and nobody is killed, however slow this machine is
        try:
            assert task.result(LONG_S) == each
            ended["result"] += 1
        except ringbridge.Cancelled:
            ended["cancelled"] += 1
        assert other.result(LONG_S) == -each
        assert tasks.number(each) == each
    assert ended["cancelled"] > 50 and ended["result"] > 50, ended
    assert tasks.pid() == pid


def test_two_threads_may_cancel_a_task_that_ends_meanwhile(
    tasks: ringbridge.RemoteModule,
) -> None:
    """A cancel beside the task's end raised RuntimeError, from Future's own states."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for each in range(500):
            task = tasks.number.submit(each)
            cancels = [pool.submit(task.cancel) for _ in range(2)]
            for cancel in cancels:
                assert cancel.result(LONG_S) in (True, False)
            with contextlib.suppress(ringbridge.Cancelled):
                assert task.result(LONG_S) == each
            assert task.done()


# ---------------------------------------------------------------------------------------- deadlines


def test_a_task_that_is_late_ends_with_call_timeout_and_is_interrupted(
    tasks: ringbridge.RemoteModule, fifo: Path
) -> None:
    pid = tasks.pid()
    task = tasks.sleep_long.options(timeout=2.5).submit(str(fifo))  # it begins before that
    open(fifo).close()
    with pytest.raises(ringbridge.CallTimeout, match=r"within its timeout of 2\.5 s"):
        task.result(LONG_S)
    assert isinstance(task.exception(), TimeoutError)
    assert tasks.pid() == pid  # it was interrupted: this ends


def test_a_deadline_that_is_not_reached_changes_nothing(tasks: ringbridge.RemoteModule) -> None:
    assert tasks.number.options(timeout=LONG_S).submit(1).result() == 1


def test_tasks_that_are_late_before_they_were_sent_leave_nothing(
    make_worker: MakeWorker, gate: Gate
) -> None:
    """Such a call is never answered: it stayed in the inbox for ever."""
    module = make_worker(limits={"ring_bytes": 64 << 10}).load("rbr_testing.duties")
    first = module.pass_on.submit(gate.started, gate.release)
    gate.entered()
    late = [module.number.options(timeout=0.05).submit("x" * 2000) for _ in range(100)]
    for task in late:
        with pytest.raises(ringbridge.CallTimeout):
            task.result(LONG_S)
    gate.open()
    first.result(LONG_S)
    assert module.number(1) == 1
    until(lambda: not first._reader.inbox.calls)
