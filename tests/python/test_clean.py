# SPDX-License-Identifier: MIT
"""`ringbridge clean`: what it removes, and what it leaves alone.

Other tests may run on this machine at the same time: `clean` is shown a folder and workers of the
test's own, but for the one test of the whole command, which ends nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rbr_testing.doors import listening
from rbr_testing.fixtures import MakeWorker
from rbr_testing.looked_at import HOST, WAITS, dead_pid, seen, seen_as

from ringbridge import rendezvous, running
from ringbridge.cli import clean
from ringbridge.cli.main import main

HERE = Path(__file__).resolve().parent

Start = Callable[..., "subprocess.Popen[str]"]
Clean = Callable[..., int]

pytestmark = pytest.mark.usefixtures("runtime_folder")


@pytest.fixture
def run_clean(tmp_path: Path) -> Clean:
    """Runs `ringbridge clean` on tmp_path/shm, and on the workers with the pids given."""
    (tmp_path / "shm").mkdir()

    def run(*arguments: str, pids: tuple[int, ...] = ()) -> int:
        parser = argparse.ArgumentParser()
        clean.add_to(parser.add_subparsers())
        options = parser.parse_args(["clean", *arguments])
        options.folder = str(tmp_path / "shm")
        options.workers = lambda: [worker for worker in running.workers() if worker.pid in pids]
        return clean.clean(options)

    return run


@pytest.fixture
def orphan(start_process: Start) -> Iterator[tuple[int, int]]:
    """(pid, pid of its child): a worker that cannot notice that its host has been killed."""
    host = start_process(sys.executable, "-c", HOST, "orphan", str(HERE), wait=False)
    assert host.stdout is not None
    pid, child = (int(word) for word in host.stdout.readline().split())
    began = {each: running.start_of(each) for each in (pid, child)}
    os.kill(pid, signal.SIGSTOP)
    seen_as(pid, "stopped")
    host.kill()
    host.wait()
    yield pid, child
    for each, start_ in began.items():
        if start_ is not None and running.start_of(each) == start_:
            os.kill(each, signal.SIGKILL)


def segment(folder: Path, pid: int, content: bytes = b"12345") -> Path:
    path = folder / f"ringbridge-{pid}-{os.urandom(16).hex()}"
    path.write_bytes(content)
    return path


def test_the_segment_of_a_dead_process_is_removed(
    run_clean: Clean, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pid = dead_pid()
    path = segment(tmp_path / "shm", pid, b"x" * 2048)
    assert run_clean("--dry-run") == 0
    text = f"segment {path} (2.0 KiB): process {pid} has ended\n"
    assert capsys.readouterr().out == f"would be removed: {text}"
    assert run_clean("--dry-run", "--json") == 0
    assert [each["result"] for each in json.loads(capsys.readouterr().out)] == ["left"]
    assert path.exists()
    assert run_clean() == 0
    assert capsys.readouterr().out == f"removed: {text}"
    assert not path.exists()
    assert run_clean() == 0
    assert capsys.readouterr().out == "Nothing is left over.\n"


def test_the_command_cleans_the_real_folder() -> None:
    path = segment(Path("/dev/shm"), dead_pid())
    command = [sys.executable, "-m", "ringbridge.cli.main", "clean", "--json"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=50, cwd=HERE)
        assert not path.exists()
    finally:
        path.unlink(missing_ok=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    found = {each["name"]: each for each in json.loads(ended.stdout)}[str(path)]
    assert (found["what"], found["bytes"], found["result"]) == ("segment", 5, "removed")
    assert set(found) == {"what", "name", "pid", "bytes", "why", "result", "error"}


def test_the_segment_of_a_live_process_is_left_alone(run_clean: Clean, tmp_path: Path) -> None:
    paths = [segment(tmp_path / "shm", pid) for pid in (os.getpid(), os.getppid())]
    assert run_clean() == 0
    assert all(path.exists() for path in paths)


def test_the_segment_of_a_process_that_proc_hides_is_left_alone(
    run_clean: Clean, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mounted with hidepid, /proc shows no process of another user; the kernel knows it still."""

    def kill(_pid: int, number: int) -> None:
        assert number == 0
        raise PermissionError

    path = segment(tmp_path / "shm", dead_pid())
    monkeypatch.setattr(os, "kill", kill)
    assert run_clean() == 0
    assert path.exists()


def test_a_segment_older_than_the_process_with_its_pid_is_removed(
    run_clean: Clean, start_process: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = time.time()
    pid = start_process(sys.executable, "-c", WAITS).pid
    old, new = (segment(tmp_path / "shm", pid) for _ in range(2))
    os.utime(old, (before - 60, before - 60))
    assert run_clean() == 0
    assert (old.exists(), new.exists()) == (False, True)
    assert f"older than the process that has the pid {pid} now" in capsys.readouterr().out


def test_only_plain_files_of_ours_with_such_a_name_are_removed(
    run_clean: Clean, tmp_path: Path
) -> None:
    pid, folder = dead_pid(), tmp_path / "shm"
    target = tmp_path / "target"
    target.write_text("mine")
    link, directory = segment(folder, pid), segment(folder, pid)
    for each in (link, directory):
        each.unlink()
    link.symlink_to(target)
    directory.mkdir()
    other_names = [
        folder / name
        for name in (
            f"ringbridge-{pid}",
            f"ringbridge-{pid}-",
            f"ringbridge-{pid}-notes",
            f"ringbridge-0{pid}-ab",
            "ringbridge--ab",
            "ringbridge-0-ab",
            "ringbridge-99999999999999999999-ab",
            "ringbridge-\u0661-ab",
            f"xringbridge-{pid}-ab",
            f"ringbridge-{pid}-ab\n",
        )
    ]
    for each in other_names:
        each.write_text("")
    if os.geteuid() == 0:
        other_names.append(segment(folder, pid))
        os.chown(other_names[-1], 1, 1)
    assert run_clean() == 0
    assert link.is_symlink() and directory.is_dir() and target.read_text() == "mine"
    assert all(each.exists() for each in other_names)


def test_what_became_a_link_since_the_look_is_not_removed(tmp_path: Path) -> None:
    path = segment(tmp_path, dead_pid())
    (left,) = running.leftovers(str(tmp_path))
    path.unlink()
    clean._unlink(left.path)  # gone already: as good
    path.symlink_to(tmp_path)
    with pytest.raises(OSError, match="not a file of this user"):
        clean._unlink(left.path)
    assert path.is_symlink()


def test_the_socket_of_a_dead_application_is_removed(
    run_clean: Clean, capsys: pytest.CaptureFixture[str]
) -> None:
    pid = dead_pid()
    address = rendezvous.address_of("map", pid)
    with listening(address.path):
        assert run_clean() == 0  # of another container: somebody listens
        assert capsys.readouterr().out == "Nothing is left over.\n"
    assert run_clean("--dry-run") == 0
    text = f"socket {address.path} (0 B): process {pid} has ended\n"
    assert capsys.readouterr().out == f"would be removed: {text}"
    assert os.path.exists(address.path)
    assert run_clean() == 0
    assert capsys.readouterr().out == f"removed: {text}"
    assert not os.path.exists(address.path)


def test_a_socket_that_is_served_again_since_the_look_is_not_removed() -> None:
    address = rendezvous.address_of("map", dead_pid())
    with listening(address.path):
        pass
    (dead,) = rendezvous.dead_sockets()
    os.unlink(address.path)
    clean._remove_socket(dead)  # gone already: as good
    with listening(address.path):
        clean._remove_socket(dead)
        assert os.path.exists(address.path)


def test_sockets_in_a_folder_of_others_are_not_cleaned(
    run_clean: Clean, runtime_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with listening(rendezvous.address_of("map", dead_pid()).path):
        pass
    (runtime_folder / "ringbridge").chmod(0o777)
    assert run_clean() == 0
    assert capsys.readouterr().out == "Nothing is left over.\n"
    assert len(os.listdir(runtime_folder / "ringbridge")) == 1


def test_a_folder_that_is_not_there_has_nothing(tmp_path: Path) -> None:
    assert running.leftovers(str(tmp_path / "no")) == []


def test_a_failure_is_told_and_the_rest_is_removed(
    run_clean: Clean,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    refused, path = (segment(tmp_path / "shm", dead_pid()) for _ in range(2))
    unlink = clean._unlink

    def refuse(name: str) -> None:
        if name == str(refused):
            raise PermissionError(13, "Permission denied", name)
        unlink(name)

    monkeypatch.setattr(clean, "_unlink", refuse)
    assert run_clean() == 1
    said = capsys.readouterr()
    assert said.out.startswith(f"removed: segment {path} ")
    assert said.err.startswith(f"ringbridge clean: not removed: segment {refused} ")
    assert said.err.endswith(": Permission denied\n")
    assert run_clean("--json") == 1
    (document,) = json.loads(capsys.readouterr().out)
    assert (document["result"], document["error"]) == ("left", "Permission denied")


def test_a_stopped_worker_whose_host_was_killed_is_told_and_ended_on_request(
    orphan: tuple[int, int], run_clean: Clean, capsys: pytest.CaptureFixture[str]
) -> None:
    pid, child = orphan
    found = seen(pid)
    assert found is not None
    assert (found.name, found.host_pid, found.host_name) == ("orphan", None, None)
    assert (found.host_gone, found.state) == (True, "stopped")
    assert main(["ps"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [words[1:3] for words in lines if words[0] == str(pid)] == [["orphan", "gone"]]

    assert run_clean(pids=(pid,)) == 0
    assert capsys.readouterr().out.startswith(f"still runs: worker orphan (pid {pid}, ")
    assert run_clean("--kill", "--dry-run", pids=(pid,)) == 0
    assert capsys.readouterr().out.startswith(f"would be killed: worker orphan (pid {pid}, ")
    assert running.start_of(pid) == found.start

    assert run_clean("--kill", pids=(pid,)) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"killed: worker orphan (pid {pid}, ")
    assert out.endswith("): it is stopped, and its host has gone\n")
    assert running.start_of(pid) is None
    assert running.start_of(child) is None, "what it had started outlives it"


def test_a_worker_is_ended_where_there_are_no_pidfds(
    orphan: tuple[int, int], run_clean: Clean, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    assert run_clean("--kill", pids=orphan) == 0
    assert [running.start_of(pid) for pid in orphan] == [None, None]


def test_a_worker_with_a_host_is_never_ended(make_worker: MakeWorker, run_clean: Clean) -> None:
    worker = make_worker()
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGSTOP)
    seen_as(worker.pid, "stopped")
    assert run_clean("--kill", pids=(worker.pid,)) == 0
    os.kill(worker.pid, signal.SIGCONT)
    assert worker.load("rbr_testing.basics").add(1, 2) == 3


def test_a_stranger_with_the_workers_pid_is_not_killed(fake_worker: Start) -> None:
    stranger = fake_worker()
    found = seen(stranger.pid)
    assert found is not None
    earlier = dataclasses.replace(found, start=found.start - 1)
    clean._kill(earlier)
    clean._kill_one(earlier.pid, earlier.start)
    assert running.start_of(stranger.pid) == found.start
