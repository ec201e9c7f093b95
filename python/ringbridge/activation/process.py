# SPDX-License-Identifier: MIT
"""A short process whose output is read to its end: in time, in bounds, and with nothing left.

Who else holds its pipes is not waited for, and what it started ends with it when it fails.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ringbridge import interrupts
from ringbridge.errors import ActivationFailed

PRINTED_BYTES_MAX = 16 << 20
_LOOK_S = 0.05  # how soon an end is seen when the pipes do not tell of it
_AFTER_END_S = 0.2  # for output that is still in the pipe; a process left behind may hold it open


class Patience(NamedTuple):
    """How long to wait: until `deadline` (monotonic), and until `abandoned` says True."""

    seconds: float
    deadline: float
    abandoned: Callable[[], bool] = lambda: False

    @classmethod
    def of(cls, seconds: float, abandoned: Callable[[], bool] = lambda: False) -> Patience:
        """From now on."""
        return cls(seconds, time.monotonic() + seconds, abandoned)

    @property
    def ended(self) -> bool:
        return time.monotonic() >= self.deadline or self.abandoned()


class Printed(NamedTuple):
    """code: its exit code, None when it had to be ended; then `over` says why."""

    code: int | None
    out: bytes
    err: bytes
    over: str


def run(command: Sequence[str], environ: Mapping[str, str], patience: Patience) -> Printed:
    """Runs it with stdin /dev/null in `/`, in a session of its own.

    Raises OSError when it cannot be started, ActivationFailed when it was abandoned.
    """
    process = None
    try:
        with interrupts.held():
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=as_bytes(environ),
                cwd=os.sep,
                start_new_session=True,
            )
        out, err = _followed(process, patience)
        if patience.abandoned():
            raise ActivationFailed("the activation was given up: the worker has been closed")
        over = f"did not end within {patience.seconds:g} s"
        if len(out) + len(err) > PRINTED_BYTES_MAX:
            over = f"printed more than {PRINTED_BYTES_MAX >> 20} MiB"
        return Printed(process.poll(), out, err, over)
    finally:
        if process is not None:
            _finish(process)


def as_bytes(environ: Mapping[str, str]) -> dict[bytes, bytes]:
    """For a process: where the host's locale has no code for a character, it is UTF-8."""
    return {_encoded(name): _encoded(value) for name, value in environ.items()}


def _encoded(text: str) -> bytes:
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")


def _followed(process: subprocess.Popen[bytes], patience: Patience) -> tuple[bytes, bytes]:
    assert process.stdout is not None and process.stderr is not None
    deadline = patience.deadline
    printed = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    with selectors.DefaultSelector() as selector:
        for fd in printed:
            selector.register(fd, selectors.EVENT_READ)
        while selector.get_map() and time.monotonic() < deadline and not patience.abandoned():
            if process.poll() is not None:
                deadline = min(deadline, time.monotonic() + _AFTER_END_S)
            for key, _events in selector.select(_LOOK_S):
                piece = os.read(key.fd, 1 << 16)
                printed[key.fd] += piece
                if not piece:
                    selector.unregister(key.fd)
            if sum(map(len, printed.values())) > PRINTED_BYTES_MAX:
                break
        if not selector.get_map():  # both are closed: it ends now
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(deadline - time.monotonic(), 0.0))
    out, err = printed.values()
    return bytes(out), bytes(err)


def _finish(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None and process.stderr is not None
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)  # of its own session: what it started ends with it
        process.wait()
    process.stdout.close()
    process.stderr.close()
