# SPDX-License-Identifier: MIT
"""Clients of an application, and the channels to them.

    Client   one other process: what it knows, and its lanes
    main     a channel whose calls wait for the main thread (MainWork)
    thread   a channel whose calls a thread of its own runs, one after another; opened when the
             client first wants it

A channel begins on a thread of its own: the door must not wait for a client.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from ringbridge import _core
from ringbridge.errors import RingbridgeError, WorkerDied
from ringbridge.host.client_table import ClientTable

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from ringbridge.door import Knock
    from ringbridge.host.exposure import Exposure
    from ringbridge.host.main_work import MainWork

HANDSHAKE_S = 5.0
END_S = 1.0  # for calls on threads, when the server stops; then they are left to themselves

_log = logging.getLogger("ringbridge.host")


class Client:
    """Another process that calls into this one."""

    def __init__(
        self, knock: Knock, exposure: Exposure, services: list[Callable[..., Any]]
    ) -> None:
        self.id = knock.client
        self.pid = knock.pid
        self.name = knock.name
        self.since = time.time()
        self.table = ClientTable(exposure, services)
        self.lanes: dict[str, MainLane | ThreadLane] = {}  # that stand, or begin

    @property
    def requests(self) -> int:
        """How many its lanes have taken."""
        return sum(lane.core.requests for lane in list(self.lanes.values()) if lane.core)

    def running(self) -> str | None:
        """The function that the main thread runs for it now."""
        lane = self.lanes.get("main")
        number = lane.core.function if lane is not None and lane.core is not None else None
        return None if number is None else self.table.names[number]


class MainLane:
    """A client's calls for the main thread; MainWork serves it."""

    def __init__(self, work: MainWork, table: Any, callback_timeout: float | None) -> None:
        self._work = work
        self._table = table
        self._callback_timeout = callback_timeout
        self._ended: Callable[[], None] = lambda: None
        self._channel: _core.Channel | None = None
        self.core: _core.Lane = None  # type: ignore[assignment] # from begin() on

    def begin(self, channel: _core.Channel, ended: Callable[[], None]) -> None:
        """The client is there. `ended` is called once, on the thread that hears of its end."""
        self.core = _core.Lane(channel, self._table, self._callback_timeout)
        self._ended = ended
        self._channel = channel  # now close() has both
        self._work.add(self)

    def serve(self, until: float) -> bool:
        """As MainWork asks for."""
        try:
            return self.core.serve(until)
        except RingbridgeError as error:
            self._end(error)
            return False

    def arm(self) -> None:
        """As MainWork asks for."""
        with contextlib.suppress(RingbridgeError):  # it has ended meanwhile: told by the next pass
            self.core.arm()

    def _end(self, error: RingbridgeError) -> None:
        if self._channel is not None and self._channel.alive:
            _log.warning("a client is sent away: %s", error)
        self.close()
        self._ended()

    def close(self) -> None:
        """Nothing of it is run any more. Idempotent; from any thread."""
        if self._channel is not None:
            self._work.remove(self)
            self.core.close()
            self._channel.close()


class ThreadLane:
    """A client's calls that do not need the main thread: run by the thread that begins it."""

    core = None

    def __init__(self, table: Any) -> None:
        self._table = table
        self._channel: _core.Channel | None = None
        self._thread = threading.current_thread()
        self._closed = False

    def begin(self, channel: _core.Channel, ended: Callable[[], None]) -> None:
        """Returns when the client has gone."""
        self._thread = threading.current_thread()
        self._channel = channel
        try:
            if not self._closed:  # else close() has seen no channel
                _core.serve(channel, self._table)
        except RingbridgeError as error:
            _log.warning("a client is sent away: %s", error)
        finally:
            channel.close()
            ended()

    def close(self) -> None:
        """What it runs may finish; its client hears nothing of that. Idempotent."""
        self._closed = True
        if self._channel is not None:
            self._channel.close()

    def join(self, seconds: float) -> None:
        """Waits for the end of what it runs."""
        if self._channel is not None and self._thread is not threading.current_thread():
            self._thread.join(seconds)


class Clients:
    """All clients of one server. Any thread may use it."""

    def __init__(
        self,
        work: MainWork,
        make: Callable[[Knock], Client],
        *,
        callback_timeout: float | None,
        pickle: bool,
        arena_bytes: int,
    ) -> None:
        self._work = work
        self._make = make
        self._callback_timeout = callback_timeout
        self._pickle = pickle
        self._arena_bytes = arena_bytes
        self._lock = threading.Lock()
        self._clients: dict[str, Client] = {}
        self._closed = False

    def all(self) -> list[Client]:
        """Those that are there now."""
        with self._lock:
            return list(self._clients.values())

    def has(self, client: str) -> bool:
        """Whether it is one of them."""
        with self._lock:
            return client in self._clients

    def welcome(self, knock: Knock, sock: socket.socket) -> None:
        """Opens a lane. Owns the socket."""
        with self._lock:
            client = self._clients.get(knock.client) or self._make(knock)
            if self._closed or knock.lane in client.lanes or client.pid != knock.pid:
                sock.close()
                return
            lane = client.lanes[knock.lane] = self._lane(knock.lane, client)
            self._clients[knock.client] = client
        threading.Thread(
            target=self._begin,
            args=(client, knock.lane, lane, sock),
            name=f"ringbridge {knock.lane} lane",
            daemon=True,
        ).start()

    def _lane(self, name: str, client: Client) -> MainLane | ThreadLane:
        table = client.table.lanes[name]
        if name == "main":
            return MainLane(self._work, table, self._callback_timeout)
        return ThreadLane(table)

    def _begin(
        self, client: Client, name: str, lane: MainLane | ThreadLane, sock: socket.socket
    ) -> None:
        channel = None
        try:
            channel = _core.Channel.accept(
                sock.detach(),
                name=f"{client.name} (pid {client.pid})",
                arena_bytes=self._arena_bytes,
                pickle=self._pickle,
            )
            channel.handshake(HANDSHAKE_S)
            lane.begin(channel, lambda: self._leave(client, name))
        except Exception as error:
            # It may have left at once, which is its right.
            level = logging.DEBUG if isinstance(error, WorkerDied) else logging.WARNING
            _log.log(level, "client %s (pid %d) is not in: %s", client.name, client.pid, error)
            if channel is not None:
                channel.close()
            self._leave(client, name)

    def _leave(self, client: Client, name: str) -> None:
        with self._lock:
            client.lanes.pop(name, None)
            if not client.lanes and self._clients.get(client.id) is client:
                del self._clients[client.id]

    def close(self) -> None:
        """All of them go."""
        with self._lock:
            self._closed = True
            lanes = [lane for client in self._clients.values() for lane in client.lanes.values()]
            self._clients.clear()
        for lane in lanes:
            lane.close()
        until = time.monotonic() + END_S
        for lane in lanes:
            if isinstance(lane, ThreadLane):
                lane.join(max(until - time.monotonic(), 0.0))
