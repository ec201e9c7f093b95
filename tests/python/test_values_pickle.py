# SPDX-License-Identifier: MIT
"""Pickled values: only where both sides said so (F22), exact, large buffers in shared memory."""

from __future__ import annotations

import collections
import enum
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rbr_testing import pickled
from rbr_testing.fixtures import MakeWorker
from rbr_testing.rounds import count

import ringbridge as rb
from ringbridge import _core

HERE = Path(__file__).resolve().parent
MALICIOUS = 200


class Colour(enum.Enum):
    """Of a module that only this process has."""

    RED = 1


Colour.__module__ = "only_here"


@pytest.fixture(scope="module")
def agreed() -> Iterator[rb.Worker]:
    with rb.Worker(sys.executable, name="agreed", paths=[HERE], pickle=True) as worker:
        yield worker


@pytest.fixture(scope="module")
def there(agreed: rb.Worker) -> rb.RemoteModule:
    return agreed.load("rbr_testing.pickled")


# ------------------------------------------------------------------------------------ both agreed


@pytest.mark.parametrize(
    "value",
    [
        collections.OrderedDict(a=1, b=[2]),
        collections.Counter("abca"),
        pickled.Box([1, (2, "x")]),
        signal.Signals.SIGINT,
        ValueError("text", 3),
        type("x", (), {}).__mro__[1],
        range(3).__class__,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_does_not_cross_otherwise_is_pickled_both_ways(there: Any, value: Any) -> None:
    for sent in (value, [value], {"k": (value, 1)}):
        back = there.echo(sent)
        assert type(back) is type(sent) and repr(back) == repr(sent)
        assert repr(there.echo(value=sent)) == repr(sent)


def test_plain_values_are_not_pickled(agreed: rb.Worker, there: Any) -> None:
    """They cross as they always do: an array that lies in shared memory is written in place."""
    np = pytest.importorskip("numpy")
    shared = agreed.empty(100, "float64")
    shared[:] = 0
    agreed.load("rbr_testing.values").fill(shared, 2.0)
    assert (shared == 2).all()
    assert type(there.echo(np.float32(1.5))) is np.float32


def test_arrays_of_objects_and_subclasses_are_pickled(there: Any) -> None:
    np = pytest.importorskip("numpy")
    objects = np.array([1, "a", None], dtype=object)
    back = there.echo({"x": objects})["x"]
    assert back.dtype == object and list(back) == list(objects)
    masked = np.ma.array([1.0, 2.0, 3.0], mask=[0, 1, 0])
    back = there.echo(masked)
    assert type(back) is np.ma.MaskedArray and (back.mask == masked.mask).all()
    record = np.zeros(2, dtype=[("a", object), ("b", "i4")])
    assert there.echo(record).dtype == record.dtype


@pytest.mark.parametrize("size", [0, 10, 1000, 100_000])
@pytest.mark.parametrize("writable", [True, False])
def test_buffers_out_of_band_arrive_with_their_bytes_and_flag(
    there: Any, size: int, writable: bool
) -> None:
    np = pytest.importorskip("numpy")
    array = np.arange(size, dtype="float64")
    array.flags.writeable = writable
    back = there.echo(pickled.Box([array, array[: size // 2].copy()])).content
    assert (back[0] == array).all() and len(back[1]) == size // 2
    assert back[0].flags.writeable == writable


def test_large_buffers_lie_in_shared_memory_and_go_back(agreed: rb.Worker, there: Any) -> None:
    """An argument that is the result goes back after the answer, and before the next call."""
    np = pytest.importorskip("numpy")
    there.echo(None)
    before = agreed.stats()
    back = there.echo(pickled.Box(np.arange(1 << 17)))
    during = agreed.stats()
    assert during["peer_blocks"] == before["peer_blocks"] + 1
    assert (back.content == np.arange(1 << 17)).all()
    del back
    there.echo(None)
    after = agreed.stats()
    assert after["peer_blocks"] == before["peer_blocks"]
    assert after["arena_used"] == before["arena_used"]


def test_a_buffer_that_lies_in_our_arena_is_not_copied(agreed: rb.Worker, there: Any) -> None:
    pytest.importorskip("numpy")
    shared = agreed.empty(1 << 16, "float64")
    shared[:] = 0
    there.fill(pickled.Box(shared), 5.0)
    assert (shared == 5).all()


def test_a_callable_is_a_callback_where_pickles_are_allowed_too(there: Any) -> None:
    with pytest.raises(rb.CannotCross, match=r"callback join of call .* cannot be pickled"):
        there.echo(os.path.join)


def test_what_cannot_be_pickled_is_refused_with_its_place(there: Any) -> None:
    with pytest.raises(rb.CannotCross, match=r"args\[0\]\['f'\]\[1\]: .*cannot be pickled"):
        there.echo({"f": [1, threading.Lock()]})
    with pytest.raises(rb.CannotCross, match=r"kwargs\['value'\]: .*cannot be pickled"):
        there.echo(value=(x for x in ()))


def test_what_cannot_be_read_over_there_is_refused_with_its_place(
    there: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "only_here", sys.modules[__name__])
    colour = Colour.RED
    with pytest.raises(rb.CannotCross, match=r"args\[0\]\[1\]\['k'\]: a pickled value .*only_here"):
        there.echo([0, {"k": colour}])
    with pytest.raises(rb.CannotCross, match=r"kwargs\['value'\]: a pickled value .*only_here"):
        there.echo(value=colour)
    with pytest.raises(rb.CannotCross, match=r"result: a pickled value .*not a number"):
        there.unreadable()
    assert there.echo(3) == 3


# --------------------------------------------------------------------------------- not both agreed


def test_without_it_nothing_is_pickled(echo: Any) -> None:
    for value in (collections.OrderedDict(), pickled.Box(1), Colour.RED, {"k": [Colour.RED]}):
        with pytest.raises(rb.CannotCross, match=r"args\[0\]"):
            echo(value)


WORKER = """
import sys
from ringbridge import serve
serve.main(int(sys.argv[1]), {"pickle": sys.argv[2] == "yes"})
"""


@pytest.mark.parametrize(("ours", "theirs"), [(False, True), (True, False), (True, True)])
def test_it_takes_both_sides(ours: bool, theirs: bool) -> None:
    mine, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with other:
        child = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(other.fileno()), "yes" if theirs else "no"],
            pass_fds=[other.fileno()],
            env={**os.environ, "PYTHONPATH": str(HERE)},
        )
    channel = _core.Channel(mine.detach(), child.pid, -1, -1, name="one", pickle=ours)
    try:
        channel.handshake(30.0)
        functions = channel.load("rbr_testing.pickled", False, 30.0)[1]
        number = next(number for number, name, *_rest in functions if name == "echo")
        echo = _core.Function(_core.Target(channel, number, "pickled.echo"))
        if ours and theirs:
            assert echo(collections.OrderedDict(a=1)) == {"a": 1}
        else:
            with pytest.raises(rb.CannotCross):
                echo(collections.OrderedDict(a=1))
    finally:
        channel.kill(signal.SIGKILL, False)
        channel.close()
        child.returncode = 0  # the channel has reaped it


# ---------------------------------------------------------------------------- F22: malicious ones


def test_malicious_pickles_would_run_where_both_agreed(there: Any, tmp_path: Path) -> None:
    """Without this, the tests below might pass because the pickles are harmless."""
    for number in range(36):
        there.give(str(tmp_path), number)
        assert (tmp_path / str(number)).is_dir(), number


def test_a_host_never_runs_a_workers_pickle(make_worker: MakeWorker, tmp_path: Path) -> None:
    there = make_worker().load("rbr_testing.pickled")
    there.lie()
    for number in range(MALICIOUS):
        with pytest.raises(rb.ProtocolError, match="a pickle, to which both sides had not agreed"):
            there.give(str(tmp_path), number)
    assert list(tmp_path.iterdir()) == [] and there.echo(1) == 1
    count("malicious pickles refused by a host", MALICIOUS)


def test_a_worker_never_runs_a_hosts_pickle(make_worker: MakeWorker, tmp_path: Path) -> None:
    worker = make_worker()
    there = worker.load("rbr_testing.pickled")
    pickled.agree_alone(worker._process.channel())
    for number in range(MALICIOUS):
        with pytest.raises(rb.RingbridgeError, match="a pickle, to which both sides had not"):
            there.echo(pickled.malicious(str(tmp_path), number))
    assert list(tmp_path.iterdir()) == [] and there.echo(1) == 1
    count("malicious pickles refused by a worker", MALICIOUS)
