# SPDX-License-Identifier: MIT
"""Allocations that fail at every point (F10): a program for test_nomemory.py, on _testcapi.

python -m rbr_testing.nomemory GROUP TRAIL

Each operation of the group is tried with its n-th allocation failing alone, and with all failing
from the n-th on, for each n until it makes no more. TRAIL is a file where stands what was tried
last, so that a crash tells its place.
"""

from __future__ import annotations

import _testcapi
import importlib.util
import mmap
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import ringbridge
from rbr_testing import caches, kinds
from rbr_testing.equality import identical

HERE = Path(__file__).resolve().parent.parent
TRAIL_BYTES = 256
POINTS_MAX = 5000
#: The first ones fill caches; a leak leaves blocks behind each time.
SWEEPS_MAX = 20


class Operation(NamedTuple):
    """What is tried; it gives `usual`, or raises an exception of that type. None: whatever."""

    name: str
    run: Callable[[], Any]
    usual: Any = None
    cyclic: bool = False  # leaves cycles; the collector must not meet those amid the next failure


class Trail:
    """What was tried last, readable after a crash."""

    def __init__(self, path: str) -> None:
        with open(path, "w+b") as file:
            file.truncate(TRAIL_BYTES)
            self._page = mmap.mmap(file.fileno(), TRAIL_BYTES)

    def say(self, text: str) -> None:
        self._page[:] = text.encode()[:TRAIL_BYTES].ljust(TRAIL_BYTES)


class Sweeps:
    """Tries operations, and counts the points at which an allocation failed."""

    def __init__(self, trail: Trail) -> None:
        self.trail, self.points = trail, 0

    def over(self, operation: Operation) -> None:
        """Every point of it; afterwards it works, and nothing has been kept."""
        self._check(operation, _outcome(operation))
        left = 1
        for _ in range(SWEEPS_MAX):
            caches.clear()
            before = sys.getallocatedblocks()
            points = self._all_points(operation)
            caches.clear()
            left = sys.getallocatedblocks() - before
            self._check(operation, _outcome(operation))
            if left <= 0:
                return
        raise AssertionError(f"{operation.name}: {left} blocks left by {points} failures")

    def _all_points(self, operation: Operation) -> int:
        n = 0
        while self._fails(operation, n, 0):
            n += 1
            assert n < POINTS_MAX, f"{operation.name}: no end of allocations"
        for each in range(n):
            self._fails(operation, each, each + 1)
        return 2 * n

    def _fails(self, operation: Operation, first: int, stop: int) -> bool:
        """Whether one of these allocations was reached; stop 0: all from the first on fail."""
        self.trail.say(f"{operation.name}: allocations {first} to {stop or 'the end'} fail")
        reached = True
        _testcapi.set_nomemory(first, stop)
        outcome = _outcome(operation)
        try:
            object()  # fails where all do
            reached = False
        except MemoryError:
            pass
        _testcapi.remove_mem_hooks()
        if operation.cyclic:
            caches.clear()
        self.points += reached
        if type(outcome) is not MemoryError:
            self._check(operation, outcome)
        return reached

    def _check(self, operation: Operation, outcome: Any) -> None:
        fine = (
            isinstance(outcome, operation.usual)
            if _raises(operation)
            else not isinstance(outcome, BaseException)
            and (operation.usual is None or identical(outcome, operation.usual))
        )
        if not fine:
            said = self.trail._page[:].decode().strip()
            raise AssertionError(f"{said}: {outcome!r}") from (
                outcome if isinstance(outcome, BaseException) else None
            )


def _raises(operation: Operation) -> bool:
    return isinstance(operation.usual, type) and issubclass(operation.usual, BaseException)


def _outcome(operation: Operation) -> Any:
    try:
        return operation.run()
    except BaseException as error:
        return error


# ---------------------------------------------------------------------------------- the operations


def encode_and_decode(module: ringbridge.RemoteModule) -> Iterable[Operation]:
    private = module.echo.options(copy=True)
    for name, value in kinds.values().items():
        yield Operation(name, partial(module.echo, value), private(value))


def calls(module: ringbridge.RemoteModule) -> Iterable[Operation]:
    from rbr_testing import basics

    yield Operation("keywords", partial(module.add, 1, right=2, scale=0.5), 1.5)
    yield Operation("a labelled call", partial(module.echo.options(label="L", timeout=9.0), 1), 1)
    yield Operation("options", partial(module.echo.options, label="L", timeout=9.0))
    yield Operation("repr", partial(repr, module.echo))
    yield Operation("ValueError", partial(module.fail, "ValueError", "x", 1), ValueError)
    yield Operation("OSError", module.open_missing, FileNotFoundError)
    yield Operation("its own class", module.fail_own, ringbridge.RemoteError)
    yield Operation("sys.exit", module.leave, ringbridge.RemoteError)
    yield Operation("no result", module.uncrossable, ringbridge.CannotCross)
    yield Operation("no argument", partial(module.echo, [object()]), ringbridge.CannotCross)
    yield Operation("no text", partial(module.echo, {"x": "\ud800"}), ringbridge.CannotCross)
    yield Operation("a deep list", partial(module.echo, _deep(200)), ringbridge.CannotCross)
    yield Operation("a function", partial(module.echo, basics.echo), ringbridge.CannotCross)


def _deep(levels: int) -> Any:
    return [_deep(levels - 1)] if levels else []


def channels(channel: Any) -> Iterable[Operation]:
    """The channel's own methods; `channel` has a worker at its other end."""
    yield Operation("load", partial(channel.load, "rbr_testing.basics", False, 9.0))
    yield Operation("load what fails", partial(channel.load, "no_such", False, 9.0), ImportError)
    yield Operation("empty", partial(channel.empty, (3, 4), "float32"))
    yield Operation("peer", partial(getattr, channel, "peer"))
    yield Operation("stats", channel.stats)
    yield Operation("error_tail", channel.error_tail)
    yield Operation("wait_end", partial(channel.wait_end, 0))
    yield Operation("cancel", partial(channel.cancel, 2**62, False))
    yield Operation("alive", partial(getattr, channel, "alive"), True)
    yield Operation("handshake again", partial(channel.handshake, 9.0))
    target = ringbridge._core.Target(channel, 0, "a.b")
    yield Operation("Target", partial(ringbridge._core.Target, channel, 0, "a.b"))
    function = ringbridge._core.Function
    yield Operation("Function", partial(function, target, doc="c", signature="(d)"))


def inboxes(module: ringbridge.RemoteModule) -> Iterable[Operation]:
    """An answer that was not taken for want of memory is there for the next take()."""
    inbox = ringbridge._core.Inbox(module.add._target.channel, True)

    def answer() -> Any:
        if not inbox.calls:
            module.add.start((1, 2), {}, inbox=inbox)
        event = inbox.take(9.0)
        return event and event[2]

    yield Operation("an answer", answer, 3.0)
    inbox.close()


def no_channel() -> Iterable[Operation]:
    """What needs no worker: importing the extension, opening a channel and closing it."""
    name = "ringbridge._core"
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.loader is not None

    def load() -> None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))

    def open_and_close() -> None:
        ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ends[1]:
            channel = ringbridge._core.Channel(ends[0].detach(), child.pid, -1, -1, name="x")
            channel.close()

    yield Operation("import", load, cyclic=True)
    with subprocess.Popen(["sleep", "600"]) as child:
        yield Operation("open and close", open_and_close)
        child.kill()


# --------------------------------------------------------------------------------------------- main


def main(group: str, trail: str) -> None:
    sweeps = Sweeps(Trail(trail))
    worker = ringbridge.Worker(sys.executable, name="nomemory", paths=[HERE])
    module, channel = worker.load("rbr_testing.basics"), worker._process.channel()
    groups = {
        "values": partial(encode_and_decode, module),
        "calls": partial(calls, module),
        "channel": partial(channels, channel),
        "inboxes": partial(inboxes, module),
        "no_channel": no_channel,
    }
    for operation in groups[group]():
        sweeps.over(operation)
        caches.clear()
        held = channel.stats()
        assert (held["arena_blocks"], held["peer_blocks"]) == (0, 0), (operation.name, held)
    worker.close()
    print(sweeps.points)


if __name__ == "__main__":
    main(*sys.argv[1:])
