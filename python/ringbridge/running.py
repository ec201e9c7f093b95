# SPDX-License-Identifier: MIT
"""What runs on this machine for this user: its workers, and the shared memory that dead ones left.

Looks at /proc and at /dev/shm. Starts nothing, ends nothing, removes nothing, and asks no worker:
one that is stopped or stuck is seen like any other.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

SHARED_MEMORY = "/dev/shm"

_PROC = "/proc"
_STATES = {"R": "running", "S": "sleeping", "D": "waiting", "T": "stopped", "t": "traced"}
_ENDED = "ZXx"
_FORKED_ONLY = 0x40  # PF_FORKNOEXEC: it has its parent's command line because it never had its own
_FD = re.compile(r"[0-9]{1,9}")
# As os_linux_memory.c names what it cannot make without a name; a pid is 4194304 at the most.
_SEGMENT = re.compile(r"ringbridge-([1-9][0-9]{0,6})-[0-9a-f]+")
# What the core maps: files that never had a name, or lost theirs at once, and memfds.
_SHARED = re.compile(r"/dev/shm/(#[0-9]+|ringbridge-[0-9]+-[0-9a-f]+)|/memfd:ringbridge")
_MAPS_LINE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) ...s ([0-9a-f]+) (\S+ [0-9]+) +(/.*)")
_CLOCKS_APART_S = 2.0  # a file's time and a process's come from two clocks, one of them set by hand


@dataclass(frozen=True)
class RunningWorker:
    """A worker's process, as it was when we looked."""

    pid: int
    name: str | None  # None: started by a version that did not tell
    python: str
    host_pid: int | None  # None: gone, or not known
    host_name: str | None
    host_gone: bool | None  # None: not known
    age_s: float
    cpu_s: float
    memory_bytes: int | None  # None: the kernel does not let us look
    shared_bytes: int | None
    state: str
    start: int  # with the pid: who it is, even when the pid is used again


@dataclass(frozen=True)
class Leftover:
    """A segment's name whose maker was killed before it could take it away."""

    path: str
    pid: int
    bytes: int
    why: str


def workers() -> list[RunningWorker]:
    """The workers of this user that can be seen from here, by their pids."""
    found = (_worker(pid) for pid in _pids())
    return [worker for worker in found if worker is not None]


def start_of(pid: int) -> int | None:
    """When the process was started, in the kernel's ticks; None when it has ended."""
    with contextlib.suppress(OSError), _Process(pid) as process:
        return process.stat().start
    return None


def group_of(leader: int) -> list[tuple[int, int]]:
    """(pid, start) of each process in the process group that `leader` made, itself first."""
    found = []
    for pid in _pids():
        with contextlib.suppress(OSError), _Process(pid) as process:
            told = process.stat()
            if told.group == leader:
                found.append((pid, told.start))
    return sorted(found, key=lambda each: each[0] != leader)


def leftovers(folder: str = SHARED_MEMORY) -> list[Leftover]:
    """The segments of this user in `folder` whose makers have gone."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        found = [_leftover(entry) for entry in sorted(entries, key=lambda each: each.name)]
        return [each for each in found if each is not None]
    return []


def why_left(pid: int, made_s: float) -> str | None:
    """Why nobody will take away what process `pid` made then; None: it may yet."""
    start = start_of(pid)
    if start is not None:
        started_s = time.time() - (_since_boot() - _seconds(start))
        if made_s < started_s - _CLOCKS_APART_S:
            return f"it is older than the process that has the pid {pid} now"
        return None
    try:
        os.kill(pid, 0)  # sends nothing; /proc may hide the processes of others
    except PermissionError:
        return None
    except ProcessLookupError:
        pass
    return f"process {pid} has ended"


def is_ours(info: os.stat_result) -> bool:
    """Whether it is a plain file of this user; ask it of an lstat."""
    return stat.S_ISREG(info.st_mode) and info.st_uid == os.geteuid()


# --------------------------------------------------------------------------------------- workers


def _worker(pid: int) -> RunningWorker | None:
    with contextlib.suppress(OSError), _Process(pid) as process:  # most often: it ended just now
        command = _command(process.read("cmdline"))
        if command is None:
            return None
        python, settings = command
        told = process.stat()
        # launch.py gives each a session. A child that user code forked has the same command line.
        if told.session != pid or told.flags & _FORKED_ONLY or not process.is_ours():
            return None
        name = settings.get("name")
        gone = _host_gone(told.parent, settings.get("host"))
        return RunningWorker(
            pid=pid,
            name=name if isinstance(name, str) else None,
            python=_address(settings) or python,
            host_pid=told.parent if gone is False else None,
            host_name=_comm(told.parent) if gone is False else None,
            host_gone=gone,
            age_s=max(_since_boot() - _seconds(told.start), 0.0),
            cpu_s=_seconds(told.cpu),
            memory_bytes=process.memory(),
            shared_bytes=process.shared(),
            state=_STATES.get(told.state, told.state),
            start=told.start,
        )
    return None


def _command(raw: bytes) -> tuple[str, dict[str, Any]] | None:
    """(python, settings), when this is `python _bootstrap.py FD SETTINGS` of launch.py."""
    if b"_bootstrap.py\0" not in raw:
        return None
    words = os.fsdecode(raw).split("\0")[:-1]
    if len(words) < 4:
        return None
    python, *options, script, fd, text = words
    if os.path.basename(script) != "_bootstrap.py" or not _FD.fullmatch(fd):
        return None
    # A script that stands for an interpreter may have given it options.
    if not all(option.startswith("-") for option in options):
        return None
    try:
        settings = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(settings, dict) or not {"paths", "start_timeout"} <= set(settings):
        return None
    return python, settings


def _address(settings: dict[str, Any]) -> str | None:
    """Of a relay: where the worker is that it speaks for; None: it is no relay."""
    address = settings.get("ssh")
    return address if isinstance(address, str) else None


def _host_gone(parent: int, host: object) -> bool | None:
    """Whether the worker has another parent by now than the host that it was started by.

    The host told its number as it sees itself, which in a container is not the one that we see.
    """
    if not isinstance(host, int) or parent == 0:  # 0: the parent cannot be seen from here
        return None
    seen = parent
    with contextlib.suppress(OSError, ValueError), _Process(parent) as process:
        seen = int(process.status("NSpid")[-1])
    return seen != host


def _comm(pid: int) -> str | None:
    with contextlib.suppress(OSError), _Process(pid) as process:
        return os.fsdecode(process.read("comm")).rstrip("\n")
    return None


# ------------------------------------------------------------------------------------- processes


@dataclass(frozen=True)
class _Stat:
    state: str
    parent: int
    group: int
    session: int
    flags: int
    cpu: int
    start: int


class _Process:
    """A folder of /proc, held open: when the pid is used again, it does not show the new one."""

    def __init__(self, pid: int) -> None:
        self._folder = os.open(f"{_PROC}/{pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._folder)

    def read(self, name: str) -> bytes:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._folder)
        with open(fd, "rb") as file:
            return file.read()

    def stat(self) -> _Stat:
        """Raises ProcessLookupError for one that has ended and waits to be collected."""
        # The program's name stands in brackets, and may hold brackets and spaces of its own.
        word = self.read("stat").decode("ascii", "replace").rpartition(")")[2].split()
        if word[0] in _ENDED:
            raise ProcessLookupError
        parent, group, session, flags, user, system, start = (
            int(word[i]) for i in (1, 2, 3, 6, 11, 12, 19)
        )
        return _Stat(word[0], parent, group, session, flags, user + system, start)

    def status(self, key: str) -> list[str]:
        """The words of a line of `status`; none when there is no such line."""
        for line in self.read("status").decode("utf-8", "replace").split("\n"):
            if line.startswith(key + ":"):
                return line.split()[1:]
        return []

    def is_ours(self) -> bool:
        return self.status("Uid")[1:2] == [str(os.geteuid())]

    def memory(self) -> int | None:
        """What it takes of the machine: what is shared is divided among those who share it."""
        with contextlib.suppress(OSError):
            found = re.search(rb"^Pss: +([0-9]+) kB$", self.read("smaps_rollup"), re.MULTILINE)
            if found:
                return int(found[1]) * 1024
        with contextlib.suppress(OSError, IndexError, ValueError):  # before Linux 4.14
            return int(self.status("VmRSS")[0]) * 1024
        return None

    def shared(self) -> int | None:
        """Bytes of our shared memory that it maps. A ring is mapped twice, and counts once."""
        try:
            maps = os.fsdecode(self.read("maps"))
        except OSError:
            return None
        pieces: dict[str, set[tuple[int, int]]] = {}
        for line in maps.split("\n"):
            piece = _MAPS_LINE.fullmatch(line)
            if piece and _SHARED.fullmatch(piece[5].removesuffix(" (deleted)")):
                start, end, offset = (int(piece[i], 16) for i in (1, 2, 3))
                pieces.setdefault(piece[4], set()).add((offset, offset + end - start))
        return sum(_covered(each) for each in pieces.values())


def _covered(pieces: set[tuple[int, int]]) -> int:
    """How many bytes lie in at least one of the pieces."""
    total = reached = 0
    for start, end in sorted(pieces):
        total += max(end - max(start, reached), 0)
        reached = max(reached, end)
    return total


def _pids() -> Iterator[int]:
    return iter(sorted(int(name) for name in os.listdir(_PROC) if name.isdecimal()))


def _seconds(ticks: int) -> float:
    return ticks / os.sysconf("SC_CLK_TCK")


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


# ------------------------------------------------------------------------------------- leftovers


def _leftover(entry: os.DirEntry[str]) -> Leftover | None:
    name = _SEGMENT.fullmatch(entry.name)
    if name is None:
        return None
    try:
        info = entry.stat(follow_symlinks=False)
    except OSError:  # its maker has unlinked it
        return None
    pid = int(name[1])
    why = why_left(pid, info.st_mtime) if is_ours(info) else None
    return None if why is None else Leftover(entry.path, pid, info.st_size, why)
