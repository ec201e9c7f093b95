# SPDX-License-Identifier: MIT
"""Runs by QGIS's own Python, without a window: a script that serves, and a program that drives it
until the script stops serving."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import Any

import standalone

wanted = standalone.settings()
told: dict[str, Any] = {}
with standalone.qgis():
    sys.path[:0] = wanted["folders"]
    from ringbridge import host

    with host.serve("qgis", ["qgis_tools", "window_tools"]) as server:
        told["pump"] = server.pump.name
        program = subprocess.Popen(
            [*wanted["driver"], str(os.getpid()), "script"],
            env={**os.environ, "PYTHONPATH": wanted["copy"]},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        lines: list[str] = []
        server.exposure.load("qgis_tools")

        def hear() -> None:
            lines.append(program.stdout.readline())
            server.stop()

        heard = threading.Thread(target=hear)
        heard.start()
        server.run(60)
        heard.join()
    rest, _ = program.communicate("\n\n", timeout=30)
    told["lines"] = [*lines, *rest.splitlines()]
    told["sockets"] = os.listdir(os.path.join(os.environ["XDG_RUNTIME_DIR"], "ringbridge"))
standalone.report(told)
