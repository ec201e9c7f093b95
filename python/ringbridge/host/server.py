# SPDX-License-Identifier: MIT
"""Server: one application, served to other interpreters of the same user.

    client --knock--> Door --"about"--> answered on the door's thread
                       '--a lane--> Clients --> MainLane --> MainWork <-- Pump, on the main thread
                                          '---> ThreadLane: a thread

Puts these together, and knows what each of them is doing.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import sys
import threading
import time
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ringbridge import _core, plan, rendezvous
from ringbridge.door import Door
from ringbridge.errors import CallTimeout, RingbridgeError
from ringbridge.host import applications
from ringbridge.host.exposure import Exposure
from ringbridge.host.lanes import Client, Clients
from ringbridge.host.main_work import BUDGET_S, MainWork
from ringbridge.host.pumps import pump_for
from ringbridge.rendezvous import ANSWER_BYTES_MAX

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from ringbridge.door import Knock
    from ringbridge.host.exposure import Exposed, Named
    from ringbridge.host.pumps import Choice

CLIENTS_MAX = 64
CALLBACK_S = 10.0
_log = logging.getLogger("ringbridge.host")

#: Of what is told about the modules; the rest of the door's answer has room beside it.
_MODULES_BYTES_MAX = ANSWER_BYTES_MAX * 3 // 4
#: How long who asks what is open waits for the main thread to say so.
_LOOK_S = 0.1


@dataclass(frozen=True)
class ClientInfo:
    """A client, as it was when we looked."""

    pid: int
    name: str
    since_s: float
    lanes: tuple[str, ...]
    requests: int


def serve(
    name: str | None = None,
    modules: Iterable[Named] = (),
    *,
    on: str = "main",
    pump: Choice = None,
    token: str | None = None,
    http: int | Mapping[str, Any] | None = None,
    pickle: bool = False,
    limits: Mapping[str, object] | None = None,
    document: str | Callable[[], str | None] | None = None,
    callback_timeout: float | None = CALLBACK_S,
    clients_max: int = CLIENTS_MAX,
) -> Server:
    """Serves this application until its end, or until stop() of what this gives.

    name              under which `ringbridge.connect` finds it; None: what it is ("blender")
    modules           what is exposed: names of modules, patterns of such names, modules, functions.
                      Of a module it is what is marked with `expose`, else its `__all__`, else its
                      own public functions. Nothing else can be called
    on                "main": on the main thread; "thread": on one thread for each client
    pump              how calls get to the main thread; None: as this application has it. See
                      pumps.pump_for
    token             what clients must say; None: every process of this user may come in
    http              also over HTTP: a port, or the options of Gateway
    pickle            True: values that do not cross otherwise are pickled, where the client agrees
                      too. Reading a pickle runs code that the client chose
    limits            {"arena_bytes": ...}: shared memory for results, for each client
    document          what is open, or a function that says so; None: as this application has it
    callback_timeout  seconds that a function waits for a client's answer to a callback; None: ever
    clients_max       more are refused

    On the main thread, unless the pump says otherwise. Raises ValueError for a name that is none,
    RingbridgeError where this application cannot be served, or is served under this name already.
    """
    return Server(
        name,
        modules,
        on=on,
        pump=pump,
        token=token,
        http=http,
        pickle=pickle,
        limits=plan.Limits.of(limits),
        document=document,
        callback_timeout=callback_timeout,
        clients_max=clients_max,
    )


class Server:
    """An application that is served; made by `serve`.

    Any thread may use it, unless a method says otherwise. It stays until stop(), whoever holds it.
    """

    def __init__(
        self,
        name: str | None,
        modules: Iterable[Named],
        *,
        on: str,
        pump: Choice,
        token: str | None,
        http: int | Mapping[str, Any] | None,
        pickle: bool,
        limits: plan.Limits,
        document: str | Callable[[], str | None] | None,
        callback_timeout: float | None,
        clients_max: int,
    ) -> None:
        self.application = applications.current()
        self.name = self.application.kind if name is None else name
        self.pid = os.getpid()
        self.address = rendezvous.address_of(self.name, self.pid)
        self.exposure = Exposure(modules, on=on, label=repr(self.name))
        self.pump = pump_for(pump)
        self.gateway: Any = None
        self.closed = False
        self._document = document
        self._opened: str | None = None  # the document, when we last looked
        self._clients_max = clients_max
        self._began = time.monotonic()
        # Until a pass says better; nobody, where that is a thread of the pump's.
        self._main = None if self.pump.name == "thread" else threading.main_thread().ident
        self._stopped = threading.Lock()
        self._work = MainWork()
        self._clients = Clients(
            self._work,
            self._new_client,
            callback_timeout=callback_timeout,
            pickle=pickle,
            arena_bytes=limits.arena_bytes,
        )
        self._door = Door(self.address, self, token=token)
        try:
            self._start(http)
        except BaseException:
            self.stop()
            raise

    def _start(self, http: int | Mapping[str, Any] | None) -> None:
        self._door.start()
        self._work.post(self._enter_main)
        self.pump.start(self._work)
        _serving[id(self)] = self
        if threading.get_ident() == self._main:
            _core.on_idle(_serve_meanwhile)  # it may wait for somebody before its first pass
        if http is not None:
            from ringbridge.host.gateway import Gateway

            options: dict[str, Any] = {"port": http} if isinstance(http, int) else dict(http)
            self.gateway = Gateway(self, **options)
            self.gateway.start()

    def _enter_main(self) -> None:
        self._main = threading.get_ident()
        _core.on_idle(_serve_meanwhile)
        self._look()

    # ---------------------------------------------------------------------------------- on its own

    def run(self, timeout: float | None = None) -> None:
        """Runs what clients ask for, on this thread, until stop() or for that many seconds.

        For what has no loop of its own: scripts, `blender -b`, freecadcmd. Main thread only.
        Ctrl-C goes through; the server stays.
        """
        self._main = threading.get_ident()
        self._work.run(lambda: self.closed, timeout)

    def drain(self, budget_s: float = BUDGET_S) -> bool:
        """Runs what waits now, for about that long; True: there is more. Main thread only."""
        self._main = threading.get_ident()
        return self._work.drain(budget_s)

    def stop(self) -> None:
        """Clients are told that it is over, and nothing of theirs is run any more. Idempotent.

        A call that runs now may finish; its client hears nothing of that.
        """
        if not self._stopped.acquire(blocking=False) or os.getpid() != self.pid:
            return
        self.closed = True
        if self.gateway is not None:
            self.gateway.stop()
        self._door.stop()
        self.pump.stop()
        self._clients.close()
        self._work.close()
        _serving.pop(id(self), None)

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "stopped" if self.closed else f"{len(self._clients.all())} clients"
        return f"<ringbridge.host.Server {self.name!r} (pid {self.pid}, {self.pump.name}, {state})>"

    # ------------------------------------------------------------------------------------- to look

    def clients(self) -> list[ClientInfo]:
        """Who is connected."""
        now = time.time()
        return [
            ClientInfo(each.pid, each.name, now - each.since, tuple(each.lanes), each.requests)
            for each in self._clients.all()
        ]

    def modules(self) -> list[str]:
        """The modules that are loaded, and served."""
        return self.exposure.loaded()

    def about(self) -> dict[str, Any]:
        """What is told to who asks; does not wait for the main thread for longer than 0.1 s."""
        if self.application.kind in applications.WITH_DOCUMENT or callable(self._document):
            self._look_soon()
        running = [name for name in (each.running() for each in self._clients.all()) if name]
        busy_s = self._work.busy_s
        return {
            "name": self.name,
            "pid": self.pid,
            "application": f"{self.application.kind} {self.application.version}",
            "python": ".".join(map(str, sys.version_info[:3])),
            "document": self._opened,
            "since_s": round(time.monotonic() - self._began, 3),
            "clients": len(self._clients.all()),
            "busy": f"{(running or ['a function'])[-1]} for {busy_s:.1f} s" if busy_s else None,
            "may_load": self.exposure.names(),
            "modules": _fitting(self.exposure.about()),
            "http": None if self.gateway is None else self.gateway.url,
        }

    def _look(self) -> None:
        """On the main thread."""
        document = self._document
        try:
            if document is None:
                self._opened = applications.document(self.application)
            else:
                self._opened = document() if callable(document) else document
        except Exception:
            _log.exception("what %r has open is not known", self.name)
            self._opened = None

    def _look_soon(self) -> None:
        if threading.get_ident() == self._main:
            self._look()
        elif not (self.closed or self._work.busy_s > 0):
            with contextlib.suppress(FutureTimeoutError, RingbridgeError):
                looked = self._work.post(self._look)
                try:
                    looked.result(_LOOK_S)
                finally:
                    looked.cancel()

    # ------------------------------------------------------------------------------- run it for me

    def call(
        self, exposed: Exposed, args: list[Any], kwargs: dict[str, Any], *, timeout_s: float
    ) -> Any:
        """Runs an exposed function where it belongs, and waits. Raises what it raises, CallTimeout.

        One that has begun goes on after its timeout.
        """
        function = partial(exposed.function, *args, **kwargs)
        return function() if exposed.on == "thread" else self.on_main(function, timeout_s=timeout_s)

    def on_main(self, function: Callable[[], Any], *, timeout_s: float) -> Any:
        """Runs a function on the main thread, and waits. Raises what it raises, CallTimeout."""
        if threading.get_ident() == self._main:
            return function()
        future = self._work.post(function)
        try:
            return future.result(timeout_s)
        except FutureTimeoutError:
            if future.done():  # it was the function's own
                raise
            begun = "had begun, and goes on" if not future.cancel() else "was busy with other work"
            raise CallTimeout(
                f"{self.name!r} has not answered within {timeout_s:g} s: its main thread {begun}"
            ) from None

    # -------------------------------------------------------------------- what the door asks us for

    def refuse(self, knock: Knock) -> str | None:
        """A reason, or None."""
        if self.closed:
            return f"{self.name!r} stops serving"
        if not self._clients.has(knock.client) and len(self._clients.all()) >= self._clients_max:
            return f"{self.name!r} serves {self._clients_max} clients already"
        return None

    def welcome(self, knock: Knock, sock: socket.socket) -> None:
        """A lane begins."""
        self._clients.welcome(knock, sock)

    def _new_client(self, knock: Knock) -> Client:
        return Client(knock, self.exposure, [self._unload, self._reload_changed])

    def _unload(self, module: str) -> None:
        """Service 0: see Connection.unload."""
        self.exposure.unload(module)

    def _reload_changed(self) -> list[str]:
        """Service 1: see Connection.reload_changed."""
        return self.exposure.reload_changed()


def _fitting(modules: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What the door can tell: of very many functions it is their names."""
    if len(json.dumps(modules)) <= _MODULES_BYTES_MAX:
        return modules
    return {
        module: {name: {"on": each["on"], "kind": each["kind"]} for name, each in functions.items()}
        for module, functions in modules.items()
    }


_serving: dict[int, Server] = {}


def serving() -> list[Server]:
    """The servers of this process that have not been stopped."""
    return list(_serving.values())


def _serve_meanwhile() -> None:
    """While a main thread waits for another process: what that one does may need us."""
    ours = [server for server in serving() if server._main == threading.get_ident()]
    for server in ours:
        server._work.drain(linger=False)
    if not ours:
        _core.on_idle(None)


@atexit.register
def _stop_all() -> None:
    for server in serving():
        server.stop()
