# SPDX-License-Identifier: MIT
"""Plotter: what is drawn, in which order, and what comes back. Who dies meanwhile: *_lives."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rbr_testing.eventually import until
from rbr_testing.plots import SLOW, TELLER, Heard, MakePlot, SlowTeller, described

import ringbridge
from ringbridge.plot import Plotter, Ready, ViewerError

HERE = Path(__file__).resolve().parent


# --------------------------------------------------------------------------------- what is drawn


def test_values_and_named_ones_arrive_as_they_are(make_plot: MakePlot) -> None:
    plot = make_plot()
    heard = Heard(plot)
    image = np.random.default_rng(1).random((300, 200))
    strided = np.arange(60, dtype="int16").reshape(6, 10)[::2, ::-1]
    plot.update(1, "zwei", None, [3.5], image, label={"a": (1, 2)}, part=strided)
    _, values, named = heard.until_drawn(1)
    assert values == [1, "zwei", None, [3.5], described(image)]
    assert named == {"label": {"a": (1, 2)}, "part": described(strided)}


def test_the_newest_frame_wins_and_none_is_drawn_twice_or_late(make_plot: MakePlot) -> None:
    plot = make_plot(SLOW)
    heard = Heard(plot)
    plot.wait()
    for step in range(20_000):
        plot.update(step)
    plot.wait()
    last = heard.until_drawn(20_000)
    numbers = heard.numbers()
    assert last[1] == [19_999]
    assert numbers == sorted(set(numbers)) and len(numbers) < 10_000
    (counts,) = plot.stats()["viewers"]
    assert (counts["drawn"], counts["drawn"] + counts["dropped"]) == (
        len(numbers),
        20_000 - numbers[0] + 1,
    )


def test_kept_frames_are_all_drawn_in_order_amid_others(make_plot: MakePlot) -> None:
    plot = make_plot(SLOW)
    heard = Heard(plot)
    plot.wait()
    kept = set()
    for step in range(1, 601):
        plot.update(step, keep=step % 20 == 0)
        if step % 20 == 0:
            kept.add(step)
    plot.wait()
    heard.until_drawn(600)
    numbers = heard.numbers()
    assert numbers == sorted(set(numbers)) and kept <= set(numbers)
    assert plot.stats()["kept"] == 30


def test_frames_that_outgrow_their_memory_are_drawn(make_plot: MakePlot) -> None:
    plot = make_plot()
    heard = Heard(plot)
    for exponent in range(8):
        array = np.arange(4**exponent * 100, dtype="float32")
        plot.update(array)
        plot.wait()
        assert heard.until_drawn(exponent + 1)[1] == [described(array)]


def test_draws_come_no_quicker_than_the_rate(make_plot: MakePlot) -> None:
    plot = make_plot(rate=5.0)
    heard = Heard(plot)
    plot.wait()
    begun = plot.stats()["updates"]
    for _ in range(3):
        for step in range(1000):
            plot.update(step)
        plot.wait()  # for a draw, that is, which comes 0.2 s after the one before at the earliest
    assert begun == 0 and len(heard.numbers()) <= 7


def test_a_viewer_that_starts_late_draws_the_newest(make_plot: MakePlot) -> None:
    plot = make_plot(launch=False)
    heard = Heard(plot)
    assert not plot.open and plot.viewers == 0
    for step in range(5):
        plot.update(step, keep=step == 2)
    plot.reopen()
    assert plot.open
    plot.wait()
    assert heard.until_drawn(5)[1] == [4]
    assert heard.numbers() == [5]


def test_threads_that_update_take_turns(make_plot: MakePlot) -> None:
    plot = make_plot()
    heard = Heard(plot)
    array = np.zeros(200_000)

    def work() -> None:
        for _ in range(50):
            plot.update(array)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    plot.wait()
    assert heard.until_drawn(200)[1] == [described(array)]
    assert plot.stats()["updates"] == 200


# ------------------------------------------------------------------------------------- the view


def test_a_class_of_the_callers_is_sent_as_source(make_plot: MakePlot) -> None:
    plot = make_plot(SlowTeller, paths=())
    heard = Heard(plot)
    plot.update(np.arange(3))
    assert heard.until_drawn(1)[1] == [described(np.arange(3))]


@pytest.mark.parametrize(
    ("view", "reason"),
    [
        ("no_such_module_xyz:View", "finds no module 'no_such_module_xyz'"),
        ("rbr_testing.plots:Tellerr", "Tellerr"),
        ("rbr_testing.broken_import:View", "does not want to be imported"),
    ],
)
def test_a_view_that_is_not_there_is_told_and_logged_once(
    make_plot: MakePlot, caplog: pytest.LogCaptureFixture, view: str, reason: str
) -> None:
    plot = make_plot(view)
    heard = Heard(plot)
    with pytest.raises(ViewerError, match=reason):
        plot.wait()
    heard.until_closed()
    plot.update(1)  # the computation goes on
    warnings = [each for each in caplog.records if each.levelname == "WARNING"]
    assert len(warnings) == 1 and reason in warnings[0].getMessage()
    assert "reopen()" in warnings[0].getMessage()


def test_a_view_that_raises_in_a_draw_tells_its_traceback(make_plot: MakePlot) -> None:
    plot = make_plot(Picky)
    plot.update(1)
    plot.wait()
    plot.update("two")
    with pytest.raises(ViewerError, match=r"could not draw frame 2(.|\n)*cannot draw 'two'"):
        plot.wait()
    with pytest.raises(ViewerError, match="cannot draw 'two'"):
        plot.snapshot()


class Picky:
    def draw(self, value: Any) -> None:
        if not isinstance(value, int):
            raise ValueError(f"cannot draw {value!r}")


@pytest.mark.parametrize("view", ["views", "views:", ":Wave", "a b:C", "views:Wave()"])
def test_a_view_that_cannot_be_one_is_refused_at_once(runtime_folder: Path, view: str) -> None:
    with pytest.raises(ValueError, match="'module:Class'"):
        Plotter(view)


def test_wrong_options_are_refused_at_once(runtime_folder: Path) -> None:
    with pytest.raises(TypeError, match="not int"):
        Plotter(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="rate must be 0 or more"):
        Plotter(TELLER, rate=-1)
    with pytest.raises(ValueError, match="not both"):
        Plotter(TELLER, python=sys.executable, command=[sys.executable, "-c"])
    with pytest.raises(TypeError, match="a list of str"):
        Plotter(TELLER, command="python -c")
    with pytest.raises(ValueError, match="a ready view is one of line"):
        Plotter(Ready("pie"))
    with pytest.raises(ringbridge.EnvironmentNotFound):
        Plotter(TELLER, python="/no/such/python")
    with pytest.raises(ValueError, match="a plot's name"):
        Plotter(TELLER, name="a/b")
    assert os.listdir(runtime_folder) in ([], ["ringbridge"])


def test_two_plots_of_one_name_are_refused(make_plot: MakePlot) -> None:
    make_plot(name="wave", launch=False)
    with pytest.raises(ringbridge.RingbridgeError, match="serves as 'wave' already"):
        make_plot(name="wave", launch=False)


# ------------------------------------------------------------------------------- what comes back


def test_a_command_line_of_the_users_draws(make_plot: MakePlot) -> None:
    plot = make_plot(command=[sys.executable, "-B", "-c"], environ={"PYTHONPATH": str(HERE)})
    heard = Heard(plot)
    plot.update(1)
    plot.wait()
    assert heard.until_drawn(1)[1] == [1]


def test_another_interpreter_draws(make_plot: MakePlot, other_pythons: list[str]) -> None:
    if not other_pythons:
        pytest.skip("no other interpreter: RBR_TEST_PYTHONS")
    plot = make_plot(python=other_pythons[0])
    heard = Heard(plot)
    image = np.ones((100, 100))
    plot.update(image)
    assert heard.until_drawn(1)[1] == [described(image)]
    assert heard.made[0][2] != sys.version_info[:2]


def test_events_come_to_their_handlers_and_a_bad_handler_hurts_none(
    make_plot: MakePlot, caplog: pytest.LogCaptureFixture
) -> None:
    plot = make_plot()
    seen: list[tuple[Any, ...]] = []
    done = threading.Event()

    @plot.on_click
    def clicked(event: Any) -> None:
        raise RuntimeError("a bad handler")

    plot.on("drawn", lambda *told: (seen.append(told), done.set()))
    plot.on("drawn", lambda *told: 1 / 0)
    plot.update(7)
    assert done.wait(30.0) and seen == [(1, [7], {})]
    plot.update(8)
    plot.wait()
    assert clicked is not None
    until(lambda: "ZeroDivisionError" in caplog.text, "the bad handler was not logged")
    assert "a handler of 'drawn' in the plot" in caplog.text


def test_a_handler_may_wait_for_the_plot_it_belongs_to(make_plot: MakePlot) -> None:
    plot = make_plot()
    done: list[Any] = []
    told = threading.Event()

    def drawn(number: int, *_rest: Any) -> None:
        if number == 1:
            plot.update("from the handler")
            plot.wait()
            done.append(plot.stats()["updates"])
            told.set()

    plot.on("drawn", drawn)
    plot.update("first")
    assert told.wait(30.0) and done == [2]


def test_what_cannot_cross_is_told_where_it_is_and_changes_nothing(make_plot: MakePlot) -> None:
    plot = make_plot()
    heard = Heard(plot)
    with pytest.raises(ringbridge.CannotCross, match=r"kwargs\['f'\]"):
        plot.update(1, f=lambda: None)
    with pytest.raises(ringbridge.CannotCross, match=r"args\[0\]\['x'\]"):
        plot.update({"x": object()}, keep=True)
    plot.update(2)
    assert heard.until_drawn(1)[1] == [2]


def test_options_that_cannot_cross_are_refused_and_hurt_nothing(make_plot: MakePlot) -> None:
    plot = make_plot()
    heard = Heard(plot)
    with pytest.raises(ringbridge.CannotCross, match="object"):
        plot.snapshot(odd=object())
    with pytest.raises(ringbridge.CannotCross, match="title"):
        make_plot(Ready("line", {"title": object()}))
    plot.update(1)
    plot.wait()
    assert heard.until_drawn(1)[1] == [1]


def test_without_a_viewer_questions_say_so(make_plot: MakePlot) -> None:
    plot = make_plot(launch=False)
    for ask in (plot.wait, plot.snapshot, lambda: plot.save("x.png")):
        with pytest.raises(ViewerError, match="it has no viewer"):
            ask()
    with pytest.raises(ValueError, match="end it with"):
        plot.save("picture")


def test_a_closed_plot_says_so(make_plot: MakePlot) -> None:
    plot = make_plot()
    plot.close()
    plot.close()
    assert plot.closed and plot.viewers == 0 and "closed" in repr(plot)
    for use in (lambda: plot.update(1), plot.reopen, plot.wait):
        with pytest.raises(ringbridge.RingbridgeError, match="closed"):
            use()


@pytest.mark.seconds(120)
def test_pictures_of_a_figure_come_back(make_plot: MakePlot, tmp_path: Path) -> None:
    plot = make_plot(Ready("image", {"title": "a picture"}), environ={"MPLBACKEND": "Agg"})
    plot.update(np.arange(100.0).reshape(10, 10))
    first = plot.snapshot()
    plot.update(np.arange(100.0)[::-1].reshape(10, 10))
    second = plot.snapshot()
    assert first.dtype == np.uint8 and first.ndim == 3 and first.shape[2] == 4
    assert first.shape == second.shape and not np.array_equal(first, second)
    for kind, head in ((".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")):
        plot.save(tmp_path / f"picture{kind}", dpi=50)
        assert (tmp_path / f"picture{kind}").read_bytes().startswith(head)
    with pytest.raises(ViewerError, match="xyz"):
        plot.save(tmp_path / "picture.xyz")
    plot.wait()
