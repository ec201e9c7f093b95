# SPDX-License-Identifier: MIT
"""The end of a plot: what there is is drawn, by viewers that have only just started too; and plots
in a forked child, which has none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rbr_testing.eventually import until
from rbr_testing.plots import HERE, WRITER, Heard, MakePlot, written

import ringbridge
from ringbridge import plot as plots
from ringbridge.plot import Plotter, ViewerError
from ringbridge.plot.handling import WAITING_BYTES_MAX, Handlers
from ringbridge.plot.notebook import Shown

# ------------------------------------------------------------------------------------- the end


@pytest.mark.parametrize("hold", [False, True])
def test_a_plot_closed_before_its_viewer_has_joined_is_drawn(
    make_plot: MakePlot, tmp_path: Path, hold: bool
) -> None:
    path = tmp_path / "drawn"
    plot = make_plot(WRITER, hold=hold)
    for _ in range(3):
        plot.update(str(path), keep=True)
    plot.update(str(path))
    plot.close()
    until(lambda: written(path) == ["1", "2", "3", "4", "ended"], lambda: str(written(path)))


SCRIPT = """
import sys
from ringbridge.plot import Plotter
plot = Plotter("rbr_testing.plots:Writer", paths=[sys.argv[1]], hold=True)
plot.update(sys.argv[2])
"""


def test_a_script_that_ends_at_once_has_shown_its_plot(
    runtime_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "drawn"
    command = [sys.executable, "-c", SCRIPT, str(HERE), str(path)]
    subprocess.run(command, check=True, timeout=60)
    until(lambda: written(path) == ["1", "ended"], lambda: str(written(path)))


def test_a_viewer_that_cannot_start_does_not_make_the_end_wait(make_plot: MakePlot) -> None:
    plot = make_plot(command=["/bin/sh", "-c", "sleep 0.5; exit 3"])
    plot.update(1)
    plot.close()  # the limit of a test is longer than that of a viewer's start: that is looked at
    assert not plot.open


def test_ctrl_c_while_the_end_waits_for_a_viewer_ends_it(
    make_plot: MakePlot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringbridge.plot.audience._JOIN_S", 1e6)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        plot = make_plot(command=["/bin/sh", "-c", "exec sleep 1000"])
        plot.update(1)
        until(lambda: plot._audience._launched.runs, "it has not been launched")
        process = plot._audience._launched._process
        assert process is not None
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            plot.close()
    finally:
        signal.signal(signal.SIGINT, before)
    until(lambda: not os.path.exists(f"/proc/{process.pid}"), "its viewer is left")
    assert plot.closed


def test_a_held_view_that_prints_draws_what_there_is(make_plot: MakePlot, tmp_path: Path) -> None:
    path = tmp_path / "drawn"
    plot = make_plot(WRITER, hold=True)
    plot.wait()
    for _ in range(20):
        plot.update(str(path), nap_s=0.05, says="as views do", keep=True)
    plot.close()
    numbers = [str(number) for number in range(1, 21)]
    until(lambda: written(path) == [*numbers, "ended"], lambda: str(written(path)))


def test_a_plot_that_is_collected_on_a_thread_of_its_own_ends_as_any_other(
    runtime_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "drawn"
    held = [Plotter(WRITER, paths=[HERE])]
    audience = held[0]._audience
    held[0].update(str(path))
    held[0].wait()
    audience._do(held.clear)
    until(lambda: written(path) == ["1", "ended"], lambda: str(written(path)))


def test_who_drops_a_plot_does_not_wait_for_its_viewer(
    runtime_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringbridge.plot.audience._JOIN_S", 20.0)
    held = [Plotter(WRITER, command=["/bin/sh", "-c", "exec sleep 1000"])]
    audience = held[0]._audience
    held[0].update(1)
    until(lambda: audience._launched.runs, "it has not been launched")
    process = audience._launched._process
    held.clear()
    assert process is not None and not audience.ended  # it is waited for, elsewhere
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: audience.ended, "it has not ended")


STAYS = """
import threading, time
class Stays:
    def __init__(self):
        threading.Thread(target=time.sleep, args=(1000,)).start()
    def draw(self):
        raise ValueError("no")
"""


def test_a_viewer_that_says_goodbye_and_stays_is_ended_with_its_plot(
    make_plot: MakePlot, tmp_path: Path
) -> None:
    (tmp_path / "stays.py").write_text(STAYS)
    plot = make_plot("stays:Stays", paths=[tmp_path])
    until(lambda: plot.viewers == 1, "it has not joined")
    (viewer,) = plot._audience.viewers
    plot.update()
    until(lambda: not plot.open, "it has not gone")
    plot.close()
    assert not os.path.exists(f"/proc/{viewer.pid}")


def test_a_viewer_that_prints_without_end_is_heard_all_the_same(
    make_plot: MakePlot, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = f'yes {"x" * 1000} & exec "{sys.executable}" -c "$0"'

    class SlowLog:
        def info(self, *_: object) -> None:
            time.sleep(0.001)  # so that there is always more to read

    monkeypatch.setattr("ringbridge.plot.viewer_process._logger", SlowLog())
    plot = make_plot(command=["/bin/sh", "-c", program])
    heard = Heard(plot)
    plot.update(1)
    plot.wait()
    assert heard.until_drawn(1)[1] == [1]


AMID_AN_UPDATE = """
import threading
from ringbridge.plot import Plotter

class Endless:
    def __dlpack_device__(self):
        begun.set()
        threading.Event().wait()
    def __dlpack__(self, **options): ...

begun = threading.Event()
plot = Plotter("views:View", launch=False)
threading.Thread(target=plot.update, args=(Endless(),), daemon=True).start()
begun.wait()
"""


def test_a_program_ends_though_a_thread_is_amid_an_update(runtime_folder: Path) -> None:
    subprocess.run([sys.executable, "-c", AMID_AN_UPDATE], check=True, timeout=60)
    assert os.listdir(runtime_folder / "ringbridge") == []


def test_an_update_that_waits_for_another_thread_can_be_interrupted(runtime_folder: Path) -> None:
    waiting = """
import signal
signal.signal(signal.SIGALRM, signal.default_int_handler)
try:
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    plot.update(1)
except KeyboardInterrupt:
    print("interrupted")
"""
    ran = subprocess.run(
        [sys.executable, "-c", AMID_AN_UPDATE + waiting], capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "interrupted\n", "")


# ----------------------------------------------------------------------------------- quick ones


@pytest.fixture
def quick(runtime_folder: Path) -> Any:
    pytest.importorskip("matplotlib")
    from ringbridge.plot import quick

    yield quick
    for each in quick._figures.values():
        each.close(hold=False)
    quick._figures.clear()


def test_threads_that_plot_at_once_share_the_figure(quick: Any) -> None:
    made: list[Plotter] = []
    together = threading.Barrier(8)

    def work() -> None:
        together.wait()
        made.append(plots.line(1.0, figure="shared"))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(set(map(id, made))) == 1 and made[0].updates == 8 and not made[0].closed


def test_a_figure_opened_anew_closes_the_one_before(quick: Any) -> None:
    first = plots.line(1.0)
    first.wait()
    (viewer,) = first.stats()["viewers"]
    second = plots.figure("line", title="anew")
    assert first.closed and not second.closed and plots.line(2.0) is second
    until(lambda: not os.path.exists(f"/proc/{viewer['pid']}"), "the window before is left")


# ------------------------------------------------------------------------------- forked children


class _WaitsToBeEncoded:
    """An array to be, whose update takes until `go`."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def __dlpack_device__(self) -> tuple[int, int]:
        self.begun.set()
        self.go.wait()
        return (1, 0)

    def __dlpack__(self, **options: Any) -> Any:
        return np.zeros(3).__dlpack__(**options)


def test_an_update_in_a_child_forked_amid_one_is_refused(make_plot: MakePlot) -> None:
    plot = make_plot(launch=False)
    value = _WaitsToBeEncoded()
    thread = threading.Thread(target=plot.update, args=(value,))
    thread.start()
    assert value.begun.wait(20)
    try:
        assert _refused_in_child(lambda: plot.update(1))
    finally:
        value.go.set()
        thread.join()
    assert plot.updates == 1


@pytest.mark.parametrize(
    "use",
    [
        lambda plot: plot.wait(timeout=None),
        lambda plot: plot.snapshot(timeout=None),
        lambda plot: plot.reopen(),
        lambda plot: plot.on_click(print),
        lambda plot: plot.update(1, keep=True),
    ],
    ids=["wait", "snapshot", "reopen", "on", "update"],
)
def test_what_uses_a_plot_in_a_forked_child_is_refused(
    make_plot: MakePlot, use: Callable[[Plotter], object]
) -> None:
    plot = make_plot()
    heard = Heard(plot)
    plot.wait()
    assert _refused_in_child(lambda: use(plot))
    plot.update("goes on")
    assert heard.until_drawn(1)[1] == ["goes on"]
    assert len(heard.made) == 1


def _refused_in_child(use: Callable[[], object]) -> bool:
    """Within ten seconds, as RingbridgeError that says forked."""
    pid = os.fork()
    if pid == 0:
        code = 1
        signal.alarm(10)
        try:
            use()
        except ringbridge.RingbridgeError as error:
            code = 0 if "forked" in str(error) else 2
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1] == 0


# ------------------------------------------------------------- what waits for who does not come


def test_events_that_no_handler_takes_have_a_limit_in_bytes() -> None:
    handlers = Handlers("a plot")
    begun, go = threading.Event(), threading.Event()
    taken = []

    def handler(value: int) -> None:
        begun.set()
        go.wait()
        taken.append(value)

    handlers.add("moved", handler)
    handlers.tell("moved", 0, size=1)
    assert begun.wait(20)
    for value in range(1, 101):
        handlers.tell("moved", value, size=WAITING_BYTES_MAX // 10)
    go.set()
    until(lambda: taken[-1:] == [100], "the newest was not told")
    assert taken == [0, *range(91, 101)] and handlers.dropped == 90
    handlers.tell("moved", 101, size=2 * WAITING_BYTES_MAX)
    until(lambda: taken[-1] == 101, "one that is too large alone was not told")
    handlers.close()


def test_a_handler_that_exits_ends_no_other(caplog: pytest.LogCaptureFixture) -> None:
    handlers = Handlers("a plot")
    taken: list[int] = []

    def handler(value: int) -> None:
        taken.append(value)
        sys.exit(3)

    handlers.add("moved", handler)
    handlers.tell("moved", 1)
    handlers.tell("moved", 2)
    until(lambda: taken == [1, 2], "the second was not told")
    handlers.close()
    until(lambda: caplog.text.count("SystemExit: 3") == 2, "they were not logged")


def test_questions_that_nobody_waits_for_are_forgotten(make_plot: MakePlot) -> None:
    plot = make_plot()
    pid = Heard(plot).until_made()
    os.kill(pid, signal.SIGSTOP)
    for _ in range(20):
        with pytest.raises(ringbridge.CallTimeout):
            plot.wait(0.01)
    (viewer,) = plot._audience.viewers
    until(lambda: len(viewer._asked) <= 1, lambda: f"{len(viewer._asked)} are left")
    os.kill(pid, signal.SIGCONT)


class _SlowPicture:
    """A plot whose viewer answers the first question late."""

    closed = False
    updates = 1

    def __init__(self) -> None:
        self.asked, self.go = threading.Event(), threading.Event()

    def picture(self, _kind: str, timeout: float) -> bytes:
        if self.asked.is_set():
            return b"last"
        self.asked.set()
        self.go.wait()
        raise ViewerError("late")


def test_the_last_picture_does_not_wait_for_one_before() -> None:
    plot: Any = _SlowPicture()
    pictures: list[bytes] = []
    shown = Shown(lambda png: png, pictures.append)
    thread = threading.Thread(target=shown._look, args=(plot, 1e6))
    thread.start()
    assert plot.asked.wait(20)
    finishing = threading.Thread(target=shown.finish, args=(plot,), daemon=True)
    finishing.start()
    finishing.join(20)
    assert not finishing.is_alive() and pictures == [b"last"]
    plot.go.set()
    thread.join()
    assert pictures == [b"last"]
