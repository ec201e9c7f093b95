# SPDX-License-Identifier: MIT
"""Interpreters that run ordinary functions and classes: workers, started when they are needed.

    a Worker           the caller's: its calls wait in line there
    an environment     workers of ours, one for each job at a time, and at most as many as CPUs; one
                       of them is kept for the next job

What is sent of a function, sources.py says.
"""

from __future__ import annotations

import collections
import contextlib
import os
import sys
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from ringbridge import threads
from ringbridge.crew import Tellings
from ringbridge.discovery import find
from ringbridge.environment import Environment
from ringbridge.worker import Worker

if TYPE_CHECKING:
    from ringbridge._core import Function

_KNOWN_MAX = 64  # functions that a worker keeps


class _Lessons:
    """What one worker has been told; knows no worker, which may then end."""

    def __init__(self, tellings: Tellings) -> None:
        self._tellings = tellings
        self._known: collections.OrderedDict[int, None] = collections.OrderedDict()
        self._lock = threading.Lock()

    def teach(self, worker: Worker, function: Any) -> tuple[Function, int]:
        told = self._tellings.tell(function)
        with self._lock:
            there = worker.load("ringbridge.pooled")
            # Each time: what its process knew may have gone with it.
            while missing := there.define(told.key, told.description):
                told = self._tellings.retell(told, missing, worker.environment.python)
            self._known[told.key] = None
            self._known.move_to_end(told.key)
            if len(self._known) > _KNOWN_MAX:
                there.forget([self._known.popitem(last=False)[0]], [])
        call = there.run_of if isinstance(function, type) else there.call
        return call.options(label=told.label), told.key


class Interpreter:
    """A worker, started by its first use."""

    def __init__(self, make: Callable[[], Worker], lessons: _Lessons) -> None:
        self._make = make
        self._worker: Worker | None = None
        self._lessons = lessons

    def taught(self, function: Any) -> tuple[Function, int]:
        """What calls the function over there, or runs an object of the class; and its first
        argument. Blocks, perhaps as long as a worker starts.

        Raises CannotCross where it cannot be sent, and what its module raises at import.
        """
        if self._worker is None:
            self._worker = self._make()
        return self._lessons.teach(self._worker, function)

    @property
    def is_usable(self) -> bool:
        """Whether its next use need not start another process."""
        return self._worker is not None and self._worker.alive

    def close(self) -> None:
        """Ends the worker, in a thread: that may take a second."""
        if self._worker is not None:
            with contextlib.suppress(RuntimeError):  # the interpreter ends, and with it the worker
                threads.start(self._worker.close, "ringbridge close")


class Interpreters(Protocol):
    """Where a job gets an interpreter."""

    def lend(self, borrower: Callable[[Interpreter], object]) -> None:
        """Calls it with an interpreter, now or when one is free: then on the thread of give_back.
        Blocks for nothing."""

    def give_back(self, interpreter: Interpreter) -> None:
        """The borrower's call has ended."""


class OfWorker:
    """The one of a worker that belongs to the caller."""

    def __init__(self, worker: Worker) -> None:
        with _lock:
            lessons = _of_workers.setdefault(worker, _Lessons(Tellings(False)))
        self._interpreter = Interpreter(lambda: worker, lessons)

    def lend(self, borrower: Callable[[Interpreter], object]) -> None:
        borrower(self._interpreter)

    def give_back(self, interpreter: Interpreter) -> None:
        pass


class OfEnvironment:
    """Those of an environment. Safe to use from several threads."""

    def __init__(self, environment: Environment, paths: tuple[str, ...]) -> None:
        self._make = lambda: Worker(environment, paths=paths)
        self._tellings = Tellings(False)
        self._idle: list[Interpreter] = []
        self._lent = 0
        self._most = len(os.sched_getaffinity(0))
        self._waiting: collections.deque[Callable[[Interpreter], object]] = collections.deque()
        self._lock = threading.Lock()

    def lend(self, borrower: Callable[[Interpreter], object]) -> None:
        with self._lock:
            if self._lent >= self._most:
                self._waiting.append(borrower)
                return
            self._lent += 1
            found = self._idle.pop() if self._idle else self._new()
        borrower(found)

    def give_back(self, interpreter: Interpreter) -> None:
        unwanted = None if interpreter.is_usable else interpreter
        with self._lock:
            borrower = self._waiting.popleft() if self._waiting else None
            if borrower is None:
                self._lent -= 1
                if unwanted is None and self._idle:
                    unwanted = interpreter
                elif unwanted is None:
                    self._idle.append(interpreter)
            elif unwanted is not None:
                interpreter = self._new()
        if unwanted is not None:
            unwanted.close()
        if borrower is not None:
            borrower(interpreter)

    def _new(self) -> Interpreter:
        return Interpreter(self._make, _Lessons(self._tellings))


_of_workers: weakref.WeakKeyDictionary[Worker, _Lessons] = weakref.WeakKeyDictionary()
_of_environments: dict[tuple[str, tuple[str, ...]], OfEnvironment] = {}
_lock = threading.Lock()


def interpreters_of(where: Any) -> Interpreters:
    """where: a Worker, an environment as Worker() takes it, or None: the one of this process, where
    modules are found as they are here."""
    if isinstance(where, Worker):
        return OfWorker(where)
    environment = find(sys.executable if where is None else where)
    paths = _own_paths() if where is None else ()
    with _lock:
        key = environment.python, paths
        if key not in _of_environments:
            _of_environments[key] = OfEnvironment(environment, paths)
        return _of_environments[key]


def _own_paths() -> tuple[str, ...]:
    return tuple(os.path.abspath(path) for path in sys.path if os.path.isdir(path or os.curdir))
