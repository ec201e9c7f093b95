# SPDX-License-Identifier: MIT
"""The workers of this process, which all plugins share.

Plugins that ask for the same environment get the same workers: a run borrows one for itself, and
gives it back. So a Cancel that has to kill a worker hits nobody else's run. From any thread.

    a worker is  starting -> idle <-> busy;  gone: after stop(), close_idle(), or its last plugin
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ringbridge.errors import RingbridgeError

if TYPE_CHECKING:
    from ringbridge import RemoteModule, Worker

SERVICE = "ringbridge.compute.service"
_LOOK_S = 0.05
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class LeaseCancelled(Exception):
    """The user cancelled while no worker was free."""


@dataclass(frozen=True)
class Key:
    """What two plugins have to agree on to share a worker.

    environment  a prefix, a name or an interpreter, as Worker takes it
    threads      for numba, OpenMP and BLAS over there; None: their own choice
    arena_bytes  shared memory that each side may hold; None: ringbridge's choice
    """

    environment: str
    threads: int | None = None
    arena_bytes: int | None = None


@dataclass(frozen=True)
class WorkerState:
    """What a dock shows of a worker. `since`: of time.monotonic, when its state began."""

    number: int
    environment: str
    pid: int | None
    state: str
    memory_bytes: int
    task: str
    since: float
    plugins: tuple[str, ...]
    restarts: int


class Seat:
    """A worker, and who sits there. Made and changed by Workers only."""

    def __init__(self, number: int, key: Key, plugin: str, label: str) -> None:
        self.number = number
        self.key = key
        self.plugins = {plugin}
        self.user = plugin  # whose run it was lent to last
        self.label = label  # of the run; "" while it is idle
        self.since = time.monotonic()
        self.worker: Worker | None = None
        self.service: RemoteModule | None = None
        self._is_closed = False

    @property
    def logger(self) -> str:
        """The name of the logger that has what is printed and logged over there."""
        assert self.worker is not None
        return f"ringbridge.worker.{self.worker.name}"

    def start(self) -> None:
        """Raises EnvironmentNotFound, ActivationFailed or WorkerStartFailed; RingbridgeError
        where it is closed meanwhile."""
        from ringbridge.worker import Worker

        limits = {} if self.key.arena_bytes is None else {"arena_bytes": self.key.arena_bytes}
        name = f"{os.path.basename(self.key.environment.rstrip('/'))}-{self.number}"
        self.worker = Worker(
            self.key.environment,
            name=name,
            restart="on-crash",
            threads=self.key.threads,
            limits=limits,
        )
        if self._is_closed:
            self.worker.close()
        self.service = self.worker.load(SERVICE)

    def revive(self) -> None:
        """One that died too often is not started again by itself; for a new run it is.

        Raises what starting it raises.
        """
        assert self.worker is not None
        if self.worker.alive:
            return
        try:
            self.worker.load(SERVICE)  # waits for the process that is to take its place
        except RingbridgeError:
            self.worker.restart()

    def state(self) -> WorkerState:
        worker = self.worker
        doing = "busy" if self.label else "idle"
        alive = worker is not None and worker.alive
        pid = worker.pid if worker is not None else None
        return WorkerState(
            number=self.number,
            environment=self.key.environment,
            pid=pid,
            state="starting" if self.service is None else doing if alive else "dead",
            memory_bytes=_resident_bytes(pid),
            task=self.label,
            since=self.since,
            plugins=tuple(sorted(self.plugins)),
            restarts=worker.restarts if worker is not None else 0,
        )

    def close(self) -> None:
        self._is_closed = True  # before all else, so that a start sees it
        if self.worker is not None:
            self.worker.close()


class Workers:
    """All seats of this process."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._seats: list[Seat] = []
        self._numbers = itertools.count(1)

    @contextlib.contextmanager
    def lease(
        self, key: Key, plugin: str, label: str, most: int, cancelled: Callable[[], bool]
    ) -> Iterator[Seat]:
        """A worker for one run, alone. `most`: workers of this key at once.

        Waits for a free one, looking at cancelled() meanwhile. Raises LeaseCancelled, and what
        starting one raises.
        """
        seat, is_new = self._take(_as_one(key), plugin, label, most, cancelled)
        try:
            if is_new:
                seat.start()
            else:
                seat.revive()
            yield seat
        finally:
            self._give_back(seat)

    def _take(
        self, key: Key, plugin: str, label: str, most: int, cancelled: Callable[[], bool]
    ) -> tuple[Seat, bool]:
        with self._changed:
            while True:
                seats = [seat for seat in self._seats if seat.key == key]
                for seat in seats:
                    if not seat.label:
                        seat.label, seat.since = label, time.monotonic()
                        seat.plugins.add(plugin)
                        seat.user = plugin
                        return seat, False
                if len(seats) < max(most, 1):
                    seat = Seat(next(self._numbers), key, plugin, label)
                    self._seats.append(seat)
                    return seat, True
                if cancelled():
                    raise LeaseCancelled
                self._changed.wait(_LOOK_S)

    def _give_back(self, seat: Seat) -> None:
        with self._changed:
            seat.label, seat.since = "", time.monotonic()
            failed = seat.service is None
            if failed:
                self._drop(seat)
            self._changed.notify_all()
        if failed:
            seat.close()

    def _drop(self, seat: Seat) -> None:
        with contextlib.suppress(ValueError):  # stopped meanwhile
            self._seats.remove(seat)

    def states(self) -> list[WorkerState]:
        """Of all workers, in the order in which they were made. Cheap: nobody is asked."""
        with self._changed:
            seats = list(self._seats)
        return [seat.state() for seat in seats]

    def restart(self, number: int) -> None:
        """Replaces a worker's process, whatever it does; a run there fails. Takes a second at most.

        Raises what starting it raises; one that is gone is none of anybody's business.
        """
        for seat in self._of(lambda seat: seat.number == number):
            if seat.worker is not None:
                seat.worker.restart()

    def stop(self, number: int) -> None:
        """Ends a worker; a run there fails, and the next one starts another."""
        self._stop(lambda seat: seat.number == number)

    def close_idle(self, idle_s: float) -> None:
        """Ends the workers that have had nothing to do for so long."""
        until = time.monotonic() - idle_s
        self._stop(lambda seat: not seat.label and seat.since <= until)

    def retire(self, plugin: str, keep: Key) -> None:
        """Ends the idle workers of other keys that nobody but this plugin has used."""
        with contextlib.suppress(RingbridgeError):
            keep = _as_one(keep)
        self._stop(lambda seat: seat.plugins == {plugin} and seat.key != keep and not seat.label)

    def leave(self, plugin: str) -> None:
        """Ends the workers that nobody but this plugin has used, and all of its runs."""
        self._stop(
            lambda seat: seat.plugins == {plugin} or bool(seat.label and seat.user == plugin)
        )
        with self._changed:
            for seat in self._seats:
                seat.plugins.discard(plugin)

    def _of(self, wanted: Callable[[Seat], bool]) -> list[Seat]:
        with self._changed:
            return [seat for seat in self._seats if wanted(seat)]

    def _stop(self, wanted: Callable[[Seat], bool]) -> None:
        with self._changed:
            gone = [seat for seat in self._seats if wanted(seat)]
            for seat in gone:
                self._seats.remove(seat)
            self._changed.notify_all()
        for seat in gone:  # outside of the lock: it may take a moment
            seat.close()


_workers = Workers()


def workers() -> Workers:
    """The one of this process."""
    return _workers


def _as_one(key: Key) -> Key:
    """The same for all that mean the same environment: its name, its prefix, its interpreter.

    Raises EnvironmentNotFound.
    """
    from ringbridge import discovery

    meant = discovery.find(key.environment)
    same = discovery.find(meant.prefix).python == meant.python
    return replace(key, environment=meant.prefix if same else meant.python)


def _resident_bytes(pid: int | None) -> int:
    """Memory of a process; 0 where it is not known."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        if pid is not None:
            with open(f"/proc/{pid}/statm", encoding="ascii") as file:
                return int(file.read().split()[1]) * _PAGE_BYTES
    return 0
