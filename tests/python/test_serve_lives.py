# SPDX-License-Identifier: MIT
"""Servers that begin and end: in this very process, which is its own client then."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rbr_testing import served_duties
from rbr_testing.eventually import until
from rbr_testing.served import DUTIES

import ringbridge
import ringbridge.host
from ringbridge import rendezvous
from ringbridge.host.main_work import MainWork


@pytest.fixture(autouse=True)
def nothing_is_left(runtime_folder: Path) -> Iterator[None]:
    before, others = descriptors(), set(threading.enumerate())
    yield
    assert ringbridge.host.serving() == []
    until(lambda: threads_of_ours() <= others, "the end of the threads")
    gc.collect()
    until(lambda: descriptors() <= before, "the descriptors that were there before")
    assert rendezvous.addresses() == []


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def threads_of_ours() -> set[threading.Thread]:
    """But for those that go by themselves when they have had nothing to do for a second."""
    lasting = ("ringbridge timers", "ringbridge reader")
    return {each for each in threading.enumerate() if each.name not in lasting}


def test_a_thread_may_stand_for_the_main_thread() -> None:
    server = ringbridge.host.serve("own", [served_duties], pump="thread")
    with server, ringbridge.connect("own") as there:
        duties = there.load(DUTIES)
        assert duties.on_main() is False and duties.add(1) == 2
        assert list(duties.numbers.stream(3)) == [0, 1, 2]


def test_twenty_servers_and_clients_leave_nothing() -> None:
    for _ in range(20):
        with ringbridge.host.serve("own", [served_duties], pump="thread") as server:
            there = ringbridge.connect("own")
            assert there.load(DUTIES).only_on_thread() is False
            assert [client.pid for client in server.clients()] == [os.getpid()]
        there.close()


def test_functions_that_are_held_keep_the_connection() -> None:
    with ringbridge.host.serve("own", [served_duties], pump="thread") as server:
        add = ringbridge.connect("own").load(DUTIES).add
        assert add(1) == 2
        del add
        gc.collect()
        until(lambda: server.clients() == [], "the client's end")


def test_what_was_kept_for_a_client_goes_with_it() -> None:
    before = len(served_duties.seen())
    with ringbridge.host.serve("own", [served_duties], pump="thread"):
        there = ringbridge.connect("own")
        layer = there.load(DUTIES).Layer("lost")
        there.close()
        until(lambda: "lost" in served_duties.seen()[before:], "the end of its object")
        with pytest.raises(ringbridge.RingbridgeError, match="is gone"):
            layer.name  # noqa: B018


def test_a_server_is_drained_by_hand() -> None:
    server = ringbridge.host.serve("own", [served_duties], pump="script")
    with ringbridge.connect("own") as there:
        load = threading.Thread(target=there.load, args=(DUTIES,))
        load.start()
        until(lambda: server.drain() or not load.is_alive(), "the load")
        load.join()
        assert server.modules() == [DUTIES]
    server.stop()
    server.stop()
    assert server.drain() is False


def test_run_ends_with_its_time() -> None:
    with ringbridge.host.serve("own", pump="script") as server:
        began = time.monotonic()
        server.run(0.05)
        assert 0.05 <= time.monotonic() - began < 20


def test_a_server_that_nobody_holds_serves_on() -> None:
    ringbridge.host.serve("own", pump="thread")
    gc.collect()
    (server,) = ringbridge.host.serving()
    assert ringbridge.connect("own").is_online
    server.stop()


def test_a_name_is_served_once_by_a_process() -> None:
    with ringbridge.host.serve("own", pump="thread"):
        with pytest.raises(ringbridge.RingbridgeError, match="own"):
            ringbridge.host.serve("own", pump="thread")
        assert ringbridge.connect("own").is_online
        with ringbridge.host.serve("other", pump="thread"):
            assert {host.name for host in ringbridge.hosts()} == {"own", "other"}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"name": "a/b"}, "name"),
        ({"name": "own", "on": "moon"}, "main"),
        ({"name": "own", "pump": "hand"}, "no pump 'hand'"),
        ({"name": "own", "modules": [3]}, "served are modules"),
        ({"name": "own", "limits": {"rings": 1}}, "limits has no 'rings'"),
    ],
)
def test_what_cannot_be_served_is_refused_and_leaves_nothing(
    options: dict[str, object], complaint: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=complaint):
        ringbridge.host.serve(**options)  # type: ignore[arg-type]


def test_a_forked_child_neither_serves_nor_ends_the_server() -> None:
    server = ringbridge.host.serve("own", [served_duties], pump="thread")
    with server, ringbridge.connect("own") as there:
        add = there.load(DUTIES).add
        child = os.fork()
        if child == 0:
            server.stop()
            try:
                add(1)
            except ringbridge.RingbridgeError:
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert add(1) == 2


def test_what_was_posted_and_not_begun_is_cancelled_by_the_end() -> None:
    work = MainWork()
    future = work.post(lambda: None)
    work.close()
    assert future.cancelled()
    with pytest.raises(ringbridge.RingbridgeError, match="has stopped"):
        work.post(lambda: None)
