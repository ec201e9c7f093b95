# SPDX-License-Identifier: MIT
"""Who lets viewers in to a plot, at a door of its own. On the door's thread."""

from __future__ import annotations

import secrets
import socket
import time
from typing import TYPE_CHECKING, Any

from ringbridge.door import Door

if TYPE_CHECKING:
    from ringbridge.door import Knock
    from ringbridge.plot.audience import Audience
    from ringbridge.rendezvous import Address


def let_viewers_in(audience: Audience, address: Address, view: str) -> tuple[str, Door]:
    """A started door for them, and what the launched viewer calls itself, to be known by."""
    token = secrets.token_hex(8)
    door = Door(address, _Doorman(audience, token, view), want="plot")
    door.start()
    return token, door


class _Doorman:
    """Lets viewers in."""

    def __init__(self, audience: Audience, token: str, view: str) -> None:
        self._audience = audience
        self._token = token
        self._view = view
        self._since = time.monotonic()

    def about(self) -> dict[str, Any]:
        since_s = round(time.monotonic() - self._since, 3)
        viewers = len(self._audience.viewers)
        return {"view": self._view, "since_s": since_s, "viewers": viewers}

    def refuse(self, knock: Knock) -> str | None:
        return None

    def welcome(self, knock: Knock, sock: socket.socket) -> None:
        own = secrets.compare_digest(knock.name.encode(), self._token.encode())
        with sock:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            with theirs:
                socket.send_fds(sock, [b"letters"], [theirs.fileno()])
        self._audience.let_in(ours, "launched viewer" if own else knock.name, knock.pid, own)
