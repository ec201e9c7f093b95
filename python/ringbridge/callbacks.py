# SPDX-License-Identifier: MIT
"""Callback: in a worker, a function of the host's that came as an argument.

Made by the C extension when a call's arguments are decoded. Imports nothing of ours but the
extension: code in the worker holds these objects.
"""

from __future__ import annotations

from ringbridge import _core

TYPE_CHECKING = False  # type checkers know the name; importing typing would slow the worker's calls
if TYPE_CHECKING:
    from typing import Any


class Callback:
    """Calls a function in the host, and gives what it returns or raises what it raises.

    May be used from any thread of the worker, until the call that it came with has ended; after
    that it raises RingbridgeError. While it waits on the main thread, the worker runs the calls
    that the host makes from within the function, and no others.
    """

    __slots__ = ("__weakref__", "_call", "_held", "_index", "_name")

    def __init__(self, held: object, call: int, index: int, name: str) -> None:
        self._held = held  # the host lets go of the function when this goes: C's, and no __del__
        self._call = call
        self._index = index
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Waits for the function's result."""
        return _core.call_back(self._held, self._call, self._index, self._name, args, kwargs, True)

    def notify(self, *args: Any, **kwargs: Any) -> None:
        """Calls it without waiting. What it raises is reported as an unraisable exception here.

        At most 64 such calls are under way; the next one waits for the first of them.
        """
        _core.call_back(self._held, self._call, self._index, self._name, args, kwargs, False)

    @property
    def __name__(self) -> str:
        return self._name

    def __reduce__(self) -> str:
        raise TypeError(f"{self!r} cannot be pickled: it is of use in this process only")

    def __repr__(self) -> str:
        return f"<callback {self._name} of call {self._call}>"
