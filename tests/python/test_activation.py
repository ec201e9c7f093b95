# SPDX-License-Identifier: MIT
"""The variables that a worker gets: what is scrubbed and kept, and what its environment sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ringbridge.activation import environ_for
from ringbridge.activation.variables import THREAD_COUNTS
from ringbridge.environment import Environment
from ringbridge.plan import Wishes

CONDA = Environment("/envs/gis", "/envs/gis/bin/python", "conda", "gis")
VENV = Environment("/v", "/v/bin/python", "venv", "v")
PLAIN = Environment("/usr", "/opt/py/bin/python3", "plain", "usr")

# fmt: off
LEAKED = [
    "PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONUSERBASE", "PYTHONEXECUTABLE",
    "PYTHONPLATLIBDIR", "PYTHONSAFEPATH", "__PYVENV_LAUNCHER__", "VIRTUAL_ENV",
    "PYENV_VERSION", "PIP_TARGET", "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH",
    "PROJ_LIB", "PROJ_DATA", "GDAL_DATA", "GEOTIFF_CSV", "VSI_CACHE", "VSI_CACHE_SIZE",
    "GISBASE", "GISRC", "GRASS_PREFIX", "QT_PLUGIN_PATH", "QT_QPA_PLATFORM_PLUGIN_PATH",
    "QML2_IMPORT_PATH", "QGIS_PREFIX_PATH", "QT_API", "GTK_PATH", "GI_TYPELIB_PATH",
    "GIO_MODULE_DIR", "LIBGL_DRIVERS_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "OPENSSL_CONF", "OSGEO4W_ROOT", "O4W_X",
    "TCL_LIBRARY", "TK_LIBRARY", "MPLBACKEND", "BLENDER_USER_SCRIPTS",
    "MAYA_LOCATION", "HFS", "HOUDINI_PATH", "CONDA_PREFIX",
    "CONDA_EXE", "__CONDA_SHLVL_1_X", "PIXI_PROJECT_ROOT",
]
# fmt: on
HARMLESS = [
    "HOME",
    "LANG",
    "DISPLAY",
    "USER",
    "XDG_RUNTIME_DIR",
    "QT_QPA_PLATFORM",
    "TMPDIR",
    "PYRAMID",
    "GDALX",
]


def environ(base: dict[str, str] | None = None, **options: Any) -> dict[str, str]:
    environment = options.pop("environment", PLAIN)
    return environ_for(environment, base or {}, Wishes.of(**options))


@pytest.mark.parametrize("name", LEAKED)
def test_what_the_host_leaks_is_scrubbed(name: str) -> None:
    assert environ({name: "host"}).get(name) != "host"


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_harmless_stays(name: str) -> None:
    assert environ({name: "host"})[name] == "host"


def test_the_users_own_site_packages_are_off() -> None:
    assert environ()["PYTHONNOUSERSITE"] == "1"


def test_the_environments_programs_come_first_and_once() -> None:
    result = environ({"PATH": "/usr/bin:/envs/gis/bin:/bin"}, environment=CONDA)
    assert result["PATH"] == "/envs/gis/bin:/usr/bin:/bin"
    assert environ({"PATH": "/bin"})["PATH"] == "/opt/py/bin:/bin"
    assert environ()["PATH"].startswith("/opt/py/bin:/usr/local/bin:")
    assert environ({"PATH": ""}) == environ(), "an empty part would be the working folder"


def test_a_conda_environment_looks_activated() -> None:
    result = environ({"CONDA_SHLVL": "3", "CONDA_PREFIX": "/other"}, environment=CONDA)
    assert {k: v for k, v in result.items() if k.startswith("CONDA_")} == {
        "CONDA_PREFIX": "/envs/gis",
        "CONDA_SHLVL": "1",
        "CONDA_DEFAULT_ENV": "gis",
        "CONDA_PROMPT_MODIFIER": "(gis) ",
    }


def test_a_conda_environment_elsewhere_goes_by_its_path(tmp_path: Path) -> None:
    elsewhere = Environment("/opt/env", "/opt/env/bin/python", "conda", "env")
    assert environ(environment=elsewhere)["CONDA_DEFAULT_ENV"] == "/opt/env"
    named = Environment("/x/base", "/x/base/bin/python", "conda", "base")
    assert environ(environment=named)["CONDA_DEFAULT_ENV"] == "/x/base"
    (tmp_path / "condabin").mkdir()  # conda itself lives here
    own = Environment(str(tmp_path), f"{tmp_path}/bin/python", "conda", "base")
    assert environ(environment=own)["CONDA_DEFAULT_ENV"] == "base"


def test_a_venv_looks_activated() -> None:
    assert environ(environment=VENV)["VIRTUAL_ENV"] == "/v"


def test_kept_names_survive() -> None:
    base = {"PROJ_LIB": "1", "PROJ_DATA": "2", "GDAL_DATA": "3", "GDAL_CACHEMAX": "4"}
    result = environ(base, keep_environ=["PROJ_LIB", "GDAL_*"])
    assert {k for k in result if k in base} == {"PROJ_LIB", "GDAL_DATA", "GDAL_CACHEMAX"}


def test_threads_sets_every_count() -> None:
    result = environ({"OMP_NUM_THREADS": "64"}, threads=2)
    assert {result[name] for name in THREAD_COUNTS} == {"2"}
    assert environ({"OMP_NUM_THREADS": "64"})["OMP_NUM_THREADS"] == "64"


def test_environ_has_the_last_word() -> None:
    result = environ(
        {"A": "host"},
        environ={"A": "mine", "PYTHONNOUSERSITE": "", "MKL_NUM_THREADS": "8"},
        threads=1,
    )
    assert (result["A"], result["PYTHONNOUSERSITE"], result["MKL_NUM_THREADS"]) == ("mine", "", "8")


def test_the_base_is_not_touched() -> None:
    base = {"PYTHONPATH": "x"}
    environ(base)
    assert base == {"PYTHONPATH": "x"}


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"environ": {"GDAL_NUM_THREADS": 4}}, TypeError, "GDAL_NUM_THREADS"),
        ({"environ": {"A=B": "x"}}, ValueError, "A=B"),
        ({"environ": {"A": "x\0"}}, ValueError, "'A'"),
        ({"keep_environ": "PROJ_LIB"}, TypeError, r"\['PROJ_LIB'\]"),
        ({"threads": 0}, ValueError, "1 or more"),
        ({"threads": True}, TypeError, "int"),
        ({"threads": 2.5}, TypeError, "int"),
    ],
)
def test_a_mistake_is_named(options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        environ(**options)
