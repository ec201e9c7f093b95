# SPDX-License-Identifier: MIT
"""Pool: its calls, its workers' life, its options. (The Executor contract, as the standard library
tests it: test_pool_stdlib. Deaths and cancels, functions, shared arguments: test_pool_*.)"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rbr_testing import pools

import ringbridge
from ringbridge import Pool, WorkerDied

HERE = Path(__file__).resolve().parent
TIMEOUT_S = 40

MakePool = Callable[..., Pool]


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(sys.executable, 2, paths=[HERE], name="common") as made:
        yield made


# ------------------------------------------------------------------------------------------ calls


def test_a_call_gives_a_future_of_the_standard_library(pool: Pool) -> None:
    future = pool.submit("operator:add", 2, 3)
    assert isinstance(future, concurrent.futures.Future)
    assert future.result(TIMEOUT_S) == 5


def test_every_argument_arrives_whatever_its_name(pool: Pool) -> None:
    future = pool.submit(pools.spelled, 1, key=2, fn=3, self=4, args=5)
    assert future.result(TIMEOUT_S) == ((1,), {"key": 2, "fn": 3, "self": 4, "args": 5})


def test_map_gives_the_results_in_order(pool: Pool) -> None:
    for chunksize in (1, 3, 100):
        found = pool.map(pools.add, range(20), range(20), chunksize=chunksize)
        assert list(found) == [2 * i for i in range(20)]


def test_what_a_call_raises_comes_with_the_traceback_of_over_there(pool: Pool) -> None:
    with pytest.raises(ValueError, match="no such thing") as caught:
        pool.submit(pools.fail, "no such thing").result(TIMEOUT_S)
    assert "in fail" in str(caught.value.__cause__)


def test_a_value_that_cannot_cross_fails_its_own_call_only(pool: Pool) -> None:
    bad, good = pool.submit(pools.spelled, object()), pool.submit(pools.spelled, 1)
    assert isinstance(bad.exception(TIMEOUT_S), ringbridge.CannotCross)
    assert good.result(TIMEOUT_S) == ((1,), {})


def test_an_asyncio_loop_runs_calls_in_it(pool: Pool) -> None:
    async def three() -> list[int]:
        loop = asyncio.get_running_loop()
        awaited = [loop.run_in_executor(pool, pools.add, i, 1) for i in range(3)]
        return await asyncio.wait_for(asyncio.gather(*awaited), TIMEOUT_S)

    assert asyncio.run(three()) == [1, 2, 3]


def test_a_long_call_holds_no_short_one_back(pool: Pool, fifo: Path, tmp_path: Path) -> None:
    go_on = tmp_path / "go on"
    long = pool.submit(pools.wait_for, str(go_on), str(fifo))
    fifo.read_text()
    short = [pool.submit(pools.pid) for _ in range(50)]
    done, waiting = concurrent.futures.wait(short, TIMEOUT_S)
    assert not waiting and not long.done()
    go_on.touch()
    assert long.result(TIMEOUT_S) not in {each.result() for each in done}


def test_what_code_calls_back_runs_on_the_thread_of_its_worker(pool: Pool) -> None:
    def here(number: int) -> tuple[int, str]:
        return 2 * number, threading.current_thread().name

    doubled, thread = pool.submit(pools.call_twice, here, 1).result(TIMEOUT_S)
    assert doubled == 4
    assert thread.startswith("ringbridge pool common-")


def test_what_a_callback_raises_fails_its_own_call_only(pool: Pool) -> None:
    for error in (ValueError("of the callback"), SystemExit(3)):

        def raising(_number: int, error: BaseException = error) -> None:
            raise error

        bad = pool.submit(pools.call_twice, raising, 1)
        assert isinstance(bad.exception(TIMEOUT_S), type(error))
        assert pool.submit(pools.add, 1).result(TIMEOUT_S) == 1


def test_what_code_logs_is_logged_here(pool: Pool, caplog: pytest.LogCaptureFixture) -> None:
    assert pool.submit(pools.log, "half of it").result(TIMEOUT_S) is None
    told = [record.name for record in caplog.records if record.message == "half of it"]
    assert told in [[f"ringbridge.worker.common-{n}.rbr_testing.pools"] for n in (1, 2)]


# ---------------------------------------------------------------------------------- workers' life


def test_workers_are_started_when_there_is_work_for_them(make_pool: MakePool) -> None:
    pool = make_pool(4)
    assert {pool.submit(pools.pid).result(TIMEOUT_S) for _ in range(5)} < set(range(1 << 23))
    assert len(pool._crew._threads) == 1


def test_neither_side_imports_numpy_for_a_pool(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, ringbridge\n"
        f"with ringbridge.Pool({sys.executable!r}, 1) as pool:\n"
        """    there = pool.submit(eval, "'numpy' in __import__('sys').modules").result()\n"""
        "print(there, 'numpy' in sys.modules)\n"
    )
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=50)
    assert (run.stdout, run.stderr) == ("False False\n", "")


def test_there_are_never_more_workers_than_the_size(make_pool: MakePool, tmp_path: Path) -> None:
    pool = make_pool(2)
    waiting = [pool.submit(pools.wait_for, str(tmp_path / "go")) for _ in range(20)]
    (tmp_path / "go").touch()
    assert len({each.result(TIMEOUT_S) for each in waiting}) == 2


def test_a_worker_is_replaced_after_its_number_of_calls(make_pool: MakePool) -> None:
    pool = make_pool(1, max_tasks_per_child=3, initializer=pools.remember, initargs=("begun",))
    pids = [pool.submit(pools.pid).result(TIMEOUT_S) for _ in range(7)]
    assert [pids.index(pid) for pid in pids] == [0, 0, 0, 3, 3, 3, 6]
    assert pool.submit(pools.remembered).result(TIMEOUT_S) == ["begun"]


def test_the_threads_of_the_workers_share_the_cpus(make_pool: MakePool) -> None:
    cpus = len(os.sched_getaffinity(0))
    for size, threads, expected in (
        (1, "auto", str(cpus)),
        (2 * cpus, "auto", "1"),
        (1, 7, "7"),
    ):
        pool = make_pool(size, threads=threads)
        assert pool.submit(pools.variable, "OMP_NUM_THREADS").result(TIMEOUT_S) == expected


def test_without_a_size_there_are_as_many_workers_as_cpus(make_pool: MakePool) -> None:
    assert make_pool(None).size == len(os.sched_getaffinity(0))


def test_a_pool_that_nobody_holds_does_its_work_and_ends() -> None:
    pool = Pool(sys.executable, 2)
    threads = pool._crew._threads
    futures = [pool.submit("os:getpid") for _ in range(10)]
    del pool
    gc.collect()
    pids = {future.result(TIMEOUT_S) for future in futures}
    for thread in threads:
        thread.join(TIMEOUT_S)
        assert not thread.is_alive()
    assert all(pools.ended(pid) for pid in pids)


@pytest.mark.usefixtures("nothing_left")
def test_an_ended_pool_leaves_nothing_behind() -> None:
    with Pool(sys.executable, 2, paths=[HERE]) as pool:
        list(pool.map(pools.length, [b"x" * 100_000] * 4))
        assert isinstance(pool.submit(pools.die).exception(TIMEOUT_S), WorkerDied)


def test_what_was_submitted_is_done_before_the_interpreter_ends(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import pathlib, ringbridge\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        f"pool = ringbridge.Pool({sys.executable!r}, 2)\n"
        "for i in range(4):\n"
        "    pool.submit('pathlib:Path.touch', folder / str(i))\n"
    )
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=50)
    assert (run.returncode, run.stderr) == (0, "")
    assert all((tmp_path / str(i)).exists() for i in range(4))


def test_a_finaliser_may_submit_while_another_submit_is_under_way(make_pool: MakePool) -> None:
    # It waited for the lock that its own thread held.
    pool = make_pool(1)
    futures = []

    def finalised() -> Iterator[Any]:
        futures.append(pool.submit(abs, -1))
        yield from ()

    pool._crew.add(finalised())
    assert futures[0].result(TIMEOUT_S) == 1


def test_nothing_is_taken_when_the_interpreter_has_ended(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import atexit, ringbridge\n"
        f"pool = ringbridge.Pool({sys.executable!r}, 1)\n"
        "atexit.register(lambda: pool.submit('os:getpid'))\n"
        "pool.submit('os:getpid').result()\n"
    )
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=50)
    assert "RuntimeError: cannot schedule new futures after interpreter shutdown" in run.stderr


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # fork with threads: meant
def test_a_forked_child_is_told_to_make_a_pool_of_its_own(pool: Pool) -> None:
    pool.submit(pools.pid).result(TIMEOUT_S)
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            pool.submit(pools.pid)
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


# ---------------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"size": 0}, ValueError, "size must be 1 or more"),
        ({"size": True}, TypeError, "size must be an int"),
        ({"max_tasks_per_child": 0}, ValueError, "max_tasks_per_child must be 1 or more"),
        ({"threads": "all"}, ValueError, "'auto' or None"),
        ({"threads": 0}, ValueError, "threads must be 1 or more"),
        ({"paths": ["/no/such/folder"]}, ValueError, "there is no /no/such/folder"),
        ({"limits": {"rings": 1}}, ValueError, "limits has no 'rings'"),
        ({"call_timeout": -1}, ValueError, "call_timeout must be more than 0"),
        ({"pickle": 1}, TypeError, "pickle must be True or False"),
        ({"initializer": "no colon"}, ValueError, "module:function"),
    ],
)
def test_a_wrong_option_is_told_at_once(
    make_pool: MakePool, options: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        make_pool(**options)


def test_a_missing_environment_is_told_at_once() -> None:
    with pytest.raises(ringbridge.EnvironmentNotFound):
        Pool("/no/such/environment")
