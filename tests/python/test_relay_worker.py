# SPDX-License-Identifier: MIT
"""A worker on another machine, over a real sshd on the loopback: used as a local one is."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rbr_testing import relayed
from rbr_testing.equality import identical
from rbr_testing.eventually import Gate, until
from rbr_testing.fixtures import MakeWorker
from rbr_testing.kinds import values
from rbr_testing.sshd import Sshd, exists

import ringbridge

HERE = Path(__file__).resolve().parent
PIECE = 256 << 10  # records.PIECE_BYTES_MAX
WINDOW = 8 << 20


@pytest.fixture(scope="module")
def far(sshd: Sshd) -> Any:
    """One worker for the tests of this file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RINGBRIDGE_SSH", sshd.ssh)
        with ringbridge.Worker(sshd.url(), name="far", paths=[HERE]) as worker:
            yield worker


@pytest.fixture
def there(far: ringbridge.Worker) -> ringbridge.RemoteModule:
    return far.load("rbr_testing.relayed")


@pytest.fixture
def duties(far: ringbridge.Worker) -> ringbridge.RemoteModule:
    module = far.load("rbr_testing.duties")
    module.take_seen()
    return module


# ----------------------------------------------------------------------------------- what it is


def test_it_tells_where_it_runs(far: ringbridge.Worker, there: ringbridge.RemoteModule) -> None:
    worker, relay = there.family()
    assert far.environment.kind == "ssh"
    assert far.environment.python == f"ssh://box/{sys.executable}"
    assert far.environment.python_version is None
    assert far.pid not in (worker, relay, None)
    assert "ssh://box/" in repr(far)


def test_its_name_says_which_machine_unless_it_was_given_one(over_ssh: MakeWorker) -> None:
    with over_ssh(name=None, wait=False) as worker:
        assert worker.name == f"{os.path.basename(sys.executable)}@box"


def test_ps_shows_the_relay_with_the_address(far: ringbridge.Worker) -> None:
    from ringbridge import running

    found = {each.pid: each for each in running.workers()}
    assert far.pid is not None
    assert found[far.pid].python.startswith("ssh://box/")
    assert found[far.pid].name == "far" and found[far.pid].host_pid == os.getpid()


# --------------------------------------------------------------------------------------- values


@pytest.mark.parametrize("name", sorted(values()))
def test_every_kind_of_value_comes_back_as_from_a_local_worker(
    far: ringbridge.Worker, echo: Callable[[Any], Any], name: str
) -> None:
    value = values()[name]
    assert identical(far.load("rbr_testing.basics").echo(value), echo(value))


SIZES = [0, 1, 7, 64, 4095, PIECE - 300, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 5, WINDOW + 17]


def test_arrays_go_there_byte_by_byte(there: ringbridge.RemoteModule) -> None:
    arrays = relayed.made(1, SIZES)
    arrays += [np.arange(30_000, dtype="f4").reshape(100, 300)[::2, ::-3]]
    arrays += [np.asfortranarray(np.arange(12_000, dtype=">i2").reshape(30, 400))]
    assert there.checksums(arrays) == relayed.checksums(arrays)


def test_arrays_come_back_byte_by_byte(there: ringbridge.RemoteModule) -> None:
    for got, wanted in zip(there.made(2, SIZES), relayed.made(2, SIZES)):
        assert got.dtype == wanted.dtype and got.tobytes() == wanted.tobytes()


def test_one_array_twice_and_nested_in_other_values(far: ringbridge.Worker) -> None:
    array = far.empty((300, 1000), "f8")
    array[:] = np.arange(300_000.0).reshape(300, 1000)
    got = far.load("rbr_testing.basics").echo({"a": [array, (array,)], "text": "x" * 100_000})
    assert np.array_equal(got["a"][0], array) and np.array_equal(got["a"][1][0], array)
    assert got["text"] == "x" * 100_000


@pytest.mark.seconds(120)
def test_a_large_array_crosses_both_ways(far: ringbridge.Worker) -> None:
    array = np.arange(12_500_000, dtype="f8")  # 100 MB: beyond windows, pipes and first segments
    assert np.array_equal(far.load("rbr_testing.basics").echo(array), array)


def test_a_frame_larger_than_the_ring_crosses_both_ways(far: ringbridge.Worker) -> None:
    words = [f"word {number}" for number in range(200_000)]  # a list of str lies in the frame
    assert far.load("rbr_testing.basics").echo(words) == words


def test_many_small_payloads_in_one_call(there: ringbridge.RemoteModule) -> None:
    arrays = [np.full(5000, number, "i2") for number in range(300)]
    assert there.checksums(arrays) == relayed.checksums(arrays)


def test_random_sizes_come_back(there: ringbridge.RemoteModule, far: ringbridge.Worker) -> None:
    seed = int.from_bytes(os.urandom(4), "little")
    print(f"seed {seed}")
    random = np.random.default_rng(seed)
    echo = far.load("rbr_testing.basics").echo
    for _ in range(60):
        sizes = (10 ** random.uniform(0, 6, random.integers(1, 6))).astype(int).tolist()
        arrays = relayed.made(int(random.integers(1 << 30)), sizes)
        for got, wanted in zip(echo(arrays), arrays):
            assert got.tobytes() == wanted.tobytes()


# ---------------------------------------------------------------------------------------- calls


def test_an_exception_comes_with_its_traceback(far: ringbridge.Worker) -> None:
    basics = far.load("rbr_testing.basics")
    with pytest.raises(ZeroDivisionError) as caught:
        basics.fail("ZeroDivisionError", "over there")
    assert "in fail" in str(caught.value.__cause__)
    with pytest.raises(ringbridge.CannotCross):
        basics.uncrossable()
    with pytest.raises(ModuleNotFoundError):
        far.load("no_such_module_there")


def test_streams_arrive_in_order_and_can_be_left(duties: ringbridge.RemoteModule) -> None:
    assert list(duties.numbers.stream(500)) == list(range(500))
    with duties.numbers.stream(10**9) as stream:
        assert next(stream) == 0
    with pytest.raises(KeyError, match="there"):
        list(duties.then_fails.stream(3))
    assert duties.number(3) == 3


def test_streams_of_arrays(there: ringbridge.RemoteModule) -> None:
    for number, array in enumerate(there.pieces.stream(40, 100_000)):
        assert array.shape == (100_000,) and (array == number).all()


def test_callbacks_run_here_while_the_call_runs_there(duties: ringbridge.RemoteModule) -> None:
    thread = threading.current_thread()
    seen: list[bool] = []

    def double(value: Any) -> Any:
        seen.append(threading.current_thread() is thread)
        return value * 2

    array = np.arange(100_000.0)
    assert np.array_equal(duties.call(double, array), array * 2)
    assert duties.call_many(double, 50) == [2 * number for number in range(50)]
    assert all(seen) and len(seen) == 51
    assert duties.call_caught(lambda: [][1]).startswith("IndexError")


def test_nested_calls_within_callbacks(duties: ringbridge.RemoteModule) -> None:
    assert duties.call(lambda: duties.number(7) + 1) == 8


def test_a_task_tells_its_progress(far: ringbridge.Worker) -> None:
    teller = far.load("rbr_testing.tasks")
    told: list[Any] = []
    task = teller.tell_all.submit([(1, 4), (2, 4), (4, 4)])
    task.on_progress(told.append)
    task.result()
    until(lambda: told and told[-1].done == 4, "the newest progress")


def test_kept_results_and_objects_stay_there(far: ringbridge.Worker) -> None:
    models = far.load("rbr_testing.models")
    model = models.Model("first", weight=3.0)
    assert model.predict(2.0) == 6.0
    model.weight = 10.0
    assert model.weight == 10.0
    kept = far.load("rbr_testing.relayed").made.options(keep=True)(3, [100_000])
    assert far.load("rbr_testing.relayed").size_of(kept) == 1


def test_async_calls_and_streams(duties: ringbridge.RemoteModule) -> None:
    async def main() -> tuple[list[int], list[int]]:
        tasks = [duties.number.submit(number) for number in range(200)]
        streamed = [item async for item in duties.numbers.stream(30)]
        return list(await asyncio.gather(*tasks)), streamed

    assert asyncio.run(main()) == (list(range(200)), list(range(30)))


def test_many_calls_in_flight_from_many_threads(duties: ringbridge.RemoteModule) -> None:
    wrong: list[Any] = []

    def work(base: int) -> None:
        tasks = [duties.number.submit(base + number) for number in range(300)]
        wrong.extend(n for n, task in enumerate(tasks) if task.result() != base + n)

    threads = [threading.Thread(target=work, args=(base * 1000,)) for base in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_newest_of_a_stream_is_refused_with_the_reason(
    duties: ringbridge.RemoteModule,
) -> None:
    with pytest.raises(NotImplementedError, match="another machine"):
        list(duties.numbers.options(latest=True).stream(3))
    assert duties.number(1) == 1


# ------------------------------------------------------------------------------------- cancelling


def test_a_call_that_is_given_up_is_interrupted_and_the_worker_survives(
    far: ringbridge.Worker, duties: ringbridge.RemoteModule, fifo: Path
) -> None:
    pid = duties.pid()
    task = duties.sleep_long.submit(str(fifo))
    fifo.open().close()
    assert task.cancel()
    with pytest.raises(ringbridge.Cancelled):
        task.result()
    with pytest.raises(ringbridge.CallTimeout):
        duties.pause.options(timeout=0.2)(60)
    assert duties.pid() == pid


def test_a_call_that_does_not_end_is_killed_with_its_connection(
    over_ssh: MakeWorker, fifo: Path
) -> None:
    worker = over_ssh()
    duties = worker.load("rbr_testing.duties")
    pid = duties.pid()
    task = duties.sleep_deaf.submit(str(fifo))
    fifo.open().close()
    task.cancel(grace=0.5)
    until(lambda: worker.restarts == 1, "another process")
    assert duties.pid() != pid
    until(lambda: not exists(pid), "the end of the one that was killed")


def test_a_worker_that_prints_while_it_starts_starts(over_ssh: MakeWorker, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('here I am', flush=True)\n")
    worker = over_ssh(environ={"PYTHONPATH": str(tmp_path)})
    assert worker.load("rbr_testing.duties").number(3) == 3


def test_what_runs_and_what_has_begun_is_known_here(over_ssh: MakeWorker, gate: Gate) -> None:
    worker = over_ssh()
    there, duties = worker.load("rbr_testing.relayed"), worker.load("rbr_testing.duties")
    running = there.blocked.submit(gate.started, gate.release)
    gate.entered()
    until(lambda: running.running() and running._call.begun, "word from the far side")
    waits = [duties.note.submit(number) for number in range(20)]
    assert not any(task.running() or task._call.begun for task in waits)
    assert waits[7].cancel() and waits[7].cancelled()  # at once, since it has not begun
    gate.open()
    assert running.result(timeout=40) == there.family()[0]
    rest = [number for number in range(20) if number != 7]
    assert [waits[number].result(timeout=40) for number in rest] == rest


def test_after_a_loss_every_call_may_have_begun(over_ssh: MakeWorker, gate: Gate) -> None:
    worker = over_ssh(restart="on-crash")
    there, duties = worker.load("rbr_testing.relayed"), worker.load("rbr_testing.duties")
    running = there.blocked.submit(gate.started, gate.release)
    gate.entered()
    waits = duties.number.submit(1)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    for task in (running, waits):
        with pytest.raises(ringbridge.WorkerDied) as caught:
            task.result(timeout=40)
        assert caught.value.begun is True


def test_a_cancel_overtakes_calls_that_wait(over_ssh: MakeWorker, fifo: Path) -> None:
    """More waits than every window and ring on the way has room for."""
    worker = over_ssh()
    there, duties = worker.load("rbr_testing.relayed"), worker.load("rbr_testing.duties")
    array = np.ones(1 << 20, "u1")
    task = duties.sleep_long.submit(str(fifo))
    fifo.open().close()
    behind = [there.size_of.submit(array) for _ in range(60)]
    task.cancel()
    with pytest.raises(ringbridge.Cancelled):
        task.result(timeout=40)
    assert [each.result(timeout=40) for each in behind] == [1 << 20] * 60


# ------------------------------------------------------------------------------------ its options


def test_what_it_prints_is_logged_here(
    far: ringbridge.Worker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ringbridge.worker.far")
    basics = far.load("rbr_testing.basics")
    basics.say("of stdout")
    basics.say("of stderr", "stderr")
    until(lambda: len(caplog.records) >= 2, "both lines")
    found = {(each.getMessage(), each.levelname) for each in caplog.records}
    assert {("of stdout", "INFO"), ("of stderr", "WARNING")} <= found


def test_options_mean_what_they_mean_for_a_local_one(
    over_ssh: MakeWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RBR_KEPT_HERE", "from here")
    monkeypatch.setenv("RBR_NOT_KEPT", "never")
    worker = over_ssh(
        environ={"RBR_SET": "a=b c"},
        keep_environ=["RBR_KEPT*"],
        cwd=tmp_path,
        threads=3,
        limits={"arena_bytes": 64 << 20, "ring_bytes": 1 << 16, "memory": "memfd"},
    )
    basics = worker.load("rbr_testing.basics")
    assert basics.variable("RBR_SET") == "a=b c"
    assert basics.variable("RBR_KEPT_HERE") == "from here"
    assert basics.variable("RBR_NOT_KEPT") is None
    assert basics.variable("RINGBRIDGE_RELAY") is None
    assert basics.variable("OMP_NUM_THREADS") == "3"
    assert basics.working_folder() == str(tmp_path)
    assert worker.stats()["ring_bytes"] == 1 << 16
    assert str(HERE) in basics.path()


def test_a_payload_without_room_is_an_error_of_its_call_alone(over_ssh: MakeWorker) -> None:
    worker = over_ssh(limits={"arena_bytes": 32 << 20})
    there = worker.load("rbr_testing.relayed")
    held = [there.made(1, [10 << 20]) for _ in range(2)]
    with pytest.raises(ringbridge.ArenaFull):
        there.made(1, [20 << 20])
    assert there.checksums(held[0]) == relayed.checksums(relayed.made(1, [10 << 20]))
    del held
    assert len(there.made(1, [20 << 20])) == 1


def test_a_pool_of_workers_on_another_machine(sshd: Sshd, over_ssh: MakeWorker) -> None:
    with ringbridge.Pool(sshd.url(), 2, paths=[HERE]) as pool:
        assert list(pool.map("rbr_testing.duties:number", range(40))) == list(range(40))


def test_the_verb_says_for_whom_it_is() -> None:
    command = [sys.executable, "-m", "ringbridge", "relay", "--help"]
    said = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert "on another machine starts here by ssh" in " ".join(said.split())
