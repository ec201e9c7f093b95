# SPDX-License-Identifier: MIT
"""Worker: the host's handle on a process in another environment.

Holds the pieces together; how a process is started, what a module looks like and where output
goes stands in launch, remote and output.

    a Worker is  new --start--> running --close()--> closed     (wait=True: the constructor starts
                  \\-------------close()--------------/           it; False: a thread of its own)
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ringbridge import plan
from ringbridge.discovery import find
from ringbridge.environment import Environment, EnvironmentLike
from ringbridge.errors import RingbridgeError
from ringbridge.remote import Contents, RemoteModule

if TYPE_CHECKING:
    import logging
    from types import TracebackType
    from typing import SupportsIndex

    from ringbridge import launch
    from ringbridge._core import Channel
    from ringbridge.output import OutputPump

_OUTPUT_JOIN_S = 1.0


class Worker:
    """A process in another environment, whose modules are called from here.

    env           an environment's name, its prefix, or an interpreter's path
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
        if restart != "never":
            raise ValueError(f"restart={restart!r} is not built yet: use restart='never'")
        self._call_timeout = plan.seconds("call_timeout", call_timeout)
        environment = find(env)
        wanted = plan.Plan(
            name=plan.name_of(name, environment),
            environment=environment,
            base=dict(os.environ),
            wishes=plan.Wishes.of(environ, keep_environ, threads),
            cwd=None if cwd is None else plan.folder("cwd", cwd),
            paths=plan.folders(paths),
            limits=plan.Limits.of(limits),
            start_timeout_s=plan.start_timeout(start_timeout),
            pickle=pickle,
        )
        self._process = _Process(wanted)
        # Runs when this object is collected, or else at exit; what it calls must not know us.
        self._finalizer = weakref.finalize(self, _Process.close, self._process)
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
        return RemoteModule(module, self.name, self._fetch, reload)

    def empty(self, shape: SupportsIndex | Sequence[SupportsIndex], dtype: Any = "float64") -> Any:
        """A new array in shared memory, its content undefined: passed to a call it is not copied.

        numpy.ndarray, or a memoryview where there is no numpy.
        """
        return self._process.channel().empty(shape, dtype)

    def _fetch(self, module: str, reload: bool) -> Contents:
        channel = self._process.channel()
        loaded = channel.load(module, reload, None)
        return Contents.of(channel, module, loaded, self._call_timeout)

    # ------------------------------------------------------------------------------------- state

    @property
    def name(self) -> str:
        """What messages and the logger call it."""
        return self._process.plan.name

    @property
    def environment(self) -> Environment:
        """Where it runs: prefix, python, kind, name."""
        return self._process.plan.environment

    @property
    def pid(self) -> int | None:
        """The process's number; None as long as it has not been started."""
        child = self._process.child
        return None if child is None else child.pid

    @property
    def alive(self) -> bool:
        """True while calls can be made: started, not closed, not dead."""
        process = self._process
        return process.child is not None and not process.closed and process.child.channel.alive

    def stats(self) -> dict[str, int]:
        """Counters of the channel; empty as long as the worker has not been started."""
        if self._process.child is None and not self._process.closed:
            return {}
        return self._process.channel().stats()

    def __repr__(self) -> str:
        process = self._process
        state = "closed" if process.closed else f"pid {self.pid}" if self.pid else "not started"
        return f"<ringbridge.Worker {self.name!r} ({self.environment.python}, {state})>"

    # --------------------------------------------------------------------------------------- end

    def close(self) -> None:
        """Ends the worker: it may finish its call within a second, then it is killed. Idempotent.

        Calls that still run in other threads raise.
        """
        self._process.close(join_output=True)

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class _Process:
    """What is behind a Worker, apart from it: it can be ended when the Worker is no more."""

    def __init__(self, wanted: plan.Plan) -> None:
        self.plan = wanted
        self.child: launch.Child | None = None
        self.closed = False  # set by close() before all else, so that a start sees it
        self._ended = False
        self._tried = False  # a use came before the thread of start_early, which then has no work
        self._start: launch.Start | None = None  # while it runs, in whichever thread
        self._failed_early: Exception | None = None  # for the first use to raise
        self._pump: OutputPump | None = None
        self._owner_pid = os.getpid()
        # Reentrant, since a signal handler or a finaliser may close while this thread starts.
        self._lock = threading.RLock()

    def channel(self) -> Channel:
        """The channel, of a process that is started now if it has not been."""
        child = self.child
        if child is None or self.closed:
            self._check_open()
            child = self._started()
        return child.channel

    def start_early(self) -> None:
        """Starts it in a thread of its own. The first use starts it where that cannot be had."""
        with contextlib.suppress(RuntimeError):  # an isolated subinterpreter has no daemon threads
            threading.Thread(
                target=self._start_quietly, name=f"start of {self.plan.name}", daemon=True
            ).start()

    def _start_quietly(self) -> None:
        with self._lock:
            if self.child is None and not self.closed and not self._tried:
                try:
                    self._started()
                except Exception as error:
                    self._failed_early = error
                    if not self.closed:
                        _logger_of(self.plan.name).warning("%s", error)

    def _started(self) -> launch.Child:
        with self._lock:
            self._check_open()
            failure, self._failed_early = self._failed_early, None
            if failure is not None:
                raise failure
            if self.child is None:
                self._tried = True
                from ringbridge import output

                child = self.child = self._made()
                self._pump = output.OutputPump(child.channel, self.plan.name)
                if self._ended:  # meanwhile, by a signal handler
                    self._end(join_output=True)
            self._check_open()
            return self.child

    def _made(self) -> launch.Child:
        from ringbridge import launch  # with what a start takes: in the background, where it may

        start = self._start = launch.Start(self.plan)
        if self.closed:  # since: close() has seen no start to abandon
            start.abandon()
        try:
            return start.run()
        except RingbridgeError:
            self._check_open()  # that it was closed is the reason then
            raise
        finally:
            self._start = None

    def _check_open(self) -> None:
        if os.getpid() != self._owner_pid:  # the lock may be held by a thread that is not here
            raise RingbridgeError(
                f"worker {self.plan.name!r} belongs to the process that this one was forked from: "
                "make one of its own here"
            )
        if self.closed:
            raise RingbridgeError(f"worker {self.plan.name!r} is closed")

    def close(self, *, join_output: bool = False) -> None:
        """join_output: until the last line is logged; not in a finaliser, which may run inside of
        a log handler, whose lock the last line waits for."""
        if os.getpid() != self._owner_pid:
            return  # a forked child: the worker is its parent's
        self.closed = True
        start = self._start
        if start is not None:  # or else the lock would be waited for until it has started
            start.abandon()
        with self._lock:
            if not self._ended:
                self._ended = True
                self._end(join_output)

    def _end(self, join_output: bool) -> None:
        child, pump = self.child, self._pump
        if child is None:
            return
        try:
            child.end()
            if join_output and pump is not None:
                pump.join(_OUTPUT_JOIN_S)
        finally:
            child.close()


def _logger_of(name: str) -> logging.Logger:
    import logging

    return logging.getLogger(f"ringbridge.worker.{name}")
