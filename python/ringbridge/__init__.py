# SPDX-License-Identifier: MIT
"""ringbridge: calls between two Python interpreters, through shared memory.

    with ringbridge.Worker("gis") as worker:
        terrain = worker.load("terrain")
        shade = terrain.hillshade(dem, azimuth=315.0)

Importing it loads next to nothing: everything else comes when it is first asked for. An interpreter
that cannot run it is told so: hence the old syntax, which any Python from 2.7 on can read.
"""
# ruff: noqa: UP031

import sys

TYPE_CHECKING = False  # type checkers know the name; importing typing takes 10 ms
if TYPE_CHECKING:
    from ringbridge.bars import progress_bar
    from ringbridge.connection import Connection, connect
    from ringbridge.crew import BrokenPool
    from ringbridge.current import current_task, empty
    from ringbridge.discovery import environments
    from ringbridge.environment import Environment
    from ringbridge.errors import (
        ActivationFailed,
        ArenaFull,
        Busy,
        CallTimeout,
        Cancelled,
        CannotCross,
        EnvironmentNotFound,
        HostNotFound,
        HostRefused,
        ProtocolError,
        RemoteError,
        RemoteTraceback,
        RingbridgeError,
        WorkerDied,
        WorkerStartFailed,
    )
    from ringbridge.objects import RemoteObject
    from ringbridge.pool import Pool
    from ringbridge.remote import RemoteModule
    from ringbridge.running_hosts import hosts
    from ringbridge.stream import Stream
    from ringbridge.task import Progress, Task
    from ringbridge.worker import Worker

__version__ = "0.1.0"
_OLDEST = (3, 9)

__all__ = [
    "ActivationFailed",
    "ArenaFull",
    "BrokenPool",
    "Busy",
    "CallTimeout",
    "Cancelled",
    "CannotCross",
    "Connection",
    "Environment",
    "EnvironmentNotFound",
    "HostNotFound",
    "HostRefused",
    "Pool",
    "Progress",
    "ProtocolError",
    "RemoteError",
    "RemoteModule",
    "RemoteObject",
    "RemoteTraceback",
    "RingbridgeError",
    "Stream",
    "Task",
    "Worker",
    "WorkerDied",
    "WorkerStartFailed",
    "connect",
    "current_task",
    "empty",
    "environments",
    "hosts",
    "progress_bar",
]

# Where each name comes from; the rest comes from errors.
_HOMES = {
    "BrokenPool": "crew",
    "Connection": "connection",
    "Environment": "environment",
    "Pool": "pool",
    "Progress": "task",
    "RemoteModule": "remote",
    "RemoteObject": "objects",
    "Stream": "stream",
    "Task": "task",
    "Worker": "worker",
    "connect": "connection",
    "current_task": "current",
    "empty": "current",
    "environments": "discovery",
    "hosts": "running_hosts",
    "progress_bar": "bars",
}


def _refusal():
    # type: () -> str
    """Why this interpreter cannot run ringbridge; empty when it can."""
    if not sys.platform.startswith("linux"):
        return "ringbridge runs on Linux (x86-64 and aarch64), not on %s" % sys.platform
    if sys.maxsize <= 1 << 32:
        return "ringbridge needs a 64-bit Python, and this one has 32 bits"
    if sys.version_info[:2] < _OLDEST:
        return "ringbridge needs CPython 3.9 or newer, and this is Python %s" % _version()
    if sys.implementation.name != "cpython":
        return "ringbridge needs CPython 3.9 or newer, and this is %s" % sys.implementation.name
    return ""


def _version():
    # type: () -> str
    return ".".join(str(part) for part in sys.version_info[:3])


if _refusal():
    raise ImportError(_refusal())


def __getattr__(name):
    # type: (str) -> object
    if name not in __all__:
        raise AttributeError("module %r has no attribute %r" % (__name__, name))
    import importlib

    try:
        home = importlib.import_module("%s.%s" % (__name__, _HOMES.get(name, "errors")))
    except ImportError as error:
        if "_core" not in str(error):
            raise
        problem = ImportError(
            "ringbridge in %s has no usable _core for this Python %s: install ringbridge with this "
            "interpreter's pip (%s)" % (__path__[0], _version(), error)
        )
        problem.name = "%s._core" % __name__
        problem.__cause__ = error
        raise problem  # noqa: B904 (`from` is not in Python 2's syntax)
    value = getattr(home, name)
    globals()[name] = value
    return value


def __dir__():
    # type: () -> list[str]
    return sorted(set(globals()) | set(__all__))
