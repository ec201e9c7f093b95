# SPDX-License-Identifier: MIT
"""Where environments are found, and which one a name means."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import ringbridge
from ringbridge import EnvironmentNotFound, discovery
from ringbridge.activation import environ_for
from ringbridge.discovery import envs_dirs, find

Make = Callable[..., Path]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and no variable that leads anywhere else."""
    for name in list(os.environ):
        if name.startswith(("CONDA", "MAMBA", "PIXI", "PYENV", "UV_", "XDG_", "VIRTUAL_ENV")):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.chdir(folder)
    return folder


def conda(prefix: Path, *, python: str | None = "3.12.1") -> Path:
    (prefix / "conda-meta").mkdir(parents=True)
    if python is not None:
        (prefix / "conda-meta" / f"python-{python}-h123_0_cpython.json").write_text("{}")
        executable(prefix / "bin" / "python")
    return prefix


def venv(prefix: Path, version: str = "version = 3.11.7") -> Path:
    executable(prefix / "bin" / "python")
    (prefix / "pyvenv.cfg").write_text(f"home = /usr/bin\n{version}\n")
    return prefix


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def names() -> list[str]:
    """Of what is found, but for this machine's own interpreters."""
    return [each.name for each in ringbridge.environments() if not each.prefix.startswith("/usr")]


def not_found(name: str) -> str:
    with pytest.raises(EnvironmentNotFound) as caught:
        find(name)
    return str(caught.value)


# ------------------------------------------------------------------------------------- places


def test_condas_own_list_is_read(home: Path) -> None:
    prefix = conda(home / "far away" / "gis")
    (home / ".conda").mkdir()
    (home / ".conda" / "environments.txt").write_text(f"{prefix}\n\n/gone/since/long\n")
    found = find("gis")
    assert (found.prefix, found.kind, found.python_version) == (str(prefix), "conda", "3.12.1")
    assert names() == ["gis"]


@pytest.mark.parametrize(
    "root", ["miniforge3", "mambaforge", "miniconda3", "anaconda3", "micromamba"]
)
def test_the_usual_roots_in_the_home_folder_are_known(home: Path, root: str) -> None:
    conda(home / root / "envs" / "gis")
    assert find("gis").prefix == str(home / root / "envs" / "gis")


def test_micromambas_newer_root_is_known(home: Path) -> None:
    conda(home / ".local/share/mamba/envs/gis")
    assert names() == ["gis"]


def test_condas_own_installation_is_called_base_and_by_its_folder(home: Path) -> None:
    root = conda(home / "miniforge3")
    (root / "condabin").mkdir()
    assert find("base").prefix == find("miniforge3").prefix == str(root)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MAMBA_ROOT_PREFIX", "opt/root"),
        ("CONDA_EXE", "opt/root/bin/conda"),
        ("CONDA_EXE", "opt/root/condabin/conda"),
        ("MAMBA_EXE", "opt/root/bin/mamba"),
        ("CONDA_PREFIX", "opt/root/envs/other"),
        ("CONDA_ENVS_PATH", "opt/root/envs"),
        ("CONDA_ENVS_DIRS", "~/opt/root/envs"),
        ("CONDA_ENVS_PATH", "nowhere:{home}/opt/root/envs"),
    ],
)
def test_variables_lead_to_environments(
    home: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    conda(home / "opt/root/envs/gis")
    assert names() == []
    if not value.startswith("~"):
        value = f"{home}/{value}".replace("{home}", str(home))
    monkeypatch.setenv(variable, value)
    assert names() == ["gis"]


def test_a_conda_on_path_leads_to_its_root(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conda(home / "root/envs/gis")
    real = executable(home / "root/bin/conda")
    link = home / "links" / "conda"
    link.parent.mkdir()
    link.symlink_to(real)
    monkeypatch.setenv("PATH", str(link.parent))
    assert names() == ["gis"]


@pytest.mark.parametrize(
    "file", [".condarc", ".mambarc", ".conda/.condarc", ".config/conda/.condarc"]
)
def test_envs_dirs_of_the_configuration_are_looked_at(home: Path, file: str) -> None:
    conda(home / "data/my envs/gis")
    (home / file).parent.mkdir(parents=True, exist_ok=True)
    (home / file).write_text("channels: [x]\nenvs_dirs:\n  - ~/data/my envs\nssl_verify: true\n")
    assert names() == ["gis"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("envs_dirs:\n  - /a\n  - /b c\n", ["/a", "/b c"]),
        (
            "envs_dirs:\n- /a # one\n# two\n\n- '/b # c'\nx:\n- /d\n",
            ["/a", "/b # c"],
        ),
        ('envs_dirs: ["/a", /b]\n', ["/a", "/b"]),
        ("envs_path:\r\n  - /a\r\n", ["/a"]),
        ("x:\n  envs_dirs:\n    - /a\n", []),
        ("envs_dirs:\nother: 1\n", []),
        ("", []),
    ],
)
def test_envs_dirs_is_read_as_yaml_has_it(text: str, expected: list[str]) -> None:
    assert envs_dirs(text) == expected


def test_pixi_projects_here_and_above_are_found(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conda(home / "terrain/.pixi/envs/default")
    conda(home / "terrain/.pixi/envs/gpu")
    inside = home / "terrain/src"
    inside.mkdir()
    assert names() == []
    monkeypatch.chdir(inside)
    assert names() == ["terrain", "terrain:gpu"]
    assert find("terrain").prefix == str(home / "terrain/.pixi/envs/default")
    assert find("terrain:default") == find("terrain")
    assert find("gpu") == find("terrain:gpu")
    assert find("gpu").kind == "pixi"


def test_a_pixi_project_is_found_by_its_variable(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conda(home / "terrain/.pixi/envs/default")
    monkeypatch.setenv("PIXI_PROJECT_ROOT", str(home / "terrain"))
    assert names() == ["terrain"]


def test_pixis_global_environments_are_found(home: Path) -> None:
    conda(home / ".pixi/envs/tools")
    assert find("tools").prefix == str(home / ".pixi/envs/tools")


def test_a_detached_pixi_environment_knows_its_project(home: Path) -> None:
    prefix = conda(home / "cache/terrain-123/envs/gpu")
    (prefix / "conda-meta/pixi").write_text('{"manifest_path": "/work/terrain/pixi.toml"}')
    found = find(prefix)
    assert (found.kind, found.name) == ("pixi", "terrain:gpu")


@pytest.mark.parametrize(
    "folder", [".virtualenvs", ".local/share/virtualenvs", ".cache/pypoetry/virtualenvs"]
)
def test_folders_of_venvs_are_known(home: Path, folder: str) -> None:
    venv(home / folder / "web")
    found = find("web")
    assert (found.kind, found.python_version) == ("venv", "3.11.7")


def test_a_venv_here_goes_by_its_projects_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venv(home / "seg/.venv", "version_info = 3.13.0.final.0")
    monkeypatch.chdir(home / "seg")
    assert find("seg").python_version == "3.13.0"


def test_pyenvs_and_uvs_interpreters_are_found(home: Path) -> None:
    executable(home / ".pyenv/versions/3.10.13/bin/python")
    executable(home / ".local/share/uv/python/cpython-3.12.4-linux-x86_64-gnu/bin/python3")
    assert names() == ["3.10.13", "cpython-3.12.4-linux-x86_64-gnu"]
    assert find("3.10.13").python_version == "3.10.13"


def test_interpreters_on_path_go_by_their_names(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = executable(home / "py/bin/python3.12")
    (home / "py/bin/python3").symlink_to(real)
    executable(home / "py/bin/python3-config")
    monkeypatch.setenv("PATH", str(home / "py/bin"))
    assert names() == ["py"]
    assert find("python3.12").prefix == str(home / "py")
    assert find("py").python_version == "3.12"


def test_what_several_places_name_is_found_once(home: Path) -> None:
    prefix = conda(home / "miniforge3/envs/gis")
    (home / "link").symlink_to(prefix)
    (home / ".conda").mkdir()
    (home / ".conda/environments.txt").write_text(f"{home / 'link'}\n{prefix}\n")
    assert len(names()) == 1


def test_a_link_beside_an_environment_does_not_hide_its_name(home: Path) -> None:
    real = conda(home / "miniforge3/envs/real")
    (home / "miniforge3/envs/alias").symlink_to(real)
    assert names() == ["real"]
    assert find("real") == find("alias")
    assert find("real").prefix == str(real)


@pytest.mark.parametrize("name", ["env", "venv"])
def test_an_environment_may_be_called_env(home: Path, name: str) -> None:
    conda(home / "miniforge3/envs" / name)
    venv(home / ".virtualenvs" / f"{name}x")
    assert names() == [name, f"{name}x"]


def test_pixis_global_environments_belong_to_no_project(home: Path) -> None:
    prefix = conda(home / ".pixi/envs/gdal")
    (home / "pixi.toml").write_text('[activation.env]\nOOPS = "1"\n')
    found = find("gdal")
    assert (found.name, found.kind, found.prefix) == ("gdal", "pixi", str(prefix))
    assert "OOPS" not in environ_for(found, {})


def test_a_list_with_nonsense_in_it_is_read_all_the_same(home: Path) -> None:
    prefix = conda(home / "far/gis")
    (home / ".conda").mkdir()
    (home / ".conda/environments.txt").write_bytes(b"\0/a\n\xff\n%s\n" % os.fsencode(prefix))
    assert names() == ["gis"]


def test_pyenvs_shims_are_no_interpreters(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(home / ".pyenv/shims/python3")
    monkeypatch.setenv("PATH", f"{home}/.pyenv/shims/")
    assert names() == []


def test_a_user_without_a_home_finds_what_variables_name(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conda(home / "root/envs/gis")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])
    monkeypatch.setenv("MAMBA_ROOT_PREFIX", str(home / "root"))
    assert find("gis").prefix == str(home / "root/envs/gis")


def test_a_projects_folder_leads_to_its_environment(home: Path) -> None:
    prefix = conda(home / "terrain/.pixi/envs/default")
    assert f"It has an environment: give {prefix}" in not_found(str(home / "terrain"))


def test_two_venvs_on_one_interpreter_are_two(home: Path) -> None:
    base = executable(home / "py/bin/python3.12")
    for name in ("a", "b"):
        prefix = venv(home / ".virtualenvs" / name)
        (prefix / "bin/python").unlink()
        (prefix / "bin/python").symlink_to(base)
    assert names() == ["a", "b"]


def test_this_machines_own_interpreters_are_among_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable), prepend=os.pathsep)
    assert any(os.path.samefile(each.prefix, sys.prefix) for each in ringbridge.environments())


# -------------------------------------------------------------------------------------- names


def test_a_missing_name_lists_what_was_found_and_where_it_looked(home: Path) -> None:
    gis = conda(home / "miniforge3/envs/gis")
    text = not_found("giz")
    assert text.startswith("no environment 'giz': did you mean 'gis'?\n")
    assert not_found("quite-another").startswith("no environment 'quite-another'\n")
    assert f"gis  (conda, Python 3.12.1)  {gis}" in text
    assert f"{home}/.conda/environments.txt: nothing" in text
    assert f"{home}/miniforge3: 2" in text


def test_an_ambiguous_name_lists_what_it_could_mean(home: Path) -> None:
    prefixes = [conda(home / root / "envs/gis") for root in ("miniforge3", "micromamba")]
    text = not_found("gis")
    assert text.startswith("2 environments are called 'gis'")
    assert all(str(prefix) in text for prefix in prefixes)


def test_a_first_name_comes_before_a_second_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conda(home / "terrain/.pixi/envs/gis")  # terrain:gis, and in short gis
    conda(home / "miniforge3/envs/gis")
    monkeypatch.chdir(home / "terrain")
    assert find("gis").prefix == str(home / "miniforge3/envs/gis")


def test_an_environment_without_python_is_told_as_that(home: Path) -> None:
    prefix = conda(home / "miniforge3/envs/tools", python=None)
    assert names() == []
    assert f"there is {prefix}, but no Python is installed in it" in not_found("tools")


def test_names_with_odd_letters_are_names(home: Path) -> None:
    for name in ("with space", "ö ü", "it's", 'quo"te', "new\nline", "[x]*"):
        conda(home / "miniforge3/envs" / name)
        assert find(name).prefix == str(home / "miniforge3/envs" / name)


def test_a_working_folder_that_is_gone_is_no_error(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conda(home / "miniforge3/envs/gis")
    gone = home / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert find("gis")


def test_looking_everywhere_starts_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conda(home / "miniforge3/envs/gis")
    monkeypatch.setattr("subprocess.Popen", None)
    monkeypatch.setattr("os.posix_spawn", None)
    assert discovery.survey().found
