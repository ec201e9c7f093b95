# SPDX-License-Identifier: MIT
"""A turn: what a runner does with its peer between two looks at its command pipe.

Each answers with a dict of plain values. A turn never ends by itself when the peer hangs: whoever
asked for it kills the runner.
"""

from __future__ import annotations

import gc
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import repeat
from typing import Any

from ringbridge.bench import far_side, loops, processes
from ringbridge.bench.peer import Peer, Thunk

Answer = dict[str, Any]

_BATCH = 20  # calls between two looks at the clock, where the look itself would count
_BATCH_BELOW_NS = 20_000
_LOOK, _SLOW_NS = 3, 200_000  # single calls that tell whether batches are needed
_EACH_MAX = 2000  # single calls a turn: they travel as JSON

_clock = time.perf_counter_ns


class Counter:
    """Right answers so far, in memory that the main process sees too: it outlives a runner."""

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory.cast("Q")

    def set(self, count: int) -> None:
        self._memory[0] = count

    def get(self) -> int:
        return int(self._memory[0])


class Turns:
    """The turns of one peer, by name, and what they prepared."""

    def __init__(self, make: Callable[[], Peer], counter: Counter, cpus: tuple[int, int]) -> None:
        self._make, self._counter = make, counter
        self._host_cpu, self._far_cpu = cpus
        self._free = os.sched_getaffinity(0)
        self._timed: dict[str, tuple[Thunk, int]] = {}
        self._checks: dict[str, list[Callable[[], bool]]] = {}
        self._loop: loops.Loop | None = None
        self.peer = make()

    # -------------------------------------------------------------------------- beginning, end

    def start(self) -> Answer:
        # On both processors, as any program begins; threads and children are moved afterwards.
        processes.pin(os.getpid(), {self._host_cpu, self._far_cpu})
        self.peer.start()
        if self.peer.call(1) != 2:
            raise ValueError("f(1) is not 2")
        self._far = processes.descendants(os.getpid())
        processes.pin(os.getpid(), {self._host_cpu})
        for pid in self._far:
            processes.pin(pid, {self._far_cpu})
        return {"far_pids": self._far, "shares_memory": self.peer.shares_memory,
                "has_futures": self.peer.has_futures, "note": self.peer.note}  # fmt: skip

    def versions(self) -> Answer:
        return dict(self.peer.remote("versions"))

    def close(self) -> Answer:
        self.peer.close()
        return {}

    # ------------------------------------------------------------------------------ small calls

    def call(self, seconds: float) -> Answer:
        return self._measured(partial(self.peer.caller("increment"), 1), 2, seconds)

    def sleep(self, nap_s: float, calls: int) -> Answer:
        """The way there and back, when the other side has had time to fall asleep."""
        each = []
        with self._cost(calls) as answer:
            for _ in range(calls):
                time.sleep(nap_s / 2)
                began = _clock()
                slept_ns = self.peer.remote("nap", nap_s)
                each.append(_clock() - began - slept_ns)
        return {**answer, "trips": each, "each": each}

    def stream(self, calls: int, window: int) -> Answer:
        """How many of so many calls came back right, and in what time."""
        seen = bytearray(calls)
        wrong = 0
        right = 0

        def arrived(value: int, got: int) -> None:
            nonlocal wrong, right
            if got == value + 1 and not seen[value]:
                seen[value] = 1
                right += 1
                self._counter.set(right)
            else:
                wrong += 1

        self._counter.set(0)
        with self._cost(calls) as answer:
            began = _clock()
            self.peer.stream(range(calls), window, arrived)
            took = _clock() - began
        return {**_among_threads(answer), "completed": right, "wrong": wrong, "took_ns": took}

    def reported(self, seconds: float) -> Answer:
        """What the far side has measured among its own threads."""
        each = self.peer.reported(seconds)
        return {"trips": each, "each": each}

    # ------------------------------------------------------------------------------------- tasks

    def submit(self, seconds: float) -> Answer:
        submit = self.peer.submitter("increment")
        return _among_threads(self._measured(lambda: submit(1).result(), 2, seconds))

    def awaits(self, seconds: float, nap_s: float = 0.0) -> Answer:
        with self._cost(1) as answer:
            each, wrong = self.loop.awaits(self.peer.awaiter(), seconds, nap_s)
        answer["cpu_ns"] /= len(each)
        answer["peer_cpu_ns"] /= len(each)
        return {**answer, "trips": each, "each": each, "wrong": wrong}

    def gather(self, calls: int) -> Answer:
        with self._cost(calls) as answer:
            took, wrong = self.loop.gather(self.peer.awaiter(), calls)
        return {**answer, "trips": [took / calls], "wrong": wrong}

    def rhythm(self, key: str, load: str, seconds: float, least: int) -> Answer:
        call, size = self._timed[key]
        last = call()[-1]
        submit = partial(self.peer.submitter("kept"), -size)

        def is_good(array: Any) -> bool:
            return bool(array.nbytes == -size and array[-1] == last)

        return self.loop.rhythm(load, submit, is_good, seconds, least)

    @property
    def loop(self) -> loops.Loop:
        if self._loop is None:
            self._loop = loops.Loop()
        return self._loop

    # ----------------------------------------------------------------------------------- arrays

    def prepare(self, key: str, kind: str, size: int, seed: int) -> Answer:
        """Makes what `array` measures, and checks that it crosses right."""
        peer = self.peer
        if kind == "argument":
            array = far_side.pattern(size, seed)
            self._argument(key, array, peer.argument("byte_count", array),
                           peer.argument("crc", array))  # fmt: skip
        elif kind == "in-place argument":
            array = peer.shared(size)
            far_side.fill(array, seed)
            self._argument(key, array, peer.shared_argument("byte_count", array),
                           peer.shared_argument("crc", array))  # fmt: skip
        elif kind == "result":
            self._result(key, size, peer.remote("keep", size, seed, False),
                         peer.result("kept", size))  # fmt: skip
        elif kind == "in-place result":
            self._result(key, size, peer.keep_shared(size, seed), peer.shared_result(size))
        else:
            raise ValueError(f"no kind {kind!r}")
        return self.check(key)

    def _argument(self, key: str, array: Any, call: Thunk, crc: Thunk) -> None:
        self._timed[key] = call, int(array.nbytes)
        self._checks[key] = [lambda: bool(crc() == far_side.crc(array))]

    def _result(self, key: str, size: int, crc: int, call: Thunk) -> None:
        self._timed[key] = call, -size
        self._checks[key] = [lambda: far_side.crc(call()) == crc]

    def check(self, key: str) -> Answer:
        return {"wrong": sum(not check() for check in self._checks[key])}

    def array(self, key: str, seconds: float) -> Answer:
        call, size = self._timed[key]
        if size < 0:
            return self._measured(call, None, seconds, lambda array: array.nbytes == -size)
        return self._measured(call, size, seconds)

    def prepare_dict(self, key: str, count: int, size: int, seed: int) -> Answer:
        arrays = far_side.make_dict(count, size, seed)
        crc = self.peer.remote("keep_dict", count, size, seed + 1000)
        call = partial(self.peer.exchange, arrays)
        self._timed[key] = call, count
        self._checks[key] = [lambda: far_side.crc_dict(call()) == crc]
        return self.check(key)

    def exchange(self, key: str, seconds: float) -> Answer:
        call, count = self._timed[key]
        return self._measured(call, None, seconds, lambda arrays: len(arrays) == count)

    # ------------------------------------------------------------------------------------- plots

    def prepare_plot(self, key: str, what: str, seed: int) -> Answer:
        call, check = self.peer.plotted(what, seed)
        self._timed[key] = call, 0
        self._checks[key] = [check]
        return self.check(key)

    def plot(self, key: str, seconds: float) -> Answer:
        """Until all has been drawn: nobody draws while another takes its turn."""
        before = self.peer.settled()
        answer = self._measured(self._timed[key][0], None, seconds)
        return {**answer, "drawn": self.peer.settled() - before}

    def plot_and_copy(self, key: str, seconds: float) -> Answer:
        """The same, by turns with copies: what viewers take from the memory meets both alike."""
        before = self.peer.settled()
        show, copy = self._timed[key][0], self.peer.copied()
        shown: list[int] = []
        copied: list[int] = []
        with self._cost(1) as cost:
            start = _clock()
            while len(shown) < _EACH_MAX and _clock() - start < seconds * 1e9:
                for call, each in ((show, shown), (copy, copied)):
                    for _ in repeat(None, _BATCH):
                        self._once(call, each)
        drawn = self.peer.settled() - before
        answer = {key: cost[key] for key in ("wall_ns", "involuntary")}  # the rest is of both
        return {**answer, "trips": shown, "each": shown, "copied": copied, "drawn": drawn}

    def forget(self) -> Answer:
        self._timed.clear()
        self._checks.clear()
        gc.collect()
        self.peer.forget()
        return {}

    # ------------------------------------------------------------------------------------ others

    def cold(self) -> Answer:
        """From nothing to the first answer, on all processors that there are."""
        peer = self._make()
        own = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self._free)
        try:
            began = _clock()
            peer.start()
            started = _clock()
            right = peer.call(1) == 2
            took = _clock() - began
            peer.close()
        finally:
            os.sched_setaffinity(0, own)
        return {"trips": [took], "each": [took], "started": started - began, "wrong": not right}

    def flat(self, calls: int, bytes_: int, size: int) -> Answer:
        """By how much this process and the far side grow: the worse one of the two."""
        increment = self.peer.caller("increment")
        carry = self.peer.argument("byte_count", far_side.pattern(size, 1))

        def call(times: int) -> None:
            for number in range(times):
                increment(number)

        def move(times: int) -> None:
            for _ in range(times):
                carry()

        times = max(bytes_ // size, 1)
        call(min(calls, 20_000))
        move(min(times, 3))
        return {"calls": self._growth(partial(call, calls)), "moved_bytes": times * size,
                "bytes": self._growth(partial(move, times))}  # fmt: skip

    def _growth(self, work: Callable[[], None]) -> dict[str, int]:
        pids = [os.getpid(), *self._far]
        before = [processes.Footprint.of(pid) for pid in pids]
        work()
        after = [processes.Footprint.of(pid) for pid in pids]
        pairs = list(zip(before, after))
        return {
            "rss_bytes": max(new.rss_bytes - old.rss_bytes for old, new in pairs),
            "fds": max(new.fds - old.fds for old, new in pairs),
        }

    # ----------------------------------------------------------------------------------- measuring

    def _measured(
        self,
        call: Thunk,
        expected: object,
        seconds: float,
        good: Callable[[Any], bool] | None = None,
    ) -> Answer:
        """trips: ns of a call in batches; each: ns of single calls, for the percentiles."""
        is_good = good or (lambda answer: answer == expected)
        trips: list[float] = []
        each: list[int] = []
        wrong = calls = 0
        with self._cost(1) as answer:
            start = _clock()
            while len(each) < _LOOK and (not each or each[-1] < _SLOW_NS):
                wrong += not is_good(self._once(call, each))
            batch = _BATCH if statistics.median(each) < _BATCH_BELOW_NS else 1
            while batch > 1 and (began := _clock()) - start < seconds * 5e8:
                for _ in repeat(None, batch):
                    got = call()
                trips.append((_clock() - began) / batch)
                wrong += not is_good(got)
                calls += batch
            while len(each) < _EACH_MAX and _clock() - start < seconds * 1e9:
                wrong += not is_good(self._once(call, each))
            calls += len(each)
        answer["cpu_ns"] /= calls
        answer["peer_cpu_ns"] /= calls
        return {**answer, "trips": trips or each, "each": each, "wrong": wrong}

    @staticmethod
    def _once(call: Thunk, each: list[int]) -> Any:
        began = _clock()
        got = call()
        each.append(_clock() - began)
        return got

    @contextmanager
    def _cost(self, calls: int) -> Iterator[Answer]:
        """CPU time of a call on both sides, and how often we were put off the processor."""
        answer: Answer = {}
        enabled = gc.isenabled()
        gc.disable()
        switched = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
        here, there = time.process_time_ns(), processes.cpu_ns(self._far)
        wall = _clock()
        try:
            yield answer
        finally:
            if enabled:
                gc.enable()
            answer["wall_ns"] = _clock() - wall
            answer["cpu_ns"] = (time.process_time_ns() - here) / calls
            answer["peer_cpu_ns"] = (processes.cpu_ns(self._far) - there) / calls
            rusage = resource.getrusage(resource.RUSAGE_SELF)
            answer["involuntary"] = rusage.ru_nivcsw - switched


def _among_threads(answer: Answer) -> Answer:
    """Of a turn in which threads put each other off the processor: that is no noise."""
    return {key: value for key, value in answer.items() if key not in ("involuntary", "wall_ns")}
