# SPDX-License-Identifier: MIT
"""Says what went wrong with a process, from what it left behind. Starts and ends nothing."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ringbridge.errors import WorkerDied

if TYPE_CHECKING:
    from ringbridge._core import Channel

_OUTPUT_BYTES_MAX = 4 << 10
_DRAIN_S = 1.0


def ending(status: tuple[bool, bool, int, bool] | None) -> str:
    """How it ended, from what Channel.wait_end gave (None: it had to be killed)."""
    if status is None:
        return "did not end by itself, and was killed"
    known, signalled, code, core_dumped = status
    if not known:
        return "ended, its exit status is unknown (somebody else has reaped it)"
    if not signalled:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(code).name
    except ValueError:
        name = f"signal {code}"
    return f"was killed by {name}" + (", and dumped core" if core_dumped else "")


def death(
    channel: Channel, name: str, pid: int, status: tuple[bool, bool, int, bool] | None
) -> WorkerDied:
    """How a worker has ended that was not told to. status: as for `ending`."""
    known, signalled, code, _dumped = status or (False, False, 0, False)
    text = f"worker {name!r} (pid {pid}) {ending(status)}"
    last = channel.error_tail().decode("utf-8", "backslashreplace").strip()
    if last:
        text += f"; its last output on stderr:\n{last}"
    return WorkerDied(
        text, code if known and signalled else None, code if known and not signalled else None
    )


def last_output(channel: Channel) -> str:
    """The last of what an ended process has printed, both streams in the order they arrived."""
    kept = b""
    for _stream, data in _drained(channel):
        kept = (kept + data)[-_OUTPUT_BYTES_MAX:]
    return kept.decode("utf-8", "backslashreplace").strip()


def last_streams(channel: Channel, bytes_max: int) -> tuple[str, str]:
    """The same of stdout and of stderr, each with another limit."""
    kept = {1: b"", 2: b""}
    for stream, data in _drained(channel):
        kept[stream] = (kept[stream] + data)[-bytes_max:]
    out, err = (kept[stream].decode("utf-8", "backslashreplace").strip() for stream in (1, 2))
    return out, err


def _drained(channel: Channel) -> Iterator[tuple[int, bytes]]:
    deadline = time.monotonic() + _DRAIN_S  # a descendant may hold the pipes, and go on printing
    while True:
        left = deadline - time.monotonic()
        piece = channel.read_output(max(left, 0.0))
        if piece is None or left <= 0:
            return
        if piece[1]:
            yield piece[0], piece[1]


def quoted(output: str) -> list[str]:
    if not output:
        return ["  it printed nothing"]
    return ["  its last output:", *(f"    | {line}" for line in output.splitlines())]


def hints(python: str, output: str) -> list[str]:
    """What to look at, for a program that ended without a word from our bootstrap."""
    if "No module named 'encodings'" in output:
        return [
            "  it does not find its standard library: is PYTHONHOME set by environ= or kept by "
            "keep_environ=?"
        ]
    if "error while loading shared libraries" in output or "version `GLIBC" in output:
        return [
            "  a library is missing, or another one was found: was the environment built for this "
            "machine, or is LD_LIBRARY_PATH set by environ= or kept by keep_environ=?"
        ]
    if "Traceback (most recent call last)" in output or "Fatal Python error" in output:
        return []
    return [f"  it is perhaps not a Python: see what `{python} --version` says"]
