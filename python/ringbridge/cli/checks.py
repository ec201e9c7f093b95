# SPDX-License-Identifier: MIT
"""What `ringbridge doctor` looks at on the host's side: this interpreter and this machine.

A check yields `Check`s: what was looked at, what was seen, and, where it is not well, what to do.
Those about an environment are in checks_of_environment.
"""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ringbridge import builds, running
from ringbridge.activation import cache
from ringbridge.cli import plain

State = Literal["ok", "note", "FAIL"]

_SHM_BYTES_MIN = 64 << 20  # a worker begins with 18 MiB, and its arrays come on top
_FILES_MIN = 64
_FILES_FOR_A_WORKER = 12
_MEMORY_BYTES_MIN = 256 << 20


@dataclass(frozen=True)
class Check:
    """One line of the doctor's. "note": it works, and yet there is something to know; "FAIL": it
    does not, or not as it should, before `advice` is followed."""

    what: str
    state: State
    text: str
    advice: str = ""


def host() -> Iterator[Check]:
    """All checks of this side."""
    yield from _copy()
    yield _shared_memory()
    yield _memory()
    yield _files()
    yield _address_space()
    usable = len(os.sched_getaffinity(0))
    if usable > 1:
        yield Check("processors", "ok", f"{usable} of {os.cpu_count()} usable")
    else:
        text = "one usable: host and worker take turns on it, and a call takes many microseconds"
        yield Check("processors", "note", text)
    yield _leftovers()


def _copy() -> Iterator[Check]:
    own = builds.own_copy()
    yield Check("ringbridge", "ok", f"{own.version} ({own.folder})")
    yield Check("python", "ok", f"{platform.python_version()} ({_interpreter()})")
    kinds = ", ".join(f"{build.abi} {build.machine}" for build in own.builds) or "none"
    try:
        from ringbridge import _core
    except ImportError as error:
        advice = "install ringbridge with this interpreter's pip, or from the wheel for all"
        yield Check("builds", "FAIL", f"{kinds}; this Python can load none: {error}", advice)
    else:
        loaded = os.path.basename(str(_core.__file__))
        yield Check("builds", "ok", f"{kinds}; this Python has loaded {loaded}")


def _interpreter() -> str:
    # Not sys.executable: inside an application that is another program, or nothing.
    with contextlib.suppress(OSError):
        return os.readlink("/proc/self/exe")
    return sys.executable


def _shared_memory() -> Check:
    instead = "memory files without a name take its place, and count as memory of the processes"
    try:
        usage = shutil.disk_usage(running.SHARED_MEMORY)
    except OSError as error:
        return Check("/dev/shm", "note", f"not there ({error.strerror}): {instead}")
    text = f"{plain.size(usage.free)} of {plain.size(usage.total)} free"
    if os.statvfs(running.SHARED_MEMORY).f_flag & os.ST_RDONLY:
        return Check("/dev/shm", "note", f"may only be read: {instead}")
    if usage.free >= _SHM_BYTES_MIN:
        return Check("/dev/shm", "ok", text)
    if usage.total < _SHM_BYTES_MIN:
        advice = "make it larger: mount -o remount,size=50% /dev/shm, or the container's --shm-size"
    else:
        advice = "see what fills it (ls -l /dev/shm), and `ringbridge clean`"
    return Check("/dev/shm", "note", f"too small: {text}: {instead}", advice)


def _memory() -> Check:
    available = _meminfo("MemAvailable")
    limit = _cgroup_left()
    text = f"{plain.size(available)} available"
    if limit is not None:
        text += f", {plain.size(limit)} left of this group's limit"
    left = min(each for each in (available, limit, sys.maxsize) if each is not None)
    if left >= _MEMORY_BYTES_MIN:
        return Check("memory", "ok", text)
    return Check("memory", "note", text, "end something, or raise the limit: arrays need room")


def _meminfo(name: str) -> int | None:
    with contextlib.suppress(OSError, ValueError), open("/proc/meminfo") as file:
        for line in file:
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) << 10
    return None


def _cgroup_left() -> int | None:
    """What the memory limit of this process's cgroup (version 2) leaves; None: no limit."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        with open("/proc/self/cgroup") as file:
            (path,) = (line.split(":", 2)[2].strip() for line in file if line.startswith("0::"))
        folder = f"/sys/fs/cgroup{path}"
        with open(f"{folder}/memory.max") as most, open(f"{folder}/memory.current") as current:
            return max(int(most.read()) - int(current.read()), 0)
    return None


def _files() -> Check:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd"))
    text = f"{used} of {soft} used; a worker takes about {_FILES_FOR_A_WORKER}"
    if soft == resource.RLIM_INFINITY or soft - used >= _FILES_MIN:
        return Check("open files", "ok", text)
    return Check("open files", "note", text, f"raise the limit: ulimit -n {hard}")


def _address_space() -> Check:
    limits = {
        "address space (ulimit -v)": resource.RLIMIT_AS,
        "file size (ulimit -f)": resource.RLIMIT_FSIZE,
    }
    found = []
    for name, which in limits.items():
        soft = resource.getrlimit(which)[0]
        if soft != resource.RLIM_INFINITY:
            found.append(f"{name} {plain.size(soft)}")
    if not found:
        return Check("other limits", "ok", "none on address space and file size")
    return Check("other limits", "note", ", ".join(found), "large arrays may need them raised")


def _leftovers() -> Check:
    segments = len(running.leftovers())
    orphans = sum(worker.host_gone is True for worker in running.workers())
    entries = sum(not by_hand for _path, _why, by_hand in cache.forgotten())
    if not (segments or orphans or entries):
        return Check("leftovers", "ok", "none of dead processes")
    text = (
        f"segments: {segments}, workers without a host: {orphans}, "
        f"activations of environments that are gone: {entries}"
    )
    return Check("leftovers", "note", text, "`ringbridge clean` removes them (workers with --kill)")
