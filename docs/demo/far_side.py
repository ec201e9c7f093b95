# SPDX-License-Identifier: MIT
"""What run_demo calls in the worker to see whether both look at the same bytes.

Imports nothing but the standard library at the top, so that it loads in any interpreter.
"""

from __future__ import annotations

from typing import Any

_kept: dict[object, Any] = {}


def write_first(array: Any, value: float) -> None:
    """Writes into the caller's array; the caller sees it only where nothing was copied."""
    array[(0,) * array.ndim] = value


def keep(size: int, shared: bool) -> None:
    """Makes an array of that many bytes, for `kept` to return: in the arena, or an ordinary one."""
    import numpy as np

    import ringbridge as rb

    array = rb.empty(size, "uint8") if shared else np.empty(size, "uint8")
    array[:] = 1
    _kept[size, shared] = array


def kept(size: int, shared: bool) -> Any:
    return _kept[size, shared]


def write_kept(size: int, shared: bool, value: int) -> None:
    """Writes into what `kept` has returned; the host sees it only where nothing was copied."""
    _kept[size, shared][0] = value


def forget() -> None:
    _kept.clear()


def versions() -> dict[str, str]:
    import platform
    import sys

    import numpy as np

    return {
        "Python": platform.python_version(),
        "executable": sys.executable,
        "numpy": np.__version__,
    }
