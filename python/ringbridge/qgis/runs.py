# SPDX-License-Identifier: MIT
"""The runs of one bridge that are under way, so that its provider outlives them.

QGIS deletes a provider that is taken out of the toolbox, and an algorithm that runs asks its
provider for the file name of a temporary output: so a run ends before its provider does.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class Runs:
    """`is_over`: no run may go on. From any thread."""

    def __init__(self) -> None:
        self.is_over = False
        self._changed = threading.Condition()
        self._threads: list[int] = []

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        """Around a run, which looks at `is_over` in it before all else."""
        me = threading.get_ident()
        with self._changed:
            self._threads.append(me)
        try:
            yield
        finally:
            with self._changed:
                self._threads.remove(me)
                self._changed.notify_all()

    def wait(self, timeout_s: float) -> bool:
        """Until there is none but those of this thread, which would wait for itself."""
        me = threading.get_ident()
        with self._changed:
            return self._changed.wait_for(
                lambda: all(each == me for each in self._threads), timeout_s
            )
