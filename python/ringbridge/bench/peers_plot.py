# SPDX-License-Identifier: MIT
"""Plots as peers, by what their viewers do, and what they are measured against.

They call nothing: what a test asks of them is `plotted`. Viewers draw off screen, on the processor
of the far side.
"""

from __future__ import annotations

import contextlib
import functools
import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ringbridge import _core
from ringbridge.bench.peer import JOIN_S, Peer, Settings, Thunk, ended, spawned
from ringbridge.bench.plotted import Canvas, Wave, checksum, new_image

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.queues import Queue

_NUMBER = 1.5
_POLL_S = 0.005
_ANSWER_S = 10.0
#: Steps of the simulation in a call, and which of them are shown.
STEPS = 10
STEPS_SHOWN = ("no step", "each 10th step", "each step")

Show = Callable[..., object]


class Shows(Peer):
    """Shows values somewhere; `show` and `arrived` are its own, and `settled` where there is who
    draws."""

    @functools.cached_property
    def wave(self) -> Wave:
        """One: where its memory lies makes a difference."""
        return Wave()

    def start(self) -> None:
        pass

    def call(self, number: int) -> int:
        return number + 1

    def remote(self, name: str, *args: Any) -> Any:
        return None

    def show(self) -> Show:
        """What a computation calls with a value; its answer is not used."""
        raise NotImplementedError

    def arrived(self, value: Any) -> bool:
        """Shows the value once more, and looks whether what came is what went."""
        raise NotImplementedError

    def plotted(self, what: str, seed: int) -> tuple[Thunk, Callable[[], bool]]:
        show = self.show()
        if what in STEPS_SHOWN:
            return _simulated(self.wave, show, what), lambda: self.arrived(self.wave.field)
        self._value = value = new_image(seed) if what == "image" else _NUMBER
        return (lambda: _nothing(show(value))), lambda: self.arrived(value)

    def copied(self) -> Thunk:
        copy = _copying([new_image(number) for number in range(2)])
        return lambda: copy(self._value)


def _nothing(_answer: object) -> None:
    pass


def _copying(targets: list[Any]) -> Callable[[Any], None]:
    """Copies an image to these in turn."""
    import numpy as np

    turn = cycle(targets)
    return lambda value: np.copyto(next(turn), value)


def _simulated(wave: Wave, show: Show, what: str) -> Thunk:
    """STEPS steps."""

    def nothing() -> None:
        wave.steps(STEPS)

    def last() -> None:
        wave.steps(STEPS)
        show(wave.field)

    def each() -> None:
        for _ in range(STEPS):
            wave.steps(1)
            show(wave.field)

    return dict(zip(STEPS_SHOWN, (nothing, last, each)))[what]


# ----------------------------------------------------------------------------------------- ours


class Plot(Shows):
    """A plot that nobody looks at."""

    viewers = 0

    def start(self) -> None:
        from ringbridge.plot import Plotter

        self._checked: queue.Queue[int] = queue.Queue()
        self.plotter = Plotter(
            "ringbridge.bench.plotted:View",
            name=f"{self.settings.token}plot",
            environ={"MPLBACKEND": "Agg"},
            launch=self.viewers > 0,
        )
        self.plotter.on("checked", self._checked.put)
        self.plotter.update(_NUMBER)
        if self.viewers:
            self.plotter.wait()

    def show(self) -> Show:
        return self.plotter.update

    def arrived(self, value: Any) -> bool:
        """As a viewer that joins now would find it."""
        self.plotter.update(value)
        publisher = self.plotter._publisher
        ticket, memory, reader, nudge = publisher.add_reader()
        subscriber = _core.Subscriber(memory, reader, nudge)
        try:
            found = subscriber.take()
            return found is not None and checksum(found[2][0]) == checksum(value)
        finally:
            subscriber.close()
            publisher.drop_reader(ticket)

    def close(self) -> None:
        self.plotter.close()


class DrawnPlot(Plot):
    """Its viewer draws."""

    viewers = 1

    def arrived(self, value: Any) -> bool:
        self.plotter.update(value, check=True)
        came = [self._checked.get(timeout=_ANSWER_S) for _ in range(self.viewers)]
        return came == [checksum(value)] * self.viewers

    def settled(self) -> int:
        """All have drawn the newest."""
        while True:
            told = self.plotter.stats()
            drawn = [each["drawn"] or 0 for each in told["viewers"]]
            seen = [(each["drawn"] or 0) + (each["dropped"] or 0) for each in told["viewers"]]
            if seen == [told["updates"]] * self.viewers:  # each has found the first one
                return sum(drawn)
            time.sleep(_POLL_S)


class ThreeDrawnPlot(DrawnPlot):
    """One is launched, two attach."""

    viewers = 3

    def start(self) -> None:
        super().start()
        command = [sys.executable, "-m", "ringbridge", "plot", "attach"]
        self._attached = [
            subprocess.Popen(
                [*command, f"{self.plotter.name}.{os.getpid()}"],
                env={**os.environ, "MPLBACKEND": "Agg"},
                stdin=subprocess.DEVNULL,
            )
            for _ in range(self.viewers - 1)
        ]
        self.settled()

    def close(self) -> None:
        super().close()
        for process in self._attached:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(JOIN_S)
            process.kill()
            process.wait()


class StoppedPlot(DrawnPlot):
    """Its viewer has been stopped amid of waiting for the next frame."""

    def start(self) -> None:
        super().start()
        (viewer,) = self.plotter.stats()["viewers"]
        self._viewer = int(viewer["pid"])
        self._stop()

    def _stop(self) -> None:
        os.kill(self._viewer, signal.SIGSTOP)
        while Path(f"/proc/{self._viewer}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            time.sleep(_POLL_S)

    def arrived(self, value: Any) -> bool:
        os.kill(self._viewer, signal.SIGCONT)
        try:
            return super().arrived(value)
        finally:
            self._stop()

    def settled(self) -> int:
        return 0

    def close(self) -> None:
        os.kill(self._viewer, signal.SIGCONT)
        super().close()


class KilledPlot(Plot):
    """Its viewer has drawn, and was killed."""

    viewers = 1

    def start(self) -> None:
        super().start()
        (viewer,) = self.plotter.stats()["viewers"]
        os.kill(viewer["pid"], signal.SIGKILL)
        while self.plotter.viewers or self.plotter.open:
            time.sleep(_POLL_S)


# -------------------------------------------------------------------------------------- the floor


class Copies(Shows):
    """numpy copies the image to where it has been before: again and again to the same place."""

    places = 1

    def show(self) -> Show:
        self._targets = [new_image(number) for number in range(self.places)]
        self._copy = _copying(self._targets)
        return self._copy

    def arrived(self, value: Any) -> bool:
        for _ in self._targets:
            self._copy(value)
        return all(checksum(each) == checksum(value) for each in self._targets)


class CopiesInTurn(Copies):
    """To two places in turn, as a publication does: the newest frame stays while the next one is
    written."""

    places = 2


# ------------------------------------------------------------------------------------ other ways


class PipedPlot(Shows):
    """A multiprocessing.Pipe to a process that draws what it gets."""

    def start(self) -> None:
        import multiprocessing

        context = multiprocessing.get_context("spawn")
        self._answers, answers = context.Pipe(duplex=False)
        self._open(context, answers)
        self.arrived(_NUMBER)
        answers.close()

    def _open(self, context: Any, answers: Connection) -> None:
        theirs, self._frames = context.Pipe(duplex=False)
        self._process = spawned(_draw_all, theirs.recv, answers)
        theirs.close()

    def show(self) -> Show:
        return lambda value: self._send((value, False))

    def _send(self, frame: tuple[Any, bool] | None) -> None:
        self._frames.send(frame)

    def arrived(self, value: Any) -> bool:
        self._send((value, True))
        if not self._answers.poll(_ANSWER_S):
            raise TimeoutError("the process that draws does not answer")
        return bool(self._answers.recv()[0] == checksum(value))

    def settled(self) -> int:
        self._send((_NUMBER, True))
        return int(self._answers.recv()[1])

    def close(self) -> None:
        self._send(None)
        ended(self._process)


class QueuedPlot(PipedPlot):
    """A multiprocessing.Queue with room for one frame, filled by put_nowait: a new one is dropped
    while the last one has not been taken."""

    note = "drops the newest"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._queue: Queue[Any] | None = None

    def _open(self, context: Any, answers: Connection) -> None:
        self._queue = context.Queue(1)
        self._process = spawned(_draw_all, self._queue.get, answers)

    def show(self) -> Show:
        assert self._queue is not None
        put = self._queue.put_nowait

        def offer(value: Any) -> None:
            with contextlib.suppress(queue.Full):
                put((value, False))

        return offer

    def _send(self, frame: tuple[Any, bool] | None) -> None:
        assert self._queue is not None
        self._queue.put(frame, timeout=_ANSWER_S)


def _draw_all(receive: Callable[[], tuple[Any, bool] | None], answers: Connection) -> None:
    canvas = Canvas()
    for drawn, frame in enumerate(iter(functools.partial(_received, receive), None), 1):
        canvas.show(frame[0])
        if frame[1]:
            answers.send((checksum(frame[0]), drawn))


def _received(receive: Callable[[], Any]) -> Any:
    try:
        return receive()
    except EOFError:  # who sends has gone
        return None
