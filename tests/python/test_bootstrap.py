# SPDX-License-Identifier: MIT
"""The first script that runs in a worker, run by hand: by old Pythons, and where things miss."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

import ringbridge

PACKAGE = Path(ringbridge.__file__).parent
BOOTSTRAP = PACKAGE / "_bootstrap.py"


def run(
    *command: str | Path, settings: str = '{"paths": []}', host_is_gone: bool = False
) -> tuple[subprocess.CompletedProcess[str], str]:
    """Runs it as launch.py does; gives how it ended, and what it said on its socket."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        if host_is_gone:
            ours.close()
        ended = subprocess.run(
            [*command, str(theirs.fileno()), settings],
            pass_fds=[theirs.fileno()],
            capture_output=True,
            text=True,
            timeout=30,
            env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        )
        theirs.close()
        datagram = b"" if host_is_gone else ours.recv(1 << 16)
    assert host_is_gone or datagram[:4] == b"RBRX"
    assert len(datagram) <= 1004
    return ended, datagram[4:].decode()


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.7", "3.8"])
def test_an_old_python_says_politely_that_it_is_too_old(
    old_python: Callable[[str], str], version: str
) -> None:
    python = old_python(version)
    ended, said = run(python, BOOTSTRAP)
    assert ended.returncode == 97
    full = re.escape(version) + r"\.\d+"
    assert re.fullmatch(f"Python {full} is too old: ringbridge needs 3.9 or newer", said)
    assert ended.stderr == ended.stdout == ""


def said_on_import(python: str) -> str:
    """The last line of the traceback: what a user reads who put the package on its path."""
    done = subprocess.run(
        [python, "-c", "import ringbridge"],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    return done.stderr.strip().rpartition("\n")[2]


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.7", "3.8"])
def test_an_old_python_that_imports_the_package_is_told_what_is_needed(
    old_python: Callable[[str], str], version: str
) -> None:
    """It used to be a SyntaxError, or an ImportError about a name in typing."""
    wanted = "ImportError: ringbridge needs CPython 3.9 or newer, and this is Python " + version
    assert said_on_import(old_python(version)).startswith(wanted)


def test_another_python_than_cpython_is_told_what_is_needed() -> None:
    pypy = shutil.which("pypy3")
    if pypy is None:
        pytest.skip("no pypy3 here")
    assert "ImportError: ringbridge needs CPython 3.9 or newer" in said_on_import(pypy)


def bare_copy(folder: Path) -> Path:
    """A host's copy that has no _core at all."""
    folder.mkdir()
    for file in PACKAGE.glob("*.py"):
        shutil.copy(file, folder)
    (folder / "_core.py").unlink(missing_ok=True)
    return folder / "_bootstrap.py"


def test_no_core_on_either_side_says_how_to_install_it(tmp_path: Path) -> None:
    ended, said = run(sys.executable, "-S", bare_copy(tmp_path / "ringbridge"))
    assert ended.returncode == 97
    assert "has no matching _core: install ringbridge into that environment" in said
    assert "-m pip install, then" in said
    assert str(tmp_path) in said


def test_a_core_that_cannot_be_loaded_is_told_with_its_reason(tmp_path: Path) -> None:
    from importlib.machinery import EXTENSION_SUFFIXES

    bootstrap = bare_copy(tmp_path / "ringbridge")
    broken = bootstrap.parent / f"_core{EXTENSION_SUFFIXES[0]}"
    broken.write_bytes(b"no ELF")
    ended, said = run(sys.executable, "-S", bootstrap)
    assert ended.returncode == 97
    assert str(broken) in said
    assert "its own: No module named 'ringbridge'" in said


def test_settings_that_are_no_json_are_reported() -> None:
    ended, said = run(sys.executable, BOOTSTRAP, settings="{")
    assert ended.returncode == 97
    assert said.startswith("JSONDecodeError")


def test_without_a_host_the_reason_goes_to_stderr(tmp_path: Path) -> None:
    ended, _ = run(sys.executable, "-S", bare_copy(tmp_path / "ringbridge"), host_is_gone=True)
    assert ended.returncode == 97
    assert "has no matching _core" in ended.stderr


def test_a_long_reason_is_cut_between_two_characters(tmp_path: Path) -> None:
    folder = tmp_path / ("\xe4" * 100) / ("\xf6" * 100) / ("\u20ac" * 70) / ("\xfc" * 100)
    folder.parent.mkdir(parents=True)
    _ended, said = run(sys.executable, "-S", bare_copy(folder))
    assert "install ringbridge into that environment" in said


def run_as_module(code: str) -> str:
    """Runs code in a fresh interpreter, where `boot` is the bootstrap, imported by its path."""
    preamble = f"""
        import importlib.util, sys
        spec = importlib.util.spec_from_file_location("boot", {str(BOOTSTRAP)!r})
        boot = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(boot)
    """
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(preamble) + textwrap.dedent(code)],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    ).stdout


def test_importing_it_does_nothing() -> None:
    assert run_as_module("print(len(sys.meta_path))") == run_as_module(
        "sys.meta_path[:] = sys.meta_path; print(len(sys.meta_path))"
    )


def test_the_hosts_copy_is_found_and_nothing_beside_it(tmp_path: Path) -> None:
    copy = bare_copy(tmp_path / "elsewhere").parent
    out = run_as_module(f"""
        sys.meta_path.insert(0, boot._HostsCopy({str(copy)!r}))
        import ringbridge, ringbridge.errors
        print(ringbridge.__file__, ringbridge.errors.__file__, ringbridge.__path__)
        try:
            import activation
        except ImportError:
            print("not importable")
        """)
    init, errors, path, *rest = out.split(None, 3)
    assert init == str(copy / "__init__.py")
    assert errors == str(copy / "errors.py")
    assert path == str([str(copy)])
    assert rest == ["not importable\n"]


def test_its_own_folder_leaves_the_path() -> None:
    out = run_as_module("""
        sys.path.insert(0, boot._here())
        before = list(sys.path)
        boot._leave_own_folder()
        assert sys.path == before[1:]
        boot._leave_own_folder()
        assert sys.path == before[1:]
        print("ok")
        """)
    assert out == "ok\n"
