# SPDX-License-Identifier: MIT
"""The HTTP gateway of real applications: a script that runs its calls, and one with Qt's loop."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rbr_testing.eventually import until
from rbr_testing.http_served import asked

import ringbridge.host

HERE = Path(__file__).resolve().parent


class Application:
    """What is asked of it, by its port."""

    def __init__(self, port: int) -> None:
        self.port = port

    def call(self, function: str, *args: Any) -> Any:
        reply = asked(self, "POST", f"/call/__main__/{function}", {"args": list(args)})  # type: ignore[arg-type]
        assert reply.status == 200, reply
        return reply.json["value"]

    def command(self, name: str, **parameters: Any) -> Any:
        given = {"FunctionName": name, "Parameters": parameters}
        return asked(self, "POST", "/", given).json["ReturnValue"]  # type: ignore[arg-type]


@contextlib.contextmanager
def running(kind: str, folder: Path) -> Iterator[Application]:
    """Ends well when SkyHook's command stops it."""
    package = str(Path(ringbridge.__file__).resolve().parents[1])
    folder.chmod(0o700)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(HERE), package]),
        "QT_QPA_PLATFORM": "offscreen",
        "XDG_RUNTIME_DIR": str(folder),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "rbr_testing.http_hosts", kind],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline()
            if not port and kind == "qt":
                pytest.skip("no Qt here")
            application = Application(int(port))
            yield application
            assert application.command("SKY_SHUTDOWN") == "Server offline"
            assert process.wait(30) == 0
        finally:
            process.kill()


def test_a_script_that_runs_its_calls_is_called_on_its_main_thread(tmp_path: Path) -> None:
    with running("script", tmp_path) as application:
        assert application.call("on_main_thread") is True
        assert application.command("on_main_thread") is True
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            called = pool.map(lambda _: application.call("on_main_thread"), range(200))
            assert all(called)


def test_a_qt_application_is_called_on_its_main_thread_inside_of_a_dialog_too(
    tmp_path: Path,
) -> None:
    with running("qt", tmp_path) as application:
        assert application.call("on_main_thread") is True
        assert application.call("title", "from elsewhere") == "from elsewhere"
        with concurrent.futures.ThreadPoolExecutor() as pool:
            dialog = pool.submit(application.call, "ask_in_a_dialog")
            until(lambda: application.command("is_online"), "it is online")
            until(lambda: answered(application), "the dialog is there to be answered")
            assert dialog.result() == 7


def answered(application: Application) -> bool:
    """Whether a dialog was there: the window itself cannot be answered."""
    with contextlib.suppress(AssertionError):
        application.call("answer", 7)
        return True
    return False
