# SPDX-License-Identifier: MIT
"""_core.Target: what a remote function is bound to, and how it is bound anew."""

from __future__ import annotations

import gc
import os
import signal
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from rbr_testing.eventually import until
from rbr_testing.fixtures import MakeWorker

import ringbridge
from ringbridge import _core

Pair = tuple["_core.Channel", "dict[str, int]"]


def channel_and_numbers(worker: ringbridge.Worker) -> Pair:
    channel = worker._process.channel()
    described = channel.load("rbr_testing.basics", False, 30.0)[1]
    return channel, {name: number for number, name, *_rest in described}


@pytest.fixture
def alive(worker: ringbridge.Worker) -> Pair:
    return channel_and_numbers(worker)


@pytest.fixture
def dead(make_worker: MakeWorker) -> Iterator[_core.Channel]:
    doomed = make_worker()
    channel = doomed._process.channel()
    assert doomed.pid is not None
    os.kill(doomed.pid, signal.SIGKILL)
    assert channel.wait_end(30.0) is not None
    until(lambda: not channel.alive, "the death")
    yield channel


class Owner:
    """Binds what asks to `to`, or says no; holds what a Worker's owner would hold."""

    def __init__(self, to: tuple[_core.Channel, int | None] | None = None) -> None:
        self.to, self.asked = to, []  # type: ignore[var-annotated]

    def revived(self, target: _core.Target, timeout: float | None) -> bool:
        self.asked.append(timeout)
        if self.to is not None:
            target.rebind(*self.to)
        return self.to is not None


def test_all_copies_of_a_function_follow_its_target(alive: Pair) -> None:
    channel, numbers = alive
    target = _core.Target(channel, numbers["echo"], "m.f")
    function = _core.Function(target)
    copy = function.options(label="mine")
    assert (function(5), copy(5)) == (5, 5)
    target.rebind(channel, numbers["pid"])
    assert function() == copy() == channel.peer["pid"]
    assert (target.id, target.name, target.channel) == (numbers["pid"], "m.f", channel)


def test_a_function_that_is_gone_says_so_and_may_come_back(alive: Pair) -> None:
    channel, numbers = alive
    target = _core.Target(channel, None, "a.b.f")
    function = _core.Function(target)
    with pytest.raises(AttributeError, match=r"module 'a\.b' has no function 'f' any more"):
        function(1)
    assert target.id is None and "gone" in repr(target)
    target.rebind(channel, numbers["echo"])
    assert function(1) == 1


def test_the_owner_is_asked_when_the_channel_is_dead_and_only_then(
    alive: Pair, dead: _core.Channel
) -> None:
    channel, numbers = alive
    owner = Owner((channel, numbers["echo"]))
    target = _core.Target(dead, 0, "m.f", owner)
    assert _core.Function(target)("x") == "x"
    assert owner.asked == [None]
    assert _core.Function(target, timeout=50.0)("x") == "x"
    assert owner.asked == [None], "it is bound to a live one now"
    target.rebind(dead, 0)
    assert _core.Function(target, timeout=50.0)("x") == "x"
    assert 0 < owner.asked[1] <= 50.0


def test_an_owner_that_says_no_leaves_the_death_to_be_told(dead: _core.Channel) -> None:
    for owner in (Owner(), None):
        with pytest.raises(ringbridge.WorkerDied) as caught:
            _core.Function(_core.Target(dead, 0, "m.f", owner))()
        assert caught.value.signal == signal.SIGKILL


def test_what_the_owner_raises_is_raised(dead: _core.Channel) -> None:
    class Angry:
        def revived(self, _target: _core.Target, _timeout: float | None) -> bool:
            raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        _core.Function(_core.Target(dead, 0, "m.f", Angry()))()


def test_an_owner_is_asked_again_when_it_binds_to_another_dead_one(
    alive: Pair, dead: _core.Channel
) -> None:
    class Slow(Owner):
        def revived(self, target: _core.Target, timeout: float | None) -> bool:
            self.asked.append(timeout)
            if len(self.asked) == 3:
                target.rebind(alive[0], alive[1]["echo"])
            return True

    owner = Slow()
    assert _core.Function(_core.Target(dead, 0, "m.f", owner))(1) == 1
    assert len(owner.asked) == 3


def test_a_closed_channel_asks_too(alive: Pair, make_worker: MakeWorker) -> None:
    closed = make_worker()
    channel = closed._process.channel()
    closed.close()
    function = _core.Function(_core.Target(channel, 0, "m.f", Owner((alive[0], alive[1]["echo"]))))
    assert function(2) == 2
    with pytest.raises(ringbridge.RingbridgeError, match="closed"):
        _core.Function(_core.Target(channel, 0, "m.f", Owner()))()


def test_a_target_and_its_owner_are_collected_together(alive: Pair) -> None:
    class Holder(Owner):
        held: Any = None

    owner = Holder()
    owner.held = _core.Function(_core.Target(alive[0], 0, "m.f", owner))
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None


def test_binding_anew_while_others_call_loses_no_call(alive: Pair) -> None:
    """Each call goes where the target pointed at its start, with that channel's number."""
    import threading

    channel, numbers = alive
    target = _core.Target(channel, numbers["echo"], "m.f")
    function = _core.Function(target)
    wrong: list[object] = []

    def call() -> None:
        wrong.extend(i for i in range(2000) if function(i) != i)

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        target.rebind(channel, numbers["echo"])
    assert not wrong


@pytest.mark.parametrize(
    ("number", "error"), [(-1, OverflowError), (2**32 - 1, OverflowError), ("1", TypeError)]
)
def test_an_id_that_cannot_be_is_refused(alive: Pair, number: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        _core.Target(alive[0], number, "m.f")
    target = _core.Target(alive[0], 0, "m.f")
    with pytest.raises(error):
        target.rebind(alive[0], number)
    assert target.id == 0


def test_references_are_counted_well(alive: Pair) -> None:
    channel, numbers = alive
    target = _core.Target(channel, numbers["echo"], "m.f")
    function = _core.Function(target)
    function(1)
    before = sys.getrefcount(channel), sys.getrefcount(target)
    for _ in range(100):
        function(1)
        target.rebind(channel, numbers["echo"])
        function.options(copy=True)
    assert (sys.getrefcount(channel), sys.getrefcount(target)) == before
