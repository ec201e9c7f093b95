# SPDX-License-Identifier: MIT
"""Progress from end to end: what code in a worker tells, as the host's tasks and bars show it."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rbr_testing.fixtures import MakeWorker

import ringbridge

HERE = Path(__file__).resolve().parent


def heard_of(task: Any) -> list[Any]:
    """What a listener hears until the task's end."""
    heard: list[Any] = []
    task.on_progress(lambda progress: heard.append(tuple(progress)))
    task.result(50)
    return heard


def heard_one_by_one(task: Any, fifo: Path, count: int) -> list[Any]:
    """What it hears of tell_all, which goes on when the value before has been heard."""
    heard: list[Any] = []
    news = threading.Semaphore(0)
    task.on_progress(lambda progress: (heard.append(tuple(progress)), news.release()))
    with fifo.open("wb", buffering=0) as gate:
        for _ in range(count):
            gate.write(b"x")
            assert news.acquire(timeout=30), f"only {heard} was heard"
    task.result(50)
    return heard


def test_a_task_hears_what_its_call_tells(teller: ringbridge.RemoteModule, fifo: Path) -> None:
    told = [(1, 4), (2, 4, "Höhe \N{MOUNTAIN}"), (3,), (None, None, "")]
    task = teller.tell_all.submit(told, str(fifo))
    assert heard_one_by_one(task, fifo, len(told)) == [
        (0.25, 1, 4, ""),
        (0.5, 2, 4, "Höhe \N{MOUNTAIN}"),
        (None, 3, None, "Höhe \N{MOUNTAIN}"),
        (None, 3, None, ""),
    ]
    assert task.progress.done == 3


def test_parts_and_huge_numbers_are_told_as_a_fraction(
    teller: ringbridge.RemoteModule, fifo: Path
) -> None:
    # They were cut to whole ones: 0.5 of 1.0 was nothing.
    told = [(0.5, 1.0), (1.5, 3), (2**70, 2**72), (2.0, 8.0), (3,)]
    task = teller.tell_all.submit(told, str(fifo))
    assert heard_one_by_one(task, fifo, len(told)) == [
        (0.5, None, None, ""),
        (0.5, None, None, ""),
        (0.25, None, None, ""),
        (0.25, 2, 8, ""),
        (None, 3, None, ""),
    ]


def test_the_last_of_many_values_arrives_before_the_result(teller: ringbridge.RemoteModule) -> None:
    task = teller.tell_often.submit(100_000)
    heard = heard_of(task)
    assert heard[-1][1:] == (99_999, 100_000, "working")
    assert [done for _, done, *_ in heard] == sorted(done for _, done, *_ in heard)


def test_a_call_that_tells_nothing_has_no_progress(teller: ringbridge.RemoteModule) -> None:
    task = teller.id_of_this_call.submit()
    assert heard_of(task) == [] and task.progress is None


def test_a_blocking_call_that_tells_gives_its_result(teller: ringbridge.RemoteModule) -> None:
    assert teller.tell(1, 2) is None


def test_a_loop_with_tqdm_is_progress(teller: ringbridge.RemoteModule) -> None:
    pytest.importorskip("tqdm")
    task = teller.loop.submit("tqdm", 5, {"desc": "tiles"})
    assert heard_of(task)[-1] == (1.0, 5, 5, "tiles")


def test_a_generator_has_one_task_for_all_its_items(teller: ringbridge.RemoteModule) -> None:
    stream = teller.tell_of_items.stream(200)
    numbers = set()
    for number in stream:
        numbers.add(number)
        assert teller.id_of_this_call() != number
    assert len(numbers) == 1
    assert (stream.progress.done, stream.progress.total) == (199, 200)


def test_a_call_that_waits_for_the_host_goes_on_telling(teller: ringbridge.RemoteModule) -> None:
    heard = threading.Event()

    def call_back() -> None:
        teller.id_of_this_call()
        assert heard.wait(30), "nothing was told meanwhile"

    task = teller.tell_while_waiting.options(callbacks_on=_Thread()).submit(call_back)
    task.on_progress(lambda progress: heard.set() if progress.done > 10 else None)
    task.result(50)


class _Thread:
    """An executor that runs what it gets in a thread of its own."""

    def submit(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        threading.Thread(target=function, args=args, kwargs=kwargs).start()


@pytest.mark.parametrize("how", ["progress", "check", "thread"])
def test_a_cancel_ends_a_call_that_asks(make_worker: MakeWorker, fifo: Path, how: str) -> None:
    worker = make_worker()
    teller = worker.load("rbr_testing.tasks")
    pid = worker.pid
    task = teller.wait_until_cancelled.submit(str(fifo), how)
    assert int(fifo.read_text()) > 0
    assert task.cancel(grace=None)
    with pytest.raises(ringbridge.Cancelled):
        task.result(30)
    assert task.cancelled()
    assert teller.id_of_this_call() > 0 and worker.pid == pid


def test_a_record_arrives_in_logging(
    make_worker: MakeWorker, caplog: pytest.LogCaptureFixture
) -> None:
    teller = make_worker(name="talker").load("rbr_testing.tasks")
    with caplog.at_level(logging.DEBUG, logger="ringbridge.worker.talker"):
        teller.log("100 % sure", "error")
        teller.log("and more", logging.DEBUG)
    name = "ringbridge.worker.talker.rbr_testing.tasks"
    assert [(r.name, r.levelno, r.getMessage()) for r in caplog.records if r.name == name] == [
        (name, logging.ERROR, "100 % sure"),
        (name, logging.DEBUG, "and more"),
    ]


def test_a_bar_shows_a_tasks_progress(teller: ringbridge.RemoteModule, fifo: Path) -> None:
    pytest.importorskip("tqdm")
    file = io.StringIO()
    task = teller.tell_all.submit([(1, 4, "reading"), (3, 4)], str(fifo))
    with ringbridge.progress_bar(task, file=file, ncols=60):
        heard_one_by_one(task, fifo, 2)
    drawn = file.getvalue()
    assert " 1/4 [" in drawn and "reading" in drawn and " 3/4 [" in drawn
    assert drawn.rstrip("\n").rpartition("\r")[2].startswith("100%|")


def test_run_shows_a_bar_on_stderr_when_it_is_asked_to() -> None:
    pytest.importorskip("tqdm")
    command = [sys.executable, "-m", "ringbridge", "run", sys.executable]
    target = ["rbr_testing.tasks:tell_all", '[[1, 4, "reading"], [3, 4]]']
    for option, wanted in (("--progress", True), ("--no-progress", False)):
        ended = subprocess.run(
            [*command, option, *target], capture_output=True, text=True, timeout=50, cwd=HERE
        )
        assert (ended.returncode, ended.stdout) == (0, "null\n"), ended.stderr
        assert ("3/4" in ended.stderr and "100%|" in ended.stderr) is wanted
