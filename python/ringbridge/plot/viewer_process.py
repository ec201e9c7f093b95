# SPDX-License-Identifier: MIT
"""A viewer's process, from the computation's side: its start, its output, its end.

In a session of its own, so that the terminal's Ctrl-C is not for it. Knows no letters, no frames.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from ringbridge import diagnosis, interrupts, threads
from ringbridge.activation import environ_for
from ringbridge.activation.process import as_bytes
from ringbridge.discovery import find
from ringbridge.errors import WorkerStartFailed
from ringbridge.plan import Wishes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ringbridge.environment import Environment, EnvironmentLike

_BOOTSTRAP = os.path.join(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "_bootstrap.py"
)
_TAIL_BYTES = 4 << 10
_LINE_BYTES_MAX = 4 << 10
_PARTS_MAX = 16  # of one `read_output`: what prints without end must not keep its reader for ever
_TERM_S = 1.0
_logger = logging.getLogger("ringbridge.plot")


class Program(NamedTuple):
    """What is run as a viewer: an interpreter, or a command line that ends where code follows.

    environment  whose interpreter it is, activated for it; None: the computation's variables
    """

    command: tuple[str, ...]
    environment: Environment | None
    wishes: Wishes

    def environ(self, abandoned: Callable[[], bool]) -> dict[str, str]:
        """The variables for it. Runs the environment's scripts. Raises ActivationFailed."""
        if self.environment is None:
            return {**os.environ, **self.wishes.environ}
        return environ_for(self.environment, os.environ, self.wishes, abandoned=abandoned)


def program_of(
    python: EnvironmentLike | None = None,
    command: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Program:
    """As Plotter is told. Raises EnvironmentNotFound, ValueError, TypeError."""
    wishes = Wishes.of(environ)
    if command is None:
        environment = find(sys.executable if python is None else python)
        return Program((environment.python, "-c"), environment, wishes)
    if python is not None:
        raise ValueError("say python= or command=, not both")
    if isinstance(command, str) or not command or not all(isinstance(x, str) for x in command):
        raise TypeError("command must be a list of str, such as ['ipython', '--pylab', '-c']")
    return Program(tuple(command), None, wishes)


def become_viewer(python: EnvironmentLike, settings: object) -> NoReturn:
    """Makes this very process a viewer, in another environment: the terminal stays its own.

    Raises EnvironmentNotFound, ActivationFailed, OSError.
    """
    environment = find(python)
    environ = environ_for(environment, os.environ)
    sys.stdout.flush()
    os.execve(environment.python, [environment.python, "-c", _code(settings)], as_bytes(environ))


def _code(settings: object) -> str:
    """What makes an interpreter a viewer."""
    return f"import runpy; runpy.run_path({_BOOTSTRAP!r})['view']({json.dumps(settings)!r})"


class ViewerProcess:
    """One that has been started. Its output is read by who polls `output`."""

    def __init__(
        self,
        program: Program,
        environ: Mapping[str, str],
        settings: object,
        *,
        quiet: bool = True,
    ) -> None:
        """quiet: what it prints is logged; else it goes to stderr, too.

        Raises WorkerStartFailed where the program cannot be run.
        """
        self._quiet = quiet
        self.output, theirs = os.pipe()
        os.set_blocking(self.output, False)
        try:
            with interrupts.held():
                self._popen = subprocess.Popen(
                    [*program.command, _code(settings)],
                    stdin=subprocess.DEVNULL,
                    stdout=theirs,
                    stderr=theirs,
                    env=as_bytes(environ),
                    start_new_session=True,
                )
        except OSError as error:
            os.close(self.output)
            raise WorkerStartFailed(
                f"a viewer did not start: {program.command[0]}: {error.strerror or error}"
            ) from error
        finally:
            os.close(theirs)
        self.pid = self._popen.pid
        self.command = program.command
        self._tail = b""
        self._line = b""

    def read_output(self, plot: str) -> bool:
        """Logs lines that have come. False: there will be no more."""
        for _ in range(_PARTS_MAX):
            try:
                part = os.read(self.output, _LINE_BYTES_MAX)
            except BlockingIOError:
                return True
            self._tail = (self._tail + part)[-_TAIL_BYTES:]
            *lines, self._line = (self._line + part).split(b"\n")
            if not part or len(self._line) > _LINE_BYTES_MAX:
                lines, self._line = [*lines, self._line], b""
            if not self._quiet:
                with contextlib.suppress(OSError):
                    os.write(2, part)
            for line in filter(None, lines):
                _logger.info("viewer of %s: %s", plot, line.decode("utf-8", "backslashreplace"))
            if not part:
                return False
        return True

    def ending(self) -> str | None:
        """How it has ended: "was killed by SIGKILL"; None: it runs."""
        code = self._popen.poll()
        if code is None:
            return None
        return diagnosis.ending((True, code < 0, abs(code), False))

    def last_output(self) -> list[str]:
        """Lines for a message."""
        return diagnosis.quoted(self._tail.decode("utf-8", "backslashreplace").strip())

    def end(self, grace_s: float) -> None:
        """Waits that long for its end, then ends it and its session."""
        if self._wait(grace_s):
            return
        for signal_number, patience_s in ((signal.SIGTERM, _TERM_S), (signal.SIGKILL, _TERM_S)):
            # It is our child and has not been waited for: no stranger has its number.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal_number)
            if signal_number == signal.SIGTERM:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, signal.SIGCONT)  # a stopped one would not hear of it
            if self._wait(patience_s):
                return

    def _wait(self, timeout_s: float) -> bool:
        """Reads on meanwhile: a full pipe would keep it here."""
        deadline = time.monotonic() + timeout_s
        while self._popen.poll() is None:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            poll = select.poll()
            poll.register(self.output, select.POLLIN)
            if poll.poll(min(left, 0.02) * 1000) and not os.read(self.output, _LINE_BYTES_MAX):
                time.sleep(0.005)  # closed, and it has not ended yet
        return True

    def let_go(self) -> None:
        """It goes on by itself, and is not spoken of; if it ends before us, it leaves no zombie."""
        self.close()
        try:
            threads.start(self._popen.wait, f"ringbridge held viewer {self.pid}")
        except RuntimeError:  # the interpreter ends, and the system sees to it
            self._popen.returncode = 0

    def close(self) -> None:
        """Lets go of the pipe. Idempotent."""
        if self.output >= 0:
            os.close(self.output)
            self.output = -1


def settings_for(address: Mapping[str, Any], label: str, paths: tuple[str, ...]) -> dict[str, Any]:
    """What a launched viewer is told on its command line."""
    return {"address": dict(address), "name": label, "paths": list(paths)}
