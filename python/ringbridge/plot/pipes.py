# SPDX-License-Identifier: MIT
"""Two descriptors, of pipes to another machine for example, as the one socket of Letters."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Pipes:
    """Reads from one descriptor and writes to the other. Owns both."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd

    def setblocking(self, blocking: bool) -> None:
        os.set_blocking(self._read_fd, blocking)
        os.set_blocking(self._write_fd, blocking)

    def fileno(self) -> int:
        """What is read."""
        return self._read_fd

    def write_fileno(self) -> int:
        return self._write_fd

    def recv(self, size: int) -> bytes:
        return os.read(self._read_fd, size)

    def sendmsg(self, parts: Sequence[memoryview]) -> int:
        return os.writev(self._write_fd, parts)

    def close(self) -> None:
        for fd in {self._read_fd, self._write_fd} - {-1}:
            os.close(fd)
        self._read_fd = self._write_fd = -1
