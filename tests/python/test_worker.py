# SPDX-License-Identifier: MIT
"""Worker: its life and its options."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rbr_testing.fixtures import MakeWorker

import ringbridge


def is_running(pid: int | None) -> bool:
    assert pid is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# ------------------------------------------------------------------------------------------- life


def test_a_worker_tells_about_itself(worker: ringbridge.Worker) -> None:
    assert worker.alive
    assert worker.name == "session"
    assert is_running(worker.pid)
    assert worker.environment.python == sys.executable
    assert str(worker.pid) in repr(worker)


def test_the_worker_is_another_process(
    worker: ringbridge.Worker, basics: ringbridge.RemoteModule
) -> None:
    assert basics.pid() == worker.pid != os.getpid()


def test_stats_count_the_frames(worker: ringbridge.Worker, echo: Callable[[Any], Any]) -> None:
    before = worker.stats()["frames_sent"]
    echo(1)
    assert worker.stats()["frames_sent"] == before + 1


def test_close_is_idempotent_and_final(make_worker: MakeWorker) -> None:
    worker = make_worker()
    basics = worker.load("rbr_testing.basics")
    pid = worker.pid
    for _ in range(2):
        worker.close()
    assert not worker.alive
    assert not is_running(pid)
    assert "closed" in repr(worker)
    for use in (
        lambda: basics.echo(1),
        lambda: worker.load("math"),
        lambda: worker.empty(3),
        basics.refresh,
        worker.stats,
    ):
        with pytest.raises(ringbridge.RingbridgeError, match="closed"):
            use()


def test_close_from_many_threads_ends_it_once(make_worker: MakeWorker) -> None:
    worker = make_worker()
    threads = [threading.Thread(target=worker.close) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert not is_running(worker.pid)


def test_with_closes() -> None:
    with ringbridge.Worker(sys.executable) as worker:
        pid = worker.pid
        assert worker.load("operator").neg(2) == -2
    assert not is_running(pid)


def test_a_worker_that_nobody_holds_ends() -> None:
    worker = ringbridge.Worker(sys.executable)
    pid = worker.pid
    del worker
    gc.collect()
    assert not is_running(pid)


def test_a_remote_module_holds_its_worker() -> None:
    operator = ringbridge.Worker(sys.executable).load("operator")
    gc.collect()
    assert operator.neg(3) == -3


def test_a_worker_ends_when_the_host_exits_without_closing() -> None:
    code = f"""
        import ringbridge
        worker = ringbridge.Worker({sys.executable!r})
        print(worker.pid)
        """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=50
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert not is_running(int(ended.stdout))


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # fork with threads: meant
def test_a_forked_child_of_the_host_leaves_the_worker_alone(make_worker: MakeWorker) -> None:
    worker = make_worker()
    operator = worker.load("operator")
    child = os.fork()
    if child == 0:
        worker.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert operator.neg(4) == -4
    worker.close()


def test_without_wait_a_missing_environment_is_told_at_once() -> None:
    with pytest.raises(ringbridge.EnvironmentNotFound):
        ringbridge.Worker("/no/such/env", wait=False)


def test_a_worker_that_was_never_used_can_be_closed(make_worker: MakeWorker) -> None:
    worker = make_worker(wait=False)
    worker.close()
    with pytest.raises(ringbridge.RingbridgeError, match="closed"):
        worker.load("operator")


def test_several_workers_at_once(make_worker: MakeWorker) -> None:
    workers = [make_worker() for _ in range(3)]
    modules = [worker.load("rbr_testing.basics") for worker in workers]
    assert len({module.pid() for module in modules}) == 3


def test_workers_in_other_interpreters(make_worker: MakeWorker, other_pythons: list[str]) -> None:
    if not other_pythons:
        pytest.skip("RBR_TEST_PYTHONS names no other interpreters")
    for python in other_pythons:
        basics = make_worker(python).load("rbr_testing.basics")
        value = {"a": [1, 2.5, "x", b"y", None]}
        assert basics.echo(value) == value
        assert basics.squares("spawn", 3) == [0, 1, 4]
        with pytest.raises(KeyError):
            basics.fail("KeyError", "k")


# ---------------------------------------------------------------------------------------- options


def test_paths_come_first_and_nothing_of_ours_is_there(basics: ringbridge.RemoteModule) -> None:
    path = basics.path()
    assert path[0] == str(Path(__file__).parent)
    assert str(Path(ringbridge.__file__).parent) not in path
    assert "" not in path


def test_the_worker_runs_the_hosts_copy(basics: ringbridge.RemoteModule) -> None:
    assert basics.ringbridge_file() == ringbridge.__file__


def test_the_command_line_is_not_the_users_business(basics: ringbridge.RemoteModule) -> None:
    assert len(basics.arguments()) == 1


def test_environ_threads_and_cwd_arrive(make_worker: MakeWorker, tmp_path: Path) -> None:
    basics = make_worker(environ={"MINE": "x"}, threads=3, cwd=tmp_path).load("rbr_testing.basics")
    assert basics.variable("MINE") == "x"
    assert basics.variable("NUMBA_NUM_THREADS") == "3"
    assert basics.variable("PYTHONNOUSERSITE") == "1"
    assert basics.working_folder() == str(tmp_path)


def test_what_the_host_leaks_does_not_arrive(
    make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/no/such")
    monkeypatch.setenv("PROJ_LIB", "/no/such")
    monkeypatch.setenv("GDAL_DATA", "/kept")
    basics = make_worker(keep_environ=["GDAL_DATA"]).load("rbr_testing.basics")
    names = ("PYTHONPATH", "PROJ_LIB", "GDAL_DATA")
    assert [basics.variable(name) for name in names] == [None, None, "/kept"]


@pytest.mark.parametrize("memory", ["auto", "shm", "memfd"])
def test_every_kind_of_memory_works(make_worker: MakeWorker, memory: str) -> None:
    limits = {"memory": memory, "ring_bytes": 65536, "arena_bytes": 32 << 20}
    basics = make_worker(limits=limits).load("rbr_testing.basics")
    assert basics.echo(b"x" * 100_000) == b"x" * 100_000


def test_call_timeout_is_for_every_call(make_worker: MakeWorker, fifo: Path) -> None:
    worker = make_worker(call_timeout=0.2)
    basics = worker.load("rbr_testing.basics")
    with pytest.raises(ringbridge.CallTimeout):
        basics.block_for_ever(str(fifo))  # waits in open: nobody reads
    worker.close()


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"pickle": "yes"}, TypeError, "pickle must be True or False"),
        ({"restart": "always"}, ValueError, "restart must be one of .*not 'always'"),
        ({"limits": {"arena": 1, "memory": "shm"}}, ValueError, "limits has no 'arena'"),
        ({"limits": {"memory": "disk"}}, ValueError, "limits\\['memory'\\] must be one of"),
        ({"limits": {"ring_bytes": 65537}}, ValueError, "power of two"),
        ({"limits": {"ring_bytes": 1024}}, ValueError, "power of two from 65536"),
        ({"limits": {"arena_bytes": 0}}, ValueError, "1 or more"),
        ({"limits": {"arena_bytes": "1G"}}, TypeError, "must be an int"),
        ({"paths": "/tmp"}, TypeError, r"write \['/tmp'\]"),
        ({"paths": ["/no/such"]}, ValueError, "there is no /no/such"),
        ({"limits": {"arena_bytes": 1 << 70}}, ValueError, "arena_bytes"),
        ({"name": ""}, ValueError, "name"),
        ({"name": "a\0b"}, ValueError, "name"),
        ({"name": 3}, TypeError, "name must be a str"),
        ({"start_timeout": 0}, ValueError, "start_timeout must be more than 0"),
        ({"call_timeout": "1"}, TypeError, "call_timeout must be a number"),
        ({"call_timeout": float("nan")}, ValueError, "call_timeout"),
        ({"threads": 0}, ValueError, "threads"),
        ({"environ": {"A": 1}}, TypeError, "environ"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_starts(
    options: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        ringbridge.Worker(sys.executable, **options)


def test_the_signature_is_the_documented_one() -> None:
    import inspect

    parameters = inspect.signature(ringbridge.Worker).parameters
    assert {name: p.default for name, p in parameters.items() if name != "env"} == {
        "name": None,
        "paths": (),
        "environ": None,
        "keep_environ": (),
        "cwd": None,
        "wait": True,
        "start_timeout": 30.0,
        "call_timeout": None,
        "pickle": False,
        "restart": "never",
        "threads": None,
        "limits": None,
    }


# ------------------------------------------------------------------------------------------ arrays


def test_empty_gives_an_array_that_crosses(
    worker: ringbridge.Worker, echo: Callable[[Any], Any]
) -> None:
    numpy = pytest.importorskip("numpy")
    array = worker.empty((3, 4), "float32")
    assert (array.shape, array.dtype) == ((3, 4), numpy.dtype("float32"))
    array[...] = 7
    assert (echo(array) == 7).all()


def test_empty_of_a_worker_comes_back(basics: ringbridge.RemoteModule) -> None:
    pytest.importorskip("numpy")
    array = basics.empty((2, 3), "int16")
    assert (array.shape, str(array.dtype), int(array.sum())) == ((2, 3), "int16", 6)


def test_empty_without_a_worker_is_numpys(monkeypatch: pytest.MonkeyPatch) -> None:
    numpy = pytest.importorskip("numpy")
    array = ringbridge.empty((2, 2))
    assert (type(array), array.dtype) == (numpy.ndarray, numpy.dtype("float64"))
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(ImportError, match="needs numpy"):
        ringbridge.empty(3)
