# SPDX-License-Identifier: MIT
"""Link: the channels behind a Connection, apart from it: they can be closed when it is no more.

    connected --application ends--> broken --next call, and it is there again--> connected
        '------------------------------'-------------- close() --> closed

One channel a lane: "main" at once, "thread" at the first need. After a reconnect the modules are
loaded again, in their order, and the targets of all functions are bound to the new channels. A call
that was under way is never repeated. `_lock` is held for all of a reconnect.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import uuid
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ringbridge import _core, rendezvous, running_hosts
from ringbridge.errors import (
    Busy,
    HostNotFound,
    HostRefused,
    RingbridgeError,
    WorkerDied,
    WorkerStartFailed,
)
from ringbridge.event_loop import running_loop
from ringbridge.remote import Contents, Loaded, Targets

if TYPE_CHECKING:
    from ringbridge.plan import Limits
    from ringbridge.rendezvous import Address

#: In a described function's kind: it runs on the thread lane by itself (host/client_table.py).
_ON_THREAD = 0x10
_LANES = ("main", "thread")


@dataclass(frozen=True)
class Wanted:
    """Which application, and how it is met."""

    name: str | None
    pid: int | None
    document: str | None
    token: str | None
    timeout_s: float
    pickle: bool
    limits: Limits


class Link:
    """The channels to an application, and to the one after it."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._id = uuid.uuid4().hex
        self._lock = threading.RLock()  # a finaliser may close while this thread connects
        self._channels: dict[str, _core.Channel] = {}
        self._targets = {lane: Targets(self) for lane in _LANES}
        self._loaded: dict[str, Loaded] = {}
        self._reconnects = 0
        self.closed = False
        self.address = _find(wanted)
        self._channels["main"] = self._open("main")
        # When we are collected, or else at exit: what it calls must not know us.
        weakref.finalize(self, _close_all, self._channels)

    # -------------------------------------------------------------------------------------- calls

    def channel(self, lane: str) -> _core.Channel:
        """The channel of a lane, opened or found again where that is needed."""
        self._check_open()
        channel = self._channels.get(lane)
        if channel is not None and channel.alive:
            return channel
        self.reconnect()
        with self._lock:
            self._check_open()
            self._open_lane(lane)
            return self._channels[lane]

    def _open_lane(self, lane: str) -> None:
        if lane not in self._channels:
            self._channels[lane] = self._open(lane)
            self._bind_lanes([lane])

    def load(self, module: str, reload: bool, timeout: float | None) -> Contents:
        """A module's contents; each function bound to the lane that it runs on."""
        while True:
            channel = self.channel("main")
            loaded = channel.load(module, reload, timeout)
            if any(_lane_of(described) == "thread" for described in loaded[1]):
                self.channel("thread")
            with self._lock:
                if self._channels.get("main") is channel:
                    return Contents.of(self._bind(module, loaded), loaded, timeout)

    def _bind(self, module: str, loaded: Loaded) -> dict[str, _core.Target]:
        self._loaded[module] = loaded
        of_lane = {
            lane: self._targets[lane].bind(channel, module, loaded)
            for lane, channel in self._channels.items()
        }
        return {described[1]: of_lane[_lane_of(described)][described[1]] for described in loaded[1]}

    def refresh(self, modules: list[str]) -> None:
        """Reads again what these modules have, where they are loaded here."""
        for module in modules:
            if module in self._loaded:
                self.load(module, False, None)

    def target_on(self, target: _core.Target, on: object) -> _core.Target:
        """The same function on another lane: what options(on=...) asks for."""
        if on not in _LANES:
            raise ValueError(f"on must be 'main' or 'thread', not {on!r}")
        assert isinstance(on, str)
        channel = self.channel(on)
        module, _, name = target.name.rpartition(".")
        with self._lock:
            return self._targets[on].bind(channel, module, self._loaded[module])[name]

    def revived(self, target: _core.Target, _timeout: float | None) -> bool:
        """For a call that found its target's channel unusable: see Target in _core."""
        self._check_open()
        if os.getpid() != self._pid:
            return False
        before = target.channel
        if before.alive:
            return True
        if running_loop() is not None:
            raise Busy(
                f"{self._what()} has ended, and an event loop's thread must not wait while another "
                "is looked for: call reconnect() in another thread"
            )
        self.reconnect()
        return True

    # -------------------------------------------------------------------------------- the channels

    def reconnect(self) -> None:
        """Looks for the application again, where it has ended."""
        with self._lock:
            self._check_open()
            lost = [lane for lane, channel in self._channels.items() if not channel.alive]
            if "main" in lost:
                lost = list(self._channels)
                self._find_again()
            for lane in lost:
                self._channels[lane].close()
                self._channels[lane] = self._open(lane)
            if "main" in lost:
                self._reconnects += 1
                self._load_again()
            else:
                self._bind_lanes(lost)

    def _find_again(self) -> None:
        was = self._what()
        try:
            self.address = _find(self._wanted, self.address)
        except HostNotFound:
            raise WorkerDied(
                f"{was} has ended, and none is served under its name: start it again, and the next "
                "call finds it"
            ) from None
        self._id = uuid.uuid4().hex

    def _load_again(self) -> None:
        """Modules that cannot be loaded any more say so when they are used."""
        for module, (generation, _described, values, doc) in list(self._loaded.items()):
            loaded: Loaded = generation, [], values, doc
            try:
                loaded = self._channels["main"].load(module, False, self._wanted.timeout_s)
            except Exception:
                if not self._channels["main"].alive:
                    raise
            if any(_lane_of(described) == "thread" for described in loaded[1]):
                self._open_lane("thread")
            self._bind(module, loaded)

    def _bind_lanes(self, lanes: list[str]) -> None:
        for lane in lanes:
            for module, loaded in self._loaded.items():
                self._targets[lane].bind(self._channels[lane], module, loaded)

    def _open(self, lane: str) -> _core.Channel:
        wanted = self._wanted
        token = {} if wanted.token is None else {"token": wanted.token}
        deadline = time.monotonic() + wanted.timeout_s
        _told, peer = rendezvous.knock(
            self.address,
            "lane",
            timeout_s=wanted.timeout_s,
            lane=lane,
            client=self._id,
            name=_own_name(),
            **token,
        )
        channel = _core.Channel.connect(
            peer.detach(),
            name=self.address.name,
            ring_bytes=wanted.limits.ring_bytes,
            arena_bytes=wanted.limits.arena_bytes,
            pickle=wanted.pickle,
        )
        try:
            channel.handshake(max(deadline - time.monotonic(), 0.0))
        except BaseException as error:
            channel.close()
            if isinstance(error, WorkerStartFailed):  # the extension's word for a refusal
                raise HostRefused(str(error)) from None
            raise
        self._pid = os.getpid()
        return channel

    @property
    def alive(self) -> bool:
        """Whether the application is there."""
        main = self._channels.get("main")
        return not self.closed and main is not None and main.alive

    def stats(self) -> dict[str, int]:
        """The main lane's counters, and ours."""
        self._check_open()
        main = self._channels.get("main")
        return {**(main.stats() if main is not None else {}), "reconnects": self._reconnects}

    def close(self) -> None:
        """Leaves. Idempotent, from any thread."""
        self.closed = True
        with self._lock:
            _close_all(self._channels)

    def _check_open(self) -> None:
        if self.closed:
            raise RingbridgeError(f"the connection to {self.address.name!r} is closed")

    def _what(self) -> str:
        return f"application {self.address.name!r} (pid {self.address.pid})"


def _close_all(channels: dict[str, _core.Channel]) -> None:
    for channel in channels.values():
        channel.close()


def _lane_of(described: tuple[Any, ...]) -> str:
    return "thread" if described[4] & _ON_THREAD else "main"


def _own_name() -> str:
    """What the application calls us."""
    program = sys.argv[0] if sys.argv and sys.argv[0] not in ("", "-c", "-m") else "python"
    return os.path.basename(program)[:60] or "python"


def _find(wanted: Wanted, before: Address | None = None) -> Address:
    """The one application that fits. before: the one that has ended, whose successor is wanted."""
    name = before.name if before is not None else wanted.name
    pid = wanted.pid if before is None else None
    found = [
        each
        for each in rendezvous.addresses()
        if (name is None or each.name == name) and (pid is None or each.pid == pid)
    ]
    if wanted.document is not None:
        open_there = {
            (host.name, host.pid): host.document for host in running_hosts.hosts(wanted.timeout_s)
        }
        found = [
            each
            for each in found
            if os.path.realpath(open_there.get((each.name, each.pid)) or "") == wanted.document
        ]
    if not found:
        raise rendezvous.not_found(_described(name, pid, wanted.document))
    if len(found) > 1:
        several = ", ".join(f"{each.name} (pid {each.pid})" for each in found)
        raise RingbridgeError(
            f"several applications fit {_described(name, pid, wanted.document)}: {several}; choose "
            "one by name, pid= or document="
        )
    return found[0]


def _described(name: str | None, pid: int | None, document: str | None) -> str:
    parts = [repr(name) if name is not None else "any application"]
    parts += [f"pid {pid}"] if pid is not None else []
    parts += [f"document {document}"] if document is not None else []
    return ", ".join(parts)
