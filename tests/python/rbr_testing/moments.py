# SPDX-License-Identifier: MIT
"""Hosts that are interrupted at random moments: programs for test_random_moments.py.

python -m rbr_testing.moments exit SEED           ends, somehow, somewhere
python -m rbr_testing.moments fork SEED ROUNDS    forks again and again amid calls
python -m rbr_testing.moments storm SEED SECONDS  calls under a signal every 100 us
python -m rbr_testing.moments stop SEED ROUNDS    calls of a worker that is stopped again and again
python -m rbr_testing.moments start SEED ROUNDS   Ctrl-C somewhere in a start, scripts included
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import ringbridge
from ringbridge.activation import cache

HERE = Path(__file__).resolve().parent.parent
STORM_S = 100e-6
CHILD_FAILED = 9
STOP_DEADLINE_S = 0.01


def start(name: str) -> tuple[ringbridge.Worker, ringbridge.RemoteModule]:
    worker = ringbridge.Worker(sys.executable, name=name, paths=[HERE])
    return worker, worker.load("rbr_testing.faults")


def exact_call(module: ringbridge.RemoteModule, number: int, timeout: float | None = None) -> None:
    payload = b"%d" % number * (1 + number % 50)
    checked = module.checked if timeout is None else module.checked.options(timeout=timeout)
    assert checked(number, payload) == (number, len(payload), payload[::-1])


def call_for_ever(module: ringbridge.RemoteModule, number: int) -> None:
    # The worker is closed under us: that is how these threads end.
    with contextlib.suppress(ringbridge.RingbridgeError):
        while True:
            exact_call(module, number)


def pause_long(module: ringbridge.RemoteModule) -> None:
    with contextlib.suppress(ringbridge.RingbridgeError):
        module.pause(30.0)


class Cycle:
    """Garbage that holds itself and an array of the worker's."""

    def __init__(self, array: Any) -> None:
        self.me, self.array = self, array


# -------------------------------------------------------------------------------------------- exit

kept: list[Any] = []  # what lives until the interpreter clears its modules


def exit_somewhere(seed: int) -> None:
    """Ends with live arrays, threads in calls and an open worker, some of each."""
    rng = random.Random(seed)
    worker, module = start("exit")
    for number in range(rng.randrange(3)):
        threading.Thread(target=call_for_ever, args=(module, number), daemon=True).start()
    for _ in range(rng.randrange(4)):
        size = rng.choice([1, 3000, 100_000])
        array = module.echo(memoryview(bytes(size)))
        kept.append(rng.choice([array, memoryview(array)[: size // 2], Cycle(array)]))
    if rng.random() < 0.5:
        kept.append(worker)
        kept.append(module)
    if rng.random() < 0.3:
        threading.Thread(target=pause_long, args=(module,), daemon=True).start()
    time.sleep(rng.random() * 0.005)  # the moment is random on purpose
    way = rng.randrange(4)
    if way == 0:
        worker.close()
    elif way == 1:
        del worker, module
    elif way == 2:
        threading.Thread(target=worker.close, daemon=True).start()
    sys.exit(0)


# -------------------------------------------------------------------------------------------- fork


def child_of_a_fork(worker: ringbridge.Worker, module: ringbridge.RemoteModule) -> int:
    """What a child sees: an error each time, and nothing of its does harm."""
    for attempt in (lambda: module.add(1, 2), lambda: worker.load("json")):
        try:
            attempt()
        except ringbridge.RingbridgeError as error:
            if "fork" not in str(error):
                return CHILD_FAILED
        else:
            return CHILD_FAILED
    worker.close()
    return 0


def fork_amid_calls(seed: int, rounds: int) -> None:
    rng = random.Random(seed)
    worker, module = start("fork")
    for number in range(2):
        threading.Thread(target=call_for_ever, args=(module, number), daemon=True).start()
    for number in range(rounds):
        exact_call(module, number)
        time.sleep(rng.random() * 0.0005)
        child = os.fork()
        if child == 0:
            signal.alarm(20)  # a child that hangs is killed, and seen as failed
            os._exit(child_of_a_fork(worker, module))
        exact_call(module, number + 1)
        _, status = os.waitpid(child, 0)
        assert status == 0, f"round {number}: a child ended with status {status}"
    assert worker.alive
    worker.close()


# ------------------------------------------------------------------------------------------- storm


def call_in_a_storm(seed: int, seconds: float) -> None:
    rng = random.Random(seed)
    signals = calls = 0

    def handler(_signum: int, _frame: object) -> None:
        nonlocal signals
        signals += 1

    worker, module = start("storm")
    array = worker.empty(100_000, "u1")
    signal.signal(signal.SIGALRM, handler)  # without SA_RESTART: system calls end with EINTR
    signal.setitimer(signal.ITIMER_REAL, STORM_S, STORM_S)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        calls += 1
        kind = rng.randrange(10)
        if kind == 0:
            assert module.pause(0.001) == 0.001  # both sides asleep
        elif kind == 1:
            assert module.length(array) == len(array)
        elif kind == 2:
            big = bytes([calls % 256]) * 200_000
            assert module.echo(big) == big
        else:
            exact_call(module, calls)
    signal.setitimer(signal.ITIMER_REAL, 0)
    worker.close()
    print(calls, signals)


# -------------------------------------------------------------------------------------------- stop


def stop_somewhere(seed: int, rounds: int) -> None:
    """Calls with a deadline: each gives the right answer or CallTimeout, soon after its time."""
    rng = random.Random(seed)
    worker, module = start("stop")
    array = worker.empty(100_000, "u1")
    stopper = threading.Thread(target=stop_and_go_on, args=(worker.pid, seed, rounds))
    answers, late, slowest = 0, 0, 0.0
    stopper.start()
    while stopper.is_alive():
        began = time.monotonic()
        try:
            if rng.random() < 0.8:
                exact_call(module, answers, STOP_DEADLINE_S)
            else:
                echo = module.echo.options(timeout=STOP_DEADLINE_S)
                assert bytes(echo(array)) == bytes(array)
            answers += 1
        except ringbridge.CallTimeout:
            late += 1
            slowest = max(slowest, time.monotonic() - began)
    exact_call(module, answers)
    assert worker.stats()["peer_blocks"] == 0
    worker.close()
    print(answers, late, slowest)


def stop_and_go_on(pid: int, seed: int, rounds: int) -> None:
    rng = random.Random(~seed)
    for _ in range(rounds):
        time.sleep(rng.random() * 0.002)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(rng.random() * rng.choice([0.0, 0.002, 3 * STOP_DEADLINE_S]))
        os.kill(pid, signal.SIGCONT)


# ------------------------------------------------------------------------------------------- start


def interrupt_starts(seed: int, rounds: int) -> None:
    """Neither a process nor a descriptor may be left, wherever the interrupt came."""
    rng = random.Random(seed)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` has it ignored
    with tempfile.TemporaryDirectory() as folder:
        prefix = conda_like(Path(folder))
        os.environ["XDG_CACHE_HOME"] = folder
        ringbridge.Worker(prefix).close()  # what is made once, for good
        descriptors = len(os.listdir("/proc/self/fd"))
        interrupted = sum(interrupted_start(prefix, rng.random() * 0.05) for _ in range(rounds))
        deadline = time.monotonic() + 20
        while children() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not children(), f"{children()} are left"
        left = len(os.listdir("/proc/self/fd")) - descriptors
        assert left <= 0, f"{left} descriptors are left"
    print(interrupted)


def conda_like(prefix: Path) -> Path:
    script = prefix / "etc/conda/activate.d/a.sh"
    for path, text in (
        (prefix / "bin/python", f"#!/bin/sh\nexec '{sys.executable}' \"$@\"\n"),
        (script, "export A=1\n"),
    ):
        path.parent.mkdir(parents=True)
        path.write_text(text)
        path.chmod(0o755)
    (prefix / "conda-meta").mkdir()
    return prefix


def interrupted_start(prefix: Path, after_s: float) -> bool:
    cache.forget(str(prefix))  # so that the script runs each time
    timer = threading.Timer(after_s, os.kill, [os.getpid(), signal.SIGINT])
    interrupted = False
    try:
        timer.start()
        with ringbridge.Worker(prefix):
            timer.join()
            time.sleep(0.01)
    except KeyboardInterrupt:
        interrupted = True
    timer.join()
    return interrupted


def children() -> list[str]:
    return [
        child
        for task in os.listdir("/proc/self/task")
        for child in Path(f"/proc/self/task/{task}/children").read_text().split()
    ]


if __name__ == "__main__":
    verb, numbers = sys.argv[1], sys.argv[2:]
    if verb == "exit":
        exit_somewhere(int(numbers[0]))
    elif verb == "fork":
        fork_amid_calls(int(numbers[0]), int(numbers[1]))
    elif verb == "start":
        interrupt_starts(int(numbers[0]), int(numbers[1]))
    elif verb == "stop":
        stop_somewhere(int(numbers[0]), int(numbers[1]))
    else:
        call_in_a_storm(int(numbers[0]), float(numbers[1]))
