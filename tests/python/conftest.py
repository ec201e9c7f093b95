# SPDX-License-Identifier: MIT
"""Fixtures: one worker on this interpreter for the whole session, and what is loaded in it.

Tests that kill, block or close a worker start their own with `make_worker`. Every test has an
alarm: a hang is a failure, with the stacks of all threads.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rbr_testing import conda as conda_environments
from rbr_testing.eventually import Gate
from rbr_testing.fixtures import MakeWorker
from rbr_testing.looked_at import SETTINGS, WAITS
from rbr_testing.module_files import ModuleFiles, module_files
from rbr_testing.raw_peer import RawWorker
from rbr_testing.sshd import Sshd
from rbr_testing.sshd import running as running_sshd

import ringbridge
from ringbridge.plot import Plotter

HERE = Path(__file__).resolve().parent
CSRC = HERE.parents[1] / "csrc"
WIRE_DUMP = HERE.parent / "c" / "oracle_flatbuf" / "wire_dump.c"
RAW_PEER = HERE.parent / "c" / "raw_peer" / "raw_peer.c"
PYENV = Path.home() / ".pyenv" / "versions"
ALARM_S = 60
SETTLE_S = 2.0


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "seconds(limit): this test's alarm, where 60 s is too short")


@pytest.fixture(autouse=True)
def alarm(request: pytest.FixtureRequest) -> Iterator[None]:
    """SIGALRM runs between two bytecodes; the dump is for what hangs in C."""
    marker = request.node.get_closest_marker("seconds")
    seconds = int(marker.args[0]) if marker else ALARM_S

    def too_long(_signum: int, _frame: object) -> None:
        raise TimeoutError(f"the test took longer than {seconds} s")

    previous = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(seconds)
    faulthandler.dump_traceback_later(seconds + 15, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where activations are kept in this test: not in the user's own cache."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder / "ringbridge" / "activation"


@pytest.fixture
def runtime_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where this test's served applications are met. pytest's own paths are long for a socket's."""
    with tempfile.TemporaryDirectory(prefix="rbr-") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder)


@pytest.fixture(scope="session")
def worker() -> Iterator[ringbridge.Worker]:
    with ringbridge.Worker(sys.executable, name="session", paths=[HERE]) as started:
        yield started
        assert started.stats()["late_looks"] == 0, "a wake-up was lost in one of the tests"


@pytest.fixture
def make_worker() -> Iterator[MakeWorker]:
    """Starts workers of a test's own; closes them after it."""
    started: list[ringbridge.Worker] = []

    def make(env: str = sys.executable, **options: Any) -> ringbridge.Worker:
        started.append(ringbridge.Worker(env, **{"paths": [HERE], "name": "own", **options}))
        return started[-1]

    yield make
    for each in started:
        each.close()


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A real one on the loopback interface; skips where there is none."""
    with running_sshd(tmp_path_factory.mktemp("sshd")) as sshd:
        yield sshd


@pytest.fixture
def over_ssh(sshd: Sshd, make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch) -> MakeWorker:
    """Starts workers of a test's own through it."""
    monkeypatch.setenv("RINGBRIDGE_SSH", sshd.ssh)
    return lambda env=None, **options: make_worker(env or sshd.url(), **options)


@pytest.fixture
def stand_in(tmp_path: Path, sshd: Sshd) -> Callable[[str], str]:
    """The address for what a script does in place of the Python over there."""

    def made(text: str) -> str:
        script = tmp_path / "python"
        script.write_text(f"#!{sys.executable}\nimport os, sys, time\n{text}\n")
        script.chmod(0o755)
        return sshd.url(python=str(script))

    return made


@pytest.fixture
def make_pool() -> Iterator[Callable[..., ringbridge.Pool]]:
    """Starts pools of a test's own; shuts them down after it."""
    with contextlib.ExitStack() as stack:

        def make(size: int | None = 2, **options: Any) -> ringbridge.Pool:
            given = {"paths": [HERE], "name": "tested", **options}
            return stack.enter_context(ringbridge.Pool(sys.executable, size, **given))

        yield make


@pytest.fixture
def make_plot(runtime_folder: Path) -> Iterator[Callable[..., Plotter]]:
    """Makes plots whose views are found among the tests; closes them after it."""
    made: list[Plotter] = []

    def make(view: Any = "rbr_testing.plots:Teller", **options: Any) -> Plotter:
        made.append(Plotter(view, **{"paths": [HERE], "rate": 0, **options}))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture(scope="session")
def basics(worker: ringbridge.Worker) -> ringbridge.RemoteModule:
    return worker.load("rbr_testing.basics")


@pytest.fixture(scope="session")
def echo(basics: ringbridge.RemoteModule) -> Callable[[Any], Any]:
    """value -> what comes back of it."""
    return basics.echo  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def worker_module(worker: ringbridge.Worker) -> ringbridge.RemoteModule:
    return worker.load("rbr_testing.values")


@pytest.fixture
def tasks(worker: ringbridge.Worker) -> ringbridge.RemoteModule:
    """rbr_testing.duties, where nothing has been seen yet."""
    module = worker.load("rbr_testing.duties")
    module.take_seen()
    return module


@pytest.fixture(scope="session")
def teller(worker: ringbridge.Worker) -> ringbridge.RemoteModule:
    """rbr_testing.tasks, which tells how far it is."""
    return worker.load("rbr_testing.tasks")


@pytest.fixture(scope="session")
def other_pythons() -> list[str]:
    """Other interpreters that have ringbridge: RBR_TEST_PYTHONS, separated by colons."""
    return [path for path in os.environ.get("RBR_TEST_PYTHONS", "").split(":") if path]


@pytest.fixture(scope="session")
def conda() -> conda_environments.Facts:
    """Real conda environments: RBR_CONDA, a folder that .ci/make_conda made."""
    if not conda_environments.available():
        pytest.skip("no conda environments: RBR_CONDA=build/conda, which `make test` makes")
    return conda_environments.facts()


@pytest.fixture(scope="session")
def pa() -> Any:
    return pytest.importorskip("pyarrow")


@pytest.fixture(scope="session")
def pd(pa: Any) -> Any:
    return pytest.importorskip("pandas")


@pytest.fixture(scope="session")
def gpd(pd: Any) -> Any:
    return pytest.importorskip("geopandas")


@pytest.fixture(scope="session")
def wire_dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that writes and verifies frames: RBR_WIRE_DUMP, or compiled from the tree."""
    given = os.environ.get("RBR_WIRE_DUMP")
    if given:
        return Path(given)
    names = ("flatbuf_build", "flatbuf_verify", "wire_tables")
    sources = [WIRE_DUMP, *(CSRC / "core" / f"{name}.c" for name in names)]
    return _compiled(tmp_path_factory.mktemp("wire_dump") / "wire_dump", sources)


@pytest.fixture(scope="session")
def raw_peer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The peer that sends any frame: RBR_RAW_PEER, or compiled from the tree."""
    given = os.environ.get("RBR_RAW_PEER")
    if given:
        return Path(given)
    sources = [RAW_PEER, *sorted((CSRC / "core").glob("*.c"))]
    return _compiled(tmp_path_factory.mktemp("raw_peer") / "raw_peer", sources)


def _compiled(program: Path, sources: list[Path]) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler here, and no program was given")
    flags = ["-std=c11", "-O1", "-D_GNU_SOURCE", f"-I{CSRC / 'include'}", f"-I{CSRC / 'core'}"]
    subprocess.run(
        [compiler, *flags, "-o", program, *sources, "-pthread", "-lrt"], check=True, timeout=120
    )
    return program


@pytest.fixture(scope="session")
def raw_worker(raw_peer: Path) -> Iterator[RawWorker]:
    worker = RawWorker(raw_peer)
    yield worker
    worker.close()


@pytest.fixture(scope="session")
def golden(wire_dump: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with the golden frames."""
    directory = tmp_path_factory.mktemp("golden")
    subprocess.run([wire_dump, directory], check=True, timeout=60)
    return directory


@pytest.fixture(scope="session")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """FlatBuffers' own Python runtime for our schema (rbr_testing.official.Wire)."""
    pytest.importorskip("flatbuffers")
    from rbr_testing.official import Wire
    from rbr_testing.wire_schema import SCHEMA_FILE

    flatc = shutil.which("flatc")
    if flatc is None:
        pytest.skip("flatc (FlatBuffers compiler) is not here")
    text = SCHEMA_FILE.read_text(encoding="utf-8")
    return Wire(flatc, text, tmp_path_factory.mktemp("official"), "rbr_official")


@pytest.fixture
def files(tmp_path: Path) -> Iterator[ModuleFiles]:
    """Modules that a test writes, to be imported while it runs."""
    with module_files(tmp_path) as files:
        yield files


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """For a function over there to say that it runs: opening one end waits for the other."""
    path = tmp_path / "started"
    os.mkfifo(path)
    return path


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


@pytest.fixture
def start_process() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a process of the test's own, in a session of its own; ends it after the test."""
    with contextlib.ExitStack() as stack:

        def started(*command: str, wait: bool = True, **options: Any) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                **{"start_new_session": True, **options},
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            if wait:
                assert process.stdout is not None
                process.stdout.readline()
            return process

        yield started


@pytest.fixture
def fake_worker(
    tmp_path: Path, start_process: Callable[..., subprocess.Popen[str]]
) -> Callable[..., subprocess.Popen[str]]:
    """Starts what has the command line of an older version's worker, but ends with its input."""
    script = tmp_path / "_bootstrap.py"
    script.write_text(WAITS)

    def started(fd: str = "4", settings: object = None, **options: Any) -> subprocess.Popen[str]:
        text = json.dumps(SETTINGS if settings is None else settings)
        return start_process(sys.executable, str(script), fd, text, **options)

    return started


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Fails when the test leaves file descriptors, threads or child processes behind."""
    before = _possessions()
    yield
    # A thread that has been joined may stay in /proc for a moment: the kernel is still tidying up.
    deadline = time.monotonic() + SETTLE_S
    while (new := _possessions() - before) and time.monotonic() < deadline:
        time.sleep(0.001)
    assert not new


def _possessions() -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = {("shm", name) for name in os.listdir("/dev/shm")}
    found |= {("fd", fd, _read_link(f"/proc/self/fd/{fd}")) for fd in os.listdir("/proc/self/fd")}
    for task in os.listdir("/proc/self/task"):
        found.add(("thread", task))
        with contextlib.suppress(FileNotFoundError):  # it ended just now
            children = Path(f"/proc/self/task/{task}/children").read_text().split()
            found |= {("child", pid) for pid in children}
    return {each for each in found if each[-1] != GONE}


GONE = "gone"  # the descriptor that listdir itself had open


def _read_link(path: str) -> str:
    try:
        return os.readlink(path)
    except FileNotFoundError:
        return GONE


@pytest.fixture
def old_python() -> Callable[[str], str]:
    """An interpreter that is too old, by its version ("3.8"); skips where there is none."""

    def path(version: str) -> str:
        for candidate in sorted(PYENV.glob(f"{version}*/bin/python")):
            return str(candidate)
        pytest.skip(f"no Python {version} in {PYENV}")

    return path
