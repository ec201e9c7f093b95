# SPDX-License-Identifier: MIT
"""A conda environment's activation: what its files say, and what is kept of it in the cache."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from rbr_testing.prefixes import conda_prefix, environ, failure, script

from ringbridge.activation import cache
from ringbridge.activation.recipe import Recipe
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


def test_what_another_active_environment_has_set_does_not_arrive(tmp_path: Path) -> None:
    """As deactivating it would do: its variables, and every path into it."""
    active = conda_prefix(tmp_path / "active", {"env_vars": {"MODE": "theirs", "MINE": "theirs"}})
    gis = conda_prefix(tmp_path / "gis")
    inside = f"{active.prefix}/share"
    base = {
        "CONDA_PREFIX": active.prefix,
        "MODE": "theirs",
        "MINE": "changed since",
        "JAVA_HOME": f"{active.prefix}/lib/jvm",
        "XDG_DATA_DIRS": f"{inside}:/usr/share",
        "KEPT": inside,
        "PWD": inside,
        "BESIDE": f"{active.prefix}-2/share",
        "PATH": f"{active.prefix}/bin:{active.prefix}/libexec/x:/usr/bin",
    }
    result = environ(gis, base, keep_environ=["KEPT"])
    assert not {"MODE", "JAVA_HOME"} & set(result)
    expected = {"MINE": "changed since", "XDG_DATA_DIRS": "/usr/share", "KEPT": inside}
    expected |= {"PWD": inside, "BESIDE": f"{active.prefix}-2/share"}
    assert {name: result.get(name) for name in expected} == expected
    assert result["PATH"] == f"{gis.prefix}/bin:/usr/bin"
    itself = environ(active, base)
    assert itself["JAVA_HOME"] == base["JAVA_HOME"], "its own stays its own"


def test_condas_own_is_active_without_owning_the_other_environments(tmp_path: Path) -> None:
    """Its folder has theirs in it, and the `conda` that stays on PATH."""
    base, gis = conda_prefix(tmp_path), conda_prefix(tmp_path / "envs" / "gis")
    host = {
        "CONDA_PREFIX": base.prefix,
        "DATA": f"{base.prefix}/share",
        "OTHER": f"{base.prefix}/envs/other/share",
        "PATH": f"{base.prefix}/bin:{base.prefix}/condabin:/usr/bin",
    }
    result = environ(gis, host)
    assert "DATA" not in result
    assert result["OTHER"] == host["OTHER"]
    assert result["PATH"] == f"{gis.prefix}/bin:{base.prefix}/condabin:/usr/bin"


def test_a_prefix_that_is_no_environment_owns_nothing(tmp_path: Path) -> None:
    gis = conda_prefix(tmp_path / "gis")
    host = {
        "VIRTUAL_ENV": "/usr",
        "CONDA_PREFIX": "/",
        "PATH": "/usr/bin",
        "XDG_DATA_DIRS": "/usr/share",
    }
    result = environ(gis, host)
    assert (result["PATH"], result["XDG_DATA_DIRS"]) == (f"{gis.prefix}/bin:/usr/bin", "/usr/share")


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
    """Also where the first host had what the script would set, so that it changed nothing."""
    gis = conda_prefix(tmp_path)
    log = counting(gis, 'export A="${A:-none}"\n')
    for host, expected in ((None, "none"), ("y", "y"), (None, "none"), ("none", "none")):
        assert environ(gis, {"A": host} if host else {})["A"] == expected
    assert runs(log) == 4


def test_a_path_that_the_first_host_had_already_is_put_before_the_next_ones(
    tmp_path: Path,
) -> None:
    gis = conda_prefix(tmp_path)
    counting(gis, 'case ":$PATH:" in *:/tools:*) ;; *) export PATH="/tools:$PATH" ;; esac\n')
    assert environ(gis, {"PATH": "/tools:/bin"})["PATH"] == f"{tmp_path}/bin:/tools:/bin"
    assert environ(gis, {"PATH": "/bin"})["PATH"] == f"/tools:{tmp_path}/bin:/bin"


def test_what_a_script_only_looks_at_counts_too(tmp_path: Path) -> None:
    gis = conda_prefix(tmp_path)
    log = counting(gis, 'if [ -n "$LICENCE" ]; then export MODE=full; else export MODE=demo; fi\n')
    assert environ(gis)["MODE"] == "demo"
    assert environ(gis, {"LICENCE": "1", "OTHER": "x"})["MODE"] == "full"
    assert environ(gis, {"LICENCE": "1", "OTHER": "y"})["MODE"] == "full"
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


def good() -> dict[str, Any]:
    (file,) = files()
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def files() -> list[Path]:
    return list(Path(cache.folder() or "").iterdir())


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "{", "[]", '{"format": 1}', "\xff", "[" * 100_000),
        {"format": 99},
        {"stamp": [["a", math.inf, 0]]},
        {"stamp": 3},
        {"time_s": math.inf},
        {"time_s": int("9" * 400)},
        {"changes": {"A=B": [None, "x"]}},
        {"changes": {"": [None, "x"]}},
        {"changes": {"A": [None, "x\0"]}},
        {"changes": {"A": "xy"}},
        {"changes": [["A", None, "x"]]},
        {"seen": {"A": 3}},
    ],
)
def test_a_broken_cache_file_counts_as_none(tmp_path: Path, wrong: str | dict[str, Any]) -> None:
    gis = conda_prefix(tmp_path)
    log = counting(gis, "export A=1\n")
    environ(gis)
    text = wrong if isinstance(wrong, str) else json.dumps({**good(), **wrong})
    files()[0].write_text(text, encoding="latin-1")
    assert environ(gis)["A"] == "1"
    assert runs(log) == 2


def test_what_is_no_file_of_ours_alone_counts_as_none(tmp_path: Path, cache_folder: Path) -> None:
    gis = conda_prefix(tmp_path / "gis")
    log = counting(gis, "export A=1\n")
    environ(gis)
    (file,) = files()
    evil = json.dumps({**good(), "changes": {"A": [None, "evil"]}})
    file.write_text(evil)
    assert environ(gis)["A"] == "evil", "else this test shows nothing"
    file.chmod(0o666)
    assert environ(gis)["A"] == "1"
    file.write_text(evil)
    cache_folder.chmod(0o777)
    assert environ(gis)["A"] == "1"
    cache_folder.chmod(0o700)
    file.unlink()
    (tmp_path / "elsewhere").write_text(evil)
    file.symlink_to(tmp_path / "elsewhere")
    assert environ(gis)["A"] == "1"
    file.unlink()
    os.mkfifo(file)
    assert environ(gis)["A"] == "1", "and nobody is waited for"
    assert runs(log) == 5


def test_what_was_captured_by_hand_holds_through_a_link_too(tmp_path: Path) -> None:
    real = conda_prefix(tmp_path / "real")
    changes: cache.Changes = {"MODULE": (None, "loaded")}
    cache.store(cache.Entry.of(real.prefix, Recipe(), changes, by_hand=True))
    link = tmp_path / "link"
    link.symlink_to(real.prefix)
    result = environ(Environment(str(link), f"{link}/bin/python", "conda", "link"))
    assert (result["MODULE"], result["CONDA_PREFIX"]) == ("loaded", str(link))


def test_without_any_home_there_is_no_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a user that is only a number, in a container. It was a folder ~ in the working folder."""
    gis = conda_prefix(tmp_path / "gis")
    log = counting(gis, "export A=1\n")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])
    monkeypatch.chdir(tmp_path)
    before = sorted(os.listdir())
    assert environ(gis)["A"] == environ(gis)["A"] == "1"
    assert (runs(log), sorted(os.listdir())) == (2, before)


def test_a_folder_of_scripts_that_may_not_be_looked_into_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gis = conda_prefix(tmp_path)
    listdir = os.listdir

    def refused(path: str) -> list[str]:
        if path.endswith("activate.d"):
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    monkeypatch.setattr("os.listdir", refused)
    assert "activate.d cannot be looked into: Permission denied" in failure(gis)


def test_what_a_killed_writer_left_is_told(tmp_path: Path, cache_folder: Path) -> None:
    counting(conda_prefix(tmp_path))
    cache_folder.mkdir(parents=True)
    for name, age_s in (("old.json.1-1.new", 3600), ("now.json.1-1.new", 0)):
        (cache_folder / name).touch()
        os.utime(cache_folder / name, (time.time() - age_s,) * 2)
    (told,) = cache.forgotten()
    assert told[0] == str(cache_folder / "old.json.1-1.new")


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
    assert list(cache.forgotten()) == [
        (cache.file_of(gone.prefix), f"{gone.prefix} is gone", False)
    ]
    assert cache.forget(gone.prefix)
    assert not cache.forget(gone.prefix)
