# SPDX-License-Identifier: MIT
"""options(latest=True): the newest item of a stream wins, and its producer never waits."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from rbr_testing.eventually import LONG_S, until
from rbr_testing.fixtures import MakeWorker
from rbr_testing.loops import run

import ringbridge

Far = ringbridge.RemoteModule

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="session")
def far(worker: ringbridge.Worker) -> Far:
    return worker.load("rbr_testing.latest")


def nothing() -> None:
    """Lets the producer make its next item."""


# --------------------------------------------------------------------------------------- the newest


def test_the_newest_item_wins_and_dropped_ones_are_counted(far: Far) -> None:
    count = 2_000_000  # half a second's work: this side may stand still for a while
    stream = far.numbers.options(latest=True).stream(count)
    got: list[int] = []
    for number in stream:
        before = far.made()
        assert not got or number > got[-1]
        got.append(number)
        until(lambda: far.made() > before + 1000 or far.is_over(), "the producer goes on")  # noqa: B023
    assert 2 < len(got) < count / 1000 + 3
    assert got[-1] == count - 1
    assert stream.dropped == count - len(got)


def test_the_producer_never_waits_and_its_last_item_is_delivered(far: Far) -> None:
    stream = far.numbers.options(latest=True).stream(50_000)
    until(far.is_over, "the producer's end without a consumer")
    assert far.made() == 50_000
    assert list(stream) == [49_999]
    assert stream.dropped == 49_999


def test_the_last_item_comes_before_an_exception(far: Far) -> None:
    stream = far.numbers.options(latest=True).stream(1000, error=True)
    until(far.is_over, "the producer's end")
    assert next(stream) == 999
    with pytest.raises(ValueError, match="after the last item"):
        next(stream)
    with pytest.raises(StopIteration):
        next(stream)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_the_last_of_few_items_is_never_lost(far: Far, count: int) -> None:
    for _ in range(300):
        stream = far.numbers.options(latest=True).stream(count)
        got = list(stream)
        assert got[-1:] == list(range(count))[-1:]
        assert len(got) + stream.dropped == count


def test_the_last_item_is_announced_though_the_credit_comes_too_late(
    far: Far, tmp_path: Path
) -> None:
    stream = far.two.options(latest=True).stream(str(tmp_path))
    until((tmp_path / "inside").exists, "the generator's second step")
    between = far.made.submit()  # the worker serves it, and then the generator, which ends
    assert next(stream) == 0
    (tmp_path / "go").touch()
    assert next(stream) == 1
    assert list(stream) == []
    between.result(timeout=LONG_S)


def test_a_consumer_faster_than_the_producer_gets_each_item_once(far: Far) -> None:
    stream = far.each.options(latest=True).stream(list(range(500)), nothing)
    assert list(stream) == list(range(500))
    assert stream.dropped == 0


# -------------------------------------------------------------------------------------------- sizes


def test_arrays_of_a_megabyte_come_whole(far: Far) -> None:
    np = pytest.importorskip("numpy")
    last = -1.0
    stream = far.images.options(latest=True).stream(500)
    for image in stream:
        assert image.shape == (125_000,) and np.all(image == image[0])
        assert image[0] > last
        last = image[0]
    assert last == 499


def test_an_item_that_was_taken_stays_as_it_is(far: Far) -> None:
    np = pytest.importorskip("numpy")
    with far.images.options(latest=True).stream(100_000) as stream:
        image = next(stream)
        number = image[0]
        before = far.made()
        until(lambda: far.made() > before + 20, "the producer goes on")
        assert np.all(image == number)
        image += 1  # its memory is this side's own


def test_items_that_are_kept_stay_as_they_are(far: Far) -> None:
    """More of them than there is memory to use again; then few, so that it is."""
    np = pytest.importorskip("numpy")
    with far.images.options(latest=True).stream(1 << 40) as stream:
        kept = [next(stream) for _ in range(10)]
        views = [image[10:20] for image in kept[:5]]
        numbers = [image[0] for image in kept]
        for _ in range(20):
            image = next(stream)
            assert np.all(image == image[0])
        assert all(np.all(image == number) for image, number in zip(kept, numbers))
        del kept
        for _ in range(20):
            image = next(stream)
            image += 1.5
        assert all(np.all(view == number) for view, number in zip(views, numbers))
    assert np.all(image == image[0])


def test_items_may_grow_and_shrink(far: Far) -> None:
    np = pytest.importorskip("numpy")

    def bytes_of(number: int) -> int:
        return 8 << number if number < 21 else 8

    stream = far.images.options(latest=True).stream(24, bytes_of)
    got = [(len(image), int(image[0])) for image in stream]
    assert got == [(bytes_of(number) // 8, number) for number in range(24)]
    assert stream.dropped == 0
    assert np is not None


def test_buffers_go_back(make_worker: MakeWorker) -> None:
    pytest.importorskip("numpy")
    worker = make_worker()
    far = worker.load("rbr_testing.latest")
    for _ in range(3):  # each replaces its buffer several times
        list(far.images.options(latest=True).stream(24, lambda number: 8 << min(number, 20)))
        with far.numbers.options(latest=True).stream(1 << 60) as stream:
            next(stream)
    del stream
    until(lambda: worker.stats()["peer_blocks"] == 0, "the host gives the buffers back")


def test_values_of_every_kind_lie_in_the_item(far: Far) -> None:
    np = pytest.importorskip("numpy")
    text, array, parts, fortran, dates, ours = far.kinds.options(latest=True).stream(nothing)
    assert text == "ä" * 100_000
    assert array == bytearray(b"x" * 100_000)
    assert np.array_equal(parts["a"], np.arange(10_000).reshape(100, 100)[::2, ::3])
    assert parts["b"] == [b"y" * 50_000]
    assert np.array_equal(fortran, np.arange(10_000.0).reshape(100, 100))
    assert fortran.flags.f_contiguous
    assert dates.dtype == "datetime64[D]" and len(set(dates.tolist())) == 1
    assert ours.shape == (300, 300) and not ours.any()


def test_what_cannot_be_an_item_ends_the_stream_in_its_place(far: Far) -> None:
    pytest.importorskip("numpy")
    stream = far.too_large.options(latest=True).stream()
    assert next(stream) == 1
    with pytest.raises(ringbridge.CannotCross, match=r"item: an item would exceed 1024 MiB"):
        next(stream)
    thing = far.Thing()
    stream = far.things.options(latest=True).stream(thing)
    assert next(stream) == 1
    with pytest.raises(ringbridge.CannotCross, match=r"item\[0\]: an object that stays"):
        next(stream)


# ------------------------------------------------------------------------------------------ the end


def test_close_runs_the_generators_finally(far: Far) -> None:
    stream = far.numbers.options(latest=True).stream(1 << 60)
    assert next(stream) >= 0
    stream.close()
    assert far.is_over()
    with pytest.raises(StopIteration):
        next(stream)


def test_leaving_the_loop_closes_the_generator(far: Far) -> None:
    for number in far.numbers.options(latest=True).stream(1 << 60):
        if number > 1000:
            break
    until(far.is_over, "the generator's end")


def test_an_item_that_does_not_come_in_time_is_a_timeout(far: Far) -> None:
    stream = far.stuck.options(latest=True, timeout=0.5).stream(1000)
    with pytest.raises(ringbridge.CallTimeout):
        list(stream)
    assert far.made() >= 0  # the worker goes on


def test_a_worker_that_dies_ends_the_stream(make_worker: MakeWorker) -> None:
    worker = make_worker()
    stream = worker.load("rbr_testing.latest").numbers.options(latest=True).stream(1 << 60)
    assert next(stream) >= 0
    os.kill(worker.pid or 0, signal.SIGKILL)
    with pytest.raises(ringbridge.WorkerDied):
        for _ in stream:
            pass


# ------------------------------------------------------------------------------------------- others


def test_other_calls_and_streams_run_meanwhile(far: Far) -> None:
    latest = [far.numbers.options(latest=True).stream(1 << 60) for _ in range(2)]
    ordinary = far.numbers.stream(100)
    for expected in range(100):
        assert next(ordinary) == expected
        assert far.made() >= 0
        assert all(next(stream) >= 0 for stream in latest)
    assert all(next(stream) > 20 for stream in latest)
    for stream in latest:
        stream.close()


def test_a_call_or_a_task_ignores_it(far: Far) -> None:
    made = far.made.options(latest=True)
    assert made() == far.made() == made.submit().result(timeout=LONG_S)


def test_it_excludes_keep(far: Far) -> None:
    with pytest.raises(ValueError, match="keep and latest exclude each other"):
        far.numbers.options(latest=True).options(keep=True)
    assert list(far.numbers.options(latest=True).options(latest=False).stream(3)) == [0, 1, 2]


def test_async_for_gets_what_is_newest_at_its_step(far: Far) -> None:
    async def consume() -> tuple[list[int], int]:
        stream = far.numbers.options(latest=True).stream(200_000)
        got: list[int] = []
        floor = 0  # what had been made before the step, though the loop had heard of an older one
        async for number in stream:
            assert number >= floor
            got.append(number)
            before = await far.made.submit()
            while await far.made.submit() < before + 1000 and not await far.is_over.submit():
                pass
            floor = await far.made.submit() - 1
        return got, stream.dropped

    got, dropped = run(consume())
    assert got == sorted(set(got))
    assert got[-1] == 199_999
    assert dropped == 200_000 - len(got)


def test_aclose_runs_the_generators_finally(far: Far) -> None:
    async def consume() -> None:
        async with far.numbers.options(latest=True).stream(1 << 60) as stream:
            assert await stream.__anext__() >= 0
        assert await far.is_over.submit()

    run(consume())


HOST = """
import sys
import ringbridge

with ringbridge.Worker(sys.executable, paths=[sys.argv[1]]) as worker:
    stream = worker.load("rbr_testing.latest").count_in.options(latest=True).stream(sys.argv[2])
    print(next(stream), flush=True)
    sys.stdin.readline()
    print(next(stream), next(stream), flush=True)
    stream.close()
"""


def test_a_host_that_is_stopped_does_not_stop_the_producer(tmp_path: Path) -> None:
    shared = tmp_path / "count"
    shared.write_bytes(bytes(8))

    def count() -> int:
        number = 0
        while number == 0:  # pack_into writes zeros first
            number = int(struct.unpack("=Q", shared.read_bytes())[0])
        return number

    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOST), str(HERE), str(shared)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as host:
        assert host.stdin is not None and host.stdout is not None
        first = int(host.stdout.readline())
        host.send_signal(signal.SIGSTOP)
        before = count()
        until(lambda: count() > before + 20_000, "the producer goes on")
        host.send_signal(signal.SIGCONT)
        now = count()
        host.stdin.write("\n")
        host.stdin.flush()
        second, third = (int(word) for word in host.stdout.readline().split())
        assert first < now - 1 <= second < third  # the newest may be counted and not yet made
    assert host.returncode == 0


# -------------------------------------------------------------------------------------- a bad peer


@pytest.mark.parametrize("what", ["slot", "sequence", "size", "short", "frame", "kind"])
def test_a_damaged_buffer_is_a_protocol_error(make_worker: MakeWorker, what: str) -> None:
    far = make_worker().load("rbr_testing.latest")
    stream = far.damaged.options(latest=True).stream(what)
    until(far.is_over, "the damage")
    with pytest.raises(ringbridge.ProtocolError):
        next(stream)
    assert list(far.numbers.options(latest=True).stream(1)) == [0]


def test_a_buffer_that_changes_all_the_while_harms_nobody(make_worker: MakeWorker) -> None:
    far = make_worker().load("rbr_testing.latest")
    seen = refused = 0
    deadline = time.monotonic() + 3
    for seed in range(1000):
        try:
            for _item in far.scribbled.options(latest=True, timeout=20).stream(0.2, seed):
                seen += 1
        except (ringbridge.ProtocolError, ringbridge.CannotCross):
            refused += 1
        if time.monotonic() > deadline and refused > 2:
            break
    print(f"{seen} items seen, {refused} streams refused")
    assert seen > 0 and refused > 2
