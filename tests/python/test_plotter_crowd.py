# SPDX-License-Identifier: MIT
"""Several viewers of one plot: who join and leave, do not read, or send what they should not."""

from __future__ import annotations

import logging
import os
import random
import socket
import threading
import time
from typing import Any

import numpy as np
import pytest
from rbr_testing.eventually import until
from rbr_testing.plots import Heard, MakePlot

from ringbridge import _core, rendezvous
from ringbridge.plot import Plotter
from ringbridge.plot.letters import Kind, Letters
from ringbridge.plot.meeting import meet


class Attached:
    """A viewer without a view: this process, which reads letters."""

    def __init__(self, plot: Plotter, label: str) -> None:
        self.letters = meet(rendezvous.address_of(plot.name, os.getpid(), rendezvous.PLOT), label)
        self.got: list[Any] = []
        self.subscriber: _core.Subscriber | None = None
        self.newest = 0

    def until(self, kind: Kind) -> Any:
        deadline = time.monotonic() + 20
        while not any(each.kind is kind for each in self.got):
            assert time.monotonic() < deadline, self.got
            self.got += self.letters.read()
            time.sleep(0.002)
        return next(each for each in self.got if each.kind is kind)

    def join(self) -> None:
        memory = self.until(Kind.MEMORY)
        self.subscriber = _core.Subscriber(memory.fds[0], memory.values[0], memory.fds[1])


def test_viewers_join_and_leave_at_any_time(make_plot: MakePlot) -> None:
    plot = make_plot(launch=False)
    viewers = [Attached(plot, f"viewer {i}") for i in range(3)]
    for each in viewers:
        each.join()
    until(lambda: plot.viewers == 3, "they have not joined")
    plot.update("for all")
    for each in viewers:
        assert each.subscriber is not None
        assert each.subscriber.take() == (1, 0, ("for all",), {})
    viewers[1].letters.close()
    until(lambda: plot.viewers == 2, "one has not left")
    late = Attached(plot, "late")
    late.join()
    assert late.subscriber is not None and late.subscriber.take() == (1, 0, ("for all",), {})
    for each in (*viewers, late):
        each.letters.close()
    until(lambda: plot.viewers == 0, "they have not left")


def test_the_seventeenth_viewer_is_told_and_hurts_nobody(
    make_plot: MakePlot, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    plot = make_plot(launch=False)
    viewers = [Attached(plot, str(i)) for i in range(17)]
    for each in viewers[:16]:
        each.join()
    with pytest.raises(EOFError):
        viewers[16].until(Kind.MEMORY)
    until(lambda: "16 readers are there" in caplog.text, "nothing was logged")
    assert plot.viewers == 16
    for each in viewers:
        each.letters.close()


@pytest.mark.parametrize("seed", range(3))
def test_a_viewer_that_writes_nonsense_is_sent_away_alone(make_plot: MakePlot, seed: int) -> None:
    print("seed", seed)
    chance = random.Random(seed)
    plot = make_plot()
    heard = Heard(plot)
    plot.update(1)
    plot.wait()
    letter = _core.pack(1, 0, ("drawn", 1), {})
    for _ in range(40):
        bad = Attached(plot, "bad")
        raw = bad.letters._sock
        head = chance.choice(
            [b"", bytes(8), b"\xff" * 8, len(letter).to_bytes(4, "little") + b"\x07\0\0\0"]
        )
        mutated = bytearray(head + letter)
        for _ in range(chance.randrange(4)):
            mutated[chance.randrange(len(mutated))] = chance.randrange(256)
        try:
            raw.setblocking(True)
            raw.settimeout(5.0)
            fds = [raw.fileno()] * chance.randrange(3)
            socket.send_fds(raw, [bytes(mutated)], fds)
        except OSError:
            pass
        bad.letters.close()
    plot.update(2)
    plot.wait()
    assert heard.until_drawn(2)[1] == [2]
    until(lambda: plot.viewers == 1, "the bad ones have not left")


def test_a_viewer_that_never_reads_is_left_behind_and_sent_away(make_plot: MakePlot) -> None:
    plot = make_plot(launch=False)
    idle = Attached(plot, "idle")
    idle.join()
    image = np.zeros(8 << 20, "uint8")
    until(lambda: plot.viewers == 1, "it has not joined")
    for _ in range(40):
        plot.update(image, keep=True)
    until(lambda: plot.viewers == 0, "it is still there")
    plot.update("goes on")
    idle.letters.close()


def test_letters_that_come_in_pieces_are_put_together() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    letters = Letters(ours, takes_fds=False)
    body = _core.pack(3, 0, ("name", np.arange(1000)), {})
    whole = len(body).to_bytes(4, "little") + bytes([Kind.EVENT, 0, 0, 0]) + body
    got: list[Any] = []
    with theirs:
        for at in range(0, len(whole), 777):
            assert got == []
            theirs.sendall(whole[at : at + 777])
            got += letters.read()
    ((kind, number, _parent, values, _named, fds, size),) = got
    assert (kind, number, fds, size) == (Kind.EVENT, 3, (), len(body))
    assert np.array_equal(values[1], np.arange(1000))
    with pytest.raises(EOFError):
        letters.read()
    letters.close()


@pytest.mark.parametrize("value", [{10**5000: 1}, {"a": 10**5000}])
def test_a_viewer_that_sends_what_nobody_can_read_hurts_nobody(
    make_plot: MakePlot, value: object
) -> None:
    plot = make_plot(launch=False)
    plot.on_click(print)
    good, wild = Attached(plot, "good"), Attached(plot, "wild")
    good.join()
    wild.join()
    wild.letters.post(Kind.EVENT, "click", value)
    wild.letters.flush()
    plot.update(1)
    assert good.subscriber is not None
    until(lambda: good.subscriber and good.subscriber.take() is not None, "no frame has come")
    assert plot.viewers >= 1 and not plot._audience.ended


def test_moves_that_are_told_late_send_nobody_away(make_plot: MakePlot) -> None:
    plot = make_plot(launch=False)
    viewers = [Attached(plot, str(i)) for i in range(4)]
    for each in viewers:
        each.join()
    plot._audience._do(lambda: time.sleep(0.5))
    for power in range(9):
        plot.update(np.zeros(1000 * 3**power))
    told = threading.Event()
    plot._audience._do(told.set)
    assert told.wait(20) and plot.viewers == 4
    until(lambda: all(_has_newest(each, 9) for each in viewers), "the newest has not come")


def _has_newest(viewer: Attached, number: int) -> bool:
    """Follows the moves."""
    for letter in viewer.letters.read():
        if letter.kind is Kind.MEMORY:
            viewer.subscriber = _core.Subscriber(letter.fds[0], letter.values[0], letter.fds[1])
    frame = viewer.subscriber.take() if viewer.subscriber is not None else None
    viewer.newest = frame[0] if frame is not None else viewer.newest
    return viewer.newest == number
