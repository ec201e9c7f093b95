# SPDX-License-Identifier: MIT
"""Makes the two environments of the demo, and runs a script in the host's: `make demo`.

    build/demo/host       the interpreter that runs this script; the newest numpy, matplotlib
    build/demo/compute    another Python version where the machine has one; numba, an older numpy

Both get ringbridge from this source tree. What is there already is kept: a stamp in each
environment says which interpreter, packages and sources it was made from. Standard library only,
and any CPython from 3.9 on; packages come from whatever index pip is configured for. Knows nothing
of what the demo computes.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TREE = Path(__file__).resolve().parents[2]
DEMO = TREE / "build" / "demo"
RECORD = DEMO / "environments.json"

#: What the installation of ringbridge is made from. Only the first group decides whether it has
#: changed; the README is part of the metadata.
SOURCES = ("CMakeLists.txt", "pyproject.toml", "setup.py", "csrc", "python")
BESIDE = ("README.md", "LICENSE")
NOT_SOURCES = ("__pycache__", "*.egg-info", "*.so", "*.pyc")

HOST_PACKAGES = ("numpy", "matplotlib")
#: For each Python that numba supports, in the order of preference: the numpy that the worker gets.
#: Each is older than the newest one, which the host has.
COMPUTE_NUMPY = {
    (3, 12): "numpy<2",
    (3, 11): "numpy<2",
    (3, 13): "numpy<2.2",
    (3, 10): "numpy<2",
    (3, 9): "numpy<2",
}

_PROBE_S = 20
_TAIL_LINES = 30

_PROBE = """
import json, os, sys, sysconfig
def has(name):
    try:
        __import__(name)
    except ImportError:
        return False
    return True
include = sysconfig.get_path("include") or ""
print(json.dumps({
    "version": list(sys.version_info[:3]),
    "executable": sys.executable,
    "cpython": sys.implementation.name == "cpython",
    "usual": sys.version_info[3] == "final" and not sysconfig.get_config_var("Py_GIL_DISABLED"),
    "headers": os.path.isfile(os.path.join(include, "Python.h")),
    "venv": has("venv") and has("ensurepip"),
}))
"""


class SetupFailed(Exception):
    """What went wrong, and what to do about it; for the user."""


# ---------------------------------------------------------------------------------- interpreters


@dataclass(frozen=True)
class Interpreter:
    """A Python of this machine, and what it could be used for."""

    executable: str
    version: tuple[int, int, int]
    cpython: bool
    usual: bool
    headers: bool
    venv: bool

    @property
    def minor(self) -> tuple[int, int]:
        return self.version[:2]

    def __str__(self) -> str:
        return f"Python {'.'.join(map(str, self.version))} ({self.executable})"

    def lacks(self) -> list[str]:
        """What keeps it from building ringbridge in an environment of its own."""
        lacks = []
        if not (self.cpython and self.usual):
            lacks.append("it is not a usual release of CPython")
        if not self.headers:
            lacks.append("Python.h is missing (a package such as python3-dev has it)")
        if not (self.venv or _virtualenv()):
            lacks.append("the module ensurepip is missing (a package such as python3-venv has it)")
        return lacks


def probe(python: str) -> Interpreter | None:
    """What this interpreter says about itself; None when it does not run."""
    try:
        done = subprocess.run(
            [python, "-c", _PROBE],
            capture_output=True,
            check=True,
            env=_environ(),
            stdin=subprocess.DEVNULL,
            timeout=_PROBE_S,
        )
        said = json.loads(done.stdout.decode())
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return Interpreter(**{**said, "version": tuple(said["version"])})


def candidates() -> Iterator[str]:
    """Where other interpreters may be: PATH, pyenv's versions, the usual folders."""
    folders = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/local/bin", "/usr/bin"]
    pyenv = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    folders += sorted(glob.glob(os.path.join(glob.escape(pyenv), "versions", "*", "bin")))
    seen = set()
    for folder in filter(None, folders):
        for path in sorted(glob.glob(os.path.join(glob.escape(folder), "python3.*"))):
            match = re.fullmatch(r"python3\.(\d+)", os.path.basename(path))
            if match is None or (3, int(match[1])) not in COMPUTE_NUMPY:
                continue
            if os.path.realpath(path) not in seen and os.access(path, os.X_OK):
                # pyenv's shims are all links to, or copies of, one script: tell them by name.
                seen.add(path if "shims" in path else os.path.realpath(path))
                yield path


def choose_compute(host: Interpreter, wanted: str | None) -> Interpreter:
    """The interpreter for the compute environment: another version than the host's, if possible."""
    if wanted is not None:
        found = probe(wanted)
        problem = ["it does not run"] if found is None else found.lacks()
        if found is not None and found.minor not in COMPUTE_NUMPY:
            problem.append("numba is not made for this version")
        if found is None or problem:
            raise SetupFailed(f"--compute {wanted}: {'; '.join(problem)}")
        return found
    usable: dict[tuple[int, int], Interpreter] = {}
    for path in candidates():
        found = probe(path)
        if found is not None and found.minor != host.minor and not found.lacks():
            usable.setdefault(found.minor, found)
    for minor in COMPUTE_NUMPY:
        if minor in usable:
            return usable[minor]
    if host.minor in COMPUTE_NUMPY:
        return host
    versions = ", ".join(f"{major}.{minor}" for major, minor in sorted(COMPUTE_NUMPY))
    raise SetupFailed(
        f"numba needs one of Python {versions} (with its headers), and none is on this machine: "
        "looked at PATH, pyenv's versions, /usr/local/bin and /usr/bin. Name one with --compute"
    )


# -------------------------------------------------------------------------------------- progress


class Progress:
    """Lines that say what is being done and how long it took. Used by several threads.

    On a terminal the last line is alive; elsewhere the beginning of each step is told too.
    """

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._lock = threading.Lock()
        self._running: dict[str, float] = {}
        self._alive = sys.stdout.isatty()

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[None]:
        began = time.monotonic()
        with self._lock:
            self._running[text] = began
            if not self._alive:
                self._line(f"{text} ...")
        done = False
        try:
            yield
            done = True
        finally:
            with self._lock:
                del self._running[text]
                took = time.monotonic() - began
                self._line(f"{text}: {'done' if done else 'FAILED'} ({took:.1f} s)")

    def say(self, text: str) -> None:
        with self._lock:
            self._line(text)

    def tick(self) -> None:
        """Redraws the line that is alive; called a few times a second."""
        if not self._alive:
            return
        with self._lock:
            now = time.monotonic()
            parts = [f"{text} {now - began:.0f} s" for text, began in self._running.items()]
            line = f"  [{now - self._start:6.1f} s] " + "  |  ".join(parts)
            width = shutil.get_terminal_size().columns - 1
            print("\r\033[K" + line[:width], end="", flush=True)

    def _line(self, text: str) -> None:
        clear = "\r\033[K" if self._alive else ""
        print(f"{clear}  [{time.monotonic() - self._start:6.1f} s] {text}", flush=True)


# ---------------------------------------------------------------------------------- environments


class Builder:
    """Makes one environment, or leaves it as it is when it is what it should be."""

    def __init__(
        self,
        name: str,
        interpreter: Interpreter,
        packages: Sequence[str],
        source: str,
        progress: Progress,
    ) -> None:
        self.name = name
        self.prefix = DEMO / name
        self.python = str(self.prefix / "bin" / "python")
        self._interpreter = interpreter
        self._packages = list(packages)
        self._source = source
        self._progress = progress
        self._log = DEMO / f"{name}.log"
        self._stamp = self.prefix / "demo-stamp.json"
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False
        #: Why it could not be made; set by `build`, read after its thread has ended.
        self.problem: SetupFailed | None = None

    def _base_stamp(self) -> dict[str, Any]:
        return {
            "python": [self._interpreter.executable, *self._interpreter.version],
            "packages": self._packages,
        }

    def build(self) -> None:
        try:
            self._build()
        except SetupFailed as error:
            self.problem = error
        except OSError as error:
            self.problem = SetupFailed(f"{self.name}: {error}")

    def _build(self) -> None:
        stamp = _read_json(self._stamp)
        if {key: stamp.get(key) for key in self._base_stamp()} != self._base_stamp():
            self._log.write_bytes(b"")
            stamp = self._base_stamp()
            self._make(stamp)
        if stamp.get("source") != self._source:
            self._install_ringbridge(stamp)

    def _make(self, stamp: dict[str, Any]) -> None:
        base = self._interpreter
        shutil.rmtree(self.prefix, ignore_errors=True)
        maker = [base.executable, "-m", "venv"] if base.venv else [*_virtualenv()]
        maker += [] if base.venv else ["--python", base.executable]
        version = ".".join(map(str, base.version))
        with self._progress.step(f"{self.name}: environment of Python {version}"):
            self._run([*maker, str(self.prefix)], "see what that command says")
        names = ", ".join(self._packages)
        with self._progress.step(f"{self.name}: install {names}"):
            self._pip(
                self._packages,
                "is there a network, or an index in pip's configuration (`pip config list`)?",
            )
        self._stamp.write_text(json.dumps(stamp))

    def _install_ringbridge(self, stamp: dict[str, Any]) -> None:
        # From a copy, so that no build folder and no egg-info is left in the source tree.
        with tempfile.TemporaryDirectory(prefix=f"source-{self.name}-", dir=DEMO) as folder:
            copy_source(Path(folder))
            with self._progress.step(f"{self.name}: build and install ringbridge"):
                self._pip(
                    ["--force-reinstall", "--no-deps", folder],
                    "is a C compiler installed (a package such as gcc or build-essential)?",
                )
        self._stamp.write_text(json.dumps({**stamp, "source": self._source}))

    def _pip(self, arguments: Sequence[str], hint: str) -> None:
        options = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
        self._run([self.python, "-m", "pip", "install", *options, *arguments], hint)

    def _run(self, command: Sequence[str], hint: str) -> None:
        with open(self._log, "ab") as log:
            log.write(f"\n$ {' '.join(command)}\n".encode())
            log.flush()
            start = log.tell()
            if self._stopped:
                raise SetupFailed(f"{self.name}: stopped")
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_environ()
            )
            status = self._process.wait()
        if status == 0:
            return
        output = self._log.read_bytes()[start:].decode("utf-8", "replace").splitlines()
        quoted = "\n".join(f"    | {line}" for line in output[-_TAIL_LINES:])
        raise SetupFailed(
            f"{self.name}: exit code {status} from\n  {' '.join(command)}\n{quoted}\n"
            f"  hint: {hint}\n  all of its output: {self._log}"
        )

    def stop(self) -> None:
        """Ends what runs, because the other environment has failed already."""
        self._stopped = True
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()


def build_all(builders: Sequence[Builder], progress: Progress) -> None:
    """Builds them side by side. The first failure ends all, and is the one that is raised."""
    threads = [threading.Thread(target=each.build, daemon=True) for each in builders]
    for thread in threads:
        thread.start()
    try:
        while any(thread.is_alive() for thread in threads):
            progress.tick()
            time.sleep(0.1)
            _raise_first(builders)
        _raise_first(builders)
    except BaseException:  # a failure, or Ctrl-C
        for each in builders:
            each.stop()
        raise


def _raise_first(builders: Sequence[Builder]) -> None:
    for each in builders:
        if each.problem is not None:
            raise each.problem


def source_files() -> Iterator[Path]:
    for name in SOURCES:
        path = TREE / name
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in found:
            parts = file.relative_to(TREE).parts
            ignored = any(Path(part).match(rule) for part in parts for rule in NOT_SOURCES)
            if file.is_file() and not ignored:
                yield file


def source_digest() -> str:
    digest = hashlib.sha256()
    for file in source_files():
        digest.update(f"{file.relative_to(TREE)}\0{file.stat().st_size}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def copy_source(folder: Path) -> None:
    beside = [TREE / name for name in BESIDE if (TREE / name).is_file()]
    for file in [*source_files(), *beside]:
        target = folder / file.relative_to(TREE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target)


# ------------------------------------------------------------------------------------- the whole


def set_up(compute: str | None) -> dict[str, Any]:
    """Makes both environments; gives what stands in build/demo/environments.json."""
    began = time.monotonic()
    host = probe(sys.executable)
    if host is None or host.lacks():
        lacks = ["it does not run"] if host is None else host.lacks()
        raise SetupFailed(f"this Python ({sys.executable}) cannot be the host: {'; '.join(lacks)}")
    DEMO.mkdir(parents=True, exist_ok=True)
    with open(DEMO / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two `make demo` at once: the second waits
        for left in DEMO.glob("source-*"):  # of a run that was stopped
            shutil.rmtree(left, ignore_errors=True)
        worker = _remembered(host, compute) or choose_compute(host, compute)
        progress = Progress()
        source = source_digest()
        builders = [
            Builder("host", host, HOST_PACKAGES, source, progress),
            Builder("compute", worker, ("numba", COMPUTE_NUMPY[worker.minor]), source, progress),
        ]
        print(f"ringbridge demo: environments in {os.path.relpath(DEMO)}")
        print(f"  host     {host}")
        print(f"  compute  {worker}")
        if worker.minor == host.minor and compute is None:
            print("  (no second Python version was found: the same one twice, with another numpy)")
        build_all(builders, progress)
        record = {
            "host": builders[0].python,
            "compute": builders[1].python,
            "host_base": host.executable,
            "compute_base": worker.executable,
        }
        RECORD.write_text(json.dumps(record, indent=1))
    print(f"  environments ready after {time.monotonic() - began:.1f} s", flush=True)
    return record


def _remembered(host: Interpreter, compute: str | None) -> Interpreter | None:
    """The choice of the last run, which spares a look at all interpreters of the machine."""
    record = _read_json(RECORD)
    if compute is not None or record.get("host_base") != host.executable:
        return None
    found = probe(record["compute_base"]) if "compute_base" in record else None
    if found is None or found.minor == host.minor or found.minor not in COMPUTE_NUMPY:
        return None
    return None if found.lacks() else found


def _read_json(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _environ() -> dict[str, str]:
    """This process's variables without those that would bend another Python, or a venv's pip."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    for name in ("__PYVENV_LAUNCHER__", "VIRTUAL_ENV", "PIP_USER", "PIP_TARGET", "PIP_PREFIX"):
        kept.pop(name, None)
    return kept


def _virtualenv() -> tuple[str, ...]:
    """The command virtualenv, for interpreters without ensurepip; empty where there is none."""
    found = shutil.which("virtualenv")
    return (found,) if found else ()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--compute", metavar="PYTHON", help="interpreter for the worker's side")
    parser.add_argument("--fresh", action="store_true", help="make both environments anew")
    parser.add_argument(
        "--run", nargs=argparse.REMAINDER, metavar="SCRIPT", help="then run this in the host's"
    )
    options = parser.parse_args()
    if options.fresh:
        shutil.rmtree(DEMO, ignore_errors=True)
    try:
        record = set_up(options.compute)
    except SetupFailed as error:
        print(f"\nThe demo could not be set up.\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; `make demo` goes on where this ended", file=sys.stderr)
        return 130
    if options.run:
        sys.stdout.flush()
        os.execve(record["host"], [record["host"], *options.run], _environ())
    return 0


if __name__ == "__main__":
    sys.exit(main())
