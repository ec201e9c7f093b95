# SPDX-License-Identifier: MIT
"""Deaths, floods, full rings and limits: nothing hangs, nothing leaks, every count is exact.

RBR_ROUNDS sets how many kills there are (a few in CI, thousands in `make soak`); RBR_SEED repeats
a run.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rbr_testing import rounds
from rbr_testing.fixtures import MakeWorker

import ringbridge

HERE = Path(__file__).resolve().parent
ROUNDS = rounds.rounds(25)
THREADS = 8
NOTICED_S = 0.05  # the promise (p99); a test asserts ten times that, for shared machines


class Caller(threading.Thread):
    """Calls until something is raised; keeps what, and when."""

    def __init__(self, module: ringbridge.RemoteModule, number: int, blocking: bool) -> None:
        super().__init__(daemon=True)
        self.module, self.number, self.blocking = module, number, blocking
        self.error: BaseException | None = None
        self.ended_s = 0.0
        self.calls = 0

    def run(self) -> None:
        try:
            while True:
                if self.blocking:
                    self.module.pause(30.0)
                payload = b"%d" % (self.number * 7919 + self.calls)
                expected = (self.number, len(payload), payload[::-1])
                assert self.module.checked(self.number, payload) == expected
                self.calls += 1
        except BaseException as error:
            self.ended_s = time.monotonic()
            self.error = error


def _wait_until_gone(pid: int, within_s: float) -> bool:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            with open(f"/proc/{pid}/stat") as stat:
                if stat.read().rpartition(")")[2].split()[0] in "ZX":
                    return True  # ended; whoever is its parent now has yet to collect it
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.002)
    return False


@pytest.mark.seconds(60 + 2 * ROUNDS)
@pytest.mark.parametrize("grandchild", [False, True], ids=["alone", "with a grandchild"])
def test_a_kill_during_calls_from_eight_threads_is_noticed_by_all(
    nothing_left: None, grandchild: bool
) -> None:
    rng = random.Random(rounds.seed())
    noticed: list[float] = []
    for round_ in range(ROUNDS):
        worker = ringbridge.Worker(sys.executable, name=f"victim{round_}", paths=[HERE])
        module = worker.load("rbr_testing.faults")
        words = f"the last words of round {round_}"
        module.say_last_words(words)
        child = module.keep_a_grandchild() if grandchild else None
        callers = [Caller(module, number, round_ % 2 == 1) for number in range(THREADS)]
        for caller in callers:
            caller.start()
        time.sleep(rng.random() * 0.02)  # the moment is random on purpose
        killed_s = time.monotonic()
        os.kill(worker.pid, signal.SIGKILL)
        for caller in callers:
            caller.join(20)
            assert not caller.is_alive(), "a call hangs"
            assert isinstance(caller.error, ringbridge.WorkerDied), repr(caller.error)
            assert caller.error.signal == signal.SIGKILL
            assert "SIGKILL" in str(caller.error) or "Killed" in str(caller.error)
            assert words in str(caller.error)
            noticed.append(caller.ended_s - killed_s)
        worker.close()
        if child is not None:
            assert _wait_until_gone(child, 5), "a grandchild outlives the worker's session"
    noticed.sort()
    print(
        f"noticed after: median {noticed[len(noticed) // 2] * 1e3:.1f} ms, "
        f"p99 {noticed[len(noticed) * 99 // 100] * 1e3:.1f} ms, max {noticed[-1] * 1e3:.1f} ms"
    )
    assert noticed[len(noticed) * 99 // 100] < 10 * NOTICED_S
    rounds.count("workers killed during calls from eight threads", ROUNDS)


HOST = """
import os, signal, sys, threading, time
import ringbridge
worker = ringbridge.Worker(sys.executable, name="orphan", paths=[sys.argv[1]])
module = worker.load("rbr_testing.faults")
child = module.keep_a_grandchild()
print(worker.pid, child, flush=True)
if sys.argv[2] == "busy":
    threading.Thread(target=module.pause, args=(60.0,), daemon=True).start()
elif sys.argv[2] == "calling":
    def call():
        while True:
            module.add(1, 2)
    threading.Thread(target=call, daemon=True).start()
time.sleep(60)
"""


@pytest.mark.parametrize("state", ["idle", "busy", "calling"])
def test_a_worker_ends_within_a_second_of_its_hosts_kill(state: str) -> None:
    before = set(os.listdir("/dev/shm"))
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, str(HERE), state], stdout=subprocess.PIPE, text=True
    )
    assert host.stdout is not None
    worker, child = (int(word) for word in host.stdout.readline().split())
    time.sleep(0.1)
    host.kill()
    host.wait()
    assert _wait_until_gone(worker, 10 * 1.0), "the worker outlives its host"
    if state == "busy":  # one that had to be killed takes its session along
        assert _wait_until_gone(child, 10 * 1.0)
    else:
        os.kill(child, signal.SIGKILL)
    host.stdout.close()
    assert {name for name in set(os.listdir("/dev/shm")) - before if "ringbridge" in name} == set()


def _in_threads(count: int, work: Callable[[int], None]) -> None:
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
        assert not thread.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]


@pytest.mark.seconds(240)
def test_a_flood_of_small_calls_from_eight_threads_loses_nothing(make_worker: MakeWorker) -> None:
    each = 100_000 // THREADS
    worker = make_worker()
    module = worker.load("rbr_testing.faults")
    sums = [0] * THREADS

    def work(number: int) -> None:
        for i in range(each):
            answer = module.add(number * each, i)
            assert answer == number * each + i
            sums[number] += answer

    before = worker.stats()["frames_received"]
    _in_threads(THREADS, work)
    total = THREADS * each
    assert sum(sums) == total * (total - 1) // 2
    assert worker.stats()["frames_received"] - before == total
    assert worker.stats()["late_looks"] == 0


def test_two_full_rings_do_not_face_each_other(make_worker: MakeWorker) -> None:
    """Eight callers whose arguments and results each nearly fill a small ring."""
    worker = make_worker(limits={"ring_bytes": 64 << 10})
    module = worker.load("rbr_testing.faults")

    def work(number: int) -> None:
        rng = random.Random(number)
        for i in range(150):
            payload = bytes([rng.randrange(256)]) * rng.randrange(8_000, 15_000)
            assert module.checked(i, payload) == (i, len(payload), payload[::-1])

    _in_threads(THREADS, work)
    assert worker.stats()["late_looks"] == 0


def test_frames_too_large_for_the_ring_go_through_the_arena(make_worker: MakeWorker) -> None:
    worker = make_worker(limits={"ring_bytes": 64 << 10})
    module = worker.load("rbr_testing.faults")
    value = [{"key": i, "text": "x" * 50} for i in range(10_000)]

    def work(_number: int) -> None:
        for _ in range(5):
            assert module.echo(value) == value

    _in_threads(4, work)
    assert worker.stats()["arena_blocks"] == 0


def test_an_argument_beyond_the_limit_is_refused_and_costs_nothing(make_worker: MakeWorker) -> None:
    np = pytest.importorskip("numpy")
    worker = make_worker(limits={"arena_bytes": 1 << 30})
    module = worker.load("rbr_testing.faults")
    huge = np.broadcast_to(np.float64(0), (10 * (1 << 30) // 8,))  # 10 GiB that take 8 bytes here
    with pytest.raises(ringbridge.ArenaFull) as caught:
        module.length(huge)
    assert isinstance(caught.value, MemoryError)
    assert str(10 << 30) in str(caught.value) and str(1 << 30) in str(caught.value)
    with pytest.raises(ringbridge.ArenaFull):
        worker.empty((10 << 30,), "uint8")
    assert module.add(1, 2) == 3
    assert worker.stats()["arena_bytes"] == 0


def test_arrays_that_are_let_go_make_room_again(make_worker: MakeWorker) -> None:
    pytest.importorskip("numpy")
    worker = make_worker(limits={"arena_bytes": 64 << 20})
    for size in (20, 30, 40, 50, 60, 10):  # each alone fits; together they never would
        array = worker.empty((size << 20,), "uint8")
        array[:] = size
        del array
    kept = worker.empty((40 << 20,), "uint8")
    with pytest.raises(ringbridge.ArenaFull, match="held"):
        worker.empty((40 << 20,), "uint8")
    del kept
    worker.empty((40 << 20,), "uint8")


def test_arguments_go_back_before_the_answer_comes(make_worker: MakeWorker) -> None:
    """They once went back just after it, and a quick next call found their memory still held."""
    np = pytest.importorskip("numpy")
    worker = make_worker()
    module = worker.load("rbr_testing.faults")
    array = np.ones(10_000_000, "uint8")
    for _ in range(300):
        assert module.length(array) == array.size
        assert worker.stats()["arena_blocks"] == 0


def test_an_array_outlives_its_worker(make_worker: MakeWorker) -> None:
    np = pytest.importorskip("numpy")
    worker = make_worker()
    module = worker.load("rbr_testing.faults")
    sent = worker.empty((1 << 20,), "int64")
    sent[:] = np.arange(1 << 20)
    got = module.echo(sent)
    os.kill(worker.pid, signal.SIGKILL)
    worker.close()
    del worker, module
    assert (got == np.arange(1 << 20)).all() and (sent == got).all()
    got[0] = -1
    assert got[0] == -1


def test_keyboard_interrupt_leaves_a_blocking_call_at_once(make_worker: MakeWorker) -> None:
    module = make_worker().load("rbr_testing.faults")
    # Where the tests were started with SIGINT ignored (nohup), Python has no handler for it.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.2, signal.raise_signal, [signal.SIGINT])
    started = time.monotonic()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        module.pause(30.0)
    assert time.monotonic() - started < 0.2 + 10 * 0.1
    timer.join()
    signal.signal(signal.SIGINT, previous)
    assert module.add(1, 2) == 3  # what ran over there was interrupted too


def test_a_storm_of_signals_loses_no_call(make_worker: MakeWorker) -> None:
    module = make_worker().load("rbr_testing.faults")
    hits = 0

    def handler(_signum: int, _frame: object) -> None:
        nonlocal hits
        hits += 1

    previous = signal.signal(signal.SIGUSR1, handler)
    stop = threading.Event()
    main = threading.get_ident()

    def storm() -> None:
        while not stop.is_set():
            signal.pthread_kill(main, signal.SIGUSR1)
            time.sleep(0.0002)

    thread = threading.Thread(target=storm)
    thread.start()
    try:
        for i in range(3000):
            assert module.add(i, 1) == i + 1
        assert module.pause(0.2) == 0.2
    finally:
        stop.set()
        thread.join()
        signal.signal(signal.SIGUSR1, previous)
    assert hits > 0


def test_a_late_answer_is_dropped_and_its_blocks_go_back(make_worker: MakeWorker) -> None:
    pytest.importorskip("numpy")
    worker = make_worker()
    module = worker.load("rbr_testing.faults")
    array = worker.empty((1 << 20,), "uint8")
    for _ in range(20):
        with pytest.raises(ringbridge.CallTimeout):
            module.pause.options(timeout=0.005)(30.0)
        assert module.length(array) == 1 << 20
    assert worker.stats()["dropped_answers"] == 20
    assert worker.stats()["peer_blocks"] == 0


def test_messages_name_the_call_by_its_label(make_worker: MakeWorker) -> None:
    module = make_worker().load("rbr_testing.faults")
    with pytest.raises(ringbridge.CallTimeout, match=r"faults\.pause \[sheet 7\]"):
        module.pause.options(timeout=0.05, label="sheet 7")(30.0)


def test_a_death_noticed_by_who_needs_memory_has_its_worker_and_its_cause(
    make_worker: MakeWorker,
) -> None:
    for _ in range(5):
        worker = make_worker()
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(ringbridge.WorkerDied, match=rf"pid {worker.pid}\).*signal 9"):
            while True:  # the first ones may lie in memory that is there
                worker.empty(64 << 20, "uint8").sum()
                worker.load("rbr_testing.faults")


def test_a_worker_that_hears_no_control_message_is_named(make_worker: MakeWorker) -> None:
    worker = make_worker()
    worker.load("rbr_testing.descriptors").hear_no_control_message()
    with pytest.raises(ringbridge.WorkerDied, match=rf"worker .* \(pid {worker.pid}\) "):
        worker.empty(64 << 20, "uint8")


def test_a_call_after_the_death_is_not_blamed_for_it(make_worker: MakeWorker) -> None:
    """The message once said that the worker had died in whatever was called next."""
    worker = make_worker()
    module = worker.load("rbr_testing.faults")
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(ringbridge.WorkerDied):
        module.pause(30.0)
    with pytest.raises(ringbridge.WorkerDied) as caught:
        module.add(1, 2)
    assert "add" not in str(caught.value)


def test_a_worker_that_is_terminated_during_a_call_has_died(make_worker: MakeWorker) -> None:
    """It once was a RemoteError of a class that nobody had heard of."""
    worker = make_worker()
    module = worker.load("rbr_testing.faults")
    threading.Timer(0.1, os.kill, [worker.pid, signal.SIGTERM]).start()
    with pytest.raises(ringbridge.WorkerDied) as caught:
        module.pause(30.0)
    assert caught.value.signal == signal.SIGTERM
