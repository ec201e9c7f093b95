# SPDX-License-Identifier: MIT
"""The address of an environment on another machine: ssh://[user@]host[:port]/ENV[?python=PYTHON].

Reads text, and nothing else.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from ringbridge.environment import Environment
from ringbridge.errors import EnvironmentNotFound

SCHEME = "ssh://"
_FORM = "ssh://[user@]host[:port]/ENV, ENV a name or an absolute path (ssh://box//opt/envs/gis)"
_WORD = re.compile(r"[A-Za-z0-9_:][A-Za-z0-9_.@%:+-]*")


class SshAddress(NamedTuple):
    """user, port: None where ssh's configuration decides. python: that of the relay over there."""

    host: str
    environment: str
    user: str | None = None
    port: int | None = None
    python: str = "python3"

    @property
    def machine(self) -> str:
        """As ssh is told: user@host."""
        return self.host if self.user is None else f"{self.user}@{self.host}"

    def of_file(self, path: str) -> str:
        """The address of a file there."""
        port = "" if self.port is None else f":{self.port}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = "" if self.user is None else f"{self.user}@"
        return f"{SCHEME}{user}{host}{port}/{quote(path)}"


def is_address(text: str) -> bool:
    return text.startswith(SCHEME)


def parse(text: str) -> SshAddress:
    """Raises EnvironmentNotFound, which says what is wrong with it."""
    try:
        parts = urlsplit(text)
        host, port, user = parts.hostname or "", parts.port, parts.username
    except ValueError as error:
        raise _bad(text, str(error)) from None
    # urlsplit makes it small: an alias in ~/.ssh/config may have capitals.
    written = parts.netloc.rpartition("@")[2]
    host = written[: len(host)] if written.lower().startswith(host) else host
    user = None if user is None else unquote(user)
    if parts.password is not None:
        raise _bad(text, "a password has no place in an address: ssh uses keys")
    for what, word in (("host", host), ("user", user)):
        if word is not None and not _WORD.fullmatch(word):  # "-oProxyCommand=..." is no host
            raise _bad(text, f"its {what} is {word!r}")
    environment = unquote(parts.path[1:])
    if not environment or "\0" in environment:
        raise _bad(text, "it names no environment")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    python = options.pop("python", "python3")
    if options or parts.fragment or not python or "\0" in python or python.startswith("-"):
        raise _bad(text, "?python=/path/to/python is all that may follow")
    return SshAddress(host, environment, user, port, python)


def environment_of(text: str) -> Environment:
    """What stands for it until the other machine has been asked. Raises EnvironmentNotFound."""
    address = parse(text)
    name = address.environment.rstrip("/").rpartition("/")[2] or address.environment
    return Environment(text, text, "ssh", f"{name}@{address.host}")


def seen(environment: Environment, executable: str) -> Environment:
    """The same when it is known which interpreter that is: its address."""
    return environment._replace(python=executable or environment.python)


def _bad(text: str, why: str) -> EnvironmentNotFound:
    return EnvironmentNotFound(f"{text!r} is no address of an environment: {why}; write {_FORM}")
