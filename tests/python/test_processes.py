# SPDX-License-Identifier: MIT
"""`ringbridge ps`: what is seen of workers, and what is no worker.

Other tests may run on this machine at the same time: a worker is found by its pid.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rbr_testing.fixtures import MakeWorker
from rbr_testing.looked_at import DEADLINE_S, HOST, SETTINGS, WAITS, dead_pid, seen, seen_as

import ringbridge
from ringbridge import running
from ringbridge.cli import plain
from ringbridge.cli.main import main

HERE = Path(__file__).resolve().parent

Start = Callable[..., "subprocess.Popen[str]"]


def test_a_worker_is_seen_with_its_host(make_worker: MakeWorker) -> None:
    before = time.monotonic()
    worker = make_worker(name="terrain")
    found = seen(worker.pid)
    assert found is not None
    assert (found.name, found.python) == ("terrain", sys.executable)
    assert (found.host_pid, found.host_gone) == (os.getpid(), False)
    assert found.host_name == Path("/proc/self/comm").read_text().rstrip("\n")
    assert 0 <= found.age_s <= time.monotonic() - before + 1
    assert found.memory_bytes is not None and found.memory_bytes > 1 << 20
    worker.close()
    assert seen(found.pid) is None


@pytest.mark.parametrize("memory", ["shm", "memfd"])
def test_shared_memory_is_counted_once(make_worker: MakeWorker, memory: str) -> None:
    worker = make_worker(limits={"memory": memory})
    rings = seen(worker.pid)
    assert rings is not None and rings.shared_bytes is not None
    assert 2 << 20 <= rings.shared_bytes < 3 << 20  # two rings of 1 MiB, each mapped twice
    worker.empty((1 << 20,), "uint8")
    arena = seen(worker.pid)
    assert arena is not None and arena.shared_bytes is not None
    assert arena.shared_bytes - rings.shared_bytes == worker.stats()["arena_bytes"] >= 1 << 20


def test_pieces_that_overlap_are_counted_once() -> None:
    assert running._covered({(0, 10), (5, 15), (6, 7), (20, 30)}) == 25
    assert running._covered(set()) == 0


def test_states_and_cpu_time_are_seen(make_worker: MakeWorker, tmp_path: Path) -> None:
    (tmp_path / "burn.py").write_text("def burn():\n    while True:\n        pass\n")
    worker = make_worker(paths=[tmp_path])
    burn = worker.load("burn").burn
    seen_as(worker.pid, "sleeping")

    def call() -> None:
        with contextlib.suppress(ringbridge.RingbridgeError):
            burn()

    caller = threading.Thread(target=call)
    caller.start()
    until = time.monotonic() + DEADLINE_S
    while seen_as(worker.pid, "running").cpu_s < 0.2:
        assert time.monotonic() < until
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGSTOP)
    seen_as(worker.pid, "stopped")
    os.kill(worker.pid, signal.SIGKILL)
    caller.join()
    assert seen(worker.pid) is None


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("two\nlines", r"two\nlines"),
        ("é 日本", "é 日本"),
        ("\"double\" and 'single'", "\"double\" and 'single'"),
        ("\x1b[31mred\u202e", r"\x1b[31mred\u202e"),
        ("x" * 100_000, "x" * 21 + "..."),
        ("日" * 50, "日" * 10 + "..."),
    ],
    ids=["newline", "not ASCII", "quotes", "terminal", "long", "long and wide"],
)
def test_any_name_stands_on_one_line(
    make_worker: MakeWorker, capsys: pytest.CaptureFixture[str], name: str, shown: str
) -> None:
    worker = make_worker(name=name)
    assert main(["ps"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    line = next(words for words in lines if words[0] == str(worker.pid))
    assert line[1 : 1 + len(shown.split())] == shown.split()
    assert main(["ps", "--json"]) == 0
    found = {each["pid"]: each for each in json.loads(capsys.readouterr().out)}[worker.pid]
    assert found["name"] == name[:200]
    assert set(found) == {
        *("what", "pid", "name", "python", "host_pid", "host_name", "host_gone"),
        *("age_s", "cpu_s", "memory_bytes", "shared_bytes", "state"),
    }


def test_names_are_shown_where_the_output_has_no_code_for_them(make_worker: MakeWorker) -> None:
    worker = make_worker(name="é")
    ended = subprocess.run(
        [sys.executable, "-m", "ringbridge.cli.main", "ps"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        cwd=HERE,
        check=True,
    )
    assert f"{worker.pid}  \\xe9 " in ended.stdout


@pytest.mark.usefixtures("runtime_folder")
def test_nothing_that_runs_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(running, "workers", list)
    assert main(["ps"]) == 0
    assert (
        capsys.readouterr().out
        == "No worker of this user is running, and no application is served.\n"
    )
    assert main(["ps", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_worker_of_an_older_version_is_listed_without_name_and_host(
    fake_worker: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    old = fake_worker()
    found = seen(old.pid)
    assert found is not None
    assert (found.name, found.host_pid, found.host_gone) == (None, None, None)
    assert main(["ps"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [words[1:3] for words in lines if words[0] == str(old.pid)] == [["-", "-"]]


def test_other_programs_are_not_listed(
    fake_worker: Start, start_process: Start, tmp_path: Path
) -> None:
    right = json.dumps(SETTINGS)
    code = [sys.executable, "-c", WAITS]
    others = [
        fake_worker(fd="x"),
        fake_worker(fd="-1"),
        fake_worker(settings=[SETTINGS]),
        fake_worker(settings={}),
        fake_worker(start_new_session=False),
        start_process(sys.executable, str(tmp_path / "_bootstrap.py"), "4", "{"),
        start_process(sys.executable, str(tmp_path / "_bootstrap.py"), "4", right, "more"),
        start_process(sys.executable, str(tmp_path / "_bootstrap.py")),
        start_process(*code, "_bootstrap.py"),
        start_process(*code, "/x/_bootstrap.py", "4", right),
    ]
    assert not {worker.pid for worker in running.workers()} & {each.pid for each in others}
    assert seen(fake_worker().pid) is not None  # or none of them would have been listed anyway


def test_a_forked_child_is_not_a_worker(make_worker: MakeWorker, tmp_path: Path) -> None:
    """It has the worker's command line, and another parent than the one that stands there."""
    (tmp_path / "forks.py").write_text(
        "import os, signal\n"
        "def fork(own_session):\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        if own_session:\n"
        "            os.setsid()\n"
        "        os.write(write_end, b'.')\n"
        "        signal.pause()\n"
        "    os.read(read_end, 1)\n"
        "    return pid\n"
        "read_end, write_end = os.pipe()\n"
    )
    worker = make_worker(paths=[tmp_path])
    children = [worker.load("forks").fork(own_session) for own_session in (False, True)]
    try:
        ours = {worker.pid, *children}
        assert {each.pid for each in running.workers()} & ours == {worker.pid}
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)


def test_what_ends_while_it_is_looked_at_is_no_error(
    make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = make_worker()
    assert worker.pid is not None
    zombie = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    pids = [dead_pid(), zombie.pid, worker.pid]
    monkeypatch.setattr(running, "_pids", lambda: iter(pids))
    assert [each.pid for each in running.workers()] == [worker.pid]
    assert running.start_of(zombie.pid) is None
    assert running.group_of(zombie.pid) == []
    zombie.wait()


def test_a_worker_in_a_container_has_its_host(start_process: Start) -> None:
    """Its host's number in there is another one than the one that is seen from here."""
    unshare = shutil.which("unshare")
    command = [str(unshare), "--pid", "--fork", "--kill-child"]
    if unshare is None or subprocess.run([*command, "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no pid namespace can be made here")
    name = os.urandom(8).hex()
    start_process(*command, sys.executable, "-c", HOST, name, str(HERE))
    found = next(worker for worker in running.workers() if worker.name == name)
    assert found.host_gone is False
    assert found.host_pid is not None and running.start_of(found.host_pid) is not None


# ------------------------------------------------------------------------------------------ text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "-"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        ((1 << 20) - 1, "1.0 MiB"),
        (5 << 40, "5.0 TiB"),
        (5 << 50, "5120.0 TiB"),
    ],
)
def test_sizes_are_shown_in_a_fitting_unit(count: int | None, text: str) -> None:
    assert plain.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7200, "2 h"),
        (172800, "2 d"),
    ],
)
def test_durations_are_shown_in_a_fitting_unit(seconds: float, text: str) -> None:
    assert plain.duration(seconds) == text
