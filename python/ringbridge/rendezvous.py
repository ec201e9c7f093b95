# SPDX-License-Identifier: MIT
"""Where served applications and plots are met: the folder of their sockets, and the knock.

    client                                                     application, or computation
      connect to <folder>/<name>.<pid>.sock, or .plot    who is it? (the kernel says)    accept
      {"ringbridge": 1, "want": ...}        ->  <-  {"ringbridge": 1, "ok" or "refused": ...}
                                     a lane: the socket is the channel's now

One datagram each way. Knows no channel, and of the application's side only its address: the
listening is door.py's. Where a process has ended, `addresses` removes its socket.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import stat
import struct
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ringbridge.errors import CallTimeout, HostNotFound, HostRefused, ProtocolError, RingbridgeError
from ringbridge.running import why_left

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Of the knock, not of what follows it on the socket.
PROTOCOL = 1
VERSION: str = sys.modules["ringbridge"].__version__  # loaded before us, whoever imports us
KNOCK_BYTES_MAX = 16 << 10
ANSWER_BYTES_MAX = 160 << 10  # a datagram must fit into the socket's buffer, of 208 KiB mostly

_PATH_BYTES_MAX = 107  # sockaddr_un holds 108, with the 0 at its end
_OF_OTHERS = 0o077
# A space may stand inside, so that the name is seen whole.
_NAME = re.compile(r"(?! )[A-Za-z0-9_. -]{1,60}(?<! )")
_FILE = re.compile(r"(.+)\.([1-9][0-9]{0,6})\.(sock|plot)")
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid
_FULL_NAP_S = 0.005


@dataclass(frozen=True)
class Kind:
    """What listens: how its socket ends, what it is called, and how one comes to be there."""

    suffix: str
    called: str
    made: str


APPLICATION = Kind(
    "sock", "served application", "In the application, `ringbridge.host.serve()` serves it"
)
PLOT = Kind("plot", "plot", "A running `ringbridge.plot.Plotter` is there under its name=")


@dataclass(frozen=True)
class Address:
    """Where one served application, or one plot, listens."""

    name: str
    pid: int
    path: str

    @property
    def kind(self) -> Kind:
        return PLOT if self.path.endswith(f".{PLOT.suffix}") else APPLICATION


@dataclass(frozen=True)
class DeadSocket:
    """What an application left that ended without taking its socket away."""

    path: str
    pid: int
    why: str


# ---------------------------------------------------------------------------------------- places


def folder() -> str:
    """The folder of the sockets, made where it is missing.

    Raises RingbridgeError where others could put something there, or see what is in it.
    """
    path, hint = _place()
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)
    except OSError as error:
        raise _unfit(path, error.strerror or str(error), hint) from None
    _check(path, hint)
    return path


def _place() -> tuple[str, str]:
    """The folder's path, and what to do where it cannot be used."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime):  # the standard says: another one counts as not set
        return os.path.join(runtime, "ringbridge"), "set XDG_RUNTIME_DIR to another, or unset it"
    from tempfile import gettempdir

    hint = "set XDG_RUNTIME_DIR, to the same in the application and in its clients"
    return os.path.join(gettempdir(), f"ringbridge-{os.geteuid()}"), hint


def _unfit(path: str, wrong: str, hint: str) -> RingbridgeError:
    return RingbridgeError(
        f"the sockets of served applications need a folder of this user alone, and {path} is none "
        f"({wrong}): {hint}"
    )


def _check(path: str, hint: str) -> None:
    wrong = _not_private(os.lstat(path))
    if wrong:
        raise _unfit(path, wrong, hint)


def _not_private(info: os.stat_result) -> str:
    if stat.S_ISLNK(info.st_mode):
        return "it is a symbolic link: remove it"
    if not stat.S_ISDIR(info.st_mode):
        return "it is not a folder: remove it"
    if info.st_uid != os.geteuid():
        return f"it belongs to user {info.st_uid}"
    if info.st_mode & _OF_OTHERS:
        return f"its mode is {stat.S_IMODE(info.st_mode):o}, which lets others in: chmod it to 700"
    return ""


def address_of(name: str, pid: int, kind: Kind = APPLICATION) -> Address:
    """Where what has that name and process listens, or would listen.

    Raises ValueError for a name that cannot be one, RingbridgeError for a folder that cannot be.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"a {kind.called}'s name has 1 to 60 of the characters A-Z a-z 0-9 - _ . and "
            f"spaces inside, not {name!r}"
        )
    path = os.path.join(folder(), f"{name}.{pid}.{kind.suffix}")
    excess = len(os.fsencode(path)) - _PATH_BYTES_MAX
    if excess > 0:
        variable = "XDG_RUNTIME_DIR" if os.environ.get("XDG_RUNTIME_DIR") else "TMPDIR"
        raise RingbridgeError(
            f"{path} is {excess} bytes too long for a socket: take a shorter name, or set "
            f"{variable} to a shorter path, in the application and in its clients"
        )
    return Address(name, pid, path)


def addresses(kind: Kind = APPLICATION) -> list[Address]:
    """Where those of this user listen, by name and pid. Removes dead sockets, of any kind.

    Raises RingbridgeError where their folder is not of this user alone.
    """
    found = []
    for address, why in _sockets():
        if why is None and address.kind is kind:
            found.append(address)
        elif why is not None:
            with contextlib.suppress(OSError):  # somebody else has just removed it
                os.unlink(address.path)
    return found


def dead_sockets() -> list[DeadSocket]:
    """What `addresses` would remove. Raises what that does."""
    return [DeadSocket(at.path, at.pid, why) for at, why in _sockets() if why is not None]


def _sockets() -> Iterator[tuple[Address, str | None]]:
    """Each with why it is dead, or None."""
    path, hint = _place()
    if not os.path.lexists(path):  # nobody has served yet; looking leaves no folder behind
        return
    _check(path, hint)
    with os.scandir(path) as entries:
        files = sorted(entries, key=lambda each: each.name)
    for entry in files:
        word = _FILE.fullmatch(entry.name)
        with contextlib.suppress(OSError):  # gone while we look
            info = entry.stat(follow_symlinks=False)
            if word and stat.S_ISSOCK(info.st_mode) and info.st_uid == os.geteuid():
                pid = int(word[2])
                why = why_left(pid, info.st_mtime)
                # A container that shares the folder has pids of its own: it still listens.
                dead = why is not None and _refuses(entry.path)
                yield Address(word[1], pid, entry.path), why if dead else None


def _refuses(path: str) -> bool:
    """Whether nobody listens there."""
    with _new_socket() as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:  # the queue is full, or it has gone
            return False
    return False


def not_found(what: str, kind: Kind = APPLICATION) -> HostNotFound:
    """An error that says what was wanted, what there is, and where it was looked for."""
    there = [f"{each.name} (pid {each.pid})" for each in addresses(kind)]
    runs = f"there is {', '.join(there)}" if there else "there is none"
    return HostNotFound(f"{what}: {runs}, in {_place()[0]}. {kind.made}")


def _gone(address: Address, how: str) -> HostNotFound:
    return not_found(f"{address.name} (pid {address.pid}) {how}", address.kind)


# ------------------------------------------------------------------------------------- the knock


def knock(
    address: Address, want: str, *, timeout_s: float, **fields: Any
) -> tuple[dict[str, Any], socket.socket]:
    """What the application answered to a wish, and the socket, which blocks and is the caller's.

    Raises HostNotFound when nobody is there, HostRefused with the application's reason, CallTimeout
    when it does not answer in time, ProtocolError when its answer is none. From any thread.
    """
    deadline = time.monotonic() + timeout_s
    text = {"ringbridge": PROTOCOL, "version": VERSION, "want": want, **fields}
    message = json.dumps(text).encode()
    if len(message) > KNOCK_BYTES_MAX:
        raise ValueError(f"a knock has at most {KNOCK_BYTES_MAX} bytes, not {len(message)}")
    with contextlib.ExitStack() as stack:
        peer = stack.enter_context(_new_socket())
        try:
            _connect(peer, address, deadline)
            _check_peer(peer, address)
            answer = _ask(peer, message, deadline)
        except socket.timeout:
            raise CallTimeout(
                f"{address.name} (pid {address.pid}) has not answered within {timeout_s:g} s"
            ) from None
        told = _read_answer(address, answer)
        peer.settimeout(None)
        stack.pop_all()
    return told, peer


def _new_socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def _connect(peer: socket.socket, address: Address, deadline: float) -> None:
    while True:
        peer.settimeout(_left(deadline))
        try:
            peer.connect(address.path)
        except BlockingIOError:
            # Too many stand before the door. The kernel has no event that tells of a free place.
            time.sleep(min(_FULL_NAP_S, _left(deadline)))
        except (FileNotFoundError, ConnectionRefusedError):
            raise _gone(address, "is not served any more") from None
        except PermissionError:
            raise HostRefused(f"{address.path} belongs to another user") from None
        else:
            return


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise socket.timeout
    return left


def _check_peer(peer: socket.socket, address: Address) -> None:
    pid, uid = credentials(peer)
    if uid != os.geteuid():
        raise HostRefused(f"{address.path} is served by user {uid}, not by you")
    if pid != address.pid:
        other = f"process {pid}" if pid else "a process of another container"
        raise HostRefused(f"{address.path} is served by {other}, not by {address.pid}")


def credentials(peer: socket.socket) -> tuple[int, int]:
    """(pid, uid) of the other end, as the kernel noted them; pid 0: not visible from here."""
    size = _CREDENTIALS.size
    pid, uid, _ = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return pid, uid


def _ask(peer: socket.socket, message: bytes, deadline: float) -> bytes:
    peer.settimeout(_left(deadline))
    # Refused before it was heard: the reason lies here already, behind the error.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        peer.send(message)
    for _ in range(2):
        with contextlib.suppress(ConnectionResetError):
            return _receive(peer, deadline)
    return b""


def _receive(peer: socket.socket, deadline: float) -> bytes:
    peer.settimeout(_left(deadline))
    # No room for descriptors that come with it: the kernel closes them.
    return peer.recv(ANSWER_BYTES_MAX + 1)


def _read_answer(address: Address, answer: bytes) -> dict[str, Any]:
    who = f"{address.name} (pid {address.pid})"
    if not answer:
        raise _gone(address, "has closed its door without an answer")
    told = parse(answer, ANSWER_BYTES_MAX)
    if isinstance(told, dict):
        refused, ok = told.get("refused"), told.get("ok")
        if isinstance(refused, str):
            raise HostRefused(f"{who} refuses: {refused}")
        if told.get("ringbridge") == PROTOCOL and isinstance(ok, dict):
            return ok
    raise ProtocolError(f"{who} has not answered as ringbridge {VERSION} expects it")


def parse(message: bytes, bytes_max: int) -> Any:
    """What a datagram says; None for one that is too long or no JSON."""
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(message) if len(message) <= bytes_max else None
    return None
