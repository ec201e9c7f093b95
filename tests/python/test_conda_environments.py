# SPDX-License-Identifier: MIT
"""The conda environments that other tests rely on are real ones, and are as told.

Nothing of ringbridge is looked at here, and activation is rattler's own.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from rbr_testing.conda import Facts, Installed, install, rattler_environ

BASE = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}
CRS = "import rasterio.crs; print(rasterio.crs.CRS.from_epsg(32633).to_wkt()[:30])"
UTM33 = 'PROJCS["WGS 84 / UTM zone 33N"'


@pytest.fixture(params=["gis", "other"])
def installed(conda: Facts, request: pytest.FixtureRequest) -> Installed:
    return getattr(conda, request.param)  # type: ignore[no-any-return]


def records(installed: Installed) -> list[dict[str, Any]]:
    files = sorted((installed.prefix / "conda-meta").glob("*.json"))
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def run(
    command: list[str | Path], environ: Mapping[str, str] = BASE
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=40)


def said(installed: Installed, code: str, environ: Mapping[str, str] = BASE) -> str:
    done = run([installed.python, "-c", code], environ)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# ---------------------------------------------------------------------------------- what is there


def test_every_package_that_was_asked_for_has_its_record(installed: Installed) -> None:
    found = {record["name"]: record["version"] for record in records(installed)}
    assert found.items() >= dict(installed.versions).items()


def test_every_file_of_a_record_is_there(installed: Installed) -> None:
    for record in records(installed):
        missing = [f for f in record["files"] if not os.path.lexists(installed.prefix / f)]
        assert (record["name"], missing) == (record["name"], [])
        assert record["files"]


def test_no_file_names_the_placeholder_any_more(installed: Installed) -> None:
    modes = set()
    for record in records(installed):
        for path in record["paths_data"]["paths"]:
            if "prefix_placeholder" not in path:
                continue
            content = (installed.prefix / path["_path"]).read_bytes()
            assert path["prefix_placeholder"].encode() not in content, path["_path"]
            assert str(installed.prefix).encode() in content, path["_path"]
            if path["file_mode"] == "binary":
                assert len(content) == path["size_in_bytes"], path["_path"]
            modes.add(path["file_mode"])
    assert "text" in modes


def test_an_environment_has_its_history(installed: Installed) -> None:
    text = (installed.prefix / "conda-meta" / "history").read_text(encoding="utf-8")
    assert text.startswith("==> ")
    assert f"::python-{installed.versions['python']}-" in text


# -------------------------------------------------------------------------------------- it works


def test_its_python_runs_and_all_of_it_is_its_own(installed: Installed) -> None:
    code = """if True:
        import platform, sys, json
        with open("/proc/self/maps") as maps:
            shared = {line.split()[-1] for line in maps if "libpython" in line}
        print(json.dumps([platform.python_version(), sys.prefix, sys.path[1:], sorted(shared)]))
    """
    told, prefix, paths, shared = json.loads(said(installed, code))
    assert told == installed.versions["python"]
    assert prefix == str(installed.prefix)
    assert [p for p in [*paths, *shared] if not p.startswith(f"{installed.prefix}/")] == []


def test_its_numpy_is_its_own_and_not_the_hosts(installed: Installed) -> None:
    told, place = said(installed, "import numpy as n; print(n.__version__, n.__file__)").split()
    assert told == installed.versions["numpy"]
    assert place.startswith(f"{installed.prefix}/")
    assert told != version("numpy")


def test_the_environments_and_the_systems_python_are_of_different_versions(conda: Facts) -> None:
    if conda.gis.minor == conda.other.minor:
        pytest.skip("this machine has only one Python")
    assert conda.gis.versions["numpy"] != conda.other.versions["numpy"]
    system = Path("/usr/bin/python3")
    if system.exists():
        code = "import sys; print('%d.%d' % sys.version_info[:2])"
        assert run([system, "-c", code]).stdout.strip() != conda.gis.minor


def test_scripts_run_the_environments_python(conda: Facts) -> None:
    numpy, rasterio = (conda.gis.versions[name] for name in ("numpy", "rasterio"))
    assert run([conda.gis.prefix / "bin" / "f2py", "-v"]).stdout.strip() == numpy
    assert run([conda.gis.prefix / "bin" / "rio", "--version"]).stdout.strip() == rasterio


@pytest.mark.parametrize("name", ["with space", 'quo\'te "d"', "new\nline", "Köln ß €", "a%20b#c"])
def test_a_prefix_may_have_any_name(conda: Facts, tmp_path: Path, name: str) -> None:
    prefix = tmp_path / name
    install(prefix, f"python={conda.gis.minor}", "ringbridge-test-vars")
    told = said(Installed(prefix, {}), "import sys; print(ascii(sys.prefix))")
    assert told == ascii(str(prefix))
    assert (prefix / "etc" / "conda" / "activate.d" / "10-first.sh").exists()


# ------------------------------------------------------------------------------------- activation


@pytest.fixture
def leaked(tmp_path: Path) -> dict[str, str]:
    """The variables of a host that brings an older PROJ."""
    with sqlite3.connect(tmp_path / "proj.db") as database:
        database.execute("CREATE TABLE metadata (key TEXT, value TEXT)")
        for part, value in (("MAJOR", "1"), ("MINOR", "0")):
            row = (f"DATABASE.LAYOUT.VERSION.{part}", value)
            database.execute("INSERT INTO metadata VALUES (?, ?)", row)
    database.close()
    return {**BASE, "PROJ_DATA": str(tmp_path), "PROJ_LIB": str(tmp_path)}


def test_rasterio_fails_with_the_variables_of_a_host(
    conda: Facts, leaked: Mapping[str, str]
) -> None:
    done = run([conda.gis.python, "-c", CRS], leaked)
    assert done.returncode != 0
    assert "DATABASE.LAYOUT.VERSION.MINOR = 0" in done.stderr


def test_rasterio_works_when_activated(conda: Facts, leaked: Mapping[str, str]) -> None:
    environ = rattler_environ(conda.gis.prefix, leaked)
    assert environ["_CONDA_SET_PROJ_DATA"] == leaked["PROJ_DATA"]
    assert said(conda.gis, CRS, environ) == UTM33
    assert "GDAL_DATA is not defined" not in run([conda.gis.python, "-c", CRS], environ).stderr


def test_the_data_are_found_through_variables_only_activation_sets(conda: Facts) -> None:
    done = run([conda.gis.python, "-c", CRS])
    assert "GDAL_DATA is not defined" in done.stderr
    modules = conda.gis.prefix / "lib" / f"python{conda.gis.minor}" / "site-packages"
    assert list(modules.rglob("proj.db")) == list(modules.rglob("gdalvrt.xsd")) == []


def test_activation_scripts_do_what_such_scripts_may_do(conda: Facts) -> None:
    base = {**BASE, "RBR_TEST_OF_THE_HOST": "host", "RBR_TEST_BACKED_UP": "host"}
    environ = rattler_environ(conda.gis.prefix, base)
    prefix = str(conda.gis.prefix)
    assert environ["RBR_TEST_ORDER"] == "first second"
    assert environ["RBR_TEST_SECOND"] == "second after first"
    assert environ["RBR_TEST_TRICKY"] == (
        'two  spaces, "double" quotes, an apostrophe\', a back\\slash,\n'
        "$HOME `date`, and letters: \u00e4\u00df\u20ac\n"
    )
    assert environ["RBR_TEST_EMPTY"] == ""
    assert environ["RBR_TEST_BACKED_UP"] == f"{prefix}/share/ringbridge-test"
    assert environ["_CONDA_SET_RBR_TEST_BACKED_UP"] == "host"
    assert environ["XDG_DATA_DIRS"] == f"/usr/local/share:/usr/share:{prefix}/share"
    assert environ["PATH"].startswith(f"{prefix}/libexec/ringbridge-test:")
    unwanted = {"RBR_TEST_OF_THE_HOST", "RBR_TEST_FISH", "RBR_TEST_NOT_EXPORTED"}
    assert not unwanted & environ.keys()
    tool = shutil.which("rbr-test-tool", path=environ["PATH"])
    assert tool and run([tool]).stdout == "found through the PATH of an activation script\n"


def test_variables_of_packages_and_of_the_environment_overlap(conda: Facts) -> None:
    """Later files over earlier ones, and conda-meta/state over them all."""
    environ = rattler_environ(conda.gis.prefix, BASE)
    assert environ["RBR_TEST_D_ONLY"] == environ["RBR_TEST_SEEN"] == "of 10-base"
    assert environ["RBR_TEST_D_BOTH"] == "of 20-more"
    assert environ["RBR_TEST_STATE_WINS"] == environ["RBR_TEST_STATE_ONLY"] == "of state"
    tricky = "two  spaces, \"quotes\", 'apostrophes', \u00e4\u00df\u20ac"
    assert environ["RBR_TEST_D_TRICKY"] == tricky
    state = json.loads((conda.gis.prefix / "conda-meta" / "state").read_text(encoding="utf-8"))
    assert state["env_vars"]["RBR_TEST_STATE_UNSETS"] == "***unset***"
    assert {"PATH", "rbr_test_lower"} <= state["env_vars"].keys()


def test_the_tools_know_nothing_of_the_environments(conda: Facts) -> None:
    """A rattler that came from one of them would be part of what is tested."""
    code = "import rattler, sys; print(sys.prefix)"
    told = run([conda.tools, "-c", code]).stdout.strip()
    assert told == str(conda.tools.parents[1])
    assert told not in (sys.prefix, str(conda.gis.prefix), str(conda.other.prefix))
