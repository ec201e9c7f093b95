# SPDX-License-Identifier: MIT
"""`ringbridge plot list`, `ringbridge plot attach`, and plots in `ringbridge ps`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rbr_testing.eventually import until
from rbr_testing.plots import HERE, TELLER, Heard, MakePlot

from ringbridge.cli.main import main

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def attach(runtime_folder: Path) -> Iterator[Start]:
    """Starts `ringbridge plot attach`, as from a terminal."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: str, **environ: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", "ringbridge", "plot", "attach", *arguments]
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=HERE,
                env={**os.environ, **environ},
                # what a shell's & starts ignores it, and so would its children
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


def test_plots_are_listed(make_plot: MakePlot, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", "list"]) == 0
    assert capsys.readouterr().out == "No plot of this user is running.\n"
    plot = make_plot(name="wave", launch=False)
    assert main(["plot", "list"]) == 0
    head, row = (line.split() for line in capsys.readouterr().out.splitlines())
    assert head == ["PID", "NAME", "VIEW", "SINCE", "VIEWERS", "STATE"]
    assert row[:3] == [str(os.getpid()), "wave", TELLER] and row[-2:] == ["0", "shown"]
    assert main(["plot", "list", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["what"] == "plot" and found["viewers"] == 0 and found["since_s"] >= 0
    assert main(["ps", "--json"]) == 0
    assert any(each["what"] == "plot" for each in json.loads(capsys.readouterr().out))
    assert main(["ps"]) == 0
    assert row[:3] in [line.split()[:3] for line in capsys.readouterr().out.splitlines()]
    plot.close()
    assert main(["plot", "list"]) == 0
    assert capsys.readouterr().out == "No plot of this user is running.\n"


def test_three_viewers_draw_what_the_computation_shows(make_plot: MakePlot, attach: Start) -> None:
    plot = make_plot(name="wave")
    heard = Heard(plot)
    for _ in range(2):
        attach("wave", "--rate", "0")
    assert len({heard.until_made(i) for i in (1, 2, 3)}) == 3
    plot.update("for all")
    until(lambda: heard.numbers() == [1, 1, 1], "not all have drawn")
    assert all(told[1] == ["for all"] for told in heard.drawn)
    until(lambda: len(plot.stats()["viewers"]) == 3, "not all are there")
    assert {each["drawn"] for each in plot.stats()["viewers"]} == {1}


def test_ctrl_c_closes_an_attached_viewer_and_nothing_else(
    make_plot: MakePlot, attach: Start
) -> None:
    plot = make_plot(name="wave", launch=False)
    heard = Heard(plot)
    process = attach("wave", "--rate", "0")
    heard.until_made()
    plot.update(1)
    heard.until_drawn(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in err, err
    until(lambda: plot.viewers == 0, "it has not left")
    assert heard.closed == 0  # it was not the launched one
    plot.update(2)


def test_an_attached_viewer_ends_with_its_computation(make_plot: MakePlot, attach: Start) -> None:
    plot = make_plot(name="wave", launch=False)
    heard = Heard(plot)
    process = attach("wave", "--rate", "0")
    heard.until_made()
    plot.close()
    assert process.wait(30) == 0


def test_another_view_draws_the_same_frames(make_plot: MakePlot, attach: Start) -> None:
    plot = make_plot("no_such_module:View", name="wave", launch=False)
    heard = Heard(plot)
    attach("wave", "--view", TELLER, "--rate", "0")
    heard.until_made()
    plot.update(5)
    assert heard.until_drawn(1)[1] == [5]


def test_another_interpreter_attaches(
    make_plot: MakePlot, attach: Start, other_pythons: list[str]
) -> None:
    if not other_pythons:
        pytest.skip("no other interpreter: RBR_TEST_PYTHONS")
    plot = make_plot(name="wave", launch=False)
    heard = Heard(plot)
    attach("wave", "--python", other_pythons[0], "--rate", "0")
    heard.until_made()
    assert heard.made[0][2] != sys.version_info[:2]
    plot.update(5)
    assert heard.until_drawn(1)[1] == [5]


def test_what_cannot_be_attached_to_is_said(
    make_plot: MakePlot, attach: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    make_plot(name="wave", launch=False)
    assert main(["plot", "attach", "wafe"]) == 1
    said = capsys.readouterr().err
    assert "there is wave" in said and "Plotter" in said
    process = attach("wave", "--view", "no_such_module_xyz:View")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1 and "no_such_module_xyz" in err
    for wrong in (["--view", "x"], ["--rate", "-1"], ["--rate", "nan"]):
        with pytest.raises(SystemExit):
            main(["plot", "attach", "wave", *wrong])


def test_one_of_several_plots_of_a_name_is_said_by_its_process(
    make_plot: MakePlot, capsys: pytest.CaptureFixture[str]
) -> None:
    make_plot(name="wave", launch=False)
    code = (
        "import sys; from ringbridge.plot import Plotter\n"
        f"with Plotter({TELLER!r}, name='wave', launch=False):\n"
        "    print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert main(["plot", "attach", "wave"]) == 1
        said = capsys.readouterr().err
        assert f"wave.{os.getpid()}" in said and f"wave.{other.pid}" in said
        other.communicate()
