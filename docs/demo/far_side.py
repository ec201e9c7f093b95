# SPDX-License-Identifier: MIT
"""What bench_python and run_demo call in other processes: the worker, and the peers beside it.

Imports nothing but the standard library at the top, so that it loads in any interpreter.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.synchronize import Semaphore

_kept: dict[object, Any] = {}


def pin(cpus: Sequence[int]) -> None:
    """Lets the calling thread run on these processors only."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cpus)


def increment(number: int) -> int:
    return number + 1


def byte_count(array: Any) -> int:
    """Looks at the array's head only: what a call with it takes is the crossing."""
    return int(array.nbytes)


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


def memcpy_ns(size: int) -> int:
    """How long this process takes to copy that many bytes that it has touched before."""
    import numpy as np

    if ("from", size) not in _kept:
        _kept["from", size] = np.ones(size, "uint8")
        _kept["to", size] = np.ones(size, "uint8")
    source, target = _kept["from", size], _kept["to", size]
    began = time.perf_counter_ns()
    np.copyto(target, source)
    return time.perf_counter_ns() - began


def nap(seconds: float) -> int:
    """Sleeps, and says how long that really was, in ns: the rest of a round trip is the way."""
    began = time.perf_counter_ns()
    time.sleep(seconds)
    return time.perf_counter_ns() - began


def versions() -> dict[str, str]:
    import platform
    import sys

    import numpy as np

    return {
        "Python": platform.python_version(),
        "executable": sys.executable,
        "numpy": np.__version__,
    }


# ---------------------------------------------------------------------- the peers, as processes


def serve_pipe(connection: Connection, cpus: Sequence[int]) -> None:
    """`increment` behind a multiprocessing.Pipe, until None comes or the other end closes."""
    pin(cpus)
    with connection:
        try:
            while (number := connection.recv()) is not None:
                connection.send(increment(number))
        except EOFError:
            pass


def serve_semaphores(
    request: Semaphore, reply: Semaphore, slept_ns: Any, seconds: float, cpus: Sequence[int]
) -> None:
    """`nap` behind two POSIX semaphores (sem_t), until slept_ns is negative."""
    pin(cpus)
    while request.acquire(timeout=60.0) and slept_ns.value >= 0:
        slept_ns.value = nap(seconds)
        reply.release()
