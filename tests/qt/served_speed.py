# SPDX-License-Identifier: MIT
"""What a call into an application costs, beside what it replaces: taken in turns, medians.

served_speed.py BINDING [ROUNDS]

The exit code is 0 whatever the figures are. Starts itself twice as an application, with "serve".
This process has one processor and the script the other; a Qt application may use all.
"""

from __future__ import annotations

import importlib
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ringbridge
from ringbridge import host
from ringbridge.bench import machine

FAR = "ringbridge.bench.far_side"
CPUS = machine.two_cpus()
CALLS = 500
ARRAY_BYTES = 100_000_000


def median_s(work: Callable[[], object], count: int) -> float:
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


# ------------------------------------------------------------------------------- the application


def serve(kind: str, name: str) -> None:
    """Until it is killed."""
    if kind == "script":
        os.sched_setaffinity(0, {CPUS[1]})
        with host.serve(name, [FAR]) as server:
            print("serves", flush=True)
            server.run()
        return
    core: Any = importlib.import_module(f"{kind}.QtCore")
    application = core.QCoreApplication([])
    server = host.serve(name, [FAR, _hop(core)])
    print("serves", flush=True)
    getattr(application, "exec", application.exec_ if kind == "PySide2" else None)()
    server.stop()


def _hop(core: Any) -> Callable[[int], float]:
    signal = getattr(core, "pyqtSignal", None) or core.Signal
    queued = core.Qt.ConnectionType.QueuedConnection

    class Main(core.QObject):  # type: ignore[misc]
        pong = signal()

        def answer(self) -> None:
            assert threading.current_thread() is threading.main_thread()
            self.pong.emit()

    class Asking(core.QObject):  # type: ignore[misc]
        ping = signal()

    main = Main()

    @host.expose(on="thread")
    def hop(count: int) -> float:
        """A signal to the main thread and one back, s; on a thread of the server's."""
        asking, loop = Asking(), core.QEventLoop()
        asking.ping.connect(main.answer, queued)
        main.pong.connect(loop.quit, queued)
        turn = loop.exec if hasattr(loop, "exec") else loop.exec_

        def there_and_back() -> None:
            asking.ping.emit()
            turn()

        try:
            return median_s(there_and_back, count)
        finally:
            main.pong.disconnect(loop.quit)

    return hop


# ------------------------------------------------------------------------------------ the client


def started(kind: str, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(Path(__file__).resolve()), "serve", kind, name]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "serves\n"
    return process


def turns(qt: ringbridge.Connection, script: ringbridge.Connection) -> dict[str, float]:
    """Each once, in seconds."""
    far, there = qt.load(FAR), script.load(FAR)
    with ringbridge.Worker(sys.executable) as worker:
        os.sched_setaffinity(worker.pid, {CPUS[1]})
        own = worker.load(FAR).increment
        own(1)
        taken = {
            "call into Qt": median_s(lambda: far.increment(1), CALLS),
            "signals": qt.load("__main__").hop(CALLS),
            "call into a script": median_s(lambda: there.increment(1), 10 * CALLS),
            "call of a worker": median_s(lambda: own(1), 10 * CALLS),
            "connect()": median_s(lambda: ringbridge.connect(script.name).close(), 10),
        }
    try:
        import numpy as np
    except ImportError:
        return taken
    there.keep(ARRAY_BYTES, 1, True)
    source, target = np.ones(ARRAY_BYTES, "uint8"), np.ones(ARRAY_BYTES, "uint8")
    taken["100 MB, in place"] = median_s(lambda: there.kept_shared(ARRAY_BYTES), 100)
    taken["100 MB, memcpy"] = median_s(lambda: np.copyto(target, source), 3)
    there.forget()
    return taken


def compare(kind: str, rounds: int) -> dict[str, list[float]]:
    cpus = os.sched_getaffinity(0)
    applications = [started(kind, "speed-qt"), started("script", "speed-script")]
    found: dict[str, list[float]] = {}
    os.sched_setaffinity(0, {CPUS[0]})
    try:
        with ringbridge.connect("speed-qt") as qt, ringbridge.connect("speed-script") as script:
            for _ in range(rounds):
                for what, seconds in turns(qt, script).items():
                    found.setdefault(what, []).append(seconds)
    finally:
        for each in applications:
            each.kill()
            each.communicate()
        os.sched_setaffinity(0, cpus)
    return found


def main() -> None:
    kind, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
    print(f"{kind}, CPython {platform.python_version()}, {rounds} rounds")
    found = compare(kind, rounds)
    ratios = [x / y for x, y in zip(found["call into Qt"], found["signals"])]
    print("call into Qt / signals:", *(f"{ratio:.2f}" for ratio in ratios))
    for what, taken in found.items():
        middle, least, most = statistics.median(taken), min(taken), max(taken)
        print(f"{what:20} {middle * 1e6:10.2f} us ({least * 1e6:.2f} to {most * 1e6:.2f})")


if __name__ == "__main__":
    serve(*sys.argv[2:]) if sys.argv[1] == "serve" else main()
