# SPDX-License-Identifier: MIT
"""progress_bar: what a task tells, as a bar of tqdm; and the bar of `ringbridge run`."""

from __future__ import annotations

import importlib.util
import io
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import ringbridge
from ringbridge.cli import run

pytest.importorskip("tqdm")

HERE = Path(__file__).resolve().parent
ADD = ["rbr_testing.basics:add", "1", "4"]


class Progress(NamedTuple):
    fraction: float | None = None
    done: float | None = None
    total: float | None = None
    text: str | None = None


class Task(Future[Any]):
    """What a bar needs of a task: a future that tells."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[Callable[[Progress], object]] = []
        self.is_watched = threading.Event()

    def on_progress(self, call: Callable[[Progress], object]) -> Callable[[Progress], object]:
        self._calls.append(call)
        self.is_watched.set()
        return call

    def tell(self, *values: Any, **named: Any) -> None:
        for call in list(self._calls):
            call(Progress(*values, **named))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    @property
    def last(self) -> str:
        """The bar as it was drawn last."""
        return self.getvalue().replace("\n", "\r").rstrip("\r ").rpartition("\r")[2]


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


# ------------------------------------------------------------------------------------- the bar


def test_a_bar_shows_what_its_task_tells(terminal: Terminal) -> None:
    task = Task()
    with ringbridge.progress_bar(task, desc="slope", file=terminal, ncols=80):
        task.tell(0.3, 3, 10, "reading")
        assert terminal.last.startswith("slope:  30%|")
        assert " 3/10 [" in terminal.last and "reading" in terminal.last
        task.tell(0.4, 4, 10)
        assert " 4/10 [" in terminal.last and "reading" not in terminal.last
    task.tell(0.5, 5, 10)
    assert " 4/10 [" in terminal.last, "closed"


def test_without_counts_a_bar_shows_the_fraction(terminal: Terminal) -> None:
    with ringbridge.progress_bar(file=terminal, ncols=80) as bar:
        bar.show(Progress(fraction=0.25, text="half of the half"))
        assert terminal.last.startswith(" 25%|") and "half of the half" in terminal.last
        assert "/1 " not in terminal.last
        bar.show(Progress(fraction=0.5, done=5, total=10))
        assert " 5/10 [" in terminal.last
        bar.show(Progress(done=7, total=0))
        assert terminal.last.startswith("7it [")


def test_a_result_fills_the_bar_and_an_error_does_not(terminal: Terminal) -> None:
    task = Task()
    ringbridge.progress_bar(task, file=terminal, ncols=80)
    task.tell(0.9, 9, 10)
    task.set_result(None)
    assert "100%|" in terminal.last and " 10/10 [" in terminal.last
    for end in (lambda task: task.set_exception(ValueError()), lambda task: task.cancel()):
        failing = Task()
        ringbridge.progress_bar(failing, file=terminal, ncols=80)
        failing.tell(0.9, 9, 10)
        end(failing)
        assert " 9/10 [" in terminal.last


def test_the_end_of_with_does_not_race_with_the_end_of_the_task(terminal: Terminal) -> None:
    task = Task()
    thread = threading.Thread(target=lambda: (task.tell(0.5, 1, 2), task.set_result(5)))
    with ringbridge.progress_bar(task, file=terminal, ncols=80):
        thread.start()
        assert task.result(30) == 5
    assert " 2/2 [" in terminal.last
    thread.join(30)


def test_the_options_are_tqdms(terminal: Terminal) -> None:
    with ringbridge.progress_bar(file=terminal, bar_format="{n}!", leave=False) as bar:
        bar.show(Progress(0.5))
        assert terminal.last.strip() == "0.5!"


def test_without_tqdm_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match=r'needs tqdm.*pip install "ringbridge\[progress\]"'):
        ringbridge.progress_bar(Task())


# ---------------------------------------------------------------------------------- ringbridge run


def test_run_shows_a_bar_from_the_first_progress_on(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal)
    task = Task()
    ended: list[Any] = []
    thread = threading.Thread(target=lambda: ended.append(run.watched(task)))
    thread.start()
    assert task.is_watched.wait(30)
    assert terminal.getvalue() == ""
    task.tell(0.5, 1, 2, "half")
    assert " 1/2 [" in terminal.last and "half" in terminal.last
    task.set_result(7)
    thread.join(30)
    assert ended == [7] and " 2/2 [" in terminal.last


def test_run_shows_one_bar_though_two_threads_tell_of_progress_at_once(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the first word comes while somebody begins to watch."""
    monkeypatch.setattr(sys, "stderr", terminal)
    task, made, both = Task(), [], threading.Event()
    real = ringbridge.progress_bar

    def slowly(*args: Any, **options: Any) -> ringbridge.bars.ProgressBar:
        made.append(real(*args, **options))
        if len(made) == 2:
            both.set()
        both.wait(0.2)
        return made[-1]

    monkeypatch.setattr(ringbridge, "progress_bar", slowly)
    watching = threading.Thread(target=run.watched, args=(task,))
    watching.start()
    assert task.is_watched.wait(30)
    telling = [threading.Thread(target=task.tell, args=(0.5, 1, 2)) for _ in range(2)]
    for thread in telling:
        thread.start()
    for thread in telling:
        thread.join(30)
    task.set_result(7)
    watching.join(30)
    assert len(made) == 1


def test_what_the_worker_prints_stands_above_the_bar(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal)
    handler = run._Lines(terminal)
    with ringbridge.progress_bar(file=terminal, ncols=40) as bar:
        bar.show(Progress(0.5, 1, 2))
        handler.emit(logging.makeLogRecord({"msg": "a line"}))
        assert "\ra line\n" in terminal.getvalue().replace(" " * 40, "")
        assert " 1/2 [" in terminal.last, "drawn again below it"


def test_a_bar_is_wanted_where_a_terminal_and_tqdm_are(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run._wants_bar(True) is True and run._wants_bar(False) is False
    monkeypatch.setattr(sys, "stderr", terminal)
    assert run._wants_bar(None) is True
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert run._wants_bar(None) is False
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "stderr", terminal)
    assert run._wants_bar(None) is False and run._wants_bar(False) is False
    with pytest.raises(ImportError, match="--progress needs tqdm: pip install"):
        run._wants_bar(True)


@pytest.mark.parametrize("options", [["--progress"], ["--no-progress"], []])
def test_run_gives_the_result_with_and_without_a_bar(options: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "ringbridge", "run", sys.executable, *options, *ADD],
        capture_output=True,
        text=True,
        timeout=50,
        cwd=HERE,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "5.0\n", "")
