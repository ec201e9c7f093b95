# SPDX-License-Identifier: MIT
"""Starting and ending a worker's process: every way in which it fails, and what is said then."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rbr_testing.fixtures import MakeWorker

import ringbridge
from ringbridge import launch
from ringbridge.environment import Environment
from ringbridge.plan import Plan

pytestmark = pytest.mark.usefixtures("nothing_left")


def program(folder: Path, text: str, *, interpreter: str = "/bin/sh") -> str:
    path = folder / "python"
    path.write_text(f"#!{interpreter}\n{textwrap.dedent(text)}")
    path.chmod(0o755)
    return str(path)


def start_failure(env: str, **options: Any) -> str:
    with pytest.raises(ringbridge.WorkerStartFailed) as caught:
        ringbridge.Worker(env, name="w", **{"start_timeout": 20.0, **options})
    text = str(caught.value)
    assert text.startswith("worker 'w' did not start: ")
    return text


# -------------------------------------------------------------------- programs that are no worker


def test_an_interpreter_that_is_gone_by_now() -> None:
    gone = Environment("/no", "/no/such/python", "plain", "no")
    with pytest.raises(ringbridge.WorkerStartFailed, match="/no/such/python: No such file"):
        launch.Start(Plan("w", gone, {})).run()


def test_a_script_whose_interpreter_is_missing(tmp_path: Path) -> None:
    text = start_failure(program(tmp_path, "", interpreter="/no/such/interpreter"))
    assert "is there, but the program that it needs to run is not" in text


def test_a_file_that_is_no_program(tmp_path: Path) -> None:
    path = tmp_path / "python"
    path.write_bytes(b"\x00\x01\x02 nothing that a machine could run")
    path.chmod(0o755)
    assert "not a program that this machine can run" in start_failure(str(path))


@pytest.mark.parametrize("name", ["true", "echo", "cat", "ls"])
def test_a_program_that_is_not_python(name: str) -> None:
    text = start_failure(f"/bin/{name}")
    assert "the program ended before it answered" in text
    assert f"see what `/bin/{name} --version` says" in text
    assert "ended with exit code" in text


def test_a_program_that_prints_garbage_and_exits(tmp_path: Path) -> None:
    env = program(tmp_path, "echo some garbage; printf '\\377 and more' >&2; exit 3\n")
    text = start_failure(env)
    assert "it ended with exit code 3" in text
    assert "| some garbage" in text
    assert "\\xff and more" in text


def test_a_program_that_writes_garbage_to_the_socket(tmp_path: Path) -> None:
    code = "import os, sys, time; os.write(int(sys.argv[2]), b'garbage' * 99); time.sleep(60)"
    text = start_failure(program(tmp_path, code, interpreter=sys.executable))
    assert "killed" in text


def test_a_program_that_dies_of_a_signal(tmp_path: Path) -> None:
    text = start_failure(program(tmp_path, "kill -SEGV $$\n"))
    assert "it was killed by SIGSEGV" in text


def test_a_program_that_never_answers_is_given_up_in_time(tmp_path: Path) -> None:
    before = time.monotonic()
    text = start_failure(program(tmp_path, "exec sleep 60\n"), start_timeout=0.3)
    assert time.monotonic() - before < 5
    assert "no answer within 0.3 s" in text
    assert "was killed" in text


def test_a_program_that_never_stops_printing(tmp_path: Path) -> None:
    text = start_failure(program(tmp_path, "exec yes 'on and on'\n"), start_timeout=0.5)
    assert "| on and on" in text
    assert len(text) < 20_000


def test_a_program_whose_child_holds_everything_open(tmp_path: Path) -> None:
    text = start_failure(program(tmp_path, "sleep 60 & echo $!; exit 4\n"))
    assert "it ended with exit code 4" in text
    assert "| " in text


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.7", "3.8"])
def test_a_python_that_is_too_old(old_python: Callable[[str], str], version: str) -> None:
    text = start_failure(old_python(version))
    assert "is too old: ringbridge needs 3.9 or newer" in text
    assert "it ended with exit code 97" in text


def test_a_python_without_a_matching_core(old_python: Callable[[str], str]) -> None:
    other = "3.10" if sys.version_info[:2] != (3, 10) else "3.12"
    python = old_python(other)
    has_own = subprocess.run([python, "-c", "import ringbridge"], capture_output=True)
    tag = f"cpython-{other.replace('.', '')}-"
    folder = Path(ringbridge.__file__).parent
    if has_own.returncode == 0 or any(tag in file.name for file in folder.iterdir()):
        pytest.skip(f"Python {other} has a _core")
    text = start_failure(python)
    assert f"install ringbridge into that environment: {python} -m pip install, then" in text


def test_a_python_that_does_not_find_its_library() -> None:
    text = start_failure(sys.executable, environ={"PYTHONHOME": "/no/such"})
    assert "is PYTHONHOME set by environ= or kept by keep_environ=?" in text


def test_a_python_that_finds_another_library(tmp_path: Path) -> None:
    """The hint once named only the environment, though a variable that was kept was the cause."""
    said = "python: error while loading shared libraries: libpython3.so: file too short"
    text = start_failure(program(tmp_path, f"echo '{said}' >&2; exit 127\n"))
    assert "is LD_LIBRARY_PATH set by environ= or kept by keep_environ=?" in text


def test_a_working_folder_that_is_not_there() -> None:
    assert "cwd='/no/such/folder'" in start_failure(sys.executable, cwd="/no/such/folder")


def test_no_file_descriptors_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_pipe() -> tuple[int, int]:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pipe", no_pipe)
    assert "Too many open files" in start_failure(sys.executable)


def test_a_channel_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_channel(socket: int, _pid: int, out: int, err: int, **_options: object) -> None:
        for fd in (socket, out, err):  # it owns them, also when it raises
            os.close(fd)
        raise MemoryError("no channel")

    monkeypatch.setattr("ringbridge._core.Channel", no_channel)
    with pytest.raises(MemoryError):
        ringbridge.Worker(sys.executable)


# --------------------------------------------------------------------------------- what it starts


def test_a_worker_comes_and_goes_without_a_trace(make_worker: MakeWorker) -> None:
    worker = make_worker()
    assert worker.load("operator").neg(1) == -1
    worker.close()


def test_subprocess_does_not_wait_for_a_worker(make_worker: MakeWorker) -> None:
    worker = make_worker()
    assert subprocess._active == []  # type: ignore[attr-defined]
    subprocess._cleanup()  # type: ignore[attr-defined]
    assert worker.load("operator").neg(1) == -1
    worker.close()


def test_a_worker_is_in_a_session_of_its_own(make_worker: MakeWorker) -> None:
    worker = make_worker()
    assert worker.pid is not None
    assert os.getsid(worker.pid) == worker.pid
    worker.close()


def test_a_host_without_stdio_can_start_workers() -> None:
    code = f"""
        import os, sys
        result = os.dup(1)
        for fd in (0, 1, 2):
            os.close(fd)
        import ringbridge
        with ringbridge.Worker({sys.executable!r}) as worker:
            os.write(result, str(worker.load("operator").neg(1)).encode())
        """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, timeout=50
    )
    assert (ended.returncode, ended.stdout) == (0, b"-1")


# ------------------------------------------------------------------------------------- the ladder


def call_in_thread(function: Callable[..., Any], *args: Any) -> Callable[[], BaseException | None]:
    """Calls in a thread; what it gives waits for the end and gives the exception."""
    result: list[BaseException] = []

    def run() -> None:
        try:
            function(*args)
        except BaseException as error:
            result.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def join() -> BaseException | None:
        thread.join(20)
        assert not thread.is_alive()
        return result[0] if result else None

    return join


def is_running(pid: int | None) -> bool:
    assert pid is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("name", ["block_for_ever", "spin_for_ever", "ignore_signals_for_ever"])
def test_close_ends_a_worker_in_an_endless_call(
    make_worker: MakeWorker, fifo: Path, name: str
) -> None:
    worker = make_worker()
    pid = worker.pid
    join = call_in_thread(getattr(worker.load("rbr_testing.basics"), name), str(fifo))
    fifo.read_bytes()
    worker.close()
    assert not is_running(pid)
    assert isinstance(join(), ringbridge.RingbridgeError)


def test_sigterm_lets_the_function_tidy_up(
    make_worker: MakeWorker, fifo: Path, tmp_path: Path
) -> None:
    worker = make_worker()
    basics = worker.load("rbr_testing.basics")
    join = call_in_thread(basics.block_and_tidy, str(fifo), str(tmp_path / "tidied"))
    fifo.read_bytes()
    worker.close()
    assert (tmp_path / "tidied").exists()
    assert isinstance(join(), ringbridge.RingbridgeError)


def test_sigterm_ends_an_idle_worker(make_worker: MakeWorker) -> None:
    worker = make_worker()
    operator = worker.load("operator")
    assert worker.pid is not None
    ended = os.pidfd_open(worker.pid)
    os.kill(worker.pid, signal.SIGTERM)
    assert select.select([ended], [], [], 20)[0]
    os.close(ended)
    with pytest.raises(ringbridge.WorkerDied) as caught:
        operator.neg(1)
    assert caught.value.exit_code == 128 + signal.SIGTERM
    worker.close()


def test_sigterm_during_a_call_ends_the_call_and_then_the_worker(
    make_worker: MakeWorker, fifo: Path
) -> None:
    worker = make_worker()
    basics = worker.load("rbr_testing.basics")
    join = call_in_thread(basics.block_for_ever, str(fifo))
    fifo.read_bytes()
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGTERM)
    assert isinstance(join(), (ringbridge.RemoteError, ringbridge.WorkerDied))
    # It ends by itself from now on; a call that comes in between is the next to be interrupted.
    with pytest.raises(ringbridge.WorkerDied):
        while True:
            with contextlib.suppress(ringbridge.RemoteError):
                basics.pid()
    worker.close()
