# SPDX-License-Identifier: MIT
"""`ringbridge doctor`: each thing that can be wrong is named as the cause, in one line."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rbr_testing.conda import Facts, install
from rbr_testing.prefixes import conda_prefix, script

import ringbridge
from ringbridge.activation import cache
from ringbridge.cli.main import main

Capsys = pytest.CaptureFixture[str]


def doctor(capsys: Capsys, *arguments: str) -> tuple[int, str]:
    code = main(["doctor", *arguments])
    return code, capsys.readouterr().out


def cause(capsys: Capsys, env: str | os.PathLike[str]) -> str:
    """The cause that it names, the same in the last line and in JSON."""
    code, text = doctor(capsys, str(env))
    assert code == 1, text
    last = text.splitlines()[-1]
    code, document = doctor(capsys, "--json", str(env))
    told = json.loads(document)
    assert (code, told["ok"]) == (1, False)
    assert last.startswith("The cause: ")
    assert last == "The cause: " + told["cause"].replace("\n", "\\n")
    failed = next(check for check in told["checks"] if check["state"] == "FAIL")
    assert failed["advice"], "and what to do about it"
    return str(told["cause"])


def checks(document: str) -> dict[str, dict[str, Any]]:
    return {check["what"]: check for check in json.loads(document)["checks"]}


# ------------------------------------------------------------------------------------ all is well


def test_this_interpreter_and_machine_are_told(capsys: Capsys) -> None:
    code, text = doctor(capsys)
    assert code == 0
    assert f"{ringbridge.__version__} ({Path(ringbridge.__file__).parent})" in text
    assert os.path.realpath(sys.executable) in text
    assert "/dev/shm:" in text
    assert "The cause" not in text


def test_an_environment_is_measured(capsys: Capsys) -> None:
    code, text = doctor(capsys, sys.executable)
    assert code == 0
    assert all(what in text for what in ("start:", "small call:", "16 MiB there:", "16 MiB back:"))


def test_json_holds_the_same(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROJ_LIB", "/of/the/host")
    code, document = doctor(capsys, "--json", sys.executable)
    told = json.loads(document)
    assert (code, told["ok"], told["cause"]) == (0, True, None)
    seen = checks(document)
    assert "PROJ_LIB" in seen["variables removed"]["text"]
    assert "PYTHONNOUSERSITE" in seen["variables set"]["text"]
    assert seen["small call"]["text"].endswith("us)")


# ---------------------------------------------------------------------------------- and each cause


def test_no_such_environment(capsys: Capsys) -> None:
    assert cause(capsys, "no-such-one") == "environment: no environment 'no-such-one'"
    assert cause(capsys, "/no/such/env").startswith("environment: no interpreter at /no/such/env")


def elf_for(machine: int, path: Path) -> Path:
    """A copy of this interpreter's program that says it were for that machine."""
    raw = bytearray(Path("/proc/self/exe").read_bytes())
    struct.pack_into("<H", raw, 18, machine)
    path.parent.mkdir(parents=True)
    path.write_bytes(raw)
    path.chmod(0o755)
    return path


def test_the_wrong_architecture(tmp_path: Path, capsys: Capsys) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("the other one is aarch64 here")
    python = elf_for(183, tmp_path / "env/bin/python3")
    told = cause(capsys, tmp_path / "env")
    expected = f"{python} is built for aarch64, this process for x86_64"
    assert told == f"architecture: wrong architecture: {expected}"


def test_no_build_for_its_python(conda: Facts, capsys: Capsys) -> None:
    ours = {name.name.split("-")[1] for name in Path(ringbridge.__file__).parent.glob("_core.cp*")}
    env = next((e for e in (conda.gis, conda.other) if e.minor.replace(".", "") not in ours), None)
    if env is None:
        pytest.skip("this copy has a build for each Python that is here")
    told = cause(capsys, env.prefix)
    assert told.startswith(f"build: no build for CPython {env.minor} on {os.uname().machine}")
    assert told.endswith("ringbridge installed there: none")


def test_an_interpreter_that_is_too_old(capsys: Capsys, old_python: Any) -> None:
    python = old_python("3.8")
    told = cause(capsys, python)
    assert told.startswith("interpreter: CPython 3.8.")
    assert told.endswith("cannot be a worker")


def test_an_interpreter_that_dies_at_its_start(
    conda: Facts, tmp_path: Path, capsys: Capsys
) -> None:
    prefix = tmp_path / "broken"
    install(prefix, f"python={conda.own.minor}")
    encodings = prefix / f"lib/python{conda.own.minor}/encodings"
    encodings.rename(encodings.with_name("gone"))
    told = cause(capsys, prefix)
    assert told.startswith(
        f"interpreter: {prefix}/bin/python dies at its start, with exit code 1: "
    )
    assert told.endswith("ModuleNotFoundError: No module named 'encodings'")


def test_a_broken_activate_script(tmp_path: Path, capsys: Capsys) -> None:
    bad = script(working_prefix(tmp_path), "a.sh", "echo 'no licence' >&2\nexit 2\n")
    told = cause(capsys, tmp_path / "env")
    assert told == f"activation: broken: {bad} ended the shell with exit code 2"


def working_prefix(tmp_path: Path) -> Any:
    made = conda_prefix(tmp_path / "env")
    Path(made.python).parent.mkdir()
    Path(made.python).write_text(f"#!/bin/sh\nexec '{sys.executable}' \"$@\"\n")
    Path(made.python).chmod(0o755)
    return made


def test_a_stale_cache(tmp_path: Path, capsys: Capsys) -> None:
    """The script reads another file, whose change nobody can see."""
    made = working_prefix(tmp_path)
    licence = tmp_path / "licence"
    licence.write_text("A")
    script(made, "a.sh", f"export LICENCE=$(cat '{licence}')\n")
    assert doctor(capsys, made.prefix)[0] == 0
    licence.write_text("B")
    told = cause(capsys, made.prefix)
    assert told.startswith("kept activation: stale cache: kept on ")
    assert told.endswith("now the scripts set LICENCE otherwise")
    assert main(["env", "capture", made.prefix]) == 0
    assert doctor(capsys, made.prefix)[0] == 0


def test_what_differs_at_each_run_is_not_stale(tmp_path: Path, capsys: Capsys) -> None:
    made = working_prefix(tmp_path)
    script(made, "a.sh", "export RUN_ID=$RANDOM.$$\n")
    assert doctor(capsys, made.prefix)[0] == 0
    code, text = doctor(capsys, made.prefix)
    assert (code, "stale" in text) == (0, False)


def test_a_stale_activation_is_no_reason_to_look_no_further(tmp_path: Path, capsys: Capsys) -> None:
    made = working_prefix(tmp_path)
    (tmp_path / "licence").write_text("A")
    script(made, "a.sh", f"export LICENCE=$(cat '{tmp_path}/licence')\n")
    doctor(capsys, made.prefix)
    (tmp_path / "licence").write_text("B")
    assert "small call:" in doctor(capsys, made.prefix)[1]


def test_a_stale_capture_of_a_shell(
    tmp_path: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = working_prefix(tmp_path)
    monkeypatch.setenv("CONDA_PREFIX", made.prefix)
    assert main(["env", "capture", "--shell", made.prefix]) == 0
    assert doctor(capsys, made.prefix)[0] == 0
    (Path(made.prefix) / "conda-meta/history").write_text("new")
    assert cause(capsys, made.prefix).startswith("kept activation: stale cache: captured from")


def test_an_old_ringbridge_on_the_other_side(
    tmp_path: Path, capsys: Capsys, other_pythons: list[str]
) -> None:
    """Of a Python for which this copy has no build: its own copy is what a worker would take."""
    if not other_pythons:
        pytest.skip("RBR_TEST_PYTHONS names no other interpreters")
    code = "import sys, ringbridge; print(*sys.version_info[:2], ringbridge.__path__[0], sep='\\n')"
    said = subprocess.run(
        [other_pythons[0], "-c", code], capture_output=True, text=True, check=True
    )
    major, minor, folder = said.stdout.splitlines()
    prefix = tmp_path / "old"
    subprocess.run([other_pythons[0], "-m", "venv", "--without-pip", prefix], check=True)
    copy = prefix / f"lib/python{major}.{minor}/site-packages/ringbridge"
    shutil.copytree(folder, copy)
    init = copy / "__init__.py"
    init.write_text(init.read_text().replace(ringbridge.__version__, "0.0.1"))
    told = cause(capsys, prefix)
    expected = f"0.0.1 in {copy}, and {ringbridge.__version__} here"
    assert told == f"build: old ringbridge on the other side: {expected}"


def test_a_dev_shm_that_is_too_small() -> None:
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("no unshare here (Debian: util-linux): no /dev/shm of our own")
    mount = 'mount -t tmpfs -o size=1m none /dev/shm && exec "$@"'
    command = [unshare, "-m" if os.geteuid() == 0 else "-Urm", "sh", "-c", mount, "sh"]
    if subprocess.run([*command, "true"], capture_output=True).returncode != 0:
        pytest.skip("no mount namespace may be had here")
    program = [sys.executable, "-m", "ringbridge.cli.main", "doctor"]
    done = subprocess.run([*command, *program, sys.executable], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    line = next(i for i, text in enumerate(lines) if "/dev/shm:" in text)
    assert lines[line].startswith("note /dev/shm:")
    assert "too small: 1.0 MiB of 1.0 MiB free" in lines[line]
    assert "remount,size=" in lines[line + 1]
    assert done.returncode == 0, "workers start all the same, on memory files"
    assert lines[-1].startswith("It works. Of note: /dev/shm: too small: 1.0 MiB of 1.0 MiB free")
    assert any(text.startswith("ok   small call:") for text in lines)


def test_an_effect_that_cannot_be_kept_is_told(
    tmp_path: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = working_prefix(tmp_path)
    script(made, "a.sh", "export A=1\n")
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    code, text = doctor(capsys, made.prefix)
    assert code == 0
    assert "note activation:" in text
    assert "1 script; effect: run now, at every start, since it cannot be kept: " in text


def test_what_dead_processes_left_is_told(tmp_path: Path, capsys: Capsys) -> None:
    made = working_prefix(tmp_path)
    script(made, "a.sh", "export A=1\n")
    assert doctor(capsys, made.prefix)[0] == 0
    shutil.rmtree(made.prefix)
    (kept,) = cache.forgotten()
    assert not kept[2]
    text = doctor(capsys)[1]
    assert "activations of environments that are gone: 1" in text
    assert main(["clean"]) == 0
    assert f"{made.prefix} is gone" in capsys.readouterr().out
    assert not list(cache.forgotten())
