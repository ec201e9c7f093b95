# SPDX-License-Identifier: MIT
"""Doors to knock at, with the least behind them that a door needs; in this process or in another.

python -m rbr_testing.doors NAME [fork]   a served application: says its pid when it listens, and
                                          ends with its input, taking nothing away. fork: a child of
                                          its own goes on then, which has copies of its descriptors
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

from ringbridge import rendezvous
from ringbridge.door import Door, Knock

CLIENT = "0123456789abcdef" * 2
LANE = {"lane": "main", "client": CLIENT, "name": "a test"}
ABOUT_KNOCK = b'{"ringbridge": 1, "want": "about"}'
ABOUT = {
    "application": "a test",
    "python": "3.12.1",
    "document": "/maps/terrain.qgz",
    "modules": {"terrain": {}, "tools": {}},
    "clients": 2,
    "since_s": 1.5,
    "busy": None,
}


class Room:
    """The Handler of a test: keeps who has come in."""

    def __init__(self) -> None:
        self.arrived: queue.Queue[tuple[Knock, socket.socket]] = queue.Queue()
        self.told: dict[str, Any] = ABOUT
        self.reason: str | None = None

    def about(self) -> dict[str, Any]:
        return self.told

    def refuse(self, _knock: Knock) -> str | None:
        return self.reason

    def welcome(self, knock: Knock, sock: socket.socket) -> None:
        self.arrived.put((knock, sock))


@contextlib.contextmanager
def listening(path: str, backlog: int = 5) -> Iterator[socket.socket]:
    """A listener that is no door."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        listener.listen(backlog)
        yield listener


def visitor(address: rendezvous.Address) -> socket.socket:
    """Stands in the door and has said nothing yet."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    rendezvous._connect(sock, address, time.monotonic() + 20.0)
    sock.settimeout(20.0)
    return sock


def said(sock: socket.socket) -> dict[str, Any]:
    """What the door says, which closes the connection then."""
    answer = json.loads(sock.recv(rendezvous.ANSWER_BYTES_MAX + 1))
    assert sock.recv(1) == b""
    sock.close()
    return answer  # type: ignore[no-any-return]


def refusal(address: rendezvous.Address, message: bytes) -> str:
    """The reason why the door does not want that message."""
    sock = visitor(address)
    sock.send(message)
    answer = said(sock)
    assert set(answer) == {"ringbridge", "refused"}, answer
    return str(answer["refused"])


def knocked(address: rendezvous.Address, **fields: Any) -> tuple[dict[str, Any], socket.socket]:
    return rendezvous.knock(address, "lane", timeout_s=20.0, **{**LANE, **fields})


def answers(address: rendezvous.Address) -> bool:
    """Whether the door still stands, and says what it should."""
    told, peer = rendezvous.knock(address, "about", timeout_s=20.0)
    peer.close()
    return told["application"] == "a test"


def main() -> None:
    door = Door(rendezvous.address_of(sys.argv[1], os.getpid()), Room())
    door.start()
    child = 0
    if sys.argv[2:] == ["fork"]:
        child = os.fork()
        if child == 0:
            door.stop()
            signal.pause()
    print(os.getpid(), child, flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
