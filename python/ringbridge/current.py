# SPDX-License-Identifier: MIT
"""What code that runs in a worker may ask of ringbridge, and may ask just as well elsewhere.

Knows nothing of the host's handles, and imports numpy only when it is asked for an array.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers know the name; importing typing would slow the worker's start
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, SupportsIndex

    from ringbridge._core import Channel

# The one channel of a worker, from serve.main; None in every other process.
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
    if _channel is not None:
        return _channel.empty(shape, dtype)
    try:
        import numpy
    except ImportError as error:
        raise ImportError(
            "ringbridge.empty() outside of a worker needs numpy, which cannot be imported here: "
            f"{error}",
            name="numpy",
        ) from error
    return numpy.empty(shape, dtype)
