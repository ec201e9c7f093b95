# SPDX-License-Identifier: MIT
"""A screen of the test's own, where Xvfb is installed."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from rbr_testing.eventually import LONG_S


@contextlib.contextmanager
def screen() -> Iterator[str]:
    """Its DISPLAY. Skips where there is no Xvfb."""
    program = shutil.which("Xvfb")
    if program is None:
        pytest.skip("Xvfb is not here: no screen for windows")
    ours, theirs = os.pipe()
    # noreset: else it begins anew after its last client, and refuses the next one meanwhile.
    options = ["-displayfd", str(theirs), "-screen", "0", "1280x1024x24"]
    options += ["-nolisten", "tcp", "-noreset"]
    with open(ours, "rb", buffering=0) as said:
        server = subprocess.Popen([program, *options], pass_fds=[theirs], stderr=subprocess.DEVNULL)
        os.close(theirs)
        with server:
            try:
                number = b""
                while not number.endswith(b"\n"):
                    assert select.select([said], [], [], LONG_S)[0], "Xvfb does not start"
                    part = said.read(16)
                    assert part, "Xvfb has ended"
                    number += part
                yield f":{int(number)}"
            finally:
                server.terminate()
