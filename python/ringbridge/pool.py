# SPDX-License-Identifier: MIT
"""Pool: a concurrent.futures.Executor over several workers of one environment.

    Pool --submit--> queue of a Crew --next--> Seat (a thread) --> its Worker
     (the user's)    (knows no Pool)            (seats.py)

A Pool that nobody holds any more is shut down: hence the Crew, which the seats hold instead. What
a function looks like over there stands in sources; what a seat does with a call, in seats.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import time
import weakref
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, InvalidStateError
from typing import TYPE_CHECKING, Any, Union

from ringbridge import plan, shares
from ringbridge.crew import BrokenPool, Crew, Tellings
from ringbridge.discovery import find
from ringbridge.environment import EnvironmentLike
from ringbridge.seats import Initializer, Seat, Work
from ringbridge.timers import GRACE_S, checked_grace
from ringbridge.worker import Worker

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["BrokenPool", "Pool", "PoolFuture"]

Function = Union[str, Callable[..., Any]]

_PENDING, _RUNNING, _CANCELLED = "PENDING", "RUNNING", "CANCELLED"  # of concurrent.futures


class PoolFuture(Future[Any]):
    """What Pool.submit gives: a Future that can be cancelled while it runs, too."""

    _seat: Seat | None = None

    def cancel(self, grace: float | None = GRACE_S) -> bool:
        """True when its result will never be seen; False when that is there already.

        The future is cancelled at once. What has begun over there is interrupted (`Cancelled` is
        raised in it); when it still runs `grace` seconds later, its worker is killed and replaced.
        0: at once; None: never. Calling it again takes these steps again: with a shorter grace,
        sooner.
        """
        grace_s = checked_grace(grace)
        cancelled = self._become_cancelled((_PENDING, _RUNNING))
        seat = self._seat
        if seat is not None and self.cancelled():
            seat.stop(self, grace_s)
        if cancelled:
            self._invoke_callbacks()  # type: ignore[attr-defined]
        return self.cancelled()

    def abandon(self) -> None:
        """Cancels it only if it has not begun."""
        if self._become_cancelled((_PENDING,)):
            self._invoke_callbacks()  # type: ignore[attr-defined]

    def _become_cancelled(self, states: tuple[str, ...]) -> bool:
        """False: it was in another state."""
        with self._condition:
            if self._state not in states:
                return False
            self._state = _CANCELLED
            self.set_running_or_notify_cancel()  # tells wait() and as_completed()
            self._condition.notify_all()
            return True

    def begins(self, seat: Seat | None) -> bool:
        """Called by the seat that has it now; False when it was cancelled."""
        with self._condition:
            if self.cancelled():
                return False
            self._seat = seat
            return self.set_running_or_notify_cancel()

    def ends(self, result: Any, error: BaseException | None) -> None:
        """Called by the seat; what comes after a cancel is dropped."""
        self._seat = None
        with contextlib.suppress(InvalidStateError):  # it was cancelled meanwhile
            if error is None:
                self.set_result(result)
            else:
                self.set_exception(error)


class Pool(Executor):
    """Several workers in one environment, behind the interface of concurrent.futures.Executor.

    env                 an environment's name, its prefix, or an interpreter's path
    size                how many workers at most; by default as many as there are usable CPUs. They
                        are started when there is work for them
    name                for messages and loggers: the workers are `<name>-1`, `<name>-2` ...
    initializer         a function (as in submit) that is run once in each new worker, with
                        `initargs`. When it fails the pool is broken
    max_tasks_per_child calls after which a worker is replaced by a new one
    threads             the thread-count variables of each worker (numba, OpenMP, BLAS): a number;
                        "auto": usable CPUs // size, at least 1; None: they are left as they are

    The others are those of Worker. Safe to use from several threads.
    """

    def __init__(
        self,
        env: EnvironmentLike,
        size: int | None = None,
        *,
        name: str | None = None,
        initializer: Function | None = None,
        initargs: Iterable[Any] = (),
        max_tasks_per_child: int | None = None,
        threads: int | str | None = "auto",
        paths: Iterable[str | os.PathLike[str]] = (),
        environ: Mapping[str, str] | None = None,
        keep_environ: Collection[str] = (),
        cwd: str | os.PathLike[str] | None = None,
        start_timeout: float = 30.0,
        call_timeout: float | None = None,
        pickle: bool = False,
        limits: Mapping[str, object] | None = None,
    ) -> None:
        cpus = len(os.sched_getaffinity(0))
        self.size = cpus if size is None else _at_least_1("size", size)
        if max_tasks_per_child is not None:
            _at_least_1("max_tasks_per_child", max_tasks_per_child)
        if isinstance(threads, str):
            if threads != "auto":
                raise ValueError(f"threads must be a number, 'auto' or None, not {threads!r}")
            threads = max(cpus // self.size, 1)
        # What is wrong is told here, and not by the first worker.
        environment = find(env)
        self.name = plan.name_of(name, environment)
        plan.Wishes.of(environ, keep_environ, threads)
        plan.Limits.of(limits)
        plan.seconds("call_timeout", call_timeout)
        if not isinstance(pickle, bool):
            raise TypeError(f"pickle must be True or False, not {type(pickle).__name__}")
        plan.check_pickle(pickle, environment)
        options: dict[str, Any] = {
            "threads": threads,
            "paths": plan.folders(paths, environment),
            "environ": dict(environ or {}),
            "keep_environ": tuple(keep_environ),
            "cwd": None if cwd is None else plan.folder("cwd", cwd, environment),
            "start_timeout": plan.start_timeout(start_timeout),
            "call_timeout": call_timeout,
            "pickle": pickle,
            "limits": limits,
        }
        self._shares = shares.Shares()
        self._crew = Crew(
            self.name,
            self.size,
            lambda worker_name: Worker(environment, name=worker_name, **options),
            Tellings(pickle),
            max_tasks_per_child,
        )
        if initializer is not None:
            told = self._crew.tellings.tell(initializer)
            self._crew.initializer = Initializer(told, tuple(initargs))
        # Runs when this object is collected; what it calls must not know us.
        finalizer = weakref.finalize(self, Crew.let_go, self._crew)
        finalizer.atexit = False  # type: ignore[misc]  # crew.py sees to that

    # -------------------------------------------------------------------------------------- calls

    def submit(self, fn: Function, /, *args: Any, **kwargs: Any) -> PoolFuture:
        """Has a function run in one of the workers.

        fn is "module:name" (a name over there, with dots for what is in a class), a function that
        can be imported by its name, or any function made by `def` or `lambda`: its source text is
        sent. CannotCross says what to do where that cannot be.
        """
        self._crew.check_owner()
        function, args, kwargs = shares.taken_apart(fn, args, kwargs)
        told = self._crew.tellings.tell(function)
        future = PoolFuture()
        self._crew.add([Work(future, told, *self._shares.laid_out(args, kwargs))])
        return future

    def map(
        self,
        fn: Function,
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
    ) -> Iterator[Any]:
        """The results in order; all calls are submitted at once, `chunksize` of them together.

        An argument of functools.partial, or of itertools.repeat, is sent to each worker once: as
        it is now.
        """
        self._crew.check_owner()
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        deadline = None if timeout is None else time.monotonic() + timeout
        function, fixed, kwargs = shares.taken_apart(fn, (), {})
        told = self._crew.tellings.tell(function)
        common = shares.Common(fixed, kwargs, iterables)
        works: list[Work] = []
        futures: deque[PoolFuture] = deque()
        while True:
            rows = list(itertools.islice(common.rows, chunksize))
            if not rows:
                break
            future = PoolFuture()
            futures.append(future)
            if chunksize > 1:
                parts = (common.args, common.kwargs, common.shares)
                works.append(Work(future, told, *parts, [shares.plain(row) for row in rows]))
            else:
                args, kwargs, own = self._shares.laid_out((*common.args, *rows[0]), common.kwargs)
                works.append(Work(future, told, args, kwargs, (*common.shares, *own)))
        self._crew.add(works)
        return _results(futures, deadline, chunksize > 1)

    def share(self, value: Any) -> shares.Shared:
        """A value as it is now, as an argument of many calls: each worker gets it once.

        An array is copied here, and is read-only over there.
        """
        return shares.Shared(shares.snapshot(value))

    # ---------------------------------------------------------------------------------------- end

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """No more work is taken; what was submitted is done, and the workers end.

        cancel_futures: what has not begun is cancelled. wait: until all that has happened.
        """
        self._crew.close(cancel_futures)
        if wait:
            self._crew.join()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Shuts down and waits; Ctrl-C, before or while it waits, cancels all that there is."""
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._crew.cancel_all()
        try:
            self.shutdown()
        except KeyboardInterrupt:
            self._crew.cancel_all()
            raise

    def __repr__(self) -> str:
        return f"<ringbridge.Pool {self.name!r} (size {self.size}, {self._crew.state})>"


def _at_least_1(option: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{option} must be an int, not {type(value).__name__}")
    if value < 1:
        raise ValueError(f"{option} must be 1 or more, not {value}")
    return value


def _results(futures: deque[PoolFuture], deadline: float | None, chunks: bool) -> Iterator[Any]:
    """What map gives. Keeps no reference to what it has given."""
    try:
        while futures:
            if chunks:
                results = _result(futures.popleft(), deadline)
                results.reverse()
                while results:
                    yield results.pop()
            else:
                yield _result(futures.popleft(), deadline)
    finally:
        for future in futures:
            future.abandon()


def _result(future: PoolFuture, deadline: float | None) -> Any:
    try:
        return future.result(None if deadline is None else deadline - time.monotonic())
    finally:
        future.abandon()
        del future  # or an exception's traceback would hold it, and it the exception
