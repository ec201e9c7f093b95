# SPDX-License-Identifier: MIT
"""Moves frames between a channel and a line: one thread outward, one inward, neither waits for the
other.

    Outward   channel -> pieces, within the window -> line
    Inward    queue of records -> a whole frame, verified, its payloads in the arena -> channel

What cannot be passed on is answered here: with an Error to who waits for an answer.
"""

from __future__ import annotations

import contextlib
import functools
import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ringbridge.errors import ArenaFull, ProtocolError
from ringbridge.relay import records
from ringbridge.relay.line import Line, LineEnded, Room, Window
from ringbridge.relay.records import Kind, Record

if TYPE_CHECKING:
    from ringbridge._core import Passage

_LOOK_S = 0.2  # for frames of our own, which are rare
_PATIENCE_S = 2.0  # for a peer that takes nothing, once the line has ended
_RAISED, _ARENA_FULL = 0, 3  # enum ErrorCode of csrc/schema/wire.fbs
_NO_LATEST = (
    "options(latest=True) needs memory that both sides have, and this worker is on another "
    "machine: leave it away, and every item comes"
)


class Outward:
    """From the channel to the line."""

    def __init__(self, passage: Passage, line: Line) -> None:
        self.window = Window()
        self.items = 0  # of streams, that have gone
        self._passage = passage
        self._line = line
        self._own: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.refuse: Callable[[bytes], None] = self.send_own  # answers to the channel; Inward's

    def send_own(self, frame: bytes) -> None:
        """A frame of ours, between two of the channel's."""
        self._own.put(frame)

    def run(self) -> None:
        """Raises what ends it: EOFError, LineEnded, the channel's end."""
        while True:
            while not self._own.empty():
                frame = self._own.get()
                self._send(len(frame), 0, functools.partial(_itself, frame))
            taken = self._passage.take(_LOOK_S)
            if taken is None:
                continue
            (call, _request, latest, item), frame_bytes, payload_bytes = taken
            if latest:
                type_name = "builtins.NotImplementedError"
                self.refuse(self._passage.refusal(call, _RAISED, type_name, _NO_LATEST))
                continue
            piece = functools.partial(self._passage.piece, records.PIECE_BYTES_MAX)
            self._send(frame_bytes, payload_bytes, piece)
            self.items += item

    def _send(self, frame_bytes: int, payload_bytes: int, piece: Callable[[], bytes]) -> None:
        left = frame_bytes + payload_bytes
        head = records.frame_body(frame_bytes, payload_bytes)
        kind = Kind.FRAME
        while left:
            data = piece()
            left -= len(data)
            self.window.take(records.cost(len(head) + len(data)))
            self._line.send(kind, head, data)
            kind, head = Kind.MORE, b""


def _itself(frame: bytes) -> bytes:
    return frame


class Inward:
    """From the line to the channel; what has to come after the frames before it comes here, too.

    done: is given each such record, and None when the line has ended.
    """

    def __init__(
        self,
        passage: Passage,
        line: Line,
        outward: Outward,
        done: Callable[[Record | None], None],
    ) -> None:
        self.moved = threading.Event()  # a frame has been put: for who looks at what runs
        self._passage = passage
        self._room = Room(line)
        self._outward = outward
        self._done = done
        self._queue: queue.SimpleQueue[Record | bytes | None] = queue.SimpleQueue()
        self._left = 0  # bytes of the frame that is coming
        self._skipping = False  # it is answered already
        self._later: list[bytes] = []  # frames of ours that came amid it
        self._over_at: float | None = None  # the line has ended: until then the peer may take more
        outward.refuse = self._queue.put

    def accept(self, record: Record | None) -> None:
        """Never waits. None: the line has ended. Raises ProtocolError."""
        if record is None or record.kind is Kind.END:
            self._over_at = time.monotonic() + _PATIENCE_S
        elif record.kind in records.WINDOWED:
            self._room.came(records.cost(len(record.body)))
        self._queue.put(record)

    def run(self) -> None:
        """Raises what ends it: ProtocolError, the channel's end. Returns after the line's."""
        while True:
            item = self._queue.get()
            if isinstance(item, bytes):
                self._put_own(item)
            elif item is None or item.kind not in records.WINDOWED:
                self._done(item)
                if item is None:
                    return
            else:
                if item.kind is Kind.RUNS:
                    self._passage.set_running(records.runs(item))
                else:
                    self._feed(item)
                with contextlib.suppress(LineEnded):  # what came before that is still delivered
                    self._room.went(records.cost(len(item.body)))

    def _feed(self, record: Record) -> None:
        data = record.body
        if record.kind is Kind.FRAME:
            if self._left:
                raise ProtocolError("a frame begins before the one before it was whole")
            frame_bytes, payload_bytes, data = records.frame(record)
            self._left, self._skipping = frame_bytes + payload_bytes, False
            self._passage.begin(frame_bytes, payload_bytes)
        if not data or len(data) > self._left:
            raise ProtocolError("a frame is longer, or shorter, than was announced")
        self._left -= len(data)
        if self._skipping:
            return
        try:
            whole = self._passage.feed(data)
        except ArenaFull as error:
            self._answer(error)
            return
        if whole:
            self._put()
            self._put_later()

    def _put_later(self) -> None:
        later, self._later = self._later, []
        for frame in later:
            self._put_own(frame)

    def _answer(self, error: ArenaFull) -> None:
        """The frame finds no room for its payloads: who waits for it hears so."""
        call, request, _latest, _item = self._passage.meant()
        type_name = "ringbridge.errors.ArenaFull"
        frame = self._passage.refusal(call, _ARENA_FULL, type_name, str(error)[:1000])
        self._passage.forget()
        self._skipping = True
        if request:
            self._outward.send_own(frame)
        else:
            self._put_own(frame)
        self._put_later()

    def _put_own(self, frame: bytes) -> None:
        if self._left and not self._skipping:  # amid another one: after it
            self._later.append(frame)
            return
        self._passage.begin(len(frame), 0)
        self._passage.feed(frame)
        self._put()

    def _put(self) -> None:
        while not self._passage.put(_LOOK_S):
            if self._over_at is not None and time.monotonic() > self._over_at:
                self._passage.forget()
                return
        self.moved.set()
