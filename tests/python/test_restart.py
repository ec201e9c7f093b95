# SPDX-License-Identifier: MIT
"""Worker(restart="on-crash") and Worker.restart(): what stays, what goes, what callers see."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from rbr_testing.deaths import kill
from rbr_testing.eventually import until
from rbr_testing.fixtures import MakeWorker

import ringbridge

BASICS = "rbr_testing.basics"


@pytest.fixture
def worker(make_worker: MakeWorker) -> ringbridge.Worker:
    return make_worker(restart="on-crash")


def module(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.py").write_text(text)


@pytest.fixture
def make_with(make_worker: MakeWorker, tmp_path: Path) -> MakeWorker:
    """A worker that finds modules in tmp_path, and keeps no .pyc of them."""

    def make(**options: Any) -> ringbridge.Worker:
        environ = {"PYTHONDONTWRITEBYTECODE": "1"}
        return make_worker(**{"restart": "on-crash", "paths": [tmp_path], "environ": environ})

    return make


# ------------------------------------------------------------------------------- after a crash


def test_a_process_that_dies_while_nobody_calls_is_replaced_without_a_call(
    worker: ringbridge.Worker, caplog: pytest.LogCaptureFixture
) -> None:
    basics = worker.load(BASICS)
    assert (worker.restarts, worker.stats()["restarts"]) == (0, 0)
    old = kill(worker)
    until(lambda: worker.restarts == 1, "the new process")
    assert worker.alive and worker.pid not in (None, old)
    assert basics.pid() == worker.pid
    assert worker.stats()["restarts"] == 1
    assert f"pid {worker.pid}, restarts: 1" in repr(worker)
    until(lambda: "was killed by SIGKILL" in caplog.text, "a word about it in the log")
    assert f"started again as pid {worker.pid}" in caplog.text


def test_functions_that_somebody_holds_go_on_working(worker: ringbridge.Worker) -> None:
    echo = worker.load(BASICS).echo
    labelled = echo.options(label="mine", timeout=30.0)
    for _ in range(3):
        kill(worker)
        assert (echo(1), labelled("x")) == (1, "x")


@pytest.mark.parametrize(
    ("crash", "arguments", "died"),
    [("exit_hard", (3,), (None, 3)), ("exit_hard", (0,), (None, 0)), ("segfault", (), (11, None))],
)
def test_the_call_that_crashes_raises_and_the_next_one_works(
    worker: ringbridge.Worker, crash: str, arguments: tuple[int, ...], died: tuple[Any, Any]
) -> None:
    basics = worker.load(BASICS)
    with pytest.raises(ringbridge.WorkerDied) as caught:
        getattr(basics, crash)(*arguments)
    assert (caught.value.signal, caught.value.exit_code) == died
    assert basics.add(1) == 3


def test_a_call_that_was_under_way_is_not_repeated(make_with: MakeWorker, tmp_path: Path) -> None:
    module(
        tmp_path,
        "effects",
        "import os\ndef once(path):\n    open(path, 'a').write('x')\n    os.abort()\n"
        "def pid(): return os.getpid()\n",
    )
    worker = make_with()
    effects = worker.load("effects")
    with pytest.raises(ringbridge.WorkerDied):
        effects.once(str(tmp_path / "said"))
    assert effects.pid() == worker.pid
    assert (tmp_path / "said").read_text() == "x"


def test_loads_are_replayed_in_their_order(make_with: MakeWorker, tmp_path: Path) -> None:
    for name in "cab":
        module(tmp_path, f"load_{name}", f"open({str(tmp_path / 'order')!r}, 'a').write('{name}')")
    worker = make_with()
    for name in "cabac":
        worker.load(f"load_{name}")
    kill(worker)
    worker.load("load_a")
    assert (tmp_path / "order").read_text() == "cab" * 2


def test_what_the_process_held_is_gone(make_with: MakeWorker, tmp_path: Path) -> None:
    module(tmp_path, "counting", "n = 0\ndef up():\n    global n\n    n += 1\n    return n\n")
    worker = make_with()
    counting = worker.load("counting")
    assert (counting.up(), counting.up()) == (1, 2)
    kill(worker)
    assert counting.up() == 1


def test_a_module_that_has_changed_meanwhile(make_with: MakeWorker, tmp_path: Path) -> None:
    module(tmp_path, "changing", "def stays(): return 1\ndef goes(): return 2\n")
    worker = make_with()
    changing = worker.load("changing")
    goes = changing.goes
    module(tmp_path, "changing", "def comes(): return 30\ndef stays(): return 10\n")
    kill(worker)
    assert changing.stays() == 10
    with pytest.raises(AttributeError, match="module 'changing' has no function 'goes' any more"):
        goes()
    changing.refresh()
    assert changing.comes() == 30
    module(tmp_path, "changing", "def comes(): return 300\ndef goes(): return 20\n")
    kill(worker)
    assert (goes(), changing.comes()) == (20, 300), "what has come back works again"


def test_a_load_that_fails_now_is_told_where_it_is_used_and_hides_no_other(
    make_with: MakeWorker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("first", "broken", "last"):
        module(tmp_path, name, f"def f(): return {name!r}\n")
    worker = make_with()
    first, broken, last = (worker.load(name) for name in ("first", "broken", "last"))
    module(tmp_path, "broken", "raise RuntimeError('half written')\n")
    kill(worker)
    assert (first.f(), last.f()) == ("first", "last")
    until(lambda: "'broken' could not be loaded again" in caplog.text, "a word in the log")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="half written"):
            broken.f()
    module(tmp_path, "broken", "def f(): return 'mended'\n")
    assert broken.f() == "mended", "each use tries again"
    assert worker.restarts == 1


def test_arrays_of_the_old_process_stay_what_they_are(worker: ringbridge.Worker) -> None:
    pytest.importorskip("numpy")
    basics = worker.load(BASICS)
    ours, theirs = worker.empty(100_000, "uint8"), basics.empty(100_000, "uint8")
    ours[...] = 7
    kill(worker)
    assert (basics.echo(ours) == 7).all() and (basics.echo(theirs) == 1).all()
    assert (worker.empty(5, "uint8").size, int(ours.sum())) == (5, 700_000)


def test_one_that_starts_in_the_background_is_replaced_too(make_worker: MakeWorker) -> None:
    worker = make_worker(restart="on-crash", wait=False)
    echo = worker.load(BASICS).echo
    kill(worker)
    assert echo(1) == 1


def test_never_means_never(make_worker: MakeWorker) -> None:
    worker = make_worker()
    basics = worker.load(BASICS)
    kill(worker)
    for use in (lambda: basics.echo(1), lambda: worker.load(BASICS), lambda: worker.empty(1)):
        with pytest.raises(ringbridge.WorkerDied, match="killed by signal 9"):
            use()
    assert (worker.restarts, worker.alive) == (0, False)
    assert worker.stats()["restarts"] == 0


# ----------------------------------------------------------------------------------- by hand


@pytest.mark.parametrize("dead", [False, True])
@pytest.mark.parametrize("restart", ["never", "on-crash"])
def test_a_restart_by_hand_works_under_every_policy(
    make_worker: MakeWorker, restart: str, dead: bool
) -> None:
    worker = make_worker(restart=restart)
    basics = worker.load(BASICS)
    old = kill(worker) if dead else worker.pid
    before = worker.restarts
    worker.restart()
    assert basics.pid() == worker.pid != old
    assert worker.restarts in (before + 1, 1 + dead)
    with pytest.raises(ProcessLookupError):
        os.kill(old or 0, 0)


def test_a_restart_ends_the_call_that_is_under_way(make_worker: MakeWorker, fifo: Path) -> None:
    worker = make_worker()
    basics = worker.load(BASICS)
    with ThreadPoolExecutor(1) as caller:
        call = caller.submit(basics.block_for_ever, str(fifo))
        fifo.read_text()
        worker.restart()
        assert isinstance(call.exception(40), ringbridge.WorkerDied)
    assert basics.echo(1) == 1


def test_a_restart_before_the_first_use_is_a_start(make_worker: MakeWorker) -> None:
    worker = make_worker(wait=False)
    worker.restart()
    assert worker.alive and worker.restarts == 0


def test_restarts_from_many_threads_at_once_end_with_one_process(
    make_worker: MakeWorker, nothing_left: None
) -> None:
    worker = make_worker()
    basics = worker.load(BASICS)
    threads = [threading.Thread(target=worker.restart) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
        assert not thread.is_alive()
    assert basics.pid() == worker.pid
    assert 1 <= worker.restarts <= 6
    worker.close()
    with pytest.raises(ringbridge.RingbridgeError, match="closed"):
        worker.restart()


def test_what_comes_late_for_a_process_that_was_replaced_changes_nothing(
    make_worker: MakeWorker,
) -> None:
    worker = make_worker()
    process, basics = worker._process, worker.load(BASICS)
    old = process.child
    assert old is not None
    loaded = old.channel.load(BASICS, False, 30.0)
    worker.restart()
    assert process.bind(old.channel, BASICS, loaded) is None
    process._replace(old)
    assert worker.restarts == 1 and basics.pid() == worker.pid


def test_a_closed_worker_stays_closed(worker: ringbridge.Worker) -> None:
    basics = worker.load(BASICS)
    kill(worker)
    basics.echo(1)
    worker.close()
    for use in (lambda: basics.echo(1), lambda: worker.load(BASICS), worker.restart, worker.stats):
        with pytest.raises(ringbridge.RingbridgeError, match="closed"):
            use()


# ------------------------------------------------------------------------- killed on purpose


def test_one_that_is_killed_on_purpose_is_replaced_whatever_the_policy(
    make_worker: MakeWorker, fifo: Path, caplog: pytest.LogCaptureFixture
) -> None:
    worker = make_worker()
    basics = worker.load(BASICS)
    channel = worker._process.channel()
    with ThreadPoolExecutor(1) as caller:
        call = caller.submit(basics.ignore_signals_for_ever, str(fifo))
        fifo.read_text()
        worker._process.replace("its call was cancelled", channel)
        assert basics.pid() == worker.pid
        error = call.exception(40)
    assert isinstance(error, ringbridge.WorkerDied) and error.signal == signal.SIGKILL
    assert "; ringbridge ended it: its call was cancelled; the call was" in str(error)
    until(lambda: "was ended (its call was cancelled)" in caplog.text, "the reason in the log")
    assert worker.restarts == 1
    worker._process.replace("too late", channel)
    assert basics.echo(1) == 1 and worker.restarts == 1, "it was the predecessor's channel"


def test_a_call_that_times_out_is_ended_also_when_others_time_out_behind_it(
    make_worker: MakeWorker, fifo: Path
) -> None:
    # It was forgotten for the newest one, and the worker ran it for ever.
    worker = make_worker()
    basics, duties = worker.load(BASICS), worker.load("rbr_testing.duties")
    errors: list[BaseException] = []

    def call() -> None:
        try:
            duties.sleep_deaf.options(timeout=0.5)(str(fifo))
        except ringbridge.CallTimeout as error:
            errors.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    fifo.read_text()
    with pytest.raises(ringbridge.CallTimeout):
        basics.echo.options(timeout=1.0)(1)
    caller.join(40)
    assert len(errors) == 1
    assert basics.echo(1) == 1
    assert worker.restarts == 1


def test_one_that_lives_but_closed_its_socket_is_replaced_too(
    make_with: MakeWorker,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    nothing_left: None,
) -> None:
    text = """
        import os, socket, stat
        def shut():
            for name in os.listdir("/proc/self/fd"):
                if os.path.exists(f"/proc/self/fd/{name}"):
                    if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                        socket.socket(fileno=os.dup(int(name))).shutdown(socket.SHUT_WR)
        def pid(): return os.getpid()
        """
    module(tmp_path, "shutting", textwrap.dedent(text))
    worker = make_with()
    shutting, old = worker.load("shutting"), worker.pid
    channel = worker._process.channel()
    with contextlib.suppress(ringbridge.WorkerDied):
        shutting.shut()
    until(lambda: not channel.alive, "the doubt about it")
    assert shutting.pid() == worker.pid != old
    until(lambda: "started again" in caplog.text, "a word in the log")
    assert "did not end by itself, and was killed" in caplog.text
    worker.close()


def test_being_killed_on_purpose_often_is_no_crash(worker: ringbridge.Worker) -> None:
    for round_ in range(8):
        worker._process.replace("a test")
        worker._process.channel()
        assert worker.restarts == round_ + 1


def test_a_death_in_a_log_handler_of_the_worker_does_not_hang(
    worker: ringbridge.Worker,
) -> None:
    """The thread that reads the output is the one that hears of the death."""
    basics = worker.load(BASICS)
    answers: list[int] = []

    class Calls(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == "boom":
                kill(worker)
                answers.append(basics.echo(5))

    handler = Calls()
    logger = logging.getLogger("ringbridge.worker.own")
    logger.addHandler(handler)
    try:
        with contextlib.suppress(ringbridge.WorkerDied):  # the handler may be the faster one
            basics.say("boom", "stderr")
        until(lambda: answers, "the call in the handler")
    finally:
        logger.removeHandler(handler)
    assert answers == [5]
