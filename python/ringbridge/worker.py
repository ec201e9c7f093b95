# SPDX-License-Identifier: MIT
"""Worker: the host's handle on a process in another environment.

What users see of it. The process behind it, its start, end and replacement stand in worker_process,
what a module looks like in remote.

    a Worker is  new --start--> running --close()--> closed     (wait=True: the constructor starts
                  \\-------------close()--------------/           it; False: a thread of its own)
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ringbridge import plan, ssh_address
from ringbridge.discovery import find
from ringbridge.environment import Environment, EnvironmentLike
from ringbridge.remote import Contents, RemoteModule
from ringbridge.worker_process import Process

if TYPE_CHECKING:
    from typing import SupportsIndex

_RESTART = ("never", "on-crash")


class Worker:
    """A process in another environment, whose modules are called from here.

    env           an environment's name, its prefix, or an interpreter's path; or one of another
                  machine: ssh://[user@]host[:port]/ENV, where `paths`, `cwd` mean folders
    name          for messages and for the logger `ringbridge.worker.<name>`
    paths         folders for the worker's sys.path
    environ       variables on top of the environment's own
    keep_environ  names of this process's variables that the worker shall keep (a star at the end:
                  all that begin so)
    cwd           the worker's working folder
    wait          False: the constructor returns at once, and the worker starts in the background;
                  the first use waits for it, and raises what went wrong
    start_timeout seconds until ActivationFailed or WorkerStartFailed
    call_timeout  seconds for each call; None: no limit
    pickle        True: values that do not cross otherwise are pickled, both ways. Reading a
                  pickle runs code that the other side chose: only with code that you trust
    restart       "on-crash": a process that died is replaced by a new one, which loads the same
                  modules; calls that were under way raise WorkerDied. "never": it stays dead
    threads       sets the usual thread-count variables
    limits        arena_bytes, ring_bytes, memory ("auto", "shm" or "memfd")

    Safe to use from several threads. Ends by close(), at the end of a `with`, when it is garbage
    collected, and at exit; the worker ends with this process, however that ends.
    """

    def __init__(
        self,
        env: EnvironmentLike,
        *,
        name: str | None = None,
        paths: Iterable[str | os.PathLike[str]] = (),
        environ: Mapping[str, str] | None = None,
        keep_environ: Collection[str] = (),
        cwd: str | os.PathLike[str] | None = None,
        wait: bool = True,
        start_timeout: float = 30.0,
        call_timeout: float | None = None,
        pickle: bool = False,
        restart: str = "never",
        threads: int | None = None,
        limits: Mapping[str, object] | None = None,
    ) -> None:
        if not isinstance(pickle, bool):
            raise TypeError(f"pickle must be True or False, not {type(pickle).__name__}")
        if restart not in _RESTART:
            raise ValueError(f"restart must be one of {list(_RESTART)}, not {restart!r}")
        self._call_timeout = plan.seconds("call_timeout", call_timeout)
        environment = find(env)
        plan.check_pickle(pickle, environment)
        wanted = plan.Plan(
            name=plan.name_of(name, environment),
            environment=environment,
            base=dict(os.environ),
            wishes=plan.Wishes.of(environ, keep_environ, threads),
            cwd=None if cwd is None else plan.folder("cwd", cwd, environment),
            paths=plan.folders(paths, environment),
            limits=plan.Limits.of(limits),
            start_timeout_s=plan.start_timeout(start_timeout),
            pickle=pickle,
        )
        self._process = Process(wanted, restart == "on-crash")
        # Runs when this object is collected, or else at exit; what it calls must not know us.
        self._finalizer = weakref.finalize(self, Process.close, self._process)
        if wait:
            self._process.channel()
        else:
            self._process.start_early()

    # ------------------------------------------------------------------------------------- calls

    def load(self, module: str, *, reload: bool = False) -> RemoteModule:
        """Imports a module over there, and gives it as it can be used from here.

        Raises what the import raised. reload=True executes it again, as importlib.reload does.
        """
        if not isinstance(module, str):
            raise TypeError(f"module must be a str, not {type(module).__name__}")
        return RemoteModule(module, f"worker {self.name!r}", self._fetch, reload)

    def empty(self, shape: SupportsIndex | Sequence[SupportsIndex], dtype: Any = "float64") -> Any:
        """A new array in shared memory, its content undefined: passed to a call it is not copied.

        numpy.ndarray, or a memoryview where there is no numpy.
        """
        return self._process.channel().empty(shape, dtype)

    def _fetch(self, module: str, reload: bool) -> Contents:
        while True:
            channel = self._process.channel()
            loaded = channel.load(module, reload, None)
            targets = self._process.bind(channel, module, loaded)
            if targets is not None:
                return Contents.of(targets, loaded, self._call_timeout)

    # ------------------------------------------------------------------------------------- state

    @property
    def name(self) -> str:
        """What messages and the logger call it."""
        return self._process.plan.name

    @property
    def environment(self) -> Environment:
        """Where it runs: prefix, python, kind, name. On another machine `python` is the address of
        its interpreter once it has been started."""
        environment, child = self._process.plan.environment, self._process.child
        if environment.kind == "ssh" and child is not None and not self._process.closed:
            return ssh_address.seen(environment, child.channel.peer["executable"])
        return environment

    @property
    def pid(self) -> int | None:
        """The process's number; None as long as it has not been started. Of a worker on another
        machine: that of the relay here, which ends when it does."""
        child = self._process.child
        return None if child is None else child.pid

    @property
    def alive(self) -> bool:
        """True while calls can be made: started, not closed, not dead."""
        process = self._process
        return process.child is not None and not process.closed and process.child.channel.alive

    @property
    def restarts(self) -> int:
        """How often its process has been replaced by another."""
        return self._process.restarts

    def stats(self) -> dict[str, int]:
        """Counters of the channel to its present process, and `restarts`; empty as long as the
        worker has not been started."""
        return self._process.stats()

    def __repr__(self) -> str:
        process = self._process
        state = "closed" if process.closed else f"pid {self.pid}" if self.pid else "not started"
        if process.restarts:
            state += f", restarts: {process.restarts}"
        return f"<ringbridge.Worker {self.name!r} ({self.environment.python}, {state})>"

    # --------------------------------------------------------------------------------------- end

    def restart(self) -> None:
        """Replaces the worker's process by a new one that loads the same modules.

        Whatever `restart=` was, and also after its process died too often. The old one ends as by
        close(): calls that still run in other threads raise. What it held (remote state, globals of
        modules) is gone; modules and functions here go on working.
        """
        self._process.restart()

    def close(self) -> None:
        """Ends the worker: it may finish its call within a second, then it is killed. Idempotent.

        Calls that still run in other threads raise.
        """
        self._process.close(join_output=True)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
