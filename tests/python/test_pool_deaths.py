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
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
from rbr_testing import pools

import ringbridge
from ringbridge import BrokenPool, Pool, WorkerDied

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
    deadline = time.monotonic() + TIMEOUT_S
    while not seat._handed:  # it goes into the ring of a worker that does not read it
        assert time.monotonic() < deadline
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)
    assert handed.result(TIMEOUT_S) not in (pid, None)


def test_where_it_is_not_known_a_call_is_not_run_twice(make_pool: MakePool) -> None:
    pool = make_pool(1)
    pid = pool.submit(pools.pid).result(TIMEOUT_S)
    seat = pool._crew._seats[0]
    seat._marks = None  # as where /proc is not what it should be
    os.kill(pid, signal.SIGSTOP)
    handed = pool.submit(pools.pid)
    deadline = time.monotonic() + TIMEOUT_S
    while not seat._handed:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)
    assert isinstance(handed.exception(TIMEOUT_S), WorkerDied)


def test_a_call_that_kills_every_worker_before_it_begins_fails(make_pool: MakePool) -> None:
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
