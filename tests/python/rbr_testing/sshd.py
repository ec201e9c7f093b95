# SPDX-License-Identifier: MIT
"""A real sshd of a test's own on the loopback interface: its keys, configuration and log are in one
folder, and nobody's own are touched."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

_PROGRAMS = ("/usr/sbin/sshd", "/usr/local/sbin/sshd")
_STARTS_S = 30.0


def program() -> str:
    """Where sshd is; skips the test where it is not."""
    found = shutil.which("sshd") or next(
        (path for path in _PROGRAMS if os.access(path, os.X_OK)), ""
    )
    if not found:
        pytest.skip("no sshd here (Debian: openssh-server)")
    for needed in ("ssh", "ssh-keygen"):
        if shutil.which(needed) is None:
            pytest.skip(f"no {needed} here (Debian: openssh-client)")
    return found


class Sshd:
    """One that runs. `ssh` is the command line that reaches it, for RINGBRIDGE_SSH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self.config = folder / "ssh_config"
        self.key = folder / "key"
        self._make_keys()
        self._write_configs()
        self._log = (folder / "log").open("ab")
        self._process = subprocess.Popen(
            [program(), "-D", "-e", "-f", str(folder / "sshd_config")],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        self._wait()

    @property
    def ssh(self) -> str:
        return f"ssh -F {self.config}"

    def url(
        self, env: str = sys.executable, host: str = "box", python: str = sys.executable
    ) -> str:
        """The address of an environment there; by default this very interpreter."""
        return f"ssh://{host}/{quote(env)}?python={quote(python)}"

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def sessions(self) -> list[int]:
        """The processes of sshd that serve a connection now."""
        return [pid for pid in descendants(self._process.pid) if pid != self._process.pid]

    def kill_sessions(self) -> None:
        """Ends the connections at once, as a machine that loses its power does."""
        for pid in self._connections():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _connections(self) -> list[int]:
        return [pid for pid in self.sessions() if _comm(pid).startswith("sshd")]

    def close(self) -> None:
        for pid in [*self.sessions(), self._process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()

    def _make_keys(self) -> None:
        for name in ("key", "host_key"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)]
            subprocess.run(command, check=True, timeout=60, stdin=subprocess.DEVNULL)
        shutil.copy(self.folder / "key.pub", self.folder / "authorized_keys")
        public = (self.folder / "host_key.pub").read_text().split()
        known = f"[127.0.0.1]:{self.port} {public[0]} {public[1]}\n"
        (self.folder / "known_hosts").write_text(known)

    def _write_configs(self) -> None:
        folder = self.folder
        with contextlib.suppress(OSError):
            os.makedirs("/run/sshd", exist_ok=True)  # root's sshd insists on it
        (folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {folder}/host_key\n"
            f"PidFile {folder}/pid\nAuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\n"
            "UsePAM no\nPasswordAuthentication no\nPubkeyAuthentication yes\n"
            "KbdInteractiveAuthentication no\nPermitRootLogin yes\nMaxStartups 100\n"
            "LogLevel VERBOSE\nPrintMotd no\n"
        )
        self.config.write_text(
            f"Host box\n HostName 127.0.0.1\n Port {self.port}\n User {getpass.getuser()}\n"
            f" IdentityFile {folder}/key\n IdentitiesOnly yes\n IdentityAgent none\n"
            f" UserKnownHostsFile {folder}/known_hosts\n StrictHostKeyChecking yes\n"
            " LogLevel ERROR\n"
        )

    def _wait(self) -> None:
        end = time.monotonic() + _STARTS_S
        while time.monotonic() < end:
            assert self._process.poll() is None, f"sshd did not start:\n{self.log()}"
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.01)
        raise AssertionError("sshd does not listen")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _comm(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def descendants(pid: int) -> list[int]:
    """The process, and all that came from it, as long as their parents live."""
    found = [pid]
    for each in found:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{each}/task"):
                children = Path(f"/proc/{each}/task/{task}/children").read_text().split()
                found += [int(child) for child in children]
    return found


def exists(pid: int) -> bool:
    """Whether the process runs; one that waits to be reaped does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Sshd]:
    """An sshd below this folder."""
    program()
    sshd = Sshd(folder)
    try:
        yield sshd
    finally:
        sshd.close()
