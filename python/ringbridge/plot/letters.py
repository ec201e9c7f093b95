# SPDX-License-Identifier: MIT
"""What a computation and its viewers write to each other beside the frames: over a stream socket.

    head: <I bytes of the body, B kind, B descriptors that come with it, 2 zeros>
    body: a packed frame (`_core.pack`): number, parent, values, named

The newest frame crosses in shared memory and not here. No pickle: a body holds what a
call may hold.
Knows sockets and nothing of windows, viewers or threads; one thread at a time.
"""

from __future__ import annotations

import collections
import contextlib
import enum
import os
import socket
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from ringbridge import _core
from ringbridge.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ringbridge.plot.pipes import Pipes

#: A snapshot of a large window has some 30 MB; a kept frame has what `update` was given.
BODY_BYTES_MAX = 1 << 30
FDS_MAX = 2

_HEAD = struct.Struct("<IBBH")
_FDS_WAITING_MAX = 64
_PART_BYTES = 256 << 10
_READ_BYTES_MAX = 4 << 20  # of one `read`: a quick writer must not keep its reader for ever


class Kind(enum.IntEnum):
    """C: by the computation. V: by the viewer. `number` and `values` of each.

    WELCOME  C  values: (dict: name, title, view, options); once, first
    MEMORY   C  values: (reader's number,); descriptors: the frames' memory, what is nudged. Again
                when the memory has moved: then frames come there only
    KEPT     C  number, parent, values, named: of an update(keep=True), as in the memory
    ASK      C  number: of the question; values: (what, ...); see `viewer`
    END      C  the computation has ended its plot; values: (hold,): whether the window may stay
    ANSWER   V  number: of the question; values: (True, value) or (False, text of the error)
    EVENT    V  values: (name, ...): what the user did
    GONE     V  values: (reason,): "closed", or what the view raised; the last one

    Between machines, where there is no memory to share, and no MEMORY:

    FRAME    C  as KEPT: the newest one
    NEXT     V  the next FRAME may come
    """

    WELCOME = 1
    MEMORY = 2
    KEPT = 3
    ASK = 4
    END = 5
    ANSWER = 6
    EVENT = 7
    GONE = 8
    FRAME = 9
    NEXT = 10


class Letter(NamedTuple):
    """One of them. `fds` are the reader's to close. size: of its body, in bytes."""

    kind: Kind
    number: int
    parent: int
    values: tuple[Any, ...]
    named: dict[str, Any]
    fds: tuple[int, ...] = ()
    size: int = 0


class _Outgoing(NamedTuple):
    head: bytes
    body: bytes
    fds: tuple[int, ...]  # ours, closed when they have gone


class Letters:
    """One end. Never blocks: what does not go at once waits in `flush`'s queue.

    Owns the socket. `read` gives what has come; EOFError is the other side's end. takes_fds: else
    the kernel closes those that come. A peer could send its own end of the socket, and would never
    be seen to leave.
    """

    def __init__(self, sock: socket.socket | Pipes, *, takes_fds: bool) -> None:
        sock.setblocking(False)
        self._takes_fds = takes_fds
        self._sock: Any = sock
        self._outgoing: collections.deque[_Outgoing] = collections.deque()
        self._sent = 0  # of the first outgoing one
        self._incoming = bytearray()
        self._fds: list[int] = []
        self.waiting_bytes = 0  # in the queue; any thread may look

    def fileno(self) -> int:
        return int(self._sock.fileno())

    def close(self) -> None:
        """Closes the socket, and forgets what has not gone. Idempotent."""
        while self._outgoing:
            _close_all(self._outgoing.popleft().fds)
        _close_all(self._fds)
        self._fds.clear()
        self.waiting_bytes = 0
        self._sock.close()

    def forget(self) -> None:
        """In a forked child: closes its copy of the socket; the rest is its parent's."""
        self._sock.close()

    # --------------------------------------------------------------------------------- writing

    def post(self, kind: Kind, *values: Any, number: int = 0, fds: Sequence[int] = ()) -> None:
        """Queues one and sends what can be sent. Takes over the descriptors, also on failure.

        Raises CannotCross for a value that cannot cross, and nothing for a peer that has gone:
        `read` tells that.
        """
        try:
            body = _core.pack(number, 0, values, {})
        except BaseException:
            _close_all(fds)
            raise
        self.post_packed(kind, body, fds)

    def post_packed(self, kind: Kind, body: bytes, fds: Sequence[int] = ()) -> None:
        """The same for a body that has been packed."""
        head = _HEAD.pack(len(body), kind, len(fds), 0)
        self._outgoing.append(_Outgoing(head, body, tuple(fds)))
        self.waiting_bytes += len(body)
        self.flush()

    def flush(self) -> bool:
        """Sends what can be sent now. True: there is more, wait until the socket can be written."""
        while self._outgoing:
            first = self._outgoing[0]
            try:
                self._sent += self._send(first)
            except (BlockingIOError, InterruptedError):
                return True
            except OSError:  # it has gone; `read` says so
                self._drop_first()
            else:
                if self._sent == len(first.head) + len(first.body):
                    self._drop_first()
        return False

    def _send(self, letter: _Outgoing) -> int:
        sent = self._sent
        if sent < len(letter.head):
            parts = [memoryview(letter.head)[sent:], memoryview(letter.body)[:_PART_BYTES]]
        else:
            start = sent - len(letter.head)
            parts = [memoryview(letter.body)[start : start + _PART_BYTES]]
        if sent == 0 and letter.fds:  # the kernel joins them to the first byte
            return socket.send_fds(self._sock, parts, letter.fds)
        return int(self._sock.sendmsg(parts))

    def _drop_first(self) -> None:
        first = self._outgoing.popleft()
        self.waiting_bytes -= len(first.body)
        self._sent = 0
        _close_all(first.fds)

    # --------------------------------------------------------------------------------- reading

    def read(self) -> list[Letter]:
        """All that have come whole, without waiting.

        Raises EOFError when the other side has ended and all was read before, ProtocolError for
        what is no letter.
        """
        ended = False
        room = _READ_BYTES_MAX
        while room > 0:
            try:
                part = self._receive(min(_PART_BYTES, room))
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                ended = True
                break
            self._incoming += part
            if len(self._fds) > _FDS_WAITING_MAX:
                raise ProtocolError("a plot's socket brings descriptors without letters")
            room -= len(part)
            if not part:
                ended = True
                break
        letters = list(self._whole_ones())
        if ended and not letters:
            raise EOFError("the other side of the plot has ended")
        return letters

    def _receive(self, size: int) -> bytes:
        if not self._takes_fds:
            return bytes(self._sock.recv(size))
        part, fds, _, _ = socket.recv_fds(self._sock, size, 4 * FDS_MAX, socket.MSG_CMSG_CLOEXEC)
        self._fds.extend(fds)
        return part

    def _whole_ones(self) -> Iterator[Letter]:
        while len(self._incoming) >= _HEAD.size:
            size, kind, fds, zero = _HEAD.unpack_from(self._incoming)
            if size > BODY_BYTES_MAX or fds > FDS_MAX or zero or kind not in set(Kind):
                raise ProtocolError("a plot's socket holds what is no letter")
            end = _HEAD.size + size
            if len(self._incoming) < end:
                return
            if len(self._fds) < fds:
                raise ProtocolError("a letter came without its descriptors")
            with memoryview(self._incoming) as view, view[_HEAD.size : end] as body:
                number, parent, values, named = _core.unpack(body)
            del self._incoming[:end]
            taken = tuple(self._fds[:fds])
            del self._fds[:fds]
            yield Letter(Kind(kind), number, parent, values, named, taken, size)


def _close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)


def told(values: Sequence[Any], *types: type) -> tuple[Any, ...]:
    """What a letter's values are, if they are of these types; else ProtocolError."""
    if len(values) < len(types) or any(
        type(value) is not wanted for value, wanted in zip(values, types)
    ):
        wanted = ", ".join(each.__name__ for each in types)
        raise ProtocolError(f"a plot's letter should hold ({wanted})")
    return tuple(values)


def entry(told_dict: Mapping[str, Any], key: str, wanted: type, default: Any) -> Any:
    """An entry of a dict from the other side; the default where it is missing or no such value."""
    value = told_dict.get(key)
    return value if type(value) is wanted else default
