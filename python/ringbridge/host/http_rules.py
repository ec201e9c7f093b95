# SPDX-License-Identifier: MIT
"""Who may ask an HTTP gateway: what a request's head must say. Each refusal has its reason.

    Host, Origin    against web pages, which reach this machine's ports through a user's browser
    Authorization   against everybody else: other users of this machine have its ports, too

Knows headers only: no I/O, and nothing of what is asked for.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from email.message import Message

TOKEN_CHARS_MIN = 16

_TOKEN = re.compile(rf"[!-~]{{{TOKEN_CHARS_MIN},}}")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LOOPBACK = re.compile(r"(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
_LENGTH = re.compile(r"[0-9]{1,15}")
_JSON = "application/json"


class Refused(Exception):
    """An answer that is no result: its HTTP status, and the reason for a person."""

    def __init__(self, status: int, reason: str, **headers: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = {name.replace("_", "-"): text for name, text in headers.items()}


def is_loopback(host: str) -> bool:
    """Of an address to listen at, or a Host header: whether only this machine is meant."""
    return _LOOPBACK.fullmatch(host) is not None or host == "::1"


def check_token(token: str | None, host: str) -> None:
    """Raises ValueError for a token that protects nothing."""
    if token is None:
        if not is_loopback(host):
            raise ValueError(f"at {host} other machines can call: that needs a token")
    elif _TOKEN.fullmatch(token) is None:
        raise ValueError(
            f"a token has at least {TOKEN_CHARS_MIN} characters of ASCII and no spaces: leave it "
            "out to have a good one made"
        )


def one(headers: Message, name: str) -> str | None:
    """A header that may stand there once: of two, a proxy may believe the other one."""
    found: list[str] = headers.get_all(name, [])
    if len(found) > 1:
        raise Refused(400, f"more than one {name} header")
    return found[0].strip() if found else None


def check_form(headers: Message) -> None:
    """Refuses heads that could be read in two ways, as by a proxy in front and by us."""
    if headers.defects:
        raise Refused(400, "the request's headers are malformed")
    for name, text in headers.items():
        if _NAME.fullmatch(name) is None or "\r" in text or "\n" in text:
            raise Refused(400, "a header is malformed, or goes on in the next line")
    for name in ("Host", "Origin", "Authorization", "Content-Type", "Content-Length"):
        one(headers, name)
    if "Transfer-Encoding" in headers:
        raise Refused(411, "send the body with a Content-Length, and without Transfer-Encoding")


def body_length(headers: Message, bytes_max: int) -> int:
    """How long the JSON is that follows."""
    kind = one(headers, "Content-Type") or "nothing"
    # Also: a browser sends this type to other sites only after it has asked (OPTIONS).
    if kind.partition(";")[0].strip().lower() != _JSON:
        raise Refused(415, f"the body has to be JSON: send Content-Type: {_JSON}")
    length = one(headers, "Content-Length")
    if length is None:
        raise Refused(411, "the body needs a Content-Length")
    if _LENGTH.fullmatch(length) is None:
        raise Refused(400, "Content-Length is not a number")
    if int(length) > bytes_max:
        raise Refused(
            413,
            f"the body may have {bytes_max} bytes: send less, raise body_bytes_max where the "
            "gateway is started, or call through rb.connect()",
        )
    return int(length)


@dataclass(frozen=True)
class Admission:
    """token: None where everybody on this machine may call. origins: the web pages that may, as
    browsers name them ("https://tools.example")."""

    token: str | None = field(repr=False)
    origins: frozenset[str]

    def check(self, headers: Message, query_token: str | None, *, by_get: bool) -> None:
        """Raises Refused. query_token: what stood in the address, where that counts."""
        self.check_page(headers)
        if self.token is not None:
            self._check_token(headers, query_token, by_get=by_get)

    def check_page(self, headers: Message) -> None:
        """Refuses what comes from a web page that was not named."""
        origin = one(headers, "Origin")
        if origin is not None and origin not in self.origins:
            raise Refused(
                403, "this web page may not call: name its origin in origins=[...] of the gateway"
            )
        if self.token is None:
            self._check_host(one(headers, "Host"))

    def _check_host(self, host: str | None) -> None:
        """A page that its own DNS server has moved to 127.0.0.1 sends no Origin with a GET, but
        its own name as Host."""
        named = {urlsplit(origin).netloc for origin in self.origins}
        if host is None or not (is_loopback(host) or host in named):
            raise Refused(403, "without a token, ask for localhost or 127.0.0.1")

    def _check_token(self, headers: Message, query_token: str | None, *, by_get: bool) -> None:
        given = one(headers, "Authorization")
        if given is not None:
            # Browsers add Basic by themselves once they know it: not where a link is enough.
            candidate = _bearer(given) or (None if by_get else _basic(given))
        else:
            candidate = query_token
        if candidate is None or not self._is_token(candidate):
            what = "no token" if candidate is None else "wrong token"
            raise Refused(
                401,
                f"{what}: send the header 'Authorization: Bearer TOKEN', with the gateway's token",
                WWW_Authenticate='Bearer realm="ringbridge"',
            )

    def _is_token(self, candidate: str) -> bool:
        expected = self.token or ""
        return hmac.compare_digest(candidate.encode("utf-8", "replace"), expected.encode())

    def cors(self, headers: Message) -> dict[str, str]:
        """What tells a browser that the page may read the answer."""
        origin = headers.get("Origin")
        if origin is None or origin not in self.origins:
            return {}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
            "Access-Control-Allow-Headers": "Authorization, Content-Type",
            "Access-Control-Max-Age": "600",
        }


def _bearer(given: str) -> str | None:
    scheme, _, rest = given.partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else None


def _basic(given: str) -> str | None:
    """The password: what clients send that know only http://name:password@host addresses."""
    scheme, _, rest = given.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(rest.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None
    return text.partition(":")[2]
