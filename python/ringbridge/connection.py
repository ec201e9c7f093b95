# SPDX-License-Identifier: MIT
"""Connection: a handle on an application that runs already, and serves functions of its own.

What users see of it. The channels behind it, and what happens when the application is started
again, stand in link.py; where applications are met in rendezvous.py.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ringbridge import plan, rendezvous
from ringbridge._core import Function, Target
from ringbridge.errors import RingbridgeError
from ringbridge.link import Link, Wanted
from ringbridge.remote import RemoteModule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import SupportsIndex

# The numbers of the server's own functions; host/server.py lists them in this order.
_UNLOAD, _RELOAD_CHANGED = range(2)


def connect(
    name: str | None = None,
    *,
    pid: int | None = None,
    document: str | os.PathLike[str] | None = None,
    token: str | None = None,
    timeout: float = 10.0,
    call_timeout: float | None = None,
    pickle: bool = False,
    limits: Mapping[str, object] | None = None,
) -> Connection:
    """Connects to an application of this user that serves (`ringbridge.host.serve`).

    name          what it is served as; None: whichever there is
    pid           of several: the process
    document      of several: the one that has this file open
    token         where the application asks for one
    timeout       seconds until it must have let us in
    call_timeout  seconds for each call; None: no limit
    pickle        True: values that do not cross otherwise are pickled, where the application agrees
    limits        arena_bytes, ring_bytes

    Raises HostNotFound, which lists what there is; RingbridgeError where several fit; HostRefused
    with the application's reason; CallTimeout. From any thread, an event loop's only where that may
    wait.
    """
    if not isinstance(pickle, bool):
        raise TypeError(f"pickle must be True or False, not {type(pickle).__name__}")
    wanted = Wanted(
        name=name,
        pid=pid,
        document=None if document is None else os.path.realpath(document),
        token=token,
        timeout_s=plan.start_timeout(timeout),
        pickle=pickle,
        limits=plan.Limits.of(limits),
    )
    return Connection(Link(wanted), plan.seconds("call_timeout", call_timeout))


class Connection:
    """An application that serves; made by `connect`.

    Its modules are used as those of a Worker are: called, submitted, streamed, with callbacks,
    progress and arrays that are not copied. What cannot cross stays there, and comes as a
    RemoteObject. A cancel asks the code over there to end; the application is never interrupted or
    ended.

    When the application ends, calls that are under way raise WorkerDied. The next one looks for it
    again, by its name, and goes on with the same modules; objects that stayed there are gone.

    Safe to use from several threads. Ends by close(), at the end of a `with`, and when neither it
    nor any of its functions is held any more.
    """

    def __init__(self, link: Link, call_timeout: float | None) -> None:
        self._link = link
        self._call_timeout = call_timeout

    # ------------------------------------------------------------------------------------- calls

    def load(self, module: str, *, reload: bool = False) -> RemoteModule:
        """A module of the application, imported there on its main thread if it has not been.

        reload=True executes it again, as importlib.reload does. Raises PermissionError for one that
        is not served, and what the import raised.
        """
        if not isinstance(module, str):
            raise TypeError(f"module must be a str, not {type(module).__name__}")
        owner = f"application {self.name!r}"
        return RemoteModule(module, owner, self._fetch, reload)

    def _fetch(self, module: str, reload: bool) -> Any:
        return self._link.load(module, reload, self._call_timeout)

    def unload(self, module: str) -> None:
        """The application serves it no longer, and forgets it, until somebody loads it again."""
        self._service(_UNLOAD, "unload")(module)

    def reload_changed(self) -> list[str]:
        """Has modules whose files have changed executed again; gives their names.

        One that cannot be read now (a syntax error) raises, and stays as it was.
        """
        names: list[str] = self._service(_RELOAD_CHANGED, "reload_changed")()
        self._link.refresh(names)
        return names

    def _service(self, number: int, name: str) -> Function:
        target = Target(self._link.channel("main"), number, f"server.{name}")
        return Function(target, timeout=self._call_timeout)

    def empty(self, shape: SupportsIndex | Sequence[SupportsIndex], dtype: Any = "float64") -> Any:
        """A new array in shared memory, its content undefined: passed to a call it is not copied.

        numpy.ndarray, or a memoryview where there is no numpy.
        """
        return self._link.channel("main").empty(shape, dtype)

    # ----------------------------------------------------------------- what is answered at any time

    def about(self, timeout: float = 2.0) -> dict[str, Any]:
        """What the application says of itself, also while its main thread is busy.

        name, pid, application, python, document, since_s, clients, busy (what it runs for somebody
        now), may_load, modules ({module: {function: {signature, doc, on, kind}}}), http.
        """
        told, peer = rendezvous.knock(self._link.address, "about", timeout_s=timeout)
        peer.close()
        return told

    def modules(self) -> list[str]:
        """The modules that it has loaded, and serves."""
        return list(self.about()["modules"])

    def functions(self) -> dict[str, dict[str, Any]]:
        """All functions that it serves: {"module.name": {signature, doc, on, kind}}."""
        return {
            f"{module}.{name}": function
            for module, functions in self.about()["modules"].items()
            for name, function in functions.items()
        }

    @property
    def is_online(self) -> bool:
        """Whether the application serves now; asked of it, and answered while it is busy, too."""
        try:
            self.about()
        except (RingbridgeError, OSError):
            return False
        return True

    # ------------------------------------------------------------------------------------- state

    @property
    def name(self) -> str:
        """What the application is served as."""
        return self._link.address.name

    @property
    def pid(self) -> int:
        """Its process."""
        return self._link.address.pid

    @property
    def alive(self) -> bool:
        """True while calls can be made. After the application's end the next call looks for it."""
        return self._link.alive

    def stats(self) -> dict[str, int]:
        """Counters of the channel to its main thread, and `reconnects`."""
        return self._link.stats()

    def reconnect(self) -> None:
        """Looks for the application again now, where it has ended; and else does nothing.

        Raises WorkerDied where there is none. May wait, which the first call after an application's
        end must not do on an event loop's thread.
        """
        self._link.reconnect()

    def __repr__(self) -> str:
        state = "closed" if self._link.closed else f"pid {self.pid}" if self.alive else "ended"
        return f"<ringbridge.Connection {self.name!r} ({state})>"

    # --------------------------------------------------------------------------------------- end

    def close(self) -> None:
        """Leaves the application, which goes on. Calls that still run in other threads raise."""
        self._link.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
