# SPDX-License-Identifier: MIT
"""Queued signals within one Qt application: from a thread to the main thread, and back."""

from __future__ import annotations

import os
import time
from typing import Any

from ringbridge.host import expose

_EACH_MAX = 2000  # as the turns'


@expose(on="thread")
def trips(seconds: float, cpu: int) -> list[int]:
    """ns of each trip, one after another. The thread is on that processor."""
    from ringbridge.qt import binding

    core = binding.QtCore
    thread = core.QThread()
    near, far = _ends(binding, seconds, cpu, thread)
    queued = binding.enum(core.Qt, "ConnectionType", "QueuedConnection")
    near.asked.connect(far.answer, queued)
    far.answered.connect(near.arrive, queued)
    thread.started.connect(near.begin, queued)
    near.moveToThread(thread)
    far.moveToThread(binding.application().thread())
    thread.start()
    thread.wait()
    each: list[int] = near.each
    return each


def _ends(binding: Any, seconds: float, cpu: int, thread: Any) -> tuple[Any, Any]:
    """The objects that ask and answer; made here, since Qt is only imported where it is used."""

    class Far(binding.QtCore.QObject):  # type: ignore[misc]
        answered = binding.Signal()

        @binding.Slot()  # type: ignore[untyped-decorator]
        def answer(self) -> None:
            self.answered.emit()

    class Near(binding.QtCore.QObject):  # type: ignore[misc]
        asked = binding.Signal()

        def __init__(self) -> None:
            super().__init__()
            self.each: list[int] = []

        @binding.Slot()  # type: ignore[untyped-decorator]
        def begin(self) -> None:
            os.sched_setaffinity(0, {cpu})
            self.until = time.perf_counter_ns() + seconds * 1e9
            self.began = time.perf_counter_ns()
            self.asked.emit()

        @binding.Slot()  # type: ignore[untyped-decorator]
        def arrive(self) -> None:
            now = time.perf_counter_ns()
            self.each.append(now - self.began)
            if now >= self.until or len(self.each) == _EACH_MAX:
                thread.quit()
                return
            self.began = time.perf_counter_ns()
            self.asked.emit()

    return Near(), Far()
