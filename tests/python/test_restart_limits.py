# SPDX-License-Identifier: MIT
"""Workers that die again and again, and workers that are killed in a storm of calls."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rbr_testing import rounds
from rbr_testing.deaths import kill
from rbr_testing.eventually import until
from rbr_testing.fixtures import MakeWorker

import ringbridge
from ringbridge.crashes import DEATHS_MAX, WINDOW_S, Crashes
from ringbridge.errors import WorkerDied, WorkerStartFailed

BASICS = "rbr_testing.basics"

# ------------------------------------------------------------------------------------- counting


def test_so_many_deaths_in_a_row_are_too_many() -> None:
    crashes = Crashes()
    for number in range(DEATHS_MAX):
        assert not crashes.given_up
        crashes.add(WorkerDied(f"death {number}", 11), answered=False, now_s=float(number))
    assert crashes.given_up
    error = crashes.error("x")
    assert isinstance(error, WorkerDied) and error.signal == 11
    assert f"it died {DEATHS_MAX} times within 30 s" in str(error)
    assert f"The last time: death {DEATHS_MAX - 1}" in str(error)
    assert crashes.given_up, "until somebody says otherwise"
    crashes.forget()
    assert not crashes.given_up


def test_an_answered_call_begins_the_count_anew() -> None:
    crashes = Crashes()
    for number in range(20):
        crashes.add(WorkerDied("x"), answered=number % (DEATHS_MAX - 1) == 0, now_s=0.0)
        assert not crashes.given_up


def test_deaths_that_lie_far_apart_are_not_counted_together() -> None:
    crashes = Crashes()
    for number in range(20):
        crashes.add(WorkerDied("x"), answered=False, now_s=number * WINDOW_S / (DEATHS_MAX - 1.5))
        assert not crashes.given_up


def test_the_error_is_of_the_last_failures_kind() -> None:
    crashes = Crashes()
    crashes.add(WorkerStartFailed("no room"), answered=False, now_s=0.0)
    assert type(crashes.error("x")) is WorkerStartFailed


# -------------------------------------------------------------------------------------- crash loops


def flagged(folder: Path, action: str) -> Path:
    """A module that does it at its import, once the flag is there; counts its imports."""
    flag, imports = folder / "flag", folder / "imports"
    (folder / "doomed.py").write_text(
        "import os, signal, threading\n"
        f"open({str(imports)!r}, 'a').write('x')\n"
        f"if os.path.exists({str(flag)!r}):\n    {action}\n"
        "def f(): return 1\n"
    )
    return flag


def test_one_that_dies_at_each_start_is_given_up_until_it_is_restarted_by_hand(
    make_worker: MakeWorker, tmp_path: Path, nothing_left: None
) -> None:
    flag = flagged(tmp_path, "os.kill(os.getpid(), signal.SIGSEGV)")
    worker = make_worker(restart="on-crash", paths=[tmp_path])
    doomed = worker.load("doomed")
    flag.touch()
    kill(worker)
    said = []
    for _ in range(20):
        with pytest.raises(WorkerDied) as caught:
            doomed.f()
        said.append(str(caught.value))
    assert "died when it loaded 'doomed' again" in said[0]
    assert f"is not started again: it died {DEATHS_MAX} times" in said[-1]
    assert "restart()" in said[-1] and "SIGSEGV" not in said[-1].splitlines()[0][:40]
    assert caught.value.signal == signal.SIGSEGV
    imports = (tmp_path / "imports").stat().st_size
    assert imports <= DEATHS_MAX, "1 at first, and one for each start after the first death"
    with pytest.raises(WorkerDied, match="not started again"):
        worker.load("doomed")
    with pytest.raises(WorkerDied):
        worker.restart()
    flag.unlink()
    worker.restart()
    assert doomed.f() == 1
    worker.close()


def test_one_that_dies_soon_after_each_start_is_not_restarted_for_ever(
    make_worker: MakeWorker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody calls: it is the background alone that starts it again."""
    end = "threading.Timer(0.02, os.kill, [os.getpid(), signal.SIGKILL]).start()"
    flag = flagged(tmp_path, end)
    worker = make_worker(restart="on-crash", paths=[tmp_path])
    doomed = worker.load("doomed")
    flag.touch()
    kill(worker)
    # A death that is not heard of while the next process is being taken in waits for the next use.
    deadline = time.monotonic() + 50
    while not worker._process._crashes.given_up:
        assert time.monotonic() < deadline
        if not worker.alive:
            with pytest.raises(WorkerDied):
                for _ in range(10_000):
                    worker.empty(1, "uint8")
                    time.sleep(0.002)
        time.sleep(0.002)
    until(lambda: not worker._process._attempts._under_way, "the end of the last attempt")
    with pytest.raises(WorkerDied, match="is not started again"):
        doomed.f()
    assert worker.restarts < DEATHS_MAX
    assert (tmp_path / "imports").stat().st_size <= DEATHS_MAX
    assert caplog.text.count("is not started again") <= 1, "said once, not at each use"


def test_one_whose_environment_has_gone_says_so_and_is_given_up(
    make_worker: MakeWorker, tmp_path: Path
) -> None:
    import sys

    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f"#!/bin/sh\nexec '{sys.executable}' \"$@\"\n")
    python.chmod(0o755)
    worker = make_worker(str(python), restart="on-crash")
    echo = worker.load(BASICS).echo
    python.rename(tmp_path / "moved")
    kill(worker)
    said = []
    for _ in range(DEATHS_MAX + 2):
        with pytest.raises((ringbridge.WorkerStartFailed, ringbridge.ActivationFailed)) as caught:
            echo(1)
        said.append(str(caught.value))
    assert "is not started again" in said[-1] and "did not start" in said[-1]
    (tmp_path / "moved").rename(python)
    worker.restart()
    assert echo(1) == 1


# -------------------------------------------------------------------------------------- in a storm


@pytest.mark.seconds(3600)
@pytest.mark.timeout(3700)
def test_a_storm_of_kills_gives_right_results_or_deaths_and_leaves_nothing(
    make_worker: MakeWorker, nothing_left: None
) -> None:
    """Every result is the call's own, or it says that the worker died; nothing hangs."""
    seed, kills = rounds.seed(), rounds.rounds(25)
    dice = random.Random(seed)
    worker = make_worker(restart="on-crash")
    basics, slow = worker.load(BASICS), worker.load("time").sleep
    going, wrong = threading.Event(), []
    counts = {"right": 0, "died": 0}
    lock = threading.Lock()

    def call(thread: int) -> None:
        right = died = number = 0
        while not going.is_set():
            number += 1
            value = [thread, number, "x" * (number % 3000)]
            try:
                if basics.echo(value) == value:
                    right += 1
                else:
                    wrong.append(value)
            except WorkerDied:
                died += 1
            except BaseException as error:
                wrong.append(error)
        with lock:
            counts["right"] += right
            counts["died"] += died

    def run_slowly() -> None:
        """Most kills hit its calls: those of the others are over before they can be hit."""
        died = 0
        while not going.is_set():
            try:
                slow(0.003)
            except WorkerDied:
                died += 1
            except BaseException as error:
                wrong.append(error)
        with lock:
            counts["died"] += died

    threads = [threading.Thread(target=call, args=[n]) for n in range(4)]
    threads.append(threading.Thread(target=run_slowly))
    for thread in threads:
        thread.start()
    for number in range(kills):
        before = worker.restarts
        answered = counts_of(worker)
        until(lambda: counts_of(worker) > answered + 50, "calls being answered")  # noqa: B023
        time.sleep(dice.random() * 0.02)
        pid = worker.pid
        assert pid is not None
        os.kill(pid, dice.choice([signal.SIGKILL, signal.SIGSEGV, signal.SIGKILL]))
        until(lambda: worker.restarts > before, f"restart {number}, seed {seed}")  # noqa: B023
    going.set()
    for thread in threads:
        thread.join(50)
        assert not thread.is_alive()
    assert not wrong, (seed, wrong[:3])
    # Only the call that had begun dies with its worker; those behind it go to the next one.
    assert counts["right"] > 50 * kills and 0 < counts["died"] <= kills
    assert worker.restarts == kills
    assert basics.echo(1) == 1
    worker.close()
    rounds.count("kills amid calls, the worker started again", kills)


@pytest.mark.seconds(3600)
@pytest.mark.timeout(3700)
@pytest.mark.parametrize("restart", ["never", "on-crash"])
def test_kills_restarts_and_replacements_at_any_moment(
    make_worker: MakeWorker, restart: str, nothing_left: None
) -> None:
    """Also while it is being started, and loads; then it is closed in the middle of that."""
    seed = rounds.seed()
    for number in range(rounds.rounds(4)):
        dice = random.Random(seed + number)
        worker = make_worker(restart=restart)
        basics, wrong = worker.load(BASICS), []
        over, closing = threading.Event(), threading.Event()

        def kill_now(one: ringbridge.Worker = worker) -> None:
            child = one._process.child
            assert child is not None
            child.channel.kill(signal.SIGKILL, False)  # never a stranger that has its number now

        deeds: list[Callable[[], object]] = [
            worker.restart,
            kill_now,
            lambda one=worker: one._process.replace("a test"),  # type: ignore[misc]
            lambda one=worker: one.load(BASICS),  # type: ignore[misc]
        ]

        def harass(dice: random.Random, deeds: list[Callable[[], object]], over: Any) -> None:
            while not over.wait(dice.random() * 0.03):
                with contextlib.suppress(WorkerDied, WorkerStartFailed):
                    dice.choice(deeds)()

        def call(basics: Any, over: Any, wrong: list[object]) -> None:
            value = 0
            while not over.is_set():
                value += 1
                try:
                    if basics.echo(value) != value:
                        wrong.append(value)
                except (WorkerDied, WorkerStartFailed):
                    pass  # and no other

        def guarded(function: Callable[..., None], *args: Any) -> None:
            try:
                function(*args)
            except ringbridge.RingbridgeError as error:
                if not (closing.is_set() and "closed" in str(error)):  # noqa: B023
                    wrong.append(error)  # noqa: B023
            except BaseException as error:
                wrong.append(error)  # noqa: B023

        dices = [random.Random(dice.random()) for _ in range(2)]
        threads = [
            *(threading.Thread(target=guarded, args=[harass, d, deeds, over]) for d in dices),
            *(threading.Thread(target=guarded, args=[call, basics, over, wrong]) for _ in "ab"),
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.5 + dice.random())
        if number % 2:
            over.set()
            for thread in threads:
                thread.join(50)
            worker.restart()
            assert basics.echo(1) == 1
        closing.set()
        worker.close()
        over.set()
        for thread in threads:
            thread.join(50)
            assert not thread.is_alive()
        assert not wrong, (seed, number, wrong[:3])


def counts_of(worker: ringbridge.Worker) -> int:
    """Frames that have come from its present process; a new one begins at 0."""
    return worker.stats()["frames_received"]
