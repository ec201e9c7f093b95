# SPDX-License-Identifier: MIT
"""update(keep=True): all are drawn, in order, whoever updates and whatever interrupts it."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from rbr_testing.eventually import until
from rbr_testing.plots import Heard, MakePlot

import ringbridge
from ringbridge import rendezvous
from ringbridge.plot import Plotter
from ringbridge.plot.letters import Kind, Letters
from ringbridge.plot.meeting import meet


def test_those_of_several_threads_come_in_order(make_plot: MakePlot) -> None:
    plot = make_plot()
    heard = Heard(plot)
    plot.wait()

    def work() -> None:
        for step in range(250):
            plot.update(step, keep=True)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    finally:
        sys.setswitchinterval(before)
    plot.wait()
    heard.until_drawn(1000)
    assert heard.numbers() == list(range(1, 1001))


class _AlarmError(Exception):
    pass


@pytest.fixture
def alarms() -> Iterator[None]:
    before = signal.getsignal(signal.SIGALRM)
    gc.disable()  # what a handler raises amid a collection is swallowed
    yield
    gc.enable()
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_those_of_a_signals_handler_come_in_order(make_plot: MakePlot, alarms: None) -> None:
    plot = make_plot()
    heard = Heard(plot)
    plot.wait()
    count = 0

    def on_alarm(*_: object) -> None:
        nonlocal count
        count += 1
        plot.update("alarm", keep=True)

    signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    for step in range(5000):
        plot.update(step, keep=True)
    signal.setitimer(signal.ITIMER_REAL, 0)
    plot.wait()
    assert count > 3
    heard.until_drawn(5000 + count)
    assert heard.numbers() == list(range(1, 5001 + count))


def test_an_interrupted_update_leaves_no_gap(make_plot: MakePlot, alarms: None) -> None:
    plot = make_plot()
    heard = Heard(plot)
    plot.wait()

    def on_alarm(*_: object) -> None:
        raise _AlarmError

    signal.signal(signal.SIGALRM, on_alarm)
    chance = random.Random(1)
    for _ in range(300):
        try:
            signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-5, 1e-3))
            for _ in range(5000):
                plot.update(np.zeros(10), keep=True)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except _AlarmError:
            pass
        while plot._audience.behind_bytes > 1 << 20:
            time.sleep(0.01)
    plot.update("last")
    plot.wait()
    number = plot.updates
    assert heard.until_drawn(number)[1] == ["last"]
    assert heard.numbers() == list(range(1, number + 1))


def test_a_quick_computation_leaves_time_for_viewers(make_plot: MakePlot) -> None:
    plot = make_plot()
    heard = Heard(plot)
    plot.wait()
    pid = heard.until_made()
    begun, killed = time.monotonic(), False
    while not heard.closed:
        assert time.monotonic() - begun < 30, "its death was not told"
        with contextlib.suppress(ringbridge.Busy):
            plot.update(1, keep=True)
        if not killed and heard.drawn:
            os.kill(pid, signal.SIGKILL)
            killed = True


def test_those_of_before_the_viewer_has_started_are_drawn(make_plot: MakePlot) -> None:
    plot = make_plot()
    heard = Heard(plot)
    for step in range(50):
        plot.update(step, keep=step % 2 == 0)
    assert plot.open
    plot.wait()
    heard.until_drawn(50)
    assert heard.numbers() == [*range(1, 50, 2), 50]


@pytest.fixture
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end waits for no viewer that does not start."""
    monkeypatch.setattr("ringbridge.plot.audience._JOIN_S", 0.0)


def test_those_for_a_viewer_that_does_not_start_have_a_limit(
    make_plot: MakePlot, no_patience: None
) -> None:
    plot = make_plot(command=["/bin/sh", "-c", "sleep 1000"])
    image = np.zeros(16 << 20, "uint8")
    with pytest.raises(ringbridge.Busy, match="MiB of kept frames behind"):
        for _ in range(30):
            plot.update(image, keep=True)


def test_a_viewer_that_joins_while_another_starts_is_sent_what_comes_then(
    make_plot: MakePlot, no_patience: None
) -> None:
    plot = make_plot(command=["/bin/sh", "-c", "sleep 1000"])
    plot.update("before", keep=True)
    until(lambda: plot._audience.publisher.kept_bytes == 0, "it has not been taken")
    letters = _attach(plot)
    until(lambda: plot.viewers == 1, "it has not joined")
    plot.update("after", keep=True)
    got = _until_kept(letters)
    assert [each.values for each in got if each.kind is Kind.KEPT] == [("after",)]
    (welcome,) = [each.values[0] for each in got if each.kind is Kind.WELCOME]
    assert welcome["kept"] == 1
    letters.close()


def test_one_that_is_larger_than_the_limit_sends_nobody_away_who_reads(
    make_plot: MakePlot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringbridge.plot.audience.BEHIND_BYTES_MAX", 1 << 20)
    plot = make_plot(launch=False)
    letters = _attach(plot)
    until(lambda: plot.viewers == 1, "it has not joined")
    for _ in range(3):
        plot.update(np.zeros(4 << 20, "uint8"), keep=True)
        (kept,) = [each for each in _until_kept(letters) if each.kind is Kind.KEPT]
        assert kept.values[0].nbytes == 4 << 20 and plot.viewers == 1
    letters.close()


def _attach(plot: Plotter) -> Letters:
    return meet(rendezvous.address_of(plot.name, os.getpid(), rendezvous.PLOT), "a test")


def _until_kept(letters: Letters) -> list[ringbridge.plot.letters.Letter]:
    got: list[ringbridge.plot.letters.Letter] = []

    def has_come() -> bool:
        got.extend(letters.read())
        return any(each.kind is Kind.KEPT for each in got)

    until(has_come, "no kept frame has come")
    return got
