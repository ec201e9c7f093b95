# SPDX-License-Identifier: MIT
"""A viewer's process with windows of Qt's: matplotlib and pyqtgraph, widgets, what a user does."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import THERE
from rbr_testing import pyplot_scripts
from rbr_testing.bare_computation import BareComputation, ended, interrupt, viewed
from rbr_testing.screens import screen

from ringbridge.plot.letters import Kind

np = pytest.importorskip("numpy")
pytest.importorskip("matplotlib")


@pytest.fixture(autouse=True)
def runtime_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="rbr-") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        os.chmod(folder, 0o700)
        yield


@contextlib.contextmanager
def showing(name: str, **welcome: Any) -> Iterator[tuple[BareComputation, Any]]:
    """A viewer with one of plot_widgets' views; matplotlib chooses its back end by itself."""
    spec = {"module": "plot_widgets", "class": name, "paths": [str(THERE)]}
    with viewed(view=spec, environ={"MPLBACKEND": None}, **welcome) as both:
        yield both


def title(there: BareComputation) -> tuple[str, bool]:
    there.keep("title")
    return there.hear(Kind.EVENT, "title").values[1:]


# ------------------------------------------------------------------------------------- matplotlib


def test_a_figure_is_shown_with_its_title_and_painted() -> None:
    with showing("Figure", title="Waves") as (there, _):
        number = there.keep("colour", 1.0, 0.0, 0.5)
        shot = there.ask("snapshot", number)
        assert shot[100, 100].tolist() == [255, 0, 128, 255]
        assert shot[100, -100].tolist() == [255, 255, 255, 255]
        assert title(there) == ("Waves", True)


def test_every_change_is_painted_however_quick_the_frames_are() -> None:
    with showing("Figure", rate=0.0) as (there, _):
        last = 0
        for index in range(60):
            last = there.keep("colour", index / 60, 0.0, 0.0)
        painted = [there.hear(Kind.EVENT, "painted").values[1]]
        while painted[-1] != last:
            painted.append(there.hear(Kind.EVENT, "painted").values[1])
        assert painted == sorted(set(painted))
        assert len(painted) > 5


def test_a_picture_leaves_the_window_as_it_is() -> None:
    from matplotlib.image import imread

    with showing("Figure") as (there, _):
        number = there.keep("colour", 0.0, 1.0, 0.0)
        before = there.ask("snapshot", number)
        png = imread(io.BytesIO(there.ask("picture", number, "png", {"dpi": 200})))
        assert png.shape[0] == 800
        assert (there.ask("snapshot", number) == before).all()


def test_a_click_in_a_figure_tells_where() -> None:
    with showing("Figure") as (there, _):
        there.ask("snapshot", there.keep("colour", 1.0, 1.0, 1.0))
        there.keep("click", 30, 40)
        (_, told) = there.hear(Kind.EVENT, "click").values
        assert (told["x"], told["y"], told["button"], told["figure"]) == (30, 40, 1, 0)
        assert (told["axes"], told["double"]) == (0, False)
        assert 0 < told["xdata"] < 0.2
        assert 0.8 < told["ydata"] < 1
        there.keep("click", 590, 40)
        assert there.hear(Kind.EVENT, "click").values[1]["axes"] == 1


def test_a_key_in_a_figure_is_told() -> None:
    with showing("Figure") as (there, _):
        there.keep("type", "k")
        (_, told) = there.hear(Kind.EVENT, "key").values
        assert told == {"key": "k", "modifiers": ["ctrl"], "figure": 0}


def test_a_closed_window_ends_the_viewer() -> None:
    with showing("Figure") as (there, process):
        there.keep("close_it")
        there.hear(Kind.EVENT, "close")
        assert there.hear(Kind.GONE).values == ("closed",)
        assert ended(process)[0] == 0


def test_of_several_windows_the_last_one_ends_the_viewer() -> None:
    with showing("TwoFigures", title="T") as (there, process):
        assert title(there)[0] == "T: one"
        there.keep("close_it")
        there.keep("next_one")
        assert title(there) == ("T: two", True)
        there.keep("close_it")
        assert there.hear(Kind.GONE).values == ("closed",)
        assert ended(process)[0] == 0


def test_canvases_in_a_window_of_the_views_are_drawn() -> None:
    with showing("Embedded", title="mine") as (there, _):
        number = there.keep("text", "")
        before = [there.ask("snapshot", number, {"figure": index}) for index in (0, 1)]
        number = there.keep("text", "words")
        for index in (0, 1):
            assert (there.ask("snapshot", number, {"figure": index}) != before[index]).any()
        while there.hear(Kind.EVENT, "painted").values[1] < number:
            pass
        assert title(there) == ("mine", True)
        there.keep("click", 30, 20)
        told = there.hear(Kind.EVENT, "click").values[1]
        assert (told["x"], told["y"], told["figure"], told["axes"]) == (30, 20, 1, 0)
        there.ask("drawn", there.keep("title"))
        assert not [each for each in there.heard if each.values[0] == "click"]  # told once


# ------------------------------------------------------------------------------ pyqtgraph, widgets


def test_a_graph_of_pyqtgraph_is_drawn() -> None:
    pytest.importorskip("pyqtgraph")
    with showing("Graph", title="graph") as (there, process):
        before = there.ask("snapshot", there.keep("curve_of", np.zeros(2)))
        shot = there.ask("snapshot", there.keep("curve_of", np.full(10, 0.5)))
        assert shot.shape == before.shape == (300, 600, 4)
        assert _yellow(shot) > _yellow(before) + 50
        assert there.ask("picture", 2, "png", {}).startswith(b"\x89PNG")
        good, why = there.answer_to("picture", 2, "pdf", {})
        assert not good
        assert "png" in why
        assert title(there) == ("graph", True)
        there.keep("close_it")
        assert there.hear(Kind.GONE).values == ("closed",)
        assert ended(process)[0] == 0


def _yellow(shot: Any) -> int:
    red, green, blue = (shot[..., i].astype(int) for i in range(3))
    return int(((red > 150) & (green > 150) & (blue < 100)).sum())


def test_a_click_in_pyqtgraph_tells_where_in_the_data() -> None:
    pytest.importorskip("pyqtgraph")
    with showing("Graph") as (there, _):
        there.ask("snapshot", there.keep("curve_of", np.zeros(2)))
        there.keep("click", 450, 150)
        (_, told) = there.hear(Kind.EVENT, "click").values
        assert (told["x"], told["y"], told["axes"], told["modifiers"]) == (450, 150, 1, ["shift"])
        assert 3 < told["xdata"] < 7
        assert 0.3 < told["ydata"] < 0.7


def test_a_widget_is_a_window_with_events_of_its_own() -> None:
    with showing("Panel", title="panel") as (there, _):
        there.keep("slide", 42)
        assert there.hear(Kind.EVENT, "slider").values == ("slider", 42)
        there.keep("type", "a")
        told = there.hear(Kind.EVENT, "key").values[1]
        assert (told["key"], told["modifiers"]) == ("a", ["ctrl"])
        there.keep("click", 3, 5)
        told = there.hear(Kind.EVENT, "click").values[1]
        assert (told["x"], told["y"], told["axes"]) == (23, 15, None)
        assert there.ask("snapshot", 3).shape == (100, 200, 4)
        twice = [each.values for each in there.heard if each.values[0] in ("click", "key")]
        assert not twice  # the parents, which get what a child does not want, have told nothing


def test_a_window_that_refuses_to_close_goes_on() -> None:
    with showing("Panel") as (there, process):
        there.keep("close_it")
        there.hear(Kind.EVENT, "asked")
        assert title(there)[1]
        there.keep("close_it")
        assert there.hear(Kind.GONE).values == ("closed",)
        assert ended(process)[0] == 0


# ----------------------------------------------------------------------------------------- the loop


@pytest.mark.parametrize("name", ["Figure", "Panel"])
def test_a_held_window_stays_until_the_user_closes_it(name: str) -> None:
    with showing(name, title="T") as (there, process):
        if name == "Panel":
            there.keep("close_it")
        there.keep("close_when_the_computation_has_ended")
        there.end(hold=True)
        ended_title = ("T (the computation has ended)", True)
        assert there.hear(Kind.EVENT, "title").values[1:] == ended_title
        assert there.hear(Kind.GONE).values == ("closed",)
        assert ended(process)[0] == 0


def test_the_window_goes_with_the_computation() -> None:
    with showing("Figure") as (there, process):
        there.ask("drawn", there.keep("title"))
        there.end()
        there.hear_end()
        assert not [each for each in there.heard if each.kind is Kind.GONE]
        assert ended(process)[0] == 0


def test_a_viewer_holds_where_its_own_setting_says_so() -> None:
    with showing("Figure", settings={"hold": True}) as (there, process):
        there.keep("close_when_the_computation_has_ended")
        there.end(hold=False)
        assert "ended" in there.hear(Kind.EVENT, "title").values[1]
        assert ended(process)[0] == 0


def test_ctrl_c_ends_a_window() -> None:
    with showing("Figure") as (there, process):
        there.ask("drawn", there.keep("title"))
        interrupt(process)
        assert there.hear(Kind.GONE).values == ("closed",)
        assert ended(process)[0] == 130


def test_what_a_slot_raises_ends_nothing() -> None:
    with showing("Panel") as (there, process):
        there.keep("raise_in_a_slot")
        there.hear(Kind.EVENT, "raising")
        there.ask("drawn", there.keep("slide", 7))
        there.end()
        status, said = ended(process)
        assert status == 0
        assert "ValueError: in a slot" in said


def test_a_draw_that_runs_the_loop_draws_each_frame_once_in_order() -> None:
    with showing("Panel", rate=0.0) as (there, _):
        numbers = [there.keep("turn") for _ in range(100)]
        there.ask("drawn", numbers[-1])
        turned = [each.values[1] for each in there.heard if each.values[0] == "turned"]
        assert turned == numbers


@pytest.mark.parametrize("what", ["show", "pause", "flush"])
def test_a_view_that_does_what_scripts_do_hears_letters_all_the_same(what: str) -> None:
    pyplot_scripts.hears_letters_amid(what, {"MPLBACKEND": None})


def test_figures_that_draw_makes_are_windows_too() -> None:
    pyplot_scripts.shows_figures_that_draw_makes({"MPLBACKEND": None})


def test_a_figure_that_draw_makes_is_a_window_of_a_screen() -> None:
    """There Qt's application is made with the first figure, if nobody has made it before."""
    with screen() as display:
        environ = {"MPLBACKEND": None, "DISPLAY": display}
        pyplot_scripts.shows_figures_that_draw_makes(environ)


def test_a_window_that_never_came_holds_nothing() -> None:
    pyplot_scripts.holds_no_window_that_never_came({"MPLBACKEND": None})


def test_a_view_that_ends_the_toolkits_loop_ends_the_viewer() -> None:
    with showing("Figure") as (there, process):
        there.keep("quit")
        assert there.hear(Kind.GONE).values == ("closed",)
        assert ended(process)[0] == 0


@pytest.mark.parametrize("name", ["line", "image", "scatter", "histogram"])
def test_ready_views_have_windows(name: str) -> None:
    spec = {"ready": name, "options": {"title": "ready"}}
    with viewed(view=spec, environ={"MPLBACKEND": "qtagg"}) as (there, process):
        frame = np.random.default_rng(1).random((50, 2))
        shot = there.ask("snapshot", there.update(frame))
        assert shot[..., :3].std() > 5
        there.end()
        assert ended(process)[0] == 0


def test_the_users_choice_of_a_back_end_counts(tmp_path: Path) -> None:
    """Agg, though there is a screen."""
    spec = {"ready": "line", "options": {}}
    with viewed(view=spec, environ={"MPLBACKEND": "Agg"}) as (there, process):
        there.ask("snapshot", there.update(1.0))
        there.end(hold=True)  # without a window there is nothing to hold
        assert ended(process)[0] == 0
