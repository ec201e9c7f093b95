# SPDX-License-Identifier: MIT
"""Gateway: a served application over HTTP, for other machines, other languages, SkyHook's clients.

Opt-in, and guarded: it listens at 127.0.0.1 and wants a token unless told otherwise. Its life only;
who is let in stands in http_rules, how a request is read in http_request, what it can ask for in
http_wire and skyhook.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import ssl
import threading
from typing import TYPE_CHECKING

from ringbridge.errors import RingbridgeError
from ringbridge.host.http_calls import Calls
from ringbridge.host.http_listener import Listener
from ringbridge.host.http_request import Request, Site
from ringbridge.host.http_rules import Admission, check_token, is_loopback
from ringbridge.host.skyhook import SkyHook

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ringbridge.host.http_calls import Served

logger = logging.getLogger("ringbridge.host")


class Gateway:
    """Serves over HTTP what a server exposes. Any thread may start and stop it.

    token: what clients have to send; "" makes one, see `token`; None lets everybody on this machine
    call, other users too, and is refused where other machines can connect. tls: the files of a
    certificate (with its chain) and of its key. origins: the web pages that may call, such as
    "https://tools.example". timeout_s: for each call; a client may ask for less. request_s: what a
    client may take to send the head of a request, then its body, and to take the answer.
    threads_max: for connections; three quarters of them for calls.
    """

    def __init__(
        self,
        served: Served,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = "",
        tls: tuple[str, str] | None = None,
        origins: Iterable[str] = (),
        body_bytes_max: int = 16 << 20,
        timeout_s: float = 60.0,
        request_s: float = 30.0,
        threads_max: int = 64,
    ) -> None:
        self.token = secrets.token_urlsafe(32) if token == "" else token
        check_token(self.token, host)
        if isinstance(origins, str):
            raise ValueError("origins: a list of them, not one text")
        calls = Calls(served, timeout_s=timeout_s, at_once=max(1, threads_max * 3 // 4))
        admission = Admission(self.token, frozenset(origins))
        self._site = Site(admission, calls, SkyHook(calls), body_bytes_max)
        self._tls = None if tls is None else _tls_context(*tls)
        self._address = host, port
        self._threads_max = threads_max
        self._request_s = request_s
        self._listener: Listener | None = None
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._lock = threading.Lock()

    def start(self) -> None:
        """Listens from now on. Raises RingbridgeError where the port cannot be had."""
        with self._lock:
            if self._listener is not None:
                return
            self._listener = self._bound()
            self._thread = threading.Thread(
                target=self._listener.listen, name="ringbridge gateway", daemon=True
            )
            self._thread.start()
        if self._tls is None and not is_loopback(self._address[0]):
            logger.warning("HTTP: the token crosses the network readable: give tls=(cert, key)")
        logger.info("HTTP: listening at %s", self.url)

    def stop(self) -> None:
        """Ends the port and all connections; calls that run now go on, and nobody hears of them.
        Idempotent; does nothing in a forked child."""
        with self._lock:
            listener, self._listener = self._listener, None
            if listener is None or os.getpid() != self._pid:
                return
            listener.stop()
            assert self._thread is not None
            self._thread.join()

    @property
    def port(self) -> int:
        """The one that it listens at; before `start`, the one that was asked for."""
        listener = self._listener
        return self._address[1] if listener is None else int(listener.server_address[1])

    @property
    def url(self) -> str:
        host = f"[{self._address[0]}]" if ":" in self._address[0] else self._address[0]
        return f"{'http' if self._tls is None else 'https'}://{host}:{self.port}"

    def _bound(self) -> Listener:
        try:
            return Listener(
                self._address,
                Request,
                self._site,
                tls=self._tls,
                connections_max=self._threads_max,
                request_s=self._request_s,
            )
        except OSError as error:
            host, port = self._address
            hint = ""
            if error.errno == errno.EADDRINUSE:
                hint = "; another program has this port (one with SkyHook?): end it, or take port=0"
            text = f"cannot listen at {host}, port {port}: {error.strerror or error}{hint}"
            raise RingbridgeError(text) from error


def _tls_context(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise RingbridgeError(f"tls: cannot use {certificate} with {key}: {error}") from error
    return context
