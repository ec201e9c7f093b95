# SPDX-License-Identifier: MIT
"""Views that fail, that are not there, or that come as text: what a viewer's process tells then."""

from __future__ import annotations

import inspect
import linecache
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from rbr_testing import plot_views
from rbr_testing.bare_computation import TESTS, BareComputation, cells, ended, grey, view, viewed

from ringbridge.plot.letters import Kind

np = pytest.importorskip("numpy")
pytest.importorskip("matplotlib")
pytestmark = pytest.mark.usefixtures("runtime_folder")


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


def test_a_toolkit_that_is_not_known_is_told() -> None:
    with viewed(view=view("Foreign")) as (there, process):
        (reason,) = there.hear(Kind.GONE).values
        assert "wants the event loop of gtk4" in reason
        assert "MPLBACKEND" in reason
        assert ended(process)[0] == 1


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
    settings = {"paths": [str(TESTS)], **spec} if "module" in spec else spec
    with viewed(view=settings) as (there, process):
        (reason,) = there.hear(Kind.GONE).values
        assert not [word for word in words if word not in reason], reason
        assert ("Traceback" in reason) == ("TypeError" in words)  # of what we tell, there is none
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
    with viewed(view={"source": text, "class": "View", "file": "notebook", "line": 40}) as (
        there,
        _,
    ):
        there.update(9.0)
        assert there.hear(Kind.EVENT, "said").values[1:] == (3.0, [0, 3], "a\ntext of two lines")


def test_it_runs_under_an_interpreter_of_the_users(tmp_path: Path) -> None:
    """A command line that takes the program as its last argument but one."""
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    wrapper.chmod(0o755)
    with viewed(command=[str(wrapper), "-X", "dev", "-c"], view=view("Recorder")) as (
        there,
        process,
    ):
        there.ask("drawn", there.update(1))
        there.end()
        assert ended(process) == (0, "")  # nor a warning: -X dev tells of what is left open
