# SPDX-License-Identifier: MIT
"""A program that uses what an application serves. Judges nothing; the tests read what it prints.

Its one argument is JSON: `name` of the application, `module` of its tools (served/), what its
objects have (`attribute`, `method`, `within`), and `picture` (a file, or null: it has no window).
PYTHONPATH has ringbridge.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import ringbridge
from ringbridge import _core

ARRAY_BYTES = 100_000_000
BURST = 200
IDLE_CALLS = 20
LIMIT_S = 20
wanted = json.loads(sys.argv[1])


def timed(call: Callable[[], Any], pause_s: float = 0.0) -> float:
    """Milliseconds."""
    if pause_s:
        time.sleep(pause_s)
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e3


def array(application: Any, shared: Any) -> dict[str, Any]:
    before = application.stats()["bytes_received"]
    made = shared.filled(ARRAY_BYTES, 7)
    return {
        "bytes": made.nbytes,
        "ends": [int(made[0]), int(made[-1])],
        "in_place": type(made.base) is _core.Array,
        "received": application.stats()["bytes_received"] - before,
    }


def held(tools: Any) -> dict[str, Any]:
    """An object that stays there: used, released, and removed under our hands."""
    attribute, (method, *arguments) = wanted["attribute"], wanted["method"]
    kept = tools.cube("Kept")
    told = {"type": type(kept).__name__, "method": getattr(kept, method)(*arguments)}
    setattr(kept, attribute[0], attribute[1])
    told["attribute"] = getattr(kept, attribute[0])
    within = kept
    for name in wanted["within"]:
        within = getattr(within, name)
    told["within"] = within
    return {**told, **_released(tools), **_removed(tools, method, arguments)}


def _released(tools: Any) -> dict[str, Any]:
    once = tools.cube("Once")
    told = {"with_us": tools.references("Once")}
    del once
    until = time.monotonic() + LIMIT_S  # the release is told with what goes there next
    while (left := tools.references("Once")) >= told["with_us"] and time.monotonic() < until:
        time.sleep(0.01)
    tools.remove("Once")
    return {**told, "without_us": left}


def _removed(tools: Any, method: str, arguments: list[Any]) -> dict[str, Any]:
    gone = tools.cube("Gone")
    tools.remove("Gone")
    try:
        getattr(gone, method)(*arguments)
    except Exception as error:
        return {"gone": [type(error).__name__, str(error)]}
    return {"gone": None}


def main() -> None:
    began = time.perf_counter()
    application = ringbridge.connect(wanted["name"])
    told: dict[str, Any] = {"connect_ms": [(time.perf_counter() - began) * 1e3]}
    with application:
        told["pythons"] = [application.about()["python"], ".".join(map(str, sys.version_info[:3]))]
        shared, tools = application.load("shared_tools"), application.load(wanted["module"])
        told["threads"] = [shared.threads(), shared.threads.options(on="thread")()]
        told["array"] = array(application, shared)
        told["object"] = held(tools)
        told["idle_ms"] = [timed(shared.threads, 0.1) for _ in range(IDLE_CALLS)]
        told["burst_ms"] = [timed(shared.threads) for _ in range(BURST)]
        if wanted["picture"]:
            tools.picture(wanted["picture"])
        told["late_looks"] = application.stats()["late_looks"]
        for _ in range(5):
            told["connect_ms"].append(timed(lambda: ringbridge.connect(wanted["name"]).close()))
        (tools.leave if wanted["picture"] else shared.end)()
    print(json.dumps(told))


main()
