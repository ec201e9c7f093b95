# SPDX-License-Identifier: MIT
"""plugin/ringbridge_qgis/environments.py: what it says of environments, without QGIS.

In another interpreter, that has no ringbridge of its own: as inside of QGIS.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rbr_testing import user_environments as made

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "plugin"

CODE = """
import json, sys
sys.path.insert(0, sys.argv.pop(1))
from ringbridge_qgis import environments
assert "ringbridge" not in sys.modules
places = sys.argv[1:]
found = environments.look(places or environments.prefixes())
only = environments.the_one(found)
print(json.dumps({
    "found": [[e.name, e.kind, e.version, e.state.name, e.packages, e.command] for e in found],
    "prefixes": [e.prefix for e in found],
    "source": environments.source_for([e.prefix for e in found]),
    "only": only and only.prefix,
    "loaded": sorted({name.partition(".")[0] for name in sys.modules} & {"ringbridge", "qgis"}),
}))
"""


def look(*places: Path, home: str | Path = "/nonexistent", **environ: str) -> dict[str, Any]:
    """What a host with nothing of ours sees; without places, where it finds something itself."""
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", CODE, PLUGIN, *places],
        capture_output=True,
        text=True,
        timeout=50,
        env={"PATH": os.environ["PATH"], "HOME": str(home), **environ},
    )
    assert ended.returncode == 0, ended.stderr
    told: dict[str, Any] = json.loads(ended.stdout)
    assert told["loaded"] == []
    return told


def state(*places: Path) -> str:
    """Of the first."""
    return str(look(*places)["found"][0][3])


def install(prefix: Path, version: str, *builds: str) -> Path:
    made.ringbridge(made.site_of(prefix), version, *builds)
    return prefix


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    return made.venv(tmp_path / "bare")


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return install(made.venv(tmp_path / "good"), "0.1.0", made.HERE)


def test_an_environment_without_ringbridge_comes_with_the_command_that_adds_it(bare: Path) -> None:
    name, kind, version, found, packages, command = look(bare)["found"][0]
    assert (name, kind, found, packages) == ("bare", "venv", "NO_RINGBRIDGE", {})
    assert version == "{}.{}.{}".format(*sys.version_info[:3])
    python = f"{bare}/bin/python"
    assert command == f"{python} -m ensurepip && {python} -m pip install ringbridge"
    (made.site_of(bare) / "pip").mkdir()
    assert look(bare)["found"][0][5] == f"{python} -m pip install ringbridge"


def test_a_path_with_a_space_is_quoted_for_the_shell(tmp_path: Path) -> None:
    command = look(made.venv(tmp_path / "my gis"))["found"][0][5]
    assert command.endswith(f"'{tmp_path}/my gis/bin/python' -m pip install ringbridge")


def test_what_is_installed_is_told_from_the_names_of_folders(good: Path) -> None:
    names = ("numpy-2.3.5", "scikit_learn-1.7.0", "geopandas-1.1.1", "numpy_of_others-9.9")
    for name in names:
        (made.site_of(good) / f"{name}.dist-info").mkdir()
    found = look(good)["found"][0]
    assert found[4] == {
        "ringbridge": "0.1.0",
        "numpy": "2.3.5",
        "scikit-learn": "1.7.0",
        "geopandas": "1.1.1",
    }
    assert (found[3], found[5]) == ("USABLE", "")


def test_a_ringbridge_in_one_environment_serves_workers_in_all(bare: Path, good: Path) -> None:
    told = look(bare, good)
    assert [found[3] for found in told["found"]] == ["USABLE", "USABLE"]
    assert told["source"] == str(good)


def test_a_copy_for_this_host_does_not_serve_another_python(tmp_path: Path, good: Path) -> None:
    # Installed from the sources it has one build, for the Python that built it.
    other = made.conda(tmp_path / "other", "3.20.1")
    assert state(other, good) == "NO_RINGBRIDGE"
    (made.site_of(good) / "ringbridge" / "_core.abi3.so").touch()
    assert state(other, good) == "USABLE"


def test_an_environments_own_copy_serves_its_python(tmp_path: Path, good: Path) -> None:
    other = made.conda(tmp_path / "other", "3.20.1")
    site = other / "lib" / "python3.20" / "site-packages"
    machine = made.HERE.split("-")[2]
    made.ringbridge(site, "0.1.0", f"cpython-320-{machine}-linux-gnu")
    assert state(other, good) == "USABLE"
    assert state(other) == "NO_BUILD"  # it is of no use to the host


def test_a_ringbridge_that_is_too_old_is_to_be_replaced(tmp_path: Path) -> None:
    old = install(made.venv(tmp_path / "old"), "0.0.9", made.HERE)
    (made.site_of(old) / "pip").mkdir()
    assert look(old)["found"][0][3:] == [
        "TOO_OLD",
        {"ringbridge": "0.0.9"},
        f"{old}/bin/python -m pip install --force-reinstall ringbridge",
    ]


def test_a_ringbridge_built_for_other_pythons_does_not_count(tmp_path: Path) -> None:
    foreign = install(made.venv(tmp_path / "foreign"), "99.0", made.OTHER)
    told = look(foreign)
    assert told["found"][0][3] == "NO_BUILD"
    assert told["source"] == ""


def test_folders_that_cannot_be_used_say_why(tmp_path: Path, good: Path) -> None:
    assert state(made.conda(tmp_path / "empty"), good) == "NO_PYTHON"
    assert state(made.conda(tmp_path / "ancient", "3.6.15"), good) == "PYTHON_TOO_OLD"
    assert state(made.conda(tmp_path / "two", "2.7.18"), good) == "PYTHON_TOO_OLD"
    plain = tmp_path / "plain two" / "bin"  # it has no python3, and was called usable
    plain.mkdir(parents=True)
    (plain / "python2.7").write_text("#!/bin/sh\n")
    (plain / "python2.7").chmod(0o755)
    (plain / "python").symlink_to("python2.7")
    assert state(plain.parent, good) == "PYTHON_TOO_OLD"
    assert state(tmp_path / "gone", good) == "NOTHING"
    (tmp_path / "plain").mkdir()
    assert state(tmp_path / "plain", good) == "NOTHING"


def test_names_tell_environments_apart(tmp_path: Path) -> None:
    project = made.conda(tmp_path / "project" / ".venv", "3.12.1")
    assert look(project)["found"][0][0] == "project/.venv"
    assert look(made.conda(tmp_path / "gis"))["found"][0][0] == "gis"
    if os.path.exists("/usr/bin/python3"):
        assert look(Path("/usr"))["found"][0][0].startswith("python3")


def test_an_interpreter_stands_for_its_environment(good: Path) -> None:
    told = look(good / "bin" / "python", good)
    assert told["prefixes"] == [str(good)]


def test_it_finds_what_conda_lists_and_what_the_guides_commands_make(tmp_path: Path) -> None:
    home = tmp_path / "home"
    listed = made.conda(tmp_path / "listed", "3.12.1")
    (home / ".conda").mkdir(parents=True)
    (home / ".conda" / "environments.txt").write_text(f"{listed}\n{tmp_path}/gone\n")
    in_root = made.conda(home / "miniforge3" / "envs" / "gis", "3.12.1")
    own = made.venv(home / ".virtualenvs" / "gis")
    pointed = made.conda(tmp_path / "pointed", "3.13.0")
    found = look(home=home, RINGBRIDGE_ENV=str(pointed))["prefixes"]
    assert found[0] == str(pointed)
    assert {str(listed), str(in_root), str(own)} <= set(found)
    assert not any("gone" in prefix for prefix in found)


def test_the_only_one_with_a_ringbridge_is_taken_unasked(tmp_path: Path, good: Path) -> None:
    bare = made.venv(tmp_path / "bare")
    assert look(bare, good)["only"] == str(good)
    second = install(made.venv(tmp_path / "second"), "0.1.0", made.HERE)
    assert look(bare, good, second)["only"] is None
    assert look(bare)["only"] is None  # not usable
