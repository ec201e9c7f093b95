# SPDX-License-Identifier: MIT
"""A small server for the gateway's tests: a real Exposure, and a thread that is its main thread.
What a client sends is written by hand, byte for byte."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import random
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any, NamedTuple

from ringbridge.errors import CallTimeout
from ringbridge.host.exposure import Exposed, Exposure
from ringbridge.host.gateway import Gateway
from ringbridge.host.main_work import MainWork

TOKEN = "a-token-of-the-tests"
LENT = "rbr_testing.lent"


class ServedHere:
    """Its main thread is one of its own, named "main here"."""

    def __init__(self, *what: Any) -> None:
        self.name, self.pid = "here", os.getpid()
        self.exposure = Exposure(what or [LENT], label="here")
        self.stopped = threading.Event()
        self._work = MainWork()
        self._thread = threading.Thread(target=self._run, name="main here", daemon=True)
        self._thread.start()

    def about(self) -> dict[str, Any]:
        return {"name": self.name, "pid": self.pid, "modules": self.exposure.about()}

    def call(
        self, function: Exposed, args: list[Any], kwargs: dict[str, Any], *, timeout_s: float
    ) -> Any:
        run = functools.partial(function.function, *args, **kwargs)
        return self.on_main(run, timeout_s=timeout_s) if function.on == "main" else run()

    def on_main(self, function: Callable[[], Any], *, timeout_s: float) -> Any:
        posted = self._work.post(function)
        try:
            return posted.result(timeout_s)
        except futures.TimeoutError:
            posted.cancel()
            raise CallTimeout(f"no answer within {timeout_s} s") from None

    def stop(self) -> None:
        self.stopped.set()

    def close(self) -> None:
        self.stopped.set()
        self._work.post(lambda: None)
        self._thread.join()
        self._work.close()

    def _run(self) -> None:
        while not self.stopped.is_set():
            self._work.wait(None)
            with contextlib.suppress(SystemExit):
                self._work.drain()


@contextlib.contextmanager
def gateway_of(served: Any, **options: Any) -> Iterator[Gateway]:
    gateway = Gateway(served, **{"token": TOKEN, **options})
    gateway.start()
    try:
        yield gateway
    finally:
        gateway.stop()


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def reason(self) -> str:
        """Of a refusal, by either wire."""
        told = self.json
        return str(told["error"]["message"] if "error" in told else told["ReturnValue"])


def connected(gateway: Gateway) -> socket.socket:
    return socket.create_connection(("127.0.0.1", gateway.port), timeout=30)


def all_of(sock: socket.socket) -> bytes:
    """What comes until the other side has ended, or has hung up."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := sock.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def exchanged(gateway: Gateway, request: bytes) -> bytes:
    with connected(gateway) as sock:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(request)
        return all_of(sock)


def parsed(answer: bytes) -> Reply:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return Reply(int(first.split()[1]), headers, body)


def written(
    method: str, path: str, body: bytes | None = None, headers: dict[str, str | None] | None = None
) -> bytes:
    """A request as clients write it; None takes one of the usual headers away."""
    usual: dict[str, str | None] = {"Host": "127.0.0.1", "Authorization": f"Bearer {TOKEN}"}
    if body is not None:
        usual.update({"Content-Type": "application/json", "Content-Length": str(len(body))})
    usual.update(headers or {})
    lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in usual.items() if v is not None)]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def asked(
    gateway: Gateway,
    method: str,
    path: str,
    value: Any = None,
    headers: dict[str, str | None] | None = None,
) -> Reply:
    body = None if value is None else json.dumps(value).encode()
    return parsed(exchanged(gateway, written(method, path, body, headers)))


def called(gateway: Gateway, function: str, *args: Any, **options: Any) -> Reply:
    """A call by our own wire."""
    return asked(gateway, "POST", f"/call/{LENT}/{function}", {"args": list(args), **options})


def spoiled(chance: random.Random) -> bytes:
    """A request in which bytes are changed, lost, or stand twice."""
    kinds = [
        written("POST", f"/call/{LENT}/add", b'{"args": [1]}'),
        written("POST", "/", b'{"FunctionName": "add", "Parameters": {"a": 1}}'),
        written("GET", "/about"),
        written("OPTIONS", "/"),
    ]
    whole = bytearray(chance.choice(kinds))
    for _ in range(chance.choice([0, 1, 2, 10, 60])):
        at = chance.randrange(len(whole))
        how = chance.randrange(4)
        if how == 0:
            whole[at] = chance.randrange(256)
        elif how == 1:
            del whole[at : at + chance.randrange(1, 30)]
        elif how == 2:
            whole[at:at] = chance.choice([b"\r\n", b"\n", b"\x00", b":", b"[" * 300, b"\xff\xfe"])
        else:
            whole[at:at] = whole[chance.randrange(len(whole)) :][:40]
        whole = whole or bytearray(b"x")
    return bytes(whole)
