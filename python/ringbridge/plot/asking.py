# SPDX-License-Identifier: MIT
"""What a thread of the computation asks its viewers, and how long it waits for the answer.

Knows no sockets: who asks hands a question to the audience, which settles it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from ringbridge.errors import CallTimeout, RingbridgeError


class Question:
    """One. `ask` by any thread, `settle` by the thread that hears the viewers; the first settles.

    what, arguments: see `ringbridge.plot.questions`. then: called once it is settled, by who
    settles it.
    """

    def __init__(
        self, what: str, *arguments: Any, then: Callable[[Question], object] = lambda _: None
    ) -> None:
        self.values = (what, *arguments)
        self._then = then
        self._settled = threading.Event()
        self._answer: Any = None
        self._error: Exception | None = None
        self.given_up = False  # nobody waits for it any more

    def settle(self, answer: Any) -> None:
        if not self._settled.is_set():
            self._answer = answer
            self._settled.set()
            self._then(self)

    def fail(self, error: Exception) -> None:
        if not self._settled.is_set():
            self._error = error
            self._settled.set()
            self._then(self)

    def answer(self, timeout_s: float | None) -> Any:
        """Waits for it. Raises what a viewer could not do, CallTimeout, KeyboardInterrupt."""
        try:
            self._wait(timeout_s)
        finally:
            self.given_up = True
        if self._error is not None:
            raise self._error
        return self._answer

    def _wait(self, timeout_s: float | None) -> None:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        # In pieces: not every platform's wait without an end hears of Ctrl-C.
        while not self._settled.is_set():
            left = 1.0 if deadline is None else min(deadline - time.monotonic(), 1.0)
            if left <= 0:
                raise CallTimeout(
                    f"no viewer has answered within {timeout_s:g} s (it was asked for "
                    f"{self.values[0]!r}); stopped, or busy with a draw?"
                )
            self._settled.wait(left)


class ViewerError(RingbridgeError):
    """No viewer is there, or it could not do what it was asked; the message says why."""
