# SPDX-License-Identifier: MIT
"""Listener: the gateway's port, a thread a connection, and nobody who stays too long.

    asking    from accept: HEAD and body have to come until the deadline, or reading ends
    called    the request is whole: no deadline here, the call has its own
    answering the client has to take the answer until the deadline, or all ends

Where all places are taken, newcomers wait before the door, and the one that has stood in it longest
without a token makes room after a moment. Knows sockets only, and hands each to a handler; nothing
of what is said on them.
"""

from __future__ import annotations

import contextlib
import errno
import http.server
import logging
import os
import select
import socket
import socketserver
import ssl
import threading
import time
from dataclasses import dataclass
from typing import Any

logger = logging.getLogger("ringbridge.host")

_OUT_OF_DESCRIPTORS = {errno.EMFILE, errno.ENFILE}
_PAUSE_S = 0.1
#: So long nobody is put out, however many wait: a client's head takes a few milliseconds.
_GRACE_S = 0.25
_FULL_MS = 20.0


@dataclass
class _Connection:
    since: float
    deadline: float | None
    is_known: bool = False  # who asks has shown the token, where there is one
    is_answering: bool = False
    is_expired: bool = False


class Listener(http.server.ThreadingHTTPServer):
    """Binds at once; `listen` then serves until `stop`. request_s: what a client may take to send
    the head of its request, then its body, and to take the answer."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        handler: type[http.server.BaseHTTPRequestHandler],
        site: Any,
        *,
        tls: ssl.SSLContext | None,
        connections_max: int,
        request_s: float,
    ) -> None:
        self.site = site
        self._tls = tls
        self._connections_max = connections_max
        self._request_s = request_s
        self._open: dict[Any, _Connection] = {}
        self._lock = threading.Lock()
        self._out_of_descriptors = False
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler)
        self.socket.setblocking(False)  # a client that has gone again must not hold up accept
        self._stopped, self._stop = os.pipe()

    def server_bind(self) -> None:
        # Not HTTPServer's: that asks the network for the name of this machine.
        socketserver.TCPServer.server_bind(self)

    # -------------------------------------------------------------------------- the port's thread

    def listen(self) -> None:
        """Until `stop`. Sleeps where nobody is connected."""
        poll = select.poll()
        poll.register(self._stopped, select.POLLIN)
        poll.register(self.socket, select.POLLIN)
        while True:
            has_room = self._has_room()
            poll.modify(self.socket, select.POLLIN if has_room else 0)
            ready = dict(poll.poll(self._patience_ms() if has_room else _FULL_MS))
            if self._stopped in ready:
                break
            if self.socket.fileno() in ready:
                self.handle_request()
            self._end_overdue()
            if self._out_of_descriptors:
                self._out_of_descriptors = False
                time.sleep(_PAUSE_S)
        with self._lock:
            left = list(self._open)
        for sock in left:
            _shutdown(sock, socket.SHUT_RDWR)
        # Not closed alone: a forked child may have it, too, and keep the port from the next one.
        _shutdown(self.socket, socket.SHUT_RDWR)
        self.server_close()
        for end in (self._stopped, self._stop):
            os.close(end)

    def stop(self) -> None:
        """Once, from any thread: `listen` ends soon, and the connections with it."""
        os.write(self._stop, b"1")  # not closed: a forked child may have this end, too

    def _patience_ms(self) -> float | None:
        return self._request_s * 250 if self._open else None

    def _has_room(self) -> bool:
        with self._lock:
            if len(self._open) < self._connections_max:
                return True
            strangers = (each for each in self._open.items() if not each[1].is_known)
            sock, connection = next(strangers, (None, None))
            if connection is None or time.monotonic() < connection.since + _GRACE_S:
                return False
            del self._open[sock]
            _shutdown(sock, socket.SHUT_RDWR)
            return True

    def _end_overdue(self) -> None:
        now = time.monotonic()
        with self._lock:
            late = [each for each in self._open.items() if (each[1].deadline or now) < now]
            for _sock, connection in late:
                connection.is_expired = True
                connection.deadline = None
        for sock, connection in late:
            _shutdown(sock, socket.SHUT_RDWR if connection.is_answering else socket.SHUT_RD)

    def get_request(self) -> tuple[Any, Any]:
        try:
            sock, address = super().get_request()
        except OSError as error:
            self._out_of_descriptors = error.errno in _OUT_OF_DESCRIPTORS
            raise
        if self._tls is None:
            return sock, address
        try:  # without a handshake yet: that is for the connection's own thread
            return self._tls.wrap_socket(sock, True, do_handshake_on_connect=False), address
        except BaseException:
            sock.close()
            raise

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Gives it its place."""
        now = time.monotonic()
        with self._lock:
            self._open[request] = _Connection(now, now + self._request_s)
        return True

    # ------------------------------------------------------------------- the connections' threads

    def known(self, sock: Any) -> None:
        """Who asks may: the time for the body begins."""
        self._set(sock, deadline=time.monotonic() + self._request_s, is_known=True)

    def called(self, sock: Any) -> None:
        self._set(sock, deadline=None)

    def answering(self, sock: Any) -> None:
        self._set(sock, deadline=time.monotonic() + self._request_s, is_answering=True)

    def is_expired(self, sock: Any) -> bool:
        """Whether its reading has ended because it took too long."""
        with self._lock:
            connection = self._open.get(sock)
            return connection is not None and connection.is_expired

    def _set(self, sock: Any, **values: Any) -> None:
        with self._lock:
            connection = self._open.get(sock)
            if connection is not None:  # or else it had to make room
                for name, value in values.items():
                    setattr(connection, name, value)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.debug("HTTP: a connection failed", exc_info=True)


def _shutdown(sock: Any, how: int) -> None:
    """Below TLS, which another thread is using: that thread's reading or writing ends."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, how)
