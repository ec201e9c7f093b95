# SPDX-License-Identifier: MIT
"""current_task: what code that runs in a worker tells the host and hears of it; and without one."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from rbr_testing.fixtures import MakeWorker

import ringbridge

PERIOD_S = 0.03


# ---------------------------------------------------------------------------------- which call


def test_each_call_has_a_number_of_its_own(teller: ringbridge.RemoteModule) -> None:
    numbers = [teller.id_of_this_call() for _ in range(3)]
    assert len(set(numbers)) == 3 and 0 not in numbers


def test_nested_functions_generators_and_threads_have_the_task_of_the_call_that_runs(
    teller: ringbridge.RemoteModule,
) -> None:
    assert len(set(teller.ids_of_this_call())) == 1
    assert teller.id_in_a_coroutine() != 0


def test_a_forked_child_has_no_call(teller: ringbridge.RemoteModule) -> None:
    assert teller.id_in_a_forked_child() == 0


def test_the_task_of_a_call_that_has_ended_does_nothing_but_check_its_arguments(
    teller: ringbridge.RemoteModule, worker: ringbridge.Worker
) -> None:
    teller.keep()
    before = worker.stats()["frames_received"]
    sent, cancelled, message = teller.use_kept()
    assert (sent, cancelled) == (False, False)
    assert "must be a number or None, not str" in message
    assert worker.stats()["frames_received"] == before + 1  # the result


# ------------------------------------------------------------------------------------ progress


def test_a_million_values_cost_little_and_few_are_sent(
    teller: ringbridge.RemoteModule, worker: ringbridge.Worker
) -> None:
    before = worker.stats()["frames_received"]
    start = time.monotonic()
    telling, checking = teller.tell_often(1_000_000)
    most = (time.monotonic() - start) / PERIOD_S + 3  # the first, the last, the result
    assert 3 <= worker.stats()["frames_received"] - before <= most
    assert telling < 5 and checking < 5  # 0.1 s and 0.05 s on a quiet machine


def test_the_newest_value_is_sent_while_a_c_function_holds_the_gil(
    teller: ringbridge.RemoteModule, worker: ringbridge.Worker, fifo: Path
) -> None:
    before = worker.stats()["frames_received"]
    thread = threading.Thread(target=teller.tell_and_hold_the_gil, args=(str(fifo),))
    thread.start()
    deadline = time.monotonic() + 20
    while worker.stats()["frames_received"] < before + 2 and time.monotonic() < deadline:
        time.sleep(0.001)
    received = worker.stats()["frames_received"]
    fifo.write_bytes(b"x")
    thread.join(30)
    assert received == before + 2


def test_numbers_are_taken_as_numpy_and_tqdm_give_them(teller: ringbridge.RemoteModule) -> None:
    teller.tell_numbers()


WRONG = [
    (("3",), {}, "done must be a number or None, not str; right are progress(3, 10)"),
    ((3, [1]), {}, "total must be a number or None, not list"),
    ((), {"fraction": b"x"}, "fraction must be a number or None, not bytes"),
    ((1, 2, 3), {}, "text must be a str, not int"),
    ((1j,), {}, "done must be a number or None, not complex"),
]


@pytest.mark.parametrize(("args", "kwargs", "message"), WRONG)
def test_a_wrong_argument_is_told_in_a_worker_and_outside(
    teller: ringbridge.RemoteModule, args: tuple[Any, ...], kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError) as over_there:
        teller.tell(*args, **kwargs)
    with pytest.raises(TypeError) as here:
        ringbridge.current_task().progress(*args, **kwargs)
    assert message in str(over_there.value) and message in str(here.value)


# -------------------------------------------------------------------------------------- cancel


@pytest.mark.parametrize("how", ["progress", "check", "thread", "property"])
def test_a_call_hears_that_the_host_asked_to_cancel_it(
    make_worker: MakeWorker, fifo: Path, how: str
) -> None:
    worker = make_worker()
    ended: list[Any] = []

    def call() -> None:
        try:
            ended.append(worker.load("rbr_testing.tasks").wait_until_cancelled(str(fifo), how))
        except ringbridge.Cancelled as error:
            ended.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    number = int(fifo.read_text())
    worker._process.channel().cancel(number, False)
    thread.join(40)
    if how == "property":
        assert ended == ["saw it"]
    else:
        assert "the host cancelled this call" in str(ended[0])
    assert worker.load("rbr_testing.tasks").id_of_this_call() > number, "the worker goes on"


# ----------------------------------------------------------------------------------------- log


def test_a_record_is_one_frame_of_its_call(
    teller: ringbridge.RemoteModule, worker: ringbridge.Worker
) -> None:
    for level in ((), (logging.DEBUG,), ("error",), (1000,)):
        before = worker.stats()["frames_received"]
        teller.log("a text, and one with a lone surrogate: \udc80".replace("\udc80", "é"), *level)
        assert worker.stats()["frames_received"] == before + 2


def test_a_record_is_no_longer_than_a_line_may_be(
    teller: ringbridge.RemoteModule, worker: ringbridge.Worker
) -> None:
    before = worker.stats()["bytes_received"]
    teller.log("\N{EURO SIGN}" * 100_000)
    assert 65_000 < worker.stats()["bytes_received"] - before < 67_000


def test_wrong_records_are_told(teller: ringbridge.RemoteModule) -> None:
    for log in (teller.log, ringbridge.current_task().log):
        with pytest.raises(TypeError, match="log\\(\\): text must be a str, not int"):
            log(3)
        with pytest.raises(ValueError, match="'loud' is no level; right are 'DEBUG', 'INFO'"):
            log("text", "loud")


def test_a_record_of_a_call_that_has_ended_goes_to_logging(teller: ringbridge.RemoteModule) -> None:
    teller.keep()
    assert teller.log_over_there("late") == "rbr_testing.tasks log_over_there WARNING late\n"


# ------------------------------------------------------------------------------ without a worker


def test_without_a_worker_the_same_code_runs(caplog: pytest.LogCaptureFixture) -> None:
    task = ringbridge.current_task()
    assert (task.id, task.cancelled) == (0, False)
    task.progress(1, 2, "half")
    task.progress(fraction=0.5)
    task.check_cancelled()
    with caplog.at_level(logging.INFO):
        task.log("100 % sure")
    (record,) = caplog.records
    assert (record.name, record.levelno, record.getMessage()) == (__name__, 20, "100 % sure")
    assert record.funcName == "test_without_a_worker_the_same_code_runs"


def test_a_workers_start_imports_neither_logging_nor_the_code_for_bars() -> None:
    code = "import sys, ringbridge.serve; print('logging' in sys.modules, *sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    loaded = said.stdout.split()
    assert loaded[0] == "False" and "ringbridge.tqdm_bars" not in loaded
