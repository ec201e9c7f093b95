# SPDX-License-Identifier: MIT
"""Viewers and computations that end, stop, come late, or send what they should not."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rbr_testing.eventually import until
from rbr_testing.plots import HERE, Heard, MakePlot

import ringbridge
from ringbridge import rendezvous
from ringbridge.plot import Plotter, ViewerError
from ringbridge.plot.meeting import meet


def is_gone(pid: int) -> bool:
    """Ended, and reaped."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


# --------------------------------------------------------------------------------- viewers that end


def test_a_killed_viewer_leaves_the_computation_running_with_one_warning(
    make_plot: MakePlot, caplog: pytest.LogCaptureFixture
) -> None:
    plot = make_plot()
    heard = Heard(plot)
    plot.update(1)
    plot.wait()
    first = heard.until_made()
    os.kill(first, signal.SIGKILL)
    heard.until_closed()
    for step in range(1000):
        plot.update(step)
    assert not plot.open
    with pytest.raises(ViewerError, match="SIGKILL"):
        plot.wait()
    (warning,) = warnings_in(caplog)
    assert "was killed by SIGKILL" in warning and "reopen()" in warning
    plot.reopen()
    plot.reopen()  # one is enough
    plot.wait()
    assert heard.until_drawn(1001)[1] == [999]
    assert heard.until_made(2) != first and plot.viewers == 1
    assert len(warnings_in(caplog)) == 1


def test_a_viewer_killed_amid_a_question_fails_it(make_plot: MakePlot) -> None:
    plot = make_plot("rbr_testing.plots:SlowTeller", rate=0.01)
    heard = Heard(plot)
    plot.update(1)
    plot.wait()
    pid = heard.until_made()
    plot.update(2)  # drawn in a hundred seconds
    threading.Timer(0.2, os.kill, (pid, signal.SIGKILL)).start()
    with pytest.raises(ViewerError, match=r"SIGKILL|has gone"):
        plot.wait()


def test_a_stopped_viewer_costs_nothing_and_draws_the_newest_when_it_goes_on(
    make_plot: MakePlot,
) -> None:
    plot = make_plot()
    heard = Heard(plot)
    plot.update(0)
    plot.wait()
    pid = heard.until_made()
    os.kill(pid, signal.SIGSTOP)
    image = np.zeros((500, 500))
    for step in range(2000):
        plot.update(step, image)
    with pytest.raises(ringbridge.CallTimeout, match="stopped"):
        plot.wait(0.3)
    (counts,) = plot.stats()["viewers"]
    assert counts["drawn"] is None
    os.kill(pid, signal.SIGCONT)
    plot.wait()
    assert heard.until_drawn(2001)[1][0] == 1999
    assert len(heard.numbers()) < 100


def test_a_stopped_viewer_does_not_make_the_end_wait(runtime_folder: Path) -> None:
    plot = Plotter("rbr_testing.plots:Teller", paths=[HERE])
    heard = Heard(plot)
    plot.wait()
    pid = heard.until_made()
    os.kill(pid, signal.SIGSTOP)
    plot.close()
    until(lambda: is_gone(pid), "the stopped viewer is still there")


def test_kept_frames_for_a_stopped_viewer_have_a_limit_that_is_said(make_plot: MakePlot) -> None:
    plot = make_plot()
    heard = Heard(plot)
    plot.update(0)
    plot.wait()
    os.kill(heard.until_made(), signal.SIGSTOP)
    image = np.zeros(4 << 20, "uint8")
    with pytest.raises(ringbridge.Busy, match="MiB of kept frames behind"):
        for _ in range(100):
            plot.update(image, keep=True)
    kept = plot.stats()["kept"]
    assert 60 <= kept < 100
    os.kill(heard.until_made(), signal.SIGCONT)
    plot.wait()
    heard.until_drawn(kept + 1)
    numbers = heard.numbers()
    assert numbers == sorted(set(numbers)) and len(numbers) == kept + 1


def test_a_viewer_that_cannot_start_is_said_with_what_it_printed(
    make_plot: MakePlot, caplog: pytest.LogCaptureFixture
) -> None:
    plot = make_plot(command=["/bin/sh", "-c", "echo it does not work >&2; exit 3"])
    with pytest.raises(ViewerError, match=r"exit code 3 before it joined(.|\n)*does not work"):
        plot.wait()
    assert len(warnings_in(caplog)) == 1
    missing = make_plot(command=["/no/such/program", "-c"])
    with pytest.raises(ViewerError, match="/no/such/program: No such file"):
        missing.wait()


LETS_GO = """
import json, re, sys, time
from ringbridge.plot.meeting import meet
from ringbridge.rendezvous import Address
settings = json.loads(re.search(r"\\['view'\\]\\('(.*)'\\)$", sys.argv[-1])[1])
letters = meet(Address(**settings["address"]), settings["name"])
time.sleep(0.2)
letters.close()
time.sleep(100)
"""


def test_a_viewer_that_lets_go_and_stays_is_ended(
    make_plot: MakePlot, caplog: pytest.LogCaptureFixture
) -> None:
    plot = make_plot(command=[sys.executable, "-c", LETS_GO])
    heard = Heard(plot)
    heard.until_closed()
    assert not plot.open and "its connection has ended" in warnings_in(caplog)[0]
    with pytest.raises(ViewerError, match="connection"):
        plot.wait()


def test_a_viewer_that_ends_while_its_child_holds_its_output_is_noticed(
    make_plot: MakePlot,
) -> None:
    plot = make_plot(command=["/bin/bash", "-c", "sleep 30 & exit 3; :"])
    with pytest.raises(ViewerError, match="exit code 3 before it joined"):
        plot.wait(timeout=20)
    assert not plot.open


def test_a_viewer_that_was_let_go_leaves_no_zombie(make_plot: MakePlot) -> None:
    plot = make_plot(hold=True)
    pid = Heard(plot).until_made()
    plot.close()
    with contextlib.suppress(ProcessLookupError):  # it has no window, and so may have ended
        os.kill(pid, signal.SIGKILL)
    until(lambda: not os.path.exists(f"/proc/{pid}"), "it is left")


def test_a_process_with_many_files_ends_its_viewer(make_plot: MakePlot) -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit[1] != resource.RLIM_INFINITY and limit[1] < 2000:
        pytest.skip("not so many files may be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limit[0], 2000), limit[1]))
    files = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        plot = make_plot()
        pid = Heard(plot).until_made()
        os.kill(pid, signal.SIGSTOP)
        plot.close()
    finally:
        for fd in files:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    until(lambda: not os.path.exists(f"/proc/{pid}"), "it is left")


def test_a_plot_closed_while_its_viewer_starts_leaves_no_process(runtime_folder: Path) -> None:
    before = set(_children())
    for _ in range(5):
        Plotter("rbr_testing.plots:Teller", paths=[HERE]).close()
    until(lambda: set(_children()) <= before, "a viewer is left")


def _children() -> list[int]:
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return [pid for pid in map(int, text.split()) if not _is_zombie(pid)]


# --------------------------------------------------------------------------------- computations


COMPUTATION = """
    import os, sys, time
    sys.path.insert(0, {here!r})
    from ringbridge.plot import Plotter
    from rbr_testing.plots import Heard
    plot = Plotter("rbr_testing.plots:Teller", paths=[{here!r}], name="told", rate=0)
    heard = Heard(plot)
    plot.update(1)
    plot.wait()
    print(heard.until_made(), flush=True)
"""


def computation(runtime_folder: Path, then: str, **options: Any) -> subprocess.Popen[str]:
    code = textwrap.dedent(COMPUTATION.format(here=str(HERE))) + textwrap.dedent(then)
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # what a shell's & starts ignores it, and so would its children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        **options,
    )


def test_a_computation_that_is_killed_takes_its_viewer_along(runtime_folder: Path) -> None:
    with computation(runtime_folder, "time.sleep(100)") as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
    until(lambda: is_gone(pid) or _is_zombie(pid), "its viewer is still there")
    with pytest.raises(ringbridge.HostNotFound):
        meet(rendezvous.address_of("told", process.pid, rendezvous.PLOT), "late")


def _is_zombie(pid: int) -> bool:
    """In a container nobody may reap orphans."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize("end", ["", "plot.close()", "del plot, heard", "sys.exit(3)", "1 / 0"])
def test_a_computation_that_ends_ends_its_viewer_and_keeps_its_exit_code(
    runtime_folder: Path, end: str
) -> None:
    with computation(runtime_folder, end) as process:
        out, err = process.communicate(timeout=30)
    assert process.returncode == {"sys.exit(3)": 3, "1 / 0": 1}.get(end, 0), err
    assert ("Traceback" in err) == (end == "1 / 0"), err
    pid = int(out)
    until(lambda: is_gone(pid) or _is_zombie(pid), "its viewer is still there")
    assert os.listdir(runtime_folder / "ringbridge") == []


def test_ctrl_c_is_the_computations_and_the_viewer_stays(runtime_folder: Path) -> None:
    then = """
        try:
            print("in the loop", flush=True)
            while True:
                plot.update(2)
                time.sleep(0.001)
        except KeyboardInterrupt:
            plot.update("interrupted")
            told = heard.until_drawn(plot.stats()["updates"])
            print(told[1], plot.viewers, heard.closed, flush=True)
    """
    with computation(runtime_folder, then, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert process.stdout.readline() == "in the loop\n"
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.stdout.readline().split() == ["['interrupted']", "1", "0"]
        assert process.wait(30) == 0


def test_a_forked_child_cannot_draw_and_does_no_harm(make_plot: MakePlot) -> None:
    plot = make_plot()
    heard = Heard(plot)
    plot.update("parent")
    plot.wait()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            plot.update("child")
        except ringbridge.RingbridgeError as error:
            code = 0 if "forked" in str(error) else 2
        try:
            plot.close()
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    plot.update("parent again")
    plot.wait()
    assert heard.until_drawn(2)[1] == ["parent again"]


def test_a_computation_that_dies_is_heard_of_though_its_forked_child_lives(
    runtime_folder: Path,
) -> None:
    then = """
        child = os.fork()
        if child == 0:
            time.sleep(100)
        print(child, flush=True)
        time.sleep(100)
    """
    with computation(runtime_folder, then) as process:
        assert process.stdout is not None
        viewer, child = (int(process.stdout.readline()) for _ in range(2))
        process.kill()
    try:
        until(lambda: is_gone(viewer) or _is_zombie(viewer), "its viewer is still there")
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_plot_that_nobody_holds_is_closed(runtime_folder: Path) -> None:
    plot = Plotter("rbr_testing.plots:Teller", paths=[HERE])
    heard = Heard(plot)
    plot.wait()
    pid = heard.until_made()
    del plot
    gc.collect()
    until(lambda: is_gone(pid), "the viewer is still there")


def test_nothing_is_left_of_plots_that_were_closed(runtime_folder: Path) -> None:
    def use() -> None:
        with Plotter("rbr_testing.plots:Teller", paths=[HERE], rate=0) as plot:
            heard = Heard(plot)
            plot.update(np.zeros(100_000))
            plot.wait()
            heard.until_drawn(1)

    use()
    gc.collect()
    files, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    for _ in range(5):
        use()
    gc.collect()
    until(lambda: threading.active_count() <= threads, "threads are left")
    assert len(os.listdir("/proc/self/fd")) <= files
