# SPDX-License-Identifier: MIT
"""Pool: what becomes of calls when workers die or do not start, and what cancel does."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rbr_testing import pools
from rbr_testing.eventually import until

import ringbridge
from ringbridge import BrokenPool, Pool, WorkerDied, timers

HERE = Path(__file__).resolve().parent
TIMEOUT_S = 40

MakePool = Callable[..., Pool]


# --------------------------------------------------------------------------------- workers' death


def test_of_a_crash_only_the_guilty_call_fails(make_pool: MakePool, tmp_path: Path) -> None:
    pool, log = make_pool(2), tmp_path / "log"
    before = [pool.submit(pools.add, i) for i in range(50)]
    guilty = pool.submit(pools.die, 9, str(log))
    after = [pool.submit(pools.add, i) for i in range(50)]
    error = guilty.exception(TIMEOUT_S)
    assert isinstance(error, WorkerDied) and error.exit_code == 9
    assert "rbr_testing.pools:die" in str(error)
    assert [each.result(TIMEOUT_S) for each in (*before, *after)] == [*range(50), *range(50)]
    assert log.read_text() == "x", "it was tried again"


def test_a_failed_call_keeps_no_arguments(make_pool: MakePool) -> None:
    pool, argument = make_pool(1, pickle=True), pools.Adder(1)
    gone = weakref.ref(argument)
    failed = pool.submit(pools.fail, argument)
    assert isinstance(failed.exception(TIMEOUT_S), ValueError)
    del argument
    pool.submit(pools.pid).result(TIMEOUT_S)  # the thread has gone on to the next call
    gc.collect()
    assert gone() is None


def test_a_worker_that_died_while_it_was_idle_fails_no_call(make_pool: MakePool) -> None:
    pool = make_pool(1)
    pid = pool.submit(pools.pid).result(TIMEOUT_S)
    os.kill(pid, signal.SIGKILL)
    assert pool.submit(pools.pid).result(TIMEOUT_S) != pid


def test_a_call_that_had_not_begun_is_run_elsewhere(make_pool: MakePool) -> None:
    pool = make_pool(1)
    pid = pool.submit(pools.pid).result(TIMEOUT_S)
    os.kill(pid, signal.SIGSTOP)
    handed, seat = pool.submit(pools.pid), pool._crew._seats[0]
    # It goes into the ring of a worker that does not read it.
    until(lambda: seat._call is not None)
    os.kill(pid, signal.SIGKILL)
    assert handed.result(TIMEOUT_S) not in (pid, None)


def test_a_call_whose_workers_all_die_before_it_begins_fails(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, killed = make_pool(1), []
    pool.submit(pools.pid).result(TIMEOUT_S)
    seat = pool._crew._seats[0]

    def kill() -> None:
        assert seat._worker is not None and seat._worker.pid is not None
        killed.append(seat._worker.pid)
        os.kill(seat._worker.pid, signal.SIGKILL)

    with monkeypatch.context() as patched:
        patched.setattr(pool._crew, "started", kill)
        kill()
        assert isinstance(pool.submit(pools.add, 1).exception(TIMEOUT_S), WorkerDied)
    assert 3 <= len(set(killed)) <= 4  # the first one's death may be seen before it gets the call
    assert pool.submit(pools.add, 1).result(TIMEOUT_S) == 1


def test_a_call_that_kills_its_worker_as_its_arguments_arrive_fails(make_pool: MakePool) -> None:
    pool = make_pool(1, pickle=True)
    guilty = pool.submit(pools.spelled, pools.Deadly())
    good = pool.submit(pools.add, 1)
    assert isinstance(guilty.exception(TIMEOUT_S), WorkerDied)
    assert good.result(TIMEOUT_S) == 1


def test_an_initializer_that_fails_breaks_the_pool(
    make_pool: MakePool, caplog: pytest.LogCaptureFixture
) -> None:
    pool = make_pool(2, initializer=pools.fail, initargs=("no licence",))
    futures = []
    with contextlib.suppress(BrokenPool):
        futures += [pool.submit(pools.pid) for _ in range(10)]
    for future in futures:
        error = future.exception(TIMEOUT_S)
        assert isinstance(error, concurrent.futures.BrokenExecutor)
        assert isinstance(error, ringbridge.RingbridgeError)
        assert "initializer failed: ValueError: no licence" in str(error)
        assert isinstance(error.__cause__, ValueError)
    with pytest.raises(BrokenPool, match="no licence"):
        pool.submit(pools.pid)
    told = [(record.name, record.levelno) for record in caplog.records]
    assert told.count(("ringbridge.pool.tested", logging.ERROR)) == 1


def test_a_worker_that_dies_in_its_initializer_breaks_the_pool(make_pool: MakePool) -> None:
    pool = make_pool(1, initializer=pools.die)
    assert isinstance(pool.submit(pools.pid).exception(TIMEOUT_S), BrokenPool)


STARTS = """
import os
with open({log!r}, "a") as file:
    file.write("x")
if os.path.getsize({log!r}) in {fatal!r}:
    os._exit(3)
"""


def starting(folder: Path, *fatal: int) -> tuple[dict[str, str], Path]:
    """Variables with which the workers of these numbers (from 1) die when they are started."""
    log = folder / "starts"
    (folder / "sitecustomize.py").write_text(STARTS.format(log=str(log), fatal=fatal))
    return {"PYTHONPATH": str(folder)}, log


def test_a_pool_whose_first_worker_does_not_start_is_broken(
    make_pool: MakePool, tmp_path: Path
) -> None:
    environ, log = starting(tmp_path, *range(1, 100))
    error = make_pool(1, environ=environ).submit(pools.pid).exception(TIMEOUT_S)
    assert isinstance(error, BrokenPool)
    assert isinstance(error.__cause__, ringbridge.WorkerStartFailed)
    assert log.read_text() == "x"


def test_workers_that_do_not_start_again_and_again_break_the_pool(
    make_pool: MakePool, tmp_path: Path
) -> None:
    environ, log = starting(tmp_path, *range(2, 100))
    pool = make_pool(1, environ=environ)
    assert isinstance(pool.submit(pools.die).exception(TIMEOUT_S), WorkerDied)
    assert isinstance(pool.submit(pools.pid).exception(TIMEOUT_S), BrokenPool)
    assert log.read_text() == "x" * 4


def test_a_start_that_fails_now_and_then_is_tried_again(
    make_pool: MakePool, tmp_path: Path
) -> None:
    environ, log = starting(tmp_path, 2, 3)
    pool = make_pool(1, environ=environ)
    assert isinstance(pool.submit(pools.die).exception(TIMEOUT_S), WorkerDied)
    assert pool.submit(pools.pid).result(TIMEOUT_S)
    assert log.read_text() == "x" * 4


# --------------------------------------------------------------------------------------- timeouts


def test_a_call_that_is_late_costs_its_worker_only(make_pool: MakePool, fifo: Path) -> None:
    pool = make_pool(1, call_timeout=4)
    late = pool.submit(pools.sleep, str(fifo))
    pid = int(fifo.read_text())
    error = late.exception(TIMEOUT_S)
    assert isinstance(error, ringbridge.CallTimeout)
    assert "rbr_testing.pools:sleep" in str(error)
    assert pool.submit(pools.pid).result(TIMEOUT_S) != pid
    assert pools.ended(pid)


# ----------------------------------------------------------------------------------------- cancel


def test_cancel_interrupts_what_runs_and_keeps_the_worker(make_pool: MakePool, fifo: Path) -> None:
    pool = make_pool(1)
    running = pool.submit(pools.sleep, str(fifo))
    pid = int(fifo.read_text())
    assert running.cancel(grace=None)
    assert running.cancelled() and running.done()
    with pytest.raises(concurrent.futures.CancelledError):
        running.result(TIMEOUT_S)
    assert pool.submit(pools.pid).result(TIMEOUT_S) == pid


def test_cancel_kills_what_cannot_be_interrupted(make_pool: MakePool, fifo: Path) -> None:
    pool = make_pool(1)
    running = pool.submit(pools.sleep_in_peace, str(fifo))
    pid = int(fifo.read_text())
    assert running.cancel(grace=0.1)
    assert pool.submit(pools.pid).result(TIMEOUT_S) != pid
    assert pools.ended(pid)


def test_without_a_grace_what_runs_is_killed_at_once(make_pool: MakePool, fifo: Path) -> None:
    pool = make_pool(1)
    running = pool.submit(pools.sleep_in_peace, str(fifo))
    pid = int(fifo.read_text())
    assert running.cancel(grace=0)
    assert running.cancelled()
    assert pool.submit(pools.pid).result(TIMEOUT_S) != pid
    assert pools.ended(pid)


def test_the_end_of_a_grace_hits_no_later_call(
    make_pool: MakePool, fifo: Path, tmp_path: Path
) -> None:
    pool, go_on = make_pool(1), tmp_path / "go on"
    running = pool.submit(pools.sleep, str(fifo))
    fifo.read_text()
    assert running.cancel(grace=None)
    later = pool.submit(pools.wait_for, str(go_on), str(fifo))
    pid = int(fifo.read_text())
    pool._crew._seats[0]._kill(running)  # as its timer does
    go_on.touch()
    assert later.result(TIMEOUT_S) == pid


def test_a_cancel_while_a_call_is_being_sent_is_heard(make_pool: MakePool) -> None:
    pool = make_pool(1, pickle=True)
    pid = pool.submit(pools.pid).result(TIMEOUT_S)
    submitted = threading.Event()

    class Hour:
        def __reduce__(self) -> Any:
            assert submitted.wait(TIMEOUT_S)
            assert sent.cancel(grace=None)
            return float, ("3600",)

    sent = pool.submit("time:sleep", Hour())
    submitted.set()
    assert pool.submit(pools.pid).result(TIMEOUT_S) == pid
    assert sent.cancelled()


def test_where_no_timer_can_be_had_what_runs_is_killed_at_once(
    make_pool: MakePool, fifo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the interpreter ends, which must not wait for it."""

    def none(_seconds: float, _function: Callable[[], object]) -> None:
        raise RuntimeError("can't start new thread")

    pool = make_pool(1)
    running = pool.submit(pools.sleep_in_peace, str(fifo))
    pid = int(fifo.read_text())
    with monkeypatch.context() as patched:
        patched.setattr(timers, "after", none)
        assert running.cancel(grace=3600)
    assert pools.ended(pid)


def test_a_second_cancel_with_less_grace_is_sooner(make_pool: MakePool, fifo: Path) -> None:
    pool = make_pool(1)
    running = pool.submit(pools.sleep_in_peace, str(fifo))
    pid = int(fifo.read_text())
    assert running.cancel(grace=3600)
    assert running.cancel(grace=0)
    until(lambda: pools.ended(pid), "the worker's end")
    assert pool.submit(pools.add, 1).result(TIMEOUT_S) == 1


def test_a_bad_grace_is_refused(make_pool: MakePool) -> None:
    future = make_pool(1).submit(pools.add, 1)
    with pytest.raises(ValueError, match="grace must be seconds"):
        future.cancel(grace=-1)
    assert future.result(TIMEOUT_S) == 1


def test_a_cancel_ends_the_import_of_the_module_too(
    make_pool: MakePool, tmp_path: Path, fifo: Path
) -> None:
    (tmp_path / "slow_to_import.py").write_text(
        f"import time\nopen({str(fifo)!r}, 'w').close()\ntime.sleep(3600)\n"
    )
    pool = make_pool(1, paths=[HERE, tmp_path])
    importing = pool.submit("slow_to_import:function")
    fifo.read_text()
    assert importing.cancel(grace=0.1)
    assert pool.submit(pools.add, 1).result(TIMEOUT_S) == 1


def test_a_cancel_leaves_the_initializer_alone(
    make_pool: MakePool, tmp_path: Path, fifo: Path
) -> None:
    """It was killed like a call that does not end, which broke the pool."""
    go_on = tmp_path / "go on"
    pool = make_pool(1, initializer=pools.wait_for, initargs=(str(go_on), str(fifo)))
    waiting, killed = pool.submit(pools.pid), threading.Event()
    fifo.read_text()
    assert waiting.cancel(grace=0)
    timers.after(0, killed.set)  # after the timer of the cancel
    assert killed.wait(TIMEOUT_S)
    go_on.touch()
    assert pool.submit(pools.add, 1).result(TIMEOUT_S) == 1


def test_who_waits_hears_of_a_cancel(make_pool: MakePool, fifo: Path) -> None:
    pool, heard = make_pool(1), []
    running, pending = pool.submit(pools.sleep, str(fifo)), pool.submit(pools.pid)
    for future in (running, pending):
        future.add_done_callback(heard.append)
    fifo.read_text()
    assert pending.cancel() and running.cancel()
    assert heard == [pending, running]
    assert concurrent.futures.wait([running, pending], TIMEOUT_S).not_done == set()
    assert list(concurrent.futures.as_completed([running], TIMEOUT_S)) == [running]


def test_what_has_ended_cannot_be_cancelled(make_pool: MakePool) -> None:
    future = make_pool(1).submit(pools.add, 1)
    assert future.result(TIMEOUT_S) == 1
    assert not future.cancel()
    assert not future.cancelled()


def test_a_cancelled_asyncio_task_cancels_the_call(make_pool: MakePool, fifo: Path) -> None:
    pool = make_pool(1)

    async def impatient() -> int:
        asleep = asyncio.wrap_future(pool.submit(pools.sleep, str(fifo)))
        pid = int(await asyncio.to_thread(fifo.read_text))
        asleep.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asleep
        return pid

    pid = asyncio.run(impatient())
    assert pool.submit(pools.pid).result(TIMEOUT_S) == pid


def test_cancels_at_any_moment_reach_no_other_call(make_pool: MakePool) -> None:
    pool = make_pool(2)
    for round_number in range(150):
        futures = [pool.submit(pools.add, round_number, i) for i in range(4)]
        cancelled = [future.cancel() for future in futures[::2]]
        results = [future.result(TIMEOUT_S) for future in futures[1::2]]
        assert results == [round_number + 1, round_number + 3]
        for i, (future, was) in enumerate(zip(futures[::2], cancelled)):
            assert was == future.cancelled()
            assert was or future.result() == round_number + 2 * i


def test_ctrl_c_ends_an_initializer_too(fifo: Path) -> None:
    options = {"paths": [HERE], "initializer": pools.sleep, "initargs": (str(fifo),)}
    with pytest.raises(KeyboardInterrupt), Pool(sys.executable, 1, **options) as pool:
        waiting = pool.submit(pools.pid)
        pid = int(fifo.read_text())
        raise KeyboardInterrupt
    assert waiting.cancelled()
    assert pools.ended(pid)


def test_ctrl_c_ends_a_pool_soon(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"import ringbridge, signal\n"
        # A job in the background of a shell begins with SIGINT ignored.
        f"signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"with ringbridge.Pool({sys.executable!r}, 2) as pool:\n"
        f"    futures = [pool.submit('time:sleep', 3600) for _ in range(9)]\n"
        f"    while not futures[0].running(): pass\n"
        f"    print('running', flush=True)\n"
        f"    futures[0].result()\n"
    )
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as host:
        assert host.stdout is not None and host.stdout.readline() == "running\n"
        host.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in host.communicate(timeout=TIMEOUT_S)[1]
