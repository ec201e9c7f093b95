# SPDX-License-Identifier: MIT
"""Applications that serve: a script of another process, whose main thread is in server.run().

python -m rbr_testing.served OPTIONS    OPTIONS are serve()'s, as JSON. Says its pid when it serves,
                                        and stops with its input
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ringbridge

TESTS = Path(__file__).resolve().parents[1]
DUTIES = "rbr_testing.served_duties"
END_S = 30


class Application:
    """One such process."""

    def __init__(self, python: str = sys.executable, **options: Any) -> None:
        options = {"name": "app", "modules": [DUTIES], **options}
        self.name: str = options["name"]
        self.process = subprocess.Popen(
            [python, "-m", "rbr_testing.served", json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=TESTS,
        )
        assert self.process.stdout is not None
        self.pid = int(self.process.stdout.readline())

    def connect(self, **options: Any) -> ringbridge.Connection:
        return ringbridge.connect(self.name, pid=self.pid, **options)

    def stop(self) -> str:
        """Ends it in good order; what it said then."""
        said, _ = self.process.communicate(timeout=END_S)
        assert self.process.returncode == 0, self.process.returncode
        return said

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=END_S)


@contextlib.contextmanager
def application(python: str = sys.executable, **options: Any) -> Iterator[Application]:
    """One that a test may end by itself."""
    app = Application(python, **options)
    try:
        yield app
    finally:
        if app.process.poll() is None:
            app.process.send_signal(signal.SIGCONT)
            app.kill()


@contextlib.contextmanager
def client(what: str, app: Application) -> Iterator[subprocess.Popen[str]]:
    """One of rbr_testing.served_clients, in a process of its own; killed in the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rbr_testing.served_clients", what, app.name],
        stdout=subprocess.PIPE,
        text=True,
        cwd=TESTS,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)


def said(process: subprocess.Popen[str]) -> str:
    """The next line of a client."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def main() -> None:
    import ringbridge.host

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` has it ignored
    server = ringbridge.host.serve(**json.loads(sys.argv[1]))

    def stop_with_input() -> None:
        sys.stdin.read()
        server.stop()

    stopping = threading.Thread(target=stop_with_input, daemon=True)
    stopping.start()
    print(os.getpid(), flush=True)
    server.run()
    stopping.join()
    left = [each.name for each in threading.enumerate() if each.name.startswith("ringbridge")]
    print(
        json.dumps({"threads": left, "sockets": os.listdir(os.path.dirname(server.address.path))})
    )


if __name__ == "__main__":
    main()
