# SPDX-License-Identifier: MIT
"""Both directions of a pipe to the other side, for several threads, and how much may be under way.

Whoever reads the line must never wait for it to be written, or two full directions would face each
other: so what is read is only ever put into a queue, whose bound is the window that the reader has
given. Knows no channels.
"""

from __future__ import annotations

import os
import threading
from typing import BinaryIO

from ringbridge.errors import ProtocolError
from ringbridge.relay import records
from ringbridge.relay.records import Kind, Record, Side


class LineEnded(Exception):
    """The other side has gone: nothing can be written any more."""


class Line:
    """Writes whole records from any thread, and reads those of the other side in one."""

    def __init__(self, file: BinaryIO, write_fd: int, peer: Side) -> None:
        self._file = file
        self._write_fd = write_fd
        self._peer = peer
        self._lock = threading.Lock()

    def send(self, kind: Kind, *parts: bytes) -> None:
        """Waits while the line is full. Raises LineEnded."""
        whole = [records.header(kind, sum(map(len, parts))), *parts]
        with self._lock:
            try:
                self._write(whole)
            except OSError as error:
                raise LineEnded(error.strerror) from None

    def _write(self, parts: list[bytes]) -> None:
        left: list[bytes | memoryview] = list(parts)
        while left:
            written = os.writev(self._write_fd, left)
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if written:
                left[0] = memoryview(left[0])[written:]

    def receive(self) -> Record | None:
        """The next record; None: the other side has gone. Raises ProtocolError."""
        try:
            return records.read(self._file, self._peer)
        except OSError:  # a socket that was reset
            return None

    def expect(self, kind: Kind) -> Record | None:
        """The same, and nothing but this kind."""
        record = self.receive()
        if record is not None and record.kind is not kind:
            raise ProtocolError(f"a record {record.kind.name} in place of {kind.name}")
        return record


class Window:
    """How many bytes may be sent now: the sender's view."""

    def __init__(self) -> None:
        self._left = records.WINDOW_BYTES
        self._changed = threading.Condition()

    def take(self, count: int) -> None:
        """Waits until so many may be sent. The process ends where that never comes."""
        with self._changed:
            self._changed.wait_for(lambda: self._left >= count)
            self._left -= count

    def grant(self, count: int) -> None:
        """Raises ProtocolError for more than was taken."""
        with self._changed:
            if self._left + count > records.WINDOW_BYTES:
                raise ProtocolError("a credit for more than was sent")
            self._left += count
            self._changed.notify_all()


class Room:
    """The same, as the receiver sees it: what came, and what it has given back."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._lock = threading.Lock()
        self._held = 0
        self._owed = 0

    def came(self, count: int) -> None:
        """Raises ProtocolError where the sender had no leave for it."""
        with self._lock:
            self._held += count
            if self._held > records.WINDOW_BYTES:
                raise ProtocolError("more is sent than there was leave for")

    def went(self, count: int) -> None:
        """It takes no memory any more. May write to the line. Raises LineEnded."""
        self._owed += count
        if self._owed >= records.WINDOW_BYTES // 8:
            owed, self._owed = self._owed, 0
            with self._lock:
                self._held -= owed
            self._line.send(Kind.CREDIT, records.credit_body(owed))
