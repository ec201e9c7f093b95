# SPDX-License-Identifier: MIT
"""One HTTP request: read within limits, let in or refused, answered; then the connection ends.

One request a connection: what stands behind it is thrown away, so that nobody can hide a second
request in the body of a first. Knows HTTP and which wire answers what; no wire's inside.
"""

from __future__ import annotations

import contextlib
import http.server
import logging
import re
import socket
import ssl
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

from ringbridge.host import http_wire, skyhook
from ringbridge.host.http_calls import Answer, Calls, Failure
from ringbridge.host.http_rules import Admission, Refused, body_length, check_form
from ringbridge.host.json_values import NotJson, dump, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from ringbridge.host.http_listener import Listener

logger = logging.getLogger("ringbridge.host")

HEAD_BYTES_MAX = 64 << 10
#: After a refusal, so long is thrown away what still comes: a client that is sending would else
#: see a broken connection, and not the reason.
LINGER_S = 2.0

_CALL = re.compile(r"/call/([^/]+)/([^/]+)")


@dataclass(frozen=True)
class Site:
    """What a request meets."""

    admission: Admission
    calls: Calls
    skyhook: skyhook.SkyHook
    body_bytes_max: int


class Request(http.server.BaseHTTPRequestHandler):
    server: Listener
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # an answer is two writes

    def setup(self) -> None:
        if isinstance(self.request, ssl.SSLSocket):
            self.request.do_handshake()
        super().setup()
        self._stream = self.rfile
        self._head = _Head(self.rfile)
        self.rfile = self._head  # type: ignore[assignment]
        self._expects_100 = False
        self._has_unread_body = False

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client is gone, or was too slow to take it
            self.handle_one_request()
            if self._has_unread_body:
                self._linger()

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def do_OPTIONS(self) -> None:
        self._answer(self._options)

    # ----------------------------------------------------------------------------- what is asked

    def _get(self) -> Answer:
        path, _, query = self.path.partition("?")
        (token,) = parse_qs(query, keep_blank_values=True).get("token", [None])[:1]
        admission = self._site.admission
        admission.check(self.headers, token, by_get=True)
        self._let_in()
        self.server.called(self.request)
        if path == "/about":
            return http_wire.about(self._site.calls)
        if not self._is_skyhooks():
            raise Refused(404, "nothing is here: GET /about, POST /call/MODULE/FUNCTION")
        if admission.token is None:
            raise Refused(403, "without a token nothing is called by GET, as any link could: POST")
        return self._site.skyhook.answer(skyhook.asked_by_get(_unquoted(path[1:])))

    def _post(self) -> Answer:
        self._has_unread_body = True
        path = self.path.partition("?")[0]
        self._site.admission.check(self.headers, None, by_get=False)
        self._let_in()
        call = _CALL.fullmatch(path)
        if call is None and path != "/":
            raise Refused(404, "nothing is here: POST /call/MODULE/FUNCTION")
        body = self._body()
        if call is None:
            return self._site.skyhook.answer(body)
        return http_wire.call(self._site.calls, _unquoted(call[1]), _unquoted(call[2]), body)

    def _options(self) -> Answer:
        self._site.admission.check_page(self.headers)
        return Answer(204, None)

    def _let_in(self) -> None:
        self.server.known(self.request)

    def _body(self) -> Any:
        length = body_length(self.headers, self._site.body_bytes_max)
        if self._expects_100:
            self.send_response_only(100)
            self.end_headers()
        body = self._stream.read(length)
        if len(body) < length:
            self._has_unread_body = False  # it has ended
            raise Refused(400, "the body is shorter than its Content-Length")
        self._has_unread_body = False
        self.server.called(self.request)
        try:
            return parse(body)
        except NotJson as error:
            raise Refused(400, f"the body is not the JSON that is taken here: {error}") from None

    # -------------------------------------------------------------------------------- the answer

    def _answer(self, find: Callable[[], Answer]) -> None:
        headers: dict[str, str] = {}
        try:
            self._check_head()
            answer = find()
        except Refused as refusal:
            answer, headers = self._refused(refusal), refusal.headers
        except OSError:
            raise
        except Exception as error:
            logger.exception("HTTP: %s failed", self._shown())
            answer = http_wire.failed(Failure.of(error))
        self._send(answer, headers)
        if answer.afterwards is not None:
            answer.afterwards()

    def _check_head(self) -> None:
        if self._head.left == 0:
            raise Refused(431, f"the head of a request may have {HEAD_BYTES_MAX} bytes")
        if not self._head.is_whole or self.request_version == "HTTP/0.9":
            raise Refused(400, "the head of the request is not whole")
        if not self.path.startswith("/"):
            raise Refused(400, "ask for a path of this server")
        check_form(self.headers)

    def _refused(self, refusal: Refused) -> Answer:
        if self.server.is_expired(self.request):
            refusal = Refused(408, "the request took too long to come")
        return skyhook.refused(refusal) if self._is_skyhooks() else http_wire.refused(refusal)

    def _is_skyhooks(self) -> bool:
        path = getattr(self, "path", "")
        return path == "/" if self.command == "POST" else path[:2] == '/"' or path[:4] == "/%22"

    def _send(self, answer: Answer, headers: dict[str, str]) -> None:
        self.server.answering(self.request)
        body = b"" if answer.status == 204 else dump(answer.value)
        self.request_version = self.protocol_version  # also where the request had none
        self.send_response(answer.status)
        headers = {
            **({} if answer.status == 204 else {"Content-Type": "application/json"}),
            **({} if answer.status == 204 else {"Content-Length": str(len(body))}),
            "Connection": "close",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Vary": "Origin",
            **(self._site.admission.cors(self.headers) if hasattr(self, "headers") else {}),
            **headers,
        }
        for name, text in headers.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)
        logger.debug("HTTP: %s: %d", self._shown(), answer.status)

    def _linger(self) -> None:
        end = time.monotonic() + LINGER_S
        socket.socket.shutdown(self.request, socket.SHUT_WR)  # below TLS: what comes is not read
        while (left := end - time.monotonic()) > 0:
            self.request.settimeout(left)
            if not socket.socket.recv(self.request, 64 << 10):
                return

    # ------------------------------------------------------------ what the base class would do

    def handle_expect_100(self) -> bool:
        self._expects_100 = True  # told to go on once it is let in, see _body
        return True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """The base class's refusals, of heads that it could not read."""
        self._has_unread_body = True
        self._send(self._refused(Refused(code, HTTPStatus(code).description or "refused")), {})

    def version_string(self) -> str:
        return "ringbridge"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing to stderr, and no address: a token may stand in it."""

    @property
    def _site(self) -> Site:
        site: Site = self.server.site
        return site

    def _shown(self) -> str:
        path = getattr(self, "path", "").partition("?")[0]
        return f"{self.command} {path[:200]!a} from {self.client_address[0]}"


class _Head:
    """Reads lines up to the limit, and knows whether the empty one came that ends a head."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.left = HEAD_BYTES_MAX
        self.is_whole = False

    def readline(self, size: int = -1) -> bytes:
        line: bytes = self._stream.readline(min(size, self.left) if size >= 0 else self.left)
        self.left -= len(line)
        self.is_whole = line in (b"\r\n", b"\n")
        return line

    def close(self) -> None:
        self._stream.close()


def _unquoted(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise Refused(400, "the address is not UTF-8") from None
