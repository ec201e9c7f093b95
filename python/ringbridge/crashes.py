# SPDX-License-Identifier: MIT
"""How often a worker may die before it is left dead. Counts; starts and ends nothing.

a process that had answered a call dies       -> the count begins anew, with this death
one that had answered none dies, or one       -> one more; given up at DEATHS_MAX
cannot be started
"""

from __future__ import annotations

from ringbridge.errors import RingbridgeError, WorkerDied

#: So many within WINDOW_S, no call answered in between: what kills it is there at each start. Who
#: runs into one and the same crash by hand is slower than that.
DEATHS_MAX = 5
WINDOW_S = 30.0

_REASON_CHARS_MAX = 2000


class Crashes:
    """The deaths of one worker's processes that nobody asked for. Given up until `forget`."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._last: RingbridgeError | None = None

    @property
    def given_up(self) -> bool:
        """Whether it shall not be started again."""
        return len(self._times) >= DEATHS_MAX

    def add(self, reason: RingbridgeError, *, answered: bool, now_s: float) -> None:
        """One more death; answered: since the death before it, a call had its answer."""
        kept = [] if answered else [time for time in self._times if now_s - time <= WINDOW_S]
        self._times = [*kept, now_s]
        self._last = reason

    def forget(self) -> None:
        """From here on it may be started again."""
        self._times = []
        self._last = None

    def error(self, worker_name: str) -> RingbridgeError:
        """What a use of a worker that was given up raises: of the kind of the last death."""
        last = self._last or WorkerDied("it died")
        message = (
            f"worker {worker_name!r} is not started again: it died {len(self._times)} times within "
            f"{WINDOW_S:g} s and answered no call in between; call its restart() when the cause is "
            f"gone. The last time: {str(last)[:_REASON_CHARS_MAX]}"
        )
        if isinstance(last, WorkerDied):
            return WorkerDied(message, last.signal, last.exit_code)
        return type(last)(message)
