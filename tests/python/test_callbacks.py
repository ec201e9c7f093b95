# SPDX-License-Identifier: MIT
"""Callbacks: what they give and raise, how they nest, on which thread they run."""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from rbr_testing.eventually import LONG_S
from rbr_testing.fixtures import MakeWorker
from rbr_testing.loops import amid_a_callback

import ringbridge


def thread() -> str:
    return threading.current_thread().name


# ------------------------------------------------------------------------------- results and errors


def test_a_callable_argument_is_called_with_what_it_is_given(
    tasks: ringbridge.RemoteModule,
) -> None:
    assert tasks.call(lambda *args, **kwargs: [args, kwargs], 1, "two", three=[3.0]) == [
        (1, "two"),
        {"three": [3.0]},
    ]
    assert tasks.call(lambda: None) is None
    assert tasks.call(str.upper, "builtin") == "BUILTIN"
    assert tasks.call_many(lambda each: each * each, 200) == [each * each for each in range(200)]


def test_arrays_cross_both_ways_in_a_callback(tasks: ringbridge.RemoteModule) -> None:
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(100_000.0)
    assert numpy.array_equal(tasks.call(lambda given: given * 2, array), array * 2)


def test_what_a_callback_raises_is_raised_there_with_its_traceback(
    tasks: ringbridge.RemoteModule,
) -> None:
    def fail() -> None:
        raise KeyError("of the host")

    assert tasks.call_caught(fail) == "KeyError: 'of the host'; RemoteTraceback"
    with pytest.raises(KeyError, match="of the host") as caught:
        tasks.call(fail)  # not caught there: it comes back
    assert "in call" in str(caught.value.__cause__)
    assert tasks.number(1) == 1


def test_a_result_or_argument_that_cannot_cross_is_told_to_the_caller(
    tasks: ringbridge.RemoteModule,
) -> None:
    assert "CannotCross: result" in tasks.call_caught(lambda: object())
    with pytest.raises(ringbridge.CannotCross, match=r"result"):
        tasks.call(lambda: threading.Lock())
    with pytest.raises(TypeError):
        tasks.call(lambda: None, "too many")


def test_sys_exit_in_a_callback_is_raised_here_and_told_there(
    tasks: ringbridge.RemoteModule,
) -> None:
    with pytest.raises(SystemExit) as caught:
        tasks.call(sys.exit, 3)
    assert caught.value.code == 3
    assert tasks.number(1) == 1


def test_keyboard_interrupt_in_a_callback_ends_the_call_here_and_there(
    tasks: ringbridge.RemoteModule,
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    pid = tasks.pid()
    with pytest.raises(KeyboardInterrupt):
        tasks.call(interrupt)
    with pytest.raises(KeyboardInterrupt):
        list(tasks.call_in_stream.stream(lambda _each: interrupt(), 3))
    assert tasks.pid() == pid


def test_callbacks_in_lists_and_dicts_are_callbacks(tasks: ringbridge.RemoteModule) -> None:
    assert tasks.call_all([lambda: 1, lambda: 2]) == [1, 2]
    assert tasks.call_all({"a": lambda: 1, "b": lambda: 2}) == [1, 2]
    assert tasks.call_all((lambda: 3,)) == [3]


def test_a_callback_has_its_functions_name(tasks: ringbridge.RemoteModule) -> None:
    def report() -> None:
        pass

    assert "callback report of call" in tasks.text_of(report)


# ------------------------------------------------------------------------------------------ nesting


def test_host_and_worker_call_each_other_ten_deep(tasks: ringbridge.RemoteModule) -> None:
    def down(depth: int) -> list[str]:
        return [f"here {depth}"] + (tasks.countdown(down, depth) if depth > 0 else [])

    expected = [f"{where} {depth}" for depth in range(9, 0, -1) for where in ("here", "there")]
    assert tasks.countdown(down, 10) == ["there 10", *expected, "here 0"]


def test_a_callback_may_submit_and_wait(tasks: ringbridge.RemoteModule) -> None:
    assert tasks.call(lambda: tasks.number.submit(5).result(LONG_S)) == 5


def test_tasks_and_their_callbacks_nest_deeper_than_a_pool_has_threads(
    tasks: ringbridge.RemoteModule,
) -> None:
    """The 33rd waited for a thread, which waited for it."""

    def down(depth: int) -> int:
        return tasks.call.submit(down, depth - 1).result(LONG_S) + 1 if depth else 0

    assert tasks.call.submit(down, 60).result(LONG_S) == 60


def test_a_callback_may_read_a_stream_of_the_same_worker(tasks: ringbridge.RemoteModule) -> None:
    """Its items were made by nobody, since the worker waited for the callback."""
    assert tasks.call(lambda: list(tasks.numbers.stream(50))) == list(range(50))
    assert tasks.call(lambda: list(zip(*[tasks.numbers.stream(20) for _ in range(2)]))) == [
        (each, each) for each in range(20)
    ]
    assert tasks.call(lambda: next(tasks.noted.stream(50))) == 0  # dropped
    assert list(tasks.numbers.stream(50)) == list(range(50))


def test_another_thread_may_read_a_stream_that_a_callback_began(
    make_worker: MakeWorker,
) -> None:
    """After 8 items nothing came: what gave credit back did not say within which call."""
    module = make_worker().load("rbr_testing.duties")

    def begin() -> list[int]:
        stream = module.numbers.stream(50)
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(list, stream).result(LONG_S)

    assert module.call.options(timeout=LONG_S)(begin) == list(range(50))


def test_a_stream_begun_outside_goes_on_after_a_callback(tasks: ringbridge.RemoteModule) -> None:
    stream = tasks.numbers.stream(50)
    assert next(stream) == 0
    assert tasks.call(lambda: tasks.number(3)) == 3
    assert list(stream) == list(range(1, 50))


def test_notices_whose_function_calls_back_do_not_block(tasks: ringbridge.RemoteModule) -> None:
    """At the limit the worker waited for the first notice, and that for the worker."""
    got: list[int] = []
    tasks.notify(lambda each: got.append(tasks.number(each)), 300)
    assert got == list(range(300))


def test_calls_of_other_threads_wait_while_a_nested_one_runs(
    tasks: ringbridge.RemoteModule,
) -> None:
    other: list[Any] = []

    def nested() -> int:
        other.append(tasks.note.submit("other"))  # of this thread: nested, too
        with ThreadPoolExecutor(1) as pool:
            other.append(pool.submit(lambda: tasks.note.submit("from outside")).result(LONG_S))
        tasks.note("nested")
        return 1

    assert tasks.call(nested) == 1
    for each in other:
        each.result(LONG_S)
    assert tasks.take_seen() == ["other", "nested", "from outside"]


# ------------------------------------------------------------------------------------- which thread


def test_a_blocking_calls_callbacks_run_on_the_thread_that_waits(
    tasks: ringbridge.RemoteModule,
) -> None:
    assert tasks.call_many(lambda _each: thread(), 3) == [thread()] * 3
    with ThreadPoolExecutor(1, thread_name_prefix="mine") as pool:
        assert pool.submit(lambda: tasks.call(thread)).result(LONG_S).startswith("mine")


def test_a_streams_callbacks_run_on_the_thread_that_iterates(
    tasks: ringbridge.RemoteModule,
) -> None:
    assert list(tasks.call_in_stream.stream(lambda _each: thread(), 3)) == [thread()] * 3


def test_a_tasks_callbacks_run_on_a_thread_of_ours_and_in_order(
    tasks: ringbridge.RemoteModule,
) -> None:
    got: list[int] = []

    def note(each: int) -> str:
        got.append(each)
        return thread()

    names = set(tasks.call_many.submit(note, 100).result(LONG_S))
    assert all(name.startswith("ringbridge callback") for name in names)
    assert got == list(range(100))


@pytest.mark.parametrize("how", ["blocking", "submit", "stream"])
def test_callbacks_on_an_executor(tasks: ringbridge.RemoteModule, how: str) -> None:
    with ThreadPoolExecutor(2, thread_name_prefix="chosen") as pool:
        if how == "blocking":
            names = tasks.call_many.options(callbacks_on=pool)(lambda _each: thread(), 5)
        elif how == "submit":
            task = tasks.call_many.options(callbacks_on=pool).submit(lambda _each: thread(), 5)
            names = task.result(LONG_S)
        else:
            function = tasks.call_in_stream.options(callbacks_on=pool)
            names = list(function.stream(lambda _each: thread(), 5))
    assert len(names) == 5 and all(name.startswith("chosen") for name in names)


@pytest.mark.parametrize("how", ["blocking", "submit", "stream"])
def test_an_executor_that_was_shut_down_is_told_there(
    tasks: ringbridge.RemoteModule, how: str
) -> None:
    """The thread that reads for tasks ended of it."""
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    call = tasks.call.options(callbacks_on=pool)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="after shutdown"):
            if how == "blocking":
                call(thread)
            elif how == "submit":
                call.submit(thread).result(LONG_S)
            else:
                list(tasks.call_in_stream.options(callbacks_on=pool).stream(thread, 1))
    assert tasks.number.submit(1).result(LONG_S) == 1


@pytest.mark.parametrize("how", ["blocking", "submit", "stream"])
def test_an_executor_that_is_shut_down_before_it_runs_a_callback_is_told_there(
    tasks: ringbridge.RemoteModule, how: str
) -> None:
    """Nobody answered: the code over there waited for ever."""
    pool, leave = Handing(1), threading.Event()
    pool.submit(leave.wait, LONG_S)  # its only thread
    pool.handed.clear()
    call = tasks.call.options(callbacks_on=pool)
    items = tasks.call_in_stream.options(callbacks_on=pool)
    with ThreadPoolExecutor(1) as other:
        if how == "blocking":
            waiting = other.submit(call, thread)
        elif how == "submit":
            waiting = other.submit(call.submit(thread).result, LONG_S)
        else:
            waiting = other.submit(lambda: list(items.stream(thread, 1)))
        assert pool.handed.wait(LONG_S)
        pool.shutdown(wait=False, cancel_futures=True)
        with pytest.raises(RuntimeError, match="cancelled this callback before it ran"):
            waiting.result(LONG_S)
        leave.set()


class Handing(ThreadPoolExecutor):
    """Says when something was handed to it, but not whether it runs."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self.handed = threading.Event()

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        future = super().submit(*args, **kwargs)
        self.handed.set()
        return future


class Plain:
    """An executor without futures."""

    def submit(self, function: Any, *args: Any) -> None:
        threading.Thread(target=function, args=args).start()


@pytest.mark.parametrize("how", ["blocking", "submit"])
def test_an_executor_needs_no_futures(tasks: ringbridge.RemoteModule, how: str) -> None:
    call = tasks.call_many.options(callbacks_on=Plain())
    got = call(abs, 3) if how == "blocking" else call.submit(abs, 3).result(LONG_S)
    assert got == [0, 1, 2]


def test_sys_exit_in_a_tasks_callback_does_not_stop_the_next_ones(
    tasks: ringbridge.RemoteModule,
) -> None:
    """The line that runs them stood still."""
    task = tasks.call_all.submit([lambda: 1, lambda: 2])
    assert task.result(LONG_S) == [1, 2]
    survived = tasks.call_both.submit(lambda: sys.exit(1), lambda: "still here")
    assert survived.result(LONG_S) == "still here"


def test_a_loops_callbacks_run_on_its_thread_coroutine_functions_too(
    tasks: ringbridge.RemoteModule,
) -> None:
    async def later(each: int) -> str:
        await asyncio.sleep(0)
        return f"{thread()} {each}"

    async def main() -> tuple[Any, Any, Any]:
        plain = await tasks.call_many.submit(lambda _each: thread(), 3)
        coroutine = await tasks.call_many.submit(later, 3)
        items = [each async for each in tasks.call_in_stream.stream(later, 3)]
        return plain, coroutine, items

    plain, coroutine, items = asyncio.run(main())
    assert plain == [thread()] * 3
    assert coroutine == items == [f"{thread()} {each}" for each in range(3)]


def test_a_coroutine_callback_may_await_the_worker(tasks: ringbridge.RemoteModule) -> None:
    """The worker waited for its answer, and ran no call that did not say so."""

    async def ask(each: int) -> Any:
        return await tasks.number.submit(each * 10)

    async def main() -> Any:
        return await asyncio.wait_for(tasks.call_many.submit(ask, 5), LONG_S)

    assert asyncio.run(main()) == [0, 10, 20, 30, 40]


def test_a_coroutine_callback_that_fails_or_is_cancelled_is_told_there(
    tasks: ringbridge.RemoteModule,
) -> None:
    async def fail() -> None:
        raise KeyError("later")

    async def cancel() -> None:
        raise asyncio.CancelledError

    async def main() -> None:
        assert "KeyError: 'later'" in await tasks.call_caught.submit(fail)
        assert "Cancelled" in await asyncio.wait_for(tasks.call_caught.submit(cancel), LONG_S)

    asyncio.run(main())


def test_a_loop_that_ends_amid_a_coroutine_callback_frees_the_worker(
    tasks: ringbridge.RemoteModule,
) -> None:
    asyncio.run(amid_a_callback(tasks.call))
    assert tasks.number.options(timeout=LONG_S)(1) == 1


def test_callbacks_may_be_called_from_threads_over_there(tasks: ringbridge.RemoteModule) -> None:
    assert tasks.call_from_threads(lambda each: each, 4, 100) == sorted(list(range(100)) * 4)
