# SPDX-License-Identifier: MIT
"""Runs inside of an application: functions of another thread on its main thread, by its own pump.

Judges nothing; the tests read the report. RBR_HOSTS_SETTINGS names a file of JSON with `copy` (the
folder that holds a ringbridge), `picture` (a file, or null) and `report` (a file).
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

BURST = 200
IDLE_CALLS = 20
SETTLED_S = 6.0  # what has been made is drawn by then
IDLE_S = 3.0
LIMIT_S = 40


class Walk:
    """Begins when it is made, on the main thread; a thread of its own asks, and ends it all.

    make   does something that is seen, and says what; on the main thread
    later  later(function): the application runs it on its main thread in about half a second
    end    ends the application; on the main thread
    """

    def __init__(
        self,
        make: Callable[[], Any],
        later: Callable[[Callable[[], None]], None] | None,
        end: Callable[[], None],
    ) -> None:
        with open(os.environ["RBR_HOSTS_SETTINGS"], encoding="utf-8") as file:
            self.wanted = json.load(file)
        sys.path.insert(0, self.wanted["copy"])
        from ringbridge.host import applications
        from ringbridge.host.main_work import MainWork
        from ringbridge.host.pumps import pump_for

        self.applications = applications
        self.make, self.later, self.end = make, later, end
        self.main = threading.get_ident()
        self.pump = pump_for()
        descriptors = _descriptors()
        self.work = MainWork()
        self.pump.start(self.work)
        self.told: dict[str, Any] = {"failure": None, "descriptors": [descriptors]}
        self.over = False
        threading.Thread(target=self._ask, daemon=True).start()

    def drain(self) -> None:
        """Until the end, where the application has no loop."""
        while not self.over:
            self.work.wait(LIMIT_S)
            self.work.drain()
        self._finish()

    def _ask(self) -> None:
        try:
            self._ask_all()
        except BaseException:
            self.told["failure"] = traceback.format_exc()
            self._write()
            os._exit(1)

    def _on_main(self, function: Callable[[], Any]) -> Any:
        return self.work.post(function).result(LIMIT_S)

    def _ask_all(self) -> None:
        here = self._on_main(self.applications.current)
        self.told["application"] = [here.kind, here.version, here.has_loop]
        self.told["pump"] = self.pump.name
        self.told["on_main"] = self._on_main(threading.get_ident) == self.main
        self.told["document"] = [self._on_main(lambda: self.applications.document(here))]
        self.told["made"] = self._on_main(self.make)
        self.told["document"].append(self._on_main(lambda: self.applications.document(here)))
        self._measure()
        self.work.post(self._stop)

    def _measure(self) -> None:
        time.sleep(SETTLED_S)
        began, used = time.perf_counter(), _processor_s()
        time.sleep(IDLE_S)
        self.told["idle_processor"] = (_processor_s() - used) / (time.perf_counter() - began)
        self.told["idle_ms"] = [self._timed(0.1) for _ in range(IDLE_CALLS)]
        self.told["burst_ms"] = [self._timed(0.0) for _ in range(BURST)]

    def _timed(self, pause_s: float) -> float:
        time.sleep(pause_s)
        began = time.perf_counter()
        self._on_main(threading.get_ident)
        return (time.perf_counter() - began) * 1e3

    def _stop(self) -> None:
        self.pump.stop()
        self.over = True
        if self.later is not None:
            self.later(self._be_late)

    def _be_late(self) -> None:
        """What is posted now must not run."""
        assert self.later is not None
        late = self.work.post(threading.get_ident)

        def finish() -> None:
            self.told["late"] = late.done()
            self._finish()

        self.later(finish)

    def _finish(self) -> None:
        self.work.close()
        self.told["descriptors"].append(_descriptors())
        self._write()
        self.end()

    def _write(self) -> None:
        with open(self.wanted["report"], "w", encoding="utf-8") as file:
            json.dump(self.told, file)


def _descriptors() -> list[str]:
    """What is open of the kinds that a pump uses."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:  # the listing's own
            continue
    return sorted(each for each in found if "eventpoll" in each or "pipe:" in each)


def _processor_s() -> float:
    used = os.times()
    return used.user + used.system


def summary(told: dict[str, Any]) -> str:
    """The figures in a line."""
    idle, burst = told["idle_ms"], told["burst_ms"]
    return (
        f"idle {statistics.median(idle):.2f} ms (at most {max(idle):.2f}), a burst of {len(burst)} "
        f"in {sum(burst):.0f} ms (median {statistics.median(burst) * 1e3:.0f} us), "
        f"{told['idle_processor'] * 100:.1f} % of a processor while idle"
    )
