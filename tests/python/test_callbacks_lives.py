# SPDX-License-Identifier: MIT
"""Callbacks that nobody waits for, how long callbacks live, and calls that end before them."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from rbr_testing.eventually import LONG_S, Gate, collected, until
from rbr_testing.fixtures import MakeWorker
from rbr_testing.loops import amid_a_callback

import ringbridge

HERE = Path(__file__).resolve().parent


# ------------------------------------------------------------------------------------------- notify


def test_ten_thousand_notices_come_in_order(tasks: ringbridge.RemoteModule) -> None:
    got: list[int] = []
    assert tasks.notify(got.append, 10_000, "sent") == "sent"
    assert got == list(range(10_000))
    got.clear()
    task = tasks.notify.submit(got.append, 10_000)
    task.result(LONG_S)
    until(lambda: len(got) == 10_000)
    assert got == list(range(10_000))


def test_at_most_64_notices_are_under_way(tasks: ringbridge.RemoteModule) -> None:
    ahead: list[int] = []
    tasks.notify_counted(lambda each: ahead.append(tasks.sent() - each), 300)
    assert len(ahead) == 300
    assert 32 < max(ahead) <= 64 + 1  # and the one that waits


def test_threads_over_there_may_all_notify(tasks: ringbridge.RemoteModule) -> None:
    """Two that waited for the same notice freed it twice."""
    got: list[int] = []
    tasks.notify_from_threads(got.append, 4, 2000)
    assert sorted(got) == sorted(list(range(2000)) * 4)


def test_what_a_notice_raises_does_not_reach_the_call(tasks: ringbridge.RemoteModule) -> None:
    def fail(_each: int) -> None:
        raise ValueError("nobody hears it")

    assert tasks.notify(fail, 3, "went on") == "went on"
    assert tasks.notify(lambda _each: None, 100, "after it") == "after it"


def test_what_the_last_notices_raise_is_told_though_no_other_call_comes(
    make_worker: MakeWorker, caplog: pytest.LogCaptureFixture
) -> None:
    # It was told when the next one was made, if ever, and without the callback's own lines.
    def fail(each: int) -> None:
        raise ValueError(f"fault {each}")

    module = make_worker().load("rbr_testing.duties")
    assert module.notify.submit(fail, 3, "went on").result(LONG_S) == "went on"
    until(lambda: all(f"ValueError: fault {each}" in caplog.text for each in range(3)))
    assert ", in fail" in caplog.text


# -------------------------------------------------------------------------------------------- lives


def test_a_callback_that_outlives_its_call_says_so(tasks: ringbridge.RemoteModule) -> None:
    def kept() -> None:
        raise AssertionError("it must not be called")

    for use in (tasks.call_kept, tasks.notify_kept):
        tasks.keep_callback(kept)
        with pytest.raises(ringbridge.RemoteError, match="kept came with has ended: a callback"):
            use()


def test_a_callback_is_released_when_the_worker_lets_go_of_it(
    tasks: ringbridge.RemoteModule, fifo: Path
) -> None:
    class Function:
        def __call__(self) -> None:
            pass

    function = Function()
    reference = weakref.ref(function)
    said = threading.Event()
    task = tasks.drop_callback.submit([function], said.set, str(fifo))
    del function
    assert said.wait(LONG_S)
    tasks.number.submit(0)  # something for the reader
    until(lambda: collected(reference))
    assert not task.done()
    open(fifo, "w").close()
    task.result(LONG_S)


LETS_GO = """
import sys

def drop(functions):
    entered, unraisable = [], []

    def look(frame, event, _arg):
        if event == "call" and frame.f_code.co_filename.endswith("callbacks.py"):
            entered.append(frame.f_code.co_name)

    before, sys.unraisablehook = sys.unraisablehook, unraisable.append
    unfinished = type(functions[0]).__new__(type(functions[0]))  # interrupted before its __init__
    sys.setprofile(look)
    try:
        functions.clear()
        del unfinished
    finally:
        sys.setprofile(None)
        sys.unraisablehook = before
    return entered, [str(each.exc_value) for each in unraisable]
"""


def test_no_interrupt_can_fall_into_the_end_of_a_callback(
    make_worker: MakeWorker, tmp_path: Path
) -> None:
    # Its end was a __del__: an interrupt that was raised there was told on stderr, and lost.
    (tmp_path / "lets_go.py").write_text(LETS_GO)
    assert make_worker(paths=[tmp_path]).load("lets_go").drop([print, repr]) == ([], [])


def test_no_callback_is_kept_after_its_call(tasks: ringbridge.RemoteModule) -> None:
    class Function:
        def __call__(self) -> int:
            return 1

    function = Function()
    reference = weakref.ref(function)
    assert tasks.call(function) == 1
    assert tasks.call.submit(function).result(LONG_S) == 1
    assert list(tasks.call_in_stream.stream(lambda _each, f=function: f(), 2)) == [1, 1]
    del function
    until(lambda: collected(reference))


def test_a_coroutine_callback_goes_with_its_closed_loop(tasks: ringbridge.RemoteModule) -> None:
    """It was kept for ever, and the loop with it, and the code over there waited for its answer."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(amid_a_callback(tasks.call))
    loop.close()
    reference = weakref.ref(loop)
    del loop

    async def another() -> ringbridge.Task:
        return tasks.number.submit(1)

    task = asyncio.run(another())  # who comes next lets go of closed loops
    until(lambda: collected(reference))
    assert task.result(LONG_S) == 1


def test_a_coroutine_callback_runs_to_its_end_after_its_call(
    tasks: ringbridge.RemoteModule,
) -> None:
    """A loop holds its tasks only weakly."""
    done: list[int] = []

    async def main() -> None:
        release: list[asyncio.Future[None]] = []

        async def late(each: int) -> None:
            waiter = asyncio.get_running_loop().create_future()
            release.append(weakref.proxy(waiter))
            await waiter
            done.append(each)

        await tasks.notify.submit(late, 3)
        while len(release) < 3:
            await asyncio.sleep(0)
        gc.collect()
        for each in release:
            each.set_result(None)
        while len(done) < 3:
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(main(), LONG_S))
    assert done == [0, 1, 2]


def test_a_call_that_is_given_up_while_its_callback_runs(tasks: ringbridge.RemoteModule) -> None:
    pid = tasks.pid()
    release = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        late = tasks.call.options(timeout=0.2, callbacks_on=pool)
        with pytest.raises(ringbridge.CallTimeout):
            late(release.wait, LONG_S)
        release.set()
    task = tasks.call.options(timeout=0.2).submit((second := threading.Event()).wait, LONG_S)
    with pytest.raises(ringbridge.CallTimeout):
        task.result(LONG_S)
    second.set()
    assert tasks.pid() == pid


@pytest.mark.parametrize("how", ["call_back", "notify"])
def test_a_thread_that_waits_when_its_workers_loop_ends_gets_its_answer(
    make_worker: MakeWorker, fifo: Path, tmp_path: Path, how: str
) -> None:
    """It went on in what had been the stack of that loop: the worker died."""
    worker, gate, result = make_worker(), Gate(tmp_path), tmp_path / "result"
    ended, release = threading.Event(), threading.Event()
    asked: list[int] = []

    def answer() -> int:
        asked.append(1)
        if len(asked) == 1:
            gate.open()
            release.wait(LONG_S)
        return 7

    def loop_ended() -> None:
        open(fifo).close()
        ended.set()

    with ThreadPoolExecutor(1) as pool, ThreadPoolExecutor(1) as closer:
        module = worker.load("rbr_testing.leaving")
        function = getattr(module, f"{how}_from_a_thread").options(callbacks_on=pool)
        function(answer, gate.release, str(fifo), str(result))
        threading.Thread(target=loop_ended, daemon=True).start()
        closing = closer.submit(worker.close)
        ended.wait(LONG_S)
        release.set()
        closing.result(LONG_S)
    assert ended.is_set() and result.read_text() == "7"


def test_a_callback_may_close_its_worker(make_worker: MakeWorker) -> None:
    worker = make_worker()
    module = worker.load("rbr_testing.duties")
    with pytest.raises(ringbridge.RingbridgeError):
        module.call(worker.close)
    assert not worker.alive
    worker = make_worker()
    task = worker.load("rbr_testing.duties").call.submit(worker.close)
    assert isinstance(task.exception(LONG_S), ringbridge.RingbridgeError)


def test_the_worker_dies_in_a_callback(make_worker: MakeWorker) -> None:
    worker = make_worker()
    module, basics = worker.load("rbr_testing.duties"), worker.load("rbr_testing.basics")
    with pytest.raises(ringbridge.WorkerDied):
        module.call(lambda: basics.exit_hard())


def test_a_class_is_no_callback(tasks: ringbridge.RemoteModule) -> None:
    with pytest.raises(ringbridge.CannotCross, match=r"args\[0\]"):
        tasks.call(int)


def test_a_remote_function_as_an_argument_is_the_function_itself(
    tasks: ringbridge.RemoteModule,
) -> None:
    assert tasks.call(tasks.number, 5) == 5
    assert tasks.text_of(tasks.number).startswith("<function number at")


PROGRAM = """
import sys
sys.path.insert(0, {here!r})
import ringbridge
worker = ringbridge.Worker(sys.executable, name="own", paths=[{here!r}])
tasks = worker.load("rbr_testing.duties")
worker_task = tasks.call_many.submit(lambda each: each, 10_000_000)
"""


def test_an_interpreter_ends_amid_callbacks(nothing_left: None) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(here=str(HERE))],
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --------------------------------------------------------------------------------- async functions

ASYNC_ALL_THE_WAY = """
import asyncio

async def down(callback, depth):
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    other = asyncio.ensure_future(asyncio.sleep(0.001, "other"))
    below = callback(depth)
    await asyncio.sleep(0)
    assert (task, loop) == (asyncio.current_task(), asyncio.get_running_loop())
    assert await other == "other"
    return [depth, *below]

def runs_its_own(value):
    return asyncio.run(asyncio.sleep(0, value))

async def items(count):
    for each in range(count):
        await asyncio.sleep(0)
        yield each

def no_loop_runs():
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
"""


def _fail_in_the_middle(_depth: int) -> None:
    raise ValueError("in the middle")


def test_async_functions_of_the_worker_nest(make_worker: MakeWorker, tmp_path: Path) -> None:
    # Only the outermost ran: asyncio.run() cannot be called from a running event loop.
    (tmp_path / "async_all_the_way.py").write_text(ASYNC_ALL_THE_WAY)
    far = make_worker(paths=[tmp_path]).load("async_all_the_way")

    def back(depth: int) -> list[Any]:
        if depth > 0:
            return far.down(back, depth - 1)
        return [far.runs_its_own(7), list(far.items.stream(3)), far.no_loop_runs()]

    bottom = [7, [0, 1, 2], True]
    assert far.down(back, 5) == [5, 4, 3, 2, 1, 0, *bottom]
    assert far.down(back, 0) == [0, *bottom]
    with pytest.raises(ValueError, match="in the middle"):
        far.down(lambda _depth: far.down(_fail_in_the_middle, 1), 2)
    assert far.down(back, 0) == [0, *bottom]
