# SPDX-License-Identifier: MIT
"""`ringbridge doctor [ENV]`: is everything there, and how fast is it on this machine?"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ringbridge

if TYPE_CHECKING:
    _Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

_CALLS = 1000
_WARM_UP = 50
_BIG = 16 << 20


def add_to(verbs: _Verbs) -> None:
    parser = verbs.add_parser(
        "doctor",
        help="look whether everything is there, and how fast it is",
        description="Shows what ringbridge finds in this interpreter and on this machine; with "
        "ENV it starts a worker there and measures calls to it.",
    )
    parser.add_argument(
        "env", nargs="?", metavar="ENV", help="an interpreter's path, or an environment's prefix"
    )
    parser.set_defaults(verb=doctor)


def doctor(options: argparse.Namespace) -> int:
    _show("ringbridge", f"{ringbridge.__version__} ({os.path.dirname(ringbridge.__file__)})")
    _show("python", f"{platform.python_version()} ({sys.executable})")
    healthy = _show_core()
    _show("/dev/shm", _shm())
    _show("CPUs", f"{len(os.sched_getaffinity(0))} of {os.cpu_count()} usable")
    if options.env is not None:
        healthy = _show_worker(options.env) and healthy
    return 0 if healthy else 1


def _show(what: str, text: str) -> None:
    print(f"{what + ':':<18}{text}", flush=True)


def _show_core() -> bool:
    try:
        from ringbridge import _core
    except ImportError as error:
        _show("_core", f"MISSING for this Python: {error}")
        return False
    _show("_core", f"{_core.VERSION} ({_core.__file__})")
    return True


def _shm() -> str:
    try:
        usage = shutil.disk_usage("/dev/shm")
    except OSError as error:
        return f"not there ({error.strerror}); sealed memory files take its place"
    return f"{usage.free >> 20} MiB of {usage.total >> 20} MiB free"


def _show_worker(env: str) -> bool:
    before = time.perf_counter()
    try:
        worker = ringbridge.Worker(env)
    except ringbridge.RingbridgeError as error:
        _show("worker", f"FAILED: {error}")
        return False
    with worker:
        _show("worker", f"started in {(time.perf_counter() - before) * 1e3:.0f} ms")
        system = worker.load("sys")
        _show("  python", f"{system.version.split()[0]} ({system.executable})")
        _show("  environment", f"{worker.environment.prefix} ({worker.environment.kind})")
        operator = worker.load("operator")
        times = sorted(_timed(operator.neg, 1) for _ in range(_WARM_UP + _CALLS))
        median, worst = times[len(times) // 2], times[len(times) * 99 // 100]
        _show("  small call", f"{median * 1e6:.1f} us (99 %: {worst * 1e6:.1f} us)")
        array = _array(worker)
        _show("  16 MiB there", _rate(min(_timed(operator.length_hint, array) for _ in range(5))))
        _show("  16 MiB back", _rate(min(_timed(operator.mul, b"x", _BIG) for _ in range(5))))
    return True


def _array(worker: ringbridge.Worker) -> Any:
    """16 MiB that are not in shared memory yet."""
    try:
        import numpy
    except ImportError:
        return bytearray(b"x") * _BIG
    return numpy.ones(_BIG, "uint8")  # not zeros: no page of those is there before it is written


def _timed(function: Callable[..., Any], *args: Any) -> float:
    before = time.perf_counter()
    function(*args)
    return time.perf_counter() - before


def _rate(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms ({_BIG / seconds / 1e9:.1f} GB/s)"
