# SPDX-License-Identifier: MIT
"""A conda environment's activation: what its files say, and what is kept of it in the cache."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from rbr_testing.prefixes import conda_prefix, environ, failure, script

from ringbridge.activation import cache
from ringbridge.environment import Environment


def test_later_files_of_env_vars_win_and_the_state_wins_over_all(tmp_path: Path) -> None:
    state = {"env_vars": {"C": "state"}}
    gis = conda_prefix(tmp_path, state, b={"A": "b", "B": "b"}, a={"A": "a", "B": "a", "C": "a"})
    result = environ(gis)
    assert [result[name] for name in "ABC"] == ["b", "b", "state"]


def test_condas_word_for_unset_unsets(tmp_path: Path) -> None:
    gis = conda_prefix(
        tmp_path, {"env_vars": {"A": "***unset***", "B": "***unset***"}}, a={"A": "1"}
    )
    result = environ(gis, {"B": "host"})
    assert not {"A", "B"} & set(result)


def test_path_is_reserved_and_a_number_is_its_text(tmp_path: Path) -> None:
    gis = conda_prefix(tmp_path, {"env_vars": {"PATH": "/evil", "N": 4}})
    result = environ(gis, {"PATH": "/bin"})
    assert (result["PATH"], result["N"]) == (f"{tmp_path}/bin:/bin", "4")


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ("{", "state cannot be read as JSON"),
        ("[" * 100_000, "state cannot be read as JSON"),
        ([1], "must hold a JSON object, not a list"),
        ({"env_vars": [1]}, "must be a JSON object"),
        ({"env_vars": {"A": None}}, "A in .*state must be a string, not None"),
        ({"env_vars": {"A=B": "1"}}, "'A=B' in .*state is no variable"),
        ({"env_vars": {"A": "1\0"}}, "'A' in .*state is no variable"),
    ],
)
def test_a_file_that_is_not_what_it_has_to_be_is_named(
    tmp_path: Path, state: object, text: str
) -> None:
    assert re.search(text, failure(conda_prefix(tmp_path, state)))


def test_scripts_see_the_environments_variables_and_those_that_are_kept(tmp_path: Path) -> None:
    gis = conda_prefix(tmp_path, {"env_vars": {"FROM_STATE": "s"}})
    script(gis, "b.sh", 'export B="$A $PROJ_LIB"\n')
    script(gis, "a.sh", 'export A="$FROM_STATE $CONDA_PREFIX $CONDA_SHLVL $GDAL_DATA"\n')
    script(gis, "c.fish", "exit 1\n")
    base = {"PROJ_LIB": "kept", "GDAL_DATA": "host"}
    result = environ(gis, base, keep_environ=["PROJ_LIB"])
    assert result["B"] == f"s {tmp_path} 1  kept"


def test_what_is_kept_is_kept_from_scripts_and_the_user_has_the_last_word(tmp_path: Path) -> None:
    gis = conda_prefix(tmp_path)
    script(gis, "a.sh", "export PROJ_LIB=mine GDAL_DATA=mine OMP_NUM_THREADS=9 CONDA_PREFIX=/x\n")
    base = {"PROJ_LIB": "host", "CONDA_PREFIX": "/host"}
    options = {"keep_environ": ["PROJ_LIB", "CONDA_*"], "environ": {"GDAL_DATA": "user"}}
    result = environ(gis, base, threads=2, **options)
    assert [result[name] for name in ("PROJ_LIB", "GDAL_DATA", "OMP_NUM_THREADS")] == [
        "host",
        "user",
        "2",
    ]
    assert result["CONDA_PREFIX"] == "/x"  # where it runs is not the host's to say


# ------------------------------------------------------------------------------------ the cache


def counting(environment: Environment, text: str = "") -> Path:
    """A script that leaves a line in a file each time it runs."""
    log = Path(environment.prefix, "log")
    script(environment, "count.sh", f"echo x >> '{log}'\n{text}")
    log.touch()
    return log


def runs(log: Path) -> int:
    return len(log.read_text().split())


def test_scripts_run_once_and_then_their_effect_is_known(tmp_path: Path) -> None:
    gis = conda_prefix(tmp_path)
    log = counting(gis, "export A=1 PATH=/more:$PATH:/last XDG_DATA_DIRS=$XDG_DATA_DIRS:/share\n")
    base = {"PATH": "/bin", "XDG_DATA_DIRS": "/usr/share"}
    first = environ(gis, base)
    assert environ(gis, base) == first
    assert runs(log) == 1
    # In another terminal: the lists are put around what stands there.
    other = environ(gis, {"PATH": "/opt:/bin", "XDG_DATA_DIRS": "/opt/share", "TERM": "x"})
    assert other["PATH"] == f"/more:{tmp_path}/bin:/opt:/bin:/last"
    assert (other["XDG_DATA_DIRS"], other["TERM"], other["A"]) == ("/opt/share:/share", "x", "1")
    assert runs(log) == 1


def test_what_was_captured_for_another_value_is_captured_again(tmp_path: Path) -> None:
    gis = conda_prefix(tmp_path)
    log = counting(gis, 'export A="${A:-none} seen"\n')
    assert environ(gis)["A"] == "none seen"
    assert environ(gis, {"A": "host"})["A"] == "host seen"
    assert runs(log) == 2


@pytest.mark.parametrize(
    "change",
    [
        "etc/conda/activate.d/count.sh",
        "etc/conda/activate.d/new.sh",
        "etc/conda/env_vars.d/new.json",
        "conda-meta/history",
        "conda-meta/state",
    ],
)
def test_any_change_of_the_environment_makes_it_run_again(tmp_path: Path, change: str) -> None:
    gis = conda_prefix(tmp_path, {"env_vars": {}})
    log = counting(gis)
    environ(gis)
    path = tmp_path / change
    if path.suffix == ".sh":
        path.write_text(f"echo y >> '{log}'\necho y >> '{log}'\n")
    else:
        path.write_text('{"env_vars": {"A": "1"}}' if path.name == "state" else '{"B": "1"}')
    environ(gis)
    assert runs(log) > 1


def test_a_failure_is_not_kept(tmp_path: Path, cache_folder: Path) -> None:
    gis = conda_prefix(tmp_path)
    bad = script(gis, "a.sh", "exit 3\n")
    assert f"{bad} ended the shell with exit code 3" in failure(gis)
    assert not list(cache_folder.glob("*"))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 1}', '{"format": 99}', "\xff"])
def test_a_broken_cache_file_counts_as_none(
    tmp_path: Path, cache_folder: Path, content: str
) -> None:
    gis = conda_prefix(tmp_path)
    log = counting(gis, "export A=1\n")
    environ(gis)
    (file,) = cache_folder.iterdir()
    file.write_text(content, encoding="latin-1")
    assert environ(gis)["A"] == "1"
    assert runs(log) == 2


def test_the_cache_is_the_users_alone(tmp_path: Path, cache_folder: Path) -> None:
    gis = conda_prefix(tmp_path)
    counting(gis)
    environ(gis)
    (file,) = cache_folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert cache_folder.stat().st_mode & 0o777 == 0o700


def test_without_a_cache_folder_the_scripts_run_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gis = conda_prefix(tmp_path / "gis")
    log = counting(gis, "export A=1\n")
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert environ(gis)["A"] == environ(gis)["A"] == "1"
    assert runs(log) == 2


def test_an_environment_without_scripts_starts_no_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache_folder: Path
) -> None:
    monkeypatch.setattr("subprocess.Popen", None)
    assert environ(conda_prefix(tmp_path, {"env_vars": {"A": "1"}}))["A"] == "1"
    assert not cache_folder.exists()


def test_odd_paths_are_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = tmp_path / 'it\'s a "cache"\n\u00e4 $HOME *' / os.fsdecode(b"\xff")
    monkeypatch.setenv("XDG_CACHE_HOME", str(odd / "cache"))
    gis = conda_prefix(odd / "gis")
    log = odd / "log"
    script(gis, "a.sh", 'echo x >> "$CONDA_PREFIX/../log"\nexport A="$CONDA_PREFIX/a"\n')
    assert environ(gis)["A"] == environ(gis)["A"] == f"{odd}/gis/a"
    assert runs(log) == 1


def test_entries_of_environments_that_are_gone_are_told(tmp_path: Path) -> None:
    kept, gone = conda_prefix(tmp_path / "kept"), conda_prefix(tmp_path / "gone")
    for each in (kept, gone):
        counting(each)
        environ(each)
    shutil.rmtree(gone.prefix)
    assert list(cache.forgotten()) == [(cache.file_of(gone.prefix), gone.prefix)]
    assert cache.forget(gone.prefix)
    assert not cache.forget(gone.prefix)
