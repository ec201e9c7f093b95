# SPDX-License-Identifier: MIT
"""Starts a program on another machine by `ssh`, and ends it. Knows nothing of what it says.

    Ssh(address, command): stdin, stdout -> the program's own;  stderr: its and ssh's, line by line

No port is opened: what there is of authentication, encryption and keys is ssh's, with the user's
own configuration and agent. The variable RINGBRIDGE_SSH is the command line to use instead of
`ssh`, for options that only ringbridge shall use.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence

from ringbridge.activation.process import as_bytes
from ringbridge.activation.variables import scrubbed
from ringbridge.errors import WorkerStartFailed
from ringbridge.ssh_address import SshAddress

VARIABLE = "RINGBRIDGE_SSH"
#: ssh takes the first word on each: those of RINGBRIDGE_SSH come before these, these before those
#: of the configuration.
OPTIONS = (
    "-T",  # no terminal over there: it would change bytes
    "-oBatchMode=yes",  # nobody is there to be asked for a password
    "-oServerAliveInterval=5",  # a network that is gone is noticed within 15 s
    "-oServerAliveCountMax=3",
    "-oClearAllForwardings=yes",  # no port is opened for this, whatever the configuration says
    "-oRemoteCommand=none",
    "-oPermitLocalCommand=no",
    "-oEscapeChar=none",
)
FAILED = 255  # ssh's own exit code where the connection failed or was lost
_TAIL_BYTES = 4 << 10
_WAIT_S = 1.0


def command_line(
    address: SshAddress, command: Sequence[str], environ: Mapping[str, str]
) -> list[str]:
    """ssh's. Raises WorkerStartFailed where RINGBRIDGE_SSH is no command line."""
    given = environ.get(VARIABLE) or "ssh"
    try:
        program = shlex.split(given)
    except ValueError as error:
        raise WorkerStartFailed(f"{VARIABLE}={given!r} is no command line: {error}") from None
    if not program:
        raise WorkerStartFailed(f"{VARIABLE}={given!r} names no program")
    words = [*program, *OPTIONS]
    words += ["-p", str(address.port)] if address.port is not None else []
    words += ["-l", address.user] if address.user is not None else []
    # The shell over there reads one line, whichever shell it is.
    return [*words, "--", address.host, "exec " + " ".join(map(shlex.quote, command))]


class Ssh:
    """A running ssh.

    heard: is given what comes on stderr, in a thread of its own.
    """

    def __init__(
        self,
        address: SshAddress,
        command: Sequence[str],
        environ: Mapping[str, str] | None = None,
        heard: Callable[[bytes], None] | None = None,
    ) -> None:
        """Raises WorkerStartFailed where it cannot be run."""
        environ = os.environ if environ is None else environ
        words = command_line(address, command, environ)
        self.command = words
        try:
            self._popen = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=as_bytes(scrubbed(environ)),  # a host's libraries are not for ssh
            )
        except OSError as error:
            raise WorkerStartFailed(
                f"{words[0]}: {error.strerror or error}: install OpenSSH's client, or name a "
                f"command line for it in {VARIABLE}"
            ) from error
        assert self._popen.stdin is not None and self._popen.stdout is not None
        self.stdin = self._popen.stdin.fileno()
        self.stdout = self._popen.stdout.fileno()
        self._tail = b""
        self._heard = heard
        self._listener = threading.Thread(target=self._listen, name="ssh's stderr", daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """ssh's, on this machine."""
        return self._popen.pid

    def _listen(self) -> None:
        assert self._popen.stderr is not None
        fd = self._popen.stderr.fileno()
        while True:
            data = os.read(fd, 1 << 16)
            if not data:
                return
            self._tail = (self._tail + data)[-_TAIL_BYTES:]
            if self._heard is not None:
                self._heard(data)

    def exit_code(self, timeout_s: float = _WAIT_S) -> int | None:
        """How it ended, negative for a signal; None: it goes on. Waits so long for that."""
        try:
            code = self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        self._listener.join(timeout_s)  # a master that stays in the background may hold the pipe
        return code

    def last_words(self) -> str:
        """The end of what came on stderr."""
        return self._tail.decode("utf-8", "backslashreplace").strip()

    def end(self, grace_s: float = _WAIT_S) -> None:
        """Closes its stdin, which ends the program over there; then ssh. Idempotent."""
        assert self._popen.stdin is not None
        with contextlib.suppress(OSError):
            self._popen.stdin.close()
        if self.exit_code(grace_s) is None:
            self._popen.kill()
            self._popen.wait()


def reason(code: int | None, words: str) -> str:
    """Why there was no answer, from how ssh ended and what it said; "" where that tells nothing."""
    lower = words.lower()
    if "could not resolve hostname" in lower:
        return "there is no machine of that name: look at the address, or at Host in ~/.ssh/config"
    if "permission denied" in lower and code == FAILED:
        return (
            "the login was refused: ringbridge asks nobody for a password, so have a key there "
            "(ssh-copy-id), and in the agent where it has a passphrase (ssh-add)"
        )
    if "host key verification failed" in lower:
        return (
            "the other machine's key is not known here, or is another one: connect once by hand "
            "with ssh, and look at what it asks"
        )
    if "no module named" in lower and "ringbridge" in lower:
        return (
            "that Python has no ringbridge: install it there, or name one that has it with "
            "?python=/path/to/python at the end of the address"
        )
    if code == 127 or "command not found" in lower or "no such file" in lower:
        return (
            "there is no such Python there, at least not for a shell without a terminal: name it "
            "with ?python=/path/to/python at the end of the address"
        )
    if "invalid choice" in lower and "relay" in lower:
        return "the ringbridge there is too old to be a relay: install the same version as here"
    if code == FAILED:
        return "ssh has failed; try the same address with ssh in a terminal"
    return ""
