# SPDX-License-Identifier: MIT
"""What happens while a worker is being started again: close, Ctrl-C, timeouts, loops, forks."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rbr_testing.deaths import kill
from rbr_testing.eventually import until
from rbr_testing.fixtures import MakeWorker

import ringbridge

BASICS = "rbr_testing.basics"
FAST_S = 20  # where a start that is waited for takes 50


class Held:
    """An interpreter that starts well at first, and later only when it is let go."""

    def __init__(self, folder: Path) -> None:
        self.fifo = folder / "fifo"
        self.python = folder / "bin" / "python"
        self._flag = folder / "held"
        self.python.parent.mkdir(parents=True)
        os.mkfifo(self.fifo)
        self.python.write_text(
            f"#!/bin/sh\n[ ! -e '{self._flag}' ] || read -r line < '{self.fifo}'\n"
            f"exec '{sys.executable}' \"$@\"\n"
        )
        self.python.chmod(0o755)

    def hold(self) -> None:
        self._flag.touch()

    def reached(self) -> Any:
        """Waits until a start is held; closing the file lets it go on."""
        return self.fifo.open("w")


@pytest.fixture
def held(tmp_path: Path) -> Held:
    return Held(tmp_path / "held")


@pytest.fixture
def make_held(held: Held) -> Iterator[MakeWorker]:
    made: list[ringbridge.Worker] = []

    def make(**options: Any) -> ringbridge.Worker:
        here = Path(__file__).parent
        options = {"restart": "on-crash", "start_timeout": 50.0, "paths": [here], **options}
        made.append(ringbridge.Worker(str(held.python), name="own", **options))
        return made[-1]

    yield make
    while made:
        made.pop().close()


def test_closing_does_not_wait_for_a_restart(
    make_held: MakeWorker, held: Held, nothing_left: None
) -> None:
    worker = make_held()
    basics = worker.load(BASICS)
    held.hold()
    kill(worker)
    with held.reached():
        before = time.monotonic()
        worker.close()
        assert time.monotonic() - before < FAST_S
    with pytest.raises(ringbridge.RingbridgeError, match="closed"):
        basics.echo(1)


def test_a_call_that_waits_is_told_that_the_worker_was_closed(
    make_held: MakeWorker, held: Held
) -> None:
    worker = make_held()
    basics = worker.load(BASICS)
    held.hold()
    kill(worker)
    raised: list[BaseException] = []

    def use(function: Callable[[], object]) -> None:
        try:
            function()
        except BaseException as error:
            raised.append(error)

    uses: list[Callable[[], object]] = [lambda: basics.echo(1), lambda: worker.load(BASICS)]
    threads = [threading.Thread(target=use, args=[each]) for each in uses]
    for thread in threads:
        thread.start()
    with held.reached():
        until(lambda: worker._process._attempts._under_way, "the attempt")
        worker.close()
        for thread in threads:
            thread.join(FAST_S)
            assert not thread.is_alive()
    assert len(raised) == 2
    for error in raised:
        assert type(error) is ringbridge.RingbridgeError and "closed" in str(error)


def test_one_that_nobody_holds_any_more_ends_in_the_middle_of_a_restart(
    held: Held, nothing_left: None
) -> None:
    worker = ringbridge.Worker(str(held.python), restart="on-crash", start_timeout=50.0)
    held.hold()
    kill(worker)
    with held.reached():
        before = time.monotonic()
        del worker
        gc.collect()
        assert time.monotonic() - before < FAST_S


def test_functions_alone_do_not_hold_their_worker(make_worker: MakeWorker) -> None:
    worker = ringbridge.Worker(sys.executable, restart="on-crash")
    neg, pid = worker.load("operator").neg, worker.pid
    assert neg(1) == -1
    del worker
    gc.collect()
    with pytest.raises(ringbridge.RingbridgeError, match="nothing held the Worker"):
        neg(1)
    with pytest.raises(ProcessLookupError):
        os.kill(pid or 0, 0)


def test_ctrl_c_ends_the_wait_of_one_call_and_harms_nothing(
    make_held: MakeWorker, held: Held
) -> None:
    worker = make_held()
    echo = worker.load(BASICS).echo
    held.hold()
    kill(worker)
    reached = held.reached()
    interrupt = threading.Timer(0.2, signal.pthread_kill, [threading.get_ident(), signal.SIGINT])
    # Where the tests were started with SIGINT ignored (nohup), Python has no handler for it.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        interrupt.start()
        echo(1)
    interrupt.join()
    signal.signal(signal.SIGINT, previous)
    reached.close()
    assert echo(2) == 2
    assert worker.restarts == 1


def test_the_wait_counts_for_the_calls_timeout(make_held: MakeWorker, held: Held) -> None:
    worker = make_held()
    echo = worker.load(BASICS).echo
    held.hold()
    kill(worker)
    with held.reached(), pytest.raises(ringbridge.CallTimeout, match="being started again"):
        echo.options(timeout=0.2)(1)
    assert echo.options(timeout=50.0)(2) == 2
    assert worker.restarts == 1


def test_the_thread_of_an_event_loop_is_not_blocked(make_held: MakeWorker, held: Held) -> None:
    worker = make_held()
    echo = worker.load(BASICS).echo
    held.hold()
    kill(worker)

    async def use() -> tuple[int, int]:
        with held.reached():
            with pytest.raises(ringbridge.Busy, match=r"being started again.*event loop"):
                echo(1)
            with pytest.raises(ringbridge.Busy):
                worker.empty(1)
        other = await asyncio.to_thread(echo, 2)
        return other, echo(3)

    assert asyncio.run(use()) == (2, 3)


def test_a_module_that_failed_is_not_loaded_again_on_a_loops_thread(
    make_worker: MakeWorker, tmp_path: Path
) -> None:
    file = tmp_path / "halfway.py"
    file.write_text("def f(): return 1\n")
    worker = make_worker(
        restart="on-crash", paths=[tmp_path], environ={"PYTHONDONTWRITEBYTECODE": "1"}
    )
    f = worker.load("halfway").f
    file.write_text("raise RuntimeError('half')\n")
    kill(worker)
    until(lambda: worker.restarts == 1, "the new process")

    async def use() -> None:
        for _ in range(2):
            with pytest.raises(RuntimeError, match="half"):
                f()
        with pytest.raises(RuntimeError, match="half"):
            await asyncio.to_thread(f)
        file.write_text("def f(): return 2\n")
        with pytest.raises(ringbridge.Busy, match="must load 'halfway' again"):
            f()
        assert await asyncio.to_thread(f) == 2
        assert f() == 2

    asyncio.run(use())


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # fork with threads: meant
def test_a_forked_child_is_refused_also_during_a_restart(make_held: MakeWorker, held: Held) -> None:
    worker = make_held()
    echo = worker.load(BASICS).echo
    held.hold()
    kill(worker)
    reached = held.reached()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        for use in (lambda: echo(1), worker._process.channel, worker.restart):
            try:
                use()
                os.write(write, b"no error\n")
            except ringbridge.RingbridgeError as error:
                os.write(write, b"forked\n" if b"forked" in str(error).encode() else b"other\n")
        worker.close()
        os._exit(0)
    os.close(write)
    with open(read) as said:
        assert said.read().split() == ["forked"] * 3
    assert os.waitpid(child, 0)[1] == 0
    reached.close()
    assert echo(1) == 1


def test_closing_ends_the_loads_of_a_new_process_too(
    make_worker: MakeWorker, tmp_path: Path, nothing_left: None
) -> None:
    """They may take long: a module is imported that waits for something."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    flag = tmp_path / "flag"
    text = f"import os\nif os.path.exists({str(flag)!r}): open({str(fifo)!r}).read()\n"
    (tmp_path / "slow.py").write_text(text + "def f(): return 1\n")
    worker = make_worker(restart="on-crash", paths=[tmp_path])
    f = worker.load("slow").f
    flag.touch()
    kill(worker)
    with fifo.open("w"):
        before = time.monotonic()
        worker.close()
        assert time.monotonic() - before < FAST_S
    with pytest.raises(ringbridge.RingbridgeError, match="closed"):
        f()


def test_an_interpreter_that_ends_during_a_restart_does_not_wait(held: Held) -> None:
    code = f"""
import os, signal
import ringbridge
worker = ringbridge.Worker({str(held.python)!r}, restart="on-crash", start_timeout=50.0)
print("started", flush=True)
input()
os.kill(worker.pid, signal.SIGKILL)
fifo = open({str(held.fifo)!r}, "w")
"""
    host = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with host:
        assert host.stdout is not None and host.stdout.readline() == "started\n"
        held.hold()
        before = time.monotonic()
        _out, err = host.communicate("\n", timeout=50)
        assert (host.returncode, err) == (0, "")
        assert time.monotonic() - before < FAST_S


def test_a_finaliser_that_calls_in_the_thread_of_the_restart_does_not_hang(
    make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ringbridge import launch

    worker = make_worker(restart="on-crash")
    echo = worker.load(BASICS).echo
    raised: list[BaseException] = []
    run = launch.Start.run

    def run_and_call(start: launch.Start) -> launch.Child:
        try:
            echo(1)
        except ringbridge.RingbridgeError as error:
            raised.append(error)
        return run(start)

    monkeypatch.setattr(launch.Start, "run", run_and_call)
    kill(worker)
    assert echo(2) == 2
    assert isinstance(raised[0], ringbridge.Busy) and "the thread that starts it" in str(raised[0])


def test_where_no_thread_can_be_had_the_next_use_starts_it(
    make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in an isolated subinterpreter, which has no daemon threads."""
    worker = make_worker(restart="on-crash")
    echo = worker.load(BASICS).echo
    start = threading.Thread.start

    def refuse(self: threading.Thread) -> None:
        if self.name.startswith("restart of"):
            raise RuntimeError("daemon threads are not allowed in this interpreter")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    for _ in range(3):
        kill(worker)
        assert echo(1) == 1
    assert worker.restarts == 3
