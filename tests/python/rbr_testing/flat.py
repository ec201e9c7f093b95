# SPDX-License-Identifier: MIT
"""What is repeated leaves nothing behind: a program for test_flat.py.

python -m rbr_testing.flat GROUP REPEATS [BATCHES]

After a warm-up, batches of repetitions are measured: in this process, and in the worker where the
group keeps one. A leak leaves one thing with each repetition of every batch; caches and free lists
have a batch in which they do not grow so; what they take in one does not depend on its length.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import ringbridge
from rbr_testing import caches, kinds

HERE = Path(__file__).resolve().parent.parent
BATCHES_MIN, BATCHES_MAX = 3, 30
#: What malloc has given out goes up and down by itself: counted so coarsely.
PIECE_BYTES = 4096
#: Of the repetitions: less than one thing left by each is no leak.
LEAK_PART = 0.9

Operation = Callable[[], Any]


# ---------------------------------------------------------------------------------- what is counted


class _Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in ("arena", *"abcdef", "used", "free", "keep")]


_mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)  # from glibc 2.33 on
if _mallinfo is not None:
    _mallinfo.restype = _Mallinfo


def malloc_bytes() -> int:
    """Given out by malloc and not freed yet, what is mapped by itself not counted."""
    return int(_mallinfo().used) if _mallinfo is not None else 0


def measure() -> dict[str, int]:
    """What this process holds."""
    caches.clear()
    with open("/proc/self/maps") as maps:
        mappings = len(maps.readlines())
    children = [f"/proc/self/task/{task}/children" for task in os.listdir("/proc/self/task")]
    total = getattr(sys, "gettotalrefcount", int)
    return {
        "blocks": sys.getallocatedblocks(),
        "objects": len(gc.get_objects()),
        "references": total(),
        "malloc": malloc_bytes() // PIECE_BYTES,
        "mappings": mappings,
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "tasks": len(os.listdir("/proc/self/task")),
        "children": sum(map(_words, children)),
    }


def blocks(worker: ringbridge.Worker) -> dict[str, int]:
    """Of shared memory: those of ours that anybody holds, those of the worker's that we hold."""
    stats = worker.stats()
    return {what: stats[what] for what in ("arena_blocks", "peer_blocks")}


def _words(path: str) -> int:
    try:
        return len(Path(path).read_text().split())
    except FileNotFoundError:  # that thread has just ended
        return 0


def leaks(
    repeat: Operation, count: int, batches: int, measures: dict[str, Operation]
) -> dict[str, int]:
    """The least that each count grew by in a batch, where that was too much in all of them;
    `repeat` runs one batch of `count`."""
    least: dict[str, int] = {}
    repeat()
    before = {where: hold() for where, hold in measures.items()}
    for batch in range(batches):
        repeat()
        after = {where: hold() for where, hold in measures.items()}
        for where, counts in after.items():
            for what, number in counts.items():
                name, grown = f"{what} of the {where}", number - before[where][what]
                least[name] = min(grown, least.get(name, grown))
        before = after
        found = {name: grown for name, grown in least.items() if grown > LEAK_PART * count}
        if not found and batch + 1 >= BATCHES_MIN:
            break
    return found


# --------------------------------------------------------------------------- what is repeated


def values(module: ringbridge.RemoteModule) -> None:
    for value in kinds.values().values():
        module.echo(value)
        module.echo.options(copy=True, label="x", timeout=9.0)(value)
    module.add(1, right=2, scale=0.5)


def failures(module: ringbridge.RemoteModule) -> None:
    calls = [
        partial(module.fail, "ValueError", "x", 1), module.fail_own, module.fail_with_cause,
        module.decode_badly, module.open_missing, module.leave,
        module.uncrossable, partial(module.echo, [object()]), partial(module.echo, {"x": "\ud800"}),
        partial(module.add, "1"), partial(module.add, no=1),
    ]  # fmt: skip
    for call in calls:
        try:
            call()
        except Exception:
            continue
        raise AssertionError(f"{call} raises nothing")


def arrays(worker: ringbridge.Worker, module: ringbridge.RemoteModule) -> None:
    ours = memoryview(worker.empty(5000, "uint8"))
    ours[:] = bytes(5000)
    back = [module.echo(ours[1000:]), module.echo(ours), module.echo(bytes(20_000))]
    views = [memoryview(each)[::2] for each in back]
    del back
    module.echo(views[0])
    assert worker.stats()["peer_blocks"] == 2


def timeouts(module: ringbridge.RemoteModule) -> None:
    with contextlib.suppress(ringbridge.CallTimeout):
        module.pause.options(timeout=0.001)(1.0)


def loads(worker: ringbridge.Worker) -> None:
    module = worker.load("rbr_testing.basics")
    module.refresh()
    repr(module.echo), module.echo.__signature__, module.echo.__name__, dir(module)
    with contextlib.suppress(ImportError):
        worker.load("no_such_module")


def tasks(module: ringbridge.RemoteModule) -> None:
    module.tell_in_odd_ways()
    with contextlib.suppress(TypeError):
        module.tell("3")
    with contextlib.suppress(ModuleNotFoundError):
        module.nested_loops()


def start() -> ringbridge.Worker:
    return ringbridge.Worker(sys.executable, name="flat", paths=[HERE])


def workers() -> None:
    """Closed with an array of its alive, once; left to the garbage collector, once."""
    worker = start()
    module = worker.load("rbr_testing.basics")
    live = memoryview(module.echo(memoryview(bytes(10_000))))
    worker.close()
    assert bytes(live) == bytes(10_000)
    start()


def deaths() -> None:
    with start() as worker:
        module = worker.load("rbr_testing.basics")
        live = module.echo(memoryview(bytes(10_000)))
        with contextlib.suppress(ringbridge.WorkerDied):
            module.exit_hard()
        del live


def imports() -> None:
    import importlib.util

    spec = importlib.util.find_spec("ringbridge._core")
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


# ------------------------------------------------------------------------------------------- main


@contextlib.contextmanager
def group(name: str) -> Iterator[tuple[Operation, dict[str, Operation]]]:
    """One repetition, and whom to measure."""
    if name in ("workers", "deaths", "imports"):
        yield globals()[name], {"host": measure}
        return
    with start() as worker:
        module = worker.load("rbr_testing.basics")
        slow = worker.load("rbr_testing.faults")
        operations: dict[str, Operation] = {
            "calls": partial(module.echo, 1),
            "values": partial(values, module),
            "failures": partial(failures, module),
            "arrays": partial(arrays, worker, module),
            "timeouts": partial(timeouts, slow),
            "loads": partial(loads, worker),
            "tasks": partial(tasks, worker.load("rbr_testing.tasks")),
        }
        there = worker.load("rbr_testing.flat")
        measures = {"host": measure, "worker": there.measure, "channel": partial(blocks, worker)}
        yield operations[name], measures


def settle() -> None:
    """A call that timed out is watched until its grace is over."""
    timers: Any = sys.modules.get("ringbridge.timers")
    while timers is not None and timers._timers._heap:
        time.sleep(0.01)


def main(name: str, repeats: str, batches: str = str(BATCHES_MAX)) -> int:
    count = int(repeats)
    with group(name) as (operation, measures):

        def batch() -> None:
            for _ in range(count):
                operation()
            settle()

        found = leaks(batch, count, int(batches), measures)
    print(found or "flat")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
