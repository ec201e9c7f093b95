# SPDX-License-Identifier: MIT
"""Finding an interpreter: paths and prefixes, and what is said when there is none."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from ringbridge import EnvironmentNotFound
from ringbridge.discovery import find


def make_prefix(folder: Path, *, kind: str = "plain") -> Path:
    (folder / "bin").mkdir(parents=True)
    python = folder / "bin" / "python"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    if kind == "conda":
        (folder / "conda-meta").mkdir()
    elif kind == "venv":
        (folder / "pyvenv.cfg").write_text("home = /usr/bin\n")
    return folder


def not_found(env: object) -> str:
    with pytest.raises(EnvironmentNotFound) as caught:
        find(env)  # type: ignore[arg-type]
    return str(caught.value)


@pytest.mark.parametrize("kind", ["plain", "venv", "conda"])
def test_a_prefix_and_its_python_give_the_same_environment(tmp_path: Path, kind: str) -> None:
    prefix = make_prefix(tmp_path / "gis", kind=kind)
    found = find(prefix)
    assert (found.prefix, found.kind, found.name) == (str(prefix), kind, "gis")
    assert found.python == str(prefix / "bin" / "python")
    assert find(str(prefix)) == find(str(prefix) + "/") == find(prefix / "bin" / "python") == found


def test_this_interpreter_is_found() -> None:
    found = find(sys.executable)
    assert found.python == sys.executable
    assert os.path.samefile(found.prefix, sys.prefix)


def test_a_venv_is_told_by_what_is_around_the_link(tmp_path: Path) -> None:
    base = make_prefix(tmp_path / "base", kind="conda")
    venv = tmp_path / "project" / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "pyvenv.cfg").write_text("")
    (venv / "bin" / "python").symlink_to(base / "bin" / "python")
    found = find(venv / "bin" / "python")
    assert (found.kind, found.prefix, found.name) == ("venv", str(venv), "project")
    assert found.python == str(venv / "bin" / "python")


def test_a_link_elsewhere_means_what_it_points_to(tmp_path: Path) -> None:
    base = make_prefix(tmp_path / "base", kind="conda")
    link = tmp_path / "tools" / "py"
    link.parent.mkdir()
    link.symlink_to(base / "bin" / "python")
    found = find(link)
    assert (found.kind, found.prefix, found.python) == ("conda", str(base), str(link))


def test_the_installation_of_conda_itself_is_called_base(tmp_path: Path) -> None:
    root = make_prefix(tmp_path / "miniforge3", kind="conda")
    (root / "condabin").mkdir()
    assert find(root).name == "base"


def test_a_prefix_with_only_python3_is_found(tmp_path: Path) -> None:
    prefix = make_prefix(tmp_path / "p")
    (prefix / "bin" / "python").rename(prefix / "bin" / "python3")
    assert find(prefix).python == str(prefix / "bin" / "python3")


def test_a_relative_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_prefix(tmp_path / "p")
    monkeypatch.chdir(tmp_path)
    assert find("./p") == find(Path("p")) == find(tmp_path / "p")


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_prefix(tmp_path / "p")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find("~/p") == find(tmp_path / "p")


def test_a_name_that_is_a_folder_here_says_how_to_write_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "'./gis'" not in not_found("gis")
    (tmp_path / "gis").mkdir()
    assert "'./gis'" in not_found("gis")


def test_a_folder_without_python_says_what_was_looked_at(tmp_path: Path) -> None:
    text = not_found(tmp_path)
    assert str(tmp_path / "bin" / "python") in text
    assert "no such file" in text


def test_a_missing_interpreter_is_named(tmp_path: Path) -> None:
    assert not_found(tmp_path / "nope") == f"no interpreter at {tmp_path / 'nope'}: no such file"


def test_a_broken_link_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "python").symlink_to("/no/such/python")
    text = not_found(tmp_path / "python")
    assert "broken link to /no/such/python" in text


def test_a_file_that_is_not_executable_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "python").write_text("hello")
    assert "not executable" in not_found(tmp_path / "python")


def test_what_is_no_path_at_all_is_refused() -> None:
    assert "no name" in not_found("")
    assert "no name" in not_found("/a\0b")
    with pytest.raises(TypeError, match="env must be"):
        find(3)  # type: ignore[arg-type]


def test_an_executable_that_is_not_python_is_left_for_the_start() -> None:
    assert find("/bin/true").kind == "plain"
