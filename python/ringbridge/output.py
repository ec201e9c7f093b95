# SPDX-License-Identifier: MIT
"""A worker's stdout and stderr as logging records, one a line.

Reads what the channel has gathered, in a thread of its own; knows nothing of the Worker, and so
does not keep it alive.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

from ringbridge._core import Channel
from ringbridge.errors import RingbridgeError

LINE_BYTES_MAX = 64 << 10
_PAUSE_S = 0.2  # after which a line without its end is shown as it is
_IDLE_S = 60.0
_LEVELS = {1: logging.INFO, 2: logging.WARNING}
_NAMES = {1: "stdout", 2: "stderr"}


class OutputPump:
    """The thread between one channel's output and the logger `ringbridge.worker.<name>`.

    ended: called by it when the output has ended.
    """

    def __init__(
        self, channel: Channel, worker_name: str, ended: Callable[[], None] | None = None
    ) -> None:
        logger = logging.getLogger(f"ringbridge.worker.{worker_name}")
        name = f"ringbridge output of {worker_name}"
        try:
            args = (channel, logger, _IDLE_S, ended)
            self._thread = threading.Thread(target=_run, args=args, name=name, daemon=True)
        except RuntimeError:  # an isolated subinterpreter, which waits for each thread at its end
            _hear_of_the_end()
            args = (channel, logger, _PAUSE_S, ended)
            self._thread = threading.Thread(target=_run, args=args, name=name, daemon=False)
        # An interpreter that ends (3.12 and later) starts no thread any more. A pool may start a
        # worker even then, for what is left to do; what that writes is not logged.
        with contextlib.suppress(RuntimeError):
            self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Waits until all output has been logged; not when a log handler is what asks."""
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)


_ending = threading.Event()
_hears_of_the_end = False


def _hear_of_the_end() -> None:
    """Sets `_ending` when this interpreter ends, before it waits for its threads.

    atexit comes after that. This is what concurrent.futures uses.
    """
    global _hears_of_the_end
    if not _hears_of_the_end:
        _hears_of_the_end = True
        threading._register_atexit(_ending.set)  # type: ignore[attr-defined]


def _run(
    channel: Channel, logger: logging.Logger, idle_s: float, ended: Callable[[], None] | None
) -> None:
    pump(channel, logger, idle_s)
    if ended is not None and not _ending.is_set():
        ended()


def pump(channel: Channel, logger: logging.Logger, idle_s: float = _IDLE_S) -> None:
    """Logs until the output ends, the channel is closed, or the interpreter begins to end."""
    lines = {stream: Lines() for stream in _LEVELS}
    while not _ending.is_set():
        waiting = any(each.unfinished for each in lines.values())
        try:
            piece = channel.read_output(_PAUSE_S if waiting else idle_s)
        except RingbridgeError:
            break
        if piece is None:
            break
        stream, data, lost = piece
        if lost:
            text = f"[{lost} bytes of {_NAMES[stream]} were lost: written faster than logged]"
            _log(logger, logging.WARNING, text)
        if data:
            for line in lines[stream].feed(data):
                _log(logger, _LEVELS[stream], line)
        else:
            _flush(lines, logger)
    _flush(lines, logger)


def _flush(lines: dict[int, Lines], logger: logging.Logger) -> None:
    for stream, each in lines.items():
        for line in each.flush():
            _log(logger, _LEVELS[stream], line)


def _log(logger: logging.Logger, level: int, text: str) -> None:
    try:
        logger.log(level, "%s", text)
    except Exception:  # a user's filter that fails must not stop the pipe from being drained
        logging.lastResort and logging.lastResort.handleError(  # type: ignore[func-returns-value]
            logger.makeRecord(logger.name, level, "", 0, "%s", (text,), None)
        )


class Lines:
    """Cuts bytes into lines of text; no line gets longer than LINE_BYTES_MAX."""

    def __init__(self) -> None:
        self._rest = b""

    @property
    def unfinished(self) -> bool:
        return bool(self._rest)

    def feed(self, data: bytes) -> Iterator[str]:
        """The lines that these bytes complete."""
        *complete, rest = (self._rest + data).split(b"\n")
        for line in complete:
            yield from _pieces(line[:-1] if line.endswith(b"\r") else line)
        *full, self._rest = _cut(rest)
        for piece in full:
            yield _text(piece)

    def flush(self) -> Iterator[str]:
        """What has come of a line whose end has not."""
        rest, self._rest = self._rest, b""
        if rest:
            yield _text(rest)


def _pieces(line: bytes) -> Iterator[str]:
    for piece in _cut(line):
        yield _text(piece)


def _cut(line: bytes) -> list[bytes]:
    """In pieces that fit, never inside a UTF-8 character; at least one, which may be empty."""
    pieces = []
    start = 0
    while len(line) - start > LINE_BYTES_MAX:
        end = start + LINE_BYTES_MAX
        for back in range(4):  # a character has at most 3 continuation bytes
            if line[end - back] & 0xC0 != 0x80:
                end -= back
                break
        pieces.append(line[start:end])
        start = end
    pieces.append(line[start:])
    return pieces


def _text(line: bytes) -> str:
    return line.decode("utf-8", "backslashreplace")


def hear(worker: str, record: tuple[int, str | None, str]) -> None:
    """Logs what code in the worker logged with current_task().log: (level, logger, text)."""
    level, logger, text = record
    name = f"ringbridge.worker.{worker}" + (f".{logger}" if logger else "")
    _log(logging.getLogger(name), level, text)
