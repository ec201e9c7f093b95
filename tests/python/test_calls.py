# SPDX-License-Identifier: MIT
"""What functions do over there, and what their callers see of it: every bad end has its error."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest
from rbr_testing.fixtures import MakeWorker

import ringbridge


def test_a_builtin_exception_is_raised_here_with_its_remote_traceback(
    basics: ringbridge.RemoteModule,
) -> None:
    with pytest.raises(KeyError) as caught:
        basics.fail("KeyError", "key")
    assert caught.value.args == ("key",)
    text = str(caught.value.__cause__)
    assert text.startswith("Traceback (most recent call last):\n")
    assert text.splitlines()[1].endswith(", in fail")  # no frame of ours above the user's
    with pytest.raises(FileNotFoundError) as missing:
        basics.open_missing()
    assert (missing.value.errno, missing.value.filename) == (2, "/no/such/file")
    with pytest.raises(UnicodeDecodeError) as undecodable:
        basics.decode_badly()
    assert undecodable.value.object == b"\xff"


def test_each_bad_end_of_a_call_has_its_own_error_and_the_worker_goes_on(
    basics: ringbridge.RemoteModule,
) -> None:
    pid = basics.pid()
    with pytest.raises(ringbridge.RemoteError, match="OwnError: mine"):
        basics.fail_own()
    with pytest.raises(ringbridge.RemoteError, match=r"called sys.exit\(3\); the worker goes on"):
        basics.leave(3)
    with pytest.raises(ringbridge.RemoteError, match="KeyboardInterrupt"):
        basics.fail("KeyboardInterrupt")
    with pytest.raises(ringbridge.RemoteError, match="StopIteration"):
        basics.fail("StopIteration")
    with pytest.raises(RecursionError):
        basics.recurse()
    with pytest.raises(ringbridge.CannotCross, match=r"\['x'\].*lock"):
        basics.uncrossable()
    with pytest.raises(TypeError):
        basics.echo()
    assert basics.pid() == pid


def test_exceptions_show_their_causes(basics: ringbridge.RemoteModule) -> None:
    with pytest.raises(RuntimeError) as caught:
        basics.fail_with_cause()
    assert "KeyError: 'inner'" in str(caught.value.__cause__)


def test_os_exit_is_told_with_its_code(make_worker: MakeWorker) -> None:
    worker = make_worker()
    with pytest.raises(ringbridge.WorkerDied) as caught:
        worker.load("rbr_testing.basics").exit_hard(3)
    assert (caught.value.exit_code, caught.value.signal) == (3, None)
    assert not worker.alive


def test_a_segfault_is_told_with_its_lines(make_worker: MakeWorker) -> None:
    worker = make_worker()
    with pytest.raises(ringbridge.WorkerDied) as caught:
        worker.load("rbr_testing.basics").segfault()
    assert (caught.value.exit_code, caught.value.signal) == (None, signal.SIGSEGV)
    assert "Segmentation fault" in str(caught.value)
    assert "in segfault" in str(caught.value)  # faulthandler's


def test_an_async_function_is_run_to_its_end(basics: ringbridge.RemoteModule) -> None:
    assert basics.later([1, 2]) == [1, 2]


def test_a_class_gives_an_object_that_stays(basics: ringbridge.RemoteModule) -> None:
    assert repr(basics.Model()).startswith("<remote rbr_testing.basics.Model ")


def test_a_generator_that_is_called_says_how_it_is_streamed(
    basics: ringbridge.RemoteModule,
) -> None:
    with pytest.raises(ringbridge.CannotCross, match=r"result: .*generator.*\.stream\("):
        basics.numbers(3)
    assert list(basics.numbers.stream(3)) == [0, 1, 2]


def test_input_ends_at_once(basics: ringbridge.RemoteModule) -> None:
    with pytest.raises(EOFError):
        basics.ask_user()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_works_in_a_worker(basics: ringbridge.RemoteModule, method: str) -> None:
    assert basics.squares(method, 4) == [0, 1, 4, 9]
    assert basics.ringbridge_of_child(method) == ringbridge.__file__


def test_a_forked_child_that_comes_back_does_not_disturb(basics: ringbridge.RemoteModule) -> None:
    assert basics.fork_and_return() == basics.pid()


def test_a_forked_child_dies_of_sigterm_as_any_process(basics: ringbridge.RemoteModule) -> None:
    assert basics.terminate_forked_child() == signal.SIGTERM


def test_a_sigint_that_cancels_nothing_is_ignored(basics: ringbridge.RemoteModule) -> None:
    assert basics.interrupt_self() == "went on"


def test_a_grandchild_that_holds_everything_does_not_hide_a_death(
    make_worker: MakeWorker, fifo: Path
) -> None:
    worker = make_worker()
    basics = worker.load("rbr_testing.basics")
    grandchild = basics.leave_grandchild()
    try:
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(ringbridge.WorkerDied) as caught:
            while True:
                basics.pid()
        assert caught.value.signal == signal.SIGKILL
        worker.close()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(grandchild, signal.SIGKILL)


def test_numpy_is_not_imported_by_the_worker_itself(make_worker: MakeWorker) -> None:
    loaded = set(make_worker().load("rbr_testing.basics").modules())
    assert not {"numpy", "asyncio", "subprocess", "multiprocessing"} & loaded
