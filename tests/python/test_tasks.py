# SPDX-License-Identifier: MIT
"""Tasks: what users of concurrent.futures rely on, order, bad ends, and what is left of them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rbr_testing import rounds
from rbr_testing.basics import open_fds
from rbr_testing.eventually import LONG_S, Gate, collected, until
from rbr_testing.fixtures import MakeWorker

import ringbridge

HERE = Path(__file__).resolve().parent


# ------------------------------------------------------------------------------ as standard futures


def test_a_task_is_a_concurrent_future_with_its_result(tasks: ringbridge.RemoteModule) -> None:
    task = tasks.says.submit("hello")
    assert isinstance(task, concurrent.futures.Future)
    assert task.result(timeout=LONG_S) == "hello there"
    assert task.done() and not task.running() and not task.cancelled()
    assert task.exception() is None
    assert not task.cancel()  # too late
    assert task.result() == "hello there"
    assert "says finished" in repr(task)


def test_an_exception_is_raised_by_result_and_given_by_exception(
    tasks: ringbridge.RemoteModule, basics: ringbridge.RemoteModule
) -> None:
    task = basics.fail.submit("KeyError", "key")
    with pytest.raises(KeyError) as caught:
        task.result(timeout=LONG_S)
    assert caught.value.args == ("key",)
    assert "in fail" in str(caught.value.__cause__)
    assert task.exception() is caught.value
    with pytest.raises(ringbridge.CannotCross):
        basics.uncrossable.submit().result(timeout=LONG_S)


def test_arguments_that_cannot_cross_raise_in_submit(tasks: ringbridge.RemoteModule) -> None:
    with pytest.raises(ringbridge.CannotCross, match=r"args\[0\]"):
        tasks.number.submit(object())


def test_wait_and_as_completed_take_tasks(tasks: ringbridge.RemoteModule) -> None:
    submitted = [tasks.number.submit(each) for each in range(50)]
    done, left = concurrent.futures.wait(submitted, timeout=LONG_S)
    assert done == set(submitted) and not left
    submitted = [tasks.number.submit(each) for each in range(50)]
    finished = concurrent.futures.as_completed(submitted, timeout=LONG_S)
    assert sorted(task.result() for task in finished) == list(range(50))


def test_wait_hears_of_cancelled_tasks(tasks: ringbridge.RemoteModule, gate: Gate) -> None:
    first = tasks.pass_on.submit(gate.started, gate.release)
    gate.entered()
    second = tasks.number.submit(2)
    waiting = concurrent.futures.ThreadPoolExecutor(1)
    heard = waiting.submit(concurrent.futures.wait, [second], LONG_S)
    assert second.cancel()
    assert heard.result(LONG_S).done == {second}
    waiting.shutdown()
    gate.open()
    first.result(LONG_S)


def test_wrap_future_makes_an_asyncio_future_of_a_task(tasks: ringbridge.RemoteModule) -> None:
    task = tasks.number.submit(5)

    async def main() -> Any:
        return await asyncio.wait_for(asyncio.wrap_future(task), LONG_S)

    assert asyncio.run(main()) == 5


def test_done_callbacks_run_before_and_after_the_end(tasks: ringbridge.RemoteModule) -> None:
    heard: list[tuple[Any, str]] = []
    called = threading.Event()

    def hear(task: Any) -> None:
        heard.append((task, threading.current_thread().name))
        called.set()

    task = tasks.number.submit(1)
    task.add_done_callback(hear)
    assert called.wait(LONG_S)
    task.add_done_callback(hear)  # at once, here
    assert [each for each, _ in heard] == [task, task]
    assert heard[1][1] == threading.current_thread().name


def test_a_result_that_is_late_is_a_timeout_and_comes_later(
    tasks: ringbridge.RemoteModule, gate: Gate
) -> None:
    task = tasks.pass_on.submit(gate.started, gate.release, "late")
    gate.entered()
    with pytest.raises((TimeoutError, concurrent.futures.TimeoutError)):
        task.result(timeout=0.01)
    with pytest.raises((TimeoutError, concurrent.futures.TimeoutError)):
        task.exception(timeout=0)
    assert task.running() and not task.done()
    assert "running" in repr(task)
    gate.open()
    assert task.result(timeout=LONG_S) == "late"


def test_a_done_callback_that_ends_its_thread_does_not_end_other_tasks(
    tasks: ringbridge.RemoteModule, gate: Gate
) -> None:
    """SystemExit once ended the thread that reads, and the tasks that it read for never ended."""
    first = tasks.pass_on.submit(gate.started, gate.release)
    first.add_done_callback(lambda _task: sys.exit(3))
    gate.entered()
    others = [tasks.number.submit(each) for each in range(20)]
    gate.open()
    assert [task.result(timeout=LONG_S) for task in others] == list(range(20))


def test_calls_of_a_thread_run_in_the_order_of_their_submits(
    tasks: ringbridge.RemoteModule,
) -> None:
    def submit(thread: int) -> list[Any]:
        return [tasks.note.submit([thread, each]) for each in range(500)]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for submitted in list(pool.map(submit, range(4))):
            concurrent.futures.wait(submitted, LONG_S)
    seen = tasks.take_seen()
    assert len(seen) == 2000
    for thread in range(4):
        assert [each for number, each in seen if number == thread] == list(range(500))


def test_blocking_calls_and_tasks_mix(tasks: ringbridge.RemoteModule) -> None:
    for each in range(300):
        task = tasks.number.submit(each)
        assert tasks.number(-each) == -each
        assert task.result(LONG_S) == each


# --------------------------------------------------------------------------- the worker's end, ours


def test_all_tasks_fail_when_the_worker_is_killed(make_worker: MakeWorker, fifo: Path) -> None:
    worker = make_worker()
    module = worker.load("rbr_testing.duties")
    running = module.sleep_long.submit(str(fifo))
    open(fifo).close()
    waiting = [module.number.submit(each) for each in range(20)]
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    errors = [task.exception(LONG_S) for task in (running, *waiting)]
    assert all(isinstance(error, ringbridge.WorkerDied) for error in errors)
    assert {error.signal for error in errors} == {signal.SIGKILL}  # type: ignore[union-attr]
    assert len({id(error) for error in errors}) == len(errors)  # each gets its own traceback
    with pytest.raises(ringbridge.WorkerDied):
        module.number.submit(1)


def test_close_ends_pending_tasks(make_worker: MakeWorker, fifo: Path) -> None:
    worker = make_worker()
    module = worker.load("rbr_testing.duties")
    running = module.sleep_long.submit(str(fifo))
    open(fifo).close()
    waiting = [module.number.submit(each) for each in range(5)]
    worker.close()
    assert isinstance(running.exception(LONG_S), ringbridge.RingbridgeError)
    for each, task in enumerate(waiting):  # the worker may finish what it can
        error = task.exception(LONG_S)
        assert isinstance(error, ringbridge.RingbridgeError) or task.result() == each
    with pytest.raises(ringbridge.RingbridgeError, match="closed"):
        module.number.submit(1)


PROGRAM = """
import os, signal, sys, threading, time
sys.path.insert(0, {here!r})
import ringbridge

def main(worker):
    tasks = worker.load("rbr_testing.duties")
    assert tasks.number.submit(1).result() == 1
    {body}

with_ = ringbridge.Worker(sys.executable, name="own", paths=[{here!r}])
main(with_)
"""


def run_program(body: str) -> tuple[int, str]:
    lines = ("\n" + " " * 4).join(body.strip().splitlines())
    program = PROGRAM.format(here=str(HERE), body=lines)
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program],
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_an_interpreter_ends_well_with_tasks_pending(nothing_left: None) -> None:
    body = """
tasks.pause.submit(3600)
[tasks.number.submit(each) for each in range(100)]
tasks.number.options(timeout=1000).submit(1)
"""
    assert run_program(body) == (0, "")


def test_a_forked_child_of_the_worker_does_not_end_the_call_in_which_it_was_made(
    tasks: ringbridge.RemoteModule, gate: Gate
) -> None:
    # It wrote into its parent's shared memory that nothing runs.
    task = tasks.fork_and_wait.submit(gate.started, gate.release)
    gate.entered()
    assert task.running()
    gate.open()
    assert task.result(LONG_S) == tasks.pid()


def test_a_forked_child_is_refused_and_its_parents_tasks_go_on(nothing_left: None) -> None:
    body = """
task = tasks.pause.submit(0.3, "parent's")
pid = os.fork()
if pid == 0:
    for refused in (lambda: tasks.number.submit(1), task.result, lambda: task.result(1)):
        try:
            refused()
        except ringbridge.RingbridgeError as error:
            assert "fork" in str(error)
        else:
            os._exit(9)
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
assert task.result(20) == "parent's"
print("well")
"""
    assert run_program(body) == (0, "well\n")


@pytest.mark.parametrize(
    "call", ["tasks.sleep_long(fifo)", "list(tasks.one_then_sleeps.stream(fifo))"]
)
def test_ctrl_c_ends_a_blocking_call_and_the_next_one_works(call: str, nothing_left: None) -> None:
    """Ten times the documented 100 ms: the machine does other things, too."""
    body = """
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` has it ignored
pid = tasks.pid()
fifo = "/tmp/%d.ctrl_c" % os.getpid()
os.mkfifo(fifo)
sent = []
def interrupt():
    open(fifo).close()
    sent.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt).start()
try:
    CALL
except KeyboardInterrupt:
    late = time.monotonic() - sent[0]
    assert late < 1.0, late
else:
    raise AssertionError("no KeyboardInterrupt")
finally:
    os.unlink(fifo)
assert tasks.pid() == pid
print("well")
"""
    assert run_program(body.replace("CALL", call)) == (0, "well\n")


# ---------------------------------------------------------------------------------- nothing is kept


def test_results_and_tasks_are_let_go_of(tasks: ringbridge.RemoteModule) -> None:
    """At once: a cycle kept them, with their shared memory, until the collector looked."""
    numpy = pytest.importorskip("numpy")
    gc.disable()
    try:
        task = tasks.number.submit(numpy.zeros(100_000))
        result = weakref.ref(task.result(LONG_S))
        reference = weakref.ref(task)
        assert result() is not None
        del task
        until(lambda: result() is None and reference() is None)
    finally:
        gc.enable()


def test_a_closed_worker_leaves_no_channel_behind(nothing_left: None) -> None:
    """What reads for a channel was found by it in a table, and kept it for ever."""
    worker = ringbridge.Worker(sys.executable, name="own", paths=[HERE])
    module = worker.load("rbr_testing.duties")
    assert module.number.submit(1).result(LONG_S) == 1
    channel = weakref.ref(worker._process.channel())
    worker.close()
    del worker, module
    until(lambda: collected(channel))


@pytest.fixture
def flat_host() -> Iterator[None]:
    fds = open_fds()
    yield
    until(lambda: open_fds() <= fds)


def test_descriptors_and_threads_are_flat_over_workers(flat_host: None) -> None:
    before = threading.active_count()
    for _ in range(rounds.rounds(20)):
        with ringbridge.Worker(sys.executable, name="own", paths=[HERE]) as worker:
            module = worker.load("rbr_testing.duties")
            assert module.number.options(timeout=60).submit(1).result(LONG_S) == 1
            left = module.number.submit(2)
        del worker, module, left
    until(lambda: threading.active_count() <= before + 1)  # the timers' thread
