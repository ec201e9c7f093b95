# SPDX-License-Identifier: MIT
"""A viewer's process without a window (Agg), against a bare computation: what it draws and tells."""

from __future__ import annotations

import io
import linecache
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from rbr_testing import plot_views
from rbr_testing.bare_computation import BareComputation, ended, interrupt, viewed
from rbr_testing.eventually import until

from ringbridge.plot.letters import Kind

np = pytest.importorskip("numpy")
pytest.importorskip("matplotlib")
HERE = Path(__file__).resolve().parent
pytestmark = pytest.mark.usefixtures("runtime_folder")


def view(name: str) -> dict[str, Any]:
    return {"module": "rbr_testing.plot_views", "class": name, "paths": [str(HERE)]}


def grey(array: Any) -> Any:
    """The pixels of a snapshot of Wave that shows it."""
    levels = np.round(np.asarray(array) * 255).astype("u1")
    opaque = np.full_like(levels, 255)
    return np.stack([levels, levels, levels, opaque], axis=-1)


def cells(seed: int) -> Any:
    """One number for each of Wave's pixels; what a colour map of 256 levels keeps exactly."""
    return np.random.default_rng(seed).integers(0, 256, (30, 40)) / 255


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


def test_a_figure_that_pyplot_does_not_know_is_drawn() -> None:
    with viewed(view=view("Bare")) as (there, _):
        before = there.ask("snapshot", there.update(""))
        assert before.shape == (200, 300, 4)
        assert (there.ask("snapshot", there.update("a title")) != before).any()


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


# -------------------------------------------------------------------------- what goes wrong there


def test_a_view_that_cannot_be_made_is_told_with_its_traceback() -> None:
    with viewed(view=view("BrokenInit")) as (there, process):
        (reason,) = there.hear(Kind.GONE).values
        assert "ValueError: no window today" in reason
        assert "plot_views.py" in reason
        assert "viewer.py" not in reason
        status, said = ended(process)
        assert status == 1
        assert "no window today" in said


def test_a_draw_that_raises_is_told_with_its_frame() -> None:
    with viewed(view=view("BrokenDraw"), rate=0.0) as (there, process):
        for value in (1, 2, 3, 4):
            there.keep(value)
        (reason,) = there.hear(Kind.GONE).values
        assert reason.startswith("the view could not draw frame 3\n")
        assert "ZeroDivisionError: three" in reason
        assert ended(process)[0] == 1


def test_a_draw_with_other_arguments_says_which() -> None:
    with viewed(view=view("BrokenDraw")) as (there, process):
        there.update(1, colour="red")
        (reason,) = there.hear(Kind.GONE).values
        assert "TypeError" in reason
        assert "colour" in reason
        assert ended(process)[0] == 1


def test_a_view_that_exits_is_one_that_has_failed() -> None:
    with viewed(view=view("Exits")) as (there, process):
        there.update()
        assert "SystemExit: gone" in there.hear(Kind.GONE).values[0]
        assert ended(process)[0] == 1


def test_a_viewer_that_dies_says_nothing() -> None:
    with viewed(view=view("Dies")) as (there, process):
        there.update()
        there.hear_end()
        assert there.heard == []
        assert ended(process)[0] == -signal.SIGABRT


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"module": "no_such_views", "class": "Wave"}, ["no module 'no_such_views'", "looks in"]),
        ({"module": "rbr_testing.no_such", "class": "Wave"}, ["no module 'rbr_testing.no_such'"]),
        (view("Wav"), ["plot_views.py", "no 'Wav'; is it 'Wave'?"]),
        (view("NoDraw"), ["no method draw"]),
        (view("Any.x"), ["'x'"]),
        (view("os"), ["is module, and no class"]),
        ({"ready": "lines"}, ["'lines'; is it 'line'?", "histogram"]),
        ({"ready": "line", "options": {"colour": 1}}, ["TypeError", "colour"]),
        ({"class": "Wave"}, ["'module'"]),
        ({}, ["'class'"]),
    ],
)
def test_a_view_that_is_not_there_is_told(spec: dict[str, Any], words: list[str]) -> None:
    settings = {"paths": [str(HERE)], **spec} if "module" in spec else spec
    with viewed(view=settings) as (there, process):
        (reason,) = there.hear(Kind.GONE).values
        assert not [word for word in words if word not in reason], reason
        assert ended(process)[0] == 1


def test_a_module_of_the_views_that_is_missing_is_told_as_python_does(tmp_path: Path) -> None:
    (tmp_path / "own_views.py").write_text("import no_such_package\n")
    spec = {"module": "own_views", "class": "View", "paths": [str(tmp_path)]}
    with viewed(view=spec) as (there, _):
        (reason,) = there.hear(Kind.GONE).values
        assert "ModuleNotFoundError: No module named 'no_such_package'" in reason
        assert "own_views.py" in reason


def test_wrong_questions_are_answered_with_why() -> None:
    with viewed(view=view("Wave")) as (there, _):
        number = there.update(cells(1))
        for question, word in (
            (("weather", number), "weather"),
            (("picture", number, "doc", {}), "doc"),
            (("picture", number), "should hold (str, dict)"),
            (("snapshot", number, 3), "should hold (dict)"),
        ):
            good, why = there.answer_to(*question)
            assert not good
            assert word in why
        assert there.ask("drawn", number) is None


def test_a_view_without_a_figure_has_no_picture() -> None:
    with viewed(view=view("Recorder")) as (there, _):
        good, why = there.answer_to("snapshot", 0)
        assert (good, why) == (False, "the view has no figure, no widget and no window")


def test_what_waits_for_a_frame_that_never_comes_is_told_at_the_end() -> None:
    with viewed(view=view("Recorder")) as (there, _):
        assert there.letters is not None
        there.letters.post(Kind.ASK, "drawn", 99, number=5)
        there.end()
        answer = there.hear(Kind.ANSWER)
        assert (answer.number, answer.values) == (5, (False, "the plot has ended"))


@pytest.mark.parametrize(
    ("kind", "values"), [(Kind.GONE, ()), (Kind.ASK, (1, 2)), (Kind.END, ("yes",))]
)
def test_a_computation_that_says_nonsense_is_left(kind: Kind, values: tuple[Any, ...]) -> None:
    with viewed(view=view("Recorder")) as (there, process):
        there.ask("drawn", there.update(1))
        assert there.letters is not None
        there.letters.post(kind, *values)
        assert there.hear(Kind.GONE).values[0]
        assert ended(process)[0] == 1


def test_a_computation_that_ends_before_its_welcome_is_an_error() -> None:
    there = BareComputation()
    process = there.start()
    visitor, _ = there._door.accept()
    with process, visitor:
        visitor.recv(10_000)
        visitor.send(b'{"ringbridge": 1, "ok": {}}')
        ours, theirs = socket.socketpair()
        with ours, theirs:
            socket.send_fds(visitor, [b"x"], [theirs.fileno()])
        status, said = ended(process)
        assert status == 1
        assert "the other side of the plot has ended" in said
        there.close()


def test_emit_is_for_the_thread_that_draws_and_for_what_can_cross() -> None:
    with viewed(view=view("Threads")) as (there, _):
        there.update()
        (_, said) = there.hear(Kind.EVENT, "said").values
        assert "another one" in said[0]
        assert said[1] == "cannot cross"


# -------------------------------------------------------------------------------- classes as text


def source_of(cls: type, **more: Any) -> dict[str, Any]:
    import inspect

    lines, first = inspect.getsourcelines(cls)
    told = {"source": "".join(lines), "class": cls.__name__, "file": str(plot_views.__file__)}
    return {**told, "line": first, **more}


def test_a_class_crosses_as_text_and_its_traceback_shows_its_lines() -> None:
    there_file = "/no/such/folder/script.py"
    with viewed(view=source_of(plot_views.BrokenDraw, file=there_file)) as (there, _):
        there.update(3)
        (reason,) = there.hear(Kind.GONE).values
        assert f'File "{there_file}", line' in reason
        assert 'raise ZeroDivisionError("three")' in reason
        line = int(reason.partition(f'{there_file}", line ')[2].partition(",")[0])
        assert "ZeroDivisionError" in linecache.getline(plot_views.__file__, line)


def test_a_class_as_text_needs_its_annotations_not() -> None:
    with viewed(view=source_of(plot_views.Wave)) as (there, _):  # `array: Any`
        array = cells(4)
        shot = there.ask("snapshot", there.update(array))
        assert np.abs(shot.astype(int) - grey(array)).max() <= 1


def test_names_that_do_not_come_along_are_told() -> None:
    with viewed(view=source_of(plot_views.Dies)) as (there, _):
        (reason,) = there.hear(Kind.GONE).values
        assert "uses names of its module, and those do not come along: os (line" in reason
        assert "module:Dies" in reason


def test_a_text_may_bring_imports_helpers_and_an_inner_class() -> None:
    text = """\
    import math
    def helper(x):
        return math.sqrt(x)
    class View:
        limit = 3
        def draw(self, x, *, power: Missing = 1):
            from ringbridge.plot import emit
            emit("said", helper(x), [i * self.limit for i in range(2)], '''a
text of two lines''')
"""
    with viewed(view={"source": text, "class": "View", "file": "notebook", "line": 40}) as (there, _):
        there.update(9.0)
        assert there.hear(Kind.EVENT, "said").values[1:] == (3.0, [0, 3], "a\ntext of two lines")


def test_it_runs_under_an_interpreter_of_the_users(tmp_path: Path) -> None:
    """A command line that takes the program as its last argument but one."""
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    wrapper.chmod(0o755)
    with viewed(command=[str(wrapper), "-X", "dev", "-c"], view=view("Recorder")) as (there, process):
        there.ask("drawn", there.update(1))
        there.end()
        assert ended(process) == (0, "")  # nor a warning: -X dev tells of what is left open
