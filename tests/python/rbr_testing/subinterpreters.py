# SPDX-License-Identifier: MIT
"""Run as a script: subinterpreters one after another, each with a live channel at its end.

    subinterpreters ROUNDS

From Python 3.12 on each has a GIL of its own. Even rounds close their worker; odd ones are
destroyed with the channel open and an array of shared memory held. Before 3.12 an interpreter with
a second thread cannot be destroyed at all, so there the odd ones start the channel without the
thread that reads the worker's output. numpy stays out: it does not load twice in a process.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]
WARM = 6
SETTLE_S = 10.0

CODE = """
import atexit, sys
sys.modules["numpy"] = None
sys.path[:0] = {path!r}
import ringbridge
from ringbridge import _core, discovery, launch, plan
array = b"x" * 100_000
if {closed} or sys.version_info >= (3, 12):
    worker = ringbridge.Worker({python!r}, paths=[{here!r}])
    there = worker.load("rbr_testing.basics")
    assert there.echo([1, "a", None]) == [1, "a", None]
    held = [there.echo(memoryview(array)), worker.empty(100_000, "uint8")]
    if {closed}:
        worker.close()
else:
    found = discovery.find({python!r})
    wanted = plan.Plan("sub", found, dict(PATH="/usr/bin"), paths=({here!r},))
    child = launch.Start(wanted).run()
    atexit.register(child.end)  # as a Worker does
    functions = child.channel.load("rbr_testing.basics", False, 30.0)[1]
    number = next(number for number, name, *_rest in functions if name == "echo")
    target = _core.Target(child.channel, number, "echo")
    held = [_core.Function(target)(memoryview(array))]
assert bytes(held[0]) == array
"""


def interpreters() -> tuple[Callable[[], Any], Callable[[Any, str], None], Callable[[Any], None]]:
    """create, run, destroy: under another name in each version."""
    if sys.version_info >= (3, 13):
        import _interpreters

        def run(one: Any, code: str) -> None:
            failed = _interpreters.exec(one, code)
            if failed is not None:
                raise RuntimeError(failed.errdisplay)

        return lambda: _interpreters.create("isolated"), run, _interpreters.destroy
    import _xxsubinterpreters as old

    isolated = sys.version_info >= (3, 12)
    return lambda: old.create(isolated=isolated), old.run_string, old.destroy


def possessions() -> tuple[int, int, int]:
    """File descriptors, threads, children."""
    task = f"/proc/self/task/{os.getpid()}"
    children = len(Path(task, "children").read_text().split())
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")), children


def settled(before: tuple[int, int, int]) -> tuple[int, int, int]:
    """What there is when it has become no more than before, or after a while."""
    deadline = time.monotonic() + SETTLE_S
    while (now := possessions()) != before and time.monotonic() < deadline:
        time.sleep(0.01)
    return now


def mappings() -> int:
    return len(Path("/proc/self/maps").read_text().splitlines())


def main(rounds: int) -> None:
    create, run, destroy = interpreters()
    before = possessions()
    maps = []
    for number in range(rounds):
        one = create()
        names = {"path": sys.path, "closed": number % 2 == 0, "python": sys.executable}
        run(one, CODE.format(here=str(HERE), **names))
        destroy(one)
        maps.append(mappings())
    after = settled(before)
    assert after == before, f"descriptors, threads, children: {before}, then {after}"
    growth = maps[-1] - maps[WARM]
    assert growth < (rounds - WARM) // 4, f"mappings: {maps}"
    print(f"{rounds} subinterpreters, {before}, mappings {maps[WARM]} to {maps[-1]}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
