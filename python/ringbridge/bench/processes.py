# SPDX-License-Identifier: MIT
"""What the kernel says of processes: descendants, CPU time, switches, memory. Linux's /proc only.

Whoever has gone meanwhile counts as nothing: a process may end at any moment.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_GONE = (FileNotFoundError, ProcessLookupError)


def descendants(pid: int) -> list[int]:
    """Children, their children and so on, as of now."""
    children = defaultdict(list)
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(*_GONE):
                stat = Path(f"/proc/{entry}/stat").read_text()
                children[int(stat.rpartition(")")[2].split()[1])].append(int(entry))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = children[waiting.pop()]
        found += below
        waiting += below
    return found


def kill_tree(pid: int) -> None:
    """Kills a process and all below it, but for those that tidy up when they are alone."""
    if pid != os.getpid():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)  # or it starts another while we look
    for each in [*descendants(pid), pid]:
        with contextlib.suppress(*_GONE):
            # multiprocessing's tracker removes the shared memory of those that it outlives.
            if b"resource_tracker" not in Path(f"/proc/{each}/cmdline").read_bytes():
                os.kill(each, signal.SIGKILL)


def cpu_ns(pids: Iterable[int]) -> int:
    """CPU time of these processes, threads that have ended included."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            # As clock_getcpuclockid(3) makes it: the CPU clock of another process.
            total += time.clock_gettime_ns((~pid << 3) | 2)
    return total


def switches(pids: Iterable[int]) -> tuple[int, int]:
    """Context switches of their threads so far: voluntary ones, involuntary ones."""
    voluntary = involuntary = 0
    for pid in pids:
        for task in _tasks(pid):
            with contextlib.suppress(*_GONE):
                text = Path(f"/proc/{pid}/task/{task}/status").read_text()
                fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
                voluntary += int(fields["voluntary_ctxt_switches"])
                involuntary += int(fields["nonvoluntary_ctxt_switches"])
    return voluntary, involuntary


def pin(pid: int, cpus: Collection[int]) -> None:
    """Lets all threads of a process run on these processors only."""
    for task in _tasks(pid):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(task, cpus)


def _tasks(pid: int) -> Iterator[int]:
    with contextlib.suppress(*_GONE):
        yield from map(int, os.listdir(f"/proc/{pid}/task"))


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


def available_bytes() -> int:
    """Memory that can be had without swapping."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0
