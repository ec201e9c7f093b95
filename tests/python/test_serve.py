# SPDX-License-Identifier: MIT
"""Calls into a running application: serve() there, connect() here."""

from __future__ import annotations

import contextlib
import inspect
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rbr_testing.eventually import Gate, until
from rbr_testing.served import DUTIES, TESTS, Application, application

import ringbridge
from ringbridge import _core


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the applications of this file are met."""
    path = tmp_path_factory.mktemp("run")
    path.chmod(0o700)
    return path


@pytest.fixture(autouse=True)
def meeting(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("RBR_PYTHON", sys.executable)


@pytest.fixture(scope="module")
def app(folder: Path) -> Iterator[Application]:
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(folder)
    os.environ["RBR_PYTHON"] = sys.executable
    try:
        with application(name="shared") as there:
            yield there
    finally:
        os.environ.pop("XDG_RUNTIME_DIR")
        if before is not None:
            os.environ["XDG_RUNTIME_DIR"] = before


@pytest.fixture
def connection(app: Application) -> Iterator[ringbridge.Connection]:
    with app.connect() as there:
        yield there
        assert there.stats()["late_looks"] == 0, "a wake-up was lost"


@pytest.fixture
def duties(connection: ringbridge.Connection) -> ringbridge.RemoteModule:
    return connection.load(DUTIES)


# --------------------------------------------------------------------------------- where it runs


def test_a_call_runs_on_the_applications_main_thread(duties: Any) -> None:
    assert duties.on_main() is True
    assert duties.on_main.submit().result(30) is True


def test_a_caller_may_ask_for_the_servers_thread(duties: Any) -> None:
    assert duties.on_main.options(on="thread")() is False
    assert duties.on_main.options(on="thread").options(on="main")() is True
    with pytest.raises(ValueError, match="on must be 'main' or 'thread'"):
        duties.on_main.options(on="moon")


def test_a_function_may_say_where_it_runs_and_that_holds(duties: Any) -> None:
    assert duties.only_on_thread() is False
    with pytest.raises(PermissionError, match="main thread only"):
        duties.only_on_main.options(on="thread")()
    with pytest.raises(PermissionError, match="a thread of the server's only"):
        duties.only_on_thread.options(on="main")()


def test_a_workers_function_runs_where_it_runs(worker: ringbridge.Worker) -> None:
    function = worker.load("rbr_testing.basics").echo
    with pytest.raises(ValueError, match="for the functions of an application's modules"):
        function.options(on="thread")


# ---------------------------------------------------------------------- all that a worker can do


def test_functions_are_called_submitted_streamed_and_described(duties: Any) -> None:
    assert duties.add(1, b=2) == 3
    assert duties.add.submit(5).result(30) == 6
    assert list(duties.numbers.stream(100)) == list(range(100))
    assert list(duties.later.stream(3)) == [0, 1, 2]
    assert duties.doubled(4) == 8
    assert list(inspect.signature(duties.add).parameters) == ["a", "b"]
    assert duties.add.__doc__ == "Adds."


def test_callbacks_and_progress_reach_the_client(duties: Any) -> None:
    assert duties.each(lambda value: 10 * value, 4) == [0, 10, 20, 30]
    # A callback may call into the application again: it waits for us, and serves us.
    assert duties.each(lambda value: duties.add(value), 2) == [1, 2]
    task = duties.steps.submit(3)
    assert task.result(30) == 3
    assert (task.progress.done, task.progress.total) == (3, 3)


def test_an_array_comes_and_goes_without_a_copy(
    duties: Any, connection: ringbridge.Connection
) -> None:
    pytest.importorskip("numpy")
    array = duties.filled(100_000_000, 7)
    assert type(array.base) is _core.Array and array[-1] == 7
    before = connection.stats()["bytes_sent"] + connection.stats()["bytes_received"]
    ours = connection.empty((1_000_000,), "uint8")
    ours[:] = 2
    assert duties.total(ours) == 2_000_000
    assert duties.filled(1_000_000, 3).sum() == 3_000_000
    after = connection.stats()["bytes_sent"] + connection.stats()["bytes_received"]
    assert after - before < 4096, "the arrays have gone through the rings"


def test_what_cannot_cross_stays_there_and_is_used_from_here(duties: Any) -> None:
    layer = duties.Layer("rivers")
    assert layer.name == "rivers" and layer.sizes == [1, 2] and layer.parent is None
    assert layer.renamed("roads") == "rivers" and layer.name == "roads"
    layer.name = "paths"
    child = layer.child("bends")
    assert child.parent.name == "paths"
    assert [each.name for each in duties.layers()] == ["a", "b"]
    del child, layer
    until(lambda: {"paths", "bends"} <= set(duties.seen()), "the objects' end over there")


def test_objects_show_what_is_public_alone(duties: Any) -> None:
    layer = duties.Layer("rivers")
    with pytest.raises(PermissionError, match="begins with an underscore"):
        layer._source  # noqa: B018
    with pytest.raises(PermissionError, match="begins with an underscore"):
        layer._source = 1
    with pytest.raises(PermissionError, match="__init__"):
        _core.attribute(layer, "__init__")
    with pytest.raises(ringbridge.CannotCross, match="module"):
        duties.a_module()


# ----------------------------------------------------------------------------------- not exposed


def test_what_was_not_named_is_refused_with_the_reason(
    connection: ringbridge.Connection, duties: Any
) -> None:
    with pytest.raises(PermissionError, match=r"'os' is not served by 'shared': it serves rbr_"):
        connection.load("os")
    with pytest.raises(AttributeError, match="not_exposed"):
        duties.not_exposed()
    assert "not_exposed" not in connection.about()["modules"][DUTIES]
    assert "threading" not in dir(duties)


def test_a_number_that_no_function_has_is_refused(connection: ringbridge.Connection) -> None:
    target = _core.Target(connection._link.channel("main"), 9999, "there.is_none")
    with pytest.raises(ringbridge.RemoteError, match="no function number 9999"):
        _core.Function(target)()


# -------------------------------------------------------------------------- while it is occupied


def test_a_long_call_keeps_nothing_else_waiting(
    app: Application, duties: Any, connection: ringbridge.Connection, tmp_path: Path
) -> None:
    gate = Gate(tmp_path)
    held = duties.hold.submit(gate.started, gate.release)
    gate.entered()
    assert connection.is_online
    about = connection.about()
    assert about["busy"].startswith(f"{DUTIES}.hold for ")
    assert about["modules"][DUTIES]["add"]["signature"].startswith("(a: ")
    assert duties.add.options(on="thread")(1) == 2
    # Another client gets in meanwhile.
    program = f"import ringbridge; print(ringbridge.connect({app.name!r}).is_online)"
    other = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=40, cwd=TESTS
    )
    assert other.stdout == "True\n", other.stderr
    gate.open()
    assert held.result(30) == "held"


def test_a_cancel_asks(duties: Any, fifo: Path) -> None:
    task = duties.until_cancelled.submit(str(fifo))
    open(fifo).close()
    assert task.cancel()
    with pytest.raises(ringbridge.Cancelled):
        task.result(30)


def test_a_cancel_neither_interrupts_nor_kills(
    app: Application, duties: Any, fifo: Path, tmp_path: Path
) -> None:
    task = duties.sleep_through.submit(str(fifo), 0.6)
    open(fifo).close()
    task.cancel(grace=0.1)
    assert task.result(30) == "slept"
    with pytest.raises(ringbridge.CallTimeout):
        duties.sleep_through.options(timeout=0.05)(os.devnull, 0.6)
    assert duties.add(1) == 2 and app.process.poll() is None
    with pytest.raises(ringbridge.RingbridgeError, match="not ours to end"):
        duties.add._target.channel.kill(signal.SIGTERM, False)


def test_a_main_thread_that_waits_for_a_worker_serves(app: Application, duties: Any) -> None:
    assert duties.through_a_worker(app.name) is True
    assert duties.through_a_task(app.name) is True


# ------------------------------------------------------------------------------------- the ends


def test_the_server_stops_and_leaves_nothing() -> None:
    with application(name="short") as app:
        there = app.connect()
        duties = there.load(DUTIES)
        assert duties.only_on_thread() is False
        assert '"threads": []' in app.stop()
        until(lambda: not there.alive, "the application's end")
        with pytest.raises(ringbridge.WorkerDied, match=r"'short' \(pid \d+\) has ended, and none"):
            duties.add(1)
        assert not there.is_online
        there.close()
    with pytest.raises(ringbridge.RingbridgeError, match="is closed"):
        duties.add(1)


def test_a_connection_finds_the_application_again(tmp_path: Path) -> None:
    with application(name="again") as first:
        there = ringbridge.connect("again")
        duties = there.load(DUTIES)
        add, on_thread, layer = duties.add, duties.only_on_thread, duties.Layer("old")
        assert add(1) == 2 and on_thread() is False
        gate = Gate(tmp_path)
        held = duties.hold.submit(gate.started, gate.release)
        gate.entered()
        first.kill()
        with pytest.raises(ringbridge.WorkerDied, match=r"again \(pid \d+\) has ended"):
            held.result(30)
    with pytest.raises(ringbridge.WorkerDied, match="start it again, and the next call finds it"):
        add(1)
    with application(name="again") as second:
        assert add(1) == 2
        assert on_thread() is False
        assert there.pid == second.pid and there.stats()["reconnects"] == 1
        with pytest.raises(ringbridge.WorkerDied, match="it lived in a process of application"):
            layer.name  # noqa: B018
        there.close()


def test_several_of_one_name_are_told_apart_by_their_pid() -> None:
    with application(name="twin") as one, application(name="twin") as two:
        with pytest.raises(ringbridge.RingbridgeError, match="several applications fit 'twin'"):
            ringbridge.connect("twin")
        assert ringbridge.connect("twin", pid=two.pid).load(DUTIES).counted() == 0
        assert {host.pid for host in ringbridge.hosts() if host.name == "twin"} == {
            one.pid,
            two.pid,
        }


def test_several_of_one_name_are_told_apart_by_their_document(tmp_path: Path) -> None:
    ours = str(tmp_path / "scene.blend")
    with application(name="scene", document=ours) as one, application(name="scene", document="x"):
        assert ringbridge.connect("scene", document=ours).pid == one.pid
    with pytest.raises(ringbridge.HostNotFound, match="'scene'"):
        ringbridge.connect("scene")


def test_ctrl_c_in_a_call_means_the_application() -> None:
    with application(name="stopped") as app:
        with pytest.raises((ringbridge.RemoteError, ringbridge.WorkerDied)):
            app.connect().load(DUTIES).interrupt()
        app.process.communicate(timeout=30)
        assert app.process.returncode not in (0, -signal.SIGKILL)


def test_a_token_is_asked_for() -> None:
    with application(name="locked", token="open sesame") as app:
        with pytest.raises(ringbridge.HostRefused, match="token"):
            app.connect()
        with pytest.raises(ringbridge.HostRefused, match="token"):
            app.connect(token="open barley")
        assert app.connect(token="open sesame").load(DUTIES).add(1) == 2


def test_no_more_clients_than_allowed() -> None:
    with application(name="full", clients_max=1) as app:
        with app.connect() as first:
            with pytest.raises(ringbridge.HostRefused, match="serves 1 clients already"):
                app.connect()
            assert first.load(DUTIES).only_on_thread() is False  # a second lane of the first one

        def is_let_in() -> bool:
            with contextlib.suppress(ringbridge.HostRefused):
                return app.connect().alive
            return False

        until(is_let_in, "the place that the first one has left")


def test_an_application_of_another_python_serves(other_pythons: list[str]) -> None:
    if not other_pythons:
        pytest.skip("RBR_TEST_PYTHONS names no other interpreters")
    for python in other_pythons:
        with application(python, name="other") as app, app.connect() as there:
            duties = there.load(DUTIES)
            assert duties.on_main() is True and duties.Layer("x").renamed("y") == "x"
