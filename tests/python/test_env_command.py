# SPDX-License-Identifier: MIT
"""`ringbridge env list|show|capture`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rbr_testing.conda import Facts
from rbr_testing.prefixes import conda_prefix, script

from ringbridge.activation import cache, environ_for
from ringbridge.cli.main import main
from ringbridge.discovery import find
from ringbridge.environment import Environment


@pytest.fixture
def gis(tmp_path: Path) -> Environment:
    """A folder as conda makes it, with a python that is none and one script."""
    made = conda_prefix(tmp_path / "envs" / "gis", {"env_vars": {"A": "1"}})
    Path(made.python).parent.mkdir()
    Path(made.python).write_text("#!/bin/sh\nexit 3\n")
    Path(made.python).chmod(0o755)
    script(made, "a.sh", 'export GDAL_DATA="$CONDA_PREFIX/share/gdal"\n')
    return made


def out(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(["env", *arguments]) == code
    return capsys.readouterr().out


def test_list_shows_names_kinds_versions_and_where_ringbridge_comes_from(
    conda: Facts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAMBA_ROOT_PREFIX", str(conda.root))
    rows = {row.split()[0]: row for row in out(capsys, "list").splitlines()}
    assert rows["NAME"].split() == ["NAME", "KIND", "PYTHON", "RINGBRIDGE", "PREFIX"]
    version = conda.own.versions["python"]
    assert rows["own"].split() == ["own", "conda", version, "this", "copy", str(conda.own.prefix)]
    listed = json.loads(out(capsys, "list", "--json"))
    own = next(each for each in listed if each["name"] == "own")
    assert own == {
        "name": "own",
        "kind": "conda",
        "prefix": str(conda.own.prefix),
        "python": str(conda.own.python),
        "python_version": version,
        "reach": "this copy",
    }


def test_list_tells_where_it_looked_and_what_has_no_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "envs/tools/conda-meta").mkdir(parents=True)
    monkeypatch.setenv("MAMBA_ROOT_PREFIX", str(tmp_path))
    text = out(capsys, "list", "--places")
    assert f"without a Python: {tmp_path}/envs/tools" in text
    assert f"  {tmp_path}: 2\n" in text


def test_list_marks_names_that_several_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for root in ("a", "b"):
        for name in ("gis", f"only-{root}"):
            python = Path(conda_prefix(tmp_path / root / "envs" / name).python)
            python.parent.mkdir()
            python.symlink_to("/bin/true")
    monkeypatch.setenv("CONDA_ENVS_PATH", f"{tmp_path}/a/envs:{tmp_path}/b/envs")
    text = out(capsys, "list")
    assert "gis: 2 have this name; give the path of one\n" in text
    assert "only-a: " not in text


def test_show_tells_versions_and_what_activation_changes(
    conda: Facts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PROJ_LIB", "/of/the/host")
    told: dict[str, Any] = json.loads(out(capsys, "show", str(conda.own.prefix), "--json"))
    assert told["problem"] is None
    assert told["versions"]["python"] == conda.own.versions["python"]
    assert told["activation"]["set"]["RBR_TEST_ORDER"] == "first second"
    assert "PROJ_LIB" in told["activation"]["removed"]
    text = out(capsys, "show", str(conda.own.prefix))
    assert "a worker starts, with " in text
    assert "set      RBR_TEST_ORDER=first second\n" in text
    assert "removed  PROJ_LIB (of this process)\n" in text


def test_show_of_the_tests_own_environment_tells_its_packages(
    capsys: pytest.CaptureFixture[str],
) -> None:
    import sys

    numpy = pytest.importorskip("numpy")
    versions = json.loads(out(capsys, "show", sys.executable, "--json"))["versions"]
    assert versions["numpy"] == numpy.__version__


def test_show_says_why_no_worker_starts(
    gis: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    text = out(capsys, "show", gis.prefix, code=1)
    assert "NO WORKER STARTS" in text
    assert "packages     not known: no worker starts\n" in text
    assert "exit code 3" in text


def test_capture_runs_the_scripts_and_keeps_their_effect(
    gis: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    script(gis, "b.sh", "no-such-command\nexport B=1\n")
    text = out(capsys, "capture", gis.prefix)
    assert "    | " in text and "no-such-command: command not found" in text
    assert f"GDAL_DATA={gis.prefix}/share/gdal\n" in text
    entry = cache.load(gis.prefix)
    assert entry is not None
    assert entry.changes["GDAL_DATA"] == (None, f"{gis.prefix}/share/gdal")
    assert not entry.by_hand
    assert out(capsys, "capture", "--forget", gis.prefix) == "forgotten\n"
    assert out(capsys, "capture", "--forget", gis.prefix) == "nothing was kept\n"
    assert cache.load(gis.prefix) is None


def test_what_a_shell_has_is_kept_until_it_is_forgotten(
    gis: Environment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CONDA_PREFIX", gis.prefix)
    monkeypatch.setenv("LICENCE_SERVER", "here")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/of/the/shell")
    monkeypatch.setenv("PATH", f"{gis.prefix}/bin:/usr/bin:/bin")
    monkeypatch.setenv("DISPLAY", ":7")
    monkeypatch.setenv("PYTHONHOME", "/of/another/python")
    out(capsys, "capture", "--shell", gis.prefix)
    assert main(["env", "capture", gis.prefix]) == 1
    assert "captured from a shell, and would be lost" in capsys.readouterr().err
    script(gis, "b.sh", "exit 1\n")  # changed since: what was captured by hand holds
    worker = environ_for(find(gis.prefix), {"PATH": "/host", "DISPLAY": ":0", "PROJ_LIB": "/host"})
    expected = {
        "LICENCE_SERVER": "here",
        "LD_LIBRARY_PATH": "/of/the/shell",
        "PATH": f"{gis.prefix}/bin:/usr/bin:/bin",
        "DISPLAY": ":0",
    }
    assert {name: worker.get(name) for name in expected} == expected
    assert not {"PROJ_LIB", "PYTHONHOME"} & set(worker)


def test_a_shells_capture_outlives_the_environment_and_is_only_told_about(
    gis: Environment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may lie on a disk that is not mounted now."""
    monkeypatch.setenv("CONDA_PREFIX", gis.prefix)
    out(capsys, "capture", "--shell", gis.prefix)
    Path(gis.prefix).rename(f"{gis.prefix}-away")
    assert main(["clean"]) == 0
    assert f"left: activation {cache.file_of(gis.prefix)}" in capsys.readouterr().out
    assert cache.load(gis.prefix)


def test_a_shell_with_another_environment_is_refused(
    gis: Environment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CONDA_PREFIX", "/other")
    assert main(["env", "capture", "--shell", gis.prefix]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"ringbridge: {gis.prefix} is not activated in this shell")


def test_a_broken_script_fails_the_capture_and_nothing_is_kept(
    gis: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = script(gis, "b.sh", "echo no licence\nexit 4\n")
    assert main(["env", "capture", gis.prefix]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"ringbridge: {bad} ended the shell with exit code 4")
    assert "| no licence" in said
    assert cache.load(gis.prefix) is None


def test_a_missing_environment_is_told_by_every_action(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for action in ("show", "capture"):
        assert main(["env", action, "no-such-environment"]) == 1
        assert "no environment 'no-such-environment'" in capsys.readouterr().err
