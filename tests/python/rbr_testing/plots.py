# SPDX-License-Identifier: MIT
"""Views that tell the computation what they have drawn, and what tests of plots have in common."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ringbridge.plot import Plotter, emit, frame_number

MakePlot = Callable[..., Plotter]
HERE = Path(__file__).resolve().parents[1]
TELLER = "rbr_testing.plots:Teller"
SLOW = "rbr_testing.plots:SlowTeller"


class Teller:
    """Tells what it was given: of an array its shape, dtype and checksum."""

    def __init__(self) -> None:
        emit("made", os.getpid(), sys.executable, sys.version_info[:2])

    def draw(self, *values: Any, **named: Any) -> None:
        shown = {key: described(value) for key, value in named.items()}
        emit("drawn", frame_number(), [described(value) for value in values], shown)


class SlowTeller(Teller):
    """Takes a while for each draw."""

    def draw(self, *values: Any, **named: Any) -> None:
        time.sleep(0.02)
        super().draw(*values, **named)


def described(value: Any) -> Any:
    if hasattr(value, "dtype"):
        return [list(value.shape), str(value.dtype), zlib.crc32(value.tobytes())]
    return value


class Heard:
    """What the views of one plot have told, in the order in which it came."""

    def __init__(self, plot: Plotter) -> None:
        self._changed = threading.Condition()
        self.made: list[tuple[Any, ...]] = []
        self.drawn: list[tuple[Any, ...]] = []
        self.closed = 0
        plot.on("made", lambda *told: self._add(self.made, told))
        plot.on("drawn", lambda *told: self._add(self.drawn, told))
        plot.on_close(self._close)

    def _add(self, to: list[tuple[Any, ...]], told: tuple[Any, ...]) -> None:
        with self._changed:
            to.append(told)
            self._changed.notify_all()

    def _close(self) -> None:
        with self._changed:
            self.closed += 1
            self._changed.notify_all()

    def numbers(self) -> list[int]:
        return [number for number, *_ in self.drawn]

    def until_made(self, count: int = 1) -> int:
        """The process of the viewer that was made as that one."""
        self._until(lambda: len(self.made) >= count)
        return int(self.made[count - 1][0])

    def until_drawn(self, number: int) -> tuple[Any, ...]:
        """What was told of that frame."""
        self._until(lambda: number in self.numbers())
        return next(told for told in self.drawn if told[0] == number)

    def until_closed(self, count: int = 1) -> None:
        self._until(lambda: self.closed >= count)

    def _until(self, condition: Any) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, 30.0), (
                self.made,
                self.drawn[-3:],
                self.closed,
            )


class Writer:
    """Writes the number of each frame to a file, a line each, and "ended" when its process ends by
    itself: for tests whose plot does not hear of it any more."""

    def __init__(self) -> None:
        self._path: Path | None = None

    def draw(self, path: str, nap_s: float = 0.0, says: str = "") -> None:
        time.sleep(nap_s)
        if says:
            print(says, flush=True)
        if self._path is None:
            atexit.register(self._write, "ended")
        self._path = Path(path)
        self._write(str(frame_number()))

    def _write(self, line: str) -> None:
        assert self._path is not None
        with self._path.open("a") as file:
            file.write(f"{line}\n")


WRITER = "rbr_testing.plots:Writer"


def written(path: Path) -> list[str]:
    """What a Writer wrote."""
    return path.read_text().split() if path.exists() else []
