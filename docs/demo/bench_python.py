# SPDX-License-Identifier: MIT
"""The Python-level budgets, measured against their baselines in one run: `make bench`.

Each figure and its baseline are taken in turns (A B A B ...), the host on one processor and the
other process on another; what is compared are medians. On a machine that does other things too,
trust the ratios. Runs in the demo's host environment, see setup_demo.py.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable

import far_side

import ringbridge as rb

HERE = Path(__file__).resolve().parent
RECORD = HERE.parents[1] / "build" / "demo" / "environments.json"

LARGE_BYTES = 100_000_000
SMALL_BYTES = 1024
NAP_S = 0.001
FLAT_BYTES = 1 << 20  # what RSS may grow by and still be called flat: a few arenas of malloc

_BATCH = 20  # calls between two looks at the clock: short enough to be seldom interrupted
_PEER_S = 10.0

Measure = Callable[[], float]


@dataclass(frozen=True)
class Row:
    """One budget: what was measured, against what, and whether it was met."""

    what: str
    measured: str
    against: str
    ratio: float | None
    budget: str
    ok: bool | None

    @property
    def verdict(self) -> str:
        return "-" if self.ok is None else "ok" if self.ok else "MISSED"


def environments() -> dict[str, str]:
    """What setup_demo.py has made: the interpreters `host` and `compute`."""
    try:
        found: dict[str, str] = json.loads(RECORD.read_text())
    except FileNotFoundError:
        sys.exit("the demo's environments are missing: run `make demo` first")
    return found


# ------------------------------------------------------------------------------------- measuring


def alternate(rounds: int, *measures: Measure) -> list[float]:
    """Calls each measure once a round, in turns, and gives the median of each.

    A first round is not counted.
    """
    taken: list[list[float]] = [[] for _ in measures]
    enabled = gc.isenabled()
    gc.disable()
    try:
        for number in range(rounds + 1):
            for measure, values in zip(measures, taken):
                value = measure()
                if number > 0:
                    values.append(value)
    finally:
        if enabled:
            gc.enable()
    return [statistics.median(values) for values in taken]


def per_call(call: Callable[[], object], batches: int, batch: int) -> Measure:
    """ns of one call: the median of several batches."""

    def measure() -> float:
        taken = []
        for _ in range(batches):
            began = time.perf_counter_ns()
            for _ in range(batch):
                call()
            taken.append((time.perf_counter_ns() - began) / batch)
        return statistics.median(taken)

    return measure


def once(call: Callable[[], object]) -> Measure:
    def measure() -> float:
        began = time.perf_counter_ns()
        call()
        return float(time.perf_counter_ns() - began)

    return measure


@contextlib.contextmanager
def pinned(cpus: list[int]) -> Iterator[None]:
    """The calling thread on these processors, and afterwards where it was."""
    before = os.sched_getaffinity(0)
    far_side.pin(cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def two_cpus() -> tuple[int, int]:
    """One processor for the host, another for the other side; the same one where that is all."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[1 % len(usable)]


class PipePeer:
    """`increment` in a child of this interpreter, behind a multiprocessing.Pipe."""

    def __init__(self, cpu: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=far_side.serve_pipe, args=(theirs, [cpu]), daemon=True
        )
        self._process.start()
        theirs.close()
        assert self.increment(1) == 2

    def increment(self, number: int) -> int:
        self._connection.send(number)
        answer: int = self._connection.recv()
        return answer

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.send(None)
        self._process.join(_PEER_S)
        self._connection.close()


class SemaphorePeer:
    """`nap` in a child of this interpreter, behind two POSIX semaphores."""

    def __init__(self, cpu: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._request, self._reply = context.Semaphore(0), context.Semaphore(0)
        self._slept_ns = context.RawValue("q", 0)
        arguments = (self._request, self._reply, self._slept_ns, NAP_S, [cpu])
        self._process = context.Process(
            target=far_side.serve_semaphores, args=arguments, daemon=True
        )
        self._process.start()
        self.nap()

    def nap(self) -> int:
        self._request.release()
        if not self._reply.acquire(timeout=_PEER_S):
            raise TimeoutError("the peer behind the semaphores does not answer")
        slept_ns: int = self._slept_ns.value
        return slept_ns

    def close(self) -> None:
        self._slept_ns.value = -1
        self._request.release()
        self._process.join(_PEER_S)


class Rig:
    """A worker on one processor; the host is to be on the other one (`with pinned([host_cpu])`)."""

    def __init__(self, compute: str) -> None:
        self.host_cpu, self.far_cpu = two_cpus()
        self.worker = rb.Worker(compute, name="bench", paths=[HERE])
        self.far = self.worker.load("far_side")
        self.far.pin([self.far_cpu])

    def small_call(self, rounds: int) -> tuple[float, float]:
        """ns of f(1) -> 2: through ringbridge, through multiprocessing.Pipe."""
        increment = self.far.increment
        assert increment(1) == 2
        with contextlib.closing(PipePeer(self.far_cpu)) as pipe:
            ours, theirs = alternate(
                rounds,
                per_call(lambda: increment(1), 100, _BATCH),
                per_call(lambda: pipe.increment(1), 20, 1),
            )
        return ours, theirs

    def sleeping_call(self, rounds: int) -> tuple[float, float]:
        """ns of the way there and back when both sides have gone to sleep: ringbridge, sem_t."""

        def way(nap: Callable[[], int]) -> Measure:
            def measure() -> float:
                time.sleep(NAP_S / 2)  # until the other side has stopped spinning
                began = time.perf_counter_ns()
                slept_ns = nap()
                return float(time.perf_counter_ns() - began - slept_ns)

            return measure

        with contextlib.closing(SemaphorePeer(self.far_cpu)) as semaphores:
            ours, theirs = alternate(rounds, way(lambda: self.far.nap(NAP_S)), way(semaphores.nap))
        return ours, theirs

    def argument(self, rounds: int, size: int = LARGE_BYTES) -> tuple[float, float]:
        """ns of a call with an ordinary array, and of numpy copying it (memory touched before)."""
        import numpy as np

        source, target = np.ones(size, "uint8"), np.ones(size, "uint8")
        call = self.far.byte_count
        assert call(source) == size
        ours, copy = alternate(
            rounds, once(lambda: call(source)), once(lambda: np.copyto(target, source))
        )
        return ours, copy

    def result(self, rounds: int, size: int = LARGE_BYTES) -> tuple[float, float]:
        """ns of a call that returns an ordinary array, and of the worker copying it."""
        self.far.keep(size, False)
        kept = self.far.kept
        assert kept(size, False).nbytes == size
        ours, copy = alternate(
            rounds,
            once(lambda: kept(size, False)),
            lambda: float(self.far.memcpy_ns(size)),
        )
        self.far.forget()
        return ours, copy

    def shared_argument(self, rounds: int) -> tuple[float, float]:
        """ns of a call with an array of Worker.empty: a large one, a small one."""
        large, small = (
            self.worker.empty(LARGE_BYTES, "uint8"),
            self.worker.empty(SMALL_BYTES, "uint8"),
        )
        large[:] = small[:] = 1
        call = self.far.byte_count
        big, little = alternate(
            rounds,
            per_call(lambda: call(large), 20, _BATCH),
            per_call(lambda: call(small), 20, _BATCH),
        )
        return big, little

    def shared_result(self, rounds: int) -> tuple[float, float]:
        """ns of a call that returns an array of ringbridge.empty: a large one, a small one."""
        self.far.keep(LARGE_BYTES, True)
        self.far.keep(SMALL_BYTES, True)
        kept = self.far.kept
        big, little = alternate(
            rounds,
            per_call(lambda: kept(LARGE_BYTES, True), 20, _BATCH),
            per_call(lambda: kept(SMALL_BYTES, True), 20, _BATCH),
        )
        self.far.forget()
        return big, little

    def close(self) -> None:
        self.worker.close()


def worker_start(compute: str, rounds: int) -> tuple[float, float]:
    """ns until a worker is there, and of `python -c pass` in the same environment."""
    started: list[rb.Worker] = []
    with rb.Worker(compute, name="start", wait=False) as worker:
        executable = worker.environment.python

    def start() -> float:
        taken = once(lambda: started.append(rb.Worker(compute, name="start")))()
        started.pop().close()
        return taken

    bare = once(lambda: subprocess.run([executable, "-c", "pass"], check=True))
    ours, python = alternate(rounds, start, bare)
    return ours, python


@dataclass(frozen=True)
class Footprint:
    """What a process holds."""

    rss_bytes: int
    fds: int

    @classmethod
    def of(cls, pid: int) -> Footprint:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        fds = len(os.listdir(f"/proc/{pid}/fd"))
        return cls(pages * os.sysconf("SC_PAGE_SIZE"), fds)


def growth(rig: Rig, work: Callable[[], object]) -> tuple[int, int]:
    """By how many bytes and descriptors a process has grown: the worse one of the two."""
    pids = (os.getpid(), rig.worker.pid or 0)
    before = [Footprint.of(pid) for pid in pids]
    work()
    after = [Footprint.of(pid) for pid in pids]
    rss = max(new.rss_bytes - old.rss_bytes for old, new in zip(before, after))
    fds = max(new.fds - old.fds for old, new in zip(before, after))
    return rss, fds


def floor_ns(cpus: tuple[int, int]) -> dict[str, float]:
    """The machine's own round trips, from ringbench; empty where there is none (or one CPU)."""
    command = os.path.join(os.path.dirname(str(rb.__file__)), "bin", "ringbench")
    options = ["--json", "-", "--duration", "50ms", "--runs", "1", "--cpus", f"{cpus[0]},{cpus[1]}"]
    try:
        with pinned(list(cpus)):  # it pins its processes itself
            done = subprocess.run(
                [command, "floor", *options], capture_output=True, check=True, timeout=60
            )
        rows = json.loads(done.stdout)["results"]
        return {row["name"]: row["trip_ns"] for row in rows if "trip_ns" in row}
    except (OSError, subprocess.SubprocessError, ValueError, KeyError):
        return {}


# --------------------------------------------------------------------------------------- budgets


def _us(ns: float) -> str:
    return f"{ns / 1e3:.2f} us"


def _ms(ns: float) -> str:
    return f"{ns / 1e6:.2f} ms"


def _against(
    what: str, ours: float, name: str, theirs: float, most: float, show: Callable[[float], str]
) -> Row:
    """A row whose budget is a ratio that must not be exceeded."""
    ratio = ours / theirs
    against = f"{name} {show(theirs)}"
    return Row(what, show(ours), against, ratio, f"<= {most:g} x", ratio <= most)


def call_rows(rig: Rig, rounds: int) -> list[Row]:
    floors, calls = [], []
    for _ in range(3):
        floors.append(floor_ns((rig.host_cpu, rig.far_cpu)).get("own cache lines"))
        calls.append(rig.small_call(rounds))
    ours = statistics.median(call[0] for call in calls)
    pipe = statistics.median(call[1] for call in calls)
    what = "f(1) -> 2, spinning"
    faster = pipe / ours
    rows = [Row(what, _us(ours), f"mp.Pipe {_us(pipe)}", faster, ">= 30 x faster", faster >= 30)]
    known = [floor for floor in floors if floor is not None]
    if not known:
        return [Row(what, _us(ours), "own-line ping-pong (no ringbench)", None, "-", None), *rows]
    floor = statistics.median(known)
    against, ratio = f"own-line ping-pong {_us(floor)}", ours / floor
    if floor <= 300:
        return [Row(what, _us(ours), against, ratio, "<= 1.0 us", ours <= 1000), *rows]
    return [Row(what, _us(ours), against, ratio, "<= 3.5 x", ratio <= 3.5), *rows]


def sleep_row(rig: Rig, rounds: int) -> Row:
    ours, semaphore = rig.sleeping_call(rounds)
    return _against("a call when both sides sleep", ours, "sem_t", semaphore, 1.2, _us)


def copy_rows(rig: Rig, rounds: int) -> list[Row]:
    into, copy = rig.argument(rounds)
    back, far_copy = rig.result(rounds)
    return [
        _against("100 MB ordinary array, argument", into, "warm memcpy", copy, 1.15, _ms),
        _against("100 MB ordinary array, result", back, "warm memcpy", far_copy, 1.15, _ms),
    ]


def shared_rows(rig: Rig, rounds: int) -> list[Row]:
    rows = []
    for what, (large, small) in (
        ("100 MB array of Worker.empty, argument", rig.shared_argument(rounds)),
        ("100 MB array of rb.empty, result", rig.shared_result(rounds)),
    ):
        ratio = large / small
        flat = 0.8 <= ratio <= 1.2
        rows.append(Row(what, _us(large), f"1 KB of the same {_us(small)}", ratio, "+- 20 %", flat))
    return rows


def start_row(compute: str, rounds: int) -> Row:
    ours, python = worker_start(compute, rounds)
    beyond = ours - python
    return Row(
        "start of a worker",
        _ms(ours),
        f"python -c pass {_ms(python)}",
        ours / python,
        "<= 40 ms beyond",
        beyond <= 40e6,
    )


def flat_rows(rig: Rig, calls: int, gigabytes: float) -> list[Row]:
    import numpy as np

    increment, byte_count = rig.far.increment, rig.far.byte_count
    source = np.ones(LARGE_BYTES, "uint8")

    def call(times: int) -> None:
        for number in range(times):
            increment(number)

    def carry(times: int) -> None:
        for _ in range(times):
            byte_count(source)

    times = max(round(gigabytes * 1e9 / LARGE_BYTES), 1)
    call(min(calls, 20_000))
    carry(3)
    rows = []
    for what, work in (
        (f"{calls:,} calls", lambda: call(calls)),
        (f"{times * LARGE_BYTES / 1e9:g} GB through the arena", lambda: carry(times)),
    ):
        rss, fds = growth(rig, work)
        measured = f"RSS {rss / 1024:+.0f} KiB, fds {fds:+d}"
        flat = rss <= FLAT_BYTES and fds <= 0
        rows.append(Row(what, measured, "before", None, "flat (1 MiB)", flat))
    return rows


def all_rows(compute: str, options: argparse.Namespace) -> Iterator[Row]:
    rounds = 4 if options.quick else 20
    yield start_row(compute, rounds)
    with contextlib.closing(Rig(compute)) as rig, pinned([rig.host_cpu]):
        yield from call_rows(rig, rounds)
        yield sleep_row(rig, rounds * 10)
        yield from copy_rows(rig, rounds * 2)
        yield from shared_rows(rig, rounds)
        calls, gigabytes = (100_000, 1.0) if options.quick else (options.calls, options.gigabytes)
        yield from flat_rows(rig, calls, gigabytes)


# ---------------------------------------------------------------------------------------- output

_HEADINGS = ("what", "measured", "against (same run, in turns)", "ratio", "budget", "")
_WIDTHS = (39, 22, 34, 8, 15, 7)


def _line(cells: tuple[str, ...]) -> str:
    return " ".join(f"{cell:<{width}}" for cell, width in zip(cells, _WIDTHS)).rstrip()


def print_row(row: Row) -> None:
    ratio = "-" if row.ratio is None else f"{row.ratio:.2f}"
    cells = (row.what, row.measured, row.against, ratio, row.budget, row.verdict)
    print(_line(cells), flush=True)


def machine(compute: str) -> dict[str, Any]:
    import numpy as np

    cpus = two_cpus()
    return {
        "cpus": os.cpu_count(),
        "pinned": list(cpus),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "load_average": round(os.getloadavg()[0], 2),
        "host": {"python": platform.python_version(), "numpy": np.__version__},
        "worker": compute,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--compute", help="the worker's interpreter (default: the demo's)")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: about 10 s")
    parser.add_argument("--calls", type=int, default=1_000_000, help="for the look at RSS and fds")
    parser.add_argument("--gigabytes", type=float, default=10.0, help="for the same look")
    parser.add_argument("--json", metavar="FILE", help="also write all figures; - is stdout")
    parser.add_argument("--strict", action="store_true", help="exit code 1 when a budget is missed")
    options = parser.parse_args()
    compute = options.compute or environments()["compute"]
    quiet = options.json == "-"
    about = machine(compute)
    host_cpu, far_cpu = about["pinned"]
    if not quiet:
        place = f"host on CPU {host_cpu}, worker on CPU {far_cpu}"
        if host_cpu == far_cpu:
            place = "only one CPU may be used: nothing can spin, the figures mean little"
        print(f"ringbridge, Python to Python: {place}; load average {about['load_average']}\n")
        print(_line(_HEADINGS))
    rows = []
    for row in all_rows(compute, options):
        rows.append(row)
        if not quiet:
            print_row(row)
    if options.json:
        text = json.dumps({"machine": about, "rows": [asdict(row) for row in rows]}, indent=1)
        if quiet:
            print(text)
        else:
            Path(options.json).write_text(text + "\n")
    return 1 if options.strict and any(row.ok is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
