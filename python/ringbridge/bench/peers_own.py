# SPDX-License-Identifier: MIT
"""ringbridge as a peer like the others, and the plain things that it is measured against.

A reference has only the one method of a Peer that its test asks for.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import ringbridge as rb
from ringbridge.activation import cache, environ_for
from ringbridge.bench import far_side
from ringbridge.bench.peer import Arrived, Peer, Settings, Thunk, ended, spawned, stream_futures
from ringbridge.discovery import find

if TYPE_CHECKING:
    from concurrent.futures import Future
    from multiprocessing.synchronize import Semaphore

_SEMAPHORE_S = 10.0


class Ringbridge(Peer):
    """The only one whose far side is in the worker's environment."""

    shares_memory = True
    has_futures = True
    note = "submit()"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._far: rb.RemoteModule | None = None

    def start(self) -> None:
        self.worker = rb.Worker(self.settings.env, name="bench")

    @property
    def far(self) -> Any:
        if self._far is None:
            self._far = self.worker.load("ringbridge.bench.far_side")
        return self._far

    def remote(self, name: str, *args: Any) -> Any:
        return getattr(self.far, name)(*args)

    def caller(self, name: str) -> Callable[..., Any]:
        function: Callable[..., Any] = getattr(self.far, name)
        return function

    def submitter(self, name: str) -> Callable[..., Future[Any]]:
        submit: Callable[..., Future[Any]] = getattr(self.far, name).submit
        return submit

    def awaiter(self) -> Callable[[], Awaitable[int]]:
        return partial(self.far.increment.submit, 1)

    def stream(self, values: Iterable[int], window: int, arrived: Arrived) -> None:
        stream_futures(self.submitter("increment"), values, window, arrived)

    def argument(self, name: str, array: Any) -> Thunk:
        return partial(self.caller(name), array)

    def result(self, name: str, size: int) -> Thunk:
        return partial(self.caller(name), size)

    def shared(self, size: int) -> Any:
        return self.worker.empty(size, "uint8")

    def keep_shared(self, size: int, seed: int) -> int:
        crc: int = self.far.keep(size, seed, True)
        return crc

    def shared_result(self, size: int) -> Thunk:
        return partial(self.far.kept_shared, size)

    def close(self) -> None:
        self.worker.close()


class Memcpy(Peer):
    """numpy copies an array to where it has been before, on the processor of whoever copies."""

    def start(self) -> None:
        pass

    def remote(self, name: str, *args: Any) -> Any:
        return getattr(far_side, name)(*args)

    def argument(self, name: str, array: Any) -> Thunk:
        import numpy as np

        if name != "byte_count":
            return partial(self.remote, name, array)
        os.sched_setaffinity(0, {self.settings.cpus[0]})
        target: Any = np.ones(array.nbytes, "uint8")

        def copy() -> int:
            np.copyto(target, array)
            return array.nbytes  # type: ignore[no-any-return]

        return copy

    def result(self, name: str, size: int) -> Thunk:
        import numpy as np

        os.sched_setaffinity(0, {self.settings.cpus[1]})
        array = far_side.kept(size)
        target: Any = np.ones(size, "uint8")

        def copy() -> Any:
            np.copyto(target, array)
            return target

        return copy


class Semaphores(Peer):
    """`nap` behind two POSIX semaphores: the least that two sleepers need."""

    _process = None

    def start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._request, self._reply = context.Semaphore(0), context.Semaphore(0)
        self._nap_s = context.RawValue("d", 0.0)
        self._slept_ns = context.RawValue("q", 0)
        self._process = spawned(
            _serve_semaphores, self._request, self._reply, self._nap_s, self._slept_ns, os.getpid()
        )

    def call(self, number: int) -> int:
        self.remote("nap", 0.0)
        return number + 1

    def remote(self, name: str, *args: Any) -> Any:
        if name == "forget":
            return None
        assert name == "nap", name
        self._nap_s.value = args[0]
        self._request.release()
        if not self._reply.acquire(timeout=_SEMAPHORE_S):
            raise TimeoutError("the process behind the semaphores does not answer")
        return self._slept_ns.value

    def close(self) -> None:
        self._nap_s.value = -1.0
        self._request.release()
        ended(self._process)


def _serve_semaphores(
    request: Semaphore, reply: Semaphore, nap_s: Any, slept_ns: Any, parent: int
) -> None:
    while os.getppid() == parent:
        if request.acquire(timeout=1.0):
            if nap_s.value < 0:
                return
            slept_ns.value = far_side.nap(nap_s.value)
            reply.release()


class FirstStart(Ringbridge):
    """ringbridge where the environment's scripts have to run: nothing is kept of them."""

    def start(self) -> None:
        cache.forget(find(self.settings.env).prefix)
        super().start()


class BarePython(Peer):
    """The worker's interpreter, activated, doing nothing: the least that a start can take."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        environment = find(settings.env)
        self._python = environment.python
        self._environ = environ_for(environment, os.environ)

    def start(self) -> None:
        subprocess.run([self._python, "-c", "pass"], check=True, env=self._environ)

    def call(self, number: int) -> int:
        return number + 1

    def remote(self, name: str, *args: Any) -> Any:
        return None
