# SPDX-License-Identifier: MIT
"""Peers that were made for networks, here over Unix sockets or pipes of one machine.

Where a library carries only bytes or plain values, arrays go as pickles: the way of its users.
"""

from __future__ import annotations

import contextlib
import copy
import os
import pickle
import tempfile
import threading
from collections import deque
from collections.abc import Iterable
from multiprocessing import Pipe
from typing import Any

from ringbridge.bench.peer import JOIN_S, Arrived, Peer, Settings, answered, ended, spawned

_LARGE = 65536  # from here on it pays that ZeroMQ does not copy
_FEW = 64  # requests that any socket holds


class _Served(Peer):
    """A far side that listens at a socket in the file system, and says when it does."""

    _process = None

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._path = os.path.join(tempfile.gettempdir(), f"{settings.token}socket")

    def _serve(self, target: Any) -> None:
        here, there = Pipe(duplex=False)
        self._process = spawned(target, self._path, there)
        there.close()
        with here:
            here.recv()

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
        ended(self._process)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)


class ZeroMQ(_Served):
    """Two DEALER sockets; pickle 5, whose buffers are parts of the message: not copied."""

    def start(self) -> None:
        import zmq

        self._serve(_serve_zmq)
        self._zmq = zmq
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.connect(f"ipc://{self._path}")

    def remote(self, name: str, *args: Any) -> Any:
        _zmq_send(self._socket, (name, args))
        good, answer = _zmq_receive(self._socket)
        if not good:
            raise RuntimeError(answer)
        return answer

    def stream(self, values: Iterable[int], window: int, arrived: Arrived) -> None:
        """Sends as long as the socket takes it, else receives: neither side can block the other."""
        waiting: deque[int] = deque()
        to_send = deque(values)
        zmq = self._zmq
        while to_send or waiting:
            if to_send and len(waiting) < window:
                try:
                    _zmq_send(self._socket, ("increment", (to_send[0],)), zmq.DONTWAIT)
                    waiting.append(to_send.popleft())
                    continue
                except zmq.Again:
                    pass
            good, answer = _zmq_receive(self._socket)
            arrived(waiting.popleft(), answer if good else -1)

    def close(self) -> None:
        self._context.destroy(linger=0)
        super().close()


def _zmq_send(socket: Any, value: Any, flags: int = 0) -> None:
    buffers: list[pickle.PickleBuffer] = []
    parts: list[Any] = [pickle.dumps(value, 5, buffer_callback=buffers.append)]
    parts += buffers
    small = all(len(memoryview(part).cast("B")) < _LARGE for part in parts)
    socket.send_multipart(parts, flags, copy=small)


def _zmq_receive(socket: Any) -> Any:
    parts = socket.recv_multipart(copy=False)
    return pickle.loads(parts[0].buffer, buffers=[part.buffer for part in parts[1:]])


def _serve_zmq(path: str, ready: Any) -> None:
    import zmq

    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.bind(f"ipc://{path}")
        ready.send(True)
        while True:
            name, args = _zmq_receive(socket)
            try:
                answer = True, answered(name, args)
            except Exception as error:
                answer = False, repr(error)
            _zmq_send(socket, answer)


class RPyC(_Served):
    """rpyc over a Unix socket; numbers as they are, all else as pickles (it has no arrays)."""

    note = "asynchronous requests"

    def start(self) -> None:
        import rpyc

        self._serve(_serve_rpyc)
        self._rpyc = rpyc
        self._connection = rpyc.utils.factory.unix_connect(
            self._path, config={"sync_request_timeout": None}
        )
        self._run = self._connection.root.run
        self._increment = self._connection.root.increment

    def call(self, number: int) -> int:
        answer: int = self._increment(number)
        return answer

    def caller(self, name: str) -> Any:
        return self._increment if name == "increment" else super().caller(name)

    def remote(self, name: str, *args: Any) -> Any:
        return pickle.loads(self._run(pickle.dumps((name, args), 5)))

    def stream(self, values: Iterable[int], window: int, arrived: Arrived) -> None:
        """Where many are in flight a second thread reads: both sides would block in a full socket.

        Where few are it would only cost.
        """
        submit = self._rpyc.async_(self._increment)
        done = threading.Event()
        reader = threading.Thread(target=self._serve_until, args=(done,), daemon=True)
        if window > _FEW:
            reader.start()
        waiting: deque[tuple[int, Any]] = deque()
        for value in values:
            if len(waiting) == window:
                first, answer = waiting.popleft()
                arrived(first, answer.value)
            waiting.append((value, submit(value)))
        for value, answer in waiting:
            arrived(value, answer.value)
        done.set()
        if window > _FEW:
            reader.join()

    def _serve_until(self, done: threading.Event) -> None:
        while not done.is_set():
            self._connection.serve(0.05)

    def close(self) -> None:
        self._connection.close()
        super().close()


def _serve_rpyc(path: str, ready: Any) -> None:
    import rpyc
    from rpyc.utils.server import OneShotServer

    class Far(rpyc.Service):  # type: ignore[misc]
        def exposed_increment(self, number: int) -> int:
            return number + 1

        def exposed_run(self, request: bytes) -> bytes:
            return pickle.dumps(answered(*pickle.loads(request)), 5)

    server = OneShotServer(Far, socket_path=path)
    server.listener.listen(1)  # start() does so too, but tells nobody when it has
    ready.send(True)
    server.start()


class Pyro(_Served):
    """Pyro5 over a Unix socket, with its marshal serializer; arrays go as pickles in bytes."""

    note = "batches of calls"

    def start(self) -> None:
        import Pyro5.api

        Pyro5.config.SERIALIZER = "marshal"
        self._serve(_serve_pyro)
        self._proxy = Pyro5.api.Proxy(f"PYRO:far@./u:{self._path}")
        self._proxy._pyroBind()

    def caller(self, name: str) -> Any:
        return self._proxy.increment if name == "increment" else super().caller(name)

    def remote(self, name: str, *args: Any) -> Any:
        answer = self._proxy.run(pickle.dumps((name, args), 5))
        return pickle.loads(answer)

    def stream(self, values: Iterable[int], window: int, arrived: Arrived) -> None:
        """Batches, with the serializer that Pyro has unasked: marshal refuses them."""
        from Pyro5.api import BatchProxy

        values = list(values)
        proxy = copy.copy(self._proxy)
        proxy._pyroSerializer = "serpent"
        for begin in range(0, len(values), window):
            batch = BatchProxy(proxy)
            part = values[begin : begin + window]
            for value in part:
                batch.increment(value)
            for value, answer in zip(part, batch()):
                arrived(value, answer)
        proxy._pyroRelease()

    def close(self) -> None:
        self._proxy._pyroRelease()
        super().close()


def _serve_pyro(path: str, ready: Any) -> None:
    import Pyro5.api

    class Far:
        def increment(self, number: int) -> int:
            return number + 1

        def run(self, request: bytes) -> bytes:
            return pickle.dumps(answered(*pickle.loads(request)), 5)

    Pyro5.config.SERIALIZER = "marshal"
    with Pyro5.api.Daemon(unixsocket=path) as daemon:
        daemon.register(Pyro5.api.expose(Far)(), "far")
        ready.send(True)
        daemon.requestLoop()


_EXECNET_FAR = """
import pickle
import tempfile
import threading
from ringbridge.bench.peer import answered
for request in channel:
    if isinstance(request, int):
        channel.send(request + 1)
    else:
        channel.send(pickle.dumps(answered(*pickle.loads(request)), 5))
"""


class Execnet(Peer):
    """execnet's popen gateway and one channel; arrays go as pickles in bytes."""

    def start(self) -> None:
        import execnet

        self._group = execnet.Group()
        self._channel = self._group.makegateway("popen").remote_exec(_EXECNET_FAR)

    def _increment(self, number: int) -> Any:
        self._channel.send(number)
        return self._channel.receive()

    def caller(self, name: str) -> Any:
        return self._increment if name == "increment" else super().caller(name)

    def remote(self, name: str, *args: Any) -> Any:
        self._channel.send(pickle.dumps((name, args), 5))
        return pickle.loads(self._channel.receive())

    def stream(self, values: Iterable[int], window: int, arrived: Arrived) -> None:
        waiting: deque[int] = deque()
        for value in values:
            if len(waiting) == window:
                arrived(waiting.popleft(), self._channel.receive())
            self._channel.send(value)
            waiting.append(value)
        for value in waiting:
            arrived(value, self._channel.receive())

    def close(self) -> None:
        self._group.terminate(timeout=JOIN_S)
