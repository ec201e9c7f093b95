# SPDX-License-Identifier: MIT
"""Peers of the standard library, and loky, which is one of its pools done anew."""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing.managers import BaseManager
from multiprocessing.shared_memory import SharedMemory as Segment
from typing import TYPE_CHECKING, Any

from ringbridge.bench import far_side
from ringbridge.bench.peer import (
    Arrived,
    Peer,
    Settings,
    Thunk,
    answered,
    ended,
    spawned,
    stream_futures,
)

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


class Pipe(Peer):
    """Requests and answers, pickled, through a multiprocessing.Pipe."""

    _process = None

    def start(self) -> None:
        self._connection, theirs = multiprocessing.Pipe()
        self._process = spawned(_serve_pipe, theirs)
        theirs.close()

    def remote(self, name: str, *args: Any) -> Any:
        self._connection.send((name, args))
        return _answer(self._connection)

    def stream(self, values: Iterable[int], window: int, arrived: Arrived) -> None:
        """A second thread sends: a pipe that is full both ways would block for ever."""
        values = list(values)
        free = threading.Semaphore(window)

        def send() -> None:
            for value in values:
                free.acquire()
                self._connection.send(("increment", (value,)))

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        for value in values:
            arrived(value, _answer(self._connection))
            free.release()
        sender.join()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.send(None)
        ended(self._process)
        self._connection.close()


def _answer(connection: Connection) -> Any:
    good, answer = connection.recv()
    if not good:
        raise RuntimeError(answer)
    return answer


def _serve_pipe(connection: Connection) -> None:
    with connection, contextlib.suppress(EOFError):
        while (request := connection.recv()) is not None:
            try:
                answer = True, _answer_here(*request)
            except Exception as error:
                answer = False, repr(error)
            connection.send(answer)


# --------------------------------------------------------------- shared_memory, beside a Pipe

_segments: dict[str, Segment] = {}


class SharedMemory(Pipe):
    """Segments that are made once and kept; the Pipe only says which, and when."""

    shares_memory = True

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._mine: dict[str, Segment] = {}

    def _segment(self, kind: str, size: int) -> tuple[str, Any]:
        """A name, and the array in its memory; made when it is first asked for."""
        import numpy as np

        name = f"{self.settings.token}{kind}-{size}"
        if name not in self._mine:
            self._mine[name] = Segment(name, create=True, size=size)
        return name, np.frombuffer(self._mine[name].buf, "uint8", size)

    def argument(self, name: str, array: Any) -> Thunk:
        segment, view = self._segment("there", array.nbytes)

        def call() -> Any:
            view[:] = array
            return self.remote("@call", name, segment, array.nbytes)

        return call

    def result(self, name: str, size: int) -> Thunk:
        segment, view = self._segment("back", size)

        def call() -> Any:
            self.remote("@copy", name, segment, size)
            return view.copy()  # the next call will write there

        return call

    def shared(self, size: int) -> Any:
        return self._segment("place", size)[1]

    def shared_argument(self, name: str, array: Any) -> Thunk:
        segment, _ = self._segment("place", array.nbytes)
        return partial(self.remote, "@call", name, segment, array.nbytes)

    def keep_shared(self, size: int, seed: int) -> int:
        crc: int = self.remote("@fill", self._segment("kept", size)[0], size, seed)
        return crc

    def shared_result(self, size: int) -> Thunk:
        segment, view = self._segment("kept", size)

        def call() -> Any:
            self.remote("@call", "byte_count", segment, size)
            return view

        return call

    def forget(self) -> None:
        self.remote("@forget")
        super().forget()
        for segment in self._mine.values():
            segment.unlink()
            with contextlib.suppress(BufferError):  # its views are not yet collected
                segment.close()
        self._mine.clear()

    def close(self) -> None:
        with contextlib.suppress(OSError, EOFError):
            self.forget()
        super().close()


def _answer_here(name: str, args: tuple[Any, ...]) -> Any:
    """The far side of Pipe and of SharedMemory."""
    if name == "@call":
        function, segment, size = args
        return getattr(far_side, function)(_view(segment, size))
    if name == "@copy":
        function, segment, size = args
        _view(segment, size)[:] = getattr(far_side, function)(size)
        return None
    if name == "@fill":
        segment, size, seed = args
        far_side.fill(_view(segment, size), seed)
        return far_side.crc(_view(segment, size))
    if name == "@forget":
        for each in _segments.values():
            each.close()
        return _segments.clear()
    return answered(name, args)


def _view(name: str, size: int) -> Any:
    import numpy as np

    if name not in _segments:
        _segments[name] = Segment(name)
    return np.frombuffer(_segments[name].buf, "uint8", size)


# ------------------------------------------------------------------------------------- executors


class ProcessPool(Peer):
    """concurrent.futures.ProcessPoolExecutor with one process."""

    has_futures = True

    def start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, mp_context=context)

    def remote(self, name: str, *args: Any) -> Any:
        return self._pool.submit(getattr(far_side, name), *args).result()

    def submitter(self, name: str) -> Callable[..., Future[Any]]:
        return partial(self._pool.submit, getattr(far_side, name))

    def stream(self, values: Iterable[int], window: int, arrived: Arrived) -> None:
        stream_futures(self.submitter("increment"), values, window, arrived)

    def close(self) -> None:
        self._pool.shutdown()


class Loky(ProcessPool):
    """loky's executor with one process."""

    def start(self) -> None:
        import loky

        self._pool = loky.ProcessPoolExecutor(1)


# --------------------------------------------------------------------------------------- Manager


class _FarSide:
    """What the manager's process holds."""

    def run(self, name: str, args: tuple[Any, ...]) -> Any:
        return answered(name, args)


class _FarManager(BaseManager):
    """A manager with one type of its own."""


_FarManager.register("FarSide", _FarSide)


class Manager(Peer):
    """A proxy of multiprocessing.managers: each thread that calls has a connection of its own."""

    note = "4 threads over a proxy"

    def start(self) -> None:
        self._manager = _FarManager(ctx=multiprocessing.get_context("spawn"))
        self._manager.start()
        self._proxy: Any = self._manager.FarSide()  # type: ignore[attr-defined]

    def remote(self, name: str, *args: Any) -> Any:
        return self._proxy.run(name, args)

    def stream(self, values: Iterable[int], window: int, arrived: Arrived) -> None:
        increment: Callable[[int], int] = partial(self.remote, "increment")
        with ThreadPoolExecutor(4) as pool:
            stream_futures(lambda value: pool.submit(increment, value), values, window, arrived)

    def close(self) -> None:
        self._manager.shutdown()
