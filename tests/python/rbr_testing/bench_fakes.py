# SPDX-License-Identifier: MIT
"""Peers for the tests of `ringbridge bench`, each bad in its own way. None has a far side."""

from __future__ import annotations

import ctypes
import itertools
import os
import subprocess
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from ringbridge.bench.peer import Arrived, Peer, answered

ANSWERED = 7


class Good(Peer):
    def start(self) -> None:
        pass

    def remote(self, name: str, *args: Any) -> Any:
        return answered(name, args)

    def stream(self, values: Iterable[int], window: int, arrived: Arrived) -> None:
        for value in values:
            arrived(value, value + 1)


class Hangs(Good):
    """Answers some calls, then blocks in C, with the GIL: no Python of its process runs again."""

    def start(self) -> None:
        self._child = subprocess.Popen(["sleep", "600"])
        Path(os.environ["FAKE_CHILD"]).write_text(f"{os.getpid()} {self._child.pid}")

    def stream(self, values: Iterable[int], window: int, arrived: Arrived) -> None:
        for value in values:
            if value == ANSWERED:
                ctypes.PyDLL(None).pause()
            arrived(value, value + 1)


class Loses(Good):
    """Every tenth answer does not come, one comes twice, one is another's."""

    def stream(self, values: Iterable[int], window: int, arrived: Arrived) -> None:
        for value in values:
            if value % 10:
                arrived(value, value + 1)
        arrived(1, 2)
        arrived(10, 10)


class Lies(Good):
    """Arrays arrive with one byte changed."""

    def remote(self, name: str, *args: Any) -> Any:
        if name == "crc":
            return answered(name, args) ^ 1
        return answered(name, args)


class Dies(Good):
    def stream(self, values: Iterable[int], window: int, arrived: Arrived) -> None:
        arrived(0, 1)
        os.write(2, b"something terrible\n")
        os._exit(3)


class Refuses(Good):
    def start(self) -> None:
        raise ConnectionRefusedError("nobody listens\nand more")


class Slips(Good):
    """Has futures; after some right ones each gives another's answer."""

    has_futures = True

    def submitter(self, name: str) -> Callable[..., Future[Any]]:
        numbers = itertools.count()

        def submit(number: int) -> Future[Any]:
            future: Future[Any] = Future()
            future.set_result(number + 1 + (next(numbers) > 5))
            return future

        return submit
