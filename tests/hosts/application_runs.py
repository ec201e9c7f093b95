# SPDX-License-Identifier: MIT
"""Applications that serve while a test calls into them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

LIMIT_S = 80


@contextlib.contextmanager
def serving(
    command: Sequence[str], name: str, folder: Path, environ: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """From when it serves; what it says is in said.txt. Ends it with all its children."""
    log = folder / "said.txt"
    with (
        open(log, "wb") as file,
        subprocess.Popen(
            command,
            env=environ,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            until = time.monotonic() + LIMIT_S
            while not list((folder / "runtime").glob(f"ringbridge/{name}.*.sock")):
                assert process.poll() is None and time.monotonic() < until, log.read_text()
                time.sleep(0.05)
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def call(command: Sequence[str], folder: Path, environ: dict[str, str]) -> str:
    """A program that calls into it; what it prints."""
    ended = subprocess.run(
        command,
        env=environ,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert ended.returncode == 0, f"{ended.stderr}\n{(folder / 'said.txt').read_text()}"
    return ended.stdout
