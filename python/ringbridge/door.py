# SPDX-License-Identifier: MIT
"""Door: the thread that listens for clients, answers their knocks, or hands their socket on.

    accept -> other user? -> refused
           -> waits for the knock -> "about"  -> answered here, whatever the main thread does
                                  -> `want`   -> "ok", and the socket is Handler.welcome's
                                  -> else     -> refused, with the reason

Never blocks on a client: one that says nothing stands there for 5 seconds, with room for 64 of
them. Knows no channel and no Python function that is served.
"""

from __future__ import annotations

import collections
import contextlib
import errno
import hmac
import json
import logging
import os
import re
import selectors
import socket
import threading
import time
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ringbridge.errors import RingbridgeError
from ringbridge.rendezvous import (
    ANSWER_BYTES_MAX,
    KNOCK_BYTES_MAX,
    PROTOCOL,
    VERSION,
    credentials,
    parse,
)

if TYPE_CHECKING:
    from ringbridge.rendezvous import Address

LANES = ("main", "thread")
KNOCK_S = 5.0
VISITORS_MAX = 64
NAME_MAX = 200

_logger = logging.getLogger("ringbridge.host")
_CLIENT = re.compile(r"[0-9a-f]{32}")
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_NO_ROOM_NAP_S = 0.2


@dataclass(frozen=True)
class Knock:
    """A client that comes in. lane, client: of a served application's. pid 0: it is in another
    container."""

    lane: str
    client: str
    name: str
    pid: int
    uid: int


class Handler(Protocol):
    """What a door needs from its server. All of it is called on the door's thread."""

    def about(self) -> dict[str, Any]:
        """What is told to who asks. Must be quick: all others wait for it."""

    def refuse(self, knock: Knock) -> str | None:
        """Why this client is not let in; None: it is."""

    def welcome(self, knock: Knock, sock: socket.socket) -> None:
        """Owns the socket, which blocks; its client has just been told "ok"."""


@dataclass(frozen=True)
class _Visitor:
    """Somebody who has not knocked yet."""

    sock: socket.socket
    pid: int
    uid: int
    until: float


class _RefusedError(Exception):
    """Its text goes to the client."""


class Door:
    """Listens at an address, from `start` to `stop`. `want`: what clients come in for, beside
    "about": a "lane", or a "plot"."""

    _listener: socket.socket
    _woken: socket.socket
    _wake: socket.socket
    _selector: selectors.DefaultSelector

    def __init__(
        self, address: Address, handler: Handler, *, want: str = "lane", token: str | None = None
    ) -> None:
        self._address = address
        self._want = want
        self._handler = handler
        self._token = token
        self._pid = os.getpid()
        self._thread: threading.Thread | None = None
        self._visitors: collections.deque[_Visitor] = collections.deque()  # the oldest first
        self._resume_at: float | None = None  # not accepting until then

    def start(self) -> None:
        """Listens from now on, on a thread of its own.

        Raises RingbridgeError when this process listens there already, OSError as `bind` does.
        """
        with contextlib.ExitStack() as stack:
            self._woken, self._wake = map(stack.enter_context, socket.socketpair())
            self._selector = stack.enter_context(selectors.DefaultSelector())
            self._listener = stack.enter_context(_listen(self._address))
            stack.callback(os.unlink, self._address.path)
            self._resume_at = None
            self._selector.register(self._woken, selectors.EVENT_READ)
            self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
            self._thread = threading.Thread(target=self._serve, name="ringbridge door", daemon=True)
            self._thread.start()
            _doors.add(self)
            stack.pop_all()

    def stop(self) -> None:
        """Takes the address away, and sends away who has not been welcomed yet. Idempotent; from
        any thread. In a forked child it does nothing: the door is its parent's."""
        thread, self._thread = self._thread, None
        if thread is None or not self.is_ours:
            return
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._address.path)
        self._wake.close()
        if thread is not threading.current_thread():
            thread.join()

    @property
    def is_ours(self) -> bool:
        """False in a forked child, whose parent's it is."""
        return os.getpid() == self._pid

    # ------------------------------------------------------------------------ on the door's thread

    def _serve(self) -> None:
        with self._woken, self._listener, self._selector:
            while self._thread is not None:
                for key, _ in self._selector.select(self._nap()):
                    if callable(key.data):
                        key.data()
                    elif key.data is not None and key.data in self._visitors:
                        self._hear(key.data)
                self._send_late_ones_away()
            while self._visitors:
                self._dismiss(self._visitors[0], "this server has stopped")

    def _nap(self) -> float | None:
        times = [each.until for each in self._visitors][:1]
        if self._resume_at is not None:
            times.append(self._resume_at)
        return max(min(times) - time.monotonic(), 0.0) if times else None

    def _send_late_ones_away(self) -> None:
        now = time.monotonic()
        while self._visitors and self._visitors[0].until <= now:
            self._dismiss(self._visitors[0], f"nothing was said within {KNOCK_S:g} s")
        if self._resume_at is not None and self._resume_at <= now:
            self._resume_at = None
            self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError as error:
            if error.errno in _NO_ROOM:  # the caller still stands there: we would spin
                self._selector.unregister(self._listener)
                self._resume_at = time.monotonic() + _NO_ROOM_NAP_S
            return
        sock.setblocking(False)
        pid, uid = credentials(sock)
        visitor = _Visitor(sock, pid, uid, time.monotonic() + KNOCK_S)
        if uid != os.geteuid():
            with sock:
                _send(sock, _refusal(f"it serves user {os.geteuid()} only, and you are {uid}"))
            return
        if len(self._visitors) >= VISITORS_MAX:
            self._dismiss(self._visitors[0], "too many clients stand in the door")
        self._visitors.append(visitor)
        self._selector.register(sock, selectors.EVENT_READ, visitor)

    def _dismiss(self, visitor: _Visitor, reason: str) -> None:
        self._take(visitor)
        with visitor.sock:
            _send(visitor.sock, _refusal(reason))

    def _take(self, visitor: _Visitor) -> None:
        self._visitors.remove(visitor)
        self._selector.unregister(visitor.sock)

    def _hear(self, visitor: _Visitor) -> None:
        self._take(visitor)
        with contextlib.ExitStack() as stack:
            sock = stack.enter_context(visitor.sock)
            try:
                # No room for descriptors that come with it: the kernel closes them.
                message = sock.recv(KNOCK_BYTES_MAX + 1)
            except OSError:
                return
            if not message:
                return
            try:
                wish = self._answer(visitor, message)
            except _RefusedError as refusal:
                _send(sock, _refusal(str(refusal)))
            except Exception:
                _logger.exception("a client's knock failed")
                _send(sock, _refusal("the server failed at it; its log says how"))
            else:
                if wish is not None:
                    sock.setblocking(True)
                    stack.pop_all()
                    self._welcome(wish, sock)

    def _answer(self, visitor: _Visitor, message: bytes) -> Knock | None:
        """Sends the answer. Returns who is to be welcomed, if anybody."""
        told = _understood(message, self._want)
        if told["want"] == "about":
            _send(visitor.sock, _fitting(self._handler.about()))
            return None
        knock = _knock(told, visitor)
        self._check_token(told)
        reason = self._handler.refuse(knock)
        if reason is not None:
            raise _RefusedError(reason)
        ok = {"name": self._address.name, "pid": self._address.pid}
        return knock if _send(visitor.sock, _fitting(ok)) else None

    def _check_token(self, told: dict[str, Any]) -> None:
        given = told.get("token")
        if self._token is None:
            return
        if not isinstance(given, str):
            raise _RefusedError("it wants a token: connect(token=...)")
        if not hmac.compare_digest(_bytes(given), _bytes(self._token)):
            raise _RefusedError("wrong token")

    def _welcome(self, knock: Knock, sock: socket.socket) -> None:
        try:
            self._handler.welcome(knock, sock)
        except Exception:
            _logger.exception("client %s (pid %d) could not be let in", knock.name, knock.pid)
            sock.close()

    def _forget(self) -> None:
        """In a forked child: its copies of the sockets would keep clients of a dead parent waiting.

        Takes nothing off the selector before: its list in the kernel is the parent's, too.
        """
        for visitor in self._visitors:
            visitor.sock.close()
        for each in (self._listener, self._woken, self._wake, self._selector):
            each.close()


_doors: weakref.WeakSet[Door] = weakref.WeakSet()


def _in_forked_child() -> None:
    for door in list(_doors):
        door._forget()


os.register_at_fork(after_in_child=_in_forked_child)


def _listen(address: Address) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        os.fchmod(listener.fileno(), 0o600)  # before bind, so that it is never wider
        try:
            listener.bind(address.path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            _remove_dead(address)
            listener.bind(address.path)
        listener.listen(VISITORS_MAX)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _remove_dead(address: Address) -> None:
    """An earlier process with our pid may have left it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        probe.setblocking(False)
        try:
            probe.connect(address.path)
        except (ConnectionRefusedError, FileNotFoundError):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(address.path)
            return
        except BlockingIOError:
            pass
    raise RingbridgeError(
        f"this process serves as {address.name!r} already: take another name, or stop that server"
    )


# ----------------------------------------------------------------------------------- what is said


def _understood(message: bytes, want: str) -> dict[str, Any]:
    """A knock of our protocol that wants something we know."""
    if len(message) > KNOCK_BYTES_MAX:
        raise _RefusedError(f"a knock has at most {KNOCK_BYTES_MAX} bytes")
    told = parse(message, KNOCK_BYTES_MAX)
    if not isinstance(told, dict) or type(told.get("ringbridge")) is not int:
        raise _RefusedError("this is no knock of ringbridge")
    if told["ringbridge"] != PROTOCOL:
        theirs = str(told.get("version"))[:NAME_MAX]
        raise _RefusedError(
            f"it speaks version {PROTOCOL} of the knock (ringbridge {VERSION}), and you speak "
            f"{told['ringbridge']} (ringbridge {theirs}): install the same ringbridge on both sides"
        )
    if told.get("want") not in ("about", want):
        raise _RefusedError(f"unknown want: it knows about, {want}")
    return told


def _knock(told: dict[str, Any], visitor: _Visitor) -> Knock:
    name = told.get("name")
    lane: Any = ""
    client: Any = ""
    if told["want"] == "lane":
        lane, client = told.get("lane"), told.get("client")
        if lane not in LANES:
            raise _RefusedError(f"unknown lane: it has {', '.join(LANES)}")
        if not isinstance(client, str) or not _CLIENT.fullmatch(client):
            raise _RefusedError("a client's id has 32 hexadecimal digits")
    if not isinstance(name, str):
        raise _RefusedError("a client says its name")
    return Knock(lane, client, name[:NAME_MAX], visitor.pid, visitor.uid)


def _fitting(ok: dict[str, Any]) -> bytes:
    answer = _encoded({"ok": ok})
    if len(answer) > ANSWER_BYTES_MAX:
        raise _RefusedError(
            f"what there is to tell has {len(answer)} bytes, more than {ANSWER_BYTES_MAX}"
        )
    return answer


def _refusal(reason: str) -> bytes:
    return _encoded({"refused": reason})


def _encoded(answer: dict[str, Any]) -> bytes:
    return json.dumps({"ringbridge": PROTOCOL, **answer}).encode()


def _send(sock: socket.socket, answer: bytes) -> bool:
    try:
        sock.send(answer)
    except OSError:  # it has gone, or its side has no room for an answer
        return False
    return True


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
