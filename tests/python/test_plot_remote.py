# SPDX-License-Identifier: MIT
"""`ringbridge plot attach ssh://host/NAME`: a viewer over a real sshd on the loopback interface."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from rbr_testing.eventually import until
from rbr_testing.plots import (
    HERE,
    SLOW,
    TELLER,
    WRITER,
    Heard,
    MakePlot,
    described,
    written,
)
from rbr_testing.sshd import Sshd

from ringbridge.plot import Ready, ViewerError
from ringbridge.plot.running_plots import plots

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def attach(sshd: Sshd, runtime_folder: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts `plot attach ssh://box/NAME` where no other plots are met: only ssh leads there."""
    python = tmp_path / "python-there"
    python.write_text(f'#!/bin/sh\nXDG_RUNTIME_DIR={runtime_folder} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    here = runtime_folder / "here"
    here.mkdir(mode=0o700)
    with contextlib.ExitStack() as stack:

        def start(name: str, *options: str) -> subprocess.Popen[str]:
            address = f"ssh://box/{name}?python={python}"
            command = [sys.executable, "-m", "ringbridge", "plot", "attach", address, "--rate", "0"]
            process = subprocess.Popen(
                [*command, *options],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=HERE,
                env={**os.environ, "RINGBRIDGE_SSH": sshd.ssh, "XDG_RUNTIME_DIR": str(here)},
                # what a shell's & starts ignores it, and so would its children
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start
    until(lambda: not sshd.sessions(), "a session of sshd is left")


def test_frames_cross_and_events_and_pictures_come_back(make_plot: MakePlot, attach: Start) -> None:
    plot = make_plot(name="wave", launch=False)
    heard = Heard(plot)
    attach("wave")
    assert heard.until_made() != 0 and plot.viewers == 1
    image = np.random.default_rng(1).random((500, 400))
    plot.update("first", image, label={"a": 1})
    told = heard.until_drawn(1)
    assert told[1:] == (["first", described(image)], {"label": {"a": 1}})
    plot.update("second")
    plot.wait()
    assert heard.until_drawn(2)[1] == ["second"]
    with pytest.raises(ViewerError, match="could not"):  # this view has no picture
        plot.snapshot()
    (counts,) = plot.stats()["viewers"]
    assert counts["drawn"] == 2 and "127.0.0.1" in counts["label"]


def test_the_newest_frame_wins_across_the_line_and_kept_ones_are_all_drawn(
    make_plot: MakePlot, attach: Start
) -> None:
    plot = make_plot(SLOW, name="wave", launch=False)
    heard = Heard(plot)
    attach("wave")
    heard.until_made()
    image = np.zeros((200, 200))
    kept = set()
    for step in range(1, 3001):
        plot.update(image, keep=step % 100 == 0)
        if step % 100 == 0:
            kept.add(step)
    plot.wait()
    heard.until_drawn(3000)
    numbers = heard.numbers()
    assert numbers == sorted(set(numbers)) and kept <= set(numbers) and len(numbers) < 1500


def test_more_viewers_may_join_on_the_other_machine(
    make_plot: MakePlot, attach: Start, runtime_folder: Path
) -> None:
    plot = make_plot(name="wave", launch=False)
    heard = Heard(plot)
    attach("wave")
    heard.until_made()
    command = [sys.executable, "-m", "ringbridge", "plot", "attach", "wave on box", "--rate", "0"]
    there = {**os.environ, "XDG_RUNTIME_DIR": str(runtime_folder / "here")}
    with subprocess.Popen(command, env=there, cwd=HERE) as second:
        heard.until_made(2)
        plot.update("both")
        until(lambda: heard.numbers() == [1, 1], "not both have drawn")
        second.kill()


def test_the_plots_end_ends_the_viewer_far_away(make_plot: MakePlot, attach: Start) -> None:
    plot = make_plot(name="wave", launch=False)
    heard = Heard(plot)
    process = attach("wave")
    heard.until_made()
    plot.close()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err


def test_ctrl_c_there_closes_that_window_only(make_plot: MakePlot, attach: Start) -> None:
    plot = make_plot(name="wave", launch=False)
    heard = Heard(plot)
    process = attach("wave")
    pid = heard.until_made()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in err, err
    until(lambda: plot.viewers == 0, "it has not left")
    until(lambda: not os.path.exists(f"/proc/{pid}"), "its viewer is left")
    plot.update("goes on")


def test_a_connection_that_is_lost_leaves_the_computation_running(
    make_plot: MakePlot, attach: Start, sshd: Sshd
) -> None:
    plot = make_plot(name="wave", launch=False)
    heard = Heard(plot)
    process = attach("wave")
    pid = heard.until_made()
    sshd.kill_sessions()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1 and "the connection to box is lost" in err, err
    assert "Traceback" not in err
    until(lambda: plot.viewers == 0, "it has not left")
    until(lambda: not os.path.exists(f"/proc/{pid}"), "its viewer is left")
    plot.update("goes on")


def test_a_window_that_is_closed_there_ends_the_command_at_once(
    make_plot: MakePlot, attach: Start
) -> None:
    plot = make_plot(name="wave", launch=False)
    heard = Heard(plot)
    for count in range(1, 6):
        process = attach("wave")
        os.kill(heard.until_made(count), signal.SIGINT)  # as its user's: its loop ends
        _, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
    until(lambda: plot.viewers == 0, "they have not left")


def test_pictures_that_are_larger_than_a_socket_come_back(
    make_plot: MakePlot, attach: Start
) -> None:
    pytest.importorskip("matplotlib")
    plot = make_plot(Ready("line"), name="wave", launch=False)
    attach("wave")
    until(lambda: plot.viewers == 1, "it has not joined")
    plot.update([1.0, 3.0, 2.0])
    picture = plot.snapshot()
    assert picture.nbytes > 1_000_000 and len(np.unique(picture)) > 1


def test_the_last_frame_is_drawn_far_away(
    make_plot: MakePlot, attach: Start, tmp_path: Path
) -> None:
    for count in range(5):
        path = tmp_path / str(count)
        plot = make_plot(WRITER, name="wave", launch=False)
        process = attach("wave")
        until(lambda plot=plot: plot.viewers == 1, "it has not joined")  # type: ignore[misc]
        for _ in range(3000):
            plot.update(str(path))
        plot.close()
        _, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        assert written(path)[-2:] == ["3000", "ended"]


FAR_SIDE = r"""
import os, sys
from ringbridge import _core
from ringbridge.plot.letters import Kind
from ringbridge.plot.remote_far import PREAMBLE

def letter(kind, number, parent, *values):
    body = _core.pack(number, parent, values, {{}})
    return len(body).to_bytes(4, "little") + bytes([kind, 0, 0, 0]) + body

view = {{"module": "rbr_testing.plots", "class": "Writer", "paths": [{here!r}]}}
welcome = letter(Kind.WELCOME, 0, 0, {{"name": "wave", "kept": 0, "view": view}})
frames = [letter(getattr(Kind, kind), number, 1, {path!r}) for kind, number in {frames!r}]
end = letter(Kind.END, 0, 0, False)
os.write(1, b"\n" + PREAMBLE + b"\n" + b"".join([welcome, *frames, end]))
sys.stdin.buffer.read()
"""


@pytest.mark.parametrize(
    "frames", [[("KEPT", 1), ("FRAME", 2)], [("FRAME", 2), ("KEPT", 1)]], ids=["", "overtaken"]
)
def test_what_comes_with_the_first_letter_is_drawn_in_order(
    runtime_folder: Path, tmp_path: Path, frames: list[tuple[str, int]]
) -> None:
    """On a line that brings all at once, the newest before the kept one that it has overtaken."""
    path, ssh = tmp_path / "drawn", tmp_path / "ssh"
    far_side = FAR_SIDE.format(here=str(HERE), path=str(path), frames=frames)
    (tmp_path / "far_side.py").write_text(far_side)
    ssh.write_text(f"#!/bin/sh\nexec {sys.executable} {tmp_path}/far_side.py\n")
    ssh.chmod(0o755)
    subprocess.run(
        [sys.executable, "-m", "ringbridge", "plot", "attach", "ssh://box/wave"],
        env={**os.environ, "RINGBRIDGE_SSH": str(ssh)},
        timeout=60,
        check=True,
    )
    assert written(path) == ["1", "2", "ended"]


COMPUTATION = f"""
from ringbridge.plot import Plotter
with Plotter({TELLER!r}, name="wave", launch=False, paths=[{str(HERE)!r}]) as plot:
    plot.on("made", lambda *_: print("made", flush=True))
    input()
"""


def test_a_computation_that_dies_ends_its_viewer_far_away(
    attach: Start, runtime_folder: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", COMPUTATION],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "XDG_RUNTIME_DIR": str(runtime_folder)},
    ) as computation:
        assert computation.stdout is not None
        until(lambda: [each.name for each in plots()] == ["wave"], "there is no plot")
        process = attach("wave")
        assert computation.stdout.readline() == b"made\n"
        computation.kill()
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0 and "lost" not in err and "Traceback" not in err, err


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [("wafe", (), "there is wave"), ("wave", ("--view", f"{TELLER}s"), "Teller")],
)
def test_what_goes_wrong_is_said(
    make_plot: MakePlot, attach: Start, name: str, options: tuple[str, ...], reason: str
) -> None:
    make_plot(name="wave", launch=False)
    process = attach(name, *options)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1 and reason in err, err
