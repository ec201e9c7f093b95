# SPDX-License-Identifier: MIT
"""What code that runs in a worker may ask of ringbridge, and may ask just as well elsewhere.

Knows nothing of the host's handles, and imports numpy only when it is asked for an array, logging
only when a record is for it.
"""

from __future__ import annotations

import sys

from ringbridge import _core
from ringbridge.errors import cancelled_by_host

TYPE_CHECKING = False  # type checkers know the name; importing typing would slow the worker's start
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, SupportsFloat, SupportsIndex, Union

    from ringbridge._core import Channel

    Number = Union[SupportsFloat, SupportsIndex]

# The one channel of a worker, from serve.main, for code that runs outside of any call; None in
# every other process.
_channel: Channel | None = None


def enter(channel: Channel | None) -> None:
    """Says that this process is the worker at the end of `channel`, or (None) no worker."""
    global _channel
    _channel = channel


def empty(shape: SupportsIndex | Sequence[SupportsIndex], dtype: Any = "float64") -> Any:
    """A new array, its content undefined, that goes back to the host without being copied.

    In a worker it lies in shared memory (a memoryview where there is no numpy); elsewhere it is
    what numpy.empty gives, so that the same code runs without a worker.
    """
    channel = _core.current_channel() or _channel
    if channel is not None:
        return channel.empty(shape, dtype)
    try:
        import numpy
    except ImportError as error:
        raise ImportError(
            "ringbridge.empty() outside of a worker needs numpy, which cannot be imported here: "
            f"{error}",
            name="numpy",
        ) from error
    return numpy.empty(shape, dtype)


class CurrentTask:
    """The call that runs, for the code that it runs. `current_task` gives it.

    From any thread of the worker. When its call has ended, and outside of any call, it does
    nothing but check its arguments, and `log` goes to `logging`: the same code runs without a host.
    """

    __slots__ = ("_channel", "_id")

    def __init__(self, channel: Channel | None, id: int) -> None:
        self._channel = channel
        self._id = id

    @property
    def id(self) -> int:
        """The call's number in this worker; 0 outside of any call."""
        return self._id

    def progress(
        self,
        done: Number | None = None,
        total: Number | None = None,
        text: str | None = None,
        *,
        fraction: Number | None = None,
    ) -> None:
        """Tells the host how far the call has come; raises Cancelled when the host asked for that.

        A total of None or 0 is unknown; `fraction` is what to give where nothing can be counted.
        Without any number the numbers stay, without a text the text. May be called as often as one
        likes: the host hears of the newest, every 30 ms, and of the last one before the result.
        """
        if _core.progress(self._channel, self._id, done, total, fraction, text):
            raise cancelled_by_host()

    def check_cancelled(self) -> None:
        """Raises Cancelled when the host asked to cancel the call."""
        if self._channel is not None and _core.cancelled(self._channel, self._id):
            raise cancelled_by_host()

    @property
    def cancelled(self) -> bool:
        """Whether the host asked to cancel the call: for code that wants to end in its own way."""
        return self._channel is not None and bool(_core.cancelled(self._channel, self._id))

    def log(self, text: str, level: int | str = 20) -> None:  # logging.INFO
        """A log record for the host, as the caller's module; the level is a number or a name."""
        if not isinstance(text, str):
            raise TypeError(f"log(): text must be a str, not {type(text).__name__}")
        number = _level_number(level) if isinstance(level, str) else level
        name = sys._getframe(1).f_globals.get("__name__") or "root"
        if self._channel is None or not _core.log(self._channel, self._id, number, name, text):
            import logging

            logging.getLogger(name).log(number, "%s", text, stacklevel=2)


_NO_CALL = CurrentTask(None, 0)


def current_task() -> CurrentTask:
    """The task of the call that runs here now; one that does nothing where there is none.

    In a worker a thread that the call's code has started gets it as well, while the call runs; in
    an application that serves, the thread that runs the call alone.
    """
    channel = _core.current_channel()
    return _NO_CALL if channel is None else CurrentTask(channel, _core.current_call())


def show_tqdm(bars: bool) -> None:
    """Whether tqdm's bars of this worker are the progress of their call (so it begins) or drawn.

    Counts for bars that are made from now on; elsewhere than in a worker they are always drawn.
    """
    from ringbridge import tqdm_bars

    tqdm_bars.wanted = bars


def _level_number(name: str) -> int:
    import logging

    number = logging.getLevelName(name.upper())
    if isinstance(number, int):
        return number
    raise ValueError(
        f"log(): {name!r} is no level; right are 'DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL' "
        "and numbers"
    )
