# SPDX-License-Identifier: MIT
"""How a viewer joins a computation: the knock at its door, then the socket of the letters.

    viewer                                          computation
      {"want": "plot", "name": label}           ->  <-  ok, or refused
                                                    <-  one datagram with one descriptor
      the stream socket is theirs now; the one of the knock is closed

Knows no letter.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from ringbridge import rendezvous
from ringbridge.errors import CallTimeout, ProtocolError
from ringbridge.plot.letters import Letters

if TYPE_CHECKING:
    from ringbridge.rendezvous import Address

TIMEOUT_S = 20.0
_DATAGRAM_BYTES_MAX = 64


def meet(address: Address, label: str, *, timeout_s: float = TIMEOUT_S) -> Letters:
    """The letters of a viewer that calls itself by the label.

    Raises what `rendezvous.knock` raises; ProtocolError when no socket follows the answer.
    """
    _, door = rendezvous.knock(address, "plot", timeout_s=timeout_s, name=label)
    with door:
        door.settimeout(timeout_s)
        try:
            flags = socket.MSG_CMSG_CLOEXEC
            _, fds, _, _ = socket.recv_fds(door, _DATAGRAM_BYTES_MAX, 1, flags)
        except socket.timeout:
            raise CallTimeout(f"{address.name} has sent no socket within {timeout_s:g} s") from None
    if not fds:
        raise ProtocolError(f"{address.name} (pid {address.pid}) has let us in, and sent no socket")
    try:
        stream = socket.socket(fileno=fds[0])
    except OSError:
        os.close(fds[0])
        raise ProtocolError(f"{address.name} has sent what is no socket") from None
    if (stream.family, stream.type) != (socket.AF_UNIX, socket.SOCK_STREAM):
        stream.close()
        raise ProtocolError(f"{address.name} has sent a socket of another kind")
    return Letters(stream, takes_fds=True)
