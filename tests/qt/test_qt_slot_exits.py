# SPDX-License-Identifier: MIT
"""What a slot raises does not end the process by itself; what is meant to, ends it in order."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
from typing import Any

import pytest
from conftest import BINDING, QtCore

from ringbridge.qt import asyncslot, binding, new_event_loop, using_asyncio_from_qt

HEAD = f"""
import asyncio, sys
from {BINDING} import QtCore
from ringbridge.qt import asyncslot, asyncsignal, binding, using_asyncio_from_qt

app = QtCore.QCoreApplication([])
timer = QtCore.QTimer()
timer.setSingleShot(True)

def run():
    timer.start(0)
    QtCore.QTimer.singleShot(300, app.quit)
    print("ended with", binding.run(app))
"""


def outcome(body: str) -> subprocess.CompletedProcess[str]:
    """Of a program of its own: with the interpreter's own sys.excepthook, where PyQt aborts."""
    return subprocess.run(
        [sys.executable, "-c", HEAD + body],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "QT_API": BINDING},
    )


def test_a_slot_without_a_loop_does_not_abort_the_program() -> None:
    done = outcome(
        """
async def slot(): pass
timer.timeout.connect(asyncslot(slot))
run()
"""
    )
    assert done.returncode == 0
    assert "ended with 0" in done.stdout
    assert "RuntimeError: slot: no event loop runs" in done.stderr


@pytest.mark.parametrize("first_step", [True, False])
def test_what_a_coroutine_raises_does_not_abort_the_program(first_step: bool) -> None:
    done = outcome(
        f"""
async def slot():
    if not {first_step}:
        await asyncio.sleep(0)
    raise ValueError("of the slot")

timer.timeout.connect(asyncslot(slot))
with using_asyncio_from_qt():
    run()
"""
    )
    assert done.returncode == 0
    assert "ended with 0" in done.stdout
    assert done.stderr.count("ValueError: of the slot") == 1


@pytest.mark.parametrize("first_step", [True, False])
def test_sys_exit_in_a_slot_leaves_in_order(first_step: bool) -> None:
    done = outcome(
        f"""
async def slot():
    if not {first_step}:
        await asyncio.sleep(0)
    sys.exit(7)

timer.timeout.connect(asyncslot(slot))
try:
    with using_asyncio_from_qt():
        run()
finally:
    print("left")
"""
    )
    assert done.returncode == 7
    assert "ended with 7" in done.stdout
    assert "left" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("first_step", [True, False])
@pytest.mark.parametrize("mode", ["owner", "guest"])
def test_an_exit_is_raised_where_the_loop_was_started(
    app: Any, kind: type[BaseException], first_step: bool, mode: str
) -> None:
    async def slot() -> None:
        if not first_step:
            await asyncio.sleep(0)
        raise kind

    async def main() -> None:
        timer.start(0)
        await asyncio.sleep(30)

    timer = QtCore.QTimer()
    timer.setSingleShot(True)
    timer.timeout.connect(asyncslot(slot))
    if mode == "owner":
        loop = new_event_loop()
        task = loop.create_task(main())
        with pytest.raises(kind):
            loop.run_until_complete(task)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.close()
    else:
        with pytest.raises(kind), using_asyncio_from_qt() as loop:
            loop.create_task(main())
            binding.run(app)
    gc.collect()


def test_an_exit_within_a_callback_of_asyncio_ends_the_run(
    app: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Sender(QtCore.QObject):
        leaving = binding.Signal()

    async def slot() -> None:
        sys.exit(3)

    sender = Sender()
    sender.leaving.connect(asyncslot(slot))
    with pytest.raises(SystemExit), using_asyncio_from_qt() as loop:
        loop.call_soon(sender.leaving.emit)
        binding.run(app)
    gc.collect()
    assert not caplog.records  # such as "exception was never retrieved"
