# SPDX-License-Identifier: MIT
"""Pickled values: what crosses where both sides said `pickle=True`, when nothing else will do.

Called by the C extension, which has looked whether both sides agreed: reading a pickle runs code
that its sender chose. Protocol 5 (PEP 574): large buffers stay out of the pickle and travel as
arrays do, so that they lie in shared memory and are read in place.
"""

from __future__ import annotations

import pickle
import sys

from ringbridge.errors import CannotCross

TYPE_CHECKING = False  # type checkers know the name; importing typing would slow the worker's start
if TYPE_CHECKING:
    from typing import Any

_PROTOCOL = 5
_REASON_CHARS_MAX = 1000


class Carried:
    """Pickled with the function in it, which by itself would cross as a callback."""

    def __init__(self, function: Any) -> None:
        self.function = function


def write(value: object) -> tuple[bytes | memoryview, ...]:
    """The pickle, then its buffers. Raises CannotCross with pickle's own reason."""
    buffers: list[pickle.PickleBuffer] = []
    try:
        data = pickle.dumps(value, protocol=_PROTOCOL, buffer_callback=buffers.append)
        return (data, *(buffer.raw() for buffer in buffers))
    except MemoryError:
        raise
    except Exception as error:
        kind = type(value)
        raise CannotCross(
            f"a value of type {kind.__module__}.{kind.__qualname__} cannot be pickled: "
            f"{_reason(error)}"
        ) from error


def read(data: bytes, *buffers: Any) -> object:
    """The value. Raises CannotCross where it cannot be made in this process."""
    try:
        return pickle.loads(data, buffers=[memoryview(buffer) for buffer in buffers])
    except MemoryError:
        raise
    except Exception as error:
        raise CannotCross(
            f"a pickled value cannot be made in {sys.executable}: {_reason(error)} (its module "
            "must be importable on both sides)"
        ) from error


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:_REASON_CHARS_MAX]
