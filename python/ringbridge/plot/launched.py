# SPDX-License-Identifier: MIT
"""The viewer that a computation launches: whether there is one, what it prints, how it ends.

    NONE -starts-> STARTING -watch-> its process runs -joined-> THERE -its process ends, gone-> NONE

On the audience's thread, unless a method says otherwise. Knows no letters.
"""

from __future__ import annotations

import selectors
import threading
import time
from typing import TYPE_CHECKING

from ringbridge import threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from ringbridge.plot.viewer_process import ViewerProcess

_POLL_S = 0.2  # between looks at a process that has not ended, and whose pipe is closed
_FINISH_S = 2.0  # for one that has said goodbye


class Launched:
    """At most one at a time. has_ended: called when its process has, with how."""

    def __init__(
        self, plot: str, selector: selectors.BaseSelector, has_ended: Callable[[str], None]
    ) -> None:
        self._plot = plot
        self._selector = selector
        self._has_ended = has_ended
        self._lock = threading.Lock()
        self._starting = False
        self._settled = threading.Event()  # not while one starts
        self._settled.set()
        self._process: ViewerProcess | None = None
        self._finishing: threading.Thread | None = None  # which sees to the end of the one before
        self._output_open = False
        self._doom: tuple[float, str] | None = None  # until when it may end by itself; else what

    @property
    def open(self) -> bool:
        """Whether it is there, or starts. For any thread."""
        return self._starting or self._process is not None

    def starts(self) -> bool:
        """It is about to be launched. False: one is there. For any thread."""
        with self._lock:
            if self.open:
                return False
            self._starting = True
            self._settled.clear()
            return True

    @property
    def starting(self) -> bool:
        """Whether it has not joined yet. For any thread."""
        return self._starting

    def until_settled(self, timeout_s: float) -> None:
        """Until none starts: it has joined, or has gone. For any other thread."""
        deadline = time.monotonic() + timeout_s
        # In pieces: not every platform's wait hears of Ctrl-C.
        while time.monotonic() < deadline and not self._settled.wait(0.5):
            pass

    def watch(self, process: ViewerProcess) -> None:
        self._process = process
        self._output_open = True
        self._selector.register(process.output, selectors.EVENT_READ, self._hear)

    def joined(self) -> None:
        self._starting = False
        self._settled.set()

    @property
    def runs(self) -> bool:
        """Whether there is a process that will be heard of when it ends."""
        return self._process is not None

    @property
    def nap_s(self) -> float | None:
        """When `look` is due; None: its pipe tells."""
        unsure = not self._output_open or self._starting or self._doom is not None
        return _POLL_S if self._process is not None and unsure else None

    def expect_end(self, why: str) -> None:
        """It has let go of its plot: its process ends soon, or is ended, and `why` is how."""
        self._doom = time.monotonic() + _FINISH_S, why

    def look(self) -> None:
        """Whether it has ended."""
        process = self._process
        ending = process.ending() if process is not None else None
        if ending is None and self._doom is not None and time.monotonic() > self._doom[0]:
            self._has_ended(self._doom[1])
        if process is None or ending is None:
            return
        lines = [f"it {ending}", *process.last_output()]
        if self._starting:
            lines[0] += " before it joined"
            lines.insert(1, f"  it ran {' '.join(process.command)}")
        self._has_ended("\n".join(lines))

    def _hear(self) -> None:
        process = self._process
        if process is not None and not process.read_output(self._plot):
            self._deaf()
            self.look()

    def _deaf(self) -> None:
        if self._process is not None and self._output_open:
            self._selector.unregister(self._process.output)
            self._output_open = False

    def gone(self) -> None:
        """It is there no more, and its process ends by itself, or is ended."""
        self._deaf()
        process, self._process = self._process, None
        self._starting, self._doom = False, None
        self._settled.set()
        if process is not None:
            name = f"ringbridge viewer {process.pid}"
            self._finishing = threads.start(_finish, name, process, _FINISH_S)

    def forget(self) -> None:
        """In a forked child: the process is its parent's."""
        if self._process is not None:
            self._process.close()

    def end(self, hold: bool, grace_s: float) -> None:
        """Ends it, or with hold lets go of one that has joined. After the audience's thread, by any
        other."""
        if self._finishing is not None:  # one that has said goodbye must not outlive us
            self._finishing.join()
        process, self._process = self._process, None
        if process is not None and hold and not self._starting and process.ending() is None:
            process.let_go()
        elif process is not None:
            _finish(process, 0.0 if self._starting else grace_s)  # what has joined draws on


def _finish(process: ViewerProcess, grace_s: float) -> None:
    process.end(grace_s)
    process.close()
