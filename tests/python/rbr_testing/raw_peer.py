# SPDX-License-Identifier: MIT
"""Our side of tests/c/raw_peer: a peer that sends whatever frame it is given.

`RawWorker` is a worker for a real host: what it sends is decoded by this process. `RawHost` is a
host for a real worker: what it sends is decoded, and answered, over there.
"""

from __future__ import annotations

import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ringbridge import _core

HERE = Path(__file__).resolve().parents[1]
ANSWER, SHOW, FLOOD = 0, 1, 2
START_S = 30.0
ANSWER_S = 50.0


class RawWorker:
    """Starts anew by itself after a frame that ended the channel."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self._channel: _core.Channel | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.started = 0

    def answer(
        self,
        frame: bytes,
        *,
        id_at: int = -1,
        references: Sequence[tuple[int, int, int, int, int]] = (),
        payload: bytes = b"",
        copy: bool = False,
    ) -> Any:
        """What this process makes of the frame, as the answer of a call."""
        orders = struct.pack("<q", id_at) + b"".join(
            struct.pack("<5q", *each) for each in references
        )
        call = _core.Function(self._target(ANSWER, "answer"), timeout=ANSWER_S, copy=copy)
        return call(frame, orders, payload)

    def flood(self, frame: bytes, *, id_at: int, timeout: float | None = None) -> None:
        """A call that is answered with this frame, without end."""
        _core.Function(self._target(FLOOD, "flood"), timeout=timeout)(
            frame, struct.pack("<q", id_at)
        )

    def show(self, value: Any) -> tuple[bytes, dict[int, bytes]]:
        """The frame of a call with this value, and the blocks it refers to, by where."""
        shown = _core.Function(self._target(SHOW, "show"), timeout=ANSWER_S)(value)
        (size,) = struct.unpack_from("<I", shown)
        frame, at = shown[4 : 4 + size], 4 + size
        blocks = {}
        while at < len(shown):
            where, size = struct.unpack_from("<II", shown, at)
            blocks[where] = shown[at + 8 : at + 8 + size]
            at += 8 + size
        return frame, blocks

    def load(self, frame: bytes, id_at: int) -> Any:
        """What this process makes of the frame, as the answer of a load."""
        name = (struct.pack("<i", id_at) + frame).hex()
        return self._ready().load(name, False, ANSWER_S)

    @property
    def alive(self) -> bool:
        return self._channel is not None and self._channel.alive

    def _target(self, number: int, name: str) -> _core.Target:
        return _core.Target(self._ready(), number, f"raw.{name}")

    def _ready(self) -> _core.Channel:
        if self._channel is None or not self._channel.alive:
            self.close()
            self._start()
        assert self._channel is not None
        return self._channel

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [self._program, "worker", str(theirs.fileno())], pass_fds=[theirs.fileno()]
            )
        self._channel = _core.Channel(ours.detach(), self._process.pid, -1, -1, name="raw")
        self._channel.handshake(START_S)
        self.started += 1

    def close(self) -> None:
        if self._channel is None or self._process is None:
            return
        self._channel.kill(signal.SIGKILL, False)
        self._channel.wait_end(START_S)
        self._channel.close()
        self._process.returncode = 0  # the channel has reaped it
        self._channel = None


WORKER = """
import sys
sys.path.insert(0, {here!r})
from ringbridge import serve
serve.main(int(sys.argv[1]), {{}})
"""


class RawHost:
    """A host of a real worker on `python`."""

    def __init__(self, program: Path, python: str = sys.executable) -> None:
        code = WORKER.format(here=str(HERE))
        self._process = subprocess.Popen(
            [program, "host", python, code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def ask(self, frame: bytes, id_at: int) -> bytes:
        """The worker's answer to this request, as it came."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(struct.pack("<Ii", len(frame), id_at) + frame)
        self._process.stdin.flush()
        (size,) = struct.unpack("<I", self._process.stdout.read(4))
        return self._process.stdout.read(size)

    def close(self) -> int:
        """Its exit code: 0 when the worker, too, ended well."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        return self._process.wait(60)
