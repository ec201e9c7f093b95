# SPDX-License-Identifier: MIT
"""The function plotter with all else that can be under way, closed at a random moment.

    close_at_random.py BINDING SEED shown|ready

The moment is counted from when the window is shown, or from when its worker is ready. Who started
it looks for what it leaves behind, by a variable that its workers have, too.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

importlib.import_module(f"{sys.argv[1]}.QtWidgets")

import function_plotter  # noqa: E402

from ringbridge import RingbridgeError  # noqa: E402
from ringbridge.qt import (  # noqa: E402
    Job,
    ProgressDialog,
    asyncslot,
    binding,
    using_asyncio_from_qt,
)

QtCore: Any = binding.QtCore
MARK = "RBR_TEST_MARK=" + os.environ["RBR_TEST_MARK"]
chance = random.Random(int(sys.argv[2]))


def ticks() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


def naps() -> None:
    time.sleep(30)


class Window(function_plotter.Window):
    """One with more going on."""

    def on_ready(self, curves: Any) -> None:
        super().on_ready(curves)
        if not self.isVisible():
            return  # its worker ends
        if MARK.encode() in Path(f"/proc/{self.worker.pid}/environ").read_bytes():
            print("its worker has the mark")
        self.samples.setValue(chance.choice([10, 1_000, 5_000_000]))
        self.plot_button.click()
        if chance.random() < 0.5:
            self.dialog = ProgressDialog(self.job, "Plot", self, minimum_duration=0.05)
        if chance.random() < 0.5:
            QtCore.QTimer.singleShot(chance.randrange(300), self.progress.cancel)
        self.ask()
        if sys.argv[3] == "ready":
            self.close_soon()

    def close_soon(self) -> None:
        QtCore.QTimer.singleShot(chance.randrange(1, 1500), self.close)

    @asyncslot
    async def ask(self) -> None:
        try:
            while True:
                await self.curves.envelope.submit("x", 0.0, 1.0, 2, 2)
                await asyncio.sleep(0.01)
        except RingbridgeError:
            if self.isVisible():
                raise  # else its worker ends


def main() -> int:
    application = binding.module("QtWidgets").QApplication([])
    with using_asyncio_from_qt():
        window = Window(sys.executable)
        window.show()
        if chance.random() < 0.5:
            Job(ticks, parent=window)
        if chance.random() < 0.5:
            Job(naps)
        if sys.argv[3] == "shown":
            window.close_soon()
        return binding.run(application)


if __name__ == "__main__":
    sys.exit(main())
