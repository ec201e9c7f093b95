# SPDX-License-Identifier: MIT
"""ringbridge: calls between two Python interpreters, through shared memory.

    with ringbridge.Worker("/path/to/env") as worker:
        terrain = worker.load("terrain")
        shade = terrain.hillshade(dem, azimuth=315.0)

Importing it loads next to nothing: everything else comes when it is first asked for.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # type checkers know the name; importing typing takes 10 ms
if TYPE_CHECKING:
    from ringbridge.current import empty
    from ringbridge.environment import Environment
    from ringbridge.errors import (
        ActivationFailed,
        ArenaFull,
        Busy,
        CallTimeout,
        Cancelled,
        CannotCross,
        EnvironmentNotFound,
        ProtocolError,
        RemoteError,
        RemoteTraceback,
        RingbridgeError,
        WorkerDied,
        WorkerStartFailed,
    )
    from ringbridge.remote import RemoteModule
    from ringbridge.worker import Worker

__version__ = "0.1.0"

__all__ = [
    "ActivationFailed",
    "ArenaFull",
    "Busy",
    "CallTimeout",
    "Cancelled",
    "CannotCross",
    "Environment",
    "EnvironmentNotFound",
    "ProtocolError",
    "RemoteError",
    "RemoteModule",
    "RemoteTraceback",
    "RingbridgeError",
    "Worker",
    "WorkerDied",
    "WorkerStartFailed",
    "empty",
]

# Where each name comes from; the rest comes from errors.
_HOMES = {
    "Environment": "environment",
    "RemoteModule": "remote",
    "Worker": "worker",
    "empty": "current",
}


def _refusal() -> str:
    """Why this interpreter cannot run ringbridge; empty when it can."""
    if not sys.platform.startswith("linux"):
        return f"ringbridge runs on Linux (x86-64 and aarch64), not on {sys.platform}"
    if sys.maxsize <= 1 << 32:
        return "ringbridge needs a 64-bit Python, and this one has 32 bits"
    if sys.implementation.name != "cpython":
        return f"ringbridge needs CPython, and this is {sys.implementation.name}"
    return ""


if _refusal():
    raise ImportError(_refusal(), name=__name__)


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    try:
        home = importlib.import_module(f"{__name__}.{_HOMES.get(name, 'errors')}")
    except ImportError as error:
        if "_core" not in str(error):
            raise
        version = ".".join(str(part) for part in sys.version_info[:3])
        raise ImportError(
            f"ringbridge in {__path__[0]} has no usable _core for this Python {version}: install "
            f"ringbridge with this interpreter's pip ({error})",
            name=f"{__name__}._core",
        ) from error
    value = getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
