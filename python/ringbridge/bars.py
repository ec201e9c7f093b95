# SPDX-License-Identifier: MIT
"""Progress bars of tasks, in terminals and notebooks: tqdm's, from the extra `progress`.

Of a task it knows `on_progress` and `add_done_callback`, of its progress the four attributes;
channels and workers it does not know.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar


class Progress(Protocol):
    """What a task has come to: what is unknown is None, or 0 of a total."""

    @property
    def fraction(self) -> float | None: ...
    @property
    def done(self) -> float | None: ...
    @property
    def total(self) -> float | None: ...
    @property
    def text(self) -> str | None: ...


class Watched(Protocol):
    """What a bar needs of a task: a future that tells of its progress."""

    def on_progress(self, call: Callable[[Any], Any], /) -> Any: ...
    def add_done_callback(self, call: Callable[[Any], Any], /) -> None: ...
    def done(self) -> bool: ...
    def cancelled(self) -> bool: ...
    def exception(self) -> BaseException | None: ...


WatchedT = TypeVar("WatchedT", bound=Watched)

_OF_FRACTIONS = "{l_bar}{bar}| [{elapsed}<{remaining}{postfix}]"  # "0.3/1.0" would say nothing more


class ProgressBar:
    """A bar of tqdm that shows what a task tells. `progress_bar` makes it.

    From any thread. Its task's end closes it, and so does the end of `with`; what is told after
    that is not shown.
    """

    def __init__(self, **options: Any) -> None:
        self._lock = threading.Lock()
        self._own_format = "bar_format" not in options
        self._task: Watched | None = None
        self._open = True
        self._bar = _tqdm()(**options)

    def watch(self, task: WatchedT) -> WatchedT:
        """Shows the progress of this task from now on, and closes at its end; gives the task."""
        self._task = task
        task.on_progress(self.show)
        task.add_done_callback(lambda _: self.close())
        return task

    def show(self, progress: Progress) -> None:
        """Shows this: for `task.on_progress`."""
        with self._lock:
            if self._open:
                self._set(progress)
                self._bar.refresh()

    def _set(self, progress: Progress) -> None:
        bar, fraction = self._bar, progress.fraction
        form = None
        if progress.total:
            bar.total, bar.n = progress.total, progress.done or 0
        elif fraction is not None and 0 <= fraction <= 1:
            bar.total, bar.n, form = 1, round(fraction, 4), _OF_FRACTIONS
        else:
            bar.total, bar.n = None, progress.done or 0
        if self._own_format:
            bar.bar_format = form
        bar.set_postfix_str(progress.text or "", refresh=False)

    def close(self) -> None:
        """Ends the bar: full where its task has a result, else where it stands. Idempotent."""
        with self._lock:
            if not self._open:
                return
            self._open = False
            # The last that a loop tells is mostly of the step before its last.
            if self._bar.total and self._task is not None and _has_result(self._task):
                self._bar.n = self._bar.total
            self._bar.close()

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def _has_result(task: Watched) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def progress_bar(task: Watched | None = None, **options: Any) -> ProgressBar:
    """A progress bar of this task, for a terminal or a notebook; the options are those of tqdm.

    `with ringbridge.progress_bar(task): task.result()`. Without a task, the bar's method `watch`
    takes one. Needs tqdm: `pip install "ringbridge[progress]"`.
    """
    bar = ProgressBar(**options)
    if task is not None:
        bar.watch(task)
    return bar


def _tqdm() -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError(
            "ringbridge.progress_bar() needs tqdm, which cannot be imported here: "
            f'pip install "ringbridge[progress]" ({error})',
            name="tqdm",
        ) from error
    return tqdm
