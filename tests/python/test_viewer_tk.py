# SPDX-License-Identifier: MIT
"""A viewer's process with windows of Tk's, on a screen of its own (Xvfb)."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rbr_testing import pyplot_scripts
from rbr_testing.bare_computation import TESTS, BareComputation, ended, interrupt, viewed
from rbr_testing.screens import screen

from ringbridge.plot.letters import Kind

np = pytest.importorskip("numpy")
pytest.importorskip("matplotlib")
pytest.importorskip("tkinter", reason="this Python has no tkinter")
pytestmark = pytest.mark.usefixtures("runtime_folder")


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    with screen() as display:
        yield display


def _environ(display: str) -> dict[str, str | None]:
    return {"MPLBACKEND": "TkAgg", "DISPLAY": display, "QT_QPA_PLATFORM": None}


@contextlib.contextmanager
def showing(
    display: str,
    name: str,
    command: list[str] | None = None,
    own: dict[str, str] | None = None,
    **welcome: Any,
) -> Iterator[tuple[BareComputation, Any]]:
    spec = {"module": "rbr_testing.plot_tk_views", "class": name, "paths": [str(TESTS)]}
    environ = {**_environ(display), **(own or {})}
    with viewed(view=spec, environ=environ, command=command, **welcome) as both:
        yield both


def title(there: BareComputation) -> tuple[str, bool]:
    there.keep("title")
    return there.hear(Kind.EVENT, "title").values[1:]


@pytest.mark.parametrize("name", ["Figure", "Bare"])
def test_a_figure_is_shown_and_painted(display: str, name: str) -> None:
    with showing(display, name, title="Waves") as (there, _):
        number = there.keep("colour", 1.0, 0.0, 0.0)
        shot = there.ask("snapshot", number)
        assert shot.shape[2] == 4
        assert shot[50, 50].tolist() == [255, 0, 0, 255]
        there.keep("on_screen")
        assert there.hear(Kind.EVENT, "on screen").values[1:] == (255, 0, 0)
        assert title(there) == ("Waves", True)


@pytest.mark.parametrize("name", ["Figure", "Bare", "Panel"])
def test_a_closed_window_ends_the_viewer(display: str, name: str) -> None:
    with showing(display, name) as (there, process):
        assert title(there)[1]
        there.keep("close_it")
        there.hear(Kind.EVENT, "close")
        assert there.hear(Kind.GONE).values == ("closed",)
        assert ended(process) == (0, "")


def test_of_several_windows_the_last_one_ends_the_viewer(display: str) -> None:
    with showing(display, "TwoFigures", title="T") as (there, process):
        assert title(there) == ("T: one", True)
        there.keep("close_it")
        there.keep("next_one")
        assert title(there) == ("T: two", True)
        there.keep("close_it")
        assert there.hear(Kind.GONE).values == ("closed",)
        assert ended(process) == (0, "")


def test_a_window_keeps_its_own_title_when_another_is_closed(display: str) -> None:
    with showing(display, "TwoFigures", title="T") as (there, process):
        there.keep("close_it")
        there.keep("next_one")
        there.keep("close_when_the_computation_has_ended")
        there.end(hold=True)
        told = there.hear(Kind.EVENT, "title").values[1:]
        assert told == ("T: two (the computation has ended)", True)
        assert ended(process) == (0, "")


def test_tk_paints_however_quick_the_frames_are(display: str) -> None:
    """It does so when it is idle, which it never was while descriptors were ready."""
    with showing(display, "Panel", rate=0.0) as (there, _):
        last = 0
        for index in range(200):
            last = there.keep("text", str(index))
        idle = [there.hear(Kind.EVENT, "idle").values[1]]
        while idle[-1] != last:
            idle.append(there.hear(Kind.EVENT, "idle").values[1])
        assert idle == list(range(1, last + 1))


def test_a_click_in_a_figure_tells_where(display: str) -> None:
    with showing(display, "Figure") as (there, _):
        height = there.ask("snapshot", there.keep("colour", 1.0, 1.0, 1.0)).shape[0]
        there.keep("click", 20, 30)
        told = there.hear(Kind.EVENT, "click").values[1]
        assert (told["x"], told["y"], told["button"], told["axes"]) == (20, 30, 1, 0)
        assert told["ydata"] == pytest.approx(1 - 30 / height, abs=0.01)


@pytest.mark.parametrize("name", ["Figure", "Panel"])
def test_a_key_is_told_with_what_is_held(display: str, name: str) -> None:
    with showing(display, name) as (there, _):
        there.keep("type", "k")
        told = there.hear(Kind.EVENT, "key").values[1]
        assert (told["key"], told["modifiers"]) == ("k", ["ctrl"])


def test_a_click_in_a_window_of_the_views_tells_where(display: str) -> None:
    with showing(display, "Panel") as (there, _):
        there.keep("click", 20, 30)
        told = there.hear(Kind.EVENT, "click").values[1]
        assert told == {"x": 20, "y": 30, "button": 1, "double": False, "modifiers": []}


def test_a_window_of_the_views_has_a_picture(display: str) -> None:
    pytest.importorskip("PIL")
    with showing(display, "Panel") as (there, _):
        title(there)  # it is on the screen by now
        shot = there.ask("snapshot", 1)
        assert shot.shape == (100, 200, 4)
        assert shot[5, 5].tolist() == [0, 255, 0, 255]
        assert there.ask("picture", 1, "png", {}).startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["Figure", "Panel"])
def test_a_held_window_stays_until_the_user_closes_it(display: str, name: str) -> None:
    with showing(display, name, title="T") as (there, process):
        there.keep("close_when_the_computation_has_ended")
        there.end(hold=True)
        told = there.hear(Kind.EVENT, "title").values[1:]
        assert told == ("T (the computation has ended)", True)
        assert there.hear(Kind.GONE).values == ("closed",)
        assert ended(process) == (0, "")


@pytest.mark.parametrize("name", ["Figure", "TwoFigures", "Panel"])
def test_the_window_goes_with_the_computation(display: str, name: str) -> None:
    with showing(display, name) as (there, process):
        there.ask("drawn", there.keep("title"))
        there.end()
        there.hear_end()
        assert ended(process) == (0, "")


def test_a_window_that_cannot_be_shown_is_told(display: str) -> None:
    with showing(display, "Lost") as (there, process):
        assert "TclError" in there.hear(Kind.GONE).values[0]
        assert ended(process)[0] == 1


def test_ctrl_c_ends_a_window(display: str) -> None:
    with showing(display, "Figure") as (there, process):
        there.ask("drawn", there.keep("title"))
        interrupt(process)
        assert there.hear(Kind.GONE).values == ("closed",)
        assert ended(process) == (130, "")


def test_a_draw_that_runs_the_loop_draws_each_frame_once_in_order(display: str) -> None:
    with showing(display, "Panel", rate=0.0) as (there, _):
        numbers = [there.keep("turn") for _ in range(100)]
        there.ask("drawn", numbers[-1])
        turned = [each.values[1] for each in there.heard if each.values[0] == "turned"]
        assert turned == numbers


@pytest.mark.parametrize("what", ["show", "pause", "flush"])
def test_a_view_that_does_what_scripts_do_hears_letters_all_the_same(
    display: str, what: str
) -> None:
    """Letters that come meanwhile wait; Tk's update() never ended while they were watched."""
    pyplot_scripts.hears_letters_amid(what, _environ(display))


def test_figures_that_draw_makes_are_windows_too(display: str) -> None:
    pyplot_scripts.shows_figures_that_draw_makes(_environ(display))


def test_a_window_that_never_came_holds_nothing(display: str) -> None:
    pyplot_scripts.holds_no_window_that_never_came(_environ(display))


def test_pyplot_that_draws_by_itself_draws_each_frame_once_all_the_same(display: str) -> None:
    with showing(display, "Interactive") as (there, _):
        title(there)  # its window is there
        there.keep("count_draws")
        for index in range(20):
            there.ask("drawn", there.keep("colour", index / 20, 0.0, 0.0))
        there.keep("drawn")
        assert there.hear(Kind.EVENT, "drawn").values == ("drawn", 20)


def test_it_runs_in_ipython_with_pylab(display: str, tmp_path: Path) -> None:
    pytest.importorskip("IPython")
    command = [sys.executable, "-m", "IPython", "--pylab=tk", "-c"]
    own = {"IPYTHONDIR": str(tmp_path)}
    with showing(display, "Figure", command=command, own=own, title="pylab") as (there, process):
        shot = there.ask("snapshot", there.keep("colour", 0.0, 1.0, 0.0))
        assert shot[50, 50].tolist() == [0, 255, 0, 255]
        assert title(there) == ("pylab", True)
        there.end()
        there.hear_end()
        assert "Traceback" not in ended(process)[1]


@pytest.mark.parametrize("name", ["line", "image", "scatter", "histogram"])
def test_ready_views_have_windows(display: str, name: str) -> None:
    environ = {"MPLBACKEND": "TkAgg", "DISPLAY": display}
    with viewed(view={"ready": name, "options": {}}, environ=environ) as (there, process):
        shot = there.ask("snapshot", there.update(np.random.default_rng(1).random((50, 2))))
        assert shot[..., :3].std() > 5
        there.end()
        assert ended(process) == (0, "")
