# SPDX-License-Identifier: MIT
"""A viewer's process without a window (Agg), and a bare computation: what it draws and tells."""

from __future__ import annotations

import io
import signal
from pathlib import Path

import pytest
from rbr_testing.bare_computation import (
    BareComputation,
    cells,
    ended,
    grey,
    interrupt,
    view,
    viewed,
)
from rbr_testing.eventually import until
from rbr_testing.pyplot_scripts import scripted

from ringbridge.plot.letters import Kind

np = pytest.importorskip("numpy")
pytest.importorskip("matplotlib")
HERE = Path(__file__).resolve().parent
pytestmark = pytest.mark.usefixtures("runtime_folder")


# ------------------------------------------------------------------------------- what is drawn


def test_a_snapshot_has_the_pixels_of_the_frame() -> None:
    with viewed(view=view("Wave")) as (there, _):
        for seed in (1, 2):
            array = cells(seed)
            shot = there.ask("snapshot", there.update(array))
            assert shot.dtype == "u1"
            assert np.abs(shot.astype(int) - grey(array)).max() <= 1


def test_a_picture_is_what_savefig_writes() -> None:
    from matplotlib.image import imread

    with viewed(view=view("Wave")) as (there, _):
        array = cells(3)
        number = there.update(array)
        png = there.ask("picture", number, "png", {})
        read = np.round(imread(io.BytesIO(png)) * 255).astype(int)
        assert np.abs(read - grey(array)).max() <= 1
        assert there.ask("picture", number, "pdf", {}).startswith(b"%PDF")
        assert b"<svg" in there.ask("picture", number, "svg", {"transparent": True})
        twice = imread(io.BytesIO(there.ask("picture", number, "png", {"dpi": 200})))
        assert twice.shape == (60, 80, 4)
        # The picture was drawn twice as large; what is shown is not.
        assert there.ask("snapshot", number).shape == (30, 40, 4)


def test_a_figure_is_chosen_by_its_index() -> None:
    with viewed(view=view("Several")) as (there, _):
        number = there.update(np.arange(5.0))
        assert there.ask("snapshot", number).shape == (300, 400, 4)
        assert there.ask("snapshot", number, {"figure": 1}).shape == (200, 200, 4)
        good, why = there.answer_to("snapshot", number, {"figure": 2})
        assert not good
        assert "2 figures" in why


@pytest.mark.parametrize("name", ["Bare", "Forgotten"])
def test_a_figure_that_pyplot_does_not_know_is_drawn(name: str) -> None:
    with viewed(view=view(name)) as (there, _):
        before = there.ask("snapshot", there.update(""))
        assert before.shape == (200, 300, 4)
        assert (there.ask("snapshot", there.update("a title")) != before).any()


def test_pictures_are_of_the_figure_that_draw_has_made_last() -> None:
    with scripted("Lazy", {}, hold=True) as (there, process):
        for blue in (0.0, 1.0):
            shot = there.ask("snapshot", there.keep("anew", 0.0, 1.0, blue))
            assert shot[5, 5].tolist() == [0, 255, int(blue) * 255, 255]
        good, why = there.answer_to("snapshot", 1, {"figure": 1})
        assert (good, why) == (False, "the view has 1 figures, and no number 1")
        there.end(hold=True)
        assert ended(process) == (0, "")


def test_all_kept_frames_are_drawn_in_order_and_none_twice() -> None:
    with viewed(view=view("Recorder"), rate=0.0) as (there, process):
        kept = []
        for index in range(300):
            if index % 3 == 0:
                kept.append(there.keep(index, more=[index]))
            else:
                there.update(index, more=[index])
        there.end()
        there.hear_end()
        drawn = [each.values for each in there.heard if each.kind is Kind.EVENT]
        numbers = [number for _, number, _, _ in drawn]
        assert numbers == sorted(set(numbers))
        assert set(kept) <= set(numbers)
        assert numbers[-1] == 300
        assert all(
            (values, named) == ([number - 1], {"more": [number - 1]})
            for _, number, values, named in drawn
        )
        assert ended(process) == (0, "")


def test_between_two_draws_is_the_time_that_the_rate_says() -> None:
    import time

    with viewed(view=view("Recorder"), rate=20.0) as (there, _):
        there.ask("drawn", there.keep(0))
        begun = time.monotonic()
        for index in range(10):
            there.keep(index)
        there.ask("drawn", 11)
        assert time.monotonic() - begun >= 9 / 20


def test_frames_that_outgrow_the_memory_are_drawn_too() -> None:
    with viewed(view=view("Recorder")) as (there, _):
        for size in (1, 10_000, 10_000_000):
            there.ask("drawn", there.update(bytes(size)))
            event = there.hear(Kind.EVENT, "drawn")
            assert event.values[2] == [bytes(size)]


def test_a_viewer_that_joins_late_gets_the_newest_frame() -> None:
    there = BareComputation(view=view("Recorder"))
    there.publisher.update_kept("kept before")
    assert there.publisher.take_kept() is not None
    there.publisher.update("newest")
    process = there.start()
    with process:
        try:
            there.let_in()
            assert there.hear(Kind.EVENT, "drawn").values[1:3] == (2, ["newest"])
            there.keep("later")
            assert there.hear(Kind.EVENT, "drawn").values[1:3] == (3, ["later"])
        finally:
            process.kill()
            there.close()


def test_settings_of_the_viewer_come_before_what_the_computation_says() -> None:
    settings = {"view": view("Recorder"), "rate": 0.0}
    with viewed(view=view("BrokenInit"), rate=0.001, settings=settings) as (there, _):
        for index in range(5):  # at a thousandth of a frame a second it would take an hour
            there.ask("drawn", there.keep(index))
        assert there.knock["name"] == "a test"


# ---------------------------------------------------------------------------------- where it ends


def test_it_ends_with_the_computation() -> None:
    with viewed(view=view("Recorder")) as (there, process):
        there.ask("drawn", there.update(1))
        there.close()
        assert process.communicate(timeout=40) == ("the view was closed\n", "")
        assert process.returncode == 0


def test_what_was_published_before_the_end_is_drawn() -> None:
    with viewed(view=view("Recorder")) as (there, process):
        there.keep(1)
        there.keep(2)
        there.update(3)
        there.end()
        there.hear_end()
        assert [each.values[1] for each in there.heard] == [1, 2, 3]
        assert ended(process)[0] == 0


def test_without_a_window_there_is_nothing_to_hold() -> None:
    with viewed(view=view("Wave"), hold=True) as (there, process):
        there.update(cells(1))
        there.end(hold=True)
        assert ended(process)[0] == 0


def test_ctrl_c_ends_it() -> None:
    with viewed(view=view("Recorder")) as (there, process):
        there.ask("drawn", there.update(1))
        interrupt(process)
        assert there.hear(Kind.GONE).values == ("closed",)
        assert ended(process) == (130, "")


def test_the_second_ctrl_c_ends_a_view_that_does_not_come_back() -> None:
    with viewed(view=view("Stuck")) as (there, process):
        there.update()
        there.hear(Kind.EVENT, "stuck")
        interrupt(process)
        # Two signals at once are one: the second is sent when the first has been taken.
        blocked = Path(f"/proc/{process.pid}/status")
        until(lambda: _pending(blocked) == 0, "the first signal is taken")
        interrupt(process)
        assert there.hear(Kind.GONE).values == ("closed",)
        assert ended(process)[0] == 130


def _pending(status: Path) -> int:
    """Whether SIGINT waits for the process to take it."""
    sets = [line.split()[1] for line in status.read_text().splitlines() if "Pnd" in line]
    return sum(int(each, 16) & 1 << signal.SIGINT - 1 for each in sets)


def test_a_viewer_that_was_stopped_goes_on_with_the_newest() -> None:
    with viewed(view=view("Recorder")) as (there, process):
        there.ask("drawn", there.update(1))
        process.send_signal(signal.SIGSTOP)
        for index in range(2, 2000):
            there.update(index)
        process.send_signal(signal.SIGCONT)
        there.ask("drawn", 1999)
        drawn = [each.values[1] for each in there.heard if each.kind is Kind.EVENT]
        assert drawn[0] == 1
        assert drawn[-1] == 1999
        assert len(drawn) < 1000


def test_it_sleeps_where_nothing_is_to_be_drawn() -> None:
    with viewed(view=view("Recorder")) as (there, process):
        there.ask("drawn", there.update(1))
        until(lambda: _state(process.pid) == "S", "it sleeps")
        before = _switches(process.pid)
        until(lambda: there.publisher.number == 1)
        import time

        time.sleep(0.5)  # not for something to happen: for nothing to
        assert _switches(process.pid) - before <= 4  # the timer after the draw is one of them


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _switches(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
